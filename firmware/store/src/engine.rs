//! The one writer: takes groups from the queue through journal and redb, and makes checkpoints. What it does
//! when the disk fails is in `recovery.rs`.

mod recovery;

use crate::database::{self, DatabaseFile};
use crate::disk::FileName;
use crate::group::{Changes, RETIRED};
use crate::journal::Journal;
use crate::limits::{CHECKPOINT_BYTES_MAX, CHECKPOINT_SECONDS_MAX, CHECKPOINT_WRITES_MAX};
use crate::queue::Batch;
use crate::shared::Shared;
use crate::{Disk, Error, Table};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The store's own facts, by name.
pub(crate) const META: Table<String, u64> = Table::new("store.meta", 1);
/// The journal generation that follows this state of the file.
const GENERATION: &str = "generation";
/// How often the store was opened.
const STARTS: &str = "starts";

pub(crate) struct Engine {
    disk: Arc<dyn Disk>,
    file: Arc<DatabaseFile>,
    journal: Journal,
    retired: BTreeSet<u32>,
    starts: u64,
    /// Rows and bytes in the journal, and when the first of them came.
    unsaved: Option<Unsaved>,
    failure: Option<Failure>,
    closed: bool,
    /// The group at hand, and whether it is durable.
    tickets: Vec<u64>,
    durable: bool,
}

#[derive(Clone, Copy)]
struct Unsaved {
    writes: usize,
    bytes: usize,
    since: Duration,
}

struct Failure {
    /// Whether the open database is the real one and has everything acknowledged.
    intact: bool,
    wait_seconds: u64,
    retry: Duration,
}

impl Engine {
    pub(crate) fn open(disk: Arc<dyn Disk>, shared: &Shared) -> Result<Engine, Error> {
        let file = DatabaseFile::new(disk.open(FileName::Database)?, shared.read_failed.clone())?;
        let journal = Journal::new(disk.open(FileName::Journal)?, shared.options.journal_bytes);
        let mut engine = Engine {
            disk,
            file,
            journal,
            retired: BTreeSet::new(),
            starts: 0,
            unsaved: None,
            failure: None,
            closed: false,
            tickets: Vec::new(),
            durable: false,
        };
        let opened = engine.file.open(shared.options.cache_bytes);
        let (database, intact) = match opened.and_then(|database| engine.load(database, true)) {
            Ok(database) => (database, true),
            Err(error) if error.is_temporary() => {
                tracing::warn!(%error, "until the disk works again, the database can only be read");
                let overlay = engine.file.open_overlay(shared.options.cache_bytes)?;
                (engine.load(overlay, true)?, false)
            }
            Err(error) => return Err(error),
        };
        shared.put_database(Some(database));
        engine.read_own_tables(shared)?;
        engine.failure = Some(Failure {
            intact,
            wait_seconds: 0,
            retry: Duration::ZERO,
        });
        engine.try_recovery(shared);
        Ok(engine)
    }

    pub(crate) fn start_count(&self) -> u32 {
        self.starts as u32
    }

    /// See [`crate::Store::turn`].
    pub(crate) fn turn(&mut self, shared: &Shared) -> bool {
        let worked = catch_unwind(AssertUnwindSafe(|| self.work(shared)));
        let worked = worked.unwrap_or_else(|_| {
            self.fail(
                shared,
                &Error::Damaged("the database panicked".to_owned()),
                false,
            );
            shared.note_reopening();
            true
        });
        let mut queue = shared.queue();
        let look =
            shared.seen_full.load(Ordering::Acquire) || shared.read_failed.load(Ordering::Acquire);
        queue.alarm = if look {
            Some(Duration::ZERO)
        } else {
            self.alarm()
        };
        worked
    }

    fn alarm(&self) -> Option<Duration> {
        match (&self.failure, &self.unsaved) {
            (Some(failure), _) => Some(failure.retry),
            (None, Some(unsaved)) => {
                Some(unsaved.since + Duration::from_secs(CHECKPOINT_SECONDS_MAX))
            }
            (None, None) => None,
        }
    }

    fn work(&mut self, shared: &Shared) -> bool {
        let now = shared.now();
        self.tickets.clear();
        if self.closed {
            return false;
        }
        if shared.take_failed_read() {
            self.reopen_after_failed_read(shared);
            shared.note_reopening();
            return true;
        }
        let seen_full = shared.seen_full.swap(false, Ordering::AcqRel);
        if let Some(failure) = &self.failure {
            return now >= failure.retry && {
                self.try_recovery(shared);
                true
            };
        }
        if seen_full && let Err(error) = self.check_space(shared.options.free_bytes_min) {
            self.fail(shared, &error, true);
            return true;
        }
        let group = shared.queue().take(now);
        match group {
            Some(group) => self.write(shared, group),
            None if self.alarm().is_some_and(|due| due <= now) => self.checkpoint_or_fail(shared),
            None => return false,
        }
        true
    }

