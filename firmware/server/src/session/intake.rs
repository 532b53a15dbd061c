//! What a client has sent and how much of it is done: the `h` that it is told (XEP-0198 §4).
//!
//! A stanza is handled when everything that it caused is on disk, routed stanzas and their writes included
//! (DESIGN §6). Each counted stanza has a place here with the work that is still open and the last ticket of
//! the store behind it; `h` is the longest prefix of places that are done.

use crate::limits::PLACES_KEPT;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};
use store::{Durable, Store, Ticket};

/// The stanzas of one session, from the oldest that is not handled.
#[derive(Default)]
pub(crate) struct Intake {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    counting: bool,
    /// Handled for good, modulo 2^32.
    handled: u32,
    places: VecDeque<Place>,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Default)]
struct Place {
    /// Consequences on their way, and one for the stanza itself.
    open: u32,
    ticket: Ticket,
}

/// Somebody whose stanzas are counted: a session, or another server's stream.
pub(crate) trait Counted: Send + Sync {
    fn intake(&self) -> &Intake;
}

/// A counted stanza, as those see it who carry its consequences. The last one dropped closes its place.
pub(crate) struct Cause {
    by: Arc<dyn Counted>,
    /// Its count, modulo 2^32.
    number: u32,
}

impl Intake {
    /// Counts from here on.
    pub(crate) fn start(&self) {
        self.lock().counting = true;
    }

    /// Goes on counting where a restart interrupted it.
    pub(crate) fn restore(&self, handled: u32) {
        let mut inner = self.lock();
        inner.counting = true;
        inner.handled = handled;
    }

    /// Counts a stanza. `None` where nobody counts.
    pub(crate) fn begin(by: &Arc<impl Counted + 'static>) -> Option<Cause> {
        let mut inner = by.intake().lock();
        if !inner.counting {
            return None;
        }
        inner.places.push_back(Place {
            open: 1,
            ticket: Ticket::NONE,
        });
        Some(Cause {
            number: inner.received(),
            by: by.clone(),
        })
    }

    /// How many are handled, and whether that is all that came.
    pub(crate) fn handled(&self, store: &Store) -> (u32, bool) {
        let mut inner = self.lock();
        inner.settle(store);
        (inner.handled, inner.places.is_empty())
    }

    /// How many are handled once everything that is queued now is on disk: what a restart may go on from.
    pub(crate) fn queued(&self) -> u32 {
        let inner = self.lock();
        let closed = inner.places.iter().take_while(|place| place.open == 0);
        inner.handled.wrapping_add(closed.count() as u32)
    }

    /// Stanzas that are not handled yet.
    pub(crate) fn pending(&self) -> usize {
        self.lock().places.len()
    }

    /// Whether more than so many are not handled yet.
    pub(crate) fn is_behind(&self, store: &Store, max: usize) -> bool {
        let mut inner = self.lock();
        inner.settle(store);
        inner.places.len() > max
    }

    /// Whether the disk has not taken what a stanza caused: it is never handled, and nothing behind it. What
    /// the client sent from there on it has to send again, in another session.
    pub(crate) fn is_broken(&self, store: &Store) -> bool {
        let mut inner = self.lock();
        inner.settle(store);
        inner.is_broken(store)
    }

    /// Ready with the count when everything that came is handled, or nothing more will be.
    pub(crate) fn poll_handled(
        by: &Arc<impl Counted + 'static>,
        store: &Store,
        cx: &mut Context<'_>,
    ) -> Poll<u32> {
        let mut inner = by.intake().lock();
        inner.settle(store);
        if inner.places.is_empty() || inner.is_broken(store) {
            return Poll::Ready(inner.handled);
        }
        inner.waker = Some(cx.waker().clone());
        let busy = inner.places.iter().any(|place| place.open > 0);
        let last = inner.places.iter().map(|place| place.ticket).max();
        drop(inner);
        // While work is open its end wakes us; then the disk does.
        if let (false, Some(last)) = (busy, last) {
            let waiting = by.clone();
            store.when_durable(last, Box::new(move |_| waiting.intake().wake()));
        }
        Poll::Pending
    }

    fn wake(&self) {
        let waker = self.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Everything that came, modulo 2^32.
    fn received(&self) -> u32 {
        self.handled.wrapping_add(self.places.len() as u32)
    }

    /// Counts what is done. A ticket that failed is never done ([`Intake::is_broken`]).
    fn settle(&mut self, store: &Store) {
        while let Some(place) = self.places.front() {
            let done = place.open == 0
                && (place.ticket == Ticket::NONE
                    || store.is_durable(place.ticket) == Some(Durable::Yes));
            if !done {
                return;
            }
            self.places.pop_front();
            self.handled = self.handled.wrapping_add(1);
        }
        if self.places.capacity() > PLACES_KEPT {
            self.places = VecDeque::new();
        }
    }

    /// Once what is done is counted.
    fn is_broken(&self, store: &Store) -> bool {
        self.places.front().is_some_and(|place| {
            place.open == 0
                && place.ticket != Ticket::NONE
                && store.is_durable(place.ticket) == Some(Durable::No)
        })
    }

    fn place(&mut self, number: u32) -> Option<&mut Place> {
        let behind = self.received().wrapping_sub(number) as usize;
        let index = self.places.len().checked_sub(behind + 1)?;
        self.places.get_mut(index)
    }
}

impl Cause {
    /// The store has this to write before the stanza is handled.
    pub(crate) fn note(&self, ticket: Ticket) {
        if let Some(place) = self.by.intake().lock().place(self.number) {
            place.ticket = place.ticket.max(ticket);
        }
    }
}

impl Clone for Cause {
    fn clone(&self) -> Cause {
        if let Some(place) = self.by.intake().lock().place(self.number) {
            place.open += 1;
        }
        Cause {
            by: self.by.clone(),
            number: self.number,
        }
    }
}

impl Drop for Cause {
    fn drop(&mut self) {
        let mut inner = self.by.intake().lock();
        if let Some(place) = inner.place(self.number) {
            place.open = place.open.saturating_sub(1);
        }
        let waker = inner.waker.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
