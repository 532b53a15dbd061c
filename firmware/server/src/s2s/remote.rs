//! One of our domains and one of somebody else's: what waits to be sent, and who carries it.
//!
//! State: the queue, the link that has it, and after a failure until when nobody tries again. The lock is the
//! last one anybody takes; nothing is called while it is held.

use super::shares::Share;
use crate::{
    s2s::limits::{
        REMOTE_BROKEN_MAX, REMOTE_BYTES_MAX, REMOTE_FAULT_CHARS_MAX, REMOTE_HOLD_MS_FIRST,
        REMOTE_HOLD_MS_MAX, REMOTE_REST_MS_FIRST, REMOTE_REST_MS_MAX, REMOTE_STANZAS_MAX,
    },
    world::{Dice, Timestamp},
};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};
use xmpp::{Entry, Jid, Kind, StanzaError};

/// A connection to another server and its queue.
pub struct Remote {
    /// Our domain.
    pub ours: Jid,
    /// Theirs.
    pub theirs: Jid,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    carrier: Carrier,
    waker: Option<Waker>,
    /// Links that could carry it, too, when the one that does is gone; the newest last. No more than one
    /// domain may have.
    candidates: Vec<Candidate>,
    /// After a failure.
    rest: Option<Rest>,
    /// From when on somebody calls again for what waits here without a carrier, in elapsed milliseconds.
    held_until: u64,
    /// Why nobody got through last time, and when, milliseconds since 1970.
    fault: Option<(Timestamp, String)>,
}

/// A link that waits for its turn.
struct Candidate {
    link: u64,
    waker: Option<Waker>,
}

/// Who sends what waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Carrier {
    #[default]
    Nobody,
    /// Somebody tries to get through.
    Caller,
    /// The link of this number.
    Link(u64),
}

/// A stanza on its way.
pub(crate) struct Waiting {
    pub(crate) entry: Entry,
    /// Its row on disk, where it has one.
    pub(crate) row: Option<u64>,
    /// How many links broke while they had it.
    pub(crate) broken: u8,
    /// When it was sent, milliseconds since 1970.
    pub(crate) at: Timestamp,
    /// Others caused it: nobody of this house decided to send it.
    pub(crate) asked: bool,
    /// The room that it takes.
    pub(crate) _share: Option<Share>,
}

impl Waiting {
    /// Whether somebody misses it if it is lost on the line: a request has to be answered.
    pub(crate) fn matters(&self) -> bool {
        let entry = &self.entry;
        let is = |type_: &[u8]| entry.head.windows(type_.len()).any(|part| part == type_);
        self.row.is_some() || entry.kind == Kind::Iq && (is(b" type='get'") || is(b" type='set'"))
    }
}

/// Nobody gets through: what is known about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    /// In elapsed milliseconds.
    pub(crate) until: u64,
    failures: u32,
    pub(crate) error: StanzaError,
}

/// What is to be done for a stanza that was queued.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Queued {
    /// Its carrier was woken.
    Carried,
    /// Somebody has to call.
    Call,
}

impl Remote {
    pub(crate) fn new(ours: Jid, theirs: Jid) -> Remote {
        Remote {
            ours,
            theirs,
            inner: Mutex::default(),
        }
    }

    /// Queues a stanza. Refused where too much waits; and while it is known that nobody gets through,
    /// unless the stanza can wait for that on disk. What is refused comes back.
    pub(crate) fn push(
        &self,
        waiting: Waiting,
        now: u64,
    ) -> Result<Queued, (Box<Waiting>, StanzaError)> {
        let mut inner = self.lock();
        let resting = inner.rest.filter(|rest| rest.until > now);
        let is_open = matches!(inner.carrier, Carrier::Link(_));
        if let (Some(rest), false, None) = (resting, is_open, waiting.row) {
            return Err((Box::new(waiting), rest.error));
        }
        let length = waiting.entry.len();
        if inner.waiting.len() >= REMOTE_STANZAS_MAX || inner.bytes + length > REMOTE_BYTES_MAX {
            return Err((Box::new(waiting), FULL));
        }
        inner.bytes += length;
        inner.waiting.push_back(waiting);
        if inner.carrier == Carrier::Nobody {
            inner.carrier = Carrier::Caller;
            return Ok(Queued::Call);
        }
        wake(inner);
        Ok(Queued::Carried)
    }

