//! The timers of embassy on tokio's clock, so that a test that stops tokio's clock stops rhythms and
//! buttons, too.
//!
//! State: when the next timer is due, for each [`keep`], found through the task. There is no thread and no
//! queue for the whole process: while nothing blinks, no timer is set anywhere. embassy's own queues tell
//! timers apart by their wakers, which Rust does not promise to compare equal, and spin once they are full.

use embassy_time_driver::{Driver, TICK_HZ, time_driver_impl};
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

struct TokioClock;

time_driver_impl!(static DRIVER: TokioClock = TokioClock);

tokio::task_local! {
    /// The tick of the next timer; [`NONE`] while there is none.
    static NEXT: Arc<AtomicU64>;
}

const NONE: u64 = u64::MAX;

impl Driver for TokioClock {
    fn now(&self) -> u64 {
        ticks(Instant::now())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        let set = NEXT.try_with(|next| next.fetch_min(at, Ordering::Relaxed));
        // Nobody keeps the time of this task: it asks again and again, which is slow and right.
        if set.is_err() {
            waker.wake_by_ref();
        }
    }
}

/// Does the work; its timers go by tokio's clock. They are polled with the work, all of them each time: it
/// waits for them with `join!`, `select!` and the like, not in another task or a set of futures with wakers
/// of its own.
pub async fn keep<F: Future>(work: F) -> F::Output {
    let next = Arc::new(AtomicU64::new(NONE));
    NEXT.scope(next.clone(), wound(work, &next)).await
}

/// The work, polled whenever its next timer is due.
async fn wound<F: Future>(work: F, next: &AtomicU64) -> F::Output {
    let mut work = pin!(work);
    let mut alarm = Alarm::default();
    poll_fn(|cx| {
        loop {
            // Every timer that still waits says so again when it is polled.
            next.store(NONE, Ordering::Relaxed);
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            let next = next.load(Ordering::Relaxed);
            if alarm.poll(next, cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// The one sleep of tokio's that stands for all timers of a task; none while there are none.
#[derive(Default)]
struct Alarm {
    at: Option<u64>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    fn poll(&mut self, next: u64, cx: &mut Context<'_>) -> Poll<()> {
        let next = (next != NONE).then_some(next);
        if self.at != next {
            self.at = next;
            self.sleep = next.map(|at| Box::pin(sleep_until(moment(at))));
        }
        match &mut self.sleep {
            None => Poll::Pending,
            Some(sleep) => {
                let due = sleep.as_mut().poll(cx);
                if due.is_ready() {
                    *self = Alarm::default();
                }
                due
            }
        }
    }
}

/// When ticks began.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// Nanoseconds of a tick.
const TICK_NS: u64 = 1_000_000_000 / TICK_HZ;

fn ticks(at: Instant) -> u64 {
    at.saturating_duration_since(epoch()).as_nanos() as u64 / TICK_NS
}

/// The first moment at which that tick has come.
fn moment(tick: u64) -> Instant {
    epoch() + Duration::from_nanos(tick.saturating_mul(TICK_NS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use embassy_time::Timer;

    #[tokio::test(start_paused = true)]
    async fn timers_go_by_tokios_clock_and_in_their_order() {
        let start = Instant::now();
        let mut order = Vec::new();
        keep(async {
            let slow = async {
                Timer::after_secs(3_600).await;
                ("slow", start.elapsed())
            };
            let fast = async {
                Timer::after_millis(20).await;
                Timer::after_millis(20).await;
                ("fast", start.elapsed())
            };
            let (mut slow, mut fast) = (pin!(slow), pin!(fast));
            order.push(tokio::select! { it = &mut slow => it, it = &mut fast => it });
            order.push(slow.await);
        })
        .await;
        let named: Vec<_> = order
            .iter()
            .map(|(name, at)| (*name, at.as_secs()))
            .collect();
        assert_eq!(named, [("fast", 0), ("slow", 3_600)]);
        assert!(order[0].1 >= Duration::from_millis(40));
        assert!(order[0].1 < Duration::from_millis(44));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_timer_nothing_is_set() {
        let mut work = pin!(keep(std::future::pending::<()>()));
        let polled = std::cell::Cell::new(0);
        let counted = poll_fn(|cx| {
            polled.set(polled.get() + 1);
            work.as_mut().poll(cx)
        });
        let day = Duration::from_hours(24);
        assert!(tokio::time::timeout(day, counted).await.is_err());
        // Once at the start, once when the day is over.
        assert_eq!(polled.get(), 2);
    }
}
