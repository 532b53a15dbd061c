//! What is stored of the household: what is switched on, and what was made of it for each account.

use serde::{Deserialize, Serialize};
use store::{Record, Table};

/// One row: what is switched on.
pub(super) const FAMILY: Table<(), FamilyRecord> = Table::new("family.settings", 1);
/// By account: its part in the household's room.
pub(crate) const MEMBER: Table<u32, MemberRecord> = Table::per_account("family.member", 1);
/// By account and the bare JID of another one: what was made of the two.
pub(crate) const CONTACT: Table<(u32, String), ContactRecord> =
    Table::per_account("family.contact", 1);

/// What is switched on. Fields are in the order of the first release and only ever appended to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FamilyRecord {
    pub(super) room_on: bool,
    /// The room that was made for everybody.
    pub(super) room: Option<RoomSetting>,
    /// Name of the group of contacts; empty where it is off.
    pub(super) group: String,
}

impl Record for FamilyRecord {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RoomSetting {
    pub(super) localpart: String,
    /// Tells it from a later room of that name.
    pub(super) number: u32,
}

/// What an account got with the room. Fields are in the order of the first release and only ever appended to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberRecord {
    /// The room's number: once in each room.
    pub(super) room: u32,
    /// The bookmark as it was made; empty where there was one already.
    pub(super) bookmark: String,
}

impl Record for MemberRecord {}

/// What was done to an account's contact. Fields are in the order of the first release and only ever appended
/// to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContactRecord {
    /// There was no such contact before.
    pub(super) made: bool,
    /// The directions that were added (RFC 6121 §2.1.2.5).
    pub(super) to: bool,
    pub(super) from: bool,
    /// As they were made.
    pub(super) name: String,
    pub(super) group: String,
}

impl Record for ContactRecord {}
