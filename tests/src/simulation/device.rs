//! A device: it logs in, goes on with its session or begins a new one, sends again what nobody took, and
//! acknowledges what it reads.

use super::{
    chance::Chance,
    ledger::{Ledger, Message, Number},
    line::{Line, MANAGEMENT},
    session::{Sent, Session},
};
use crate::{addresses::HOME, client::PASSWORD, simulated::Simulated, wire::Item};
use base64::{Engine, prelude::BASE64_STANDARD};
use xmpp::{Element, ns};

const SASL2: &str = "urn:xmpp:sasl:2";
const BIND2: &str = "urn:xmpp:bind:0";

/// What a client does about stream management.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    Nothing,
    /// Acknowledges, and cannot resume.
    Counts,
    Resumes,
}

/// How far its login is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Waits for the features of a stream without a login.
    Stranger,
    /// Waits for the outcome of its login.
    LoggingIn,
    /// Waits for the features behind it.
    LoggedIn,
    Resuming,
    Binding,
    Bound,
}

#[derive(Debug)]
pub(super) struct Device {
    /// Number of the account.
    pub(super) account: usize,
    pub(super) jid: String,
    pub(super) habit: Habit,
    /// Logs in with SASL2 and Bind 2, which give it an address anew each time.
    pub(super) is_modern: bool,
    /// Nobody else is on the account, ever.
    pub(super) is_only_one: bool,
    pub(super) priority: i8,
    pub(super) line: Option<Line>,
    stage: Stage,
    session: Option<Session>,
    /// What sessions that are over left behind.
    to_send_again: Vec<Sent>,
    /// The line is not good for anything any more; why.
    ended: Option<String>,
}

/// What a device needs of the story around it.
pub(super) struct Around<'a> {
    pub(super) chance: &'a mut Chance,
    pub(super) ledger: &'a mut Ledger,
    pub(super) next_session: &'a mut Number,
    pub(super) log: &'a mut Vec<String>,
}

impl Device {
    pub(super) fn new(account: usize, resource: &str, habit: Habit) -> Device {
        Device {
            account,
            jid: format!("{}/{resource}", bare(account)),
            habit,
            is_modern: false,
            is_only_one: false,
            priority: 0,
            line: None,
            stage: Stage::Stranger,
            session: None,
            to_send_again: Vec::new(),
            ended: None,
        }
    }

    /// Whether it can send stanzas.
    pub(super) fn is_online(&self) -> bool {
        self.line.is_some() && self.stage == Stage::Bound
    }

    pub(super) fn session_mut(&mut self) -> Option<&mut Session> {
        self.session.as_mut()
    }

    /// Messages that are on their way or will be sent again.
    pub(super) fn unacknowledged(&self) -> impl Iterator<Item = Message> {
        let sessions = self.session.iter().flat_map(Session::unacknowledged);
        sessions
            .chain(&self.to_send_again)
            .filter_map(|sent| sent.message)
    }

    /// Takes a new line; gives the one it had.
    pub(super) fn connect(&mut self, line: Line) -> Option<Line> {
        let old = self.lose_line();
        self.line = Some(line);
        self.stage = Stage::Stranger;
        self.ended = None;
        self.write(&header());
        old
    }

    /// The line is no more.
    pub(super) fn lose_line(&mut self) -> Option<Line> {
        let line = self.line.take()?;
        if let (Stage::Bound, Some(session)) = (self.stage, &mut self.session) {
            session.loses(&line);
        }
        Some(line)
    }

    pub(super) fn write(&mut self, text: &str) {
        if let Some(line) = &mut self.line {
            line.write(text);
        }
    }

    /// Says goodbye: the session is over, whether the server hears it or not.
    pub(super) fn close(&mut self, ledger: &mut Ledger) {
        self.write("</stream:stream>");
        self.forget_session(ledger);
    }

    pub(super) fn send(&mut self, sent: Sent, ledger: &mut Ledger) {
        let (Some(line), Some(session)) = (&mut self.line, &mut self.session) else {
            return;
        };
        if let Some(message) = sent.message {
            ledger.sent(message, session.number);
        }
        session.send(line, sent);
    }