    /// Queues what was let in before a restart, however much that is.
    pub(crate) fn resume(&self, waiting: Waiting) -> Queued {
        let mut inner = self.lock();
        inner.bytes += waiting.entry.len();
        inner.waiting.push_back(waiting);
        if inner.carrier == Carrier::Nobody {
            inner.carrier = Carrier::Caller;
            return Queued::Call;
        }
        wake(inner);
        Queued::Carried
    }

    /// A link is open and sends from now on what waits; `false` where another one does. Then its turn comes
    /// when that one is gone, and not before: what is on that line goes first (RFC 6120 §10.1).
    pub(crate) fn attach(&self, link: u64) -> bool {
        let mut inner = self.lock();
        inner.fault = None;
        match inner.carrier {
            Carrier::Link(carrier) if carrier == link => return true,
            Carrier::Link(_) => {
                if inner.candidates.iter().all(|it| it.link != link) {
                    inner.candidates.push(Candidate { link, waker: None });
                }
                return false;
            }
            Carrier::Nobody | Carrier::Caller => {}
        }
        inner.carrier = Carrier::Link(link);
        inner.rest = None;
        wake(inner); // whoever rests
        true
    }

    /// That link is about to go: its turn does not come any more.
    pub(crate) fn withdraw(&self, link: u64) {
        self.lock().candidates.retain(|it| it.link != link);
    }

    /// The same, whoever sends it now: a component of this house has the queue before any server that says
    /// it is of that name.
    pub(crate) fn take_over(&self, link: u64) {
        let mut inner = self.lock();
        inner.carrier = Carrier::Link(link);
        inner.candidates.clear();
        (inner.rest, inner.fault) = (None, None);
        wake(inner);
    }

    /// Their server is there: nobody needs to wait any longer before calling it. Whether somebody has to.
    pub(crate) fn is_alive(&self) -> bool {
        let mut inner = self.lock();
        inner.rest = None;
        inner.held_until = 0;
        let call = inner.carrier == Carrier::Nobody && !inner.waiting.is_empty();
        if call {
            inner.carrier = Carrier::Caller;
        }
        wake(inner);
        call
    }

