//! When somebody is asked for our address, and who: everybody when something changed, then one at a time, as
//! seldom as a change is noticed soon enough. Pure: time comes in as numbers. One [`Schedule`] a family.

use super::{
    judge::{Class, Verdict, Why},
    limits::{
        AGAIN_MS_MAX, AGAIN_MS_MIN, AGAIN_SILENT_MS_MAX, PROBE_MS, PROBE_TOLD_MS, ROUND_MS_MIN,
    },
};

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Everybody,
    /// Only the next one that answered before.
    One,
}

#[derive(Debug, Default)]
pub(super) struct Schedule {
    due_ms: u64,
    next: Option<Ask>,
    began_ms: Option<u64>,
    /// Rounds without a result, one after another.
    failures: u32,
}

impl Schedule {
    /// Something changed: everybody is asked, soon.
    pub(super) fn wake(&mut self, now_ms: u64) {
        self.next = Some(Ask::Everybody);
        self.failures = 0;
        self.due_ms = self
            .began_ms
            .map_or(now_ms, |began| now_ms.max(began + ROUND_MS_MIN));
    }

    /// Somebody says something else: everybody is asked, without waiting.
    pub(super) fn wake_at_once(&mut self, now_ms: u64) {
        self.next = Some(Ask::Everybody);
        self.due_ms = now_ms;
    }

    /// What is due, if anything is.
    pub(super) fn due(&self, now_ms: u64) -> Option<Ask> {
        match self.next {
            None => Some(Ask::Everybody),
            some => some.filter(|_| self.due_ms <= now_ms),
        }
    }

    /// When the next thing is due.
    pub(super) fn at_ms(&self) -> u64 {
        self.due_ms
    }

    /// A round of questions to everybody ended so. `is_told`: somebody at home notices when it changes.
    pub(super) fn asked(&mut self, now_ms: u64, verdict: &Verdict, is_told: bool) {
        self.began_ms = Some(now_ms);
        match verdict {
            Verdict::Found { why, .. } => {
                self.failures = 0;
                let routed =
                    matches!(why, Why::Agreed(classes) if classes.contains(&Class::Router));
                let routed = routed || *why == Why::Alone(Class::Router);
                self.later(now_ms, is_told || routed || *why == Why::Interface);
            }
            Verdict::Silent | Verdict::NotFound(_) => {
                let longest = match verdict {
                    Verdict::Silent => AGAIN_SILENT_MS_MAX,
                    _ => AGAIN_MS_MAX,
                };
                let wait = AGAIN_MS_MIN << self.failures.min(10);
                self.failures += 1;
                self.next = Some(Ask::Everybody);
                self.due_ms = now_ms + wait.min(longest);
            }
        }
    }

    /// One was asked and said the same as before.
    pub(super) fn same(&mut self, now_ms: u64, is_told: bool) {
        self.later(now_ms, is_told);
    }

    fn later(&mut self, now_ms: u64, is_told: bool) {
        self.next = Some(Ask::One);
        self.due_ms = now_ms + if is_told { PROBE_TOLD_MS } else { PROBE_MS };
    }
}
