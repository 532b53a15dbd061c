//! Who is in a room that is loaded afresh (XEP-0045 §7): after a restart, or because the disk never took what
//! the room had decided.
//!
//! A row is put before anybody is told of a session in the room, and its sessions' own rows come behind it,
//! so a power cut leaves no session waiting whose room does not know it. The reverse happens: a row whose
//! session had a connection, and nothing on disk. So a row counts for as long as its session is there and
//! still shows itself to the room; the others have left. What became of sessions of other servers these
//! will say.
//!
//! State: table `room.occupant`; while a room is out of memory, [`LeftBehind`].

use super::{
    Affiliation, Occupant, Occupants, Role, Room, Said, Seat, nickname,
    record::{OCCUPANT, OccupantRecord, ROOM},
};
use crate::server::Server;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};
use store::Snapshot;
use xmpp::Jid;

/// Who was in rooms that were taken out of memory although somebody was there, until these are loaded again:
/// what people were told about one another does not depend on the disk.
#[derive(Default)]
pub(crate) struct LeftBehind(Mutex<HashMap<Box<str>, Occupants>>);

impl LeftBehind {
    pub(crate) fn note(&self, room: &str, occupants: Occupants) {
        self.lock().insert(room.into(), occupants);
    }

    pub(crate) fn take(&self, room: &str) -> Option<Occupants> {
        self.lock().remove(room)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, Occupants>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be put right about a room that was loaded afresh.
pub(crate) struct Stale {
    /// Sessions that are not there any more.
    pub(crate) absent: Vec<Jid>,
    /// Sessions whose rows may be others, or missing.
    pub(crate) unwritten: Vec<Jid>,
}

/// The rows of a room, by the full JID of the session.
pub(super) type Rows = BTreeMap<Jid, OccupantRecord>;

pub(super) fn read(snapshot: &Snapshot, room: u32) -> Result<Rows, store::Error> {
    let mut rows = Rows::new();
    for row in OCCUPANT.prefix(snapshot, &room)? {
        let ((_, jid), record) = row?;
        if let Ok(jid) = Jid::parse(&jid) {
            rows.insert(jid, record);
        }
    }
    Ok(rows)
}

/// The rooms that a start has to look after, by address.
#[derive(Default)]
pub(crate) struct ToLookAfter {
    /// Somebody was in them.
    pub(crate) occupied: Vec<String>,
    /// They stay only while somebody is in them, and nobody was since the start before.
    pub(crate) deserted: Vec<String>,
}

pub(crate) fn to_look_after(
    snapshot: &Snapshot,
    service: &Jid,
) -> Result<ToLookAfter, store::Error> {
    let mut rooms = ToLookAfter::default();
    for row in ROOM.range(snapshot, ..)? {
        let (name, record) = row?;
        let address = format!("{name}@{service}");
        if OCCUPANT.prefix(snapshot, &record.id)?.next().is_some() {
            rooms.occupied.push(address);
        } else if !record.config.persistent {
            rooms.deserted.push(address);
        }
    }
    Ok(rooms)
}

impl Room {
    /// Seats everybody who was there, those who are gone included. Gives these, and those whose rows are
    /// not as they should be.
    pub(super) fn seat_again(
        &mut self,
        server: &Server,
        own: &Jid,
        rows: Rows,
        left: Option<Occupants>,
    ) -> Stale {
        let mut unwritten = Vec::new();
        if let Some(left) = left {
            self.seat_left(left, &rows);
            let seats = self.occupants.seats();
            unwritten.extend(seats.map(|(_, seat)| seat.jid.clone()));
        } else {
            self.seat_rows(server, own, &rows);
        }
        let seats = self.occupants.seats();
        let absent = seats.filter(|(occupant, seat)| {
            occupant.role == Role::None || !is_there(server, &seat.jid, &occupant.jid)
        });
        let absent = absent.map(|(_, seat)| seat.jid.clone());
        let known = |jid: &Jid| self.occupants.of(jid).is_some();
        let strays = rows.into_keys().filter(|jid| !known(jid));
        Stale {
            absent: absent.chain(strays).collect(),
            unwritten,
        }
    }

    /// From the disk, in the order in which they came or moved last.
    fn seat_rows(&mut self, server: &Server, own: &Jid, rows: &Rows) {
        let mut rows: Vec<(&Jid, &OccupantRecord)> = rows.iter().collect();
        rows.sort_by_key(|(_, row)| row.order);
        self.moves = rows.last().map_or(0, |(_, row)| row.order);
        for (real, row) in rows {
            let Ok(jid) = own.with_resource(&row.nick) else {
                continue;
            };
            let said = Said::kept(&row.lang, &row.presence);
            let seat = Seat {
                jid: real.clone(),
                presence: self.occupants.shared(said),
            };
            let new = || Occupant {
                jid: jid.clone(),
                role: self.role_again(real, Some(row)),
                id: server.rooms().occupant_id(own, real),
                seats: Vec::new(),
            };
            let new = new();
            self.occupants.seat(&jid, || new, seat);
        }
    }

    /// From memory. What they may do is what the disk says, which knows nothing of what was decided in vain.
    fn seat_left(&mut self, left: Occupants, rows: &Rows) {
        self.occupants = left;
        self.moves = rows.values().map(|row| row.order).max().unwrap_or(0);
        let roles = self.occupants.iter().map(|occupant| {
            let row = occupant.seats.iter().find_map(|seat| rows.get(&seat.jid));
            self.role_again(&occupant.real(), row)
        });
        let roles: Vec<Role> = roles.collect();
        for (occupant, role) in self.occupants.iter_mut().zip(roles) {
            occupant.role = role;
        }
    }

    fn role_again(&self, real: &Jid, row: Option<&OccupantRecord>) -> Role {
        let affiliation = self.affiliation(real);
        match row {
            _ if affiliation == Affiliation::Outcast => Role::None,
            Some(row) => row.role,
            None => affiliation.first_role(self.config.moderated),
        }
    }

    /// What the next row is to be sorted by: more than all before, also over a restart and when the clock
    /// jumps back.
    pub(super) fn next_move(&mut self) -> u64 {
        self.moves += 1;
        self.moves
    }
}

impl Server {
    /// Whether the room of that occupant is there, and has this session in it.
    pub(crate) fn is_seated(&self, occupant: &Jid, session: &Jid) -> bool {
        let room = self.in_memory(occupant);
        room.is_some_and(|room| {
            let state = room.lock();
            let room = state.room.as_deref();
            room.is_some_and(|room| room.occupants.of(session).is_some())
        })
    }
}

/// Whether a session is there, perhaps waiting for its client, and believes itself in the room, under that
/// nickname: it may have left, and been refused under another one since.
fn is_there(server: &Server, session: &Jid, occupant: &Jid) -> bool {
    if session.domainpart() != server.domain().as_str() {
        return true;
    }
    let account = session.localpart();
    let account = account.and_then(|localpart| server.directory().get(localpart));
    let nick = occupant.resourcepart().unwrap_or_default();
    let is_it = |to: &Jid| {
        let asked = to.resourcepart().map(nickname::normal); // as whoever enters is given it
        to.bare_str() == occupant.bare_str() && asked.as_deref() == Some(nick)
    };
    account.is_some_and(|account| account.shows_itself(session, is_it))
}