    pub(super) fn acknowledge(&mut self) {
        let Some(session) = self.counting() else {
            return;
        };
        let text = format!("<a xmlns='{MANAGEMENT}' h='{}'/>", session.received);
        self.write(&text);
    }

    pub(super) fn ask(&mut self) {
        if self.counting().is_some() {
            self.write(&format!("<r xmlns='{MANAGEMENT}'/>"));
        }
    }

    /// Its session, where the server counts what it sends and the line goes on with it.
    fn counting(&self) -> Option<&Session> {
        let session = self.session.as_ref()?;
        (session.is_counted && self.is_online()).then_some(session)
    }

    /// So many bytes reach it. Why its line has ended, where that is so.
    pub(super) fn read(
        &mut self,
        bytes: usize,
        world: &Simulated,
        around: &mut Around<'_>,
    ) -> Result<Option<String>, String> {
        let Some(line) = &mut self.line else {
            return Ok(None);
        };
        for item in line.carry_to_client(bytes)? {
            match item {
                Item::Element(element) => self.hear(&element, around)?,
                Item::Close => self.ended = self.ended.take().or(Some("closed".into())),
                Item::Open(_) | Item::Declaration => {}
            }
        }
        let line = self.line.as_ref();
        if line.is_some_and(|line| line.is_at_its_end(world)) {
            return Ok(Some(self.ended.take().unwrap_or_else(|| "cut".into())));
        }
        Ok(None)
    }

    fn hear(&mut self, element: &Element, around: &mut Around<'_>) -> Result<(), String> {
        match (element.ns.as_str(), element.name.as_str()) {
            (ns::STREAMS, "features") => self.features(around),
            (ns::STREAMS, "error") => {
                let conditions = element.elements().map(|e| e.name.clone());
                let conditions: Vec<String> = conditions.collect();
                self.ended = Some(conditions.join(" "));
            }
            (ns::SASL, "success") => {
                self.stage = Stage::LoggedIn;
                self.write(&header());
            }
            (SASL2, "success") => self.logged_in(element, around)?,
            (ns::CLIENT, "iq") if self.stage == Stage::Binding => self.bound(element, around)?,
            (ns::CLIENT, _) => self.stanza(element, around)?,
            (MANAGEMENT, name) => self.management(name, element, around)?,
            _ => return Err(format!("{} heard <{}/>", self.jid, element.name)),
        }
        Ok(())
    }

