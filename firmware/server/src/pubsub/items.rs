//! The items of a node: an index in memory, payloads and ids on disk.
//!
//! State: table `pubsub.item` has the payload of each item, `pubsub.id` its id, size and time, so that an
//! account is loaded without reading a payload. In memory each item is its place, a hash of its id, its size
//! and its time: a publication, an eviction and the bounds of a page are decided without the disk.

use crate::{
    limits::{PUBSUB_ID_BYTES_MAX, PUBSUB_ITEM_BYTES_MAX},
    world::Timestamp,
};
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
    /// As in [`Place`].
    published_s: u32,
}

impl Record for IdRecord {}

impl IdRecord {
    /// When it was published, in seconds since 1970.
    pub(super) fn published_s(&self) -> u32 {
        self.published_s
    }
}

/// Where an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number above, the bytes below.
    number_and_bytes: u64,
    hash: u64,
    /// A hash, too: who published it may take it back.
    publisher: u32,
    published_s: u32,
}

/// Bits for the bytes of an item; those above are for 17 million million publications at one node.
const BYTES_BITS: u32 = 20;
const BYTES_MASK: u64 = (1 << BYTES_BITS) - 1;
const _: () = assert!(
    ((PUBSUB_ITEM_BYTES_MAX + PUBSUB_ID_BYTES_MAX + 3 * 1_024) as u64) < BYTES_MASK,
    "an item of any size, with whoever published it, must be counted"
);
const _: () = assert!(size_of::<Place>() == 24, "it is in memory for each item");

impl Place {
    fn new(hashing: &Hashing, number: u64, record: &IdRecord) -> Place {
        Place {
            number_and_bytes: number << BYTES_BITS | u64::from(record.bytes).min(BYTES_MASK),
            hash: hashing.of(&record.id),
            publisher: hashing.short(&record.publisher),
            published_s: record.published_s,
        }
    }

    /// Rises with every publication.
    pub(crate) fn number(self) -> u64 {
        self.number_and_bytes >> BYTES_BITS
    }

    /// Seconds since 1970, begun ones counted.
    pub(super) fn published_s(self) -> u32 {
        self.published_s
    }

    /// Bytes of the item on disk, roughly.
    pub(crate) fn bytes(self) -> usize {
        self.size() as usize
    }

    fn size(self) -> u64 {
        self.number_and_bytes & BYTES_MASK
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
        self.places.get(index).map_or(0, |place| place.size())
    }

    /// Bytes of so many of the oldest.
    pub(super) fn bytes_of_oldest(&self, count: usize) -> u64 {
        let oldest = self.places.iter().take(count);
        oldest.map(|place| place.size()).sum()
    }

    pub(crate) fn get(&self, range: std::ops::Range<usize>) -> Vec<Place> {
        self.places.get(range).unwrap_or_default().to_vec()
    }

    pub(crate) fn last(&self) -> Option<Place> {
        self.places.last().copied()
    }

    /// The place of a new item; what it has on disk is [`Shelf::keep`].
    pub(super) fn push(&mut self, hashing: &Hashing, record: &IdRecord) -> Place {
        let number = self.last().map_or(1, |last| last.number() + 1);
        let place = Place::new(hashing, number, record);
        if self.places.len() < 4 {
            self.places.reserve_exact(1); // nearly all nodes have one item
        }
        self.places.push(place);
        self.bytes += place.size();
        place
    }

    pub(super) fn remove(&mut self, index: usize) -> Place {
        let place = self.places.remove(index);
        self.bytes -= place.size();
        place
    }

    /// Takes out the oldest, so that at most `max` are left.
    pub(super) fn evict(&mut self, max: usize) -> Vec<Place> {
        let surplus = self.places.len().saturating_sub(max);
        let evicted: Vec<Place> = self.places.drain(..surplus).collect();
        self.bytes -= evicted.iter().map(|place| place.size()).sum::<u64>();
        evicted
    }

    /// Takes out what was published before then, in seconds since 1970. That is the oldest, unless the clock
    /// jumped.
    pub(super) fn expire(&mut self, before_s: u32) -> Vec<Place> {
        let mut expired = Vec::new();
        self.places.retain(|place| {
            let stays = place.published_s >= before_s;
            if !stays {
                expired.push(*place);
            }
            stays
        });
        self.bytes -= expired.iter().map(|place| place.size()).sum::<u64>();
        expired
    }

