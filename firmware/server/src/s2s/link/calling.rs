//! A stream that we open (RFC 6120 §4.3, §5.4, §6.4; XEP-0178 §3; XEP-0220 §2.1): TLS, then who we are, by
//! certificate or dialback, and then what waits.

use super::{
    super::{
        dane::Published,
        dialback::{Said, Step, Word},
    },
    Link, Outcome, Reached, Side, Verified, managed,
};
use crate::connection::Todo;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::io;
use tokio::sync::oneshot;
use tracing::{debug, info};
use xmpp::{
    Element, StanzaError, StreamError, limits::UNAUTHENTICATED_BYTES_MAX, ns, stream::Header,
};

pub(super) const BIDI: &str = "urn:xmpp:bidi";
pub(super) const BIDI_FEATURE: &str = "urn:xmpp:features:bidi";
pub(super) const LIMITS: &str = "urn:xmpp:stream-limits:0";

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Their features are awaited.
    Features,
    /// `<proceed/>` is.
    Proceed,
    /// The outcome of SASL EXTERNAL is awaited.
    External,
    /// Their features are, after SASL.
    Authenticated,
    /// The outcome of dialback is.
    Dialback,
    /// Their word whether they count is.
    Enabling,
    /// Everything is said.
    Open,
}

pub(super) struct Calling {
    stage: Stage,
    pub(super) outcome: Outcome,
    pub(super) why: Option<Reached>,
    /// Who wants to know that it was.
    pub(super) tell: Option<oneshot::Sender<()>>,
    /// What the DNS proves about them.
    pub(super) published: Published,
    /// They count stanzas.
    counts: bool,
}

impl Calling {
    pub(super) fn new(why: Reached) -> Calling {
        Calling {
            stage: Stage::Features,
            outcome: Outcome::Open,
            why: Some(why),
            tell: None,
            published: Published::default(),
            counts: false,
        }
    }

    fn reached(&mut self) {
        self.outcome = Outcome::Reached;
        if let Some(tell) = self.tell.take() {
            let _ = tell.send(()); // whoever called may have given up
        }
    }
}

impl Link {
    fn call_mut(&mut self) -> Option<&mut Calling> {
        match &mut self.side {
            Side::Calling(calling) => Some(calling),
            Side::Called(_) => None,
        }
    }

    /// Everything is said, and both may send.
    pub(super) fn is_open_both_ways(&self) -> bool {
        self.bidi && self.stage() == Stage::Open
    }

    fn stage(&self) -> Stage {
        match &self.side {
            Side::Calling(calling) => calling.stage,
            Side::Called(_) => Stage::Open,
        }
    }

    fn enter(&mut self, stage: Stage) {
        if let Some(calling) = self.call_mut() {
            calling.stage = stage;
        }
    }

    /// A call that has not reached anything yet does not. The first reason stays.
    pub(super) fn fail(&mut self, error: StanzaError, why: String) {
        if let Some(calling) = self.call_mut()
            && calling.outcome == Outcome::Open
        {
            calling.outcome = Outcome::Failed(error, why);
        }
    }

    /// The line is gone: why the call has not reached anything.
    pub(crate) fn lost(&mut self, error: &io::Error) {
        if self.renews() {
            return;
        }
        let why = match (self.secured, fault_of_tls(error)) {
            (_, Some(why)) => format!("TLS failed: {why}"),
            (false, None) => format!("the connection broke before TLS was up: {}", error.kind()),
            (true, None) => format!("the connection broke: {}", error.kind()),
        };
        self.fail(StanzaError::REMOTE_SERVER_TIMEOUT, why);
    }

    /// All connections are to be made anew before this one has reached anything.
    pub(super) fn renews(&mut self) -> bool {
        let links = self.server.federation().links();
        let renews = links.get(&self.number).is_some_and(|known| known.renew);
        drop(links);
        if let Some(calling) = self.call_mut()
            && renews
            && calling.outcome == Outcome::Open
        {
            calling.outcome = Outcome::Again;
        }
        renews
    }

    fn give_up(&mut self, error: StanzaError, why: String) {
        self.fail(error, why);
        self.close();
    }

    /// The answer to our header.
    pub(super) fn opened_by_called(&mut self, header: &Header) -> Result<(), StreamError> {
        self.stream_id = header.id.clone().unwrap_or_default();
        // §4.7.5: without a version there are no features, and so there is no TLS.
        if header.version.is_none_or(|version| version < (1, 0)) {
            self.give_up(
                StanzaError::REMOTE_SERVER_TIMEOUT,
                "it speaks a version of XMPP that has no TLS".to_owned(),
            );
        } else if self.stream_id.is_empty() {
            return Err(StreamError::BAD_FORMAT);
        }
        Ok(())
    }

