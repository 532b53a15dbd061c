//! How the server is doing, in words for the LED, `/healthz`, `hearth status` and `hearth check`.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// How bad it is. The order is the order of alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// All is well.
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// It does not work.
    Fail,
}

impl Level {
    /// The word people see: `ok`, `warn` or `fail`.
    pub fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
        }
    }
}

/// One part of the server (`store`, `listeners` …) and how it is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name, one word.
    pub part: Cow<'static, str>,
    pub level: Level,
    /// One sentence for people.
    pub text: String,
}

/// The health of the whole server: its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    parts: Vec<Part>,
}

impl Health {
    /// Says how one part is doing; what was said of it before no longer counts.
    pub fn set(&mut self, part: &'static str, level: Level, text: impl Into<String>) {
        let news = Part {
            part: part.into(),
            level,
            text: text.into(),
        };
        match self.parts.iter_mut().find(|known| known.part == part) {
            Some(known) => *known = news,
            None => self.parts.push(news),
        }
    }

    /// The parts, in the order in which they first reported.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The level of the worst part; `Ok` while nobody complained.
    pub fn level(&self) -> Level {
        self.parts
            .iter()
            .map(|part| part.level)
            .max()
            .unwrap_or(Level::Ok)
    }
}

/// What a check found: how it is, what it means, what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was checked: `config`, `storage` …
    pub part: String,
    pub level: Level,
    /// What was found, in one sentence.
    pub text: String,
    /// What to do about it; empty when there is nothing to do.
    pub next: String,
}

/// How many of each the server has at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    pub accounts: u64,
    /// Bound resources, connected or waiting to resume.
    pub sessions: u64,
    pub rooms: u64,
    /// Connections to other servers.
    pub remotes: u64,
    /// What goes through the relay for calls.
    pub relay: Relayed,
}

/// Work of the relay for calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relayed {
    /// That are there at this moment.
    pub allocations: u64,
    /// Packets that went on since the start, and their bytes.
    pub packets: u64,
    pub bytes: u64,
    /// Packets that did not, by the reason.
    pub dropped: Dropped,
}

/// Packets that went no further since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Were no message that anybody may send.
    pub malformed: u64,
    /// Belonged to no allocation.
    pub strange: u64,
    /// Came from or went to somebody without permission.
    pub forbidden: u64,
    /// Were more than may pass.
    pub over_rate: u64,
    /// Questions of strangers whose answers would have been more than strangers get.
    pub unanswered: u64,
}

impl Dropped {
    /// Every reason in a word, and how many.
    pub fn reasons(self) -> [(&'static str, u64); 5] {
        [
            ("malformed", self.malformed),
            ("strange", self.strange),
            ("forbidden", self.forbidden),
            ("over_rate", self.over_rate),
            ("unanswered", self.unanswered),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_part_decides_and_the_latest_word_counts() {
        let mut health = Health::default();
        assert_eq!(health.level(), Level::Ok);
        health.set("store", Level::Fail, "the card is full");
        health.set("listeners", Level::Warn, "no http");
        assert_eq!(health.level(), Level::Fail);
        health.set("store", Level::Ok, "writable");
        assert_eq!(health.level(), Level::Warn);
        let names: Vec<_> = health.parts().iter().map(|part| &*part.part).collect();
        assert_eq!(names, ["store", "listeners"]);
    }
}
