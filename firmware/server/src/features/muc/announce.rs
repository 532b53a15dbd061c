//! Presence that a room sends (XEP-0045 §7.2.2): what an occupant's client said, and what the room knows of the
//! occupant. Each of three sorts of viewers gets one stanza, made once: the occupant itself, those who see real
//! addresses, and the others.

use super::USER;
use crate::{
    account::Cx,
    room::{Affiliation, Occupant, Role, Room},
};
use std::sync::Arc;
use xmpp::{Jid, Kind, Passing, Stanza, compose};

/// What is to be told about an occupant.
#[derive(Default)]
pub(super) struct News<'a> {
    /// Empty, or `unavailable`.
    pub(super) type_: &'static str,
    /// Of the stanza that caused it.
    pub(super) id: Option<&'a str>,
    /// The new nickname (§7.6).
    pub(super) nick: Option<&'a str>,
    /// Why, and who decided it (§8.2): a nickname.
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
    pub(super) id: Box<str>,
    /// What its client said, as XML.
    pub(super) presence: Arc<str>,
}

impl Told {
    pub(super) fn of(room: &Room, occupant: &Occupant) -> Option<Told> {
        let seat = occupant.shown()?;
        Some(Told {
            jid: occupant.jid.clone(),
            real: seat.jid.clone(),
            affiliation: room.affiliation(&seat.jid),
            role: occupant.role,
            id: occupant.id.clone(),
            presence: seat.presence.clone(),
        })
    }

    /// The same as somebody who is not there.
    pub(super) fn gone(self) -> Told {
        Told {
            role: Role::None,
            ..self
        }
    }

    /// For one sort of viewers.
    pub(super) fn stanza(&self, news: &News<'_>, sees_address: bool, own: bool) -> Arc<Stanza> {
        let mut content = String::with_capacity(self.presence.len() + 320);
        content.push_str(&self.presence);
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
        let mut attributes = Vec::with_capacity(2);
        if !news.type_.is_empty() {
            attributes.push(("type", news.type_));
        }
        if let Some(id) = news.id {
            attributes.push(("id", id));
        }
        Arc::new(Stanza::compose(Kind::Presence, &attributes, &content))
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
            compose::attribute(out, "nick", actor.resourcepart().unwrap_or_default());
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

/// Whether presence of that role, or news that somebody had it, is for everybody (§7.2.2).
fn is_broadcast(room: &Room, role: Role, news: &News<'_>) -> bool {
    room.config.presence_broadcast.contains(role) || news.type_ == "unavailable"
}

/// Tells everybody in the room but the occupant's own sessions.
pub(super) fn to_others(cx: &mut Cx<'_>, told: &Told, news: &News<'_>) {
    let Some(room) = cx.room() else { return };
    if !is_broadcast(room, told.role, news) {
        return;
    }
    let mut made: [Option<Arc<Stanza>>; 2] = [None, None];
    let mut leaving = Vec::with_capacity(room.occupants.len());
    for (viewer, seat) in room.occupants.seats() {
        if viewer.jid == told.jid {
            continue;
        }
        let sees = room.shows_addresses_to(viewer.role);
        let stanza = made[usize::from(sees)].get_or_insert_with(|| told.stanza(news, sees, false));
        leaving.push(Passing::new(
            stanza.clone(),
            told.jid.clone(),
            seat.jid.clone(),
        ));
    }
    leaving.into_iter().for_each(|passing| cx.route(passing));
}

/// Tells these sessions of the occupant itself: self-presence (§7.2.2).
pub(super) fn to_itself(cx: &mut Cx<'_>, told: &Told, news: &News<'_>, seats: &[Jid]) {
    let stanza = told.stanza(news, true, true);
    for seat in seats {
        cx.route(Passing::new(stanza.clone(), told.jid.clone(), seat.clone()));
    }
}

/// Tells everybody, the occupant's sessions last.
pub(super) fn to_all(cx: &mut Cx<'_>, told: &Told, news: &News<'_>) {
    to_others(cx, told, news);
    let room = cx.room();
    let occupant = room.and_then(|room| room.occupants.get(&told.jid));
    let seats = occupant.map(|occupant| occupant.seats.iter().map(|seat| seat.jid.clone()));
    let seats: Vec<Jid> = seats.into_iter().flatten().collect();
    to_itself(cx, told, news, &seats);
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
    let news = News::default();
    let mut leaving = Vec::with_capacity(room.occupants.len());
    let meant = |other: &&Occupant| is_meant(&other.jid);
    for occupant in room.occupants.iter().filter(meant) {
        if !is_broadcast(room, occupant.role, &news) {
            continue;
        }
        if let Some(told) = Told::of(room, occupant) {
            let stanza = told.stanza(&news, sees, false);
            leaving.push(Passing::new(stanza, told.jid, to.clone()));
        }
    }
    leaving.into_iter().for_each(|passing| cx.route(passing));
}

/// The children of an occupant's presence that go on: not those that only a room may say.
pub(super) fn presence_content(passing: &Passing) -> String {
    let mut content = String::new();
    for child in passing.stanza.children() {
        let foreign = matches!(
            (child.ns(), child.name()),
            (super::NS | USER, _) | ("urn:xmpp:occupant-id:0" | "urn:xmpp:hats:0", _)
        );
        if !foreign && !passing.is_left_behind(child.index()) {
            content.push_str(&child.to_xml());
        }
    }
    content
}
