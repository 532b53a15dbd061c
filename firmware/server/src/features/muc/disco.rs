//! Discovering the service, its rooms, and what a room is (XEP-0045 §6).

use super::{
    super::{announced, disco::entity_info},
    register,
};
use crate::{
    account::Cx,
    feature::{Answer, Iq, On},
    room::{Affiliation, Room},
    server::Server,
};
use xmpp::{StanzaError, compose};

pub(super) const INFO: &str = "http://jabber.org/protocol/disco#info";
pub(super) const ITEMS: &str = "http://jabber.org/protocol/disco#items";

/// §6.2.
pub(super) fn info_of_service(_: &Server, iq: &Iq<'_>) -> Answer {
    match iq.payload.attr("node") {
        None => Ok(entity_info(On::RoomService)),
        Some(_) => Err(StanzaError::ITEM_NOT_FOUND),
    }
}

/// §6.3: the public rooms.
pub(super) fn items_of_service(server: &Server, iq: &Iq<'_>) -> Answer {
    if iq.payload.attr("node").is_some() {
        return Err(StanzaError::ITEM_NOT_FOUND);
    }
    let mut query = format!("<query xmlns='{ITEMS}'>");
    let service = server.rooms().service();
    server.rooms().for_each(|localpart, card| {
        if card.public {
            query.push_str("<item");
            compose::attribute(&mut query, "jid", &format!("{localpart}@{service}"));
            let name: &str = if card.name.is_empty() {
                localpart
            } else {
                &card.name
            };
            compose::attribute(&mut query, "name", name);
            query.push_str("/>");
        }
    });
    Ok(query + "</query>")
}

/// §6.4. Of a locked room only its owner knows (§10.1.1).
pub(super) fn info_of_room(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    if iq.payload.attr("node").as_deref() == Some(register::RESERVED) {
        return register::reserved_nickname(cx, &iq.passing.from);
    }
    let room = known(cx, iq)?;
    let mut query = format!("<query xmlns='{INFO}'><identity category='conference' type='text'");
    compose::attribute(&mut query, "name", name(cx, room));
    query.push_str("/>");
    for feature in announced(On::Room).chain(kinds(room)) {
        query.push_str("<feature");
        compose::attribute(&mut query, "var", feature);
        query.push_str("/>");
    }
    Ok(query + "</query>")
}

/// §6.5: nobody is told who is there but those who are.
pub(super) fn items_of_room(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let room = known(cx, iq)?;
    let mut query = format!("<query xmlns='{ITEMS}'>");
    if room.occupants.of(&iq.passing.from).is_some() {
        for occupant in room.occupants.iter() {
            query.push_str("<item");
            compose::attribute(&mut query, "jid", occupant.jid.as_str());
            compose::attribute(&mut query, "name", occupant.nick());
            query.push_str("/>");
        }
    }
    Ok(query + "</query>")
}

fn known<'a>(cx: &'a Cx<'_>, iq: &Iq<'_>) -> Result<&'a Room, StanzaError> {
    let room = cx
        .room()
        .filter(|room| !room.locked || room.affiliation(&iq.passing.from) == Affiliation::Owner);
    room.ok_or(StanzaError::ITEM_NOT_FOUND)
}

fn name<'a>(cx: &'a Cx<'_>, room: &'a Room) -> &'a str {
    if room.config.name.is_empty() {
        cx.jid().localpart().unwrap_or_default()
    } else {
        &room.config.name
    }
}

/// What kind of room it is (§4.2, §16.3).
fn kinds(room: &Room) -> [&'static str; 6] {
    let config = &room.config;
    let either = |holds: bool, yes, no| if holds { yes } else { no };
    [
        either(config.public, "muc_public", "muc_hidden"),
        either(config.persistent, "muc_persistent", "muc_temporary"),
        either(config.members_only, "muc_membersonly", "muc_open"),
        either(config.moderated, "muc_moderated", "muc_unmoderated"),
        either(
            config.non_anonymous,
            "muc_nonanonymous",
            "muc_semianonymous",
        ),
        either(
            config.password.is_empty(),
            "muc_unsecured",
            "muc_passwordprotected",
        ),
    ]
}
