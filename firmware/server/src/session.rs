//! A bound resource. It outlives its connection (XEP-0198): a line that drops leaves it waiting until
//! another connection resumes it (`waiting.rs`), also over a restart of the server (`stored.rs`).

pub(crate) mod intake;
pub(crate) mod lost;
pub(crate) mod stored;
pub(crate) mod waiting;

use crate::{
    account::{Account, State},
    outbox::Outbox,
    world::{Dice, random_id},
};
use aws_lc_rs::digest;
use intake::{Counted, Intake};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
    atomic::{AtomicBool, Ordering},
};
use xmpp::Jid;

/// A bound resource (RFC 6120 §7) and what waits for it.
pub struct Session {
    /// The full JID.
    pub jid: Jid,
    /// Unique for the life of the process: tells a session from its successor under the same resource.
    pub number: u64,
    pub outbox: Outbox,
    /// What the client has sent since it counts.
    pub(crate) intake: Intake,
    pub(crate) account: Arc<Account>,
    /// Its first connection came by STARTTLS.
    by_starttls: AtomicBool,
    /// What another connection must know to resume it; nothing where it was not asked for.
    ticket: OnceLock<Box<Resumption>>,
    /// Who has to work off what it sent before it is read on.
    waits_for: Mutex<Weak<Account>>,
}

/// How a session is found again.
pub(crate) struct Resumption {
    pub(crate) digest: Digest,
    /// Milliseconds that it waits without a connection.
    pub(crate) patience: u64,
}

/// SHA-256 of a session's id in XEP-0198. Only that is kept: with the id itself and a password anybody
/// could go on with the session.
pub(crate) type Digest = [u8; 32];

/// The digest of an id that a client shows.
pub(crate) fn digest_of(id: &str) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(digest::digest(&digest::SHA256, id.as_bytes()).as_ref());
    digest
}

impl Counted for Session {
    fn intake(&self) -> &Intake {
        &self.intake
    }
}

impl Session {
    pub(crate) fn new(jid: Jid, number: u64, account: Arc<Account>) -> Session {
        Session {
            jid,
            number,
            outbox: Outbox::default(),
            intake: Intake::default(),
            account,
            by_starttls: AtomicBool::new(false),
            ticket: OnceLock::new(),
            waits_for: Mutex::default(),
        }
    }

    /// Says how its client came in.
    pub(crate) fn note_door(&self, by_starttls: bool) {
        self.by_starttls.store(by_starttls, Ordering::Relaxed);
    }

    /// Whether its client came in by STARTTLS.
    pub(crate) fn came_by_starttls(&self) -> bool {
        self.by_starttls.load(Ordering::Relaxed)
    }

    /// It is not read before that account, a room, has nothing left to work off.
    pub(crate) fn wait_for(&self, account: &Arc<Account>) {
        *self.waits_for() = Arc::downgrade(account);
    }

    /// Whether that is so.
    pub(crate) fn is_waiting_for_another(&self) -> bool {
        let mut waits_for = self.waits_for();
        let waits = waits_for.upgrade().is_some_and(|room| room.leaving() > 0);
        if !waits {
            *waits_for = Weak::new();
        }
        waits
    }

    fn waits_for(&self) -> MutexGuard<'_, Weak<Account>> {
        self.waits_for
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes it resumable: the id that resumes it, which nobody can guess.
    pub(crate) fn make_resumable(&self, dice: &dyn Dice, patience: u64) -> String {
        let id = format!("{}{}", random_id(dice), random_id(dice));
        self.restore_resumption(digest_of(&id), patience);
        id
    }

    pub(crate) fn restore_resumption(&self, digest: Digest, patience: u64) {
        let _ = self.ticket.set(Box::new(Resumption { digest, patience }));
    }

    pub(crate) fn resumption(&self) -> Option<&Resumption> {
        self.ticket.get().map(|ticket| &**ticket)
    }
}

impl Account {
    /// Every session of the account.
    pub(crate) fn sessions(&self) -> Vec<Arc<Session>> {
        self.lock().sessions()
    }

    /// Whether this very session is there, and which ones are available.
    pub(crate) fn listeners(&self, session: &Jid) -> (bool, Vec<Jid>) {
        let state = self.lock();
        let is_there = state.sessions().iter().any(|it| it.jid == *session);
        let available = state.available().map(|it| it.session.jid.clone());
        (is_there, available.collect())
    }
}

impl State {
    /// Every session of the account.
    pub(crate) fn sessions(&self) -> Vec<Arc<Session>> {
        self.resources
            .iter()
            .map(|resource| resource.session.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests;
