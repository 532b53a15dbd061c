//! Discovering the service, its rooms, and what a room is (XEP-0045 §6).

use super::{
    super::{announced, disco::entity_info, page::Asked},
    commands, form, hats, register,
};
use crate::{
    account::Cx,
    feature::{Answer, Iq, On},
    room::{Affiliation, Room},
    server::Server,
};
use xmpp::{
    Element, Jid, StanzaError, compose,
    form::{FieldType, Writer},
    ns, rsm,
};

pub(super) const INFO: &str = "http://jabber.org/protocol/disco#info";
pub(super) const ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// FORM_TYPE of what is told of a room (§16.5.4).
pub(super) const ROOM_INFO: &str = "http://jabber.org/protocol/muc#roominfo";
/// The node that says what may be said in a room (§16.4).
const TRAFFIC: &str = "http://jabber.org/protocol/muc#traffic";
/// What is told of a room's configuration to everybody (§6.4).
const TOLD: [&str; 5] = [
    "muc#roomconfig_roomname",
    "muc#roomconfig_changesubject",
    "muc#roomconfig_allowinvites",
    "muc#roomconfig_allowpm",
    "muc#maxhistoryfetch",
];

/// §6.2.
pub(super) fn info_of_service(_: &Server, iq: &Iq<'_>) -> Answer {
    match iq.payload.attr("node") {
        None => Ok(entity_info(On::RoomService)),
        Some(_) => Err(StanzaError::ITEM_NOT_FOUND),
    }
}

/// §6.3: the public rooms, by name; of very many a page (XEP-0059).
pub(super) fn items_of_service(server: &Server, iq: &Iq<'_>) -> Answer {
    if iq.payload.attr("node").is_some() {
        return Err(StanzaError::ITEM_NOT_FOUND);
    }
    let service = server.rooms().service();
    let mut rooms = Vec::new();
    server.rooms().for_each(|localpart, card| {
        if card.public {
            let name: &str = if card.name.is_empty() {
                localpart
            } else {
                &card.name
            };
            rooms.push((format!("{localpart}@{service}"), name.to_owned()));
        }
    });
    listed(iq, &rooms)
}

/// A list of addresses with names, or the page of it that is asked for.
fn listed(iq: &Iq<'_>, all: &[(String, String)]) -> Answer {
    let query = iq.payload.element();
    let asked = Asked::read(query.child(rsm::NS, "set"), rsm::Page::First)?;
    let find = |id: &str| all.iter().position(|(jid, _)| jid == id);
    let page = asked.of(all.len(), find)?;
    let read = |place: usize| {
        let (jid, name) = &all[page.range.start + place];
        let mut item = String::from("<item");
        compose::attribute(&mut item, "jid", jid);
        compose::attribute(&mut item, "name", name);
        Ok::<_, StanzaError>(Some((jid, item + "/>")))
    };
    let (items, left_out) = page.fill(read, |(_, item)| item.len())?;
    let ends = items.first().zip(items.last());
    let ends = ends.map(|((first, _), (last, _))| ((*first).clone(), (*last).clone()));
    let set = page.set(ends, left_out);
    let items: String = items.into_iter().map(|(_, item)| item).collect();
    Ok(format!("<query xmlns='{ITEMS}'>{items}{set}</query>"))
}

/// §6.4. Of a locked room only its owner knows (§10.1.1).
pub(super) fn info_of_room(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    if iq.payload.attr("node").as_deref() == Some(register::RESERVED) {
        return register::reserved_nickname(cx, &iq.passing.from);
    }
    let room = known(cx, iq)?;
    match iq.payload.attr("node").as_deref() {
        None => {}
        Some(node) if commands::is_node(node) => {
            return commands::info(room, &iq.passing.from, node);
        }
        Some(TRAFFIC) => return Err(StanzaError::SERVICE_UNAVAILABLE), // §18.1.1: everything goes through
        Some(_) => return Err(StanzaError::ITEM_NOT_FOUND),
    }
    let mut query = format!("<query xmlns='{INFO}'><identity category='conference' type='text'");
    compose::attribute(&mut query, "name", name(cx, room));
    query.push_str("/>");
    let kept = room
        .config
        .archive
        .then(|| announced(On::RoomArchive))
        .into_iter();
    let features = announced(On::Room).chain(kept.flatten());
    for feature in features.chain(kinds(room)) {
        query.push_str("<feature");
        compose::attribute(&mut query, "var", feature);
        query.push_str("/>");
    }
    query.push_str(&extended(room, &iq.passing.from));
    Ok(query + "</query>")
}

