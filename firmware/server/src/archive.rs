//! The archive of an account: every message worth keeping, in the order in which it was decided under the
//! account's lock.
//!
//! State: `archive.payload` holds each stanza once, by the position at which it was first kept, so that
//! sender and recipient on this server share it, and `archive.shared` says who the second holder is;
//! `archive.entry` says for an account and one of its positions whom it was with, when, and where the
//! payload is. Positions grow over the whole store and are never reused (DESIGN §9). `index.rs` finds
//! messages without reading them all, `walk.rs` and `page.rs` read them, `ids.rs` is what they are called
//! on the wire, `tombstone.rs` is what stays of one that was taken back, and `retention.rs` lets go of the
//! oldest.

mod ids;
mod index;
mod page;
mod retention;
#[cfg(test)]
mod tests;
mod tombstone;
mod walk;

pub(crate) use ids::Ids;
pub(crate) use index::{Index, Place};
pub(crate) use page::{Kept, Page, PageError, Query, SaidBy, Start};
pub(crate) use retention::{KEEP, KeepRecord, Retention, would_go};
pub(crate) use tombstone::{RETRACT, Retraction, retract};
pub(crate) use walk::Archive;

use crate::{account::Cx, world::Timestamp};
use bytes::Bytes;
use index::{BLOCK, Member, SPAN};
use serde::{Deserialize, Serialize};
use store::{Record, Snapshot, Table, Write};
use xmpp::{Jid, Passing, Stanza, StanzaError, stanza::Reach};

/// XEP-0359: what an id in a message says it is.
pub(crate) const STANZA_ID: &str = "urn:xmpp:sid:0";

/// By account and position.
pub(crate) const ENTRY: Table<(u32, u64), EntryRecord> = Table::per_account("archive.entry", 1);
/// By the position at which it was first kept: the stanza in `jabber:client`, with both addresses.
pub(crate) const PAYLOAD: Table<u64, Bytes> = Table::new("archive.payload", 1);
/// By the same position, where two accounts point there: the second one.
pub(crate) const SHARED: Table<u64, Holder> = Table::new("archive.shared", 1);

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
    /// Of the payload.
    pub(crate) bytes: u32,
}

impl Record for EntryRecord {}

impl EntryRecord {
    /// Whether clients may know of it.
    pub(crate) fn is_shown(&self) -> bool {
        self.kind != EntryKind::Temporary
    }

    fn member(&self, position: u64) -> Member {
        Member {
            position,
            stamp: self.stamp,
            contact: index::hash(&self.contact),
        }
    }
}

/// Which way a message went, and how long it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EntryKind {
    Sent,
    Received,
    /// Received, and kept only until it is delivered: its sender wants no record (XEP-0334 §4.1), or its
    /// recipient none (XEP-0441), or nobody would miss it later.
    Temporary,
}

/// The second account that shows a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    account: u32,
    position: u64,
}

impl Record for Holder {}

/// Keeps a message at the next position of the account, and notes the place in `passing` for whoever comes
/// later. What is received says from here on under which id it was archived (XEP-0313 §3.5).
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
    let (payload, bytes) = payload(cx, passing, kind, position);
    passing.position = Some(position);
    passing.temporary = kind == EntryKind::Temporary;
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
        bytes,
    };
    put(cx, position, &record);
    if kind == EntryKind::Received {
        let stanza_id = stanza_id(cx.server.archive_ids(), cx.account.id, cx.jid(), position);
        passing.add(stanza_id, Reach::ThisAccount);
    }
    Ok(())
}

/// Keeps what was said in a room, as everybody gets it, under the real address of whoever said it; `beside`
/// is what the archive alone says of it, as XML. From here on it says under which id. No other archive
/// shares it. `resource-constraint` where the disk takes nothing.
pub(crate) fn keep_in_room(
    cx: &mut Cx<'_>,
    said: &mut Passing,
    by: &Jid,
    beside: Option<String>,
) -> Result<u64, StanzaError> {
    let position = cx
        .server
        .next_position()
        .ok_or(StanzaError::RESOURCE_CONSTRAINT)?;
    let xml = match beside {
        Some(beside) => {
            let mut kept = said.clone();
            kept.add(beside, Reach::Everybody);
            kept.to_xml_for_all()
        }
        None => said.to_xml_for_all(),
    };
    let record = EntryRecord {
        stamp: cx.now(),
        contact: by.bare_str().to_owned(),
        kind: EntryKind::Received,
        payload: position,
        bytes: u32::try_from(xml.len()).unwrap_or(u32::MAX),
    };
    cx.write(PAYLOAD.put(&position, &Bytes::from(xml)));
    put(cx, position, &record);
    let id = stanza_id(cx.server.archive_ids(), cx.account.id, cx.jid(), position);
    said.add(id, Reach::Everybody);
    Ok(position)
}

