//! What is stored of a room: itself under its name, who is affiliated, and who is in it, so that a restart
//! finds everybody where they were.
//!
//! State: tables `room.record`, `room.affiliation`, `room.voice`, `room.hat`, `room.occupant`,
//! `room.ended`, `room.secret`.

use super::{
    config::Config,
    standing::{Affiliation, Role},
};
use crate::world::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Record, Table, Write};

/// By localpart.
pub(crate) const ROOM: Table<String, RoomRecord> = Table::new("room.record", 1);
/// By the room's number and the bare JID (or domain) of whoever is affiliated.
pub(crate) const AFFILIATION: Table<(u32, String), AffiliationRecord> =
    Table::per_account("room.affiliation", 1);
/// By the room's number and the bare JID of whoever was given a voice, or had it taken.
pub(crate) const VOICE: Table<(u32, String), VoiceRecord> = Table::per_account("room.voice", 1);
/// By the room's number and the URI of a hat.
pub(crate) const HAT: Table<(u32, String), HatRecord> = Table::per_account("room.hat", 1);
/// By the room's number and the full JID of a session in it.
pub(crate) const OCCUPANT: Table<(u32, String), OccupantRecord> =
    Table::per_account("room.occupant", 1);
/// By number: rooms that are no more and may have left something.
pub(crate) const ENDED: Table<u32, ()> = Table::new("room.ended", 1);
/// One row: what occupant ids are made with.
pub(crate) const SECRET: Table<(), SecretRecord> = Table::new("room.secret", 1);

/// What ends a room on disk: its name is free at once, and what else it left goes when there is time.
pub(crate) fn ending(localpart: &str, number: u32) -> [Write; 2] {
    [ROOM.remove(&localpart.to_owned()), ENDED.put(&number, &())]
}

/// A stored room. Fields are in the order of the first release and only ever appended to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoomRecord {
    /// First part of every key of this room; never given to another, and never that of an account.
    pub(crate) id: u32,
    /// Bare JID of whoever made it.
    pub(crate) creator: String,
    pub(crate) created_ms: Timestamp,
    pub(crate) config: Config,
    pub(crate) subject: Subject,
    /// SHA-1 of each picture in its card (XEP-0486 §5.1), in hexadecimal digits.
    pub(crate) pictures: Vec<String>,
}

impl Record for RoomRecord {}

/// What is talked about (XEP-0045 §7.2.15), and who said so when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subject {
    /// The `<subject/>` elements as XML; empty where there is none.
    pub(crate) xml: String,
    /// The occupant JID it was set by; empty where nobody ever set one.
    pub(crate) by: String,
    pub(crate) set_ms: Timestamp,
    /// By which that occupant is recognised (XEP-0421).
    pub(crate) by_id: String,
    /// The language that the elements are in where they do not say; empty where nobody did.
    pub(crate) lang: String,
    /// Its place in the archive; 0 where it has none.
    pub(crate) position: u64,
}

/// What somebody is to a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AffiliationRecord {
    pub(crate) affiliation: Affiliation,
    /// The nickname that is theirs alone (§7.10); empty where they have none.
    pub(crate) nick: String,
    /// Why, as whoever decided it put it; empty where nothing was said.
    pub(crate) reason: String,
}

impl Record for AffiliationRecord {}

/// What a moderator decided about somebody's voice (XEP-0045 §5.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VoiceRecord {
    pub(crate) has: bool,
    pub(crate) since_ms: Timestamp,
}

impl Record for VoiceRecord {}

/// A hat (XEP-0317 §3.1), and who wears it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HatRecord {
    /// Hats are shown in the order in which they were made.
    pub(crate) order: u32,
    /// For people.
    pub(crate) title: String,
    /// The language that the title is in; empty where nobody said.
    pub(crate) lang: String,
    /// Its colour, an angle in degrees as text; empty where nobody said.
    pub(crate) hue: String,
    /// Bare JIDs, sorted.
    pub(crate) wearers: Vec<String>,
}

impl Record for HatRecord {}

impl AffiliationRecord {
    /// Decided by the household, for no reason that anybody gave.
    pub(crate) fn of(affiliation: Affiliation, nick: String) -> AffiliationRecord {
        AffiliationRecord {
            affiliation,
            nick,
            reason: String::new(),
        }
    }
}

/// A session in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OccupantRecord {
    pub(crate) nick: String,
    pub(crate) role: Role,
    /// What its client said last in its presence, as XML.
    pub(crate) presence: String,
    /// The language that it said this is in; empty where it did not.
    pub(crate) lang: String,
    /// Grows with each row that a room writes: the device of somebody that said something last is shown.
    pub(crate) order: u64,
}

impl Record for OccupantRecord {}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SecretRecord {
    pub(crate) bytes: [u8; 32],
}

impl Record for SecretRecord {}
