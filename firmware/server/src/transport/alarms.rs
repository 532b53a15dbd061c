//! What wakes a connection besides its peer and its outbox: its deadline, and the end of the server.
//!
//! Both stand for as long as the connection does. Most deadlines move away with every stanza: the timer stays
//! where it is, and is set again when it goes off too early, instead of with each message.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// Why a connection is woken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    /// The deadline has passed, or an earlier one has.
    Time,
    /// The server ends. Told once.
    Stop,
}

pub(super) struct Alarms<'a, F> {
    stop: Pin<&'a mut F>,
    is_stopped: bool,
    time: Pin<&'a mut Sleep>,
    /// What the timer is set to, in elapsed milliseconds.
    set_to: u64,
}

impl<'a, F: Future<Output = ()>> Alarms<'a, F> {
    /// `stop` ends when the server does; `time` is a timer, whatever it is set to.
    pub(super) fn new(stop: Pin<&'a mut F>, time: Pin<&'a mut Sleep>) -> Alarms<'a, F> {
        Alarms {
            stop,
            is_stopped: false,
            time,
            set_to: u64::MAX,
        }
    }

    /// Goes off at `deadline` or earlier; both are elapsed milliseconds.
    pub(super) fn set(&mut self, deadline: u64, now: u64) {
        if deadline < self.set_to {
            let wait = Duration::from_millis(deadline.saturating_sub(now));
            self.time.as_mut().reset(Instant::now() + wait);
            self.set_to = deadline;
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Alarm> {
        if !self.is_stopped && self.stop.as_mut().poll(cx).is_ready() {
            self.is_stopped = true;
            return Poll::Ready(Alarm::Stop);
        }
        if self.set_to < u64::MAX && self.time.as_mut().poll(cx).is_ready() {
            self.set_to = u64::MAX;
            return Poll::Ready(Alarm::Time);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::{pending, poll_fn},
        pin::pin,
    };
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn goes_off_no_later_than_the_earliest_deadline() {
        let begin = Instant::now();
        let now = || begin.elapsed().as_millis() as u64;
        let (stop, time) = (pin!(pending()), pin!(sleep(Duration::ZERO)));
        let mut alarms = Alarms::new(stop, time);
        for (deadlines, expected) in [
            (&[500_u64][..], 500),
            (&[1_500, 1_900], 1_500),
            (&[9_000, 2_000, 3_000], 2_000),
            (&[3_000], 3_000),
            (&[1_000], 3_000),
        ] {
            for deadline in deadlines {
                alarms.set(*deadline, now());
            }
            assert_eq!(poll_fn(|cx| alarms.poll(cx)).await, Alarm::Time);
            assert_eq!(now(), expected, "{deadlines:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tells_once_that_the_server_ends() {
        let (stop, time) = (pin!(async {}), pin!(sleep(Duration::ZERO)));
        let mut alarms = Alarms::new(stop, time);
        alarms.set(100, 0);
        assert_eq!(poll_fn(|cx| alarms.poll(cx)).await, Alarm::Stop);
        assert_eq!(poll_fn(|cx| alarms.poll(cx)).await, Alarm::Time);
    }
}
