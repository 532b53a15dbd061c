//! What an account, or a room, has in tables other than that of its record: counted while it lives, removed
//! when it is gone.

use super::{
    leaving::has_listeners,
    record::{REMOVED, domain, find},
};
use crate::{
    archive, devices, family,
    features::{blocking, bookmarks, last, mam, offline, private, reporting, vcard},
    identity, pubsub, push,
    room::record as room,
    roster,
    session::stored,
    uploads,
};
use store::{Error, Key, Snapshot, Table, Value, Write, limits::SWEEP_ROWS_MAX};

/// Every table with rows by account, but [`LAST_TABLES`]. What is missing here is kept for ever.
const TABLES: &[&(dyn Owned + Sync)] = &[
    &Messages,
    &Uploaded,
    &archive::KEEP,
    &mam::PREFERENCES,
    &roster::VERSION,
    &last::SEEN,
    &offline::MARK,
    &stored::STATE,
    &stored::ENTRY,
    &blocking::LIST,
    &devices::KNOWN,
    &reporting::REPORTS,
    &vcard::CARD,
    &vcard::PHOTO,
    &identity::EVENTS,
    &private::ELEMENT,
    &private::INDEX,
    &bookmarks::OLD_ONLY,
    &pubsub::ITEM,
    &pubsub::ID,
    &pubsub::AFFILIATION,
    &push::REGISTRATION,
    &push::PROGRESS,
    &room::AFFILIATION,
    &room::OCCUPANT,
    &room::VOICE,
    &room::HAT,
    &family::MEMBER,
    &family::CONTACT,
];

/// The tables that say who is to be told that an account is gone, and of what: they go last.
const LAST_TABLES: &[&(dyn Owned + Sync)] = &[&roster::ITEM, &pubsub::SUBSCRIPTION, &pubsub::NODE];

/// A table whose keys begin with an account's id, whatever else is in it.
trait Owned {
    fn removals_of(&self, snapshot: &Snapshot, id: u32, max: usize) -> Result<Vec<Write>, Error>;
    fn bytes_of(&self, snapshot: &Snapshot, id: u32) -> Result<u64, Error>;
}

impl<K: Key, V: Value> Owned for Table<K, V> {
    fn removals_of(&self, snapshot: &Snapshot, id: u32, max: usize) -> Result<Vec<Write>, Error> {
        self.removals(snapshot, &id, max)
    }

    fn bytes_of(&self, snapshot: &Snapshot, id: u32) -> Result<u64, Error> {
        let mut row = Vec::new();
        let mut sum = 0;
        for read in self.prefix(snapshot, &id)? {
            let (key, value) = read?;
            row.clear();
            key.encode(&mut row);
            value.encode(&mut row);
            sum += row.len() as u64;
        }
        Ok(sum)
    }
}

/// The archive, whose payloads two accounts may share.
struct Messages;

impl Owned for Messages {
    fn removals_of(&self, snapshot: &Snapshot, id: u32, max: usize) -> Result<Vec<Write>, Error> {
        let domain = domain(snapshot)?.unwrap_or_default();
        archive::removals(snapshot, id, max, &|contact| {
            let name = contact
                .localpart()
                .filter(|_| contact.domainpart() == domain);
            let record = name.map_or(Ok(None), |name| find(snapshot, name))?;
            Ok(record.map(|record| record.id))
        })
    }

    fn bytes_of(&self, snapshot: &Snapshot, id: u32) -> Result<u64, Error> {
        archive::bytes(snapshot, id)
    }
}

/// Uploaded files, of which crate `web` removes the bytes when their rows are gone.
struct Uploaded;

impl Owned for Uploaded {
    fn removals_of(&self, snapshot: &Snapshot, id: u32, max: usize) -> Result<Vec<Write>, Error> {
        uploads::removals(snapshot, id, max)
    }

    fn bytes_of(&self, snapshot: &Snapshot, id: u32) -> Result<u64, Error> {
        uploads::bytes(snapshot, id)
    }
}

/// Bytes of everything that is kept for an account besides its record.
pub(super) fn bytes(snapshot: &Snapshot, id: u32) -> Result<u64, Error> {
    let tables = TABLES.iter().chain(LAST_TABLES);
    tables.map(|table| table.bytes_of(snapshot, id)).sum()
}

/// The removed accounts of which something may be left: localpart and id of each.
pub fn removed(snapshot: &Snapshot) -> Result<Vec<(String, u32)>, Error> {
    let rows = REMOVED.prefix(snapshot, &())?;
    rows.map(|row| row.map(|(localpart, removed)| (localpart, removed.id)))
        .collect()
}

/// The next writes that remove what this account left, at most [`SWEEP_ROWS_MAX`]; empty when nothing is
/// left but people who are still to be told ([`super::rests`]): a running server does that.
pub fn writes_to_remove(snapshot: &Snapshot, id: u32) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    for table in TABLES {
        writes.extend(table.removals_of(snapshot, id, SWEEP_ROWS_MAX - writes.len())?);
    }
    if !has_listeners(snapshot, id)? {
        for table in LAST_TABLES {
            writes.extend(table.removals_of(snapshot, id, SWEEP_ROWS_MAX - writes.len())?);
        }
    }
    Ok(writes)
}

/// The next writes that remove what a room left, which is an account to these tables and has nobody to tell:
/// at most [`SWEEP_ROWS_MAX`].
///
/// # Errors
/// The disk's.
pub(crate) fn writes_to_remove_room(snapshot: &Snapshot, id: u32) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    for table in TABLES.iter().chain(LAST_TABLES) {
        writes.extend(table.removals_of(snapshot, id, SWEEP_ROWS_MAX - writes.len())?);
    }
    Ok(writes)
}

/// The name of a removed account is free again.
pub fn swept(localpart: &str) -> Write {
    REMOVED.remove(&localpart.to_owned())
}
