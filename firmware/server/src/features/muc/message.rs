//! Messages to a room (XEP-0045 §7.4, §7.5, §8.1): what everybody gets, what one occupant gets, and the
//! subject.

use super::{
    NOT_IN_THE_ROOM, USER, absent, bounce, history, invite, is_for_rooms_to_say, occupant_id,
    refuse, retract, something_can_be_kept, voice,
};
use crate::{
    account::Cx,
    archive,
    limits::ROOM_SUBJECT_BYTES_MAX,
    reading::Question,
    room::{Affiliation, Role, Room, record::Subject},
};
use std::sync::Arc;
use xmpp::{Jid, Kind, Passing, Stanza, StanzaError, ns, stanza::Reach};

/// A message for this room or somebody in it.
pub(crate) fn message(cx: &mut Cx<'_>, passing: Passing) -> Option<Question> {
    let to_occupant = passing.to.resourcepart().is_some();
    let said = match (passing.stanza.type_(), to_occupant) {
        ("error", _) => {
            bounce::message(cx, &passing);
            return None;
        }
        _ if is_unknown_to(cx, &passing.from) => Err(StanzaError::ITEM_NOT_FOUND),
        ("groupchat", true) => Err(StanzaError::BAD_REQUEST), // §7.5
        ("groupchat", false) => to_all(cx, passing.clone()),
        (_, true) => to_one(cx, &passing),
        (_, false) => match to_room(cx, &passing) {
            Ok(question) => return question,
            Err(refusal) => Err(refusal),
        },
    };
    if let Err(refusal) = said {
        refuse(cx, &passing, refusal);
    }
    None
}

/// Whether it is not there yet for somebody: of a locked room only its owner knows (§10.1.1).
fn is_unknown_to(cx: &Cx<'_>, who: &Jid) -> bool {
    cx.room()
        .is_some_and(|room| room.locked && room.affiliation(who) != Affiliation::Owner)
}

/// A message that the room itself understands. §17.2: any other should have been for everybody.
fn to_room(cx: &mut Cx<'_>, passing: &Passing) -> Result<Option<Question>, StanzaError> {
    if let Some(outcome) = invite::message(cx, passing) {
        return outcome;
    }
    // §7.13, §8.6, §9.9: requests.
    let form = voice::form(cx, passing).unwrap_or(Err(StanzaError::BAD_REQUEST));
    form.map(|()| None)
}

/// The address, id and role of whoever speaks.
fn speaker(room: &Room, real: &Jid) -> Result<(Jid, Arc<str>, Role), StanzaError> {
    let by = room.occupants.of(real).ok_or(NOT_IN_THE_ROOM)?;
    Ok((by.jid.clone(), by.id.clone(), by.role))
}

/// §7.4.
fn to_all(cx: &mut Cx<'_>, mut said: Passing) -> Result<(), StanzaError> {
    let room = super::room(cx)?;
    let (own, id, role) = speaker(room, &said.from)?;
    if room.locked {
        return Err(StanzaError::ITEM_NOT_FOUND); // §17.2
    }
    if role < Role::Participant {
        return Err(StanzaError::FORBIDDEN);
    }
    let subject = subject(&said);
    if let Some(subject) = &subject {
        if role < Role::Moderator && !room.config.change_subject {
            return Err(StanzaError::FORBIDDEN); // §8.1
        }
        if subject.len() > ROOM_SUBJECT_BYTES_MAX {
            return Err(StanzaError::NOT_ACCEPTABLE.with_text("this subject is too long"));
        }
    }
    // Of what is not kept nobody may be told where in the archive it is, nor that the subject is another now.
    let is_kept = room.keeps() && crate::features::worth_keeping_in_room(&said);
    if is_kept || subject.is_some() {
        something_can_be_kept(cx)?;
    }
    let real = std::mem::replace(&mut said.from, own);
    clean(cx, &mut said);
    said.add(occupant_id(&id), Reach::Everybody);
    let position = to_everybody(cx, said.clone(), &real)?;
    if let Some(subject) = subject {
        set_subject(cx, &said, subject, (&id, position)); // not before it is known that the disk takes it
    }
    retract::by_its_author(cx, &said, &id);
    Ok(())
}

/// Keeps something of what was said by somebody, or the room itself, and gives it to everybody who is there.
/// Its place in the archive, if it has one.
pub(super) fn to_everybody(
    cx: &mut Cx<'_>,
    mut said: Passing,
    by: &Jid,
) -> Result<Option<u64>, StanzaError> {
    let room = super::room(cx)?;
    let keeps = room.keeps() && crate::features::worth_keeping_in_room(&said);
    let mut kept = None;
    if keeps {
        let speaker = room.config.non_anonymous.then(|| identity(room, by));
        let position = archive::keep_in_room(cx, &mut said, by, speaker.flatten())?;
        history::note(cx, position, &said);
        kept = Some(position);
    }
    let Some(room) = cx.room() else {
        return Ok(kept);
    };
    said.for_many();
    let seats = room.occupants.seats();
    let copies: Vec<Passing> = seats
        .map(|(_, seat)| said.addressed_to(seat.jid.clone()))
        .collect();
    for copy in copies {
        cx.route(copy);
    }
    if keeps {
        absent::told(cx, &said, by);
    }
    Ok(kept)
}

