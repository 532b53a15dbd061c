//! Presence that a room sends (XEP-0045 §7.2.2): what an occupant's client said, and what the room knows of
//! the occupant. Each of three sorts of viewers gets one stanza, made once: the occupant itself, those who
//! see real addresses, and the others.

use super::{USER, hats};
use crate::{
    account::Cx,
    room::{Affiliation, Occupant, Role, Room, Said},
    server::Server,
};
use std::sync::Arc;
use xmpp::{Jid, Kind, Passing, Stanza, compose};

/// What is to be told about an occupant.
#[derive(Clone, Copy, Default)]
pub(super) struct News<'a> {
    /// Empty, or `unavailable`.
    pub(super) type_: &'static str,
    /// Of the stanza that caused it.
    pub(super) id: Option<&'a str>,
    /// The new nickname (§7.6).
    pub(super) nick: Option<&'a str>,
    /// Why, and who decided it (§8.2): an occupant JID, or the bare one of somebody who is not there.
    pub(super) reason: Option<&'a str>,
    pub(super) actor: Option<&'a Jid>,
    /// Status codes for everybody, and those for the occupant alone beside 110.
    pub(super) codes: &'a [u16],
    pub(super) own_codes: &'a [u16],
    /// More inside `<x/>`, as XML with its namespace: where a room went that was destroyed (§10.9).
    pub(super) further: &'a str,
}

/// An occupant as it is told of: copied out of the room, which may not have it any more.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) jid: Jid,
    pub(super) real: Jid,
    pub(super) affiliation: Affiliation,
    pub(super) role: Role,
    /// Whether the others saw it until now: where not, they need not hear that it is gone.
    pub(super) was_shown: bool,
    pub(super) id: Arc<str>,
    /// What its client said.
    pub(super) presence: Said,
    /// The hats it wears, as XML; empty for none.
    pub(super) hats: String,
}

impl Told {
    pub(super) fn of(room: &Room, occupant: &Occupant) -> Option<Told> {
        let seat = occupant.shown()?;
        Some(Told {
            jid: occupant.jid.clone(),
            real: seat.jid.clone(),
            affiliation: room.affiliation(&seat.jid),
            role: occupant.role,
            was_shown: is_broadcast(room, occupant.role),
            id: occupant.id.clone(),
            presence: seat.presence.clone(),
            hats: hats::worn(room, &seat.jid),
        })
    }

    /// A session that is not in the room, whatever it believes.
    pub(super) fn absent(server: &Server, occupant: &Jid, session: &Jid) -> Told {
        Told {
            jid: occupant.clone(),
            real: session.clone(),
            affiliation: Affiliation::None,
            role: Role::None,
            was_shown: false,
            id: server.rooms().occupant_id(&occupant.bare(), session),
            presence: "".into(),
            hats: String::new(),
        }
    }

    /// The same as somebody who is not there.
    pub(super) fn gone(self) -> Told {
        Told {
            role: Role::None,
            hats: String::new(),
            ..self
        }
    }

    /// For one sort of viewers.
    pub(super) fn stanza(&self, news: &News<'_>, sees_address: bool, own: bool) -> Arc<Stanza> {
        let mut content = String::with_capacity(self.presence.content().len() + 320);
        content.push_str(self.presence.content());
        content.push_str("<x xmlns='http://jabber.org/protocol/muc#user'>");
        self.item(&mut content, news, sees_address || own);
        let own_codes = own.then_some(news.own_codes).into_iter().flatten();
        let own_codes = own.then_some(&110).into_iter().chain(own_codes);
        for code in news.codes.iter().chain(own_codes) {
            content.push_str("<status code='");
            content.push_str(&code.to_string());
            content.push_str("'/>");
        }
        content.push_str(news.further);
        content.push_str("</x><occupant-id xmlns='urn:xmpp:occupant-id:0'");
        compose::attribute(&mut content, "id", &self.id);
        content.push_str("/>");
        content.push_str(&self.hats);
        let mut attributes = Vec::new();
        if !news.type_.is_empty() {
            attributes.push(("type", news.type_));
        }
        if let Some(id) = news.id {
            attributes.push(("id", id));
        }
        if !self.presence.lang().is_empty() {
            attributes.push(("xml:lang", self.presence.lang()));
        }
        // What its client said was judged when it came, and nearly everything else is ours.
        let compose = if news.further.is_empty() {
            Stanza::compose_judged
        } else {
            Stanza::compose
        };
        Arc::new(compose(Kind::Presence, &attributes, &content))
    }