    fn features(&mut self, around: &mut Around<'_>) {
        match (self.stage, self.resumption()) {
            (Stage::Stranger, resume) => {
                self.stage = Stage::LoggingIn;
                let name = self.jid.split('@').next().unwrap_or_default();
                let plain = BASE64_STANDARD.encode(format!("\0{name}\0{PASSWORD}"));
                let text = if self.is_modern {
                    let enable = self.enable();
                    let resume = resume.unwrap_or_default();
                    format!(
                        "<authenticate xmlns='{SASL2}' mechanism='PLAIN'>\
                         <initial-response>{plain}</initial-response>{resume}\
                         <bind xmlns='{BIND2}'><tag>sim</tag>{enable}</bind></authenticate>"
                    )
                } else {
                    format!(
                        "<auth xmlns='{}' mechanism='PLAIN'>{plain}</auth>",
                        ns::SASL
                    )
                };
                self.write(&text);
            }
            (Stage::LoggedIn, Some(resume)) => {
                self.stage = Stage::Resuming;
                self.write(&resume);
            }
            (Stage::LoggedIn, None) => self.bind(around),
            _ => {}
        }
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

    fn bind(&mut self, around: &mut Around<'_>) {
        self.forget_session(around.ledger);
        self.stage = Stage::Binding;
        let resource = self.jid.split_once('/').map_or("", |(_, last)| last);
        let text = format!(
            "<iq type='set' id='bind'><bind xmlns='{}'><resource>{resource}</resource></bind></iq>",
            ns::BIND
        );
        self.write(&text);
    }

    fn bound(&mut self, answer: &Element, around: &mut Around<'_>) -> Result<(), String> {
        if answer.attr("type") != Some("result") {
            return Err(format!("{} could not bind", self.jid));
        }
        let enable = self.enable();
        self.write(&enable);
        self.begin(around);
        Ok(())
    }

    /// SASL2: logged in, and resumed or bound.
    fn logged_in(&mut self, success: &Element, around: &mut Around<'_>) -> Result<(), String> {
        for inner in success.elements() {
            match (inner.ns.as_str(), inner.name.as_str()) {
                (SASL2, "authorization-identifier") => {
                    self.jid = inner.text();
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

    /// A new session: available, and what the earlier ones left is sent again.
    fn begin(&mut self, around: &mut Around<'_>) {
        *around.next_session += 1;
        let mut session = Session::new(*around.next_session);
        session.counts = self.habit != Habit::Nothing;
        around
            .log
            .push(format!("  {} has session {}", self.jid, session.number));
        self.session = Some(session);
        self.stage = Stage::Bound;
        self.announce(around.ledger);
        for sent in std::mem::take(&mut self.to_send_again) {
            self.send(sent, around.ledger);
        }
    }

    pub(super) fn announce(&mut self, ledger: &mut Ledger) {
        let xml = format!(
            "<presence><priority>{}</priority></presence>",
            self.priority
        );
        self.send(Sent { xml, message: None }, ledger);
    }

    /// The session is over, and nobody will say what of it was handled.
    fn forget_session(&mut self, ledger: &mut Ledger) {
        if let Some(session) = self.session.take() {
            ledger.session_is_over(session.number);
            self.to_send_again.extend(session.unacknowledged().cloned());
        }
    }

    fn stanza(&mut self, element: &Element, around: &mut Around<'_>) -> Result<(), String> {
        let Some(session) = &mut self.session else {
            return Ok(()); // said goodbye
        };
        session.received += u32::from(session.is_counted);
        let (account, only) = (self.account, self.is_only_one);
        if element.name == "message" {
            around.log.push(format!(
                "  {} reads {}{}",
                self.jid,
                element.attr("id").unwrap_or_default(),
                element
                    .attr("type")
                    .filter(|t| *t == "error")
                    .map_or("", |_| " refused"),
            ));
            around
                .ledger
                .received(element, account, session.number, only)?;
        }
        Ok(())
    }

    fn management(
        &mut self,
        name: &str,
        element: &Element,
        around: &mut Around<'_>,
    ) -> Result<(), String> {
        let h = element.attr("h").and_then(|h| h.parse::<u32>().ok());
        let (Some(session), Some(line)) = (&mut self.session, &mut self.line) else {
            // Said goodbye, or had nothing to go on with.
            return Ok(());
        };
        match (name, h) {
            ("enabled", _) => {
                session.is_counted = true;
                session.id = element.attr("id").map(str::to_owned);
            }
            ("r", _) if !around.chance.once_in(5) => self.acknowledge(),
            ("r", _) => {}
            ("a", Some(h)) => session.is_told(h, line, around.ledger)?,
            ("resumed", Some(h)) => {
                session.is_resumed(h, line, around.ledger)?;
                around
                    .log
                    .push(format!("  {} goes on with h={h}", self.jid));
                self.stage = Stage::Bound;
            }
            ("failed", h) => self.failed(h, around)?,
            _ => return Err(format!("{} heard <{name}/> without a count", self.jid)),
        }
        Ok(())
    }

    fn failed(&mut self, h: Option<u32>, around: &mut Around<'_>) -> Result<(), String> {
        around
            .log
            .push(format!("  {} cannot go on, h={h:?}", self.jid));
        if let Some(mut session) = self.session.take() {
            self.to_send_again
                .extend(session.is_failed(h, around.ledger)?);
            around.ledger.session_is_over(session.number);
        }
        if !self.is_modern {
            self.bind(around);
        }
        Ok(())
    }
}

/// The address of an account.
pub(super) fn bare(account: usize) -> String {
    format!("{}@{HOME}", localpart(account))
}

pub(super) fn localpart(account: usize) -> String {
    format!("person{account}")
}

fn header() -> String {
    format!(
        "<?xml version='1.0'?><stream:stream to='{HOME}' version='1.0' xmlns='{}' xmlns:stream='{}'>",
        ns::CLIENT,
        ns::STREAMS
    )
}
