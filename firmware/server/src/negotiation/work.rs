//! The part of a login that may take milliseconds: reading the account from the store and, for PLAIN,
//! deriving keys from the password; and making an account. It runs wherever threads may block; the connection
//! waits meanwhile.
//!
//! A name that nobody has gets the same treatment as a wrong password: the same reads, fake keys that are
//! always the same for a name, and a failure at the same step of the exchange (RFC 6120 §6.5.10). So does a
//! device that nobody knows: there is always something that its hash is compared with.

use super::{
    attempt::{Attempt, Candidate, Device},
    registration::{Application, Decided},
};
use crate::{
    accounts,
    devices::{self, TokenKey},
    server::Server,
};
use std::sync::Arc;
use store::Urgency;
use tracing::error;
use xmpp::{
    Jid, SaslFailure,
    sasl::{Hash, ITERATIONS, Keys, Step, ht::Claim},
};

/// Looks up what a client's proof is checked with, or makes an account. `run` blocks.
pub struct Work {
    server: Arc<Server>,
    task: Task,
}

enum Task {
    LookUp(Box<Attempt>, Sought),
    Register(Application),
}

/// What is to be found.
pub(super) enum Sought {
    /// The keys of this name for this hash.
    Keys(String, Hash),
    /// The token that proves this.
    Token(Claim),
}

impl Sought {
    fn username(&self) -> &str {
        match self {
            Sought::Keys(username, _) => username,
            Sought::Token(claim) => &claim.username,
        }
    }
}

/// What came out; goes back to the connection.
pub struct Done(pub(super) Outcome);

pub(super) enum Outcome {
    Found {
        attempt: Box<Attempt>,
        step: Result<Step, SaslFailure>,
    },
    Registered(Decided),
}

impl Work {
    pub(super) fn new(server: Arc<Server>, attempt: Box<Attempt>, sought: Sought) -> Work {
        Work {
            server,
            task: Task::LookUp(attempt, sought),
        }
    }

    pub(super) fn register(server: Arc<Server>, application: Application) -> Work {
        Work {
            server,
            task: Task::Register(application),
        }
    }

    /// Does it. Reads the disk and computes for some milliseconds.
    pub fn run(self) -> Done {
        let Work { server, task } = self;
        let (mut attempt, sought) = match task {
            Task::LookUp(attempt, sought) => (attempt, sought),
            Task::Register(application) => {
                return Done(Outcome::Registered(application.decide(&server)));
            }
        };
        let step = look_up(&server, &mut attempt, sought).unwrap_or_else(|error| {
            error!(%error, "accounts cannot be read");
            Err(SaslFailure::TEMPORARY_AUTH_FAILURE)
        });
        Done(Outcome::Found { attempt, step })
    }
}

/// The outer error is the disk's.
fn look_up(
    server: &Server,
    attempt: &mut Attempt,
    sought: Sought,
) -> Result<Result<Step, SaslFailure>, store::Error> {
    // RFC 6120 §6.3.7: a simple user name is a localpart. One that cannot be is a name that nobody has.
    let username = sought.username();
    let jid = Jid::from_parts(Some(username), server.domain().domainpart(), None).ok();
    let name = jid
        .as_ref()
        .and_then(Jid::localpart)
        .unwrap_or(username)
        .to_owned();
    // Behind everything queued so far: an account just made may sign in, one just removed may not.
    let latest = server.store().queue(Vec::new(), Urgency::Now);
    let snapshot = server.store().snapshot_after(latest)?;
    let secret = server.logins().secret(server, &snapshot)?;
    let record = accounts::find(&snapshot, &name)?.filter(|_| jid.is_some());
    // Fake keys are made in either case, so that it takes the same time. No account has the id 0.
    let keys_of = |hash| {
        let fake = Keys::fake(hash, &secret, &name, ITERATIONS);
        let found = record.as_ref().map(|record| record.keys.of(hash).clone());
        found.unwrap_or(fake)
    };
    let id = record.as_ref().map_or(0, |record| record.id);
    let mut device = attempt.agent().map(|agent| {
        let device = devices::Id::of(&secret, &name, &agent.id);
        let tokens = TokenKey::of(&secret, id, device, &keys_of(Hash::Sha256));
        Device {
            id: device,
            tokens,
            proved: None,
        }
    });
    let mut answer = None;
    if let (Sought::Token(claim), Some(device)) = (&sought, &mut device) {
        let known = devices::find(&snapshot, id, device.id)?;
        let proved = device.tokens.proved(known.as_ref(), claim, server.now());
        (device.proved, answer) = proved.unzip();
    }
    let candidate = Candidate {
        enabled: record.as_ref().is_some_and(|record| record.enabled),
        account: jid.filter(|_| record.is_some()),
        name: name.clone(),
        device,
    };
    Ok(match sought {
        Sought::Keys(_, hash) => attempt.found(candidate, keys_of(hash)),
        Sought::Token(_) => attempt.tried(candidate, answer),
    })
}