    /// An element beside the stanzas.
    pub(super) fn said_by_called(
        &mut self,
        element: &Element,
    ) -> Result<Option<Todo>, StreamError> {
        match (self.stage(), element.ns.as_str(), element.name.as_str()) {
            (Stage::Features, ns::STREAMS, "features") if self.secured => self.identify(element),
            (Stage::Features, ns::STREAMS, "features") => self.ask_for_tls(element),
            (Stage::Proceed, ns::TLS, "proceed") => {
                self.enter(Stage::Features);
                self.reader.clear();
                return Ok(Some(Todo::StartTls));
            }
            (Stage::Proceed, ns::TLS, "failure") => self.give_up(
                StanzaError::REMOTE_SERVER_TIMEOUT,
                "it refuses TLS".to_owned(),
            ),
            (Stage::External, ns::SASL, "success") => {
                self.proven_by = "certificate";
                self.restart();
                self.open();
                self.enter(Stage::Authenticated);
                self.let_them_answer();
            }
            (Stage::External, ns::SASL, "failure") => {
                debug!(peer = ?self.theirs, "our certificate was refused; trying dialback");
                self.send_key();
            }
            (Stage::Authenticated, ns::STREAMS, "features") => {
                self.note_features(element);
                self.reached();
            }
            // Some send their features anew.
            (_, ns::STREAMS, "features") => self.note_features(element),
            _ => return Err(StreamError::UNSUPPORTED_STANZA_TYPE),
        }
        Ok(None)
    }

    /// §5.3.1: nothing goes over a line that anybody can read.
    fn ask_for_tls(&mut self, features: &Element) {
        if features.child(ns::TLS, "starttls").is_some() {
            self.output
                .extend(format!("<starttls xmlns='{}'/>", ns::TLS).as_bytes());
            self.enter(Stage::Proceed);
        } else {
            self.give_up(
                StanzaError::REMOTE_SERVER_TIMEOUT,
                "it offers no TLS".to_owned(),
            );
        }
    }

    /// Over TLS: are they who we meant to call, and who are we?
    fn identify(&mut self, features: &Element) {
        self.note_features(features);
        let theirs = self.theirs.clone().unwrap_or_else(|| self.ours.clone());
        if let Err(why) = self.is_trusted(&theirs) {
            info!(peer = %theirs, address = %self.address, "not trusted: {why}");
            return self.give_up(UNTRUSTED, format!("its certificate is not valid: {why}"));
        }
        if let Side::Calling(calling) = &self.side
            && let Some(Reached::Verify(verification)) = &calling.why
        {
            let word = Word {
                step: Step::Verify,
                from: verification.ours.clone(),
                to: verification.theirs.clone(),
                id: verification.id.clone(),
                said: Said::Key(verification.key.clone()),
            };
            self.output.extend(word.to_xml().as_bytes());
            return self.enter(Stage::Dialback);
        }
        // XEP-0288 §2.2: before it is said who we are. Only who proved to be there may answer over it.
        if features.child(BIDI_FEATURE, "bidi").is_some()
            && self.has_certificate_for(&theirs).is_ok()
        {
            self.bidi = true;
            self.output
                .extend(format!("<bidi xmlns='{BIDI}'/>").as_bytes());
        }
        let mechanisms = features.child(ns::SASL, "mechanisms");
        let mut offered = mechanisms.into_iter().flat_map(Element::elements);
        if offered.any(|mechanism| mechanism.text().trim() == "EXTERNAL") {
            // XEP-0178 §3, item 9: with the identity, for older servers want it.
            let identity = STANDARD.encode(self.ours.as_str());
            let auth = format!(
                "<auth xmlns='{}' mechanism='EXTERNAL'>{identity}</auth>",
                ns::SASL
            );
            self.output.extend(auth.as_bytes());
            self.enter(Stage::External);
        } else {
            self.send_key();
        }
    }

    /// XEP-0220 §2.1.1: asks to be believed.
    fn send_key(&mut self) {
        let Some(theirs) = self.theirs.clone() else {
            return;
        };
        let secret = &self.server.federation().secret;
        let key = secret.key(theirs.as_str(), self.ours.as_str(), &self.stream_id);
        let word = Word {
            step: Step::Result,
            from: self.ours.clone(),
            to: theirs,
            id: String::new(),
            said: Said::Key(key),
        };
        self.output.extend(word.to_xml().as_bytes());
        self.enter(Stage::Dialback);
    }

    fn note_features(&mut self, features: &Element) {
        let counts = features.child(managed::NS, "sm").is_some();
        if let Some(calling) = self.call_mut() {
            calling.counts |= counts;
        }
        let limits = features.child(LIMITS, "limits");
        let bytes = limits.and_then(|limits| limits.child(LIMITS, "max-bytes"));
        if let Some(bytes) = bytes.and_then(|bytes| bytes.text().trim().parse().ok()) {
            self.takes = Some(bytes);
        }
    }

