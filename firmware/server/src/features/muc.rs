//! XEP-0045: Multi-User Chat, the wire face of `crate::room`: what is said to a room and what it says.
//!
//! State: `crate::room`.

mod absent;
mod admin;
mod affiliation;
mod again;
mod announce;
mod avatar;
mod bounce;
mod change;
mod commands;
mod configure;
mod disco;
mod enter;
mod form;
mod hats;
mod history;
mod invite;
mod kick;
mod leave;
mod lists;
mod message;
mod owner;
mod register;
mod relay;
mod retract;
#[cfg(test)]
mod tests;
mod voice;

pub(crate) use affiliation::{decided, decided_by_household};
pub(crate) use again::{deserted, lost, taken_up};
pub(super) use avatar::FEATURE as AVATAR_FEATURE;
pub(super) use commands::FEATURE as COMMANDS_FEATURE;
pub(crate) use enter::{enter_none, presence};
pub(super) use hats::FEATURE as HATS_FEATURE;
pub(crate) use message::message;
pub(crate) use owner::destroy_without_a_word;
pub(crate) use relay::{iq, outsider};
pub(super) use retract::{MODERATION_FEATURE, RETRACTION_FEATURE};

use crate::{
    account::Cx,
    feature::{Feature, On, Spec, get, get_server, set},
    room::Room,
};
use xmpp::{Jid, Kind, Passing, StanzaError, rsm, stanza::Child};

/// Somebody who is not in the room (§7.4, §7.5, XEP-0410 §3.2).
const NOT_IN_THE_ROOM: StanzaError = StanzaError {
    type_: "cancel",
    ..StanzaError::NOT_ACCEPTABLE
};

/// What a client enters a room with, and what a room is discovered by.
pub(super) const NS: &str = "http://jabber.org/protocol/muc";
/// What the room adds to presence and messages.
pub(super) const USER: &str = "http://jabber.org/protocol/muc#user";
pub(super) const OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// XEP-0421.
const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";

pub(super) const OCCUPANT_ID_FEATURE: Feature = Feature {
    spec: Spec::Xep(421, "1.0.1", "Occupant identifiers for semi-anonymous MUCs"),
    disco: &[(On::RoomService, OCCUPANT_ID), (On::Room, OCCUPANT_ID)],
    ..Feature::NONE
};

/// Answered in `relay.rs`.
pub(super) const SELF_PING_FEATURE: Feature = Feature {
    spec: Spec::Xep(410, "1.1.0", "MUC Self-Ping (Schrödinger's Chat)"),
    disco: &[(
        On::Room,
        "http://jabber.org/protocol/muc#self-ping-optimization",
    )],
    ..Feature::NONE
};

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(45, "1.35.3", "Multi-User Chat"),
    identities: &[
        (On::RoomService, "conference", "text"),
        (On::Room, "conference", "text"),
    ],
    disco: &[
        (On::RoomService, NS),
        (On::RoomService, "http://jabber.org/protocol/muc#stable_id"),
        (On::RoomService, disco::INFO),
        (On::RoomService, disco::ITEMS),
        (On::RoomService, "muc_rooms"),
        (On::RoomService, rsm::NS),
        (On::Room, NS),
        (On::Room, "http://jabber.org/protocol/muc#stable_id"),
        (On::Room, disco::INFO),
        (On::Room, disco::ITEMS),
        (On::Room, form::CONFIG),
        (On::Room, disco::ROOM_INFO),
        (On::Room, rsm::NS),
        (On::Room, register::NS),
        (On::Room, register::FORM),
    ],
    iq: &[
        get_server(
            On::RoomService,
            (disco::INFO, "query"),
            disco::info_of_service,
        ),
        get_server(
            On::RoomService,
            (disco::ITEMS, "query"),
            disco::items_of_service,
        ),
        get(On::Room, (disco::INFO, "query"), disco::info_of_room),
        get(On::Room, (disco::ITEMS, "query"), disco::items_of_room),
        get(On::Room, (OWNER, "query"), owner::get),
        get_server(On::NoRoom, (OWNER, "query"), owner::get_of_none),
        set(On::Room, (OWNER, "query"), owner::set),
        get(On::Room, (admin::NS, "query"), lists::get),
        set(On::Room, (admin::NS, "query"), admin::set),
        get(On::Room, (register::NS, "query"), register::get),
        set(On::Room, (register::NS, "query"), register::set),
    ],
    written_anew: Some(again::write_anew),
    ..Feature::NONE
};

/// The room that this is. Nothing is asked of one that is no more.
fn room<'a>(cx: &'a mut Cx<'_>) -> Result<&'a mut Room, StanzaError> {
    cx.room_mut().ok_or(StanzaError::ITEM_NOT_FOUND)
}

/// Whether the disk takes what follows from a message, as far as that is known: nobody is told what would not
/// be so in the end.
fn something_can_be_kept(cx: &Cx<'_>) -> Result<(), StanzaError> {
    if cx.server.store().takes_writes() {
        return Ok(());
    }
    Err(StanzaError::RESOURCE_CONSTRAINT
        .with_text("the server cannot store anything at the moment"))
}

/// Refuses a stanza in the name of the room, which says that it was the room (§7.2, all examples): an error
/// from an occupant's address could be that occupant's.
fn refuse(cx: &mut Cx<'_>, passing: &Passing, error: StanzaError) {
    if crate::router::may_be_refused(passing) {
        let refused = refused(cx.jid(), passing, error);
        cx.route(refused);
    }
}

/// The refusal of somebody's stanza by a room. That of presence says which protocol it is about, by which
/// clients know that they are not in the room.
fn refused(room: &Jid, passing: &Passing, error: StanzaError) -> Passing {
    let before = match passing.stanza.kind {
        Kind::Presence => "<x xmlns='http://jabber.org/protocol/muc'/>",
        _ => "",
    };
    let mut refused = passing.refused_by(room, before, error);
    // From where it was sent to: the nickname may be in another form by now.
    if let Ok(Some(to)) = passing.stanza.to() {
        refused.from = to;
    }
    refused
}

/// Whether a child says what only a room may say, so that it goes no further: what it knows of occupants
/// (§17.3, XEP-0421 §4, hats), what its archive knows, and when or by whom something was said of which the
/// room says just that (§7.2.13).
fn is_for_rooms_to_say(room: &Jid, child: Child<'_>) -> bool {
    let by_us = |name| {
        let by = child.attr(name).and_then(|by| Jid::parse(&by).ok());
        by.is_none_or(|by| by.bare_str() == room.as_str())
    };
    match (child.ns(), child.name()) {
        (NS | USER | OCCUPANT_ID | hats::NS | "http://jabber.org/protocol/address", _) => true,
        (crate::archive::RETRACT | retract::MODERATE, _) => retract::is_forged(child),
        (crate::archive::STANZA_ID, "stanza-id") => by_us("by"),
        ("urn:xmpp:delay" | "jabber:x:delay", _) => by_us("from"),
        _ => false,
    }
}

/// XEP-0421 §3.2.
fn occupant_id(id: &str) -> String {
    let mut out = String::from("<occupant-id xmlns='urn:xmpp:occupant-id:0'");
    xmpp::compose::attribute(&mut out, "id", id);
    out + "/>"
}
