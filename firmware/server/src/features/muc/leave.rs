//! Leaving a room (XEP-0045 §7.14), with or without a word; and the end of a room that nobody is in any more.

use super::announce::{self, News, Told};
use crate::{
    account::Cx,
    room::{Role, record},
};
use xmpp::{Jid, Passing};

/// The errors that say that nobody gets what the room sends (§18.1.2).
const UNREACHABLE: [&str; 7] = [
    "gone",
    "item-not-found",
    "recipient-unavailable",
    "redirect",
    "remote-server-not-found",
    "remote-server-timeout",
    "service-unavailable",
];

/// A session says that it leaves.
pub(super) fn by_itself(cx: &mut Cx<'_>, passing: &Passing) {
    let presence = announce::presence_content(passing);
    let id = passing.stanza.id();
    let news = News {
        type_: "unavailable",
        id: id.as_deref(),
        ..News::default()
    };
    unseat(cx, &passing.from, &presence, &news);
}

/// Something that the room sent came back (§18.1.2): who cannot be reached is not there.
pub(super) fn unreachable(cx: &mut Cx<'_>, error: &Passing) {
    let element = error.stanza.child(xmpp::ns::CLIENT, "error");
    let element = element.map(|child| child.element()).unwrap_or_default();
    let condition = element
        .elements()
        .find(|child| child.ns == xmpp::ns::STANZA_ERRORS && child.name != "text");
    let lost = condition.is_none_or(|condition| UNREACHABLE.contains(&condition.name.as_str()));
    if !lost {
        return;
    }
    let news = News {
        type_: "unavailable",
        codes: &[333], // §11.1
        ..News::default()
    };
    unseat(cx, &error.from, "", &news);
}

/// §7.2.18: who sends a status and is not there has lost track; so it is told that it is not there.
pub(super) fn never_was_there(cx: &mut Cx<'_>, passing: &Passing) {
    let told = Told {
        jid: passing.to.clone(),
        real: passing.from.clone(),
        affiliation: crate::room::Affiliation::None,
        role: Role::None,
        id: "".into(),
        presence: "".into(),
    };
    let news = News {
        type_: "unavailable",
        reason: Some("You are not in the room."),
        own_codes: &[307, 333],
        ..News::default()
    };
    announce::to_itself(cx, &told, &news, std::slice::from_ref(&passing.from));
}

/// Takes one session's seat; `presence` is what it said last.
fn unseat(cx: &mut Cx<'_>, real: &Jid, presence: &str, news: &News<'_>) {
    let Some(room) = cx.room_mut() else { return };
    let Some(occupant) = room.occupants.of(real) else {
        return;
    };
    let own = occupant.jid.clone();
    let was_shown = occupant.shown().is_some_and(|seat| seat.jid == *real);
    let Some(told) = Told::of(room, occupant) else {
        return;
    };
    let told = Told {
        real: real.clone(),
        presence: presence.into(),
        ..told
    };
    let gone = cx.room_mut().and_then(|room| room.occupants.unseat(real));
    cx.keep_seat(real);
    announce::to_itself(cx, &told.clone().gone(), news, std::slice::from_ref(real));
    if gone.is_some() {
        announce::to_others(cx, &told.gone(), news);
    } else if was_shown
        && let Some(room) = cx.room()
        && let Some(told) = room.occupants.get(&own).and_then(|o| Told::of(room, o))
    {
        // Another device of the same person is there still: what it says is shown now.
        announce::to_all(cx, &told, &News::default());
    }
    after_leaving(cx);
}

/// A room that is not to stay is over when nobody is left (§4.2); so is one that was never configured, whose
/// making was given up (§10.1.1).
pub(super) fn after_leaving(cx: &mut Cx<'_>) {
    let Some(room) = cx.room() else { return };
    if room.occupants.is_empty() && (room.locked || !room.config.persistent) {
        end(cx);
    } else {
        cx.note_room();
    }
}

/// The room is no more: on disk its name is free at once, and what else it left goes when there is time.
pub(super) fn end(cx: &mut Cx<'_>) {
    let Some(room) = cx.room_mut() else { return };
    let locked = std::mem::replace(&mut room.destroyed, true) || room.locked;
    let name = cx.jid().localpart().unwrap_or_default().to_owned();
    cx.server.rooms().forget(&name);
    if !locked {
        for write in record::ending(&name, cx.id()) {
            cx.write(write);
        }
    }
}