    /// Ready when it is known that their server is there, or nothing is known against it.
    pub(crate) fn poll_alive(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if inner.rest.is_none() {
            return Poll::Ready(());
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The link is gone; what it was not told to have arrived comes back, before all that waits. Whether
    /// somebody has to call.
    pub(crate) fn detach(&self, link: u64, back: Vec<Waiting>) -> bool {
        let mut inner = self.lock();
        for waiting in back.into_iter().rev() {
            inner.bytes += waiting.entry.len();
            inner.waiting.push_front(waiting);
        }
        inner.candidates.retain(|it| it.link != link);
        if inner.carrier == Carrier::Link(link) {
            inner.carrier = Carrier::Nobody;
            if let Some(next) = inner.candidates.pop() {
                inner.carrier = Carrier::Link(next.link);
                inner.waker = next.waker;
            }
        }
        let call = inner.carrier == Carrier::Nobody && !inner.waiting.is_empty();
        if call {
            inner.carrier = Carrier::Caller;
        } else {
            wake(inner); // another link has it, and something to send
        }
        call
    }

    /// The link broke with all that under way: it goes first over the next one, but for requests, which may
    /// have been carried out, and what was on the line each time that broke. Whether somebody has to call,
    /// and that of which senders are to be told.
    pub(crate) fn lost(
        &self,
        link: u64,
        sent: impl IntoIterator<Item = Waiting>,
    ) -> (bool, Vec<Waiting>) {
        let is_over =
            |waiting: &Waiting| waiting.row.is_none() || waiting.broken >= REMOTE_BROKEN_MAX;
        let (over, back) = sent.into_iter().partition(is_over);
        (self.detach(link, back), over)
    }

    /// What waits, for the link that has it, up to about so many bytes.
    pub(crate) fn take(&self, link: u64, bytes_max: usize) -> Vec<Waiting> {
        let mut inner = self.lock();
        if inner.carrier != Carrier::Link(link) {
            return Vec::new();
        }
        let mut taken = Vec::new();
        let mut bytes = 0;
        while bytes < bytes_max
            && let Some(waiting) = inner.waiting.pop_front()
        {
            bytes += waiting.entry.len();
            taken.push(waiting);
        }
        inner.bytes = inner.bytes.saturating_sub(bytes);
        if inner.waiting.is_empty() {
            inner.waiting = VecDeque::new();
        }
        taken
    }

    /// Ready while something waits for that link.
    pub(crate) fn poll(&self, link: u64, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if inner.carrier != Carrier::Link(link) {
            if let Some(own) = inner.candidates.iter_mut().find(|it| it.link == link) {
                own.waker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        if !inner.waiting.is_empty() {
            return Poll::Ready(());
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Nobody got through: everything that waits, for its senders to be told. For a while nobody tries
    /// again: longer with each failure, and not for all servers at the same moment. [`Remote::hold`] comes
    /// next; `None` where a link has it, for they have called us meanwhile.
    pub(crate) fn fail(
        &self,
        error: StanzaError,
        now: u64,
        dice: &dyn Dice,
    ) -> Option<Vec<Waiting>> {
        let mut inner = self.lock();
        if matches!(inner.carrier, Carrier::Link(_)) {
            return None;
        }
        let failures = inner.rest.map_or(0, |rest| rest.failures) + 1;
        let whole = (REMOTE_REST_MS_FIRST << failures.min(16) >> 1).min(REMOTE_REST_MS_MAX);
        let mut random = [0];
        dice.fill(&mut random);
        let until = now + whole / 2 + whole * u64::from(random[0]) / 512;
        inner.rest = Some(Rest {
            until,
            failures,
            error,
        });
        // Until it is decided what is held: that goes before what comes now.
        inner.carrier = Carrier::Caller;
        inner.bytes = 0;
        Some(std::mem::take(&mut inner.waiting).into())
    }

    /// Takes back what can wait longer than anybody tried, and comes before what came meanwhile. The longer
    /// nobody gets through, the less often it is tried. Whether somebody has to call, once the rest is over:
    /// for what came meanwhile.
    pub(crate) fn hold(&self, held: Vec<Waiting>, now: u64) -> bool {
        let mut inner = self.lock();
        let call = inner.carrier == Carrier::Caller && !inner.waiting.is_empty();
        if inner.carrier == Carrier::Caller && !call {
            inner.carrier = Carrier::Nobody;
        }
        let failures = inner.rest.map_or(0, |rest| rest.failures);
        let pause = (REMOTE_HOLD_MS_FIRST << failures.min(16)).min(REMOTE_HOLD_MS_MAX);
        inner.held_until = now + pause;
        for waiting in held.into_iter().rev() {
            inner.bytes += waiting.entry.len();
            inner.waiting.push_front(waiting);
        }
        wake(inner); // a link may have come meanwhile
        call
    }

    /// Notes why nobody got through, for people. Whether that is news: the first time since somebody did.
    pub(crate) fn note_fault(&self, why: &str, at: Timestamp) -> bool {
        let why = why.chars().take(REMOTE_FAULT_CHARS_MAX).collect();
        self.lock().fault.replace((at, why)).is_none()
    }

    /// Why nobody got through last time, and when, milliseconds since 1970; nothing where somebody has since.
    pub(crate) fn fault(&self) -> Option<(Timestamp, String)> {
        self.lock().fault.clone()
    }

    /// Whether somebody has to call now for what is held.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        let mut inner = self.lock();
        let is_resting = inner.rest.is_some_and(|rest| rest.until > now);
        let is_due = inner.carrier == Carrier::Nobody
            && !inner.waiting.is_empty()
            && !is_resting
            && inner.held_until <= now;
        if is_due {
            inner.carrier = Carrier::Caller;
        }
        is_due
    }

    /// Whether it is still a caller's: nobody called us meanwhile.
    pub(crate) fn is_called(&self) -> bool {
        self.lock().carrier == Carrier::Caller
    }

    /// Whether some link has it.
    pub(crate) fn is_carried(&self) -> bool {
        matches!(self.lock().carrier, Carrier::Link(_))
    }

    /// Until when whoever calls has to wait, in elapsed milliseconds.
    pub(crate) fn rests_until(&self) -> u64 {
        self.lock().rest.map_or(0, |rest| rest.until)
    }

    /// Whether nothing would be lost if it were forgotten.
    pub(crate) fn is_idle(&self, now: u64) -> bool {
        let inner = self.lock();
        let is_rested = inner.rest.is_none_or(|rest| rest.until <= now);
        inner.carrier == Carrier::Nobody && inner.waiting.is_empty() && is_rested
    }

    /// Stanzas that wait.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Whether all that waits was caused by others, who need not be anybody's friends.
    pub(crate) fn only_answers(&self) -> bool {
        self.lock().waiting.iter().all(|waiting| waiting.asked)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const FULL: StanzaError =
    StanzaError::RESOURCE_CONSTRAINT.with_text("too much waits for this server already");

fn wake(mut inner: MutexGuard<'_, Inner>) {
    let waker = inner.waker.take();
    drop(inner);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;
