//! How fast a peer may send: the generic cell rate algorithm, one number per stream.

/// An allowance of bytes that comes back evenly. Times are milliseconds of a clock that never jumps.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    /// When the allowance is whole again, in microseconds.
    whole_at: u64,
}

impl Rate {
    /// Counts bytes that came in.
    pub(crate) fn spend(&mut self, bytes: usize, per_second: u64, now: u64) {
        // A rate of 0 is no limit.
        let cost = (bytes as u64)
            .saturating_mul(1_000_000)
            .checked_div(per_second);
        if let Some(cost) = cost {
            self.whole_at = self.whole_at.max(now * 1_000).saturating_add(cost);
        }
    }

    /// Until when nothing more is read, if the allowance is used up: bytes in a second, and bytes at once.
    pub(crate) fn pause_until(&self, (per_second, burst): (u64, u64), now: u64) -> Option<u64> {
        let ahead = burst.saturating_mul(1_000_000).checked_div(per_second)?;
        let until = self.whole_at.saturating_sub(ahead).div_ceil(1_000);
        (until > now).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_then_the_rate_holds() {
        // (bytes, at, paused until), at 100 bytes a second with a burst of 200.
        let rows = [
            (200, 0, None),
            (100, 0, Some(1_000)),
            (50, 1_000, Some(1_500)),
            (0, 1_500, None),
            (200, 10_000, None),
            (1, 10_000, Some(10_010)),
        ];
        let mut rate = Rate::default();
        for (bytes, now, until) in rows {
            rate.spend(bytes, 100, now);
            assert_eq!(
                rate.pause_until((100, 200), now),
                until,
                "{bytes} bytes at {now}"
            );
        }
    }

    #[test]
    fn zero_is_no_limit() {
        let mut rate = Rate::default();
        rate.spend(usize::MAX, 0, 5);
        assert_eq!(rate.pause_until((0, 0), 5), None);
    }
}
