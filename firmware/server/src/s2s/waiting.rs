//! What waits for another server on disk (DESIGN §6): messages and subscriptions, each a row from the moment
//! it is on its way until the peer has it. What a restart finds is sent again, or its sender is told.

use super::limits::RESUMED_AT_ONCE_MAX;
use crate::{session::stored::EntryRecord, world::Timestamp};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use store::{Record, Snapshot, Table, Value, Write};
use xmpp::{Entry, Jid};

/// By number, in the order in which they came.
const WAITING: Table<u64, Row> = Table::new("remote.waiting", 1);

/// A stanza on its way to another domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct WaitingRecord {
    /// Our domain, in whose name it goes.
    ours: String,
    /// When it was sent, milliseconds since 1970.
    at: Timestamp,
    entry: EntryRecord,
}

impl Record for WaitingRecord {}

/// `None` where the bytes say nothing: that row alone is lost.
struct Row(Option<WaitingRecord>);

impl Value for Row {
    fn encode(&self, out: &mut Vec<u8>) {
        if let Some(record) = &self.0 {
            record.encode(out);
        }
    }

    fn decode(bytes: &[u8]) -> Option<Row> {
        Some(Row(WaitingRecord::decode(bytes)))
    }
}

/// The write that keeps one.
pub(super) fn keep(number: u64, ours: &Jid, entry: &Entry, at: Timestamp) -> Write {
    let record = WaitingRecord {
        ours: ours.as_str().to_owned(),
        at,
        entry: EntryRecord::of(entry),
    };
    WAITING.put(&number, &Row(Some(record)))
}

/// The write that forgets it.
pub(super) fn forget(number: u64) -> Write {
    WAITING.remove(&number)
}

/// One that a restart finds.
pub(super) struct Kept {
    pub(super) number: u64,
    pub(super) ours: Jid,
    pub(super) at: Timestamp,
    pub(super) entry: Entry,
}

/// Some of what is kept.
pub(super) struct Found {
    /// In order.
    pub(super) kept: Vec<Kept>,
    /// Numbers of rows that cannot be read.
    pub(super) unreadable: Vec<u64>,
    /// Where to go on.
    pub(super) next: Option<u64>,
}

/// What is kept in this range: as much as one reads at a time.
pub(super) fn some(snapshot: &Snapshot, range: Range<u64>) -> Result<Found, store::Error> {
    let mut found = Found {
        kept: Vec::new(),
        unreadable: Vec::new(),
        next: None,
    };
    for row in WAITING.range(snapshot, range)? {
        let (number, Row(record)) = row?;
        if found.kept.len() + found.unreadable.len() >= RESUMED_AT_ONCE_MAX {
            found.next = Some(number);
            break;
        }
        match record.and_then(|record| read(number, record)) {
            Some(kept) => found.kept.push(kept),
            None => found.unreadable.push(number),
        }
    }
    Ok(found)
}

fn read(number: u64, record: WaitingRecord) -> Option<Kept> {
    Some(Kept {
        number,
        ours: Jid::parse(&record.ours).ok()?,
        at: record.at,
        entry: record.entry.into_entry()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use store::{Options, Store, Urgency, disk::SimDisk};
    use xmpp::Kind;

    #[test]
    fn what_is_kept_is_found_in_order() {
        let store = Store::open(Arc::new(SimDisk::new()), Options::default()).unwrap();
        let ours = Jid::parse("home.example").unwrap();
        let to = Jid::parse("romeo@far.example").unwrap();
        let entry = |id| {
            Entry::compose(
                Kind::Message,
                Some(to.clone()),
                &[("id", id)],
                String::new(),
            )
        };
        for (number, id) in [(2, "b"), (1, "a"), (3, "c")] {
            store.queue(vec![keep(number, &ours, &entry(id), 7)], Urgency::Now);
        }
        store.queue(vec![forget(2)], Urgency::Now);
        store.queue(vec![WAITING.put(&4, &Row(None))], Urgency::Now);
        while store.turn() {}
        let Found {
            kept,
            unreadable,
            next,
        } = some(&store.snapshot().unwrap(), 0..9).unwrap();
        assert_eq!((unreadable, next), (vec![4], None));
        let found: Vec<_> = kept.iter().map(|kept| (kept.number, kept.at)).collect();
        assert_eq!(found, [(1, 7), (3, 7)]);
        assert_eq!(kept[1].entry.to, Some(to));
        assert_eq!(kept[1].ours, ours);
    }

    #[test]
    fn a_restart_reads_a_part_at_a_time() {
        let store = Store::open(Arc::new(SimDisk::new()), Options::default()).unwrap();
        let ours = Jid::parse("home.example").unwrap();
        let entry = Entry::compose(Kind::Message, None, &[], String::new());
        let all = RESUMED_AT_ONCE_MAX as u64 + 3;
        let rows = (0..all).map(|number| keep(number, &ours, &entry, 7));
        store.queue(rows.collect(), Urgency::Now);
        while store.turn() {}
        let snapshot = store.snapshot().unwrap();
        let first = some(&snapshot, 0..u64::MAX).unwrap();
        assert_eq!(first.kept.len(), RESUMED_AT_ONCE_MAX);
        assert_eq!(first.next, Some(RESUMED_AT_ONCE_MAX as u64));
        let second = some(&snapshot, first.next.unwrap()..all).unwrap();
        assert_eq!((second.kept.len(), second.next), (3, None));
    }
}
