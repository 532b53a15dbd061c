//! Which pattern the LED shows for which health. One table.

use household::Level;

/// What the LED does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Nothing to do.
    Steady,
    /// Somebody should look when there is time.
    SlowBlink,
    /// Somebody should look now.
    FastBlink,
}

const TABLE: &[(Level, Pattern)] = &[
    (Level::Ok, Pattern::Steady),
    (Level::Warn, Pattern::SlowBlink),
    (Level::Fail, Pattern::FastBlink),
];

impl Pattern {
    /// The pattern of this level.
    pub fn of(level: Level) -> Pattern {
        // A level without a row alarms.
        TABLE
            .iter()
            .find(|(row, _)| *row == level)
            .map_or(Pattern::FastBlink, |(_, pattern)| *pattern)
    }

    /// Its name in the manual.
    pub fn name(self) -> &'static str {
        match self {
            Pattern::Steady => "steady",
            Pattern::SlowBlink => "slow-blink",
            Pattern::FastBlink => "fast-blink",
        }
    }
}
