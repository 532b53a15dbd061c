//! SASL (RFC 4422, RFC 6120 §6) as a state machine without input or output.
//!
//! One [`Exchange`] is one attempt. The caller moves the bytes (classic SASL or XEP-0388), looks up keys,
//! and counts failures; nothing here knows an account.

pub mod ht;
pub mod plain;
pub mod scram;
#[cfg(test)]
mod tests;

use std::{fmt, mem};

use crate::{Jid, SaslFailure};
pub use scram::{Hash, ITERATIONS, Keys, SALT_BYTES};

/// Bytes of one message of a client, after base64. An authorization identity of the longest bare JID, the
/// longest localpart and a nonce fit twice over; PLAIN must take 3 × 255 (RFC 4616 §2).
pub const MESSAGE_BYTES_MAX: usize = 8192;

/// A mechanism we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM (RFC 5802, RFC 7677) with its hash; with `true`, the -PLUS form that binds to the TLS channel.
    Scram(Hash, bool),
    /// PLAIN (RFC 4616), under TLS only.
    Plain,
    /// HT-SHA-256 (XEP-0484): a token, bound to this.
    Token(ht::Channel),
}

/// Channel-binding data of this connection (RFC 5056); `None` where the type is not available.
#[derive(Clone, Debug, Default)]
pub struct ChannelBindings {
    /// `tls-exporter` (RFC 9266): TLS 1.3 only.
    pub exporter: Option<Vec<u8>>,
    /// `tls-server-end-point` (RFC 5929 §4).
    pub end_point: Option<Vec<u8>>,
}

/// What was advertised on this stream; XEP-0474 lets the client check that nobody shortened it.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// Mechanism names in the order they were sent, of the one protocol that is spoken: classic SASL's or
    /// SASL2's.
    pub mechanisms: Vec<&'static str>,
    /// Channel-binding type names in the order they were sent (XEP-0440).
    pub bindings: Vec<&'static str>,
}

/// What the caller does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this and wait for the response.
    Challenge(Vec<u8>),
    /// Find the keys of this account for this hash and hand them to [`Exchange::keys`] (on a thread that may
    /// compute for some milliseconds). The name is prepared (SASLprep), not yet judged as a localpart.
    Lookup { username: String, hash: Hash },
    /// Find the tokens of this account and try them on the claim. It proves itself and is answered by
    /// itself, so the exchange is over; a claim that no token proves is `credentials-expired`.
    Claimed(ht::Claim),
    /// Authenticated as this name; the data goes along with the success (RFC 6120 §6.4.6). Where the client
    /// asked for an authorization identity, it succeeds only if [`may_act_as`] says so; else it is
    /// `invalid-authzid`.
    Success {
        username: String,
        authzid: Option<String>,
        data: Option<Vec<u8>>,
    },
}

/// One attempt at authenticating.
pub struct Exchange {
    state: State,
}

enum State {
    Scram(scram::Opened),
    ScramNamed(scram::Named),
    ScramChallenged(scram::Challenged),
    Plain,
    PlainClaimed(plain::Claim),
    /// With the data of the channel, if it has any of that kind.
    Token(ht::Channel, Option<Vec<u8>>),
    /// Succeeded, failed, or spoken to out of turn.
    Over,
}

impl Exchange {
    /// Begins an attempt. `nonce` is the server's share, fresh random bytes.
    pub fn new(
        mechanism: Mechanism,
        offer: &Offer,
        bindings: &ChannelBindings,
        nonce: [u8; 24],
    ) -> Exchange {
        let state = match mechanism {
            Mechanism::Scram(hash, plus) => {
                let bindings = plus.then(|| bindings.clone());
                State::Scram(scram::Opened::new(
                    hash,
                    bindings,
                    offer,
                    scram::base64(nonce),
                ))
            }
            Mechanism::Plain => State::Plain,
            Mechanism::Token(channel) => State::Token(channel, channel.data(bindings)),
        };
        Exchange { state }
    }

    /// Takes what the client sent: the initial response or a response. A client that began without an initial
    /// response is first asked for it by the caller, with an empty challenge (RFC 4422 §5).
    ///
    /// Any error ends the attempt.
    pub fn respond(&mut self, data: &[u8]) -> Result<Step, SaslFailure> {
        let state = mem::replace(&mut self.state, State::Over);
        if data.len() > MESSAGE_BYTES_MAX {
            return Err(SaslFailure::MALFORMED_REQUEST);
        }
        if let State::Token(channel, channel_data) = state {
            return ht::Claim::parse(data, channel, channel_data).map(Step::Claimed);
        }
        let message = str::from_utf8(data).map_err(|_| SaslFailure::MALFORMED_REQUEST)?;
        let (state, step) = match state {
            State::Scram(opened) => {
                let named = opened.client_first(message)?;
                let step = named.lookup();
                (State::ScramNamed(named), step)
            }
            State::ScramChallenged(challenged) => (State::Over, challenged.client_final(message)?),
            State::Plain => {
                let claim = plain::Claim::parse(message)?;
                let step = claim.lookup();
                (State::PlainClaimed(claim), step)
            }
            // It is not the client's turn.
            State::ScramNamed(_) | State::PlainClaimed(_) | State::Token(..) | State::Over => {
                return Err(SaslFailure::MALFORMED_REQUEST);
            }
        };
        self.state = state;
        Ok(step)
    }

