//! How the writer gets over a disk that fails.
//!
//! | what fails | the group | redb | until it works again |
//! | --- | --- | --- | --- |
//! | journal: append or sync | refused | has everything acknowledged | reads go on as before |
//! | redb: apply or checkpoint | durable, by the journal | must be reopened | reads go on over an overlay |
//!
//! In both cases everything queued is refused, and nothing more is appended to this generation of the
//! journal. Working again means a checkpoint and a record in a new generation, both synced; until then it is
//! tried again with growing waits.

use super::{Engine, Failure, GENERATION, META};
use crate::database;
use crate::group::Changes;
use crate::limits::{FREE_BYTES_MARGIN, PROBE_SECONDS_MAX, PROBE_SECONDS_MIN};
use crate::options::Health;
use crate::shared::Shared;
use crate::{Error, Snapshot, migrate};
use redb::{Database, ReadableDatabase};
use std::sync::atomic::Ordering;
use std::time::Duration;

impl Engine {
    /// Leaves off writing: refuses everything queued, and the group at hand unless it is durable already.
    /// `intact` says whether redb still has everything acknowledged.
    pub(super) fn fail(&mut self, shared: &Shared, error: &Error, intact: bool) {
        let wait = self
            .failure
            .as_ref()
            .map_or(0, |failure| failure.wait_seconds * 2);
        let wait_seconds = wait.clamp(PROBE_SECONDS_MIN, PROBE_SECONDS_MAX);
        let retry = shared.now() + Duration::from_secs(wait_seconds);
        self.failure = Some(Failure {
            intact,
            wait_seconds,
            retry,
        });
        let changed = shared.set_health(Health {
            writable: false,
            error: Some(format!("Nothing can be stored: {error}.")),
        });
        if !intact {
            self.open_overlay(shared);
        }
        shared.settle(|queue| {
            let mut refused = queue.clear();
            if !self.durable {
                refused.append(&mut self.tickets);
            }
            let mut released = queue.tickets.fail(&refused);
            released.extend(queue.tickets.apply(&self.tickets));
            released
        });
        if changed {
            shared.announce_health();
        }
    }

    /// Gives readers everything acknowledged while the file cannot be written. If it cannot be read either,
    /// they have to wait for the next try.
    fn open_overlay(&mut self, shared: &Shared) {
        shared.put_database(None);
        shared.read_failed.store(false, Ordering::Release);
        let overlay = self.file.open_overlay(shared.options.cache_bytes);
        match overlay.and_then(|overlay| self.load(overlay, false)) {
            Ok(overlay) => shared.put_database(Some(overlay)),
            Err(error) => {
                tracing::error!(%error, "the database cannot even be read");
                // Nothing is open that would have to be opened again.
                shared.read_failed.store(false, Ordering::Release);
            }
        }
    }

    /// After a failed read, redb wants to be opened again and has lost what is not in its file.
    pub(super) fn reopen_after_failed_read(&mut self, shared: &Shared) {
        tracing::warn!("a read failed; the database is opened again");
        if self.failure.as_ref().is_some_and(|failure| !failure.intact) {
            self.open_overlay(shared);
        } else if let Err(error) = self.reopen(shared) {
            self.fail(shared, &error, false);
        }
    }

    fn reopen(&mut self, shared: &Shared) -> Result<(), Error> {
        shared.put_database(None);
        let database = self.file.open(shared.options.cache_bytes)?;
        let database = self.load(database, false)?;
        shared.put_database(Some(database));
        Ok(())
    }

    pub(super) fn try_recovery(&mut self, shared: &Shared) {
        match self.recover(shared) {
            Ok(()) => {
                self.failure = None;
                shared.settle(|queue| {
                    // So that "the last ticket" is not one that failed.
                    let ticket = queue.tickets.issue(false);
                    let mut released = queue.tickets.settle(&[ticket]);
                    released.extend(queue.tickets.apply(&[ticket]));
                    released
                });
                if shared.set_health(Health::default()) {
                    shared.announce_health();
                }
            }
            Err(error) => {
                let intact = self.failure.as_ref().is_some_and(|failure| failure.intact);
                self.fail(shared, &error, intact);
            }
        }
    }

    fn recover(&mut self, shared: &Shared) -> Result<(), Error> {
        let free = shared.options.free_bytes_min;
        self.check_space(free + free / FREE_BYTES_MARGIN)?;
        if self.failure.as_ref().is_some_and(|failure| !failure.intact) {
            // This closes the overlay first: its readers use pages that the real one may overwrite.
            self.reopen(shared)?;
        }
        self.set_intact(false);
        self.checkpoint(shared, Changes::default())?;
        self.set_intact(true);
        self.journal.preallocate()?;
        // An empty record: the journal works, too.
        self.journal.append(&[])
    }

    fn set_intact(&mut self, intact: bool) {
        if let Some(failure) = &mut self.failure {
            failure.intact = intact;
        }
    }

    /// Brings a database that was just opened up to everything acknowledged. The first time, the journal is
    /// read as far as it goes; later only as far as it was acknowledged.
    pub(super) fn load(&mut self, database: Database, first: bool) -> Result<Database, Error> {
        let snapshot = Snapshot::new(database.begin_read()?);
        migrate::check_format(META.get(&snapshot, &migrate::FORMAT_NEEDED.to_owned())?)?;
        let generation = META.get(&snapshot, &GENERATION.to_owned())?;
        drop(snapshot);
        let changes = match generation {
            None if first => {
                // A new database. An old journal beside it belongs to another one.
                let old = self.journal.first_generation()?.unwrap_or(0);
                self.journal.restart(old + 1);
                Changes::default()
            }
            Some(generation) if first => self.journal.replay(generation)?,
            // The checkpoint that failed had come through after all.
            Some(generation) if generation == self.journal.generation() + 1 => {
                self.journal.restart(generation);
                Changes::default()
            }
            found if found.is_none_or(|found| found == self.journal.generation()) => {
                self.journal.replay_accepted()?
            }
            _ => {
                return Err(Error::Damaged(
                    "journal and database do not belong together".to_owned(),
                ));
            }
        };
        if !changes.is_empty() {
            // A contraction may be no further than the journal.
            migrate::check_format(changes.value(&META, &migrate::FORMAT_NEEDED.to_owned())?)?;
            database::apply(&database, &changes)?;
        }
        Ok(database)
    }
}
