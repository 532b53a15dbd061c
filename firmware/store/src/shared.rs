//! What the store's parts share: the queue, the open database with what it has not been given yet, and who is
//! to be told.
//!
//! What is durable in the journal is not given to redb at once. It waits in `pending` until somebody takes a
//! snapshot, or until the checkpoint: each commit of redb copies and checks every page on the way to a row,
//! so one commit for a thousand rows costs a fraction of a hundred for ten each. Locks are taken in the order
//! `pending`, `database`.

use crate::database;
use crate::group::{Changes, Row};
use crate::limits::GROUPS_UNORDERED_MAX;
use crate::options::{Health, Options};
use crate::queue::Queue;
use crate::tickets::Released;
use crate::{Error, Snapshot};
use redb::{Database, ReadableDatabase};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

pub(crate) type Watcher = Box<dyn Fn(&Health) + Send + Sync>;

/// What the store's parts share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    /// What readers read. Taken out while redb is opened again.
    pub(crate) database: RwLock<Option<Database>>,
    /// Durable, and what every new snapshot must show, but not in the database yet. The writer alone adds.
    pending: Mutex<Pending>,
    queue: Mutex<Queue>,
    /// Wakes the writer's thread.
    pub(crate) work: Condvar,
    /// Wakes who waits for a ticket.
    pub(crate) progress: Condvar,
    /// A read of the database file failed, after which an open redb refuses everything: it must be opened
    /// again.
    pub(crate) read_failed: Arc<AtomicBool>,
    /// The writer is seeing to that: meanwhile there may be no database.
    reopening: AtomicBool,
    /// How often the writer has seen to that. Changes only under the queue's lock.
    pub(crate) reopenings: AtomicU64,
    /// Somebody saw that there is too little space; the writer has to look for itself.
    pub(crate) seen_full: AtomicBool,
    watchers: Mutex<Vec<Watcher>>,
}

/// Changes in two parts. Most groups are small and come when little of the first part is in the processor's
/// cache: many at once are put into order for the price of a few.
#[derive(Default)]
struct Pending {
    ordered: Changes,
    /// What happened after it, one group after the other.
    groups: Vec<Changes>,
}

impl Pending {
    fn push(&mut self, changes: Changes) {
        self.groups.push(changes);
        if self.groups.len() >= GROUPS_UNORDERED_MAX {
            self.order();
        }
    }

    /// All of it.
    fn order(&mut self) -> &Changes {
        for group in self.groups.drain(..) {
            self.ordered.merge(group);
        }
        &self.ordered
    }

    fn get(&self, table: &str, key: &[u8]) -> Option<&Row> {
        let latest = self.groups.iter().rev();
        latest
            .chain([&self.ordered])
            .find_map(|changes| changes.get(table, key))
    }
}

