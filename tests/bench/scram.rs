//! SCRAM as a client does it (RFC 5802 §3, RFC 7677), without channel binding.

use anyhow::{Context, Result, ensure};
use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::num::NonZeroU32;

/// The header of a client that binds to no channel (RFC 5802 §7), as it is and in base64.
const GS2_HEADER: &str = "n,,";
const GS2_HEADER_BASE64: &str = "biws";

/// A mechanism: a name and its hash.
pub(crate) struct Mechanism {
    pub(crate) name: &'static str,
    digest: &'static digest::Algorithm,
    hmac: hmac::Algorithm,
    pbkdf2: pbkdf2::Algorithm,
}

/// What we can do, the better one first.
pub(crate) static MECHANISMS: [Mechanism; 2] = [
    Mechanism {
        name: "SCRAM-SHA-256",
        digest: &digest::SHA256,
        hmac: hmac::HMAC_SHA256,
        pbkdf2: pbkdf2::PBKDF2_HMAC_SHA256,
    },
    Mechanism {
        name: "SCRAM-SHA-1",
        digest: &digest::SHA1_FOR_LEGACY_USE_ONLY,
        hmac: hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        pbkdf2: pbkdf2::PBKDF2_HMAC_SHA1,
    },
];

/// One attempt to authenticate.
pub(crate) struct Attempt {
    mechanism: &'static Mechanism,
    first_bare: String,
    nonce: String,
}

impl Attempt {
    /// As `username`, which needs no escaping.
    pub(crate) fn new(mechanism: &'static Mechanism, username: &str) -> Result<Attempt> {
        let mut random = [0; 18];
        rand::fill(&mut random)?;
        let nonce = BASE64_STANDARD.encode(random);
        Ok(Attempt {
            mechanism,
            first_bare: format!("n={username},r={nonce}"),
            nonce,
        })
    }

    /// The name of the mechanism.
    pub(crate) fn mechanism(&self) -> &'static str {
        self.mechanism.name
    }

    /// The initial response, in base64.
    pub(crate) fn first(&self) -> String {
        BASE64_STANDARD.encode(format!("{GS2_HEADER}{}", self.first_bare))
    }

    /// The response to the server's first message, and what its last one must be; all in base64.
    pub(crate) fn answer(&self, challenge: &str, password: &str) -> Result<(String, String)> {
        let challenge = String::from_utf8(BASE64_STANDARD.decode(challenge)?)?;
        let attribute = |name: char| {
            let found = challenge
                .split(',')
                .find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
            found.with_context(|| format!("the challenge has no {name}"))
        };
        let nonce = attribute('r')?;
        ensure!(
            nonce.starts_with(&self.nonce),
            "the challenge is not for us"
        );
        let salt = BASE64_STANDARD.decode(attribute('s')?)?;
        let rounds: NonZeroU32 = attribute('i')?.parse()?;
        let without_proof = format!("c={GS2_HEADER_BASE64},r={nonce}");
        let message = format!("{},{challenge},{without_proof}", self.first_bare);

        let mut salted = vec![0; self.mechanism.digest.output_len()];
        pbkdf2::derive(
            self.mechanism.pbkdf2,
            rounds,
            &salt,
            password.as_bytes(),
            &mut salted,
        );
        let client_key = self.sign(&salted, b"Client Key");
        let stored_key = digest::digest(self.mechanism.digest, client_key.as_ref());
        let signature = self.sign(stored_key.as_ref(), message.as_bytes());
        let proof = client_key
            .as_ref()
            .iter()
            .zip(signature.as_ref())
            .map(|(key, sign)| key ^ sign);
        let proof = BASE64_STANDARD.encode(proof.collect::<Vec<u8>>());
        let server_key = self.sign(&salted, b"Server Key");
        let verifier = self.sign(server_key.as_ref(), message.as_bytes());
        let verifier = format!("v={}", BASE64_STANDARD.encode(verifier));
        Ok((
            BASE64_STANDARD.encode(format!("{without_proof},p={proof}")),
            BASE64_STANDARD.encode(verifier),
        ))
    }

    fn sign(&self, key: &[u8], data: &[u8]) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(self.mechanism.hmac, key), data)
    }
}

/// RFC 7677 §3's own example has a nonce of its own, which [`Attempt::new`] would not choose.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7677() {
        let nonce = "rOprNGfwEbeRWgbNEkqO";
        let attempt = Attempt {
            mechanism: &MECHANISMS[0],
            first_bare: format!("n=user,r={nonce}"),
            nonce: nonce.into(),
        };
        let challenge =
            format!("r={nonce}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let (response, last) = attempt
            .answer(&BASE64_STANDARD.encode(challenge), "pencil")
            .unwrap();
        let expected = format!(
            "c=biws,r={nonce}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(response, BASE64_STANDARD.encode(expected));
        assert_eq!(
            last,
            BASE64_STANDARD.encode("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        );
    }
}