    /// XEP-0288 §2.2: from here on they may send, too.
    fn let_them_answer(&mut self) {
        if let (true, Some(theirs)) = (self.bidi, self.theirs.clone()) {
            self.may_speak(theirs);
        }
    }

    /// They know who we are.
    fn reached(&mut self) {
        let counts = self.call_mut().is_some_and(|calling| calling.counts);
        if counts {
            self.output
                .extend(format!("<enable xmlns='{}'/>", managed::NS).as_bytes());
            self.managed.enabling = true;
            self.enter(Stage::Enabling);
        } else {
            self.opened_for_good();
        }
    }

    /// What waits may go.
    pub(super) fn opened_for_good(&mut self) {
        self.enter(Stage::Open);
        let Some(calling) = self.call_mut() else {
            return;
        };
        calling.reached();
        let why = calling.why.take();
        if let Some(Reached::Deliver(remote)) = why {
            info!(
                remote = %remote.theirs,
                ours = %remote.ours,
                proven_by = self.proven_by,
                both_ways = self.bidi,
                "connected to another server"
            );
            self.patience = None;
            self.carry(remote);
        }
    }

    /// Their answer to a key of ours, or to a question about one of theirs.
    pub(super) fn dialback_answered(&mut self, word: &Word) -> Result<(), StreamError> {
        let is_ours = word.to == self.ours && Some(&word.from) == self.theirs.as_ref();
        if self.stage() != Stage::Dialback || !is_ours {
            return Err(StreamError::INVALID_FROM); // XEP-0220 §3.1: nobody asked
        }
        match (word.step, &word.said) {
            (Step::Verify, said) => self.verified(&word.id, said),
            (Step::Result, Said::Valid) => {
                self.proven_by = "dialback";
                // What they take from strangers they said before they knew us.
                self.takes = self.takes.filter(|max| *max > UNAUTHENTICATED_BYTES_MAX);
                self.let_them_answer();
                self.reached();
            }
            (Step::Result, Said::Error(error)) => self.give_up(
                StanzaError::REMOTE_SERVER_TIMEOUT,
                format!("it could not find out who we are: {}", error.condition),
            ),
            (Step::Result, _) => self.give_up(
                StanzaError::INTERNAL,
                "it does not believe that we are who we say".to_owned(),
            ),
        }
        Ok(())
    }

    fn verified(&mut self, id: &str, said: &Said) {
        let Some(calling) = self.call_mut() else {
            return;
        };
        let Some(Reached::Verify(verification)) = &calling.why else {
            return;
        };
        if verification.id != id {
            return;
        }
        let verified = match said {
            Said::Valid => Verified::Valid,
            Said::Error(_) => Verified::Failed(StanzaError::REMOTE_SERVER_NOT_FOUND),
            Said::Invalid | Said::Key(_) => Verified::Invalid,
        };
        calling.reached();
        if let Some(Reached::Verify(verification)) = calling.why.take() {
            verification.answered(verified);
        }
        self.close();
    }
}

/// What went wrong in TLS, in plain words; nothing where something else did.
fn fault_of_tls(error: &io::Error) -> Option<String> {
    if error.kind() == io::ErrorKind::TimedOut {
        return Some("it took too long".to_owned());
    }
    let fault = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match fault {
        rustls::Error::AlertReceived(alert) => format!("it refused us ({alert:?})"),
        rustls::Error::PeerIncompatible(_) => {
            "it has no version of TLS or cipher in common with us".to_owned()
        }
        rustls::Error::InvalidMessage(_) => "what it says is not TLS".to_owned(),
        rustls::Error::InvalidCertificate(_) => "its certificate cannot be read".to_owned(),
        _ => "it broke the rules of TLS".to_owned(),
    })
}

const UNTRUSTED: StanzaError = StanzaError::REMOTE_SERVER_TIMEOUT
    .with_text("that server could not show that it is who it says");

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{AlertDescription, Error, PeerIncompatible};

    #[test]
    fn what_went_wrong_in_tls_is_said() {
        let inside = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        for (error, expected) in [
            (
                inside(Error::AlertReceived(AlertDescription::HandshakeFailure)),
                Some("it refused us (HandshakeFailure)"),
            ),
            (
                inside(PeerIncompatible::ServerDoesNotSupportTls12Or13.into()),
                Some("it has no version of TLS or cipher in common with us"),
            ),
            (io::ErrorKind::TimedOut.into(), Some("it took too long")),
            (io::ErrorKind::ConnectionReset.into(), None),
        ] {
            assert_eq!(fault_of_tls(&error).as_deref(), expected, "{error}");
        }
    }
}
