//! A store on a simulated disk, with a clock that stands still unless told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::disk::SimDisk;
use store::{Error, Options, Store, Table, Ticket, Urgency};

pub(crate) const ROWS: Table<u8, u64> = Table::new("test.rows", 1);
pub(crate) const LOG: Table<(u8, u64), String> = Table::new("test.log", 1);

/// Its journal is small, so that checkpoints come often.
pub(crate) struct House {
    pub(crate) disk: SimDisk,
    seconds: Arc<AtomicU64>,
}

impl House {
    pub(crate) fn new() -> House {
        House {
            disk: SimDisk::new(),
            seconds: Arc::default(),
        }
    }

    pub(crate) fn options(&self) -> Options {
        let seconds = self.seconds.clone();
        let clock = Arc::new(move || Duration::from_secs(seconds.load(Ordering::Relaxed)));
        Options {
            journal_bytes: 16 * 4_096,
            free_bytes_min: 64 << 10,
            clock,
            ..Options::default()
        }
    }

    pub(crate) fn try_open(&self) -> Result<Arc<Store>, Error> {
        Store::open(Arc::new(self.disk.clone()), self.options())
    }

    pub(crate) fn open(&self) -> Arc<Store> {
        self.try_open().expect("the store opens")
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }
}

pub(crate) fn put(store: &Store, key: u8, value: u64) -> Ticket {
    store.queue(vec![ROWS.put(&key, &value)], Urgency::Now)
}

pub(crate) fn settle(store: &Store) {
    while store.turn() {}
}

pub(crate) fn rows(store: &Store) -> BTreeMap<u8, u64> {
    ROWS.range(&store.snapshot().unwrap(), ..)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// The value of the one counter that tests write to.
pub(crate) fn counter(store: &Store) -> u64 {
    rows(store).get(&0).copied().unwrap_or(0)
}
