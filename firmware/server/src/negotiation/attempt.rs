//! One attempt at authenticating, in either profile of SASL: classic (RFC 6120 §6) or SASL2 (XEP-0388).

use super::{classic, sasl2};
use crate::devices::{self, Seed, TokenKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use xmpp::{
    Element, Jid, SaslFailure, ns,
    sasl::{Exchange, Keys, Step},
};

/// How the messages of an exchange are wrapped.
pub(super) enum Profile {
    Classic,
    Sasl2(Box<sasl2::Wishes>),
}

/// What a client says in an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Begin,
    Respond,
    Abort,
}

/// An exchange with what is known about the account it is for.
pub(super) struct Attempt {
    pub(super) profile: Profile,
    exchange: Exchange,
    candidate: Option<Candidate>,
}

/// The account that a client names, as it was found when the keys were looked up.
pub(super) struct Candidate {
    /// The name as it is counted, whether anybody has it or not.
    pub(super) name: String,
    /// `None` for a name that nobody has.
    pub(super) account: Option<Jid>,
    pub(super) enabled: bool,
    /// Where the client told its installation (XEP-0386 §3.2.1).
    pub(super) device: Option<Device>,
}

/// The device that a client signs in from.
pub(super) struct Device {
    pub(super) id: devices::Id,
    /// What makes its tokens.
    pub(super) tokens: TokenKey,
    /// The one that the client has proved to have.
    pub(super) proved: Option<Seed>,
}

impl Said {
    /// Reads the name of an element; `None` where it belongs to neither profile.
    pub(super) fn of(element: &Element) -> Option<(Said, Profile)> {
        let said = match (element.ns.as_str(), element.name.as_str()) {
            (ns::SASL, "auth") | (sasl2::NS, "authenticate") => Said::Begin,
            (ns::SASL | sasl2::NS, "response") => Said::Respond,
            (ns::SASL | sasl2::NS, "abort") => Said::Abort,
            _ => return None,
        };
        let profile = match said {
            _ if element.ns == ns::SASL => Profile::Classic,
            Said::Begin => Profile::Sasl2(Box::new(sasl2::Wishes::of(element))),
            Said::Respond | Said::Abort => Profile::Sasl2(Box::default()),
        };
        Some((said, profile))
    }
}

impl Profile {
    pub(super) fn is_sasl2(&self) -> bool {
        matches!(self, Profile::Sasl2(_))
    }

    pub(super) fn is_same(&self, other: &Profile) -> bool {
        self.is_sasl2() == other.is_sasl2()
    }

    fn ns(&self) -> &'static str {
        if self.is_sasl2() { sasl2::NS } else { ns::SASL }
    }

    pub(super) fn challenge(&self, data: &[u8]) -> String {
        format!(
            "<challenge xmlns='{}'>{}</challenge>",
            self.ns(),
            STANDARD.encode(data)
        )
    }

    pub(super) fn failure(&self, failure: SaslFailure) -> String {
        format!(
            "<failure xmlns='{}'>{}</failure>",
            self.ns(),
            failure.to_xml()
        )
    }
}

impl Attempt {
    pub(super) fn new(profile: Profile, exchange: Exchange) -> Attempt {
        Attempt {
            profile,
            exchange,
            candidate: None,
        }
    }

    /// The element that begins the exchange, perhaps with an initial response.
    pub(super) fn begin(&mut self, element: &Element) -> Result<Step, SaslFailure> {
        let initial = match self.profile {
            Profile::Classic => classic::initial_response(element)?,
            Profile::Sasl2(_) => sasl2::initial_response(element)?,
        };
        match initial {
            Some(data) => self.exchange.respond(&data),
            // RFC 4422 §5: the client speaks first in all our mechanisms, so it is asked to.
            None => Ok(Step::Challenge(Vec::new())),
        }
    }

    /// `<response/>`.
    pub(super) fn respond(&mut self, element: &Element) -> Result<Step, SaslFailure> {
        self.exchange.respond(&decode(&element.text())?)
    }

    /// Goes on with what was found under the name.
    pub(super) fn found(&mut self, candidate: Candidate, keys: Keys) -> Result<Step, SaslFailure> {
        let known = candidate.account.is_some();
        self.candidate = Some(candidate);
        self.exchange.keys(keys, known)
    }

    /// Goes on with what was found under the name of a claim: the answer of the token that proves it, if one
    /// does. All others are refused alike (XEP-0484 §4.2), so that nobody learns which was close.
    pub(super) fn tried(
        &mut self,
        candidate: Candidate,
        answer: Option<Vec<u8>>,
    ) -> Result<Step, SaslFailure> {
        let username = candidate.name.clone();
        let known = candidate.account.is_some();
        self.candidate = Some(candidate);
        let answer = answer.filter(|_| known);
        Ok(Step::Success {
            username,
            authzid: None,
            data: Some(answer.ok_or(SaslFailure::CREDENTIALS_EXPIRED)?),
        })
    }

    /// The name that is tried, once it is known.
    pub(super) fn name(&self) -> Option<&str> {
        self.candidate
            .as_ref()
            .map(|candidate| candidate.name.as_str())
    }

    /// The bare JID of the account, if there is one.
    pub(super) fn account(&self) -> Option<&Jid> {
        self.candidate.as_ref()?.account.as_ref()
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.candidate
            .as_ref()
            .is_some_and(|candidate| candidate.enabled)
    }

    /// The installation that the client told.
    pub(super) fn agent(&self) -> Option<&sasl2::Agent> {
        match &self.profile {
            Profile::Sasl2(wishes) => wishes.agent.as_ref(),
            Profile::Classic => None,
        }
    }

    pub(super) fn device(&self) -> Option<&Device> {
        self.candidate.as_ref()?.device.as_ref()
    }
}

/// Base 64 as RFC 6120 §6.3.5 wants it: padded, with zero bits in the padding. White space around it is
/// forgiven.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, SaslFailure> {
    match text.trim_matches([' ', '\t', '\r', '\n']) {
        // §6.4.2: how an empty initial response is told from none.
        "=" => Ok(Vec::new()),
        text => STANDARD
            .decode(text)
            .map_err(|_| SaslFailure::INCORRECT_ENCODING),
    }
}
