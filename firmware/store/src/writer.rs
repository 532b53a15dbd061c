//! The store as everybody else sees it: queue writes, hear when they are durable, take snapshots; and the
//! thread that does the writing.

use crate::engine::Engine;
use crate::options::{Health, Options, Urgency};
use crate::pace::Pace;
use crate::queue::{Queue, Sleep};
use crate::shared::{Shared, locked};
use crate::table::Write;
use crate::tickets::{Durable, Ticket};
use crate::{Disk, Error, Sequence, Snapshot, limits};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The store. Cheap to share; all methods may be called from any thread.
pub struct Store {
    shared: Shared,
    disk: Arc<dyn Disk>,
    /// When to look at the free space again, in milliseconds of the clock.
    next_look: AtomicU64,
    engine: Mutex<Engine>,
    sequences: Mutex<BTreeMap<&'static str, Sequence>>,
    start_count: u32,
    /// Whether a thread does the writing; otherwise who waits does it.
    threaded: AtomicBool,
}

impl Store {
    /// Opens a store, or makes a new one, and replays what the last process had acknowledged. A disk that can
    /// be read but not written gives a store that is not [`Health::writable`].
    ///
    /// # Errors
    /// [`Error::TooNew`] after a newer Hearth; [`Error::Damaged`]; the disk's when it cannot even be read.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<Arc<Store>, Error> {
        let shared = Shared::new(options);
        let engine = Engine::open(disk.clone(), &shared)?;
        let start_count = engine.start_count();
        Ok(Arc::new(Store {
            shared,
            disk,
            next_look: AtomicU64::new(0),
            engine: Mutex::new(engine),
            sequences: Mutex::default(),
            start_count,
            threaded: AtomicBool::new(false),
        }))
    }

    /// Queues a batch, which becomes durable as a whole or not at all. Never blocks and never fails: what
    /// comes of it is told by the ticket. An empty batch returns the last ticket given out.
    pub fn queue(&self, batch: Vec<Write>, urgency: Urgency) -> Ticket {
        let now = self.shared.now();
        let mut queue = self.shared.queue();
        if batch.is_empty() {
            return Ticket(queue.tickets.last());
        }
        if queue.closed || !queue.health.writable {
            let ticket = queue.tickets.issue(false);
            // Nobody can wait for a ticket that was never given out.
            let _ = queue.tickets.fail(&[ticket]);
            return Ticket(ticket);
        }
        let ticket = queue.push(batch, urgency, now);
        let wakes = queue.wakes_writer(now);
        drop(queue);
        if wakes {
            self.shared.work.notify_one();
        }
        Ticket(ticket)
    }

    /// Calls back once the batch is durable, or has failed: at once when it is known already, otherwise on
    /// the writer's thread, which waits meanwhile. A callback may queue writes; it must not take a snapshot
    /// of a ticket or call [`Store::turn`]. Does not by itself hurry a `Soon` batch.
    pub fn when_durable(&self, ticket: Ticket, callback: Box<dyn FnOnce(Durable) + Send>) {
        let mut queue = self.shared.queue();
        let is_first = !queue.tickets.is_awaited();
        let settled = queue.tickets.wait(ticket.0, callback);
        let shortens = is_first && queue.tickets.is_awaited() && queue.sleep == Sleep::Gathering;
        drop(queue);
        if shortens {
            self.shared.work.notify_one();
        }
        if let Some((callback, durable)) = settled {
            callback(durable);
        }
    }

    /// What became of a batch; `None` while that is open.
    pub fn is_durable(&self, ticket: Ticket) -> Option<Durable> {
        self.shared.queue().tickets.status(ticket.0)
    }

    /// The last ticket that became durable. Below it, only batches of a failed disk ([`Store::is_durable`]
    /// tells) and `Idle` ones may not be.
    pub fn durable(&self) -> Ticket {
        Ticket(self.shared.queue().tickets.durable())
    }

    /// The last ticket that snapshots show.
    pub fn applied(&self) -> Ticket {
        Ticket(self.shared.queue().tickets.applied())
    }

    /// Everything that is applied now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the disk cannot even be read; [`Error::Closed`].
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        self.shared.snapshot()
    }

    /// Everything up to a ticket at least. Blocks until it is applied, or has failed; without a writer's
    /// thread it does the writing itself. Who reads first from a disk that has just failed or is full waits
    /// until the writer has opened what can still be read. Not to be called with a lock held.
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub fn snapshot_after(&self, ticket: Ticket) -> Result<Snapshot, Error> {
        self.wait_applied(ticket);
        for _ in 0..limits::REOPENINGS_AWAITED_MAX {
            let reopenings = self.shared.reopenings.load(Ordering::Acquire);
            let snapshot = self.snapshot();
            if snapshot.is_ok() || !self.shared.is_reopened_since(reopenings) {
                return snapshot;
            }
            self.wait_until(|queue, shared| {
                queue.closed || shared.reopenings.load(Ordering::Acquire) > reopenings
            });
        }
        self.snapshot()
    }

    fn wait_applied(&self, ticket: Ticket) {
        let mut queue = self.shared.queue();
        if queue.tickets.is_applied(ticket.0) || ticket.0 > queue.tickets.last() {
            return;
        }
        queue.hurry(ticket.0);
        drop(queue);
        self.wait_until(|queue, _| queue.tickets.is_applied(ticket.0));
    }

    /// Until the writer got that far; without a writer's thread it does that work itself.
    fn wait_until(&self, is_done: impl Fn(&Queue, &Shared) -> bool) {
        let mut queue = self.shared.queue();
        queue.waiters += 1;
        while !is_done(&queue, &self.shared) {
            if self.threaded.load(Ordering::Acquire) {
                queue.asked = true;
                self.shared.work.notify_one();
                queue = self
                    .shared
                    .progress
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
            } else {
                drop(queue);
                self.turn();
                queue = self.shared.queue();
            }
        }
        queue.waiters -= 1;
    }

    /// Takes one group and finishes it, or does what else is due, on this thread; whether there was anything.
    /// For simulations and the command line: `while store.turn() {}`.
    pub fn turn(&self) -> bool {
        locked(&self.engine).turn(&self.shared)
    }

    /// Writes and bytes that wait.
    pub fn backlog(&self) -> (usize, usize) {
        self.shared.queue().backlog()
    }

    /// Whether so much waits that streams should not be read.
    pub fn is_congested(&self) -> bool {
        let (writes, bytes) = self.backlog();
        writes > limits::BACKLOG_WRITES_MAX || bytes > limits::BACKLOG_BYTES_MAX
    }

    /// How the disk is.
    pub fn health(&self) -> Health {
        self.shared.queue().health.clone()
    }

    /// Whether a write would be taken now, for those who can still refuse what needs one. Like
    /// [`Health::writable`], and a look at the free space now and then: what others filled up is known before
    /// somebody's write fails.
    pub fn takes_writes(&self) -> bool {
        // Who saw that it is full told the writer, which has not looked yet.
        let seen_full = self.shared.seen_full.load(Ordering::Acquire);
        if seen_full || !self.shared.queue().health.writable {
            return false;
        }
        let now = self.shared.now().as_millis() as u64;
        if now < self.next_look.load(Ordering::Relaxed) {
            return true;
        }
        self.next_look
            .store(now + limits::LOOK_MILLISECONDS, Ordering::Relaxed);
        let free_bytes_min = self.shared.options.free_bytes_min;
        // A disk that does not even tell is found out by the write itself.
        let full = self
            .disk
            .free_bytes()
            .is_ok_and(|free| free < free_bytes_min);
        if full {
            self.shared.seen_full.store(true, Ordering::Release);
            self.shared.queue().alarm = Some(Duration::ZERO);
            self.shared.work.notify_one();
        }
        !full
    }

    /// Calls back whenever the health changes, on the writer's thread; not for what it is now.
    pub fn watch_health(&self, watcher: impl Fn(&Health) + Send + Sync + 'static) {
        self.shared.watch_health(Box::new(watcher));
    }

    /// The sequence of that name, from [`limits::SEQUENCE_START`] on. The first call reserves its first block
    /// and waits for that: call it at start.
    ///
    /// # Errors
    /// The disk's.
    pub fn sequence(self: &Arc<Self>, name: &'static str) -> Result<Sequence, Error> {
        let mut sequences = locked(&self.sequences);
        if let Some(sequence) = sequences.get(name) {
            return Ok(sequence.clone());
        }
        let sequence = Sequence::new(name, Arc::downgrade(self), &self.snapshot()?)?;
        sequence.ask();
        self.wait_applied(self.last_ticket());
        sequences.insert(name, sequence.clone());
        Ok(sequence)
    }

    fn last_ticket(&self) -> Ticket {
        Ticket(self.shared.queue().tickets.last())
    }

    /// How often this store was opened, this time included. Durable before [`Store::open`] returns, unless
    /// the disk takes no writes.
    pub fn start_count(&self) -> u32 {
        self.start_count
    }

    /// From here on, nothing but removals reaches rows of this account ([`crate::Table::per_account`]),
    /// whoever queues it and across restarts. What is there already is swept by [`crate::Table::removals`].
    pub fn retire(&self, account: u32) -> Ticket {
        self.queue(vec![crate::group::RETIRED.put(&account, &())], Urgency::Now)
    }

    /// Makes a checkpoint of everything queued and lets go of the files. Later writes fail, later reads, too.
    pub fn close(&self) {
        locked(&self.engine).close(&self.shared);
    }

    /// Starts the thread that does the writing.
    ///
    /// # Errors
    /// The operating system's, when it gives no thread.
    pub fn start_writer(self: &Arc<Self>) -> Result<WriterThread, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let (store, stopped) = (self.clone(), stop.clone());
        self.threaded.store(true, Ordering::Release);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || store.write_until(&stopped));
        match thread {
            Ok(thread) => Ok(WriterThread {
                store: self.clone(),
                stop,
                thread: Some(thread),
            }),
            Err(error) => {
                self.threaded.store(false, Ordering::Release);
                Err(Error::Io(error))
            }
        }
    }

    fn write_until(&self, stop: &AtomicBool) {
        let mut pace = Pace::default();
        while !stop.load(Ordering::Acquire) {
            if self.turn() {
                pace.has_begun_group(self.shared.now());
            }
            self.wait_for_work(stop, &pace);
        }
        self.close();
    }

    /// Sleeps until something is due, and then for as long as the group shall wait for company. While groups
    /// follow one another that comes first: whoever queues then has nobody to wake.
    fn wait_for_work(&self, stop: &AtomicBool, pace: &Pace) {
        let stops = || stop.load(Ordering::Acquire);
        let mut queue = self.shared.queue();
        loop {
            let has_alarm = queue.alarm == Some(Duration::ZERO);
            let pause = pace.pause(self.shared.now(), queue.tickets.is_awaited());
            if queue.is_pressed() || has_alarm || stops() {
                queue.asked = false;
                return;
            }
            if pause.is_zero() {
                break;
            }
            queue = self.sleep(queue, Sleep::Gathering, pause);
        }
        let now = self.shared.now();
        let next = queue.due().into_iter().chain(queue.alarm).min();
        if next.is_some_and(|next| next <= now) {
            return;
        }
        // A `Soon` batch wakes nobody; this is when the first one can be due.
        let soon = Duration::from_secs(limits::SOON_SECONDS_MAX);
        let wait = next.map_or(soon, |next| next.saturating_sub(now).min(soon));
        // Any wake-up will do: what is due is looked at anew.
        queue = self.sleep(queue, Sleep::Idle, wait);
        if queue.due().is_some() && !queue.is_pressed() && !stops() {
            let company = Duration::from_millis(limits::COMPANY_MILLISECONDS);
            drop(self.sleep(queue, Sleep::Company, company));
        }
    }

    fn sleep<'a>(
        &self,
        mut queue: MutexGuard<'a, Queue>,
        how: Sleep,
        wait: Duration,
    ) -> MutexGuard<'a, Queue> {
        queue.sleep = how;
        let woken = self.shared.work.wait_timeout(queue, wait);
        let (mut queue, _) = woken.unwrap_or_else(PoisonError::into_inner);
        queue.sleep = Sleep::Awake;
        queue
    }
}

