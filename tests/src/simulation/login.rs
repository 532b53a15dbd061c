//! How a device logs in: classic SASL and bind, or SASL2 with Bind 2, and with a token where it has one
//! (XEP-0484); goes on with its session, or begins a new one.

use super::{
    contacts::ROSTER,
    device::{Around, Device, Habit, Stage},
    heard::CARBONS,
    line::MANAGEMENT,
    session::{Sent, Session},
};
use crate::{addresses::HOME, client::PASSWORD, token};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::{fmt::Write, time::Duration};
use xmpp::{Element, ns};

pub(super) const SASL2: &str = "urn:xmpp:sasl:2";
const BIND2: &str = "urn:xmpp:bind:0";
const FAST: &str = "urn:xmpp:fast:0";
pub(super) const CLIENT_STATE: &str = "urn:xmpp:csi:0";

/// `server::limits::TOKEN_MS_MAX`.
const TOKEN_LASTS: Duration = Duration::from_millis(server::limits::TOKEN_MS_MAX);

/// What is sent to prove who one is.
enum Proof {
    Password(String),
    Token(token::Proof),
}

impl Device {
    pub(super) fn features(&mut self, around: &mut Around<'_>) {
        match (self.stage, self.resumption()) {
            (Stage::Stranger, _) => self.authenticate(around),
            (Stage::LoggedIn, Some(resume)) => {
                self.stage = Stage::Resuming;
                self.write(&resume);
            }
            (Stage::LoggedIn, None) => self.bind(around),
            _ => {}
        }
    }

    fn authenticate(&mut self, around: &mut Around<'_>) {
        self.stage = Stage::LoggingIn;
        let name = self.jid.split('@').next().unwrap_or_default().to_owned();
        let password = BASE64_STANDARD.encode(format!("\0{name}\0{PASSWORD}"));
        if !self.is_modern {
            let auth = ns::SASL;
            self.write(&format!(
                "<auth xmlns='{auth}' mechanism='PLAIN'>{password}</auth>"
            ));
            return;
        }
        let token = self.token.as_ref().filter(|_| self.uses_token);
        let proof = match token {
            Some(token) => Proof::Token(token::prove(&name, token)),
            None => Proof::Password(password),
        };
        let (mechanism, initial) = match &proof {
            Proof::Password(text) => ("PLAIN", text),
            Proof::Token(proof) => ("HT-SHA-256-NONE", &proof.message),
        };
        let mut text = format!(
            "<authenticate xmlns='{SASL2}' mechanism='{mechanism}'>\
             <initial-response>{initial}</initial-response>"
        );
        if let Some(installation) = &self.installation {
            let _ = write!(
                text,
                "<user-agent id='{installation}'><software>sim</software></user-agent>"
            );
        }
        if let Proof::Token(_) = &proof {
            let _ = write!(text, "<fast xmlns='{FAST}'/>");
        }
        if self.installation.is_some() && (token.is_none() || around.chance.once_in(3)) {
            if token.is_none() {
                // XEP-0484 §5.1: the server keeps a current and a new one, and one that was never used makes
                // room, whether the answer with its successor arrives or not.
                self.token = None;
            }
            let _ = write!(
                text,
                "<request-token xmlns='{FAST}' mechanism='HT-SHA-256-NONE'/>"
            );
        }
        text += &self.inline();
        self.write(&text);
        self.expected = match proof {
            Proof::Token(proof) => Some(proof.answer),
            Proof::Password(_) => None,
        };
    }

    /// What is to happen with the login: its session goes on, or a resource is bound.
    fn inline(&self) -> String {
        let mut text = self.resumption().unwrap_or_default();
        let _ = write!(
            text,
            "<bind xmlns='{BIND2}'><tag>sim</tag>{}",
            self.enable()
        );
        if self.wants_copies {
            let _ = write!(text, "<enable xmlns='{CARBONS}'/>");
        }
        if self.is_inactive {
            let _ = write!(text, "<inactive xmlns='{CLIENT_STATE}'/>");
        }
        text += "</bind></authenticate>";
        text
    }

    /// A login was refused. A token ends only by time; the password is always right, and a disk in trouble
    /// may not be able to say so. The same stream takes another try.
    pub(super) fn refused(
        &mut self,
        failure: &Element,
        around: &mut Around<'_>,
    ) -> Result<(), String> {
        let condition = failure.elements().next().map_or("", |e| e.name.as_str());
        let had_token = self.expected.take().is_some();
        let is_fine = match condition {
            "credentials-expired" if had_token => self.token_age > TOKEN_LASTS,
            "temporary-auth-failure" => self.line.as_ref().is_some_and(|line| line.is_troubled),
            _ => false,
        };
        if !is_fine {
            let means = if had_token { "a token" } else { "the password" };
            return Err(format!("{} was refused {means}: {condition}", self.jid));
        }
        if condition == "credentials-expired" {
            self.token = None;
        }
        self.authenticate(around);
        Ok(())
    }

