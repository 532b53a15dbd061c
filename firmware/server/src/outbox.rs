//! What waits for a session: bounded, its content shared with every other outbox that holds the same stanza.
//!
//! State: what was not sent yet; with stream management (XEP-0198, `sent.rs`) also what was sent and not
//! acknowledged, so that another connection of the same session can go on; while nobody looks at the client
//! (XEP-0352, `held.rs`) what may wait until somebody does. A session has one connection at a time: each gets
//! an epoch when it attaches, and one with an older epoch is told to go.

mod held;
mod sent;

use crate::limits::{OUTBOX_BYTES_MAX, OUTBOX_STANZAS_MAX, WAITING_BYTES_MAX, WAITING_STANZAS_MAX};
use held::Held;
use sent::Sent;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};
use xmpp::{Entry, StreamError};

/// The queue between the server and one session. Pushing never blocks; the connection is woken once per
/// batch.
#[derive(Default)]
pub struct Outbox {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Set once: after the entries, the stream ends with this error.
    end: Option<StreamError>,
    waker: Option<Waker>,
    /// The connection that may take entries.
    epoch: u32,
    /// The session has no connection.
    detached: bool,
    /// The connection is too slow: it is dropped, and the session waits.
    cut: bool,
    /// With stream management.
    sent: Option<Box<Sent>>,
    /// While the client is inactive.
    held: Option<Box<Held>>,
}

/// Everything that waited at one moment.
#[derive(Debug, Default)]
pub struct Batch {
    pub entries: VecDeque<Entry>,
    /// The stream ends behind these entries.
    pub end: Option<StreamError>,
    /// The line is to be dropped without a word; the session outlives it.
    pub cut: bool,
    /// Whether the client is to be asked for an acknowledgement behind these entries.
    pub ask: Ask,
    /// Nobody acknowledges these: written to the socket is all that can be known.
    pub unmanaged: bool,
}

/// When a client is to be asked for an acknowledgement (XEP-0198 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ask {
    #[default]
    No,
    Now,
    /// Then, in elapsed milliseconds, unless it has told by itself.
    At(u64),
}

impl Outbox {
    /// Queues a stanza. Over the limit a session that can be resumed loses its connection, and any other
    /// ends with `resource-constraint`: the reader is too slow.
    pub fn push(&self, entry: Entry) {
        self.offer(entry);
    }

    /// The same; gives back what comes after the end.
    pub(crate) fn offer(&self, entry: Entry) -> Option<Entry> {
        let mut inner = self.lock();
        if inner.end.is_some() {
            return Some(entry);
        }
        inner.take_in(entry);
        inner.hold_limits();
        wake(inner);
        None
    }

    /// Ends the stream behind what waits already. The first reason stays.
    pub fn end(&self, error: StreamError) {
        let mut inner = self.lock();
        inner.end.get_or_insert(error);
        wake(inner);
    }

