//! What is written into the URL of a PUT: a slot, sealed.
//!
//! It is in the query and not in a header, because some clients ignore the headers of a slot (XEP-0363 §4).

use super::{
    limits::TOKEN_BYTES_MAX,
    record::{SECRET, SecretRecord, UploadId},
};
use crate::world::{Dice, Timestamp};
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Record, Store, Urgency, Value};

/// What a slot is for. Whoever has the URL can read it, and it is all theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    pub(super) localpart: String,
    pub(super) account: u32,
    pub(super) bytes: u64,
    /// In its normal form, where one was said.
    pub(super) media_type: Option<String>,
    /// Until when it may be used.
    pub(super) until_ms: Timestamp,
    /// When the file is to be gone at the latest (§5.3).
    pub(super) gone_ms: Option<Timestamp>,
}

impl Record for Claims {}

/// Bytes of the seal in front of the claims.
const SEAL_BYTES: usize = 32;

/// Seals and opens tokens.
pub(super) struct Seal(hmac::Key);

impl Seal {
    /// Reads the secret, or makes it.
    pub(super) fn open(store: &Arc<Store>, dice: &dyn Dice) -> Result<Seal, store::Error> {
        let secret = match SECRET.get(&store.snapshot()?, &())? {
            Some(secret) => secret,
            None => {
                let mut bytes = [0; 32];
                dice.fill(&mut bytes);
                let secret = SecretRecord { bytes };
                store.queue(vec![SECRET.put(&(), &secret)], Urgency::Now);
                secret
            }
        };
        Ok(Seal(hmac::Key::new(hmac::HMAC_SHA256, &secret.bytes)))
    }

    /// The token for a file with this id and name: letters, digits, `-` and `_`.
    pub(super) fn token(&self, id: UploadId, name: &str, claims: &Claims) -> String {
        let mut said = Vec::new();
        claims.encode(&mut said);
        let seal = hmac::sign(&self.0, &sealed(id, name, &said));
        URL_SAFE_NO_PAD.encode([seal.as_ref(), &said].concat())
    }

    /// What a token says, if it is ours and for this file.
    pub(super) fn claims(&self, id: UploadId, name: &str, token: &str) -> Option<Claims> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (seal, claims) = token.split_at_checked(SEAL_BYTES)?;
        hmac::verify(&self.0, &sealed(id, name, claims), seal).ok()?;
        Claims::decode(claims)
    }
}

/// Everything that a token vouches for; no two of them look the same.
fn sealed(id: UploadId, name: &str, claims: &[u8]) -> Vec<u8> {
    let name_bytes = (name.len() as u64).to_be_bytes();
    [&id.0[..], &name_bytes, name.as_bytes(), claims].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            localpart: "juliet".into(),
            account: 7,
            bytes: 23_456,
            media_type: Some("image/jpeg".into()),
            until_ms: 1_790_000_300_000,
            gone_ms: None,
        }
    }

    #[test]
    fn a_token_is_for_one_file_and_says_what_was_said() {
        let seal = Seal(hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]));
        let id = UploadId([1; 16]);
        let token = seal.token(id, "a.jpg", &claims());
        let safe = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        assert!(token.as_bytes().iter().copied().all(safe), "{token}");
        assert_eq!(seal.claims(id, "a.jpg", &token), Some(claims()));
        let other = Seal(hmac::Key::new(hmac::HMAC_SHA256, &[8; 32]));
        assert_eq!(other.claims(id, "a.jpg", &token), None, "another secret");
        assert_eq!(seal.claims(UploadId([2; 16]), "a.jpg", &token), None);
        assert_eq!(seal.claims(id, "b.jpg", &token), None);
        assert_eq!(seal.claims(id, "", &token), None);
        // Whatever is changed, in front or behind.
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            let same_bytes = URL_SAFE_NO_PAD.decode(&changed) == URL_SAFE_NO_PAD.decode(&token);
            assert!(
                same_bytes || seal.claims(id, "a.jpg", &changed).is_none(),
                "{at}"
            );
        }
        for wrong in ["", "AAAA", "&", &token[..40], &(token.clone() + "AAAA")] {
            assert_eq!(seal.claims(id, "a.jpg", wrong), None, "{wrong}");
        }
    }
}
