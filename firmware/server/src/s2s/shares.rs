//! How much waits for other servers and is on its way to them in all, and how much of it is one sender's.
//!
//! State: the bytes, in all and by bare address; [`Share`]s give theirs back when they are dropped.

use super::limits::{REMOTES_BYTES_MAX, REMOTES_BYTES_PER_SENDER_MAX};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use xmpp::Jid;

#[derive(Default)]
pub(super) struct Shares(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    all: usize,
    by: BTreeMap<Jid, usize>,
}

/// The room that one stanza takes.
pub(crate) struct Share {
    shares: Arc<Shares>,
    by: Jid,
    bytes: usize,
}

impl Shares {
    /// Room for a stanza of this sender; `None` where there is no more.
    pub(super) fn take(self: &Arc<Self>, from: &Jid, bytes: usize) -> Option<Share> {
        let by = from.bare();
        let mut taken = self.lock();
        let own = taken.by.get(&by).copied().unwrap_or(0);
        if taken.all + bytes > REMOTES_BYTES_MAX || own + bytes > REMOTES_BYTES_PER_SENDER_MAX {
            return None;
        }
        Some(self.note(&mut taken, by, bytes))
    }

    /// The same for what was let in by an earlier start.
    pub(super) fn take_again(self: &Arc<Self>, from: &Jid, bytes: usize) -> Share {
        self.note(&mut self.lock(), from.bare(), bytes)
    }

    fn note(self: &Arc<Self>, taken: &mut Taken, by: Jid, bytes: usize) -> Share {
        taken.all += bytes;
        *taken.by.entry(by.clone()).or_default() += bytes;
        Share {
            shares: self.clone(),
            by,
            bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.lock();
        taken.all = taken.all.saturating_sub(self.bytes);
        if let Some(own) = taken.by.get_mut(&self.by) {
            *own = own.saturating_sub(self.bytes);
            if *own == 0 {
                taken.by.remove(&self.by);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sender_and_all_of_them_end_somewhere_and_get_it_back() {
        let shares = Arc::new(Shares::default());
        let jid = |number: usize| Jid::parse(&format!("x{number}@home.example/r")).unwrap();
        let mut kept = Vec::new();
        let mut senders = 0;
        while let Some(share) = shares.take(&jid(senders), REMOTES_BYTES_PER_SENDER_MAX) {
            kept.push(share);
            assert!(shares.take(&jid(senders), 1).is_none(), "{senders}");
            senders += 1;
        }
        assert_eq!(senders, REMOTES_BYTES_MAX / REMOTES_BYTES_PER_SENDER_MAX);
        kept.push(shares.take_again(&jid(0), 1));
        assert!(shares.take(&jid(senders), 1).is_none());
        drop(kept);
        let taken = shares.lock();
        assert_eq!((taken.all, taken.by.len()), (0, 0));
    }
}