    fn item(&self, out: &mut String, news: &News<'_>, sees_address: bool) {
        out.push_str("<item");
        compose::attribute(out, "affiliation", self.affiliation.name());
        if sees_address {
            compose::attribute(out, "jid", self.real.as_str());
        }
        if let Some(nick) = news.nick {
            compose::attribute(out, "nick", nick);
        }
        compose::attribute(out, "role", self.role.name());
        if news.reason.is_none() && news.actor.is_none() {
            return out.push_str("/>");
        }
        out.push('>');
        if let Some(actor) = news.actor {
            out.push_str("<actor");
            match actor.resourcepart() {
                Some(nick) => compose::attribute(out, "nick", nick),
                None => compose::attribute(out, "jid", actor.as_str()),
            }
            out.push_str("/>");
        }
        if let Some(reason) = news.reason {
            out.push_str("<reason>");
            compose::escape(out, reason);
            out.push_str("</reason>");
        }
        out.push_str("</item>");
    }
}

/// §7.2.2: whether those of that role are shown to others.
pub(super) fn is_broadcast(room: &Room, role: Role) -> bool {
    room.config.presence_broadcast.contains(role)
}

/// What the others are told of it (§7.2.2): nothing while its role is not broadcast; that it is gone, once
/// its role is not broadcast any more.
fn for_others<'a>(room: &Room, told: &Told, news: &News<'a>) -> Option<(Told, News<'a>)> {
    if !news.type_.is_empty() {
        return told.was_shown.then(|| (told.clone(), *news));
    }
    if is_broadcast(room, told.role) {
        return Some((told.clone(), *news));
    }
    let news = News {
        type_: "unavailable",
        ..*news
    };
    told.was_shown.then(|| (told.clone().gone(), news))
}

/// Tells everybody in the room but the occupant's own sessions.
pub(super) fn to_others(cx: &mut Cx<'_>, told: &Told, news: &News<'_>) {
    spread(cx, told, news, |_| true);
}

/// The same, where only the address is another one: those who do not see addresses have heard it all.
pub(super) fn address_to_others(cx: &mut Cx<'_>, told: &Told) {
    spread(cx, told, &News::default(), |sees| sees);
}

fn spread(cx: &mut Cx<'_>, told: &Told, news: &News<'_>, is_meant: fn(bool) -> bool) {
    let Some(room) = cx.room() else { return };
    let Some((told, news)) = for_others(room, told, news) else {
        return;
    };
    let mut made: [Option<Passing>; 2] = [None, None];
    let mut leaving = Vec::with_capacity(room.occupants.len());
    for (viewer, seat) in room.occupants.seats() {
        let sees = room.shows_addresses_to(viewer.role);
        if viewer.jid == told.jid || !is_meant(sees) {
            continue;
        }
        let one = made[usize::from(sees)].get_or_insert_with(|| {
            let stanza = told.stanza(&news, sees, false);
            let mut one = Passing::new(stanza, told.jid.clone(), told.jid.clone());
            one.for_many();
            one
        });
        leaving.push(one.addressed_to(seat.jid.clone()));
    }
    for passing in leaving {
        cx.route(passing);
    }
}

/// Tells these sessions of the occupant itself, each under its own address: self-presence (§7.2.2).
pub(super) fn to_itself(cx: &mut Cx<'_>, told: &Told, news: &News<'_>, seats: &[Jid]) {
    for seat in seats {
        let mine = Told {
            real: seat.clone(),
            ..told.clone()
        };
        let stanza = mine.stanza(news, true, true);
        cx.route(Passing::new(stanza, mine.jid, seat.clone()));
    }
}

