//! One of our domains and one of somebody else's: what waits to be sent, and who carries it.
//!
//! State: the queue, the link that has it, and after a failure until when nobody tries again. The lock is the
//! last one anybody takes; nothing is called while it is held.

use super::shares::Share;
use crate::{
    s2s::limits::{
        REMOTE_BROKEN_MAX, REMOTE_BYTES_MAX, REMOTE_HOLD_MS_FIRST, REMOTE_HOLD_MS_MAX,
        REMOTE_REST_MS_FIRST, REMOTE_REST_MS_MAX, REMOTE_STANZAS_MAX,
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
    /// After a failure.
    rest: Option<Rest>,
    /// From when on somebody calls again for what waits here without a carrier, in elapsed milliseconds.
    held_until: u64,
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
    /// The room that it takes.
    pub(crate) _share: Option<Share>,
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

    /// A link is open and sends from now on what waits; `false` where another one does.
    pub(crate) fn attach(&self, link: u64) -> bool {
        let mut inner = self.lock();
        if matches!(inner.carrier, Carrier::Link(_)) {
            return false;
        }
        inner.carrier = Carrier::Link(link);
        inner.rest = None;
        wake(inner); // whoever rests
        true
    }

    /// The same, whoever sends it now: a component of this house has the queue before any server that says
    /// it is of that name.
    pub(crate) fn take_over(&self, link: u64) {
        let mut inner = self.lock();
        inner.carrier = Carrier::Link(link);
        inner.rest = None;
        wake(inner);
    }

    /// Their server is there: nobody needs to wait any longer before calling it. Whether somebody has to.
    pub(crate) fn is_alive(&self) -> bool {
        let mut inner = self.lock();
        inner.rest = None;
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
        if inner.carrier == Carrier::Link(link) {
            inner.carrier = Carrier::Nobody;
        }
        let call = inner.carrier == Carrier::Nobody && !inner.waiting.is_empty();
        if call {
            inner.carrier = Carrier::Caller;
        } else {
            wake(inner); // another link has it, and something to send
        }
        call
    }

    /// The link broke with all that under way: it goes first over the next one, but for what was on the line
    /// each time that broke. Whether somebody has to call, and that of which senders are to be told.
    pub(crate) fn lost(
        &self,
        link: u64,
        sent: impl IntoIterator<Item = Waiting>,
    ) -> (bool, Vec<Waiting>) {
        let sent = sent.into_iter().map(|waiting| Waiting {
            broken: waiting.broken + 1,
            ..waiting
        });
        let (over, back) = sent.partition(|waiting| waiting.broken >= REMOTE_BROKEN_MAX);
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

    /// Whether all that waits answers somebody there, who need not be anybody's friend.
    pub(crate) fn only_answers(&self) -> bool {
        let waiting: Vec<Entry> = self
            .lock()
            .waiting
            .iter()
            .map(|it| it.entry.clone())
            .collect();
        waiting.iter().all(is_answer)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const FULL: StanzaError =
    StanzaError::RESOURCE_CONSTRAINT.with_text("too much waits for this server already");

/// Whether a stanza was caused by one from there, and nobody here decided to send it: RFC 6120 §8.2.3 and
/// §8.3.1, and for presence RFC 6121 §4.3.2 (a probe of somebody who may not see it).
fn is_answer(entry: &Entry) -> bool {
    let stanza = entry.to_stanza();
    let type_ = stanza.as_ref().map_or("", |stanza| stanza.type_());
    match entry.kind {
        Kind::Iq => matches!(type_, "result" | "error"),
        Kind::Message => type_ == "error",
        Kind::Presence => matches!(type_, "error" | "unsubscribed"),
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
mod tests {
    use super::*;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        task::Wake,
    };

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    struct Same(u8);

    impl Dice for Same {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn remote() -> Remote {
        let jid = |text| Jid::parse(text).unwrap();
        Remote::new(jid("home.example"), jid("far.example"))
    }

    fn waiting(row: Option<u64>) -> Waiting {
        Waiting {
            entry: Entry::compose(Kind::Message, None, &[], String::new()),
            row,
            broken: 0,
            at: 0,
            _share: None,
        }
    }

    fn push(remote: &Remote, row: Option<u64>, now: u64) -> Result<Queued, StanzaError> {
        remote.push(waiting(row), now).map_err(|(_, error)| error)
    }

    #[test]
    fn one_caller_and_one_link_at_a_time() {
        let remote = remote();
        assert_eq!(push(&remote, None, 0), Ok(Queued::Call));
        assert_eq!(push(&remote, None, 0), Ok(Queued::Carried));
        assert!(remote.take(1, usize::MAX).is_empty());
        assert!(remote.attach(1));
        assert!(!remote.attach(2));
        assert_eq!(remote.take(2, usize::MAX).len(), 0);
        let taken = remote.take(1, usize::MAX);
        assert_eq!(taken.len(), 2);
        assert!(!remote.is_idle(0));
        assert!(remote.detach(1, taken)); // what broke is called for again
        assert_eq!(remote.waiting(), 2);
    }

    #[test]
    fn a_component_takes_over_and_gets_what_comes_back() {
        let remote = remote();
        push(&remote, Some(1), 0).unwrap();
        assert!(remote.attach(1));
        let taken = remote.take(1, usize::MAX);
        remote.take_over(2);
        assert!(remote.take(1, usize::MAX).is_empty());
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut cx = Context::from_waker(&waker);
        assert!(remote.poll(2, &mut cx).is_pending());
        let (call, over) = remote.lost(1, taken);
        assert!(!call && over.is_empty());
        assert!(woken.0.load(Ordering::Relaxed));
        assert!(remote.poll(2, &mut cx).is_ready());
        assert!(remote.is_carried());
    }

    #[test]
    fn what_was_under_way_when_two_links_broke_is_given_up() {
        let remote = remote();
        push(&remote, Some(1), 0).unwrap();
        for (link, call, over) in [(1, true, 0), (2, false, 1)] {
            assert!(remote.attach(link));
            let taken = remote.take(link, usize::MAX);
            let (called, lost) = remote.lost(link, taken);
            assert_eq!((called, lost.len()), (call, over), "link {link}");
        }
        assert!(remote.is_idle(0));
    }

    #[test]
    fn failures_are_told_at_once_and_what_is_kept_waits() {
        let remote = remote();
        let error = StanzaError::REMOTE_SERVER_TIMEOUT;
        let mut now = 0;
        let mut rests = Vec::new();
        for _ in 0..8 {
            assert_eq!(push(&remote, Some(1), now), Ok(Queued::Call));
            assert_eq!(remote.fail(error, now, &Same(0)).unwrap().len(), 1);
            assert!(!remote.hold(Vec::new(), now));
            assert_eq!(push(&remote, None, now), Err(error));
            rests.push(remote.rests_until() - now);
            now = remote.rests_until();
        }
        assert_eq!(
            rests,
            [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]
        );
        remote.fail(error, now, &Same(255)).unwrap();
        remote.hold(Vec::new(), now);
        assert!(remote.rests_until() - now > 59_000);
        remote.is_alive();
        assert_eq!(push(&remote, None, now), Ok(Queued::Call));
    }

    #[test]
    fn answers_are_told_from_what_somebody_wants() {
        let answers = [
            (Kind::Iq, "result"),
            (Kind::Iq, "error"),
            (Kind::Message, "error"),
            (Kind::Presence, "error"),
            (Kind::Presence, "unsubscribed"),
        ];
        let wanted = [
            (Kind::Iq, "get"),
            (Kind::Iq, "set"),
            (Kind::Message, "chat"),
            (Kind::Message, ""),
            (Kind::Presence, ""),
            (Kind::Presence, "probe"),
            (Kind::Presence, "subscribe"),
        ];
        let push = |remote: &Remote, (kind, type_): (Kind, &str)| {
            let type_ = [("type", type_)];
            let type_ = if type_[0].1.is_empty() {
                &[][..]
            } else {
                &type_
            };
            let entry = Entry::compose(kind, None, type_, String::new());
            let entry = Waiting {
                entry,
                ..waiting(None)
            };
            remote.push(entry, 0).map_err(|(_, error)| error).unwrap();
        };
        for it in wanted {
            let remote = remote();
            for answer in answers {
                push(&remote, answer);
            }
            assert!(remote.only_answers());
            push(&remote, it);
            assert!(!remote.only_answers(), "{it:?}");
        }
    }

    #[test]
    fn what_is_held_is_called_for_seldom_and_goes_first() {
        let remote = remote();
        let error = StanzaError::REMOTE_SERVER_TIMEOUT;
        push(&remote, Some(1), 0).unwrap();
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..7 {
            let held = remote.fail(error, now, &Same(0)).unwrap();
            remote.hold(held, now);
            let last = now;
            now = remote.lock().held_until;
            assert!(!remote.is_due(now - 1));
            assert!(remote.is_due(now));
            assert!(!remote.is_due(now), "one caller is enough");
            pauses.push((now - last) / 1_000);
        }
        assert_eq!(pauses, [60, 120, 240, 480, 900, 900, 900]);
        remote.hold(remote.fail(error, now, &Same(0)).unwrap(), now);
        assert!(remote.is_alive(), "somebody has to call");
        assert!(!remote.is_idle(u64::MAX));
        push(&remote, Some(2), now).unwrap();
        remote.attach(1);
        let taken = remote.take(1, usize::MAX);
        let rows: Vec<_> = taken.iter().map(|waiting| waiting.row).collect();
        assert_eq!(rows, [Some(1), Some(2)]);
    }

    #[test]
    fn what_may_wait_is_bounded() {
        let remote = remote();
        for _ in 0..REMOTE_STANZAS_MAX {
            push(&remote, None, 0).unwrap();
        }
        assert_eq!(push(&remote, None, 0), Err(FULL));
        assert!(remote.attach(1));
        assert_eq!(remote.take(1, 1).len(), 1);
        assert_eq!(push(&remote, None, 0), Ok(Queued::Carried));
    }
}