    /// `<resume/>`, where there is something to go on with.
    fn resumption(&self) -> Option<String> {
        let session = self.session.as_ref()?;
        let (id, h) = (session.id.as_ref()?, session.received);
        Some(format!(
            "<resume xmlns='{MANAGEMENT}' previd='{id}' h='{h}'/>"
        ))
    }

    fn enable(&self) -> String {
        match self.habit {
            Habit::Nothing => String::new(),
            Habit::Counts => format!("<enable xmlns='{MANAGEMENT}'/>"),
            Habit::Resumes => format!("<enable xmlns='{MANAGEMENT}' resume='true'/>"),
        }
    }

    pub(super) fn bind(&mut self, around: &mut Around<'_>) {
        self.forget_session(around.ledger);
        self.stage = Stage::Binding;
        let resource = self.jid.split_once('/').map_or("", |(_, last)| last);
        let bind = ns::BIND;
        let text = format!(
            "<iq type='set' id='bind'><bind xmlns='{bind}'><resource>{resource}</resource></bind></iq>"
        );
        self.write(&text);
    }

    pub(super) fn bound(
        &mut self,
        answer: &Element,
        around: &mut Around<'_>,
    ) -> Result<(), String> {
        if answer.attr("type") != Some("result") {
            return Err(format!("{} could not bind", self.jid));
        }
        let enable = self.enable();
        self.write(&enable);
        self.begin(around);
        if self.wants_copies {
            self.switch_copies(around.ledger);
        }
        if self.is_inactive {
            self.write(&format!("<inactive xmlns='{CLIENT_STATE}'/>"));
        }
        Ok(())
    }

    /// SASL2: logged in, and resumed or bound.
    pub(super) fn logged_in(
        &mut self,
        success: &Element,
        around: &mut Around<'_>,
    ) -> Result<(), String> {
        let proof = success.child(SASL2, "additional-data").map(Element::text);
        if self.expected.is_some() && self.expected != proof {
            return Err(format!("{} was let in by nobody", self.jid));
        }
        if self.expected.take().is_some() {
            around
                .log
                .push(format!("  {} is let in by its token", self.jid));
        }
        for inner in success.elements() {
            match (inner.ns.as_str(), inner.name.as_str()) {
                (SASL2, "authorization-identifier") => {
                    self.jid = inner.text();
                }
                (FAST, "token") => {
                    self.token = inner.attr("token").map(str::to_owned);
                    self.token_age = Duration::ZERO;
                }
                (MANAGEMENT, name) => self.management(name, inner, around)?,
                (BIND2, "bound") => {
                    self.forget_session(around.ledger);
                    self.begin(around);
                    if let Some(enabled) = inner.child(MANAGEMENT, "enabled") {
                        self.management("enabled", enabled, around)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A new session: perhaps looks at the contact list and the archive, is available, and what the earlier
    /// ones left is sent again.
    fn begin(&mut self, around: &mut Around<'_>) {
        *around.next_session += 1;
        let mut session = Session::new(*around.next_session);
        session.counts = self.habit != Habit::Nothing;
        let number = session.number;
        around
            .log
            .push(format!("  {} has session {number}", self.jid));
        self.session = Some(session);
        self.stage = Stage::Bound;
        if let Some(list) = &self.list {
            let (id, version) = (around.ledger.number(), &list.version);
            let xml =
                format!("<iq type='get' id='r{id}'><query xmlns='{ROSTER}' ver='{version}'/></iq>");
            self.send(Sent::of(xml), around.ledger);
        }
        if self.catches_up && around.chance.once_in(2) {
            let known = self.known.clone();
            self.ask_archive(known, around.ledger);
        }
        self.announce(around.ledger);
        for sent in std::mem::take(&mut self.to_send_again) {
            self.send(sent, around.ledger);
        }
    }
}

/// The header of a stream.
pub(super) fn header() -> String {
    format!(
        "<?xml version='1.0'?><stream:stream to='{HOME}' version='1.0' xmlns='{}' xmlns:stream='{}'>",
        ns::CLIENT,
        ns::STREAMS
    )
}
