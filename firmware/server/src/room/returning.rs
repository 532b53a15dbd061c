//! Who was in a room when the server stopped. Sessions may outlive that (XEP-0198); those of this house that
//! did not are taken out of the room before anybody is let in.
//!
//! State: table `room.occupant`, see `room/record.rs`.

use super::{
    Occupant, Room, Said, Seat,
    record::{OCCUPANT, OccupantRecord, ROOM},
};
use crate::{account::Account, features::muc, server::Server};
use std::sync::Arc;
use store::Snapshot;
use xmpp::Jid;

/// The localparts of rooms that somebody was in.
pub(crate) fn occupied(snapshot: &Snapshot) -> Result<Vec<String>, store::Error> {
    let mut occupied = Vec::new();
    for row in ROOM.range(snapshot, ..)? {
        let (localpart, record) = row?;
        if OCCUPANT.prefix(snapshot, &record.id)?.next().is_some() {
            occupied.push(localpart);
        }
    }
    Ok(occupied)
}

impl Server {
    /// Seats everybody who was in a room that was just read.
    pub(super) fn seat_again(
        &self,
        room: &mut Room,
        (own, id): (&Jid, u32),
        snapshot: &Snapshot,
    ) -> Result<(), store::Error> {
        for row in OCCUPANT.prefix(snapshot, &id)? {
            let ((_, real), record) = row?;
            let real = Jid::parse(&real);
            if let (Ok(real), Ok(nick)) = (real, own.with_resource(&record.nick)) {
                self.seat(room, real, &nick, &record);
            }
        }
        Ok(())
    }

    fn seat(&self, room: &mut Room, real: Jid, nick: &Jid, record: &OccupantRecord) {
        let id = self.rooms().occupant_id(nick, &real);
        let said = Said::new(&record.lang, &record.presence);
        let presence = room.occupants.shared(said);
        let occupant = || Occupant {
            jid: nick.clone(),
            role: record.role,
            id,
            seats: Vec::new(),
        };
        let seat = Seat {
            jid: real,
            presence,
        };
        room.occupants.seat(nick, occupant, seat);
    }

    /// Takes out of a room those whose sessions have ended meanwhile. The others are told with whatever
    /// happens there next.
    pub(super) fn unseat_lost(&self, room: &Account) {
        let seats: Vec<Jid> = self.at(room, 0, |cx| {
            let seats = cx
                .room()
                .into_iter()
                .flat_map(|room| room.occupants.seats());
            seats.map(|(_, seat)| seat.jid.clone()).collect()
        });
        // One account at a time (house rule 3).
        let lost: Vec<Jid> = seats
            .into_iter()
            .filter(|seat| self.has_ended(seat))
            .collect();
        if !lost.is_empty() {
            self.at(room, 0, |cx| muc::lost(cx, &lost));
        }
    }

    /// Of a session of this house. Of others nobody knows before something comes back from there.
    fn has_ended(&self, real: &Jid) -> bool {
        if real.domainpart() != self.domain().as_str() {
            return false;
        }
        let account: Option<Arc<Account>> = self.in_memory(real);
        account.is_none_or(|account| self.at(&account, 0, |cx| cx.state.resource(real).is_none()))
    }
}
