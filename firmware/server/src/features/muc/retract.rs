//! XEP-0424: Message Retraction, and XEP-0425: Moderated Message Retraction, in rooms. What was said is taken
//! out of the archive by its author or by a moderator; that it was said stays, and that it was taken back.
//!
//! In an account's own archive a retraction is kept like any message, and what it is about stays (XEP-0424 §4
//! leaves that to the server): the other side has it, too.
//!
//! State: the archive of the room.

use super::{announce, message, room};
use crate::{
    account::Cx,
    archive::{self, RETRACT, Retraction},
    feature::{Answer, Feature, Iq, On, Spec, set},
    limits::{ROOM_MODERATED_MAX, ROOM_REASON_BYTES_MAX},
    room::{Role, record::Subject},
    world::random_id,
};
use std::sync::Arc;
use xmpp::{Element, Kind, Passing, Stanza, StanzaError, compose, stanza::Child};

pub(super) const MODERATE: &str = "urn:xmpp:message-moderate:1";

pub(crate) const RETRACTION_FEATURE: Feature = Feature {
    spec: Spec::Xep(424, "0.4.2", "Message Retraction"),
    disco: &[
        // §2: aware of retractions, so that they are archived.
        (On::Server, RETRACT),
        (On::OwnAccount, RETRACT),
        (On::RoomArchive, RETRACT),
        (On::RoomArchive, "urn:xmpp:message-retract:1#tombstone"),
    ],
    ..Feature::NONE
};

pub(crate) const MODERATION_FEATURE: Feature = Feature {
    spec: Spec::Xep(425, "0.3.0", "Moderated Message Retraction"),
    disco: &[(On::RoomArchive, MODERATE)],
    iq: &[set(On::Room, (MODERATE, "moderate"), moderate)],
    ..Feature::NONE
};

/// What only the room may say: that something was taken back, and that a moderator did it (XEP-0425 §5).
pub(super) fn is_forged(child: Child<'_>) -> bool {
    match (child.ns(), child.name()) {
        (RETRACT, "retract") => child.element().child(MODERATE, "moderated").is_some(),
        _ => true,
    }
}

/// XEP-0424 §3, §5.1: an occupant takes back what has this id in the room's archive. What is somebody else's
/// stays, by the occupant id (§5).
pub(super) fn by_its_author(cx: &mut Cx<'_>, said: &Passing, author: &str) {
    let Some(retract) = said.stanza.child(RETRACT, "retract") else {
        return;
    };
    let position = retract.attr("id").and_then(|id| position(cx, &id));
    let Some(position) = position.filter(|_| !said.is_left_behind(retract.index())) else {
        return;
    };
    let retraction = Retraction {
        author: Some(author.into()),
        id: said.stanza.id().unwrap_or_default().into_owned(),
        stamp: cx.now(),
        moderated: String::new(),
    };
    take_back(cx, position, retraction);
}

/// XEP-0425 §3.
fn moderate(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let room = room(cx)?;
    if !room.config.archive {
        return Err(StanzaError::SERVICE_UNAVAILABLE);
    }
    let by = room.occupants.of(&iq.passing.from);
    let by = by.filter(|occupant| occupant.role == Role::Moderator);
    let by = by.ok_or(
        StanzaError::FORBIDDEN.with_text("only moderators may take back what others said"),
    )?;
    let moderated = moderated(by.jid.as_str(), &by.id);
    let request = iq.payload.element();
    let id = request.attr("id").ok_or(StanzaError::BAD_REQUEST)?;
    if request.child(RETRACT, "retract").is_none() {
        return Err(StanzaError::FEATURE_NOT_IMPLEMENTED); // §1 thinks of other actions
    }
    let position = position(cx, id).ok_or(StanzaError::ITEM_NOT_FOUND)?;
    let reason = request.child(MODERATE, "reason").map(Element::text);
    let reason = reason.unwrap_or_default();
    if reason.len() > ROOM_REASON_BYTES_MAX {
        return Err(StanzaError::NOT_ACCEPTABLE.with_text("this reason is too long"));
    }
    if cx
        .room()
        .is_some_and(|room| room.moderated.contains(&position))
    {
        return Ok(String::new()); // everybody was told
    }
    let mut why = moderated;
    if !reason.is_empty() {
        why.push_str("<reason>");
        compose::escape(&mut why, &reason);
        why.push_str("</reason>");
    }
    let told = random_id(cx.server.dice());
    let mut retract = format!("<retract xmlns='{RETRACT}'");
    compose::attribute(&mut retract, "id", id);
    let content = retract + ">" + &why + "</retract>";
    let attributes = [("type", "groupchat"), ("id", told.as_str())];
    let stanza = Stanza::compose(Kind::Message, &attributes, &content);
    let own = cx.jid().clone();
    let said = Passing::new(Arc::new(stanza), own.clone(), own.clone());
    message::to_everybody(cx, said, &own)?;
    let retraction = Retraction {
        author: None,
        id: told,
        stamp: cx.now(),
        moderated: why,
    };
    take_back(cx, position, retraction);
    if let Some(room) = cx.room_mut() {
        room.moderated.truncate(ROOM_MODERATED_MAX - 1);
        room.moderated.push_front(position);
    }
    Ok(String::new())
}

/// XEP-0425 §3.1.
fn moderated(by: &str, occupant_id: &str) -> String {
    let mut out = format!("<moderated xmlns='{MODERATE}'");
    compose::attribute(&mut out, "by", by);
    out + ">" + &super::occupant_id(occupant_id) + "</moderated>"
}

/// Where the archive has, or had, a message of this id; nobody can make one up.
fn position(cx: &Cx<'_>, id: &str) -> Option<u64> {
    let position = cx.server.archive_ids().position(cx.id(), id)?;
    let archive = &cx.state.memory.archive;
    let (first, last) = archive.first.zip(archive.last)?;
    (first.position..=last.position)
        .contains(&position)
        .then_some(position)
}

/// Whoever enters from now on does not get it, nor whoever asks the archive (XEP-0425 §5). What is talked
/// about goes with the message that said so.
fn take_back(cx: &mut Cx<'_>, position: u64, retraction: Retraction) {
    if let Some(room) = cx.room_mut() {
        let by = &room.subject.by_id;
        let may = |author: &str| author == by;
        if room.subject.position == position && retraction.author.as_deref().is_none_or(may) {
            room.subject = Subject::default();
            cx.keep_room();
            announce::no_subject(cx);
        }
    }
    if let Some(room) = cx.room_mut() {
        room.said_meanwhile.retain(|(at, _, said)| {
            let goes = || retraction.tombstone(said.to_xml_for_all().as_bytes());
            *at != position || goes().is_none()
        });
    }
    cx.write(archive::retract(position, retraction));
}
