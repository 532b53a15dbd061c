//! A component that is connected, as the rest of the server sees it: where stanzas for it are put, and how
//! it is told to go.

use crate::limits::{OUTBOX_BYTES_MAX, OUTBOX_STANZAS_MAX};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};
use xmpp::{Entry, Jid, StreamError};

pub(crate) struct Line {
    /// The component's domain.
    pub(crate) name: Jid,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: VecDeque<Entry>,
    bytes: usize,
    end: Option<StreamError>,
    /// Somebody else would like its place.
    doubted: bool,
    waker: Option<Waker>,
}

/// What a line has for its stream.
pub(super) struct News {
    pub(super) entries: VecDeque<Entry>,
    /// The stream ends behind these entries.
    pub(super) end: Option<StreamError>,
    /// It is to be tried whether it is alive.
    pub(super) doubted: bool,
}

impl Line {
    pub(super) fn new(name: Jid) -> Line {
        Line {
            name,
            inner: Mutex::default(),
        }
    }

    /// Queues a stanza; `false` where too much waits already.
    pub(super) fn offer(&self, entry: Entry) -> bool {
        let mut inner = self.lock();
        let bytes = inner.bytes + entry.len();
        if inner.entries.len() >= OUTBOX_STANZAS_MAX || bytes > OUTBOX_BYTES_MAX {
            return false;
        }
        inner.bytes = bytes;
        inner.entries.push_back(entry);
        wake(inner);
        true
    }

    /// Ends the stream. The first reason stays.
    pub(super) fn end(&self, error: StreamError) {
        let mut inner = self.lock();
        inner.end.get_or_insert(error);
        wake(inner);
    }

    /// Has the stream write something, so that a dead one is found out.
    pub(super) fn doubt(&self) {
        let mut inner = self.lock();
        inner.doubted = true;
        wake(inner);
    }

    /// Everything that waits now.
    pub(super) fn take(&self) -> News {
        let mut inner = self.lock();
        inner.bytes = 0;
        News {
            entries: std::mem::take(&mut inner.entries),
            end: inner.end,
            doubted: std::mem::take(&mut inner.doubted),
        }
    }

    /// Ready while something waits.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if inner.end.is_some() || inner.doubted || !inner.entries.is_empty() {
            return Poll::Ready(());
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(mut inner: MutexGuard<'_, Inner>) {
    let waker = inner.waker.take();
    drop(inner);
    if let Some(waker) = waker {
        waker.wake();
    }
}