/// §6.4, §16.5.4: what there is to know of a room from the outside, and of what goes on inside if somebody
/// may look.
fn extended(room: &Room, from: &Jid) -> String {
    let config = &room.config;
    let may_change = if config.change_subject { "1" } else { "0" };
    let contacts: Vec<&str> = config.contacts.iter().map(String::as_str).collect();
    let (occupants, subject) = if sees_inside(room, from) {
        (room.occupants.len().to_string(), subject(room))
    } else {
        Default::default()
    };
    let text = FieldType::TextSingle;
    let pictures: Vec<&str> = room.pictures.iter().map(String::as_str).collect();
    let hats = hats::hash(room);
    let fields: [(FieldType, &str, &[&str]); 9] = [
        (text, "muc#roominfo_description", &[&config.description]),
        (text, "muc#roominfo_lang", &[&config.lang]),
        (FieldType::JidMulti, "muc#roominfo_contactjid", &contacts),
        (text, "muc#roominfo_subject", &[&subject]),
        (FieldType::Boolean, "muc#roominfo_subjectmod", &[may_change]),
        // The same by a name of an older example, which most clients know it by.
        (
            FieldType::Boolean,
            "muc#roominfo_changesubject",
            &[may_change],
        ),
        (text, "muc#roominfo_occupants", &[&occupants]),
        (
            FieldType::TextMulti,
            "muc#roominfo_avatarhash", // XEP-0486 §3.3
            &pictures,
        ),
        (text, "hats#hash", &[&hats]), // XEP-0317 §2
    ];
    let said = fields
        .into_iter()
        .filter(|(_, _, values)| values.iter().any(|value| !value.is_empty()));
    let form = said.fold(Writer::result(ROOM_INFO), |form, (type_, var, values)| {
        form.field(type_, var, values)
    });
    form::tell(form, room, &TOLD).finish()
}

/// Whether somebody may know what goes on in the room: whoever is there, or could just go in.
pub(super) fn sees_inside(room: &Room, who: &Jid) -> bool {
    let affiliation = room.affiliation(who);
    let is_open = !room.config.members_only && room.config.password.is_empty();
    room.occupants.of(who).is_some()
        || affiliation >= Affiliation::Member
        || (is_open && affiliation != Affiliation::Outcast)
}

/// What is talked about, in the first language that it was said in.
fn subject(room: &Room) -> String {
    let xml = format!("<x>{}</x>", room.subject.xml);
    let subjects = Element::parse(&xml, ns::CLIENT);
    let subjects = subjects.as_ref().map(|x| x.elements().next()).ok();
    subjects.flatten().map(Element::text).unwrap_or_default()
}

/// §6.5: nobody is told who is there but those who are, and they of those whose presence they get.
pub(super) fn items_of_room(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let room = known(cx, iq)?;
    match iq.payload.attr("node").as_deref() {
        None => {}
        Some(node) if commands::is_node(node) => {
            return Ok(commands::items(room, cx.jid(), &iq.passing.from, node));
        }
        Some(_) => return Err(StanzaError::ITEM_NOT_FOUND),
    }
    let Some(own) = room.occupants.of(&iq.passing.from) else {
        return listed(iq, &[]);
    };
    let shown = room.occupants.iter().filter(|occupant| {
        room.config.presence_broadcast.contains(occupant.role) || occupant.jid == own.jid
    });
    let shown: Vec<_> = shown
        .map(|occupant| (occupant.jid.to_string(), occupant.nick().to_owned()))
        .collect();
    listed(iq, &shown)
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