/// XEP-0313 §6.1.2: who this is, where everybody may know it.
fn identity(room: &Room, real: &Jid) -> Option<String> {
    let occupant = room.occupants.of(real)?;
    let mut out = format!("<x xmlns='{USER}'><item");
    xmpp::compose::attribute(&mut out, "affiliation", room.affiliation(real).name());
    xmpp::compose::attribute(&mut out, "jid", real.as_str());
    xmpp::compose::attribute(&mut out, "role", occupant.role.name());
    Some(out + "/></x>")
}

/// Leaves behind what only the room may say.
fn clean(cx: &Cx<'_>, said: &mut Passing) {
    let stanza = said.stanza.clone();
    for child in stanza.children() {
        if is_for_rooms_to_say(cx.jid(), child) {
            said.leave_behind(child.index(), Reach::Everybody);
        }
    }
}

/// §8.1: the subject elements of a message that has no body, as XML.
fn subject(said: &Passing) -> Option<String> {
    if !is_change_of_subject(&said.stanza) {
        return None;
    }
    let subjects = said.stanza.children();
    let subjects = subjects.filter(|child| (child.ns(), child.name()) == (ns::CLIENT, "subject"));
    Some(subjects.map(|child| child.to_xml().into_owned()).collect())
}

/// §8.1: with a body or a thread it is a message like any other.
pub(super) fn is_change_of_subject(stanza: &Stanza) -> bool {
    let has = |name: &str| stanza.child(ns::CLIENT, name).is_some();
    has("subject") && !has("body") && !has("thread")
}

fn set_subject(
    cx: &mut Cx<'_>,
    said: &Passing,
    xml: String,
    (by_id, position): (&str, Option<u64>),
) {
    let set_ms = cx.now();
    let lang = said.stanza.lang().unwrap_or_default().into_owned();
    if let Some(room) = cx.room_mut() {
        room.subject = Subject {
            xml,
            by: said.from.as_str().to_owned(),
            set_ms,
            by_id: by_id.to_owned(),
            lang,
            position: position.unwrap_or_default(),
        };
    }
    cx.keep_room();
}

/// §7.5: a private message, to every device of the recipient.
fn to_one(cx: &mut Cx<'_>, said: &Passing) -> Result<(), StanzaError> {
    let room = super::room(cx)?;
    let (own, id, role) = speaker(room, &said.from)?;
    if room.config.allow_pm.is_none_or(|least| role < least) {
        return Err(StanzaError::FORBIDDEN);
    }
    let to = room.occupants.get(&said.to);
    let to = to.ok_or(StanzaError::ITEM_NOT_FOUND)?;
    let seats: Vec<Jid> = to.seats.iter().map(|seat| seat.jid.clone()).collect();
    let (sender, message_id) = (said.from.clone(), said.stanza.id().unwrap_or_default());
    if let Some(person) = seats.first() {
        let brought = (sender, said.to.clone(), seats.len());
        let under = (&own, person, &*message_id);
        room.under_way.note(under, brought);
    }
    let message = private(cx, said, &id);
    for seat in seats {
        cx.route(Passing::new(message.clone(), own.clone(), seat));
    }
    Ok(())
}

/// A private message as the room brings it. It is made anew, so that the recipient's side finds in it by what
/// private messages are known.
fn private(cx: &Cx<'_>, said: &Passing, by: &str) -> Arc<Stanza> {
    let mut cleaned = said.clone();
    clean(cx, &mut cleaned);
    cleaned.add(format!("<x xmlns='{USER}'/>"), Reach::Everybody);
    cleaned.add(occupant_id(by), Reach::Everybody);
    let (id, lang) = (said.stanza.id(), said.stanza.lang());
    let mut attributes = Vec::with_capacity(3);
    if let Some(id) = &id {
        attributes.push(("id", &**id));
    }
    if !said.stanza.type_().is_empty() {
        attributes.push(("type", said.stanza.type_()));
    }
    if let Some(lang) = &lang {
        attributes.push(("xml:lang", &**lang));
    }
    // Content was checked when it was read, or composed by us; this copies only what is not.
    let content = cleaned.content();
    let content = String::from_utf8_lossy(&content);
    Arc::new(Stanza::compose(Kind::Message, &attributes, &content))
}
