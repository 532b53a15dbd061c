//! What a household is beyond its accounts: a room that everybody is a member of, and a group of contacts in
//! which everybody sees everybody. Both are off until somebody switches them on.
//!
//! What is switched on is one row. What was made of it is noted in rows of each account, so that it is made
//! once: whoever removes the bookmark, renames a contact or is put out of the room has the last word, also
//! after a restart. [`Server::keep_family`] compares the two and does what is missing, whoever made or
//! removed accounts meanwhile; it runs at the start and after every change of accounts.
//!
//! Decisions: switching the room off takes back the bookmarks and lets nobody new in, but keeps the room with
//! what was said there; `room destroy` ends it. Switching the group off takes back a pair of contacts if
//! neither of the two has changed the other's entry; otherwise both keep it, or one would see without being
//! seen.
//!
//! State: tables `family.settings`, `family.member`, `family.contact`.

mod contacts;
mod keeping;
mod record;
mod room;
#[cfg(test)]
mod tests;

pub(crate) use keeping::Keeper;
pub(crate) use record::{CONTACT, MEMBER};

use crate::{
    accounts,
    limits::{FAMILY_ACCOUNTS_MAX, ROSTER_NAME_BYTES_MAX},
    room::{
        administration::{self as rooms, NewRoom},
        record::ROOM as ROOM_RECORD,
    },
    server::Server,
    world::Timestamp,
};
use household::Config;
use record::{FAMILY, FamilyRecord, RoomSetting};
use std::{fmt, sync::Arc};
use store::{Snapshot, Store, Urgency, Write};

/// Where the room is, if nobody says otherwise: in front of the `@`.
pub const ROOM: &str = "family";
/// What the room and the group are called, if nobody says otherwise.
pub const NAME: &str = "Family";

/// Why nothing was done.
#[derive(Debug)]
pub enum Refusal {
    /// There are more accounts than a family may have.
    TooMany,
    /// There is a room of that address which is not the household's.
    Taken,
    /// The room is elsewhere: its localpart.
    Elsewhere(String),
    /// The group is on under another name.
    Called(String),
    /// Nothing that a group can be called.
    BadGroup,
    Room(rooms::Refusal),
    /// The disk did not take it.
    NotKept,
    Store(store::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::TooMany => write!(
                f,
                "this is for households of up to {FAMILY_ACCOUNTS_MAX} accounts, and there are more"
            ),
            Refusal::Taken => f.write_str(
                "there is such a room already: choose another --address, or destroy that room first",
            ),
            Refusal::Elsewhere(name) => write!(
                f,
                "the household has a room at {name}: leave out --address, or destroy that room first"
            ),
            Refusal::Called(group) => {
                write!(f, "it is on already, as {group}: switch it off first")
            }
            Refusal::BadGroup => write!(
                f,
                "a group needs a name, of at most {ROSTER_NAME_BYTES_MAX} bytes in one line"
            ),
            Refusal::Room(refusal) => refusal.fmt(f),
            Refusal::NotKept => f.write_str("the disk did not take it: try again"),
            Refusal::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Refusal {
        Refusal::Store(error)
    }
}

impl From<rooms::Refusal> for Refusal {
    fn from(refusal: rooms::Refusal) -> Refusal {
        match refusal {
            rooms::Refusal::Exists => Refusal::Taken,
            refusal => Refusal::Room(refusal),
        }
    }
}

/// What is switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub room_on: bool,
    /// Localpart and name of the room; it is there while it is off, too.
    pub room: Option<(String, String)>,
    /// Name of the group; `None` where it is off.
    pub group: Option<String>,
}

/// What is switched on, by the store.
///
/// # Errors
/// The disk's.
pub fn settings(snapshot: &Snapshot) -> Result<Settings, store::Error> {
    let family = read(snapshot)?;
    let room = match &family.room {
        Some(setting) => of_number(snapshot, setting)?,
        None => None,
    };
    Ok(Settings {
        room_on: family.room_on && room.is_some(),
        room,
        group: (!family.group.is_empty()).then_some(family.group),
    })
}

