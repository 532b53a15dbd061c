//! What is stored of a room: itself under its name, who is affiliated, and who is in it, so that a restart
//! finds everybody where they were.
//!
//! State: tables `room.record`, `room.affiliation`, `room.occupant`, `room.secret`.

use super::{
    config::Config,
    standing::{Affiliation, Role},
};
use crate::world::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Record, Table};

/// By localpart.
pub(crate) const ROOM: Table<String, RoomRecord> = Table::new("room.record", 1);
/// By the room's number and the bare JID (or domain) of whoever is affiliated.
pub(crate) const AFFILIATION: Table<(u32, String), AffiliationRecord> =
    Table::per_account("room.affiliation", 1);
/// By the room's number and the full JID of a session in it.
pub(crate) const OCCUPANT: Table<(u32, String), OccupantRecord> =
    Table::per_account("room.occupant", 1);
/// One row: what occupant ids are made with.
pub(crate) const SECRET: Table<(), SecretRecord> = Table::new("room.secret", 1);

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

/// A session in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OccupantRecord {
    pub(crate) nick: String,
    pub(crate) role: Role,
    /// What its client said last in its presence, as XML.
    pub(crate) presence: String,
    /// Grows with each row that a room writes: the device of somebody that said something last is shown.
    pub(crate) order: u64,
}

impl Record for OccupantRecord {}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SecretRecord {
    pub(crate) bytes: [u8; 32],
}

impl Record for SecretRecord {}
