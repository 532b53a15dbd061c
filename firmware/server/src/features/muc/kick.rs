//! What others decide about an occupant, told to everybody (XEP-0045 §5.1.3): removed, or of another role.

use super::announce::{self, News, Told};
use crate::{
    account::Cx,
    room::{Occupant, Role, Room},
};
use xmpp::Jid;

/// Why something was decided, and by whom.
#[derive(Clone, Default)]
pub(super) struct Why {
    /// As everybody may see who it was: an occupant JID, or the bare JID of somebody outside.
    pub(super) actor: Option<Jid>,
    /// Empty where nothing was said.
    pub(super) reason: String,
}

impl Why {
    /// Somebody's doing. Of an actor who is not there nothing is told but in a room where everybody sees real
    /// addresses.
    pub(super) fn by(room: &Room, actor: &Jid, reason: &str) -> Why {
        let there = room.occupants.of(actor).or_else(|| {
            let mut occupants = room.occupants.iter();
            occupants.find(|occupant| occupant.is(actor.bare_str()))
        });
        let outside = room.config.non_anonymous.then(|| actor.bare());
        Why {
            actor: there.map(|there| there.jid.clone()).or(outside),
            reason: reason.to_owned(),
        }
    }

    fn news<'a>(&'a self, type_: &'static str, codes: &'a [u16]) -> News<'a> {
        News {
            type_,
            codes,
            reason: Some(self.reason.as_str()).filter(|reason| !reason.is_empty()),
            actor: self.actor.as_ref(),
            ..News::default()
        }
    }
}

/// Removes an occupant with all sessions (§8.2, §9.1, §9.4): they are told first. `codes` say what it was.
/// A room that is to end when nobody is left does not end here ([`super::leave::after_leaving`]).
pub(super) fn remove(cx: &mut Cx<'_>, occupant: &Jid, codes: &[u16], why: &Why) {
    let Some(room) = cx.room_mut() else { return };
    let Some(told) = room.occupants.get(occupant).and_then(|o| Told::of(room, o)) else {
        return;
    };
    let gone = room.occupants.remove(occupant);
    let seats = gone.as_ref().map(seats).unwrap_or_default();
    for seat in &seats {
        cx.keep_seat(seat);
    }
    let told = Told {
        presence: "".into(), // its client did not say that it leaves
        ..told.gone()
    };
    let news = why.news("unavailable", codes);
    announce::to_itself(cx, &told, &news, &seats);
    announce::to_others(cx, &told, &news);
}

/// Gives an occupant a role, the same or another, and tells everybody what they are now (§8.3, §9.3).
pub(super) fn renew(cx: &mut Cx<'_>, occupant: &Jid, role: Role, why: &Why) {
    let Some(room) = cx.room_mut() else { return };
    let Some(known) = room.occupants.get_mut(occupant) else {
        return;
    };
    let before = std::mem::replace(&mut known.role, role);
    let seats = seats(known);
    let Some(told) = room.occupants.get(occupant).and_then(|o| Told::of(room, o)) else {
        return;
    };
    let told = Told {
        was_shown: announce::is_broadcast(room, before),
        ..told
    };
    let sees_more = room.shows_addresses_to(role) && !room.shows_addresses_to(before);
    for seat in &seats {
        cx.keep_seat(seat);
    }
    let news = why.news("", &[]);
    announce::to_all(cx, &told, &news);
    if sees_more {
        show_addresses(cx, occupant, &seats);
    }
}

/// Shows a new moderator everybody anew, with the addresses that a moderator may see (§7.2.4).
pub(super) fn show_addresses(cx: &mut Cx<'_>, occupant: &Jid, seats: &[Jid]) {
    for seat in seats {
        announce::show_others(cx, occupant, seat);
    }
}

/// The real full JIDs of its sessions.
pub(super) fn seats(occupant: &Occupant) -> Vec<Jid> {
    let seats = occupant.seats.iter();
    seats.map(|seat| seat.jid.clone()).collect()
}