fn read(snapshot: &Snapshot) -> Result<FamilyRecord, store::Error> {
    Ok(FAMILY.get(snapshot, &())?.unwrap_or_default())
}

/// The household's room by localpart and name, unless it was destroyed: then another one has its address.
fn of_number(
    snapshot: &Snapshot,
    setting: &RoomSetting,
) -> Result<Option<(String, String)>, store::Error> {
    let room = ROOM_RECORD.get(snapshot, &setting.localpart)?;
    let room = room.filter(|room| room.id == setting.number);
    Ok(room.map(|room| (setting.localpart.clone(), room.config.name)))
}

/// What switching the room on means for the one it had.
enum Found {
    /// It is on, or goes on, with the room that there is.
    Known(Vec<Write>),
    /// A room is to be made, of this localpart.
    None(String),
}

fn find_room(snapshot: &Snapshot, wanted: Option<&str>) -> Result<Found, Refusal> {
    if accounts::count(snapshot)? > FAMILY_ACCOUNTS_MAX as u64 {
        return Err(Refusal::TooMany);
    }
    let family = read(snapshot)?;
    let known = match &family.room {
        Some(setting) => of_number(snapshot, setting)?,
        None => None,
    };
    match known {
        Some((known, _)) if wanted.is_some_and(|wanted| wanted != known) => {
            Err(Refusal::Elsewhere(known))
        }
        Some(_) if family.room_on => Ok(Found::Known(Vec::new())),
        Some(_) => Ok(Found::Known(vec![FAMILY.put(
            &(),
            &FamilyRecord {
                room_on: true,
                ..family
            },
        )])),
        None => Ok(Found::None(wanted.unwrap_or(ROOM).to_owned())),
    }
}

fn new_room<'a>(localpart: &'a str, name: &'a str) -> NewRoom<'a> {
    NewRoom {
        localpart,
        name,
        members_only: true,
    }
}

fn with_room(snapshot: &Snapshot, localpart: &str, number: u32) -> Result<Write, store::Error> {
    let family = FamilyRecord {
        room_on: true,
        room: Some(RoomSetting {
            localpart: localpart.to_owned(),
            number,
        }),
        ..read(snapshot)?
    };
    Ok(FAMILY.put(&(), &family))
}

/// The writes that switch the room on, which is made where there is none; people become members when the
/// server starts next.
///
/// # Errors
/// [`Refusal::TooMany`], [`Refusal::Taken`], [`Refusal::Elsewhere`], those of making a room; the disk's.
pub fn room_on(
    (store, snapshot): (&Arc<Store>, &Snapshot),
    config: &Config,
    (localpart, name): (Option<&str>, &str),
    now: Timestamp,
) -> Result<Vec<Write>, Refusal> {
    let localpart = match find_room(snapshot, localpart)? {
        Found::Known(writes) => return Ok(writes),
        Found::None(localpart) => localpart,
    };
    let new = new_room(&localpart, name);
    let (mut writes, number) = rooms::create((store, snapshot), config, &new, now)?;
    writes.push(with_room(snapshot, &localpart, number)?);
    Ok(writes)
}

/// The writes that switch the room off.
///
/// # Errors
/// The disk's.
pub fn room_off(snapshot: &Snapshot) -> Result<Vec<Write>, Refusal> {
    let family = read(snapshot)?;
    let off = FamilyRecord {
        room_on: false,
        ..family
    };
    Ok(vec![FAMILY.put(&(), &off)])
}

