//! What a client was sent and has not acknowledged (XEP-0198 §4).

use super::Acknowledged;
use crate::limits::UNASKED_MAX;
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
    /// An answer to `<r/>` is due.
    asked: bool,
}

impl Sent {
    pub(super) fn of(acknowledged: u32, entries: Vec<Entry>) -> Sent {
        Sent {
            bytes: entries.iter().map(Entry::len).sum(),
            entries: entries.into_iter().map(|entry| (0, entry)).collect(),
            acknowledged,
            asked: false,
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

    /// Keeps what goes out now. Whether to ask for an acknowledgement: for anything but presence at once,
    /// and never twice.
    pub(super) fn keep(&mut self, entries: &VecDeque<Entry>, now: u64) -> bool {
        for entry in entries {
            self.bytes += entry.len();
            self.entries.push_back((now, entry.clone()));
        }
        let matters = entries.iter().any(|entry| entry.kind != Kind::Presence);
        let ask = !self.asked && (matters || self.entries.len() > UNASKED_MAX);
        self.asked |= ask;
        ask
    }

    /// Counts modulo 2^32 (§4). A client that answers without having handled more is not asked again: its
    /// count may be wrong for good.
    pub(super) fn acknowledge(&mut self, h: u32) -> Result<Acknowledged, u32> {
        let handled = h.wrapping_sub(self.acknowledged) as usize;
        if handled > self.entries.len() {
            return Err(self.acknowledged.wrapping_add(self.entries.len() as u32));
        }
        self.acknowledged = h;
        let gone = self.entries.drain(..handled);
        let mut positions = Vec::new();
        for (_, entry) in gone {
            self.bytes -= entry.len();
            positions.extend(entry.position);
        }
        self.entries.shrink_to_fit();
        let matters = |(_, entry): &(u64, Entry)| entry.kind != Kind::Presence;
        self.asked = handled > 0 && self.entries.iter().any(matters);
        Ok(Acknowledged {
            positions,
            ask: self.asked,
        })
    }

    /// What has to be sent again, the last one first. `stamp` is told when each went out.
    pub(super) fn take_back(
        &mut self,
        mut stamp: impl FnMut(&mut Entry, u64),
    ) -> impl Iterator<Item = Entry> {
        self.asked = false;
        self.bytes = 0;
        let entries = std::mem::take(&mut self.entries);
        entries.into_iter().rev().map(move |(at, mut entry)| {
            stamp(&mut entry, at);
            entry
        })
    }
}
