//! Numbers that are never given out twice, whatever happens to the power: positions in the archive.
//!
//! They are reserved on disk in blocks, and only what is reserved *durably* is given out. The next block is
//! asked for when half of one is used, so that nobody waits; a start skips what was left of the last one.

use crate::limits::{SEQUENCE_BLOCK, SEQUENCE_START};
use crate::table::Write;
use crate::{Durable, Error, Snapshot, Table};
use crate::{Store, Urgency};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// By name: the first number that is not reserved.
const RESERVED: Table<String, u64> = Table::new("store.sequence", 1);

/// A store-wide sequence. Clones count together.
#[derive(Clone)]
pub struct Sequence(Arc<Inner>);

struct Inner {
    name: &'static str,
    store: Weak<Store>,
    next: AtomicU64,
    /// The first number that may not be given out.
    end: AtomicU64,
    asking: AtomicBool,
}

impl Sequence {
    pub(crate) fn new(
        name: &'static str,
        store: Weak<Store>,
        snapshot: &Snapshot,
    ) -> Result<Sequence, Error> {
        let reserved = RESERVED
            .get(snapshot, &name.to_owned())?
            .unwrap_or(SEQUENCE_START);
        let (next, end) = (AtomicU64::new(reserved), AtomicU64::new(reserved));
        let sequence = Sequence(Arc::new(Inner {
            name,
            store,
            next,
            end,
            asking: AtomicBool::new(false),
        }));
        Ok(sequence)
    }

    /// The next number. `None` when nothing is reserved, which happens only while the disk takes no writes:
    /// what needs the number would be refused anyway (DESIGN §6).
    pub fn next(&self) -> Option<u64> {
        let inner = &*self.0;
        let take = |next: u64| (next < inner.end.load(Ordering::Acquire)).then_some(next + 1);
        let number = inner
            .next
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
            .ok();
        let end = inner.end.load(Ordering::Acquire);
        if number.is_none_or(|number| end - number <= SEQUENCE_BLOCK / 2) {
            self.ask();
        }
        number
    }

    /// Asks for the next block; once at a time, and not while the disk takes no writes.
    pub(crate) fn ask(&self) {
        let Some(store) = self.0.store.upgrade() else {
            return;
        };
        if !store.health().writable || self.0.asking.swap(true, Ordering::AcqRel) {
            return;
        }
        let end = self.0.end.load(Ordering::Acquire) + SEQUENCE_BLOCK;
        let reserve: Write = RESERVED.put(&self.0.name.to_owned(), &end);
        let ticket = store.queue(vec![reserve], Urgency::Now);
        let inner = self.0.clone();
        store.when_durable(
            ticket,
            Box::new(move |durable| {
                if durable == Durable::Yes {
                    inner.end.store(end, Ordering::Release);
                }
                inner.asking.store(false, Ordering::Release);
            }),
        );
    }
}