/// The writes that switch the group of contacts on.
///
/// # Errors
/// [`Refusal::TooMany`], [`Refusal::Called`], [`Refusal::BadGroup`]; the disk's.
pub fn group_on(snapshot: &Snapshot, group: &str) -> Result<Vec<Write>, Refusal> {
    let is_line = group.trim() == group && !group.contains(char::is_control);
    if group.is_empty() || group.len() > ROSTER_NAME_BYTES_MAX || !is_line {
        return Err(Refusal::BadGroup);
    }
    if accounts::count(snapshot)? > FAMILY_ACCOUNTS_MAX as u64 {
        return Err(Refusal::TooMany);
    }
    let family = read(snapshot)?;
    if !family.group.is_empty() && family.group != group {
        return Err(Refusal::Called(family.group));
    }
    let on = FamilyRecord {
        group: group.to_owned(),
        ..family
    };
    Ok(vec![FAMILY.put(&(), &on)])
}

/// The writes that switch the group of contacts off.
///
/// # Errors
/// The disk's.
pub fn group_off(snapshot: &Snapshot) -> Result<Vec<Write>, Refusal> {
    let off = FamilyRecord {
        group: String::new(),
        ..read(snapshot)?
    };
    Ok(vec![FAMILY.put(&(), &off)])
}

impl Server {
    /// What is switched on. Reads the disk.
    ///
    /// # Errors
    /// The disk's.
    pub fn family(&self) -> Result<Settings, store::Error> {
        settings(&self.newest()?)
    }

    /// Switches the household's room on: everybody becomes a member, and gets a bookmark. It is made where
    /// there is none, at `localpart` (else [`ROOM`]).
    ///
    /// # Errors
    /// As [`room_on`]; [`Refusal::NotKept`].
    pub async fn family_room_on(
        self: &Arc<Self>,
        localpart: Option<&str>,
        name: &str,
    ) -> Result<(), Refusal> {
        let turn = self.family_keeper().turn().await;
        let found = find_room(&self.newest()?, localpart)?;
        let writes = match found {
            Found::Known(writes) => writes,
            Found::None(localpart) => {
                let number = self.create_room(&new_room(&localpart, name)).await?;
                vec![with_room(&self.newest()?, &localpart, number)?]
            }
        };
        self.decided_for_family(writes).await?;
        self.keep_family_in(&turn).await;
        Ok(())
    }

    /// Switches it off.
    ///
    /// # Errors
    /// [`Refusal::NotKept`]; the disk's.
    pub async fn family_room_off(self: &Arc<Self>) -> Result<(), Refusal> {
        self.change_family(room_off).await
    }

    /// Switches the group of contacts on: everybody sees everybody.
    ///
    /// # Errors
    /// As [`group_on`]; [`Refusal::NotKept`].
    pub async fn family_group_on(self: &Arc<Self>, group: &str) -> Result<(), Refusal> {
        self.change_family(|snapshot| group_on(snapshot, group))
            .await
    }

    /// Switches it off.
    ///
    /// # Errors
    /// [`Refusal::NotKept`]; the disk's.
    pub async fn family_group_off(self: &Arc<Self>) -> Result<(), Refusal> {
        self.change_family(group_off).await
    }

    async fn change_family(
        self: &Arc<Self>,
        decide: impl FnOnce(&Snapshot) -> Result<Vec<Write>, Refusal>,
    ) -> Result<(), Refusal> {
        let turn = self.family_keeper().turn().await;
        let writes = decide(&self.newest()?)?;
        self.decided_for_family(writes).await?;
        self.keep_family_in(&turn).await;
        Ok(())
    }

    async fn decided_for_family(&self, writes: Vec<Write>) -> Result<(), Refusal> {
        let ticket = self.store().queue(writes, Urgency::Now);
        let is_kept = self.is_kept(ticket).await;
        is_kept.then_some(()).ok_or(Refusal::NotKept)
    }

    /// Everything that was queued until now.
    fn newest(&self) -> Result<Snapshot, store::Error> {
        let store = self.store();
        store.snapshot_after(store.queue(Vec::new(), Urgency::Now))
    }
}
