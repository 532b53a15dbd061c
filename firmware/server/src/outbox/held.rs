//! What may wait while nobody looks at the client (XEP-0352 §3.2).

use crate::limits::HELD_MAX;
use std::collections::VecDeque;
use xmpp::{Class, Entry};

/// In order; of several presences of one sender the last one, and of several chat states.
#[derive(Default)]
pub(super) struct Held {
    entries: VecDeque<Entry>,
}

impl Held {
    /// What goes out now: nothing, or everything in its order, because this one cannot wait or too many do.
    pub(super) fn take_in(&mut self, entry: Entry) -> VecDeque<Entry> {
        if let Class::Presence(_) | Class::ChatState(_) = &entry.class {
            self.entries.retain(|older| older.class != entry.class);
        }
        let urgent = entry.class == Class::Urgent;
        self.entries.push_back(entry);
        if urgent || self.entries.len() > HELD_MAX {
            return std::mem::take(&mut self.entries);
        }
        VecDeque::new()
    }

    pub(super) fn release(self) -> VecDeque<Entry> {
        self.entries
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}
