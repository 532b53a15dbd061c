//! Presence sent to a room (XEP-0045 §7.2, §7.6, §7.7): entering, another nickname, another status.

use super::{
    NS,
    announce::{self, News, Told},
    history::{self, Wanted},
    leave, room,
};
use crate::{
    account::Cx,
    feature::Read,
    limits::{
        ROOM_NICK_BYTES_MAX, ROOM_OCCUPANTS_MAX, ROOM_OCCUPANTS_RESERVE, ROOM_PRESENCE_BYTES_MAX,
        ROOMS_MAX, ROOMS_PER_ACCOUNT_MAX,
    },
    reading::Question,
    room::{Affiliation, Occupant, Role, Room, Seat},
    router::Found,
    server::Server,
};
use std::sync::Arc;
use xmpp::{Jid, Passing, StanzaError};

/// Presence for a room that is not there: it is made for whoever enters (§7.2.11, §10.1).
pub(crate) fn enter_none(server: &Arc<Server>, passing: &Passing) -> Found {
    let enters = passing.stanza.type_().is_empty();
    if !enters {
        return Found::Nobody;
    }
    if passing.to.resourcepart().is_none() {
        return Found::Refused(StanzaError::JID_MALFORMED);
    }
    if passing.stanza.child(NS, "x").is_none() {
        return Found::Refused(StanzaError::ITEM_NOT_FOUND); // a status for a room that is no more
    }
    let is_ours = passing.from.domainpart() == server.domain().as_str();
    let (all, own) = server.rooms().count(passing.from.bare_str());
    if !is_ours {
        return Found::Refused(StanzaError::NOT_ALLOWED); // §10.1.1
    }
    if all >= ROOMS_MAX || own >= ROOMS_PER_ACCOUNT_MAX {
        return Found::Refused(
            StanzaError::RESOURCE_CONSTRAINT.with_text("you have as many rooms as one may have"),
        );
    }
    let room = server.make_room(&passing.to, &passing.from);
    room.map_or(
        Found::Refused(StanzaError::RESOURCE_CONSTRAINT),
        Found::Account,
    )
}

/// Presence for this room.
pub(crate) fn presence(cx: &mut Cx<'_>, passing: Passing) -> Option<Question> {
    match passing.stanza.type_() {
        "" if is_too_hasty(cx, &passing) => {
            cx.refuse(
                &passing,
                StanzaError {
                    type_: "wait",
                    ..StanzaError::POLICY_VIOLATION.with_text("this is too often")
                },
            );
            None
        }
        "" => available(cx, passing),
        "unavailable" => {
            leave::by_itself(cx, &passing);
            None
        }
        "error" => {
            leave::unreachable(cx, &passing);
            None
        }
        "subscribe" => {
            cx.refuse(&passing, StanzaError::NOT_ALLOWED); // a room is no contact
            None
        }
        _ => None,
    }
}

/// §14.6: whether somebody makes rapid and repeated changes.
fn is_too_hasty(cx: &mut Cx<'_>, passing: &Passing) -> bool {
    let now = cx.server.clock().elapsed_ms();
    let room = cx.room_mut();
    room.is_some_and(|room| !room.haste.allows(&passing.from, now))
}

fn available(cx: &mut Cx<'_>, passing: Passing) -> Option<Question> {
    let there = cx.room()?.occupants.of(&passing.from);
    let own = there.map(|occupant| occupant.jid.clone());
    let enters = passing.stanza.child(NS, "x").is_some();
    let outcome = match own {
        None if !enters && passing.to.resourcepart().is_some() => {
            leave::never_was_there(cx, &passing);
            return None;
        }
        Some(own) if !enters && own == passing.to => status(cx, &own, &passing),
        Some(own) if own != passing.to => nickname(cx, &own, &passing, enters),
        // Of somebody who is there already it has lost track (§7.2.1).
        _ => match enter(cx, &passing) {
            Ok(question) => return question.or_else(|| now(cx, passing)),
            Err(refusal) => Err(refusal),
        },
    };
    if let Err(refusal) = outcome {
        cx.refuse(&passing, refusal);
    }
    None
}

/// Whether somebody gets in; what is to be read before is given.
fn enter(cx: &mut Cx<'_>, passing: &Passing) -> Result<Option<Question>, StanzaError> {
    may_enter(room(cx)?, passing)?;
    let Some(plan) = history::plan(cx, &Wanted::by(passing)) else {
        return Ok(None);
    };
    room(cx)?.joins_reading += 1;
    Ok(Some(Question {
        passing: passing.clone(),
        plan,
        then: Some(with_history),
    }))
}

/// Enters at once: there is no history, or none is wanted.
fn now(cx: &mut Cx<'_>, passing: Passing) -> Option<Question> {
    admit(cx, &passing, None);
    None
}