/// A panic elsewhere leaves nothing half done under these locks.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(options: Options) -> Shared {
        Shared {
            options,
            database: RwLock::new(None),
            pending: Mutex::default(),
            queue: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
            read_failed: Arc::default(),
            reopening: AtomicBool::new(false),
            reopenings: AtomicU64::new(0),
            seen_full: AtomicBool::new(false),
            watchers: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        (self.options.clock)()
    }

    /// Changes the queue's state, then calls those whom that settles. They run in the order of their tickets,
    /// on this thread, and may queue and wait for tickets, but not read.
    pub(crate) fn settle(&self, change: impl FnOnce(&mut Queue) -> Released) {
        let released = {
            let mut queue = locked(&self.queue);
            let released = change(&mut queue);
            if queue.waiters > 0 {
                self.progress.notify_all();
            }
            released
        };
        for (callback, durable) in released {
            if catch_unwind(AssertUnwindSafe(|| callback(durable))).is_err() {
                tracing::error!("what waited for a write panicked");
            }
        }
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        locked(&self.queue)
    }

    /// Changes the health, and says whether it is another one now: then [`Shared::announce_health`] is due.
    pub(crate) fn set_health(&self, health: Health) -> bool {
        let mut queue = self.queue();
        let changed = queue.health != health;
        queue.health = health;
        changed
    }

    /// Tells the watchers, who find tickets as they are under this health.
    pub(crate) fn announce_health(&self) {
        let health = self.queue().health.clone();
        match &health.error {
            Some(error) => tracing::error!("{error}"),
            None => tracing::info!("the store takes writes"),
        }
        for watcher in &*locked(&self.watchers) {
            watcher(&health);
        }
    }

    /// Calls `watcher` at each [`Shared::announce_health`].
    pub(crate) fn watch_health(&self, watcher: Watcher) {
        locked(&self.watchers).push(watcher);
    }

    /// Gives readers and the writer another database, or none; closes the one they had. A new one has what is
    /// in the journal already, and with it all that was pending.
    pub(crate) fn put_database(&self, database: Option<Database>) {
        let mut pending = locked(&self.pending);
        *pending = Pending::default();
        *self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner) = database;
    }

    /// # Errors
    /// Those of `run`; [`Error::Unavailable`] when there is no database.
    pub(crate) fn with_database(
        &self,
        run: impl FnOnce(&Database) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        run(database.as_ref().ok_or(Error::Unavailable)?)
    }

    /// Shows `changes`, which are durable, to every snapshot from now on.
    pub(crate) fn show(&self, changes: Changes) {
        locked(&self.pending).push(changes);
    }

    /// Gives redb what is pending, without a sync.
    ///
    /// # Errors
    /// The disk's; then the database must be opened again.
    pub(crate) fn apply_pending(&self) -> Result<(), Error> {
        let mut pending = locked(&self.pending);
        let changes = pending.order();
        if !changes.is_empty() {
            self.with_database(|database| database::apply(database, changes))?;
            *pending = Pending::default();
        }
        Ok(())
    }

    /// A row as the next snapshot shows it.
    ///
    /// # Errors
    /// As [`Shared::snapshot`].
    pub(crate) fn row(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let snapshot = {
            let pending = locked(&self.pending);
            if let Some(row) = pending.get(table, key) {
                return Ok(row.clone());
            }
            self.begin_read()?
        };
        snapshot.row(table, key)
    }

    /// Everything that is durable and shown. Whoever reads gives redb what is pending, on their own thread:
    /// the writer may be waiting for the disk.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, Error> {
        let applied = catch_unwind(AssertUnwindSafe(|| self.apply_pending()));
        let applied = applied.unwrap_or_else(|_| {
            tracing::error!("the database panicked");
            Err(Error::Unavailable)
        });
        if applied.is_err() {
            // What is pending is in the journal, from where it comes back.
            self.read_failed.store(true, Ordering::Release);
        }
        if self.read_failed.load(Ordering::Acquire) {
            self.queue().alarm = Some(Duration::ZERO);
            self.work.notify_one();
        }
        applied?;
        self.begin_read()
    }

    /// Whether a read has failed and the writer is about to see to it: at all times one of the three tells,
    /// from the failure until [`Shared::reopenings`] has grown beyond `reopenings`, and from then on the
    /// last.
    pub(crate) fn is_reopened_since(&self, reopenings: u64) -> bool {
        self.read_failed.load(Ordering::Acquire)
            || self.reopening.load(Ordering::Acquire)
            || self.reopenings.load(Ordering::Acquire) > reopenings
    }

    /// Whether the database has to be opened again; if so, whoever calls does it now and notes it then.
    pub(crate) fn take_failed_read(&self) -> bool {
        let failed = self.read_failed.load(Ordering::Acquire);
        if failed {
            self.reopening.store(true, Ordering::Release);
            self.read_failed.store(false, Ordering::Release);
        }
        failed
    }

    /// The writer has done what it can about a failed read.
    pub(crate) fn note_reopening(&self) {
        let queue = self.queue();
        self.reopenings.fetch_add(1, Ordering::Release);
        self.reopening.store(false, Ordering::Release);
        if queue.waiters > 0 {
            self.progress.notify_all();
        }
    }

    fn begin_read(&self) -> Result<Snapshot, Error> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = &*database else {
            return Err(if self.queue().closed {
                Error::Closed
            } else {
                Error::Unavailable
            });
        };
        Ok(Snapshot::new(database.begin_read()?))
    }
}
