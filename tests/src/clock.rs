//! Time that stands still until a script says otherwise, and dice that always fall the same way.

use server::world::{Clock, Dice, Timestamp};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// When every script begins: 2026-09-21T14:13:20Z.
const BEGINNING_MS: Timestamp = 1_790_000_000_000;

/// A clock moved by hand. It does not stop while the power is off.
#[derive(Debug, Default)]
pub(crate) struct Hands {
    passed_ms: AtomicU64,
    started_ms: AtomicU64,
}

impl Hands {
    pub(crate) fn pass(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.passed_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// From here the server's own time counts.
    pub(crate) fn start(&self) {
        self.started_ms
            .store(self.passed_ms.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        BEGINNING_MS + self.passed_ms.load(Ordering::Relaxed)
    }

    fn elapsed_ms(&self) -> u64 {
        self.passed_ms.load(Ordering::Relaxed) - self.started_ms.load(Ordering::Relaxed)
    }
}

/// Bytes that nobody meets twice and everybody meets again in the next run.
#[derive(Debug, Default)]
pub(crate) struct LoadedDice(AtomicU64);

impl LoadedDice {
    /// Dice that fall another way than those of any other number.
    pub(crate) fn of(seed: u64) -> LoadedDice {
        LoadedDice(AtomicU64::new(seed.wrapping_mul(0xA076_1D64_78BD_642F)))
    }
}

impl Dice for LoadedDice {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            // SplitMix64: small, and good enough to look random.
            let mut z = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            *byte = (z >> 56) as u8;
        }
    }
}
