//! What a server keeps of a password (RFC 5802 §3), and what it can prove and check with that.

use std::{fmt, num::NonZeroU32};

use aws_lc_rs::{digest, hmac, pbkdf2};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::{prep, sasl::Mechanism};

/// Rounds of PBKDF2 for new keys (XEP-0438 §7). More would slow down every first login of every phone.
pub const ITERATIONS: u32 = 10_000;
/// Bytes of a new salt (XEP-0438 §6.2), and of a fake one.
pub const SALT_BYTES: usize = 16;
const _: () = assert!(
    SALT_BYTES <= digest::SHA1_OUTPUT_LEN,
    "a fake salt is cut from one HMAC"
);

/// The hash of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    Sha1,
    Sha256,
    Sha512,
}

/// What is stored instead of a password (RFC 5802 §3).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    pub salt: Vec<u8>,
    pub iterations: u32,
    pub stored_key: Vec<u8>,
    pub server_key: Vec<u8>,
}

impl Keys {
    /// Derives the keys of a new password, prepared with SASLprep. `None` where the password may not be one
    /// (§2.2 of RFC 5802: unassigned or prohibited characters, or empty), or where `iterations` is 0.
    ///
    /// PRECIS (RFC 8265 §4, OpaqueString) would allow more and fold less, but the client hashes the password
    /// too, and what clients implement is SASLprep.
    pub fn derive(hash: Hash, password: &str, salt: Vec<u8>, iterations: u32) -> Option<Keys> {
        let password = prep::saslprep_stored(password).filter(|password| !password.is_empty())?;
        Some(Keys::of_prepared(
            hash,
            &password,
            salt,
            NonZeroU32::new(iterations)?,
        ))
    }

    /// Whether this is the password, in constant time.
    pub fn verify(&self, hash: Hash, password: &str) -> bool {
        let attempt = prep::saslprep_query(password)
            .filter(|password| !password.is_empty())
            .zip(NonZeroU32::new(self.iterations))
            .map(|(password, rounds)| {
                Keys::of_prepared(hash, &password, self.salt.clone(), rounds)
            });
        attempt.is_some_and(|attempt| attempt.stored_key.ct_eq(&self.stored_key).into())
    }

    /// Stable keys for a name nobody has: HMAC(secret, name, hash) as salt, the same iterations as real ones.
    ///
    /// `username` is what accounts are looked up by, the prepared localpart: else two spellings of a name
    /// would tell by their two salts that there is no such account.
    pub fn fake(hash: Hash, secret: &[u8], username: &str, iterations: u32) -> Keys {
        let secret = hmac::Key::new(hash.hmac(), secret);
        let mechanism = Mechanism::Scram(hash, false).name();
        let share =
            |what: &str| hmac::sign(&secret, format!("{what} {mechanism} {username}").as_bytes());
        Keys {
            salt: share("salt").as_ref()[..SALT_BYTES].to_vec(),
            iterations,
            stored_key: share("stored key").as_ref().to_vec(),
            server_key: share("server key").as_ref().to_vec(),
        }
    }

    fn of_prepared(hash: Hash, password: &str, salt: Vec<u8>, iterations: NonZeroU32) -> Keys {
        let mut salted_password = vec![0; hash.digest_algorithm().output_len()];
        pbkdf2::derive(
            hash.pbkdf2(),
            iterations,
            &salt,
            password.as_bytes(),
            &mut salted_password,
        );
        let salted_password = hmac::Key::new(hash.hmac(), &salted_password);
        let client_key = hmac::sign(&salted_password, b"Client Key");
        let stored_key = hash.digest(client_key.as_ref());
        let server_key = hmac::sign(&salted_password, b"Server Key")
            .as_ref()
            .to_vec();
        Keys {
            salt,
            iterations: iterations.get(),
            stored_key,
            server_key,
        }
    }

    /// Whether the proof is made from the client key (§3), in constant time.
    pub(super) fn accepts(&self, hash: Hash, auth_message: &[u8], proof: &[u8]) -> bool {
        let stored_key = hmac::Key::new(hash.hmac(), &self.stored_key);
        let signature = hmac::sign(&stored_key, auth_message);
        let client_key: Vec<u8> = proof
            .iter()
            .zip(signature.as_ref())
            .map(|(proof, signature)| proof ^ signature)
            .collect();
        let whole = proof.len() == signature.as_ref().len();
        whole & bool::from(hash.digest(&client_key).ct_eq(&self.stored_key))
    }

    /// What proves to the client that we hold its keys (§3).
    pub(super) fn server_signature(&self, hash: Hash, auth_message: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(hash.hmac(), &self.server_key), auth_message)
            .as_ref()
            .to_vec()
    }
}

/// By hand: the keys are worth a password.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

impl Hash {
    /// Every hash that keys are stored for.
    pub const ALL: [Hash; 3] = [Hash::Sha1, Hash::Sha256, Hash::Sha512];

    pub(super) fn digest(self, data: &[u8]) -> Vec<u8> {
        digest::digest(self.digest_algorithm(), data)
            .as_ref()
            .to_vec()
    }

    fn digest_algorithm(self) -> &'static digest::Algorithm {
        match self {
            Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha512 => &digest::SHA512,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Hash::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Hash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Hash::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}
