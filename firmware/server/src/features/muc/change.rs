//! What an occupant changes about itself (XEP-0045 §7.6, §7.7): its nickname, and what it says in its
//! presence.

use super::{
    announce::{self, News, Told},
    enter::{has_place, is_called_otherwise, may_be_called, said, told},
    room,
};
use crate::{
    account::Cx,
    room::{Occupant, Role, Seat},
};
use xmpp::{Jid, Kind, Passing, Stanza, StanzaError};

/// §7.6: this one has to keep its nickname.
const LOCKED_DOWN: StanzaError = StanzaError {
    type_: "cancel",
    ..StanzaError::NOT_ACCEPTABLE
};

/// §7.7: another status. Where visitors may not change theirs they are told what is shown of them: an error
/// would tell their clients that they are not in the room.
pub(super) fn status(cx: &mut Cx<'_>, own: &Jid, passing: &Passing) -> Result<(), StanzaError> {
    let presence = said(cx, passing)?;
    let room = room(cx)?;
    let presence = room.occupants.shared(presence);
    let may_change = room.config.visitors_may_change;
    let occupant = room
        .occupants
        .get_mut(own)
        .ok_or(StanzaError::ITEM_NOT_FOUND)?;
    let shows_anew = (occupant.role > Role::Visitor || may_change)
        && occupant.take(Seat {
            jid: passing.from.clone(),
            presence,
        });
    cx.keep_seat(&passing.from);
    tell(cx, own, passing, shows_anew);
    Ok(())
}

/// What is shown of an occupant now: to everybody, where it is something else than before, and to the session
/// that changed it.
fn tell(cx: &mut Cx<'_>, own: &Jid, passing: &Passing, shows_anew: bool) {
    let Some(told) = told(cx, own) else { return };
    let id = passing.stanza.id();
    let codes: &[u16] = if is_called_otherwise(passing) {
        &[210]
    } else {
        &[]
    };
    let news = News {
        id: id.as_deref(),
        own_codes: codes,
        ..News::default()
    };
    if shows_anew {
        announce::to_others(cx, &told, &news);
        announce::to_siblings(cx, &told, &passing.from);
    }
    announce::to_itself(cx, &told, &news, std::slice::from_ref(&passing.from));
}

/// §7.6: another nickname. With `<x/>` whoever has it has lost track besides, and is shown everybody.
pub(super) fn nickname(
    cx: &mut Cx<'_>,
    own: &Jid,
    passing: &Passing,
    lost: bool,
) -> Result<(), StanzaError> {
    let (new, real) = (&passing.to, &passing.from);
    let presence = said(cx, passing)?;
    let room = room(cx)?;
    may_be_called(room, new, real)?;
    let occupant = room.occupants.get(own).ok_or(StanzaError::ITEM_NOT_FOUND)?;
    if occupant.role == Role::Visitor && !room.config.visitors_may_rename {
        return Err(LOCKED_DOWN);
    }
    let alone = occupant.seats.len() == 1;
    if !alone {
        has_place(room, new, real)?; // it takes one more
    }
    let Some(before) = Told::of(room, occupant) else {
        return Ok(());
    };
    let is_new = room.occupants.get(new).is_none();
    let nick = new.resourcepart().unwrap_or_default().to_owned();
    let renamed = News {
        type_: "unavailable",
        nick: Some(&nick),
        codes: &[303],
        ..News::default()
    };
    // The nickname stays with the other devices that have it; where it gives way to another one of the same
    // person, nobody gets a new one.
    if alone && is_new {
        announce::to_others(cx, &before, &renamed);
    } else if alone {
        let gone = News {
            type_: "unavailable",
            ..News::default()
        };
        announce::to_others(cx, &before.clone().gone(), &gone);
    }
    announce::to_itself(cx, &before, &renamed, std::slice::from_ref(real));
    let seat = Seat {
        jid: real.clone(),
        presence,
    };
    let shows_anew = take_other_seat(cx, &before, new, seat)?;
    if lost {
        announce::show_others(cx, new, real);
    } else if !alone && before.real != *real {
        // Its client takes the old nickname for gone, which another device has and goes on to show.
        announce::show_again(cx, new, own, real);
    }
    tell(cx, new, passing, shows_anew);
    Ok(())
}

/// From one nickname to another, perhaps one that the same person has there already. Whether others see
/// something else under that than before.
fn take_other_seat(
    cx: &mut Cx<'_>,
    before: &Told,
    new: &Jid,
    mut seat: Seat,
) -> Result<bool, StanzaError> {
    let room = room(cx)?;
    let real = seat.jid.clone();
    seat.presence = room.occupants.shared(seat.presence);
    let was_shown = before.real == real;
    let left = room.occupants.unseat(&real).is_some();
    let occupant = || Occupant {
        jid: new.clone(),
        role: before.role,
        id: before.id.clone(),
        seats: Vec::new(),
    };
    let shows_anew = room.occupants.seat(new, occupant, seat);
    cx.keep_seat(&real);
    cx.note_room();
    if !left && was_shown {
        super::leave::show_next(cx, before);
    }
    Ok(shows_anew)
}

/// §17.3: whoever is in the room may ask whether an occupant is. Others are not told anything.
pub(super) fn probed(cx: &mut Cx<'_>, probe: &Passing) {
    let Some(room) = cx.room() else { return };
    let Some(asking) = room.occupants.of(&probe.from) else {
        return;
    };
    let (own, sees) = (asking.jid == probe.to, room.shows_addresses_to(asking.role));
    let shown = room.occupants.get(&probe.to);
    let told = shown.and_then(|occupant| Told::of(room, occupant));
    let stanza = match told {
        Some(told) if own || room.config.presence_broadcast.contains(told.role) => {
            told.stanza(&News::default(), sees, own)
        }
        _ => Stanza::compose(Kind::Presence, &[("type", "unavailable")], "").into(),
    };
    cx.route(Passing::new(stanza, probe.to.clone(), probe.from.clone()));
}