/// Tells everybody, the occupant's sessions last.
pub(super) fn to_all(cx: &mut Cx<'_>, told: &Told, news: &News<'_>) {
    to_others(cx, told, news);
    let seats = seats_of(cx, &told.jid, |_| true);
    to_itself(cx, told, news, &seats);
}

/// Tells the other sessions of an occupant what one of them changed.
pub(super) fn to_siblings(cx: &mut Cx<'_>, told: &Told, of: &Jid) {
    let seats = seats_of(cx, &told.jid, |seat| seat != of);
    if !seats.is_empty() {
        to_itself(cx, told, &News::default(), &seats);
    }
}

fn seats_of(cx: &Cx<'_>, own: &Jid, is_meant: impl Fn(&Jid) -> bool) -> Vec<Jid> {
    let occupant = cx.room().and_then(|room| room.occupants.get(own));
    let seats = occupant.map_or(&[][..], |occupant| &occupant.seats);
    let seats = seats.iter().map(|seat| &seat.jid);
    seats.filter(|seat| is_meant(seat)).cloned().collect()
}

/// A message of the room itself to everybody: something about it is another (§10.2.1).
pub(super) fn codes_to_all(cx: &mut Cx<'_>, codes: &[u16]) {
    let mut content = format!("<x xmlns='{USER}'>");
    for code in codes {
        content.push_str(&format!("<status code='{code}'/>"));
    }
    content.push_str("</x>");
    let stanza = Stanza::compose(Kind::Message, &[("type", "groupchat")], &content);
    from_room_to_all(cx, Arc::new(stanza));
}

/// Nothing in particular is talked about any more (§8.1); the room itself says so.
pub(super) fn no_subject(cx: &mut Cx<'_>) {
    let stanza = Stanza::compose(Kind::Message, &[("type", "groupchat")], "<subject/>");
    from_room_to_all(cx, Arc::new(stanza));
}

/// A stanza of the room itself, to every session.
pub(super) fn from_room_to_all(cx: &mut Cx<'_>, stanza: Arc<Stanza>) {
    let Some(room) = cx.room() else { return };
    for seat in room.occupants.sessions() {
        let from = cx.jid().clone();
        cx.route(Passing::new(stanza.clone(), from, seat));
    }
}

/// Shows a session everybody who is there but itself (§7.2.2).
pub(super) fn show_others(cx: &mut Cx<'_>, own: &Jid, to: &Jid) {
    show(cx, own, to, |other| other != own);
}

/// Shows a session an occupant whose nickname it had until now, and who has it still.
pub(super) fn show_again(cx: &mut Cx<'_>, own: &Jid, occupant: &Jid, to: &Jid) {
    show(cx, own, to, |other| other == occupant);
}

fn show(cx: &mut Cx<'_>, own: &Jid, to: &Jid, is_meant: impl Fn(&Jid) -> bool) {
    let Some(room) = cx.room() else { return };
    let viewer = room.occupants.get(own).map(|own| own.role);
    let sees = room.shows_addresses_to(viewer.unwrap_or_default());
    let mut leaving = Vec::with_capacity(room.occupants.len());
    let meant = |other: &&Occupant| is_meant(&other.jid);
    for occupant in room.occupants.iter().filter(meant) {
        let Some(told) = Told::of(room, occupant) else {
            continue;
        };
        if room.config.presence_broadcast.contains(told.role) {
            let stanza = told.stanza(&News::default(), sees, false);
            leaving.push(Passing::new(stanza, told.jid, to.clone()));
        }
    }
    for passing in leaving {
        cx.route(passing);
    }
}

/// What an occupant says in its presence, as it goes on: without what only a room may say (§17.3).
pub(super) fn said(cx: &Cx<'_>, passing: &Passing) -> Said {
    let mut content = String::new();
    for child in passing.stanza.children() {
        if !super::is_for_rooms_to_say(cx.jid(), child) && !passing.is_left_behind(child.index()) {
            content.push_str(&child.to_xml());
        }
    }
    let lang = passing.stanza.lang();
    Said::new(&lang.unwrap_or_default(), &content)
}
