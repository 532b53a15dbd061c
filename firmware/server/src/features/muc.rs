//! XEP-0045: Multi-User Chat, the wire face of `crate::room`: what is said to a room and what it says.
//!
//! State: `crate::room`.

mod again;
mod announce;
mod disco;
mod enter;
mod history;
mod leave;
mod message;
mod owner;

pub(crate) use again::{lost, taken_up};
pub(crate) use enter::{enter_none, presence};
pub(crate) use message::message;

use crate::{
    account::Cx,
    feature::{Feature, On, Spec, get, get_server, set},
    room::Room,
};
use xmpp::{Passing, StanzaError};

/// What a client enters a room with, and what a room is discovered by.
pub(super) const NS: &str = "http://jabber.org/protocol/muc";
/// What the room adds to presence and messages.
pub(super) const USER: &str = "http://jabber.org/protocol/muc#user";
pub(super) const OWNER: &str = "http://jabber.org/protocol/muc#owner";

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
        (On::Room, NS),
        (On::Room, "http://jabber.org/protocol/muc#stable_id"),
        (On::Room, disco::INFO),
        (On::Room, disco::ITEMS),
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
        set(On::Room, (OWNER, "query"), owner::set),
    ],
    written_anew: Some(again::write_anew),
    ..Feature::NONE
};

/// An IQ for somebody in the room (§17.4), or a room's answer.
pub(crate) fn iq(cx: &mut Cx<'_>, passing: Passing) {
    if matches!(passing.stanza.type_(), "get" | "set") {
        cx.refuse(&passing, StanzaError::SERVICE_UNAVAILABLE);
    }
}

/// The room that this is. Nothing is asked of one that is no more.
fn room<'a>(cx: &'a mut Cx<'_>) -> Result<&'a mut Room, StanzaError> {
    cx.room_mut().ok_or(StanzaError::ITEM_NOT_FOUND)
}
