//! Rooms (XEP-0045): who is in one, who may do what there, how it is configured. What is said and answered in
//! XML is in `features/muc.rs` and its folder.
//!
//! A room is an account without sessions and contacts, so that it has a lock, a queue, an archive and rows as
//! accounts have ([`crate::account`]); what makes it a room is [`Room`]. It is in memory while somebody is in
//! it, and shortly after somebody asked for it.

pub mod administration;
mod asking;
pub(crate) mod changes;
pub(crate) mod config;
pub(crate) mod haste;
pub(crate) mod hats;
mod leftovers;
pub(crate) mod matrix;
pub(crate) mod nickname;
pub(crate) mod occupants;
mod reading;
pub(crate) mod record;
mod rooms;
pub(crate) mod seats;
pub(crate) mod standing;
pub(crate) mod under_way;
mod voices;

pub(crate) use config::Config;
pub(crate) use leftovers::{acquainted, forget};
pub(crate) use occupants::{Occupant, Occupants, Said, Seat};
pub(crate) use reading::{Pages, Sight};
pub(crate) use rooms::{Card, Rooms};
pub(crate) use standing::{Affiliation, Role};
pub(crate) use under_way::{CameBack, UnderWay};

use crate::{
    account::{Account, Cx},
    features::{PerAccount, muc::taken_up},
    roster::Roster,
    server::Server,
    world::Timestamp,
};
use haste::Haste;
use hats::Hat;
use record::{
    AFFILIATION, AffiliationRecord, HAT, OCCUPANT, OccupantRecord, ROOM, RoomRecord, Subject,
    VOICE, VoiceRecord,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use store::Snapshot;
use xmpp::{Jid, Passing};

/// A room in memory.
pub(crate) struct Room {
    /// Bare JID of whoever made it.
    creator: String,
    created: Timestamp,
    pub(crate) config: Config,
    pub(crate) subject: Subject,
    /// The hash of each picture in its card (XEP-0486).
    pub(crate) pictures: Vec<String>,
    /// Nobody but its owner gets in before it is configured (§7.2.10); it is not on disk before, either.
    pub(crate) locked: bool,
    /// It is no more; whoever still finds it looks again.
    pub(crate) destroyed: bool,
    /// Who is affiliated, by bare JID or domain.
    pub(crate) affiliations: BTreeMap<Jid, AffiliationRecord>,
    /// Who has a voice, or none, otherwise than the affiliation says, by bare JID (§5.1).
    pub(crate) voices: BTreeMap<Jid, VoiceRecord>,
    /// Hats that people may wear, in the order in which they were made (XEP-0317).
    pub(crate) hats: Vec<Hat>,
    /// Places in the archive of what moderators took back lately, the last one first.
    pub(crate) moderated: VecDeque<u64>,
    /// Who asked the moderators or admins for something a short while ago, by bare JID.
    pub(crate) asked: Vec<(Jid, Timestamp)>,
    pub(crate) occupants: Occupants,
    /// Of the row of a seat that was written last.
    moves: u64,
    pub(crate) haste: Haste,
    /// Joins that wait for their history, and the messages that were sent meanwhile.
    pub(crate) joins_reading: usize,
    pub(crate) said_meanwhile: VecDeque<(u64, Timestamp, Passing)>,
    pub(crate) under_way: UnderWay,
    /// Whose pages of the archive are being read.
    pub(crate) pages: Pages,
}

impl Room {
    /// A room that nobody has configured yet (§10.1.1); whoever made it owns it.
    pub(crate) fn new(creator: &Jid, created: Timestamp) -> Room {
        let creator = creator.bare();
        let owner = AffiliationRecord {
            affiliation: Affiliation::Owner,
            nick: String::new(),
            reason: String::new(),
        };
        Room {
            locked: true,
            affiliations: BTreeMap::from([(creator.clone(), owner)]),
            ..Room::empty(creator.as_str().to_owned(), created)
        }
    }

    /// One that nobody is anything to.
    fn empty(creator: String, created: Timestamp) -> Room {
        Room {
            creator,
            created,
            config: Config::default(),
            subject: Subject::default(),
            pictures: Vec::new(),
            locked: false,
            destroyed: false,
            affiliations: BTreeMap::new(),
            voices: BTreeMap::new(),
            hats: Vec::new(),
            moderated: VecDeque::new(),
            asked: Vec::new(),
            occupants: Occupants::default(),
            moves: 0,
            haste: Haste::default(),
            joins_reading: 0,
            said_meanwhile: VecDeque::new(),
            under_way: UnderWay::default(),
            pages: Pages::default(),
        }
    }

    fn load(snapshot: &Snapshot, record: RoomRecord) -> Result<Room, store::Error> {
        let mut affiliations = BTreeMap::new();
        for row in AFFILIATION.prefix(snapshot, &record.id)? {
            let ((_, jid), affiliation) = row?;
            if let Ok(jid) = Jid::parse(&jid) {
                affiliations.insert(jid, affiliation);
            }
        }
        let mut voices = BTreeMap::new();
        for row in VOICE.prefix(snapshot, &record.id)? {
            let ((_, jid), voice) = row?;
            if let Ok(jid) = Jid::parse(&jid) {
                voices.insert(jid, voice);
            }
        }
        let hats = HAT.prefix(snapshot, &record.id)?;
        let hats = hats.map(|row| row.map(|((_, uri), known)| Hat { uri, known }));
        let mut hats = hats.collect::<Result<Vec<_>, _>>()?;
        hats.sort_by_key(|hat| hat.known.order);
        Ok(Room {
            config: record.config,
            subject: record.subject,
            pictures: record.pictures,
            affiliations,
            voices,
            hats,
            ..Room::empty(record.creator, record.created_ms)
        })
    }

    /// §5.2: what somebody is to the room; a domain stands for all of its accounts (§9.2).
    pub(crate) fn affiliation(&self, who: &Jid) -> Affiliation {
        let of = |jid: &str| self.affiliations.get(jid).map(|known| known.affiliation);
        of(who.bare_str())
            .or_else(|| of(who.domainpart()))
            .unwrap_or_default()
    }

    /// Whose nickname this is, or one that looks the same, where it is somebody's alone.
    pub(crate) fn owner_of_nick(&self, nick: &str) -> Option<&Jid> {
        let mut affiliations = self.affiliations.iter();
        let (jid, _) = affiliations.find(|(_, known)| nickname::is_same(&known.nick, nick))?;
        Some(jid)
    }

    /// Whether somebody of that role, or the person itself, sees this one's real address (§7.2.3, §7.2.4).
    pub(crate) fn shows_addresses_to(&self, role: Role) -> bool {
        self.config.non_anonymous || role == Role::Moderator
    }

    fn record(&self, id: u32) -> RoomRecord {
        RoomRecord {
            id,
            creator: self.creator.clone(),
            created_ms: self.created,
            config: self.config.clone(),
            subject: self.subject.clone(),
            pictures: self.pictures.clone(),
        }
    }
}

impl Cx<'_> {
    /// The room, where this is one.
    pub(crate) fn room(&self) -> Option<&Room> {
        self.state.room.as_deref()
    }

    pub(crate) fn room_mut(&mut self) -> Option<&mut Room> {
        self.state.room.as_deref_mut()
    }

    /// Tells the book what the room is now.
    pub(crate) fn note_room(&self) {
        let Some(room) = &self.state.room else { return };
        let name = self.account.jid.localpart().unwrap_or_default();
        self.server.rooms().note(
            name,
            Card::of(&room.record(self.account.id), room.occupants.len()),
        );
    }

    /// Keeps the room as it is now, and tells the book. Of a locked one nothing is kept.
    pub(crate) fn keep_room(&mut self) {
        self.note_room();
        let Some(room) = &self.state.room else { return };
        if !room.locked {
            let name = self.account.jid.localpart().unwrap_or_default().to_owned();
            let record = room.record(self.account.id);
            self.write(ROOM.put(&name, &record));
        }
    }

    /// Keeps what somebody is to the room now.
    pub(crate) fn keep_affiliation(&mut self, who: &Jid) {
        let Some(room) = &self.state.room else { return };
        if room.locked {
            return; // written with the room, when it is unlocked
        }
        let key = (self.account.id, who.as_str().to_owned());
        let write = match room.affiliations.get(who) {
            Some(record) => AFFILIATION.put(&key, record),
            None => AFFILIATION.remove(&key),
        };
        self.write(write);
    }

    /// The room exists from now on, for everybody (§10.1.1).
    pub(crate) fn unlock_room(&mut self) {
        let Some(room) = self.room_mut() else { return };
        room.locked = false;
        let affiliated: Vec<Jid> = room.affiliations.keys().cloned().collect();
        let seats = room.occupants.sessions();
        let hats: Vec<String> = room.hats.iter().map(|hat| hat.uri.clone()).collect();
        self.keep_room();
        for uri in hats {
            self.keep_hat(&uri);
        }
        for jid in affiliated {
            self.keep_affiliation(&jid);
        }
        for jid in seats {
            self.keep_seat(&jid);
        }
    }

    /// Keeps that a session is in the room, or no longer is, where it costs nothing: a restart that knows it
    /// spares everybody the trouble of coming back.
    pub(crate) fn keep_seat(&mut self, real: &Jid) {
        let Some(room) = self.state.room.as_deref_mut() else {
            return;
        };
        if room.locked {
            return;
        }
        let order = room.next_move();
        let key = (self.account.id, real.as_str().to_owned());
        let occupant = room.occupants.of(real);
        let seat = occupant.and_then(|occupant| {
            let mut seats = occupant.seats.iter();
            Some((occupant, seats.find(|seat| seat.jid == *real)?))
        });
        let write = match seat {
            Some((occupant, seat)) => {
                let record = OccupantRecord {
                    nick: occupant.nick().to_owned(),
                    role: occupant.role,
                    presence: seat.presence.content().to_owned(),
                    lang: seat.presence.lang().to_owned(),
                    order,
                };
                OCCUPANT.put(&key, &record)
            }
            None => OCCUPANT.remove(&key),
        };
        self.write_soon(write);
    }
}

