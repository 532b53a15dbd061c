//! A room is loaded afresh (`room/seats.rs`): whoever stayed is told nothing but who left meanwhile.
//!
//! No room says that it goes away when the server stops (XEP-0045 §11.2, status 332): it comes back, and with
//! it everybody whose session goes on, who would otherwise leave a room that has not lost them. Whose session
//! does not go on enters again in any case. Occupants of other servers keep their seats as well: their
//! sessions are there, which do not end with ours, and when they ask (XEP-0410) they are still in the room.

use super::{
    announce::{self, News, Told},
    leave,
};
use crate::{account::Cx, room::seats::Stale, server::Server};
use xmpp::{Jid, Passing};

/// Before anybody finds the room: takes the seats of those who are absent, and tells the others.
pub(crate) fn taken_up(cx: &mut Cx<'_>, stale: &Stale) {
    let mut left = Vec::new();
    for real in &stale.absent {
        left.extend(unseat(cx, real));
    }
    for real in stale.unwritten.iter().chain(&stale.absent) {
        cx.keep_seat(real);
    }
    // Only now, when those are told who are really there.
    for (told, is_gone) in left {
        if is_gone {
            let news = News {
                type_: "unavailable",
                codes: &[333], // §11.1: nobody meant it to leave
                ..News::default()
            };
            announce::to_others(cx, &told.gone(), &news);
        } else if let Some(room) = cx.room()
            && let Some(told) = room
                .occupants
                .get(&told.jid)
                .and_then(|o| Told::of(room, o))
        {
            announce::to_all(cx, &told, &News::default());
        }
    }
    // A room that is to stay only while somebody is in it stays for those who were, and enter again.
    cx.note_room();
}

/// Nobody came back to a room since the start before this one: then it ends, unless it is to stay (§4.2).
pub(crate) fn deserted(cx: &mut Cx<'_>) {
    leave::after_leaving(cx);
}

/// For a session that believes itself in a room which does not know it, or is not there any more: it was
/// never configured, and so not on disk, or a power cut took the last that was said to the session.
pub(crate) fn lost(server: &Server, occupant: &Jid, session: &Jid) -> Passing {
    let told = Told::absent(server, occupant, session);
    let news = News {
        type_: "unavailable",
        own_codes: &[333], // §11.1
        ..News::default()
    };
    let stanza = told.stanza(&news, true, true);
    Passing::new(stanza, occupant.clone(), session.clone())
}

/// What the others are to be told of: that somebody is gone, or has another device in front.
fn unseat(cx: &mut Cx<'_>, real: &Jid) -> Option<(Told, bool)> {
    let room = cx.room_mut()?;
    let occupant = room.occupants.of(real)?;
    let was_shown = occupant.shown().is_some_and(|seat| seat.jid == *real);
    let told = Told {
        presence: "".into(),
        ..Told::of(room, occupant)?
    };
    let is_gone = room.occupants.unseat(real).is_some();
    (is_gone || was_shown).then_some((told, is_gone))
}

/// The disk works again: puts the rows of all who are there.
pub(super) fn write_anew(cx: &mut Cx<'_>) {
    let Some(room) = cx.room() else { return };
    for seat in room.occupants.sessions() {
        cx.keep_seat(&seat);
    }
}
