//! The items of a node: an index in memory, payloads and ids on disk.
//!
//! State: table `pubsub.item` has the payload of each item, `pubsub.id` its id and size, so that an account
//! is loaded without reading a payload. In memory each item is its place, a hash of its id and its size: a
//! publication, an eviction and the bounds of a page are decided without the disk.

use crate::world::Timestamp;
use serde::{Deserialize, Serialize};
use std::hash::{BuildHasher, RandomState};
use store::{Error, Record, Snapshot, Table, Write};

/// By account, shelf and place.
pub(crate) const ITEM: Table<(u32, u64, u64), ItemRecord> = Table::per_account("pubsub.item", 1);
/// The same keys.
pub(crate) const ID: Table<(u32, u64, u64), IdRecord> = Table::per_account("pubsub.id", 1);

/// A stored item. Fields are in the order of the first release and only ever appended to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ItemRecord {
    pub(crate) id: String,
    /// The full JID, or the bare one of the account where the server published for it.
    pub(crate) publisher: String,
    pub(crate) published_ms: Timestamp,
    /// XML that stands by itself; empty where there is none.
    pub(crate) payload: String,
}

impl Record for ItemRecord {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdRecord {
    id: String,
    /// A bare JID.
    publisher: String,
    bytes: u32,
}

impl Record for IdRecord {}

/// Where an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Rises with every publication.
    pub(crate) number: u64,
    hash: u64,
    bytes: u32,
    /// A hash, too: who published it may take it back.
    publisher: u32,
}

impl Place {
    /// Bytes of the item on disk, roughly.
    pub(crate) fn bytes(self) -> usize {
        self.bytes as usize
    }
}

/// The items of a node, oldest first.
#[derive(Default)]
pub(crate) struct Items {
    places: Vec<Place>,
    bytes: u64,
}

/// Tells ids apart without keeping them: 64 bits under a key that nobody knows, new at every start.
#[derive(Clone, Default)]
pub(crate) struct Hashing(RandomState);

impl Hashing {
    pub(super) fn of(&self, id: &str) -> u64 {
        self.0.hash_one(id)
    }

    fn short(&self, bare: &str) -> u32 {
        (self.of(bare) >> 32) as u32
    }
}

impl Items {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Bytes of all of them on disk, roughly.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where the item of this id is, as an index.
    pub(crate) fn find(&self, hashing: &Hashing, id: &str) -> Option<usize> {
        let hash = hashing.of(id);
        // The newest is asked for most.
        self.places.iter().rposition(|place| place.hash == hash)
    }

    /// Whether somebody, as a bare JID, published the item at this index.
    pub(super) fn is_by(&self, hashing: &Hashing, index: usize, bare: &str) -> bool {
        let place = self.places.get(index);
        place.is_some_and(|place| place.publisher == hashing.short(bare))
    }

    /// Bytes of the item at this index.
    pub(super) fn bytes_at(&self, index: usize) -> u64 {
        self.places.get(index).map_or(0, |place| place.bytes.into())
    }

    /// Bytes of so many of the oldest.
    pub(super) fn bytes_of_oldest(&self, count: usize) -> u64 {
        let oldest = self.places.iter().take(count);
        oldest.map(|place| u64::from(place.bytes)).sum()
    }

    pub(crate) fn get(&self, range: std::ops::Range<usize>) -> Vec<Place> {
        self.places.get(range).unwrap_or_default().to_vec()
    }

    pub(crate) fn last(&self) -> Option<Place> {
        self.places.last().copied()
    }

    /// The place of a new item; what it has on disk is [`rows`].
    pub(super) fn push(&mut self, hashing: &Hashing, id: &str, by: &str, bytes: usize) -> Place {
        let place = Place {
            number: self.last().map_or(1, |last| last.number + 1),
            hash: hashing.of(id),
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            publisher: hashing.short(by),
        };
        if self.places.len() < 4 {
            self.places.reserve_exact(1); // nearly all nodes have one item
        }
        self.places.push(place);
        self.bytes += u64::from(place.bytes);
        place
    }

