//! Requests that one occupant sends to another through the room (XEP-0045 §17.4): they reach a device under
//! the asking occupant's address, and its answer comes back under the asked one's. XEP-0410: whoever asks
//! after itself is answered by the room.
//!
//! Nothing is remembered of a request. Its id on the way is a seal over everything that is to be known of it,
//! who asks, by occupant id, the nickname that was asked, and the id it had: an answer that has it is an
//! answer to this very request, and for nobody but the device that sent it, whatever its nickname is by now.

use super::{NOT_IN_THE_ROOM, bounce, refuse};
use crate::{
    account::Cx,
    room::{Room, Seat},
};
use std::sync::Arc;
use xmpp::{Jid, Kind, Passing, Stanza, StanzaError};

const PING: &str = "urn:xmpp:ping";
const VCARD: &str = "vcard-temp";

/// Characters of [`crate::room::Rooms::seal`].
const SEAL: usize = 16;
/// Characters of [`crate::room::Rooms::occupant_id`].
const OCCUPANT: usize = 24;

/// An IQ for somebody in the room, or a room's answer.
pub(crate) fn iq(cx: &mut Cx<'_>, passing: Passing) {
    match passing.stanza.type_() {
        "get" | "set" => {
            if let Err(refusal) = ask(cx, &passing) {
                refuse(cx, &passing, refusal);
            }
        }
        // The room itself asks nothing.
        "result" | "error" if !passing.to.is_bare() => answer(cx, &passing),
        _ => {}
    }
}

/// The refusal of a request to an occupant of a room that the sender is not in, whether there are such a room
/// and such an occupant or not: §6.6 of discovery, XEP-0410 of the rest.
pub(crate) fn outsider(request: &Passing) -> StanzaError {
    let mut children = request.stanza.children();
    let discovers =
        children.any(|child| matches!(child.ns(), super::disco::INFO | super::disco::ITEMS));
    if discovers {
        StanzaError::BAD_REQUEST
    } else {
        NOT_IN_THE_ROOM
    }
}

fn ask(cx: &mut Cx<'_>, request: &Passing) -> Result<(), StanzaError> {
    let room = super::room(cx)?;
    let own = room.occupants.of(&request.from);
    let own = own.ok_or_else(|| outsider(request))?;
    let (own, own_id) = (own.jid.clone(), own.id.clone());
    let mut children = request.stanza.children();
    let (Some(payload), None) = (children.next(), children.next()) else {
        return Err(StanzaError::BAD_REQUEST); // RFC 6120 §8.2.3
    };
    let id = request.stanza.id().ok_or(StanzaError::BAD_REQUEST)?;
    if own == request.to && payload.ns() == PING && request.stanza.type_() == "get" {
        cx.route(crate::router::answered(request, Ok(String::new()))); // XEP-0410 §3.3
        return Ok(());
    }
    let asked = room.occupants.get(&request.to);
    let device = asked.and_then(|asked| asked.shown());
    let device = &device.ok_or(StanzaError::ITEM_NOT_FOUND)?.jid;
    // A card is its person's, whose server answers.
    let of_card = payload.ns() == VCARD && request.stanza.type_() == "get";
    let to = if of_card {
        device.bare()
    } else {
        device.clone()
    };
    let nick = request.to.resourcepart().unwrap_or_default();
    let seal = seal(cx, (&request.from, &request.to), &to, &id);
    let sealed = format!("{seal}{own_id}{}.{nick}{id}", nick.len());
    let stanza = under(&sealed, request);
    cx.route(Passing::new(stanza, own, to));
    Ok(())
}

/// The same stanza with another id.
fn under(id: &str, passing: &Passing) -> Arc<Stanza> {
    let lang = passing.stanza.lang();
    let mut attributes = vec![("type", passing.stanza.type_()), ("id", id)];
    if let Some(lang) = &lang {
        attributes.push(("xml:lang", lang));
    }
    let content = passing.content();
    // Content was checked when it was read; this copies only what is not.
    let content = String::from_utf8_lossy(&content);
    Arc::new(Stanza::compose(Kind::Iq, &attributes, &content))
}

/// What says that this device asked that occupant, who is that person.
fn seal(cx: &Cx<'_>, (device, asked): (&Jid, &Jid), person: &Jid, id: &str) -> String {
    let texts = [device.as_str(), asked.as_str(), person.bare_str(), id];
    cx.server.rooms().seal(texts)
}

fn answer(cx: &mut Cx<'_>, answer: &Passing) {
    let Some(room) = cx.room() else { return };
    let Some((asked, device, id)) = asker(cx, room, answer) else {
        return; // nobody asked
    };
    if answer.stanza.type_() == "error" {
        return bounce::tell(cx, answer, (asked, device), &id);
    }
    let stanza = under(&id, answer);
    cx.route(Passing::new(stanza, asked, device));
}

/// Who asked whom, under which id.
fn asker(cx: &Cx<'_>, room: &Room, answer: &Passing) -> Option<(Jid, Jid, String)> {
    let sealed = answer.stanza.id()?;
    let (seal, rest) = sealed.split_at_checked(SEAL)?;
    let (asking, rest) = rest.split_at_checked(OCCUPANT)?;
    let (length, rest) = rest.split_once('.')?;
    let (nick, id) = rest.split_at_checked(length.parse().ok()?)?;
    let asked = cx.jid().with_resource(nick).ok()?;
    let seats = room.occupants.seats();
    let mut seats = seats.filter(|(occupant, _)| *occupant.id == *asking);
    let is_it = |seat: &Seat| self::seal(cx, (&seat.jid, &asked), &answer.from, id) == seal;
    let (_, device) = seats.find(|(_, seat)| is_it(seat))?;
    let device = device.jid.clone();
    Some((asked, device, id.to_owned()))
}
