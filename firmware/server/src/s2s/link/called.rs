//! A stream that another server opens (RFC 6120 §4.3, §5.4, §6.4; XEP-0178 §3; XEP-0220 §2.2). TLS is
//! required; then they show who they are, by certificate or dialback, for as many domains as they like.

use super::{
    super::{Remote, policy},
    Link, Side,
    calling::{BIDI, BIDI_FEATURE, LIMITS},
    managed,
};
use crate::{
    connection::Todo,
    s2s::limits::{REMOTE_ATTEMPTS_MAX, REMOTES_ASKED_MAX},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tracing::{debug, info};
use xmpp::{Element, Jid, SaslFailure, StreamError, limits::STANZA_BYTES_MAX, ns, stream::Header};

#[derive(Default)]
pub(super) struct Called {
    /// SASL is over.
    is_authenticated: bool,
    /// Who they are, from there until the stream has begun anew.
    proven: Option<Jid>,
    attempts: u8,
}

impl Link {
    fn side_called(&mut self) -> Option<&mut Called> {
        match &mut self.side {
            Side::Called(called) => Some(called),
            Side::Calling(_) => None,
        }
    }

    /// Their header (§4.7).
    pub(super) fn opened_by_caller(&mut self, header: &Header) -> Result<(), StreamError> {
        let is_authenticated = self.side_called().is_some_and(|it| it.is_authenticated);
        let domain = |name: &Option<String>| match name.as_deref().map(Jid::parse) {
            None => Ok(None),
            Some(Ok(jid)) if jid.as_str() == jid.domainpart() => Ok(Some(jid)),
            Some(_) => Err(StreamError::IMPROPER_ADDRESSING),
        };
        let (to, from) = (domain(&header.to), domain(&header.from));
        let is_ours = |to: &Jid| self.server.speaks_for(to.as_str());
        let known = to.as_ref().ok().and_then(Clone::clone).filter(is_ours);
        if let Some(to) = &known {
            self.ours = to.clone();
        }
        let theirs = from?;
        if is_authenticated && theirs.is_some() && theirs != self.theirs {
            self.open();
            return Err(StreamError::INVALID_FROM);
        }
        self.theirs = theirs.or(self.theirs.take());
        self.open();
        if self
            .theirs
            .as_ref()
            .is_some_and(|it| self.server.speaks_for(it.as_str()))
        {
            return Err(StreamError::INVALID_FROM); // nobody else is us
        }
        if known.is_none() {
            // §4.7.2; a name that is none is nobody's.
            return Err(match to? {
                Some(_) => StreamError::HOST_UNKNOWN,
                None => StreamError::IMPROPER_ADDRESSING,
            });
        }
        if header.version.is_none_or(|version| version < (1, 0)) {
            return Err(StreamError::UNSUPPORTED_VERSION);
        }
        if let Some(theirs) = &self.theirs
            && policy::may_talk(&self.server.config(), theirs.as_str()).is_err()
        {
            return Err(
                StreamError::POLICY_VIOLATION.with_text("this server does not talk to that server")
            );
        }
        let features = self.features(is_authenticated);
        self.output.extend(features.as_bytes());
        if let Some(theirs) = self.side_called().and_then(|called| called.proven.take()) {
            self.believe(self.ours.clone(), theirs, "certificate");
        }
        Ok(())
    }

    /// §4.3.2: what they may or must do next.
    fn features(&self, is_authenticated: bool) -> String {
        let mut out = String::from("<stream:features>");
        if !self.secured {
            out.push_str(&format!(
                "<starttls xmlns='{}'><required/></starttls>",
                ns::TLS
            ));
        } else if !is_authenticated {
            let theirs = self.theirs.as_ref();
            // XEP-0178 §3, item 7.
            if theirs.is_some_and(|theirs| self.has_certificate_for(theirs).is_ok()) {
                out.push_str(&format!(
                    "<mechanisms xmlns='{}'><mechanism>EXTERNAL</mechanism></mechanisms>",
                    ns::SASL
                ));
            }
        }
        if !self.bidi && !is_authenticated {
            out.push_str(&format!("<bidi xmlns='{BIDI_FEATURE}'/>"));
        }
        if self.secured {
            out.push_str("<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>");
            out.push_str(&format!("<sm xmlns='{}'/>", managed::NS));
        }
        // For what may be sent once it is known who sends: dialback brings no further features (XEP-0478 §4).
        out.push_str(&format!(
            "<limits xmlns='{LIMITS}'><max-bytes>{STANZA_BYTES_MAX}</max-bytes></limits>"
        ));
        out.push_str("</stream:features>");
        out
    }

    /// An element beside the stanzas.
    pub(super) fn said_by_caller(
        &mut self,
        element: &Element,
    ) -> Result<Option<Todo>, StreamError> {
        match (element.ns.as_str(), element.name.as_str()) {
            (ns::TLS, "starttls") if !self.secured => {
                self.output
                    .extend(format!("<proceed xmlns='{}'/>", ns::TLS).as_bytes());
                self.reader.clear();
                return Ok(Some(Todo::StartTls));
            }
            _ if !self.secured => {
                return Err(StreamError::POLICY_VIOLATION.with_text("use TLS first"));
            }
            (ns::SASL, "auth") => self.external(element)?,
            (BIDI, "bidi") if !self.is_authenticated() => self.bidi = true,
            _ if !self.is_authenticated() => return Err(StreamError::NOT_AUTHORIZED),
            _ => return Err(StreamError::UNSUPPORTED_STANZA_TYPE),
        }
        Ok(None)
    }

    /// SASL EXTERNAL (§6.4, XEP-0178 §3, items 9-11).
    fn external(&mut self, auth: &Element) -> Result<(), StreamError> {
        let Some(called) = self.side_called() else {
            return Err(StreamError::UNSUPPORTED_STANZA_TYPE);
        };
        if called.is_authenticated {
            return Err(StreamError::UNSUPPORTED_STANZA_TYPE);
        }
        called.attempts += 1;
        let is_last = called.attempts >= REMOTE_ATTEMPTS_MAX;
        match self.who_by_certificate(auth) {
            Ok(theirs) => {
                self.output
                    .extend(format!("<success xmlns='{}'/>", ns::SASL).as_bytes());
                if let Some(called) = self.side_called() {
                    called.is_authenticated = true;
                    called.proven = Some(theirs.clone());
                }
                self.theirs = Some(theirs);
                self.restart();
                Ok(())
            }
            Err(failure) => {
                debug!(address = %self.address, condition = failure.condition, "EXTERNAL refused");
                let failure = format!(
                    "<failure xmlns='{}'>{}</failure>",
                    ns::SASL,
                    failure.to_xml()
                );
                self.output.extend(failure.as_bytes());
                if is_last {
                    return Err(StreamError::POLICY_VIOLATION.with_text("too many attempts"));
                }
                Ok(())
            }
        }
    }

    fn who_by_certificate(&self, auth: &Element) -> Result<Jid, SaslFailure> {
        if auth.attr("mechanism") != Some("EXTERNAL") {
            return Err(SaslFailure::INVALID_MECHANISM);
        }
        let theirs = self.theirs.clone();
        let text = auth.text();
        let wanted = match text.trim() {
            "" | "=" => theirs.clone().ok_or(SaslFailure::INVALID_AUTHZID)?,
            text => {
                let name = STANDARD
                    .decode(text)
                    .map_err(|_| SaslFailure::INCORRECT_ENCODING)?;
                let name = String::from_utf8(name).map_err(|_| SaslFailure::INVALID_AUTHZID)?;
                let jid = Jid::parse(&name).map_err(|_| SaslFailure::INVALID_AUTHZID)?;
                let is_domain = jid.as_str() == jid.domainpart();
                (is_domain.then_some(jid)).ok_or(SaslFailure::INVALID_AUTHZID)?
            }
        };
        if theirs.is_some_and(|theirs| theirs != wanted) {
            return Err(SaslFailure::INVALID_AUTHZID);
        }
        // A certificate for this house may be on many machines; nobody else is us.
        if self.server.speaks_for(wanted.as_str())
            || policy::may_talk(&self.server.config(), wanted.as_str()).is_err()
        {
            return Err(SaslFailure::NOT_AUTHORIZED);
        }
        self.has_certificate_for(&wanted).map_err(|why| {
            info!(peer = %wanted, address = %self.address, "not trusted: {why}");
            SaslFailure::NOT_AUTHORIZED
        })?;
        Ok(wanted)
    }

    /// They are this domain: they may speak for it, and where both directions are used, hear us.
    pub(super) fn believe(&mut self, ours: Jid, theirs: Jid, proven_by: &'static str) {
        info!(
            peer = %theirs,
            address = %self.address,
            proven_by,
            both_ways = self.bidi,
            "another server connected"
        );
        if self.proven_by.is_empty() {
            self.proven_by = proven_by;
        }
        let now = self.now();
        let server = self.server.clone();
        let federation = server.federation();
        if self.speakers.is_empty() && !federation.makes_room(self.number, &theirs, now) {
            return self.end(StreamError::RESOURCE_CONSTRAINT);
        }
        self.may_speak(theirs.clone());
        self.patience = None;
        let Some(remote) = federation.remote(ours, theirs, REMOTES_ASKED_MAX, now) else {
            return;
        };
        let outside = federation.outside.get().filter(|_| self.bidi);
        match outside.and_then(|it| it.publishes(remote.theirs.as_str())) {
            Some(answer) => self.surveys.push((remote, answer)),
            None => self.is_there(remote, self.bidi),
        }
    }

    /// Somebody is that domain: what waits for it goes over this stream, if it may, or it is called now.
    fn is_there(&mut self, remote: Arc<Remote>, carries: bool) {
        if carries {
            self.carry(remote.clone());
        }
        if remote.is_alive() {
            self.server.call_again(remote);
        }
    }

    /// It is known of some whether they publish which certificates are theirs (RFC 7673): to those nothing is
    /// sent over a stream for which nobody looked at that. Nor where nobody knows.
    pub(super) fn poll_surveys(&mut self, cx: &mut Context<'_>) {
        let mut at = 0;
        while let Some((_, answer)) = self.surveys.get_mut(at) {
            let Poll::Ready(publishes) = Pin::new(answer).poll(cx) else {
                at += 1;
                continue;
            };
            let (remote, _) = self.surveys.remove(at);
            let is_leaving = self.closed || self.goodbye.is_some();
            self.is_there(remote, publishes == Ok(false) && !is_leaving);
        }
    }
}
