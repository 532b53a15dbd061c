//! Bytes that may pass: so many per second, and so many at once after a rest.

/// A bucket that fills by `rate` bytes a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    rate: u64,
    burst: u64,
    /// Thousandths of a byte.
    left: u64,
    filled_ms: u64,
}

impl Bucket {
    /// Full.
    pub(super) fn new(rate: u64, burst: u64, now_ms: u64) -> Bucket {
        Bucket {
            rate,
            burst,
            left: burst * 1_000,
            filled_ms: now_ms,
        }
    }

    /// Takes so many bytes out, if they are there.
    pub(super) fn take(&mut self, bytes: usize, now_ms: u64) -> bool {
        let passed = now_ms.saturating_sub(self.filled_ms);
        self.filled_ms = now_ms;
        let filled = self.left.saturating_add(passed.saturating_mul(self.rate));
        self.left = filled.min(self.burst * 1_000);
        match self.left.checked_sub(bytes as u64 * 1_000) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back_with_time() {
        let mut bucket = Bucket::new(100, 500, 1_000);
        for (bytes, now_ms, expected) in [
            (501, 1_000, false),
            (500, 1_000, true),
            (1, 1_009, false),
            (1, 1_010, true),
            (0, 1_010, true),
            (500, 6_009, false),
            (500, 6_010, true),
            // It never holds more.
            (501, 1_000_000, false),
            (500, 1_000_000, true),
            // A clock that stands still, or worse.
            (1, 1, false),
            (500, u64::MAX, true),
        ] {
            assert_eq!(bucket.take(bytes, now_ms), expected, "{bytes} at {now_ms}");
        }
    }
}
