//! What waits for a session: bounded, its content shared with every other outbox that holds the same stanza.

use crate::limits::{OUTBOX_BYTES_MAX, OUTBOX_STANZAS_MAX};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};
use xmpp::{Entry, StreamError};

/// The queue between the server and one connection. Pushing never blocks; the connection is woken once per
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
}

/// Everything that waited at one moment.
#[derive(Debug, Default)]
pub struct Batch {
    pub entries: VecDeque<Entry>,
    /// The stream ends behind these entries.
    pub end: Option<StreamError>,
}

impl Outbox {
    /// Queues a stanza. Over the limit the session ends with `resource-constraint`: the reader is too slow.
    pub fn push(&self, entry: Entry) {
        let mut inner = self.lock();
        if inner.end.is_some() {
            return;
        }
        inner.bytes += entry.len();
        inner.entries.push_back(entry);
        if inner.entries.len() > OUTBOX_STANZAS_MAX || inner.bytes > OUTBOX_BYTES_MAX {
            inner.end =
                Some(StreamError::RESOURCE_CONSTRAINT.with_text("too many stanzas wait for you"));
            inner.entries.clear();
        }
        wake(inner);
    }

    /// Ends the stream behind what waits already. The first reason stays.
    pub fn end(&self, error: StreamError) {
        let mut inner = self.lock();
        inner.end.get_or_insert(error);
        wake(inner);
    }

    /// Everything that waits, or `Pending` with the waker kept.
    pub fn poll_batch(&self, cx: &mut Context<'_>) -> Poll<Batch> {
        let mut inner = self.lock();
        if inner.entries.is_empty() && inner.end.is_none() {
            inner.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(inner.take())
    }

    /// Everything that waits now, perhaps nothing.
    pub fn take(&self) -> Batch {
        self.lock().take()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .expect("nothing panics while it holds this lock")
    }
}

impl Inner {
    fn take(&mut self) -> Batch {
        self.bytes = 0;
        Batch {
            entries: std::mem::take(&mut self.entries),
            end: self.end,
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
