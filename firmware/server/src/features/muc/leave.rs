//! Leaving a room (XEP-0045 §7.14), with or without a word; and the end of a room that nobody is in any more.

use super::{
    announce::{self, News, Told},
    enter, owner,
};
use crate::{
    account::Cx,
    room::{Said, record},
    server::Server,
};
use std::sync::atomic::Ordering;
use xmpp::{Jid, Passing, StanzaError, stanza::Child};

/// The errors that say that nobody gets what the room sends (§18.1.2); the last is what servers say of a
/// resource that is not there (RFC 6121 §8.5.3.2).
const UNREACHABLE: [&str; 7] = [
    "gone",
    "item-not-found",
    "recipient-unavailable",
    "redirect",
    "remote-server-not-found",
    "remote-server-timeout",
    "service-unavailable",
];

/// §11.1.
const CANNOT_BE_REACHED: News<'_> = News {
    type_: "unavailable",
    id: None,
    nick: None,
    reason: None,
    actor: None,
    codes: &[333],
    own_codes: &[],
    further: "",
};

/// A session says that it leaves.
pub(super) fn by_itself(cx: &mut Cx<'_>, passing: &Passing) {
    // A farewell that is too long is none.
    let presence = enter::said(cx, passing).unwrap_or_default();
    let id = passing.stanza.id();
    let news = News {
        type_: "unavailable",
        id: id.as_deref(),
        ..News::default()
    };
    unseat(cx, &passing.from, presence, &news);
}

/// Something that the room sent to everybody came back from one of them (§18.1.2): who cannot be reached is
/// not there. Whoever makes such an error up is the one who leaves.
pub(super) fn unreachable(cx: &mut Cx<'_>, error: &Passing) {
    let element = error.stanza.child(xmpp::ns::CLIENT, "error");
    let element = element.map(Child::element).unwrap_or_default();
    if !UNREACHABLE.contains(&StanzaError::of(&element).condition) {
        return;
    }
    unseat(cx, &error.from, "".into(), &CANNOT_BE_REACHED);
}

/// §7.2.18: who sends a status and is not there has lost track; so it is told that it is not there.
pub(super) fn kick(server: &Server, passing: &Passing) -> Passing {
    let told = Told::absent(server, &passing.to, &passing.from);
    let news = News {
        type_: "unavailable",
        reason: Some("You are not in the room."),
        own_codes: &[307, 333],
        ..News::default()
    };
    let kick = told.stanza(&news, true, true);
    Passing::new(kick, passing.to.clone(), passing.from.clone())
}

/// Takes one session's seat; `presence` is what it said last.
fn unseat(cx: &mut Cx<'_>, real: &Jid, presence: Said, news: &News<'_>) {
    let Some(taken) = take_seat(cx, real, presence) else {
        return; // §17.3: silently
    };
    let room = cx.room();
    let given_up = room.is_some_and(|room| room.locked && room.occupants.is_empty());
    let own_news = News {
        further: if given_up { owner::NO_WORD } else { "" }, // §10.1.3
        ..*news
    };
    announce::to_itself(cx, &taken.gone, &own_news, std::slice::from_ref(real));
    tell_others(cx, &taken, news);
    after_leaving(cx);
}

/// A seat that somebody had.
struct Taken {
    /// The occupant as it was.
    before: Told,
    /// The session as somebody who is not there.
    gone: Told,
    /// Whether it was the one that everybody saw.
    was_shown: bool,
    /// Whether the occupant had no other.
    last: bool,
}

/// `None` for who had none.
fn take_seat(cx: &mut Cx<'_>, real: &Jid, presence: Said) -> Option<Taken> {
    let room = cx.room_mut()?;
    let occupant = room.occupants.of(real)?;
    let was_shown = occupant.shown().is_some_and(|seat| seat.jid == *real);
    let before = Told::of(room, occupant)?;
    let gone = Told {
        real: real.clone(),
        presence,
        ..before.clone()
    };
    let last = room.occupants.unseat(real).is_some();
    // The row of the last one has the start look after the room.
    if !waits_for_start(cx) {
        cx.keep_seat(real);
    }
    Some(Taken {
        gone: gone.gone(),
        before,
        was_shown,
        last,
    })
}

/// The nickname is gone with the last device.
fn tell_others(cx: &mut Cx<'_>, taken: &Taken, news: &News<'_>) {
    if taken.last {
        announce::to_others(cx, &taken.gone, news);
    } else if taken.was_shown {
        show_next(cx, &taken.before);
    }
}

/// The device that everybody saw of somebody is gone, and another one is there still: what that says is shown
/// now.
pub(super) fn show_next(cx: &mut Cx<'_>, before: &Told) {
    let room = cx.room();
    let next = room.and_then(|room| Told::of(room, room.occupants.get(&before.jid)?));
    let Some(next) = next else { return };
    if next.presence == before.presence {
        announce::address_to_others(cx, &next);
    } else {
        announce::to_all(cx, &next, &News::default());
    }
}

/// A room that is not to stay is over when nobody is left (§4.2); so is one that was never configured, whose
/// making was given up (§10.1.1).
pub(super) fn after_leaving(cx: &mut Cx<'_>) {
    let Some(room) = cx.room() else { return };
    let is_over = room.occupants.is_empty() && (room.locked || !room.config.persistent);
    if is_over && !waits_for_start(cx) {
        end(cx);
    } else {
        cx.note_room();
    }
}

/// Everybody is gone because the server stops: the room is there for them when it has started again
/// (`again`), unless it was never configured.
fn waits_for_start(cx: &Cx<'_>) -> bool {
    let Some(room) = cx.room() else { return false };
    let is_deserted = room.occupants.is_empty() && !room.config.persistent;
    is_deserted && !room.locked && cx.server.rooms().closing.load(Ordering::Relaxed)
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
