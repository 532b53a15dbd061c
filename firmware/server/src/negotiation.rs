//! Negotiating a client's stream (RFC 6120 §4.3): STARTTLS → SASL, classic or SASL2 → a bound resource.
//!
//! State: lives from accepting the connection to the bound resource, then it is dropped. Looking up keys may
//! block and compute, so it is handed out as [`Work`] and comes back as [`Done`]; the answer to a failure may
//! have to wait (`throttle.rs`), which is a time in here and no sleeping task.

mod attempt;
mod bind;
mod bind2;
mod classic;
mod features;
mod login;
mod logins;
mod registration;
mod resume;
mod sasl2;
mod work;

pub(crate) use logins::Logins;
pub use work::{Done, Work};

use crate::{
    devices,
    features::management,
    limits::{BINDS_MAX, NEGOTIATION_MS_MAX},
    server::Server,
    session::Session,
};
use attempt::{Attempt, Said};
use std::{net::IpAddr, sync::Arc};
use xmpp::{
    Element, Jid, SaslFailure, Stanza, StanzaError, StreamError, ns, sasl::ChannelBindings,
    stream::Header,
};

/// How far a stream has come, and what is kept until it has come all the way.
pub(crate) struct Negotiation {
    address: IpAddr,
    stage: Stage,
    /// It began in the clear.
    by_starttls: bool,
    /// What the TLS connection can be bound to; empty before TLS.
    bindings: ChannelBindings,
    /// Where an authenticated client said to be.
    device: Option<devices::Id>,
    /// `from` of the stream's header (RFC 6120 §4.7.1): who the client says it will be.
    from: Option<Jid>,
    attempts: u32,
    binds: u32,
    /// Requests about registration, and whether one of them made an account.
    registrations: u32,
    has_registered: bool,
    /// When patience ends, in elapsed milliseconds.
    until: u64,
    delayed: Option<Delayed>,
}

enum Stage {
    /// On the wire in the clear: nothing but STARTTLS.
    Clear,
    /// `<proceed/>` was sent; the next bytes are TLS.
    Handshake,
    /// Under TLS: may authenticate, and perhaps is about to.
    Secured(Option<Box<Attempt>>),
    /// Keys are being looked up.
    LookingUp,
    /// Authenticated as this bare JID, without a resource.
    Authenticated(Jid),
    /// All of it is done.
    Bound,
}

/// A failure whose answer waits.
struct Delayed {
    until: u64,
    answer: String,
}

/// What follows from an element of the negotiation.
pub(crate) enum Next {
    /// The client speaks next.
    Stay,
    /// TLS is negotiated, then the client sends a new header.
    StartTls,
    /// Keys have to be looked up.
    Work(Work),
    /// The client sends a new header (RFC 6120 §6.4.6).
    Restart,
    /// Authenticated, and the stream goes on as it is (XEP-0388 §2.6.1).
    Authenticated,
    /// The stream closes without an error.
    Close,
    /// A session, and which of its connections this one is.
    Bound(Arc<Session>, u32),
}

/// `Err` ends the stream.
type Followed = Result<Next, StreamError>;

/// RFC 6120 §7.7.3: at least five and no more than ten retries.
const TOO_MANY_BINDS: StreamError =
    StreamError::POLICY_VIOLATION.with_text("too many requests for a resource or a session");

impl Negotiation {
    /// Counts a request for a session.
    fn may_ask_again(&mut self) -> Result<(), StreamError> {
        self.binds += 1;
        if self.binds > BINDS_MAX {
            return Err(TOO_MANY_BINDS);
        }
        Ok(())
    }

    /// A connection that is not under TLS yet.
    pub(crate) fn clear(address: IpAddr, now: u64) -> Negotiation {
        Negotiation {
            by_starttls: true,
            ..Negotiation::new(address, Stage::Clear, now)
        }
    }

    /// A connection that begins with TLS.
    pub(crate) fn handshake(address: IpAddr, now: u64) -> Negotiation {
        Negotiation::new(address, Stage::Handshake, now)
    }

    fn new(address: IpAddr, stage: Stage, now: u64) -> Negotiation {
        Negotiation {
            address,
            stage,
            by_starttls: false,
            bindings: ChannelBindings::default(),
            device: None,
            from: None,
            attempts: 0,
            binds: 0,
            registrations: 0,
            has_registered: false,
            until: now + NEGOTIATION_MS_MAX,
            delayed: None,
        }
    }

    /// TLS is up: everything heard before is forgotten (RFC 6120 §5.4.3.3).
    pub(crate) fn secured(&mut self, bindings: ChannelBindings) {
        self.bindings = bindings;
        self.from = None;
        self.stage = Stage::Secured(None);
    }

    /// When [`Negotiation::tick`] has something to do.
    pub(crate) fn deadline(&self) -> u64 {
        self.delayed
            .as_ref()
            .map_or(self.until, |delayed| delayed.until)
    }

    /// Whether the client has to wait for an answer before anything else of it is read.
    pub(crate) fn is_waiting(&self) -> bool {
        self.delayed.is_some() || matches!(self.stage, Stage::LookingUp | Stage::Handshake)
    }

    /// Whether TLS is being negotiated right now.
    pub(crate) fn is_handshake(&self) -> bool {
        matches!(self.stage, Stage::Handshake)
    }

