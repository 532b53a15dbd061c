//! When something about push is due by itself: a burst has its end, a device acknowledges nothing, a push
//! service did not answer or is tried again.
//!
//! State: one time for all accounts. Whoever gets the alarm looks at those in memory; an account stays there
//! while something of it is due.

use super::publish;
use crate::server::Server;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// The next time something is due.
pub(crate) struct Alarm {
    /// In elapsed milliseconds; [`NEVER`] where nothing is.
    at: AtomicU64,
    sooner: Notify,
}

const NEVER: u64 = u64::MAX;

impl Default for Alarm {
    fn default() -> Alarm {
        Alarm {
            at: AtomicU64::new(NEVER),
            sooner: Notify::new(),
        }
    }
}

impl Alarm {
    /// Something is due then.
    pub(super) fn set(&self, at: u64) {
        if self.at.fetch_min(at, Ordering::AcqRel) > at {
            self.sooner.notify_one();
        }
    }
}

impl Server {
    /// How long until [`Server::push_what_is_due`] has something to do; `None` while nothing is planned.
    pub fn until_push(&self) -> Option<Duration> {
        let at = self.push_alarm().at.load(Ordering::Acquire);
        let left = at.saturating_sub(self.clock().elapsed_ms());
        (at != NEVER).then(|| Duration::from_millis(left))
    }

    /// Until something is planned sooner than it was.
    pub async fn push_planned(&self) {
        self.push_alarm().sooner.notified().await;
    }

    /// Does what is due about push.
    pub async fn push_what_is_due(self: &Arc<Self>) {
        let alarm = self.push_alarm();
        if self.until_push().is_none_or(|left| !left.is_zero()) {
            return;
        }
        // Whatever is left, or was planned meanwhile, is planned again by whom it concerns.
        alarm.at.store(NEVER, Ordering::Release);
        for account in self.directory().all() {
            let leaves = self.at(&account, 0, |cx| {
                publish::work(cx);
                cx.state.is_leaving()
            });
            if leaves {
                self.settle_account(&account).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, now};

    #[test]
    fn the_earliest_time_counts_until_it_is_there() {
        let home = Fixture::new(&[]);
        assert_eq!(home.server.until_push(), None);
        home.server.push_alarm().set(5_000);
        home.server.push_alarm().set(9_000);
        now(home.server.push_planned());
        assert_eq!(home.server.until_push(), Some(Duration::from_secs(5)));
        now(home.server.push_what_is_due());
        assert_eq!(home.server.until_push(), Some(Duration::from_secs(5)));
        home.hands.pass(6_000);
        assert_eq!(home.server.until_push(), Some(Duration::ZERO));
        now(home.server.push_what_is_due());
        assert_eq!(home.server.until_push(), None);
    }
}