    /// Takes the keys that [`Step::Lookup`] asked for. For an unknown account the caller passes stable fake
    /// keys and `known: false`: flow and time are the same, and the end is always `not-authorized`.
    ///
    /// Without such a step before it, the answer is `temporary-auth-failure`.
    pub fn keys(&mut self, keys: Keys, known: bool) -> Result<Step, SaslFailure> {
        match mem::replace(&mut self.state, State::Over) {
            State::ScramNamed(named) => {
                let (challenged, message) = named.challenge(keys, known);
                self.state = State::ScramChallenged(challenged);
                Ok(Step::Challenge(message.into_bytes()))
            }
            State::PlainClaimed(claim) => claim.verify(&keys, known),
            _ => Err(SaslFailure::TEMPORARY_AUTH_FAILURE),
        }
    }
}

/// Whether the user of `account`, a bare JID, may act as `authzid`: only as themselves (RFC 6120 §6.3.8),
/// written as the bare JID or, as some clients do, as the localpart.
pub fn may_act_as(account: &Jid, authzid: &str) -> bool {
    let named = [
        Jid::parse(authzid),
        Jid::from_parts(Some(authzid), account.domainpart(), None),
    ];
    named.into_iter().flatten().any(|jid| jid == *account)
}

impl Mechanism {
    /// Every mechanism for passwords, strongest first: the order in which they are advertised.
    pub const ALL: &'static [Mechanism] = &[
        Mechanism::Scram(Hash::Sha512, true),
        Mechanism::Scram(Hash::Sha256, true),
        Mechanism::Scram(Hash::Sha1, true),
        Mechanism::Scram(Hash::Sha512, false),
        Mechanism::Scram(Hash::Sha256, false),
        Mechanism::Scram(Hash::Sha1, false),
        Mechanism::Plain,
    ];

    /// Every mechanism for tokens, strongest first. They are advertised apart (XEP-0484 §3.1).
    pub const TOKENS: &'static [Mechanism] = &[
        Mechanism::Token(ht::Channel::Exporter),
        Mechanism::Token(ht::Channel::EndPoint),
        Mechanism::Token(ht::Channel::None),
    ];

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Scram(Hash::Sha1, false) => "SCRAM-SHA-1",
            Mechanism::Scram(Hash::Sha1, true) => "SCRAM-SHA-1-PLUS",
            Mechanism::Scram(Hash::Sha256, false) => "SCRAM-SHA-256",
            Mechanism::Scram(Hash::Sha256, true) => "SCRAM-SHA-256-PLUS",
            Mechanism::Scram(Hash::Sha512, false) => "SCRAM-SHA-512",
            Mechanism::Scram(Hash::Sha512, true) => "SCRAM-SHA-512-PLUS",
            Mechanism::Plain => "PLAIN",
            Mechanism::Token(ht::Channel::Exporter) => "HT-SHA-256-EXPR",
            Mechanism::Token(ht::Channel::EndPoint) => "HT-SHA-256-ENDP",
            Mechanism::Token(ht::Channel::None) => "HT-SHA-256-NONE",
        }
    }

    /// The mechanism of that name.
    pub fn parse(name: &str) -> Option<Mechanism> {
        let mut all = Mechanism::ALL.iter().chain(Mechanism::TOKENS).copied();
        all.find(|mechanism| mechanism.name() == name)
    }
}

impl ChannelBindings {
    /// The data of a type by its registered name.
    pub(crate) fn data(&self, name: &str) -> Option<&[u8]> {
        match name {
            "tls-exporter" => self.exporter.as_deref(),
            "tls-server-end-point" => self.end_point.as_deref(),
            _ => None,
        }
    }

    /// Whether a token may be bound in this way here.
    pub fn have(&self, channel: ht::Channel) -> bool {
        channel.data(self).is_some()
    }

    /// The names of the available types, stronger first: what XEP-0440 advertises.
    pub fn names(&self) -> Vec<&'static str> {
        ["tls-exporter", "tls-server-end-point"]
            .into_iter()
            .filter(|name| self.data(name).is_some())
            .collect()
    }
}

/// By hand: how far the attempt has come, and no key.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Scram(_) | State::Plain | State::Token(..) => "waits for the first message",
            State::ScramNamed(_) | State::PlainClaimed(_) => "waits for keys",
            State::ScramChallenged(_) => "waits for the proof",
            State::Over => "is over",
        };
        write!(f, "Exchange({state})")
    }
}
