//! HT-SHA-256-* (draft-schmaus-kitten-sasl-ht-09): a token proved by its hash, in one message. The mechanisms
//! of FAST (XEP-0484), which names that draft.
//!
//! §3.1: `initiator-msg = authcid NUL HMAC(token, "Initiator" || cb-data)`, and the answer is
//! `HMAC(token, "Responder" || cb-data)`. The token's text is the key.

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use std::fmt;
use subtle::ConstantTimeEq;

use super::ChannelBindings;
use crate::{SaslFailure, prep};

/// What a token is bound to, besides whom it was given to. It is stored: variants are only ever appended.
///
/// `UNIQ` (tls-unique) is not among them: TLS 1.3 has no such thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Channel {
    /// Nothing: browsers see no channel.
    None,
    /// `tls-server-end-point` (RFC 5929 §4).
    EndPoint,
    /// `tls-exporter` (RFC 9266).
    Exporter,
}

impl Channel {
    /// The data on this connection; `None` where it cannot be bound in this way.
    pub(super) fn data(self, bindings: &ChannelBindings) -> Option<Vec<u8>> {
        match self {
            Channel::None => Some(Vec::new()),
            Channel::EndPoint => bindings.end_point.clone(),
            Channel::Exporter => bindings.exporter.clone(),
        }
    }
}

/// Who the client says it is, and the hash that is to prove it.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    /// Prepared (SASLprep), not yet judged as a localpart.
    pub username: String,
    pub channel: Channel,
    channel_data: Vec<u8>,
    hash: Vec<u8>,
}

impl Claim {
    /// Reads the client's only message. A name that cannot be is refused like a token that is not known.
    pub(super) fn parse(
        message: &[u8],
        channel: Channel,
        channel_data: Option<Vec<u8>>,
    ) -> Result<Claim, SaslFailure> {
        let nul = message.iter().position(|byte| *byte == 0);
        let (name, hash) = message.split_at(nul.ok_or(SaslFailure::MALFORMED_REQUEST)?);
        let name = str::from_utf8(name).map_err(|_| SaslFailure::MALFORMED_REQUEST)?;
        let username = prep::saslprep_query(name).filter(|name| !name.is_empty());
        Ok(Claim {
            username: username
                .ok_or(SaslFailure::CREDENTIALS_EXPIRED)?
                .into_owned(),
            channel,
            // Never as if it were empty: that would be the proof of an unbound token.
            channel_data: channel_data.ok_or(SaslFailure::CREDENTIALS_EXPIRED)?,
            hash: hash[1..].to_vec(),
        })
    }

    /// Whether it was made with this token and for this channel, in constant time.
    pub fn is_proved_by(&self, token: &str) -> bool {
        self.hash_of(token, "Initiator").ct_eq(&self.hash).into()
    }

    /// What shows the client that the server knows the token, too.
    pub fn answer(&self, token: &str) -> Vec<u8> {
        self.hash_of(token, "Responder")
    }

    fn hash_of(&self, token: &str, role: &str) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
        let message = [role.as_bytes(), &self.channel_data].concat();
        hmac::sign(&key, &message).as_ref().to_vec()
    }
}

/// By hand: without channel binding the hash is as good as the token.
impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("username", &self.username)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "WXZzciBwYmFmdmZnZiBqdmd1IGp2eXFhcmZm";

    fn bindings() -> ChannelBindings {
        ChannelBindings {
            exporter: Some((0..32).collect()),
            end_point: Some((32..64).collect()),
        }
    }

    fn message(name: &str, hash: &str) -> Vec<u8> {
        let hash = (0..hash.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hash[at..at + 2], 16).unwrap());
        [name.as_bytes(), &[0]]
            .concat()
            .into_iter()
            .chain(hash)
            .collect()
    }

    fn claim(name: &str, hash: &str, channel: Channel) -> Result<Claim, SaslFailure> {
        Claim::parse(&message(name, hash), channel, channel.data(&bindings()))
    }

    fn hex(bytes: &[u8]) -> String {
        bytes
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    /// Made with Python's hmac and hashlib from the definition in §3.1 and §3.3 of the draft.
    const VECTORS: [(Channel, &str, &str); 3] = [
        (
            Channel::None,
            "9097787461a184e0fa84ec00c1381190b6c4d16a8ec4453c7b2ac5e7fcf935ed",
            "4e513409631474863b986c9f3e8c1e27ca29d1d7ab9ed4097e7afd6007bf9c62",
        ),
        (
            Channel::EndPoint,
            "e338438fed9b2c2e86499e71495ae74eca5205786d45968d0e94b018c3a1552f",
            "6e98933c68b7029a6bc376f5c7023c8eb11567e02caa9a7b4c7d3f705e2befd7",
        ),
        (
            Channel::Exporter,
            "0c5745576afeea711960549186a31a65c9f328205ee38b66825b3d4c872b395c",
            "1260579b34d55aeba4e43062a412db609a0a7153abd218b0f148445c4e83529f",
        ),
    ];

    #[test]
    fn a_hash_proves_a_token_on_its_channel_and_is_answered() {
        for (channel, initiator, responder) in VECTORS {
            let claim = claim("juliet", initiator, channel).unwrap();
            assert_eq!(claim.username, "juliet");
            assert!(claim.is_proved_by(TOKEN), "{channel:?}");
            assert_eq!(hex(&claim.answer(TOKEN)), responder);
            assert!(!claim.is_proved_by(&TOKEN.to_lowercase()));
            for (other, ..) in VECTORS.iter().filter(|(other, ..)| *other != channel) {
                let elsewhere = Claim::parse(
                    &message("juliet", initiator),
                    *other,
                    other.data(&bindings()),
                );
                assert!(
                    !elsewhere.unwrap().is_proved_by(TOKEN),
                    "{channel:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_claim() {
        let (_, hash, _) = VECTORS[0];
        let shortened = &hash[2..];
        assert!(
            !claim("juliet", shortened, Channel::None)
                .unwrap()
                .is_proved_by(TOKEN)
        );
        assert!(
            !claim("juliet", "", Channel::None)
                .unwrap()
                .is_proved_by(TOKEN)
        );
        let refused = |message: &[u8]| {
            let claim = Claim::parse(message, Channel::None, Some(Vec::new()));
            claim.map_or_else(|failure| failure.condition, |_| "taken")
        };
        assert_eq!(refused(b"juliet"), "malformed-request");
        assert_eq!(refused(b""), "malformed-request");
        assert_eq!(refused(b"\xff\0hash"), "malformed-request");
        assert_eq!(refused(b"\0hash"), "credentials-expired");
        assert_eq!(refused(b"\x07\0hash"), "credentials-expired");
    }

    #[test]
    fn without_the_binding_there_is_no_claim_at_all() {
        let unbound = ChannelBindings::default();
        for channel in [Channel::EndPoint, Channel::Exporter] {
            let (_, hash, _) = VECTORS[0];
            let claim = Claim::parse(&message("juliet", hash), channel, channel.data(&unbound));
            assert_eq!(claim, Err(SaslFailure::CREDENTIALS_EXPIRED));
        }
    }

    #[test]
    fn debugging_shows_no_hash() {
        let claim = claim("juliet", VECTORS[0].1, Channel::None).unwrap();
        assert_eq!(
            format!("{claim:?}"),
            "Claim { username: \"juliet\", channel: None, .. }"
        );
    }
}
