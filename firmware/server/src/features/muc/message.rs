//! Messages to a room (XEP-0045 §7.4, §7.5, §8.1): what everybody gets, what one occupant gets, and the subject.

use super::{NS, USER, absent, history, leave, retract};
use crate::{
    account::Cx,
    archive::{self, RETRACT, STANZA_ID},
    limits::ROOM_SUBJECT_BYTES_MAX,
    room::{Role, Room, record::Subject},
};
use xmpp::{Jid, Passing, StanzaError, ns, stanza::Reach};

/// A message for this room or somebody in it.
pub(crate) fn message(cx: &mut Cx<'_>, passing: Passing) {
    let to_occupant = passing.to.resourcepart().is_some();
    let said = match (passing.stanza.type_(), to_occupant) {
        ("error", _) => return leave::unreachable(cx, &passing),
        ("groupchat", true) => Err(StanzaError::BAD_REQUEST), // §7.5
        ("groupchat", false) => to_all(cx, passing.clone()),
        (_, true) => to_one(cx, passing.clone()),
        (_, false) => Err(StanzaError::BAD_REQUEST), // §7.4
    };
    if let Err(refusal) = said {
        cx.refuse(&passing, refusal);
    }
}

/// §7.4.
fn to_all(cx: &mut Cx<'_>, mut said: Passing) -> Result<(), StanzaError> {
    let room = super::room(cx)?;
    let by = room
        .occupants
        .of(&said.from)
        .ok_or(StanzaError::NOT_ACCEPTABLE)?;
    if by.role < Role::Participant {
        return Err(StanzaError::FORBIDDEN);
    }
    let (own, id, role) = (by.jid.clone(), by.id.clone(), by.role);
    let may_change_subject = role == Role::Moderator || room.config.change_subject;
    let real = std::mem::replace(&mut said.from, own);
    clean(cx, &mut said);
    if let Some(subject) = subject(&said) {
        if !may_change_subject {
            return Err(StanzaError::FORBIDDEN); // §8.1
        }
        if subject.len() > ROOM_SUBJECT_BYTES_MAX {
            return Err(StanzaError::NOT_ACCEPTABLE.with_text("this subject is too long"));
        }
        set_subject(cx, &said, subject);
    }
    said.add(occupant_id(&id), Reach::Everybody);
    to_everybody(cx, said.clone(), &real)?;
    retract::by_its_author(cx, &said, &id);
    Ok(())
}

/// Keeps something of what was said by somebody, or the room itself, and gives it to everybody who is there.
pub(super) fn to_everybody(
    cx: &mut Cx<'_>,
    mut said: Passing,
    by: &Jid,
) -> Result<(), StanzaError> {
    let room = super::room(cx)?;
    let keeps = room.keeps() && crate::features::worth_keeping_in_room(&said);
    if keeps {
        let speaker = room.config.non_anonymous.then(|| speaker(room, by));
        let position = archive::keep_in_room(cx, &mut said, by, speaker.flatten())?;
        history::note(cx, position, &said);
    }
    let Some(room) = cx.room() else {
        return Ok(());
    };
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
    Ok(())
}

/// XEP-0313 §6.1.2: who this is, where everybody may know it.
fn speaker(room: &Room, real: &Jid) -> Option<String> {
    let occupant = room.occupants.of(real)?;
    let mut out = format!("<x xmlns='{USER}'><item");
    xmpp::compose::attribute(&mut out, "affiliation", room.affiliation(real).name());
    xmpp::compose::attribute(&mut out, "jid", real.as_str());
    xmpp::compose::attribute(&mut out, "role", occupant.role.name());
    Some(out + "/></x>")
}

/// XEP-0421 §3.2.
pub(super) fn occupant_id(id: &str) -> String {
    let mut out = String::from("<occupant-id xmlns='urn:xmpp:occupant-id:0'");
    xmpp::compose::attribute(&mut out, "id", id);
    out + "/>"
}

/// Leaves behind what only the room may say.
fn clean(cx: &Cx<'_>, said: &mut Passing) {
    let stanza = said.stanza.clone();
    let by_us = |by: &str| xmpp::Jid::parse(by).is_ok_and(|by| by.bare_str() == cx.jid().as_str());
    for child in stanza.children() {
        let forged = match (child.ns(), child.name()) {
            (STANZA_ID, "stanza-id") => child.attr("by").is_some_and(|by| by_us(&by)),
            ("urn:xmpp:delay", "delay") => child.attr("from").is_some_and(|by| by_us(&by)),
            (NS | USER | "urn:xmpp:occupant-id:0", _) => true,
            (RETRACT | retract::MODERATE, _) => retract::is_forged(child),
            _ => false,
        };
        if forged {
            said.leave_behind(child.index(), Reach::Everybody);
        }
    }
}

/// §8.1: the subject elements of a message that has no body, as XML.
fn subject(said: &Passing) -> Option<String> {
    let is = |name: &str| said.stanza.child(ns::CLIENT, name).is_some();
    if !is("subject") || is("body") || is("thread") {
        return None;
    }
    let subjects = said.stanza.children();
    let subjects = subjects.filter(|child| (child.ns(), child.name()) == (ns::CLIENT, "subject"));
    Some(subjects.map(|child| child.to_xml().into_owned()).collect())
}

fn set_subject(cx: &mut Cx<'_>, said: &Passing, xml: String) {
    let set_ms = cx.now();
    if let Some(room) = cx.room_mut() {
        room.subject = Subject {
            xml,
            by: said.from.as_str().to_owned(),
            set_ms,
        };
    }
    cx.keep_room();
}

/// §7.5: a private message, to every device of the recipient.
fn to_one(cx: &mut Cx<'_>, mut said: Passing) -> Result<(), StanzaError> {
    let room = super::room(cx)?;
    let by = room
        .occupants
        .of(&said.from)
        .ok_or(StanzaError::NOT_ACCEPTABLE)?;
    let least = room.config.allow_pm.ok_or(StanzaError::FORBIDDEN)?;
    if by.role < least {
        return Err(StanzaError::FORBIDDEN);
    }
    let (own, id) = (by.jid.clone(), by.id.clone());
    let to = room
        .occupants
        .get(&said.to)
        .ok_or(StanzaError::ITEM_NOT_FOUND)?;
    let seats: Vec<_> = to.seats.iter().map(|seat| seat.jid.clone()).collect();
    said.from = own;
    clean(cx, &mut said);
    said.add(format!("<x xmlns='{USER}'/>"), Reach::Everybody);
    said.add(occupant_id(&id), Reach::Everybody);
    for seat in seats {
        cx.route(said.addressed_to(seat));
    }
    Ok(())
}