impl Server {
    /// A room from the disk; `None` where there is none. On a thread that may block.
    pub(crate) fn read_room(
        &self,
        key: &str,
        snapshot: &Snapshot,
    ) -> Result<Option<Arc<Account>>, store::Error> {
        let Ok(jid) = Jid::parse(key) else {
            return Ok(None);
        };
        let name = jid.localpart().unwrap_or_default().to_owned();
        let Some(record) = ROOM.get(snapshot, &name)? else {
            if self.directory().get(key).is_none() {
                self.rooms().forget(&name); // the disk never took it
            }
            self.directory().left_behind().take(key);
            return Ok(None);
        };
        let id = record.id;
        let mut room = Room::load(snapshot, record)?;
        let memory = PerAccount::load(snapshot, id)?;
        let rows = seats::read(snapshot, id)?;
        let left = self.directory().left_behind().take(key);
        let stale = room.seat_again(self, &jid, rows, left);
        let account = Arc::new(Account::new(id, jid, Roster::default(), memory).with_room(room));
        self.at(&account, 0, |cx| taken_up(cx, &stale));
        Ok(Some(self.directory().put(key, account)))
    }

    /// A new room of this name, or the one that somebody else has just made. `None` where none can be made.
    pub(crate) fn make_room(&self, jid: &Jid, creator: &Jid) -> Option<Arc<Account>> {
        let (room, _) = self.add_room(jid, Room::new(creator, self.now()))?;
        Some(room)
    }

    /// A room that is in memory from now on, or the one that somebody else has just made; whether it is the
    /// first.
    fn add_room(&self, jid: &Jid, room: Room) -> Option<(Arc<Account>, bool)> {
        let id = self.rooms().next_number()?;
        let account = Account::new(id, jid.bare(), Roster::default(), PerAccount::default());
        let account = Arc::new(account.with_room(room));
        let known = self.directory().put(jid.bare_str(), account.clone());
        let is_first = Arc::ptr_eq(&known, &account);
        Some((known, is_first))
    }
}

#[cfg(test)]
mod tests;
