//! What waits for another server on disk (DESIGN §6): messages and subscriptions, each a row from the moment
//! it is on its way until the peer has it. What a restart finds is sent again, or its sender is told.

use crate::{session::stored::EntryRecord, world::Timestamp};
use serde::{Deserialize, Serialize};
use store::{Record, Snapshot, Table, Write};
use xmpp::{Entry, Jid};

/// By number, in the order in which they came.
const WAITING: Table<u64, WaitingRecord> = Table::new("remote.waiting", 1);

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

/// The write that keeps one.
pub(super) fn keep(number: u64, ours: &Jid, entry: &Entry, at: Timestamp) -> Write {
    let record = WaitingRecord {
        ours: ours.as_str().to_owned(),
        at,
        entry: EntryRecord::of(entry),
    };
    WAITING.put(&number, &record)
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

/// Everything that is kept, in order. What cannot be read is left out.
pub(super) fn all(snapshot: &Snapshot) -> Result<Vec<Kept>, store::Error> {
    let mut kept = Vec::new();
    for row in WAITING.range(snapshot, ..)? {
        let (number, record) = row?;
        let (Ok(ours), Some(entry)) = (Jid::parse(&record.ours), record.entry.into_entry()) else {
            continue;
        };
        kept.push(Kept {
            number,
            ours,
            at: record.at,
            entry,
        });
    }
    Ok(kept)
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
        while store.turn() {}
        let kept = all(&store.snapshot().unwrap()).unwrap();
        let found: Vec<_> = kept.iter().map(|kept| (kept.number, kept.at)).collect();
        assert_eq!(found, [(1, 7), (3, 7)]);
        assert_eq!(kept[1].entry.to, Some(to));
        assert_eq!(kept[1].ours, ours);
    }
}
