//! The client's side of SCRAM (RFC 5802), to prove in scripts what the server's side demands.

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::num::NonZeroU32;

/// What a client sends last, and what it then expects from the server, both in base 64.
pub(crate) struct Final {
    pub(crate) message: String,
    pub(crate) signature: String,
}

/// A hash of SCRAM, in the three forms in which it is needed.
struct Hash {
    hmac: hmac::Algorithm,
    digest: &'static digest::Algorithm,
    pbkdf2: pbkdf2::Algorithm,
}

impl Hash {
    fn of(name: &str) -> Option<Hash> {
        let (hmac, digest, pbkdf2) = match name {
            "SHA-1" => (
                hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                &digest::SHA1_FOR_LEGACY_USE_ONLY,
                pbkdf2::PBKDF2_HMAC_SHA1,
            ),
            "SHA-256" => (
                hmac::HMAC_SHA256,
                &digest::SHA256,
                pbkdf2::PBKDF2_HMAC_SHA256,
            ),
            "SHA-512" => (
                hmac::HMAC_SHA512,
                &digest::SHA512,
                pbkdf2::PBKDF2_HMAC_SHA512,
            ),
            _ => return None,
        };
        Some(Hash {
            hmac,
            digest,
            pbkdf2,
        })
    }

    fn mac(&self, key: &[u8], text: &str) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(self.hmac, key), text.as_bytes())
            .as_ref()
            .to_vec()
    }
}

/// Answers a server's first message, in base 64. `first` is the client's first message behind its
/// GS2 header, which is `n,,`. The error says what is wrong with the challenge.
pub(crate) fn answer(
    hash: &str,
    password: &str,
    first: &str,
    challenge: &str,
) -> Result<Final, String> {
    let hash = Hash::of(hash).ok_or_else(|| format!("no such hash: {hash}"))?;
    let challenge = String::from_utf8_lossy(&decode(challenge)?).into_owned();
    let field = |name: &str| {
        let found = challenge
            .split(',')
            .find_map(|field| field.strip_prefix(name));
        found.ok_or_else(|| format!("no {name} in {challenge}"))
    };
    let iterations = field("i=")?
        .parse::<NonZeroU32>()
        .map_err(|error| error.to_string())?;
    let mut salted = vec![0; hash.digest.output_len()];
    pbkdf2::derive(
        hash.pbkdf2,
        iterations,
        &decode(field("s=")?)?,
        password.as_bytes(),
        &mut salted,
    );

    // RFC 5802 §3, line by line.
    let without_proof = format!("c=biws,r={}", field("r=")?);
    let auth_message = format!("{first},{challenge},{without_proof}");
    let client_key = hash.mac(&salted, "Client Key");
    let stored_key = digest::digest(hash.digest, &client_key);
    let signature = hash.mac(stored_key.as_ref(), &auth_message);
    let proof: Vec<u8> = client_key
        .iter()
        .zip(&signature)
        .map(|(key, signature)| key ^ signature)
        .collect();
    let server_signature = hash.mac(&hash.mac(&salted, "Server Key"), &auth_message);

    let message = format!("{without_proof},p={}", BASE64_STANDARD.encode(proof));
    let signature = format!("v={}", BASE64_STANDARD.encode(server_signature));
    Ok(Final {
        message: BASE64_STANDARD.encode(message),
        signature: BASE64_STANDARD.encode(signature),
    })
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    BASE64_STANDARD
        .decode(text)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5802 §5 and RFC 7677 §3.
    #[test]
    fn the_examples_of_the_specifications() {
        let decode =
            |text: String| String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap();
        for (hash, first, challenge, message, signature) in [
            (
                "SHA-1",
                "n=user,r=fyko+d2lbbFgONRv9qkxdawL",
                "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
                "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
                "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
            ),
            (
                "SHA-256",
                "n=user,r=rOprNGfwEbeRWgbNEkqO",
                "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
                "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                 p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            ),
        ] {
            let last = answer(hash, "pencil", first, &BASE64_STANDARD.encode(challenge)).unwrap();
            assert_eq!(
                (
                    decode(last.message).as_str(),
                    decode(last.signature).as_str()
                ),
                (message, signature)
            );
        }
    }
}
