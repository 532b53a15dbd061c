//! Who carries a queue, and what waits in it.

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
        asked: false,
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
    remote.withdraw(2);
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
        let mut taken = remote.take(link, usize::MAX);
        taken[0].broken += 1;
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
fn a_link_that_came_later_carries_what_the_first_one_leaves() {
    let remote = remote();
    push(&remote, Some(1), 0).unwrap();
    assert!(remote.attach(1));
    let taken = remote.take(1, usize::MAX);
    for link in [2, 3, 4] {
        assert!(!remote.attach(link));
    }
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(remote.poll(3, &mut cx).is_pending());
    push(&remote, Some(2), 0).unwrap();
    assert!(remote.take(3, usize::MAX).is_empty(), "not its turn");
    remote.withdraw(4);
    assert!(!remote.detach(1, taken), "nobody has to call");
    assert!(woken.0.load(Ordering::Relaxed));
    assert!(remote.poll(3, &mut cx).is_ready());
    let rows: Vec<_> = remote.take(3, usize::MAX).iter().map(|it| it.row).collect();
    assert_eq!(rows, [Some(1), Some(2)]);
    assert!(!remote.detach(3, Vec::new()));
    assert!(remote.is_carried(), "by the second");
    remote.detach(2, Vec::new());
    assert!(!remote.is_carried());
}

#[test]
fn only_what_nobody_here_decided_to_send_waits_apart() {
    let remote = remote();
    let asked = |asked| Waiting {
        asked,
        ..waiting(None)
    };
    assert!(remote.push(asked(true), 0).is_ok());
    assert!(remote.only_answers());
    assert!(remote.push(asked(false), 0).is_ok());
    assert!(!remote.only_answers());
}

#[test]
fn why_nobody_gets_through_is_known_until_somebody_does() {
    let remote = remote();
    assert!(remote.note_fault(&"x".repeat(REMOTE_FAULT_CHARS_MAX + 1), 7));
    assert!(!remote.note_fault("it is down", 8));
    assert_eq!(remote.fault(), Some((8, "it is down".to_owned())));
    remote.attach(1);
    assert_eq!(remote.fault(), None);
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