fn with_history(cx: &mut Cx<'_>, passing: Passing, read: Result<Read, StanzaError>) {
    // What was true before the disk was asked need not be now.
    let may = room(cx).and_then(|room| may_enter(room, &passing));
    match (may, read) {
        (Ok(()), Ok(read)) => admit(cx, &passing, Some(read)),
        (Err(refusal), _) | (_, Err(refusal)) => cx.refuse(&passing, refusal),
    }
    history::read(cx);
}

/// §7.2.17, the conditions in the order of what outweighs what.
fn may_enter(room: &Room, passing: &Passing) -> Result<(), StanzaError> {
    if room.destroyed {
        return Err(StanzaError::ITEM_NOT_FOUND);
    }
    let (who, affiliation) = (&passing.from, room.affiliation(&passing.from));
    may_be_called(room, &passing.to, who)?;
    if room.locked && affiliation != Affiliation::Owner {
        return Err(StanzaError::ITEM_NOT_FOUND); // §7.2.10
    }
    if affiliation == Affiliation::Outcast {
        return Err(StanzaError::FORBIDDEN);
    }
    if room.config.members_only && affiliation < Affiliation::Member {
        return Err(StanzaError::REGISTRATION_REQUIRED);
    }
    let x = passing.stanza.child(NS, "x").map(|x| x.element());
    let password = x.as_ref().and_then(|x| x.child(NS, "password"));
    let password = password.map(|password| password.text()).unwrap_or_default();
    if !room.config.password.is_empty() && password != room.config.password {
        return Err(StanzaError::NOT_AUTHORIZED);
    }
    let new = room.occupants.get(&passing.to).is_none();
    if new && room.occupants.len() >= places(room, affiliation) {
        return Err(StanzaError {
            type_: "wait", // §7.2.9
            ..StanzaError::SERVICE_UNAVAILABLE
        });
    }
    Ok(())
}

/// §7.2.9: how many may be there for one of that affiliation to come in.
fn places(room: &Room, affiliation: Affiliation) -> usize {
    let max = match room.config.max_users {
        0 => ROOM_OCCUPANTS_MAX,
        max => (max as usize).min(ROOM_OCCUPANTS_MAX),
    };
    if affiliation >= Affiliation::Admin {
        max + ROOM_OCCUPANTS_RESERVE
    } else {
        max
    }
}

/// §7.2.8, §7.6: whether somebody may have a nickname.
fn may_be_called(room: &Room, jid: &Jid, who: &Jid) -> Result<(), StanzaError> {
    let nick = jid.resourcepart().ok_or(StanzaError::JID_MALFORMED)?;
    if nick.len() > ROOM_NICK_BYTES_MAX || nick.trim() != nick {
        return Err(StanzaError::NOT_ACCEPTABLE.with_text("this cannot be a nickname"));
    }
    let bare = who.bare();
    let reserved = room.owner_of_nick(nick).is_some_and(|own| *own != bare);
    let taken = room
        .occupants
        .get(jid)
        .is_some_and(|other| !other.is(bare.as_str()));
    if reserved || taken {
        return Err(StanzaError::CONFLICT);
    }
    Ok(())
}

/// §7.1: everybody who is there, the newcomer itself, history, subject.
fn admit(cx: &mut Cx<'_>, passing: &Passing, read: Option<Read>) {
    let (own, to) = (passing.to.clone(), passing.from.clone());
    let Some((created, known)) = sit_down(cx, passing) else {
        return;
    };
    announce::show_others(cx, &own, &to);
    let Some(told) = told(cx, &own) else { return };
    let id = passing.stanza.id();
    let news = News {
        id: id.as_deref(),
        ..News::default()
    };
    if !known {
        announce::to_others(cx, &told, &news);
    }
    let codes = own_codes(cx, created);
    let self_presence = News {
        own_codes: &codes,
        ..news
    };
    announce::to_itself(cx, &told, &self_presence, std::slice::from_ref(&to));
    history::send(cx, &to, &Wanted::by(passing), read);
    history::send_subject(cx, &to);
}

/// Takes a seat. Whether the room was made for it, and whether it had this very seat already; `None` where
/// its presence is too long to be shown to everybody.
fn sit_down(cx: &mut Cx<'_>, passing: &Passing) -> Option<(bool, bool)> {
    let presence = announce::presence_content(passing);
    if presence.len() > ROOM_PRESENCE_BYTES_MAX {
        cx.refuse(passing, too_long());
        return None;
    }
    let id = cx.server.rooms().occupant_id(cx.jid(), &passing.from);
    let room = cx.room_mut()?;
    let known = room.occupants.of(&passing.from).is_some();
    let created = room.locked && !known;
    let role = room
        .affiliation(&passing.from)
        .first_role(room.config.moderated);
    let seat = Seat {
        jid: passing.from.clone(),
        presence: room.occupants.shared(&presence),
    };
    let new = || Occupant {
        jid: passing.to.clone(),
        role,
        id,
        seats: Vec::new(),
    };
    room.occupants.seat(&passing.to, new, seat);
    cx.keep_seat(&passing.from);
    cx.note_room();
    Some((created, known))
}

