//! A component that is connected, as the rest of the server sees it: which queue it carries, and how it is
//! told to go.

use crate::s2s::Remote;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};
use xmpp::{Jid, StreamError};

pub(crate) struct Line {
    /// The component's domain.
    pub(super) name: Jid,
    /// What waits for it.
    pub(super) queue: Arc<Remote>,
    /// Of the stream, for the queue.
    pub(super) number: u64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    end: Option<StreamError>,
    /// Somebody else would like its place.
    doubted: bool,
    waker: Option<Waker>,
}

/// What a line has for its stream, besides stanzas.
pub(super) struct News {
    /// The stream ends.
    pub(super) end: Option<StreamError>,
    /// It is to be tried whether it is alive.
    pub(super) doubted: bool,
}

impl Line {
    pub(super) fn new(name: Jid, queue: Arc<Remote>, number: u64) -> Line {
        Line {
            name,
            queue,
            number,
            inner: Mutex::default(),
        }
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

    pub(super) fn news(&self) -> News {
        let mut inner = self.lock();
        News {
            end: inner.end,
            doubted: std::mem::take(&mut inner.doubted),
        }
    }

    /// Ready while there is news.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if inner.end.is_some() || inner.doubted {
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