    pub(super) fn remove(&mut self, index: usize) -> Place {
        let place = self.places.remove(index);
        self.bytes -= u64::from(place.bytes);
        place
    }

    /// Takes out the oldest, so that at most `max` are left.
    pub(super) fn evict(&mut self, max: usize) -> Vec<Place> {
        let surplus = self.places.len().saturating_sub(max);
        let evicted: Vec<Place> = self.places.drain(..surplus).collect();
        self.bytes -= evicted
            .iter()
            .map(|place| u64::from(place.bytes))
            .sum::<u64>();
        evicted
    }

    pub(super) fn clear(&mut self) -> Vec<Place> {
        self.bytes = 0;
        std::mem::take(&mut self.places)
    }

    /// One of the rows that an account is loaded from; they come in order.
    pub(super) fn load(&mut self, hashing: &Hashing, number: u64, record: &IdRecord) {
        self.bytes += u64::from(record.bytes);
        self.places.push(Place {
            number,
            hash: hashing.of(&record.id),
            bytes: record.bytes,
            publisher: hashing.short(&record.publisher),
        });
    }
}

/// Whose items, and which.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shelf {
    pub(crate) owner: u32,
    pub(crate) number: u64,
}

impl Shelf {
    pub(super) fn key(self, place: u64) -> (u32, u64, u64) {
        (self.owner, self.number, place)
    }

    /// The writes that keep an item.
    pub(super) fn keep(self, place: Place, record: &ItemRecord) -> [Write; 2] {
        let id = IdRecord {
            id: record.id.clone(),
            publisher: bare(&record.publisher).to_owned(),
            bytes: place.bytes,
        };
        [
            ITEM.put(&self.key(place.number), record),
            ID.put(&self.key(place.number), &id),
        ]
    }

    /// The writes that remove an item.
    pub(super) fn remove(self, place: u64) -> [Write; 2] {
        [ITEM.remove(&self.key(place)), ID.remove(&self.key(place))]
    }

    /// The item at a place, if it is still there.
    pub(crate) fn read(
        self,
        snapshot: &Snapshot,
        place: Place,
    ) -> Result<Option<ItemRecord>, Error> {
        ITEM.get(snapshot, &self.key(place.number))
    }

    /// The id of the item at a place, without its payload.
    pub(crate) fn read_id(
        self,
        snapshot: &Snapshot,
        place: Place,
    ) -> Result<Option<String>, Error> {
        Ok(ID
            .get(snapshot, &self.key(place.number))?
            .map(|record| record.id))
    }
}

/// An address that was parsed before, without its resource.
pub(super) fn bare(jid: &str) -> &str {
    jid.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_and_numbers_rise() {
        let (mut items, hashing) = (Items::default(), Hashing::default());
        for id in ["a", "b", "c"] {
            items.push(&hashing, id, "j@h", 10);
        }
        assert_eq!(items.find(&hashing, "b"), Some(1));
        assert_eq!(items.find(&hashing, "x"), None);
        let numbers = |places: &[Place]| places.iter().map(|p| p.number).collect::<Vec<_>>();
        assert_eq!(numbers(&items.evict(2)), [1]);
        assert_eq!(items.find(&hashing, "a"), None);
        items.remove(0);
        assert_eq!(items.push(&hashing, "d", "r@h", 5).number, 4);
        assert_eq!(numbers(&items.get(0..2)), [3, 4]);
        assert_eq!((items.len(), items.bytes()), (2, 15));
        assert_eq!(items.get(1..9), []);
        assert!(items.is_by(&hashing, 1, "r@h") && !items.is_by(&hashing, 1, "j@h"));
        assert!(!items.is_by(&hashing, 2, "r@h"));
    }
}
