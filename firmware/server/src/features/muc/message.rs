//! Messages to a room (XEP-0045 §7.4, §7.5, §8.1): what everybody gets, what one occupant gets, and the subject.

use super::{NS, USER, history, leave, voice};
use crate::{
    account::Cx,
    archive::{self, STANZA_ID},
    limits::ROOM_SUBJECT_BYTES_MAX,
    room::{Role, record::Subject},
};
use xmpp::{Passing, StanzaError, ns, stanza::Reach};

/// A message for this room or somebody in it.
pub(crate) fn message(cx: &mut Cx<'_>, passing: Passing) {
    let to_occupant = passing.to.resourcepart().is_some();
    let said = match (passing.stanza.type_(), to_occupant) {
        ("error", _) => return leave::unreachable(cx, &passing),
        ("groupchat", true) => Err(StanzaError::BAD_REQUEST), // §7.5
        ("groupchat", false) => to_all(cx, passing.clone()),
        (_, true) => to_one(cx, passing.clone()),
        // §7.4, but for requests (§7.13, §8.6, §9.9).
        (_, false) => voice::form(cx, &passing).unwrap_or(Err(StanzaError::BAD_REQUEST)),
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
    let keeps = room.config.archive;
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
    if keeps && crate::features::worth_keeping_in_room(&said) {
        let position = archive::keep_in_room(cx, &mut said, &real)?;
        history::note(cx, position, &said);
    }
    let Some(room) = cx.room() else {
        return Ok(());
    };
    let seats = room.occupants.seats();
    let copies: Vec<Passing> = seats
        .map(|(_, seat)| said.addressed_to(seat.jid.clone()))
        .collect();
    copies.into_iter().for_each(|copy| cx.route(copy));
    Ok(())
}

/// XEP-0421 §3.2.
fn occupant_id(id: &str) -> String {
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