    /// Whether it was ended, by whom ever.
    pub(crate) fn is_ended(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Everything that waits, or `Pending` with the waker kept. `now` is in elapsed milliseconds.
    pub(crate) fn poll_batch(&self, epoch: u32, now: u64, cx: &mut Context<'_>) -> Poll<Batch> {
        let mut inner = self.lock();
        let nothing = inner.entries.is_empty() && inner.end.is_none() && !inner.cut;
        if nothing && inner.epoch == epoch {
            inner.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(inner.take(epoch, now))
    }

    /// Everything that waits now for that connection, perhaps nothing.
    pub(crate) fn take_for(&self, epoch: u32, now: u64) -> Batch {
        self.lock().take(epoch, now)
    }

    /// Everything that waits now for whoever is connected.
    pub fn take(&self) -> Batch {
        let mut inner = self.lock();
        let epoch = inner.epoch;
        inner.take(epoch, 0)
    }

    /// Whether nobody looks at the client (XEP-0352), so that later presence takes the place of earlier.
    pub(crate) fn is_inactive(&self) -> bool {
        self.lock().held.is_some()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Stanzas and bytes that wait, those that were sent and not acknowledged included.
    pub(crate) fn load(&self) -> (usize, usize) {
        self.lock().load()
    }

    /// Wakes the connection, which looks around.
    pub fn wake(&self) {
        wake(self.lock());
    }

    /// The connection that the session has, or had last.
    pub fn epoch(&self) -> u32 {
        self.lock().epoch
    }

    /// Gives the session another connection. The one it had is told to go.
    pub(crate) fn attach(&self) -> u32 {
        let mut inner = self.lock();
        inner.epoch += 1;
        inner.detached = false;
        inner.cut = false;
        let epoch = inner.epoch;
        wake(inner);
        epoch
    }

    /// The session's connection is gone.
    pub(crate) fn detach(&self) {
        let mut inner = self.lock();
        inner.detached = true;
        inner.waker = None;
    }

    /// Counts what is sent from here on, and keeps it until it is acknowledged (XEP-0198 §3). `false` where
    /// that was so already.
    pub fn manage(&self) -> bool {
        let mut inner = self.lock();
        let fresh = inner.sent.is_none();
        inner.sent.get_or_insert_default();
        fresh
    }

    /// Whether what is sent is counted.
    pub fn is_managed(&self) -> bool {
        self.lock().sent.is_some()
    }

    /// XEP-0198 §4: the client has handled `h` stanzas. Returns the positions in the archive that it has now.
    ///
    /// # Errors
    /// How many it was sent, where that is less.
    pub fn acknowledge(&self, h: u32) -> Result<Vec<u64>, u32> {
        match &mut self.lock().sent {
            Some(sent) => sent.acknowledge(h),
            None => Err(0),
        }
    }

    /// XEP-0198 §5: another connection goes on from `h`. What was sent and not handled is the first to go
    /// out again. The client counts as looked at (XEP-0352 §5.2).
    ///
    /// # Errors
    /// How many it was sent, where that is less than `h`.
    pub(crate) fn rewind(
        &self,
        h: u32,
        stamp: impl FnMut(&mut Entry, u64),
    ) -> Result<Vec<u64>, u32> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let Some(sent) = &mut inner.sent else {
            return Err(0);
        };
        let positions = sent.acknowledge(h)?;
        for entry in sent.take_back(stamp) {
            inner.bytes += entry.len();
            inner.entries.push_front(entry);
        }
        inner.release_held();
        Ok(positions)
    }

    /// Makes what a restart left the session's own: `acknowledged` stanzas were handled, these were sent
    /// or wait.
    pub(crate) fn restore(&self, acknowledged: u32, entries: Vec<Entry>) {
        let mut inner = self.lock();
        inner.sent = Some(Box::new(Sent::of(acknowledged, entries)));
        inner.detached = true;
    }

    /// How many stanzas the client has acknowledged, and all it has not, in order. They stay.
    pub(crate) fn unacknowledged(&self) -> (u32, Vec<Entry>) {
        let inner = self.lock();
        let sent = inner.sent.as_ref();
        let mut all: Vec<Entry> = sent.map_or_else(Vec::new, |sent| sent.entries().collect());
        all.extend(inner.entries.iter().cloned());
        if let Some(held) = &inner.held {
            all.extend(held.entries().cloned());
        }
        (sent.map_or(0, |sent| sent.acknowledged()), all)
    }

    /// Whether anything is meant of what was not written yet or not acknowledged.
    pub(crate) fn any_unacknowledged(&self, is_meant: impl Fn(&Entry) -> bool) -> bool {
        let inner = self.lock();
        let mut sent = inner.sent.iter().flat_map(|sent| sent.kept());
        let mut held = inner.held.iter().flat_map(|held| held.entries());
        sent.any(&is_meant) || inner.entries.iter().any(&is_meant) || held.any(&is_meant)
    }

    /// Everything that the client never acknowledged: the session is over.
    pub(crate) fn close(&self) -> Vec<Entry> {
        let (_, all) = self.unacknowledged();
        let mut inner = self.lock();
        let end = inner.end.unwrap_or(StreamError::CONFLICT);
        *inner = Inner {
            end: Some(end),
            waker: inner.waker.take(),
            epoch: inner.epoch,
            ..Inner::default()
        };
        all
    }

    /// Whether somebody looks at the client (XEP-0352). When somebody does again, everything goes out.
    pub(crate) fn set_active(&self, active: bool) {
        let mut inner = self.lock();
        if active {
            inner.release_held();
            wake(inner);
        } else {
            inner.held.get_or_insert_default();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .expect("nothing panics while it holds this lock")
    }
}

impl Inner {
    /// Into the queue, or held back while nobody looks.
    fn take_in(&mut self, entry: Entry) {
        let Some(held) = &mut self.held else {
            self.bytes += entry.len();
            self.entries.push_back(entry);
            return;
        };
        for entry in held.take_in(entry) {
            self.bytes += entry.len();
            self.entries.push_back(entry);
        }
    }

    fn release_held(&mut self) {
        for entry in self
            .held
            .take()
            .map(|held| held.release())
            .unwrap_or_default()
        {
            self.bytes += entry.len();
            self.entries.push_back(entry);
        }
    }

    fn load(&self) -> (usize, usize) {
        let (stanzas, bytes) = self
            .sent
            .as_ref()
            .map_or((0, 0), |sent| (sent.len(), sent.bytes()));
        (stanzas + self.entries.len(), bytes + self.bytes)
    }

    fn hold_limits(&mut self) {
        let (stanzas, bytes) = self.load();
        if stanzas <= OUTBOX_STANZAS_MAX && bytes <= OUTBOX_BYTES_MAX {
            return;
        }
        if self.sent.is_some() && stanzas <= WAITING_STANZAS_MAX && bytes <= WAITING_BYTES_MAX {
            self.cut = !self.detached;
            return;
        }
        self.end =
            Some(StreamError::RESOURCE_CONSTRAINT.with_text("too many stanzas wait for you"));
        // With stream management their senders are told when the session is gone.
        if self.sent.is_none() {
            self.entries.clear();
        }
    }

    fn take(&mut self, epoch: u32, now: u64) -> Batch {
        if epoch != self.epoch {
            return Batch {
                end: Some(StreamError::CONFLICT.with_text("this session goes on elsewhere")),
                ..Batch::default()
            };
        }
        if self.cut && self.end.is_none() {
            return Batch {
                cut: true,
                ..Batch::default()
            };
        }
        self.bytes = 0;
        let entries = std::mem::take(&mut self.entries);
        let ask = match &mut self.sent {
            Some(sent) => {
                sent.keep(&entries, now);
                sent.ask(now)
            }
            None => Ask::No,
        };
        Batch {
            entries,
            end: self.end,
            cut: false,
            ask,
            unmanaged: self.sent.is_none(),
        }
    }
}

fn wake(mut inner: MutexGuard<'_, Inner>) {
    let waker = inner.waker.take();
    drop(inner);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;