    /// Takes a group all the way.
    fn write(&mut self, shared: &Shared, mut group: Vec<Batch>) {
        self.durable = false;
        self.tickets = group.iter().map(|batch| batch.ticket).collect();
        let changes = match self.prepare(shared, &mut group) {
            Ok(changes) => changes,
            Err(error) => {
                return self.fail(shared, &error, !shared.read_failed.load(Ordering::Acquire));
            }
        };
        let mut record = Vec::new();
        changes.encode(&mut record);
        if !self.journal.has_room(record.len()) {
            self.checkpoint_or_fail(shared);
        }
        if self.failure.is_some() {
            return;
        }
        if self.journal.has_room(record.len()) {
            self.write_by_journal(shared, changes, &record);
        } else {
            self.write_by_checkpoint(shared, &changes);
        }
    }

    fn prepare(&self, shared: &Shared, group: &mut [Batch]) -> Result<Changes, Error> {
        self.check_space(shared.options.free_bytes_min)?;
        Changes::of(group, &self.retired, &|table, key| shared.row(table, key))
    }

    fn write_by_journal(&mut self, shared: &Shared, changes: Changes, record: &[u8]) {
        if !changes.is_empty()
            && let Err(error) = self.journal.append(record)
        {
            return self.fail(shared, &error, true);
        }
        self.durable = true;
        self.retired.extend(changes.newly_retired());
        let writes = changes.len();
        shared.show(changes);
        self.settle(shared);
        let unsaved = self.unsaved.get_or_insert(Unsaved {
            writes: 0,
            bytes: 0,
            since: shared.now(),
        });
        unsaved.writes += writes;
        unsaved.bytes += record.len();
        if unsaved.writes >= CHECKPOINT_WRITES_MAX || unsaved.bytes >= CHECKPOINT_BYTES_MAX {
            self.checkpoint_or_fail(shared);
        }
    }

    /// The group at hand is durable, and snapshots show it.
    fn settle(&self, shared: &Shared) {
        shared.settle(|queue| {
            let mut released = queue.tickets.settle(&self.tickets);
            released.extend(queue.tickets.apply(&self.tickets));
            released
        });
    }

    /// For what is larger than the whole journal: redb alone makes it durable.
    fn write_by_checkpoint(&mut self, shared: &Shared, changes: &Changes) {
        if let Err(error) = self.checkpoint(shared, changes.clone()) {
            return self.fail(shared, &error, false);
        }
        self.retired.extend(changes.newly_retired());
        self.settle(shared);
    }

    fn checkpoint_or_fail(&mut self, shared: &Shared) {
        if let Err(error) = self.checkpoint(shared, Changes::default()) {
            self.fail(shared, &error, false);
        }
    }

    /// Makes everything applied, and `changes`, durable in redb's file, and begins a new journal generation
    /// in the same transaction.
    fn checkpoint(&mut self, shared: &Shared, mut changes: Changes) -> Result<(), Error> {
        let generation = self.journal.generation() + 1;
        changes.put(&META, &GENERATION.to_owned(), &generation);
        changes.put(&META, &STARTS.to_owned(), &self.starts);
        // Two commits, for nobody who reads shall wait for the second one's syncs.
        shared.apply_pending()?;
        shared.with_database(|database| database::checkpoint(database, &changes))?;
        self.journal.restart(generation);
        self.unsaved = None;
        Ok(())
    }

    fn check_space(&self, bytes: u64) -> Result<(), Error> {
        if self.disk.free_bytes()? < bytes {
            Err(Error::Full)
        } else {
            Ok(())
        }
    }

    fn read_own_tables(&mut self, shared: &Shared) -> Result<(), Error> {
        let snapshot = shared.snapshot()?;
        self.starts = META.get(&snapshot, &STARTS.to_owned())?.unwrap_or(0) + 1;
        for row in RETIRED.prefix(&snapshot, &())? {
            self.retired.insert(row?.0);
        }
        Ok(())
    }

    /// See [`crate::Store::close`].
    pub(crate) fn close(&mut self, shared: &Shared) {
        if self.closed {
            return;
        }
        {
            let mut queue = shared.queue();
            queue.hurry_all();
            queue.closed = true;
        }
        while shared.queue().due().is_some() && self.failure.is_none() {
            self.turn(shared);
        }
        if self.failure.is_none() && self.unsaved.is_some() {
            self.checkpoint_or_fail(shared);
        }
        shared.settle(|queue| {
            let tickets = queue.clear();
            queue.tickets.fail(&tickets)
        });
        shared.put_database(None);
        self.closed = true;
    }
}
