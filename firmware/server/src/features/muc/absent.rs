//! Members who are not in the room: it is theirs all the same. What is said waits for them in its archive,
//! and their phones are woken for it, as they wish (XEP-0492): for everything in a room of members alone,
//! where they are named in an open one, if nothing was chosen.
//!
//! State: none. Each account decides for itself, behind the room's lock; only those are asked of which a
//! device wants to be woken at all.

use crate::{
    account::{Cx, Errand},
    features::{is_encrypted, notification_settings::Notify},
    room::Affiliation,
};
use xmpp::{Jid, Passing, ns};

/// Something was said by somebody, and kept.
pub(super) fn told(cx: &mut Cx<'_>, said: &Passing, by: &Jid) {
    let mut children = said.stanza.children();
    let says_something = said.stanza.child(ns::CLIENT, "body").is_some()
        || children.any(|child| is_encrypted(child));
    let Some(room) = cx.room().filter(|_| says_something) else {
        return;
    };
    let usual = if room.config.members_only {
        Notify::Always
    } else {
        Notify::OnMention
    };
    let speaker = by.bare_str();
    let is_meant = |who: &Jid, what| what >= Affiliation::Member && who.as_str() != speaker;
    let members = room.affiliations.iter();
    let members = members.filter(|(jid, known)| is_meant(jid, known.affiliation));
    let members = members.map(|(jid, known)| {
        // Who has no nickname of their own there is called by name.
        let reserved = Some(known.nick.as_str()).filter(|nick| !nick.is_empty());
        (jid, reserved.or(jid.localpart()).unwrap_or_default())
    });
    let server = cx.server;
    let wakeable = server.wakeable().among(server.domain(), members);
    let errands: Vec<(Jid, Box<str>)> = wakeable
        .into_iter()
        .map(|(jid, nickname)| (jid, nickname.into()))
        .collect();
    for (member, nickname) in errands {
        let errand = Errand::SaidInRoom(nickname, usual);
        cx.route_errand(said.addressed_to(member), errand);
    }
}
