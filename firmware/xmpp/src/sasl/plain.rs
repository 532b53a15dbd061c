//! PLAIN (RFC 4616): the password itself, checked against the stored keys.

use super::{Hash, Keys, Step};
use crate::{SaslFailure, prep};

/// The keys that a password is checked against: the cheaper one of the two good hashes on a small processor.
const HASH: Hash = Hash::Sha256;

/// Who the client says it is, and the password that is to prove it.
pub(super) struct Claim {
    authzid: Option<String>,
    username: String,
    password: String,
}

impl Claim {
    /// §2: `message = [authzid] NUL authcid NUL passwd`.
    pub(super) fn parse(message: &str) -> Result<Claim, SaslFailure> {
        let parts: Vec<&str> = message.splitn(4, '\0').collect();
        let [authzid, authcid, password] = parts[..] else {
            return Err(SaslFailure::MALFORMED_REQUEST);
        };
        if authcid.is_empty() || password.is_empty() {
            return Err(SaslFailure::MALFORMED_REQUEST);
        }
        // §2: where preparation fails or leaves nothing, verification fails.
        let username = prep::saslprep_query(authcid).filter(|name| !name.is_empty());
        Ok(Claim {
            authzid: (!authzid.is_empty()).then(|| authzid.into()),
            username: username.ok_or(SaslFailure::NOT_AUTHORIZED)?.into_owned(),
            password: password.into(),
        })
    }

    pub(super) fn lookup(&self) -> Step {
        Step::Lookup {
            username: self.username.clone(),
            hash: HASH,
        }
    }

    pub(super) fn verify(self, keys: &Keys, known: bool) -> Result<Step, SaslFailure> {
        // The password is hashed for an unknown name, too: it takes the same time.
        if keys.verify(HASH, &self.password) && known {
            Ok(Step::Success {
                username: self.username,
                authzid: self.authzid,
                data: None,
            })
        } else {
            Err(SaslFailure::NOT_AUTHORIZED)
        }
    }
}
