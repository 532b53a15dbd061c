//! How fast groups follow one another: at once after a rest, and evenly while there is always something to
//! write, so that each has company and costs its sync for many.

use crate::limits::{AWAITED_MILLISECONDS, GATHER_MILLISECONDS, GROUPS_AT_ONCE_MAX};
use std::time::Duration;

const GATHER: Duration = Duration::from_millis(GATHER_MILLISECONDS);
const AWAITED: Duration = Duration::from_millis(AWAITED_MILLISECONDS);

/// A bucket that a group takes from and time fills.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When the bucket will be full, of the store's clock.
    full: Duration,
    /// When the last group began.
    last: Duration,
}

impl Pace {
    /// How long the next group should wait for company; not so long where somebody waits for it.
    pub(crate) fn pause(&self, now: Duration, is_awaited: bool) -> Duration {
        let pause = self
            .full
            .saturating_sub(now + GATHER * (GROUPS_AT_ONCE_MAX - 1));
        if is_awaited {
            pause.min((self.last + AWAITED).saturating_sub(now))
        } else {
            pause
        }
    }

    pub(crate) fn has_begun_group(&mut self, now: Duration) {
        let empty = now + GATHER * GROUPS_AT_ONCE_MAX;
        self.full = (self.full.max(now) + GATHER).min(empty);
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    /// Groups want to begin at these milliseconds, each after those before; says when they do.
    fn check(wanted: impl IntoIterator<Item = u64>, expected: Expect) {
        check_awaited(wanted.into_iter().map(|wanted| (wanted, false)), expected);
    }

    /// The same; says of each whether somebody waits for it.
    fn check_awaited(wanted: impl IntoIterator<Item = (u64, bool)>, expected: Expect) {
        let mut pace = Pace::default();
        let mut last = Duration::ZERO;
        let begun = wanted.into_iter().map(|(wanted, is_awaited)| {
            let now = last.max(Duration::from_millis(wanted));
            last = now + pace.pause(now, is_awaited);
            pace.has_begun_group(last);
            last.as_millis().to_string()
        });
        expected.assert_eq(&begun.collect::<Vec<_>>().join(" "));
    }

    #[test]
    fn a_few_go_at_once_and_then_one_in_50_milliseconds() {
        check(
            (0..12).map(|index| index * 5),
            expect!["0 5 10 15 20 25 30 35 50 100 150 200"],
        );
    }

    #[test]
    fn a_rest_gives_them_back() {
        check(
            [vec![0; 9], vec![110; 4], vec![1_000; 9]].concat(),
            expect![
                "0 0 0 0 0 0 0 0 50 110 150 200 250 1000 1000 1000 1000 1000 1000 1000 1000 1050"
            ],
        );
    }

    #[test]
    fn what_comes_slowly_never_waits() {
        check(
            (0..12).map(|index| index * 50),
            expect!["0 50 100 150 200 250 300 350 400 450 500 550"],
        );
    }

    #[test]
    fn whoever_waits_waits_a_moment_and_nobody_pays_for_it_later() {
        let awaited = (0..12).map(|_| (0, true));
        check_awaited(
            awaited.chain([(0, false), (0, false)]),
            expect!["0 0 0 0 0 0 0 0 5 10 15 20 70 120"],
        );
    }
}