fn put(cx: &mut Cx<'_>, position: u64, record: &EntryRecord) {
    cx.write(ENTRY.put(&(cx.id(), position), record));
    if record.kind == EntryKind::Temporary {
        return;
    }
    let (account, member) = (cx.id(), record.member(position));
    let bytes = u64::from(record.bytes);
    let full = cx.state.memory.archive.add(account, member, bytes);
    full.into_iter().flatten().for_each(|write| cx.write(write));
}

/// Where the stanza is, and its bytes there. What is kept until it is delivered is shared with nobody: it
/// goes without a look at who else might have it.
fn payload(cx: &mut Cx<'_>, passing: &mut Passing, kind: EntryKind, position: u64) -> (u64, u32) {
    match passing.archived {
        Some((shared, bytes)) if kind != EntryKind::Temporary => {
            let account = cx.id();
            cx.write(SHARED.put(&shared, &Holder { account, position }));
            (shared, bytes)
        }
        _ => {
            let xml = Bytes::from(passing.to_xml());
            let bytes = u32::try_from(xml.len()).unwrap_or(u32::MAX);
            cx.write(PAYLOAD.put(&position, &xml));
            if kind != EntryKind::Temporary {
                passing.archived = Some((position, bytes));
            }
            (position, bytes)
        }
    }
}

/// `<stanza-id/>` (XEP-0359 §2.1) of a position of this account.
pub(crate) fn stanza_id(ids: &Ids, account: u32, jid: &Jid, position: u64) -> String {
    let mut out = String::with_capacity(80 + jid.as_str().len());
    out.push_str("<stanza-id xmlns='urn:xmpp:sid:0' id='");
    ids.write(&mut out, account, position);
    out.push('\'');
    xmpp::compose::attribute(&mut out, "by", jid.as_str());
    out.push_str("/>");
    out
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

/// The writes that take out a message that was kept only until its delivery; nobody else shares its
/// payload.
pub(crate) fn remove_temporary(account: u32, position: u64) -> [Write; 2] {
    [
        ENTRY.remove(&(account, position)),
        PAYLOAD.remove(&position),
    ]
}

/// The account of an address of ours, if there is one.
pub(crate) type AccountOf<'f> = dyn Fn(&Jid) -> Result<Option<u32>, store::Error> + 'f;

/// The writes that take out one message: its payload stays while the other account shows it, and goes with
/// the second of the two.
fn removal(
    snapshot: &Snapshot,
    (account, position): (u32, u64),
    record: &EntryRecord,
    account_of: &AccountOf<'_>,
) -> Result<Vec<Write>, store::Error> {
    let mut writes = vec![ENTRY.remove(&(account, position))];
    let other = if record.payload == position {
        let holder = SHARED.get(snapshot, &position)?;
        holder.map(|holder| (holder.account, holder.position))
    } else {
        let contact = Jid::parse(&record.contact).ok();
        let sender = contact.map_or(Ok(None), |contact| account_of(&contact))?;
        sender.map(|sender| (sender, record.payload))
    };
    let shown_by_other = other
        .map_or(Ok(None), |other| ENTRY.get(snapshot, &other))?
        .is_some();
    if !shown_by_other {
        writes.push(PAYLOAD.remove(&record.payload));
    }
    if other.is_some() || record.payload != position {
        writes.push(SHARED.remove(&record.payload));
    }
    Ok(writes)
}

/// Writes that one message's removal makes at most.
const REMOVAL_WRITES: usize = 3;

/// The writes that take out messages of an account that is gone, `max` writes at most.
pub(crate) fn removals(
    snapshot: &Snapshot,
    account: u32,
    max: usize,
    account_of: &AccountOf<'_>,
) -> Result<Vec<Write>, store::Error> {
    let mut writes = Vec::new();
    let rows = ENTRY.prefix(snapshot, &account)?;
    for row in rows.take(max / REMOVAL_WRITES) {
        let (key, record) = row?;
        writes.extend(removal(snapshot, key, &record, account_of)?);
    }
    writes.extend(BLOCK.removals(snapshot, &account, max - writes.len())?);
    writes.extend(SPAN.removals(snapshot, &account, max - writes.len())?);
    Ok(writes)
}

/// Bytes of an account's messages; those that two accounts share count for both.
pub(crate) fn bytes(snapshot: &Snapshot, account: u32) -> Result<u64, store::Error> {
    index::bytes(snapshot, account)
}

/// The time of `ms` milliseconds ago.
fn ago(now: Timestamp, ms: u64) -> Timestamp {
    now.saturating_sub(ms)
}
