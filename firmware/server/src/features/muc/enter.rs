//! Presence sent to a room (XEP-0045 §7.2): entering. What becomes of presence of those who are there is in
//! `change.rs` and `leave.rs`.

use super::{
    NS,
    announce::{self, News, Told},
    avatar, change,
    history::{self, Wanted},
    leave, refuse, refused, room,
};
use crate::{
    account::{Account, Cx},
    feature::Read,
    limits::{
        ROOM_NICK_BYTES_MAX, ROOM_OCCUPANTS_MAX, ROOM_OCCUPANTS_RESERVE, ROOM_PRESENCE_BYTES_MAX,
        ROOM_SEATS_MAX, ROOMS_MAX, ROOMS_PER_ACCOUNT_MAX,
    },
    reading::Question,
    room::{Affiliation, Occupant, Room, Said, Seat, nickname},
    router::Found,
    server::Server,
};
use std::{borrow::Cow, sync::Arc};
use xmpp::{Element, Jid, Passing, StanzaError, stanza::Child};

/// §7.2.9: there may be a place later.
const FULL: StanzaError = StanzaError {
    type_: "wait",
    ..StanzaError::SERVICE_UNAVAILABLE
};

/// Presence for a room that is not there: it is made for whoever enters (§7.2.11, §10.1).
pub(crate) fn enter_none(server: &Arc<Server>, passing: &Passing) -> Found {
    if !passing.stanza.type_().is_empty() {
        return Found::Nobody;
    }
    let room = passing.to.bare();
    if !is_entering(passing) && passing.to.resourcepart().is_some() {
        return Found::Replied(leave::kick(server, passing)); // from a room that is no more
    }
    match make_for(server, passing) {
        Ok(made) => Found::Account(made),
        Err(refusal) => Found::Replied(refused(&room, passing, refusal)),
    }
}

fn make_for(server: &Arc<Server>, passing: &Passing) -> Result<Arc<Account>, StanzaError> {
    let nick = passing.to.resourcepart();
    may_be_a_nickname(&nickname::normal(nick.ok_or(StanzaError::JID_MALFORMED)?))?;
    if passing.from.domainpart() != server.domain().as_str() {
        return Err(StanzaError::NOT_ALLOWED); // §10.1.1
    }
    let (all, own) = server.rooms().count(passing.from.bare_str());
    if all >= ROOMS_MAX || own >= ROOMS_PER_ACCOUNT_MAX {
        return Err(
            StanzaError::RESOURCE_CONSTRAINT.with_text("you have as many rooms as one may have")
        );
    }
    let room = server.make_room(&passing.to, &passing.from);
    room.ok_or(StanzaError::RESOURCE_CONSTRAINT)
}

fn is_entering(passing: &Passing) -> bool {
    passing.stanza.child(NS, "x").is_some()
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
            refuse(cx, &passing, StanzaError::NOT_ALLOWED); // a room is no contact
            None
        }
        "probe" => {
            change::probed(cx, &passing);
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

fn available(cx: &mut Cx<'_>, mut passing: Passing) -> Option<Question> {
    let there = cx.room()?.occupants.of(&passing.from);
    let own = there.map(|occupant| occupant.jid.clone());
    let enters = is_entering(&passing);
    if own.is_none() && !enters && passing.to.resourcepart().is_some() {
        let kick = leave::kick(cx.server, &passing);
        cx.route(kick);
        return None;
    }
    take_normal_nickname(&mut passing);
    let outcome = match own {
        Some(own) if !enters && own == passing.to => change::status(cx, &own, &passing),
        Some(own) if own != passing.to => change::nickname(cx, &own, &passing, enters),
        // Of somebody who is there already it has lost track (§7.2.1).
        _ => match enter(cx, &passing) {
            Ok(question) => return question.or_else(|| now(cx, passing)),
            Err(refusal) => Err(refusal),
        },
    };
    if let Err(refusal) = outcome {
        turn_away(cx, &passing, refusal);
    }
    None
}

/// Refuses presence. A room that was made for whoever is refused is none (§10.1.1).
fn turn_away(cx: &mut Cx<'_>, passing: &Passing, refusal: StanzaError) {
    refuse(cx, passing, refusal);
    if cx
        .room()
        .is_some_and(|room| room.locked && room.occupants.is_empty())
    {
        leave::end(cx);
    }
}

/// Takes the nickname in its normal form (§7.2.2, §14.6); whoever asked for it is told (status 210).
fn take_normal_nickname(passing: &mut Passing) {
    let normal = passing.to.resourcepart().map(nickname::normal);
    if let Some(Cow::Owned(normal)) = normal
        && let Ok(to) = passing.to.with_resource(&normal)
    {
        passing.to = to;
    }
}

/// Whether the nickname is not in the form that was asked for.
pub(super) fn is_called_otherwise(passing: &Passing) -> bool {
    let asked = passing.stanza.to().ok().flatten();
    asked.is_some_and(|asked| asked != passing.to)
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
        (Err(refusal), _) | (_, Err(refusal)) => turn_away(cx, &passing, refusal),
    }
    history::read(cx);
}

