//! The client's side of HT-SHA-256-NONE (draft-schmaus-kitten-sasl-ht-09), to sign in with a token of
//! XEP-0484 in scripts and in simulated stories.

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};

/// What a client sends with that token, and what it then expects from the server, both in base 64.
pub(crate) struct Proof {
    pub(crate) message: String,
    pub(crate) answer: String,
}

/// §3.1: `authcid NUL HMAC(token, "Initiator")`, answered by `HMAC(token, "Responder")`.
pub(crate) fn prove(name: &str, token: &str) -> Proof {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    let initiator = hmac::sign(&key, b"Initiator");
    let responder = hmac::sign(&key, b"Responder");
    Proof {
        message: BASE64_STANDARD.encode([name.as_bytes(), &[0], initiator.as_ref()].concat()),
        answer: BASE64_STANDARD.encode(responder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python's hmac.
    #[test]
    fn a_proof_is_made_from_the_definition() {
        let proof = prove("juliet", "token");
        assert_eq!(
            (proof.message.as_str(), proof.answer.as_str()),
            (
                "anVsaWV0ANJNlUgvDW4DXFbnh9rE7YMr3YTuPqJCqq3ZgicMMwAG",
                "P3z74IGz6eoqqjVhGApgkyKQrporFVMn0DuoGf/+CrY="
            )
        );
    }
}
