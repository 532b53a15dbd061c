//! The archive of an account: every message worth keeping, in the order in which it was decided under the
//! account's lock.
//!
//! State: `archive.payload` holds each stanza once, by the position at which it was first kept, so that
//! sender and recipient on this server share it; `archive.entry` says for an account and one of its
//! positions whom it was with, when, and where the payload is. Positions grow over the whole store and are
//! never reused (DESIGN §9).

use crate::account::Cx;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use store::{Record, Snapshot, Table, Write};
use xmpp::{Jid, Passing, Stanza, StanzaError};

/// By account and position.
pub(crate) const ENTRY: Table<(u32, u64), EntryRecord> = Table::per_account("archive.entry", 1);
/// By the position at which it was first kept: the stanza in `jabber:client`, with both addresses.
pub(crate) const PAYLOAD: Table<u64, Bytes> = Table::new("archive.payload", 1);

/// What is known of a message without looking at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryRecord {
    /// When it was kept, milliseconds since 1970. The order is the position's, not this one's.
    pub(crate) stamp: u64,
    /// The other side's bare JID.
    pub(crate) contact: String,
    pub(crate) kind: EntryKind,
    /// Position in `archive.payload`.
    pub(crate) payload: u64,
}

impl Record for EntryRecord {}

/// Which way a message went, and how long it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EntryKind {
    Sent,
    Received,
    /// Received, and kept only until it is delivered: its sender wants no record (XEP-0334 §4.1).
    Temporary,
}

/// Keeps a message at the next position of the account, and notes the place in `passing` for whoever comes
/// later.
/// `resource-constraint` where the disk takes nothing.
pub(crate) fn keep(
    cx: &mut Cx<'_>,
    passing: &mut Passing,
    kind: EntryKind,
) -> Result<(), StanzaError> {
    let position = cx
        .server
        .next_position()
        .ok_or(StanzaError::RESOURCE_CONSTRAINT)?;
    let payload = if let Some(shared) = passing.archived {
        shared
    } else {
        cx.write(PAYLOAD.put(&position, &Bytes::from(passing.to_xml())));
        position
    };
    passing.archived = Some(payload);
    passing.position = Some(position);
    let contact = if kind == EntryKind::Sent {
        &passing.to
    } else {
        &passing.from
    };
    let record = EntryRecord {
        stamp: cx.now(),
        contact: contact.bare_str().to_owned(),
        kind,
        payload,
    };
    cx.write(ENTRY.put(&(cx.id(), position), &record));
    Ok(())
}

/// A kept message: what is known of it, and the stanza. `None` where it is gone by now.
pub(crate) fn read(
    snapshot: &Snapshot,
    account: u32,
    position: u64,
) -> Result<Option<(EntryRecord, Stanza)>, store::Error> {
    let Some(record) = ENTRY.get(snapshot, &(account, position))? else {
        return Ok(None);
    };
    let Some(payload) = PAYLOAD.get(snapshot, &record.payload)? else {
        return Ok(None);
    };
    let stanza = std::str::from_utf8(&payload)
        .ok()
        .and_then(|xml| Stanza::parse(xml).ok());
    Ok(stanza.map(|stanza| (record, stanza)))
}

/// The writes that take out a message that was kept only until its delivery; nobody else shares its payload.
pub(crate) fn remove_temporary(account: u32, position: u64) -> [Write; 2] {
    [
        ENTRY.remove(&(account, position)),
        PAYLOAD.remove(&position),
    ]
}

/// The writes that take out up to `max` messages of an account that is gone. A payload stays where the
/// other side is an account of ours that may show it; with the second of the two it goes.
pub(crate) fn removals(
    snapshot: &Snapshot,
    account: u32,
    max: usize,
    is_account: impl Fn(&Jid) -> Result<bool, store::Error>,
) -> Result<Vec<Write>, store::Error> {
    let mut writes = Vec::new();
    for row in ENTRY.prefix(snapshot, &account)?.take(max) {
        let (key, record) = row?;
        writes.push(ENTRY.remove(&key));
        let contact = Jid::parse(&record.contact).ok();
        if !contact.map_or(Ok(false), |contact| is_account(&contact))? {
            writes.push(PAYLOAD.remove(&record.payload));
        }
    }
    Ok(writes)
}

/// Bytes of an account's messages; those that two accounts share count for both.
pub(crate) fn bytes(snapshot: &Snapshot, account: u32) -> Result<u64, store::Error> {
    let mut sum = 0;
    for row in ENTRY.prefix(snapshot, &account)? {
        let (_, record) = row?;
        sum += PAYLOAD
            .get(snapshot, &record.payload)?
            .map_or(0, |payload| payload.len() as u64);
    }
    Ok(sum)
}