/// §7.2.17, the conditions in the order of what outweighs what.
fn may_enter(room: &Room, passing: &Passing) -> Result<(), StanzaError> {
    if room.destroyed {
        return Err(StanzaError::ITEM_NOT_FOUND);
    }
    let (who, affiliation) = (&passing.from, room.affiliation(&passing.from));
    may_be_a_nickname(
        passing
            .to
            .resourcepart()
            .ok_or(StanzaError::JID_MALFORMED)?,
    )?;
    if room.locked && affiliation != Affiliation::Owner {
        return Err(StanzaError::ITEM_NOT_FOUND); // §7.2.10
    }
    if affiliation == Affiliation::Outcast {
        return Err(StanzaError::FORBIDDEN);
    }
    if room.config.members_only && affiliation < Affiliation::Member {
        return Err(StanzaError::REGISTRATION_REQUIRED);
    }
    let x = passing.stanza.child(NS, "x").map(Child::element);
    let password = x.as_ref().and_then(|x| x.child(NS, "password"));
    let password = password.map(Element::text).unwrap_or_default();
    if !room.config.password.is_empty() && password != room.config.password {
        return Err(StanzaError::NOT_AUTHORIZED);
    }
    may_be_called(room, &passing.to, who)?; // who is there is not for everybody to know
    has_place(room, &passing.to, who)
}

/// §7.2.9: whether there is a place under that nickname.
pub(super) fn has_place(room: &Room, nick: &Jid, who: &Jid) -> Result<(), StanzaError> {
    match room.occupants.get(nick) {
        None if room.occupants.len() >= places(room, room.affiliation(who)) => Err(FULL),
        Some(known) if known.seats.len() >= ROOM_SEATS_MAX && !known.has(who) => Err(FULL),
        _ => Ok(()),
    }
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

/// §7.2.8, §7.6: whether somebody may have a nickname. One that people would take for somebody else's is that
/// one's.
pub(super) fn may_be_called(room: &Room, jid: &Jid, who: &Jid) -> Result<(), StanzaError> {
    let nick = jid.resourcepart().ok_or(StanzaError::JID_MALFORMED)?;
    may_be_a_nickname(nick)?;
    let bare = who.bare_str();
    let reserved = room
        .owner_of_nick(nick)
        .is_some_and(|own| own.as_str() != bare);
    let mut others = room.occupants.iter().filter(|other| !other.is(bare));
    if reserved || others.any(|other| nickname::is_same(other.nick(), nick)) {
        return Err(StanzaError::CONFLICT);
    }
    Ok(())
}

/// §17.1, §14.6.
fn may_be_a_nickname(nick: &str) -> Result<(), StanzaError> {
    let is_seen = nick.contains(|c: char| c != ' ');
    if is_seen && nick.len() <= ROOM_NICK_BYTES_MAX {
        return Ok(());
    }
    Err(StanzaError::NOT_ACCEPTABLE.with_text("this cannot be a nickname"))
}

/// §7.1: everybody who is there, the newcomer itself, history, subject.
fn admit(cx: &mut Cx<'_>, passing: &Passing, read: Option<Read>) {
    let (own, to) = (passing.to.clone(), passing.from.clone());
    let seated = match sit_down(cx, passing) {
        Ok(seated) => seated,
        Err(refusal) => return turn_away(cx, passing, refusal),
    };
    announce::show_others(cx, &own, &to);
    let Some(told) = told(cx, &own) else { return };
    let id = passing.stanza.id();
    let news = News {
        id: id.as_deref(),
        ..News::default()
    };
    if seated.shows_anew {
        announce::to_others(cx, &told, &news);
        announce::to_siblings(cx, &told, &to);
    }
    let codes = own_codes(cx, passing, seated.made);
    let self_presence = News {
        own_codes: &codes,
        ..news
    };
    announce::to_itself(cx, &told, &self_presence, std::slice::from_ref(&to));
    history::send(cx, &to, &Wanted::by(passing), read);
    history::send_subject(cx, &to);
    avatar::tell(cx, &to);
}

/// What came of taking a seat.
struct Seated {
    /// The room was made for this.
    made: bool,
    /// The others see something else than before. Not so with a second device that says the same as the
    /// first, and with one that had lost track.
    shows_anew: bool,
}

/// Takes a seat. `not-acceptable` where its presence is too long to be shown to everybody.
fn sit_down(cx: &mut Cx<'_>, passing: &Passing) -> Result<Seated, StanzaError> {
    let presence = said(cx, passing)?;
    let id = cx.server.rooms().occupant_id(cx.jid(), &passing.from);
    let room = room(cx)?;
    let made = room.locked && room.occupants.is_empty();
    let role = room.first_role(&passing.from);
    let seat = Seat {
        jid: passing.from.clone(),
        presence: room.occupants.shared(presence),
    };
    let new = || Occupant {
        jid: passing.to.clone(),
        role,
        id,
        seats: Vec::new(),
    };
    let shows_anew = room.occupants.seat(&passing.to, new, seat);
    cx.keep_seat(&passing.from);
    cx.note_room();
    Ok(Seated { made, shows_anew })
}

/// What a client says in its presence, where that can be shown to everybody.
pub(super) fn said(cx: &Cx<'_>, passing: &Passing) -> Result<Said, StanzaError> {
    let said = announce::said(cx, passing);
    if said.content().len() > ROOM_PRESENCE_BYTES_MAX {
        return Err(StanzaError::NOT_ACCEPTABLE.with_text("this presence is too long for a room"));
    }
    Ok(said)
}

/// What a newcomer is told about the room and itself (§7.2.2, §7.2.3, §7.2.12, §10.1.1).
fn own_codes(cx: &Cx<'_>, passing: &Passing, made: bool) -> Vec<u16> {
    let config = cx.room().map(|room| &room.config);
    let codes = [
        (100, config.is_some_and(|config| config.non_anonymous)),
        (170, config.is_some_and(|config| config.public_log)),
        (201, made),
        (210, is_called_otherwise(passing)),
    ];
    let codes = codes.into_iter().filter(|(_, holds)| *holds);
    codes.map(|(code, _)| code).collect()
}

pub(super) fn told(cx: &Cx<'_>, own: &Jid) -> Option<Told> {
    let room = cx.room()?;
    Told::of(room, room.occupants.get(own)?)
}
