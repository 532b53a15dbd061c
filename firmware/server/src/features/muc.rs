//! XEP-0045: Multi-User Chat, the wire face of `crate::room`: what is said to a room and what it says.
//!
//! State: `crate::room`.

mod announce;
mod destroy;
mod disco;
mod enter;
mod history;
mod leave;
mod message;
mod owner;

pub(crate) use destroy::destroy;
pub(crate) use enter::{enter_none, presence};
pub(crate) use message::message;

use crate::{
    account::Cx,
    feature::{Feature, On, Spec, get, get_server, set},
    room::Room,
};
use announce::{News, Told};
use xmpp::{Jid, Passing, StanzaError};

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
    ..Feature::NONE
};

/// An IQ for somebody in the room (§17.4), or a room's answer.
pub(crate) fn iq(cx: &mut Cx<'_>, passing: Passing) {
    if matches!(passing.stanza.type_(), "get" | "set") {
        cx.refuse(&passing, StanzaError::SERVICE_UNAVAILABLE);
    }
}

/// §9.3: somebody is something else to the room; where that one is there, everybody is told.
pub(crate) fn affiliation_changed(cx: &mut Cx<'_>, who: &Jid) {
    let Some(room) = cx.room() else { return };
    let there = room.occupants.iter().filter(|it| it.is(who.bare_str()));
    let told: Vec<Told> = there.filter_map(|it| Told::of(room, it)).collect();
    for told in told {
        announce::to_all(cx, &told, &News::default());
    }
}

/// The room that this is. Nothing is asked of one that is no more.
fn room<'a>(cx: &'a mut Cx<'_>) -> Result<&'a mut Room, StanzaError> {
    cx.room_mut().ok_or(StanzaError::ITEM_NOT_FOUND)
}