/// The running writer.
pub struct WriterThread {
    store: Arc<Store>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl WriterThread {
    /// Makes everything queued durable, makes a checkpoint, closes the store and joins the thread. The same
    /// happens when this is dropped.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        {
            // Under the queue's lock, so that the thread cannot miss it between looking and waiting.
            let _queue = self.store.shared.queue();
            self.stop.store(true, Ordering::Release);
        }
        self.store.shared.work.notify_all();
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the store's thread panicked");
        }
        self.store.threaded.store(false, Ordering::Release);
        self.store.shared.progress.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::DirDisk;

    /// Who waits may be a while coming back for what there is: on a busy machine, or with one core.
    #[test]
    fn the_writer_rests_while_somebody_waits_for_what_it_cannot_do() {
        let directory = tempfile::tempdir().expect("a directory");
        let looks = Arc::new(AtomicU64::new(0));
        let clock = {
            let (looks, real) = (looks.clone(), Options::default().clock);
            Arc::new(move || {
                looks.fetch_add(1, Ordering::Relaxed);
                real()
            })
        };
        let disk = DirDisk::new(directory.path()).expect("a disk");
        let options = Options {
            free_bytes_min: 0,
            clock,
            ..Options::default()
        };
        let store = Store::open(Arc::new(disk), options).expect("a store");
        let writer = store.start_writer().expect("a thread");
        let enough = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| store.wait_until(|_, _| enough.load(Ordering::Acquire)));
            loop {
                let queue = store.shared.queue();
                if queue.waiters == 1 && !queue.asked && queue.sleep == Sleep::Idle {
                    break;
                }
                drop(queue);
                if looks.load(Ordering::Relaxed) > 10_000 {
                    enough.store(true, Ordering::Release);
                    store.shared.progress.notify_all();
                    panic!("the writer is at work for nothing");
                }
                std::thread::yield_now();
            }
            enough.store(true, Ordering::Release);
            store.shared.progress.notify_all();
        });
        writer.stop();
    }
}
