//! XEP-0486: the picture of a room, in a card (vcard-temp) that its owners set and anybody reads who may see
//! the room.
//!
//! State: `vcard.card` under the room's number; the hashes of the pictures in the room's record.

use super::{announce, configure, room};
use crate::{
    account::Cx,
    feature::{Answer, Feature, Iq, IqHandler, IqHook, On, Plan, Read, Spec, get_server, set},
    features::vcard::{self, NS},
    room::Affiliation,
};
use std::sync::Arc;
use tracing::error;
use xmpp::{Jid, Kind, Passing, Stanza, StanzaError, compose};

pub(in super::super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(486, "0.1.0", "MUC Avatars"),
    // §3.1 looks at the service, others at the room.
    disco: &[(On::RoomService, NS), (On::Room, NS)],
    iq: &[
        get_server(On::RoomService, (NS, "vCard"), |_, _| {
            Err(StanzaError::ITEM_NOT_FOUND)
        }),
        IqHandler {
            on: On::Room,
            type_: "get",
            payload: (NS, "vCard"),
            hook: IqHook::Reads(read),
        },
        set(On::Room, (NS, "vCard"), publish),
    ],
    ..Feature::NONE
};

/// §3.4.
fn read(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Result<Plan, StanzaError> {
    let room = room(cx)?;
    if room.locked && room.affiliation(&iq.passing.from) != Affiliation::Owner {
        return Err(StanzaError::ITEM_NOT_FOUND); // for everybody else it is not there yet (§7.2.10)
    }
    let (id, own) = (cx.id(), cx.jid().clone());
    Ok(Box::new(move |snapshot| {
        let card = vcard::card(snapshot, id).map_err(|error| {
            error!(room = %own, %error, "the card of a room cannot be read");
            StanzaError::INTERNAL
        })?;
        card.map(Read::of).ok_or(StanzaError::ITEM_NOT_FOUND)
    }))
}

/// §3.2.
fn publish(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let room = room(cx)?;
    let is_owner = room.affiliation(&iq.passing.from) == Affiliation::Owner;
    match (is_owner, room.locked) {
        (true, false) => {}
        (false, true) => return Err(StanzaError::ITEM_NOT_FOUND),
        (true, true) => {
            return Err(StanzaError::NOT_ALLOWED.with_text("this room is not configured yet"));
        }
        (false, false) => {
            return Err(StanzaError::FORBIDDEN.with_text("only owners are allowed to set avatars"));
        }
    }
    let xml = iq.payload.to_xml().into_owned();
    let pictures = vcard::put_for_room(cx, &iq.payload.element(), xml)?;
    let pictures: Vec<String> = pictures.iter().map(ToString::to_string).collect();
    let room = self::room(cx)?;
    if room.pictures != pictures {
        room.pictures = pictures;
        cx.keep_room();
        let hash = Arc::new(hash(cx));
        announce::from_room_to_all(cx, hash);
    }
    announce::codes_to_all(cx, &[configure::CHANGED]);
    Ok(String::new())
}

/// §5.2: there are clients that know a room's picture by its presence alone. A newcomer is told last of all,
/// and only where there is one.
pub(super) fn tell(cx: &mut Cx<'_>, to: &Jid) {
    if cx.room().is_some_and(|room| !room.pictures.is_empty()) {
        let (hash, from) = (Arc::new(hash(cx)), cx.jid().clone());
        cx.route(Passing::new(hash, from, to.clone()));
    }
}

/// XEP-0153 §3.1.
fn hash(cx: &Cx<'_>) -> Stanza {
    let mut content = String::from("<x xmlns='vcard-temp:x:update'>");
    let pictures = cx.room().and_then(|room| room.pictures.first());
    match pictures {
        Some(hash) => {
            content.push_str("<photo>");
            compose::escape(&mut content, hash);
            content.push_str("</photo></x>");
        }
        None => content.push_str("<photo/></x>"),
    }
    Stanza::compose(Kind::Presence, &[], &content)
}
