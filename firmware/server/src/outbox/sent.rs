//! What a client was sent and has not acknowledged (XEP-0198 §4).

use super::Ask;
use crate::limits::{ASK_INTERVAL_MS, UNASKED_MAX};
use std::collections::VecDeque;
use xmpp::{Entry, Kind};

/// The tail of what was sent, and the count of what came before it.
#[derive(Default)]
pub(super) struct Sent {
    /// With the time at which each went out, in elapsed milliseconds.
    entries: VecDeque<(u64, Entry)>,
    bytes: usize,
    /// Stanzas that the client has handled, modulo 2^32 (§4).
    acknowledged: u32,
    /// How many entries are more than presence.
    matters: u32,
    asking: Asking,
    /// When the client may be asked again although little is open, in elapsed milliseconds.
    next_ask: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Asking {
    #[default]
    Free,
    /// An answer to `<r/>` is due.
    Asked,
    /// The answer told of nothing new. The client's count may be wrong for good: it is asked again when
    /// something more has gone out.
    Stuck,
}

impl Sent {
    pub(super) fn of(acknowledged: u32, entries: Vec<Entry>) -> Sent {
        Sent {
            bytes: entries.iter().map(Entry::len).sum(),
            matters: entries.iter().map(matters).sum(),
            entries: entries.into_iter().map(|entry| (0, entry)).collect(),
            acknowledged,
            ..Sent::default()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn acknowledged(&self) -> u32 {
        self.acknowledged
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.kept().cloned()
    }

    pub(super) fn kept(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    /// Keeps what goes out now.
    pub(super) fn keep(&mut self, entries: &VecDeque<Entry>, now: u64) {
        for entry in entries {
            self.bytes += entry.len();
            self.matters += matters(entry);
            self.entries.push_back((now, entry.clone()));
        }
        if self.asking == Asking::Stuck && !entries.is_empty() {
            self.asking = Asking::Free;
        }
    }

    /// Whether to ask for an acknowledgement: at once for what comes alone, so that a phone answers while its
    /// radio is on; seldom in a lively chat, where each answer costs both sides as much as the message. Never
    /// twice, and for presence only when there is much of it.
    pub(super) fn ask(&mut self, now: u64) -> Ask {
        let many = self.entries.len() > UNASKED_MAX;
        if self.asking != Asking::Free || !many && self.matters == 0 {
            return Ask::No;
        }
        if !many && now < self.next_ask {
            return Ask::At(self.next_ask);
        }
        self.asking = Asking::Asked;
        self.next_ask = now + ASK_INTERVAL_MS;
        Ask::Now
    }

    /// Counts modulo 2^32 (§4). Returns the positions in the archive of what is handled now.
    pub(super) fn acknowledge(&mut self, h: u32) -> Result<Vec<u64>, u32> {
        let handled = h.wrapping_sub(self.acknowledged) as usize;
        if handled > self.entries.len() {
            return Err(self.acknowledged.wrapping_add(self.entries.len() as u32));
        }
        self.acknowledged = h;
        self.asking = if handled == 0 {
            Asking::Stuck
        } else {
            Asking::Free
        };
        let gone = self.entries.drain(..handled);
        let mut positions = Vec::new();
        for (_, entry) in gone {
            self.bytes -= entry.len();
            self.matters -= matters(&entry);
            positions.extend(entry.position);
        }
        self.entries.shrink_to_fit();
        Ok(positions)
    }

    /// What has to be sent again, the last one first. `stamp` is told when each went out.
    pub(super) fn take_back(
        &mut self,
        mut stamp: impl FnMut(&mut Entry, u64),
    ) -> impl Iterator<Item = Entry> {
        (self.asking, self.next_ask) = (Asking::Free, 0);
        (self.bytes, self.matters) = (0, 0);
        let entries = std::mem::take(&mut self.entries);
        entries.into_iter().rev().map(move |(at, mut entry)| {
            stamp(&mut entry, at);
            entry
        })
    }
}

fn matters(entry: &Entry) -> u32 {
    u32::from(entry.kind != Kind::Presence)
}
