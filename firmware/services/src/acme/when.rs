//! When a certificate is renewed, and when something that failed is tried again. Times are milliseconds since
//! 1970; nothing here looks at a clock.

use super::limits::{AGE_MS_MIN, OFFLINE_MS, REFUSED_MS};
use server::world::{Dice, Timestamp};

/// From when until when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) begins: Timestamp,
    pub(super) expires: Timestamp,
}

/// What the authority advises (RFC 9773 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

impl Life {
    fn length(self) -> u64 {
        self.expires.saturating_sub(self.begins)
    }

    /// When a third of it is left, where nobody advises anything else. `chosen` is the moment within an
    /// advice.
    ///
    /// An advice that comes too late to try again before the end is none, and one that always says "now" is
    /// not followed more than once a day.
    pub(super) fn renewal(self, chosen: Option<Timestamp>) -> Timestamp {
        let third = self.expires - self.length() / 3;
        let latest = self.expires - self.length() / 6;
        let earliest = self.begins + AGE_MS_MIN.min(self.length() / 3);
        match chosen {
            Some(moment) if moment <= latest => moment.max(earliest),
            Some(_) | None => third,
        }
    }
}

impl Advice {
    /// RFC 9773 §4.2: a uniformly random moment of the window; `None` where it ends before it begins.
    pub(super) fn choose(self, dice: &dyn Dice) -> Option<Timestamp> {
        let length = self.end.checked_sub(self.start).filter(|ms| *ms > 0)?;
        Some(self.start + random(dice) % length)
    }
}

/// How a failure is followed by another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Nobody was asked anything yet.
    Offline,
    /// Somebody said no.
    Refused,
}

/// Milliseconds until the next attempt, after so many failures in a row (1 or more): twice as long each time,
/// and up to a quarter more or less, so that not all houses come at once.
pub(super) fn pause(pace: Pace, failures: u32, dice: &dyn Dice) -> u64 {
    let (first, most) = match pace {
        Pace::Offline => OFFLINE_MS,
        Pace::Refused => REFUSED_MS,
    };
    let doublings = failures.saturating_sub(1).min(20);
    let whole = (first << doublings).min(most);
    whole - whole / 4 + random(dice) % (whole / 2)
}

fn random(dice: &dyn Dice) -> u64 {
    let mut bytes = [0; 8];
    dice.fill(&mut bytes);
    u64::from_le_bytes(bytes) >> 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;

    /// Another number each time, of all sizes.
    #[derive(Default)]
    struct Counting(AtomicU64);

    impl Dice for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            let count = self.0.fetch_add(1, Ordering::Relaxed);
            let number = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            bytes.copy_from_slice(&number.to_le_bytes()[..bytes.len()]);
        }
    }

    fn life(length: u64) -> Life {
        Life {
            begins: 1_000 * DAY,
            expires: 1_000 * DAY + length,
        }
    }

    #[test]
    fn a_third_is_left_unless_the_authority_knows_better() {
        for (length, chosen, expected) in [
            (90 * DAY, None, 60 * DAY),
            (45 * DAY, None, 30 * DAY),
            (6 * DAY, None, 4 * DAY),
            (45 * DAY, Some(20 * DAY), 20 * DAY),
            (45 * DAY, Some(35 * DAY), 35 * DAY),
            // Too late, and after the end.
            (45 * DAY, Some(44 * DAY), 30 * DAY),
            (45 * DAY, Some(100 * DAY), 30 * DAY),
            // At once, which is once a day.
            (45 * DAY, Some(0), DAY),
            (6 * DAY, Some(0), DAY),
            (90_000, Some(0), 30_000),
            (90_000, None, 60_000),
        ] {
            let life = life(length);
            let chosen = chosen.map(|age| life.begins + age);
            let age = life.renewal(chosen) - life.begins;
            assert_eq!(age, expected, "{length} {chosen:?}");
        }
    }

    #[test]
    fn moments_are_spread_over_the_window() {
        let dice = Counting::default();
        let advice = Advice {
            start: 20 * DAY,
            end: 22 * DAY,
        };
        let moments: Vec<_> = (0..100).filter_map(|_| advice.choose(&dice)).collect();
        assert!(moments.iter().all(|it| (20 * DAY..22 * DAY).contains(it)));
        let early = moments.iter().filter(|it| **it < 21 * DAY).count();
        assert!(
            (30..70).contains(&early),
            "{early} of 100 in the first half"
        );
        for end in [20 * DAY, 19 * DAY, 0] {
            assert_eq!(Advice { end, ..advice }.choose(&dice), None);
        }
    }

    #[test]
    fn pauses_double_to_a_limit_and_differ() {
        let dice = Counting::default();
        for (pace, failures, whole) in [
            (Pace::Offline, 1, 60_000),
            (Pace::Offline, 3, 240_000),
            (Pace::Offline, 50, HOUR),
            (Pace::Refused, 1, HOUR / 2),
            (Pace::Refused, 2, HOUR),
            (Pace::Refused, u32::MAX, 12 * HOUR),
        ] {
            let pauses: Vec<_> = (0..50).map(|_| pause(pace, failures, &dice)).collect();
            let range = whole - whole / 4..whole + whole / 4;
            assert!(pauses.iter().all(|it| range.contains(it)), "{pauses:?}");
            assert!(pauses.windows(2).any(|two| two[0] != two[1]));
        }
    }
}
