//! A room is loaded afresh (`room/seats.rs`): whoever stayed is told nothing but who left meanwhile.
//!
//! No room says that it goes away when the server stops (XEP-0045 §11.2, status 332): it comes back, and with
//! it everybody whose session goes on, who would otherwise leave a room that has not lost them. Whose session
//! does not go on enters again in any case. Occupants of other servers keep their seats as well: their servers
//! have sessions of their own, which do not end with ours, and when they ask (XEP-0410) they are still there.

use super::{
    announce::{self, News, Told},
    leave,
};
use crate::account::Cx;
use xmpp::Jid;

/// Before anybody finds the room: takes the seats of those who are absent, and tells the others.
pub(crate) fn taken_up(cx: &mut Cx<'_>, absent: &[Jid]) {
    let mut left = Vec::new();
    for real in absent {
        left.extend(unseat(cx, real));
        cx.keep_seat(real);
    }
    // Only now, when those are told who are really there.
    for (told, is_gone) in left {
        if is_gone {
            let news = News {
                type_: "unavailable",
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
    leave::after_leaving(cx);
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
    let seats = cx
        .room()
        .into_iter()
        .flat_map(|room| room.occupants.seats());
    let seats: Vec<Jid> = seats.map(|(_, seat)| seat.jid.clone()).collect();
    for seat in seats {
        cx.keep_seat(&seat);
    }
}
