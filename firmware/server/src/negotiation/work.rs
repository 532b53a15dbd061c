//! The part of a login that may take milliseconds: reading the account from the store and, for PLAIN,
//! deriving keys from the password. It runs wherever threads may block; the connection waits meanwhile.
//!
//! A name that nobody has gets the same treatment as a wrong password: the same reads, fake keys that are
//! always the same for a name, and a failure at the same step of the exchange (RFC 6120 §6.5.10).

use super::attempt::{Attempt, Candidate, Profile};
use crate::{
    accounts::{self, AccountRecord},
    server::Server,
};
use aws_lc_rs::hmac;
use std::sync::Arc;
use store::Urgency;
use tracing::error;
use xmpp::{
    Jid, SaslFailure,
    sasl::{Hash, ITERATIONS, Keys, Step},
};

/// Looks up the keys of the account that a client names. `run` blocks.
pub struct Work {
    server: Arc<Server>,
    attempt: Box<Attempt>,
    username: String,
    hash: Hash,
}

/// What came out; goes back to the connection.
pub struct Done {
    pub(super) attempt: Box<Attempt>,
    pub(super) step: Result<Step, SaslFailure>,
}

impl Work {
    pub(super) fn new(
        server: Arc<Server>,
        attempt: Box<Attempt>,
        username: String,
        hash: Hash,
    ) -> Work {
        Work {
            server,
            attempt,
            username,
            hash,
        }
    }

    /// Does it. Reads the disk and computes for some milliseconds.
    pub fn run(self) -> Done {
        let Work {
            server,
            mut attempt,
            username,
            hash,
        } = self;
        // RFC 6120 §6.3.7: a simple user name is a localpart. One that cannot be is a name that nobody has.
        let jid = Jid::from_parts(Some(&username), server.domain().domainpart(), None).ok();
        let name = jid
            .as_ref()
            .and_then(Jid::localpart)
            .unwrap_or(&username)
            .to_owned();
        let step = match look_up(&server, &name, hash) {
            Err(error) => {
                error!(%error, "accounts cannot be read");
                Err(SaslFailure::TEMPORARY_AUTH_FAILURE)
            }
            Ok(Found {
                record,
                fake,
                secret,
            }) => {
                let record = record.filter(|_| jid.is_some());
                let installation = match &attempt.profile {
                    Profile::Sasl2(wishes) => wishes
                        .user_agent
                        .as_deref()
                        .map(|id| pseudonym(&secret, &name, id)),
                    Profile::Classic => None,
                };
                let enabled = record.as_ref().is_some_and(|record| record.enabled);
                let account = jid.filter(|_| record.is_some());
                let keys = record.map_or(fake, |record| record.keys.of(hash).clone());
                attempt.found(
                    Candidate {
                        name,
                        account,
                        enabled,
                        installation,
                    },
                    keys,
                )
            }
        };
        Done { attempt, step }
    }
}

struct Found {
    record: Option<AccountRecord>,
    /// Made in either case, so that it takes the same time.
    fake: Keys,
    secret: Arc<[u8]>,
}

fn look_up(server: &Server, name: &str, hash: Hash) -> Result<Found, store::Error> {
    // Behind everything queued so far: an account just made may sign in, one just removed may not.
    let latest = server.store().queue(Vec::new(), Urgency::Now);
    let snapshot = server.store().snapshot_after(latest)?;
    let secret = server.logins().secret(server, &snapshot)?;
    let fake = Keys::fake(hash, &secret, name, ITERATIONS);
    let record = accounts::find(&snapshot, name)?;
    Ok(Found {
        record,
        fake,
        secret,
    })
}

/// What stands for an installation in a resource: the same for the same client and account, and telling
/// neither.
fn pseudonym(secret: &[u8], name: &str, installation: &str) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(
        &key,
        format!("installation\0{name}\0{installation}").as_bytes(),
    );
    tag.as_ref()
        .iter()
        .take(16)
        .map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
        .collect()
}
