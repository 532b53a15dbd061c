//! Messages that come back to a room (XEP-0045 §18.1.2). What the room brought to one person goes back to
//! whoever sent it; what it told everybody says that somebody is not there any more.
//!
//! An error is passed on as the room understands it, without what it names or quotes: it could tell a real
//! address.

use super::{leave, occupant_id};
use crate::{account::Cx, room::CameBack};
use std::sync::Arc;
use xmpp::{Jid, Kind, Passing, Stanza, StanzaError, ns, stanza::Child};

/// A message of type `error`, to the room or to one of its occupants.
pub(super) fn message(cx: &mut Cx<'_>, error: &Passing) {
    let id = error.stanza.id().unwrap_or_default();
    let Some(room) = cx.room_mut() else { return };
    match room.under_way.came_back(&error.to, &error.from, &id) {
        Some(CameBack::Ignore) => {}
        Some(CameBack::Tell { sender, about }) => tell(cx, error, (about, sender), &id),
        // What the room says in its own name it says to one person, or to everybody who hears occupants as
        // well.
        None if error.to.is_bare() => {}
        None => leave::unreachable(cx, error),
    }
}

/// Passes an error on under another id, from the address that was written to.
pub(super) fn tell(cx: &mut Cx<'_>, error: &Passing, (from, to): (Jid, Jid), id: &str) {
    let occupant = cx.room().and_then(|room| room.occupants.get(&from));
    let occupant = occupant.map(|occupant| occupant.id.clone());
    let element = error.stanza.child(ns::CLIENT, "error");
    let element = element.map(Child::element).unwrap_or_default();
    let mut content = StanzaError::of(&element).to_xml();
    if let (Some(occupant), Kind::Message) = (occupant, error.stanza.kind) {
        content.push_str(&occupant_id(&occupant));
    }
    let attributes = [("type", "error"), ("id", id)];
    let attributes = if id.is_empty() {
        &attributes[..1]
    } else {
        &attributes
    };
    let stanza = Stanza::compose(error.stanza.kind, attributes, &content);
    cx.route(Passing::new(Arc::new(stanza), from, to));
}