    /// When the first of them was published, in seconds since 1970.
    pub(super) fn first_published_s(&self) -> Option<u32> {
        self.places.iter().map(|place| place.published_s).min()
    }

    pub(super) fn clear(&mut self) -> Vec<Place> {
        self.bytes = 0;
        std::mem::take(&mut self.places)
    }

    /// One of the rows that an account is loaded from; they come in order.
    pub(super) fn load(&mut self, hashing: &Hashing, number: u64, record: &IdRecord) {
        let place = Place::new(hashing, number, record);
        self.bytes += place.size();
        self.places.push(place);
    }
}

impl ItemRecord {
    /// What an account is loaded from.
    pub(super) fn short(&self) -> IdRecord {
        let bytes = self.payload.len() + self.id.len() + self.publisher.len();
        IdRecord {
            id: self.id.clone(),
            publisher: bare(&self.publisher).to_owned(),
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            published_s: u32::try_from(self.published_ms.div_ceil(1_000)).unwrap_or(u32::MAX),
        }
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
    pub(super) fn keep(self, place: Place, record: &ItemRecord, short: &IdRecord) -> [Write; 2] {
        let key = self.key(place.number());
        [ITEM.put(&key, record), ID.put(&key, short)]
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
        ITEM.get(snapshot, &self.key(place.number()))
    }

    /// The id of the item at a place, without its payload.
    pub(crate) fn read_id(
        self,
        snapshot: &Snapshot,
        place: Place,
    ) -> Result<Option<String>, Error> {
        Ok(ID
            .get(snapshot, &self.key(place.number()))?
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

    fn record(id: &str, publisher: &str, published_ms: Timestamp, bytes: usize) -> IdRecord {
        let item = ItemRecord {
            id: id.to_owned(),
            publisher: publisher.to_owned(),
            published_ms,
            payload: "x".repeat(bytes),
        };
        item.short()
    }

    fn numbers(places: &[Place]) -> Vec<u64> {
        places.iter().map(|place| place.number()).collect()
    }

    #[test]
    fn the_oldest_go_and_numbers_rise() {
        let (mut items, hashing) = (Items::default(), Hashing::default());
        for id in ["a", "b", "c"] {
            items.push(&hashing, &record(id, "j@h/x", 0, 6));
        }
        assert_eq!(items.find(&hashing, "b"), Some(1));
        assert_eq!(items.find(&hashing, "x"), None);
        assert_eq!(numbers(&items.evict(2)), [1]);
        assert_eq!(items.find(&hashing, "a"), None);
        items.remove(0);
        assert_eq!(items.push(&hashing, &record("d", "r@h", 0, 6)).number(), 4);
        assert_eq!(numbers(&items.get(0..2)), [3, 4]);
        assert_eq!((items.len(), items.bytes()), (2, 12 + 10));
        assert_eq!(items.get(1..9), []);
        assert!(items.is_by(&hashing, 1, "r@h") && !items.is_by(&hashing, 1, "j@h"));
        assert!(!items.is_by(&hashing, 2, "r@h"));
    }

    #[test]
    fn what_is_too_old_goes_wherever_it_stands() {
        let (mut items, hashing) = (Items::default(), Hashing::default());
        // The clock was set back behind the second one.
        for (id, published_ms) in [("a", 5_000), ("b", 9_001), ("c", 3_999), ("d", 6_000)] {
            items.push(&hashing, &record(id, "j@h", published_ms, 6));
        }
        assert_eq!(items.first_published_s(), Some(4));
        assert_eq!(items.expire(4), []);
        assert_eq!(numbers(&items.expire(6)), [1, 3]);
        assert_eq!((items.len(), items.bytes()), (2, 20));
        assert_eq!(numbers(&items.expire(10)), [4]);
        assert_eq!(numbers(&items.expire(11)), [2]);
        assert_eq!((items.first_published_s(), items.bytes()), (None, 0));
    }

    #[test]
    fn the_longest_item_is_counted() {
        let (mut items, hashing) = (Items::default(), Hashing::default());
        let place = items.push(&hashing, &record("a", "j@h", 0, PUBSUB_ITEM_BYTES_MAX));
        assert_eq!(place.number(), 1);
        assert_eq!(place.bytes(), PUBSUB_ITEM_BYTES_MAX + 4);
    }
}