fn too_long() -> StanzaError {
    StanzaError::NOT_ACCEPTABLE.with_text("this presence is too long for a room")
}

/// What a newcomer is told about the room (§7.2.3, §7.2.12, §10.1.1).
fn own_codes(cx: &Cx<'_>, created: bool) -> Vec<u16> {
    let config = cx.room().map(|room| &room.config);
    let codes = [
        (100, config.is_some_and(|config| config.non_anonymous)),
        (170, config.is_some_and(|config| config.public_log)),
        (201, created),
    ];
    let codes = codes.into_iter().filter(|(_, holds)| *holds);
    codes.map(|(code, _)| code).collect()
}

fn told(cx: &Cx<'_>, own: &Jid) -> Option<Told> {
    let room = cx.room()?;
    Told::of(room, room.occupants.get(own)?)
}

/// §7.7: another status.
fn status(cx: &mut Cx<'_>, own: &Jid, passing: &Passing) -> Result<(), StanzaError> {
    let presence = announce::presence_content(passing);
    if presence.len() > ROOM_PRESENCE_BYTES_MAX {
        return Err(too_long());
    }
    let room = room(cx)?;
    let shared = room.occupants.shared(&presence);
    let occupant = room
        .occupants
        .get_mut(own)
        .ok_or(StanzaError::ITEM_NOT_FOUND)?;
    if occupant.role == Role::Visitor && !room.config.visitors_may_change {
        return Err(StanzaError::FORBIDDEN);
    }
    occupant.seats.retain(|seat| seat.jid != passing.from);
    occupant.seats.push(Seat {
        jid: passing.from.clone(),
        presence: shared,
    });
    cx.keep_seat(&passing.from);
    if let Some(told) = told(cx, own) {
        let id = passing.stanza.id();
        let news = News {
            id: id.as_deref(),
            ..News::default()
        };
        announce::to_all(cx, &told, &news);
    }
    Ok(())
}

/// §7.6: another nickname. With `<x/>` whoever has it has lost track besides, and is shown everybody.
fn nickname(cx: &mut Cx<'_>, own: &Jid, passing: &Passing, lost: bool) -> Result<(), StanzaError> {
    let new = passing.to.clone();
    let room = room(cx)?;
    may_be_called(room, &new, &passing.from)?;
    let occupant = room.occupants.get(own).ok_or(StanzaError::ITEM_NOT_FOUND)?;
    if occupant.role == Role::Visitor && !room.config.visitors_may_change {
        return Err(StanzaError::FORBIDDEN);
    }
    let (role, id) = (occupant.role, occupant.id.clone());
    let alone = occupant.seats.len() == 1;
    let Some(before) = Told::of(room, occupant) else {
        return Ok(());
    };
    let presence = announce::presence_content(passing);
    if presence.len() > ROOM_PRESENCE_BYTES_MAX {
        return Err(too_long());
    }
    let nick = new.resourcepart().unwrap_or_default().to_owned();
    let news = News {
        type_: "unavailable",
        nick: Some(&nick),
        codes: &[303],
        ..News::default()
    };
    // The nickname stays with the other devices that have it.
    let newcomer = room.occupants.get(&new).is_none();
    if alone && newcomer {
        announce::to_others(cx, &before, &news);
    }
    announce::to_itself(cx, &before, &news, std::slice::from_ref(&passing.from));
    let room = self::room(cx)?;
    let seat = Seat {
        jid: passing.from.clone(),
        presence: room.occupants.shared(&presence),
    };
    let left = room.occupants.unseat(&passing.from).is_some();
    let occupant = || Occupant {
        jid: new.clone(),
        role,
        id,
        seats: Vec::new(),
    };
    room.occupants.seat(&new, occupant, seat);
    cx.keep_seat(&passing.from);
    if left && !newcomer {
        // It went to another nickname of the same person.
        let gone = News {
            type_: "unavailable",
            ..News::default()
        };
        announce::to_others(cx, &before.gone(), &gone);
    }
    if lost {
        announce::show_others(cx, &new, &passing.from);
    } else if !left {
        // Its client takes the old nickname for gone, which another device has.
        announce::show_again(cx, &new, own, &passing.from);
    }
    if let Some(told) = told(cx, &new) {
        let id = passing.stanza.id();
        let news = News {
            id: id.as_deref(),
            ..News::default()
        };
        announce::to_all(cx, &told, &news);
    }
    Ok(())
}