    /// Time passes: a slowed-down answer is due, or patience ends.
    pub(crate) fn tick(&mut self, now: u64, out: &mut Vec<u8>) -> Result<(), StreamError> {
        if let Some(delayed) = self.delayed.take_if(|delayed| delayed.until <= now) {
            out.extend(delayed.answer.as_bytes());
            return self.may_retry();
        }
        if self.delayed.is_none() && self.until <= now {
            return Err(StreamError::CONNECTION_TIMEOUT);
        }
        Ok(())
    }

    /// Judges a stream header, after ours was sent, and answers with the features that can be negotiated now.
    pub(crate) fn opened(
        &mut self,
        server: &Server,
        header: &Header,
        out: &mut Vec<u8>,
    ) -> Result<(), StreamError> {
        // §4.7.2: it must say whom it is for; §4.9.1.3: no host and an unknown host are one case.
        let is_ours = |to: &String| Jid::parse(to).is_ok_and(|to| to == *server.domain());
        if !header.to.as_ref().is_some_and(is_ours) {
            return Err(StreamError::HOST_UNKNOWN);
        }
        // §4.7.5: without a version it is "0.9", which had neither features nor SASL; §4.9.3.25: "11.0" is
        // refused.
        if header.version.is_none_or(|(major, _)| major != 1) {
            return Err(StreamError::UNSUPPORTED_VERSION);
        }
        self.from = self.check_from(server, header)?;
        let features = match &self.stage {
            Stage::Secured(_) => features::before_login(server, &self.bindings),
            Stage::Authenticated(_) => features::before_bind(server),
            Stage::Clear | Stage::Handshake | Stage::LookingUp | Stage::Bound => {
                features::before_tls()
            }
        };
        out.extend(features.as_bytes());
        Ok(())
    }

    /// `from` is a promise (§4.7.1): it must be of our domain (XEP-0388 §2.1), and is held against the login
    /// (§6.4.6).
    fn check_from(&self, server: &Server, header: &Header) -> Result<Option<Jid>, StreamError> {
        let Some(from) = header.from.as_deref().filter(|from| !from.is_empty()) else {
            return Ok(None);
        };
        let from = Jid::parse(from)
            .map_err(|_| StreamError::INVALID_FROM)?
            .bare();
        let fits = match &self.stage {
            Stage::Authenticated(jid) => from == *jid || from == *server.domain(),
            _ => from.domain() == *server.domain(),
        };
        if fits {
            Ok(Some(from))
        } else {
            Err(StreamError::INVALID_FROM)
        }
    }

    /// Takes an element that is no stanza.
    pub(crate) async fn nonza(
        &mut self,
        server: &Arc<Server>,
        element: &Element,
        out: &mut Vec<u8>,
    ) -> Followed {
        if element.is(ns::TLS, "starttls") {
            return Ok(self.starttls(out));
        }
        if element.ns == management::NS {
            return self.manage(server, element, out).await;
        }
        let Some((said, profile)) = Said::of(element) else {
            return Err(StreamError::UNSUPPORTED_STANZA_TYPE);
        };
        match &mut self.stage {
            Stage::Secured(attempt) => {
                let attempt = attempt.take();
                self.authenticate(server, attempt, said, profile, element, out)
                    .await
            }
            Stage::Authenticated(_) => {
                Err(StreamError::NOT_AUTHORIZED.with_text("already authenticated"))
            }
            Stage::Clear | Stage::Handshake | Stage::LookingUp | Stage::Bound => {
                self.attempts += 1;
                self.refuse(&profile, SaslFailure::ENCRYPTION_REQUIRED, out)
            }
        }
    }

    fn starttls(&mut self, out: &mut Vec<u8>) -> Next {
        if let Stage::Clear = self.stage {
            self.stage = Stage::Handshake;
            out.extend(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
            return Next::StartTls;
        }
        // §5.4.2.2: it was not offered, so this is the failure case, and the stream closes.
        out.extend(b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        Next::Close
    }

    /// Takes a stanza. Before a resource is bound, the request to bind one is the only one that may come
    /// (§7.1); before a login, one about registration.
    pub(crate) async fn stanza(
        &mut self,
        server: &Arc<Server>,
        stanza: &Stanza,
        out: &mut Vec<u8>,
    ) -> Followed {
        let Stage::Authenticated(jid) = &self.stage else {
            return self.register(server, stanza, out);
        };
        let Some(request) = bind::Request::of(stanza, jid) else {
            return Err(StreamError::NOT_AUTHORIZED);
        };
        let jid = jid.clone();
        self.may_ask_again()?;
        let local = jid
            .localpart()
            .expect("an account has a localpart, and this one is authenticated");
        match request.perform(server, local).await {
            Ok(session) => {
                session.note_door(self.by_starttls);
                if let Some(device) = self.device {
                    server.note_device(&session, device);
                }
                out.extend(request.result(&session.jid).as_bytes());
                self.stage = Stage::Bound;
                let epoch = session.outbox.epoch();
                Ok(Next::Bound(session, epoch))
            }
            // The account was removed or its password changed meanwhile.
            Err(StanzaError::NOT_AUTHORIZED) => Err(StreamError::NOT_AUTHORIZED),
            Err(error) => {
                out.extend(request.refused(error).as_bytes());
                Ok(Next::Stay)
            }
        }
    }
}

#[cfg(test)]
mod tests;
