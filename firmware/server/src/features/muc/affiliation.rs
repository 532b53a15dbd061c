//! Other affiliations (XEP-0045 §9.1 to §9.5, §10.3 to §10.8): what becomes of those who are in the room, and
//! who is told of those who are not.

use super::{
    USER,
    kick::{self, Why},
    leave, room,
};
use crate::{
    account::Cx,
    limits::ROOM_AFFILIATIONS_MAX,
    room::{Affiliation, changes::Change, nickname},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use xmpp::{Jid, Kind, Passing, Stanza, StanzaError, compose};

/// Changes that somebody asks for: all, or none and why not.
pub(super) fn change(cx: &mut Cx<'_>, by: &Jid, changes: Vec<Change>) -> Result<(), StanzaError> {
    let room = room(cx)?;
    room.may_affiliate(by, &changes)?;
    may_be_known(cx, changes.iter().map(|change| &change.jid))?;
    let nicks = changes.iter().filter_map(|change| change.nick.as_deref());
    let nicks: Vec<&str> = nicks.filter(|nick| !nick.is_empty()).collect();
    let is_twice = |(at, nick): (usize, &&str)| {
        let mut before = nicks[..at].iter();
        before.any(|other| nickname::is_same(other, nick))
    };
    if nicks.iter().enumerate().any(is_twice) {
        return Err(StanzaError::CONFLICT);
    }
    decided(cx, Some(by), &changes);
    Ok(())
}

/// Whether the room can know these people, each once, besides those whom it knows: `not-acceptable` where one
/// is a room or somebody in one, `resource-constraint` where they are too many.
pub(super) fn may_be_known<'a>(
    cx: &Cx<'_>,
    people: impl Iterator<Item = &'a Jid> + Clone,
) -> Result<(), StanzaError> {
    let rooms = cx.server.rooms();
    if people.clone().any(|jid| rooms.has_address(jid)) {
        return Err(StanzaError::NOT_ACCEPTABLE.with_text("this is the address of a room"));
    }
    let known = cx.room().map(|room| &room.affiliations);
    let known = known.ok_or(StanzaError::ITEM_NOT_FOUND)?;
    let new = people.filter(|jid| !known.contains_key(*jid)).count();
    if new > 0 && known.len() + new > ROOM_AFFILIATIONS_MAX {
        return Err(StanzaError::RESOURCE_CONSTRAINT.with_text("the room knows too many people"));
    }
    Ok(())
}

/// Does what was decided, by somebody, by the person itself or by what came to pass.
pub(crate) fn decided(cx: &mut Cx<'_>, by: Option<&Jid>, changes: &[Change]) {
    let Some(room) = cx.room_mut() else { return };
    let by_jid: BTreeMap<&Jid, &Change> =
        changes.iter().map(|change| (&change.jid, change)).collect();
    let mut there = Vec::new();
    for occupant in room.occupants.iter() {
        let real = occupant.real();
        let about = by_jid.get(&real).or_else(|| by_jid.get(&real.domain()));
        if let Some(change) = about {
            there.push((occupant.jid.clone(), room.affiliation(&real), real, *change));
        }
    }
    let present: BTreeSet<Jid> = there.iter().map(|(_, _, real, _)| real.clone()).collect();
    let mut changed = Vec::new();
    for change in changes {
        let before = room.affiliation(&change.jid);
        if room.affiliate(change) {
            changed.push((before, change));
        }
    }
    for (before, change) in &changed {
        cx.keep_affiliation(&change.jid);
        if *before != change.affiliation {
            cx.forget_voice(&change.jid); // what goes with the affiliation counts
        }
    }
    for (occupant, before, real, change) in there {
        let why = why(cx, by, &change.reason);
        tell_of_occupant(cx, &occupant, before, &real, &why);
    }
    for (before, change) in changed {
        if !present.contains(&change.jid) {
            tell_of_absent(cx, by, before, change);
        }
    }
    leave::after_leaving(cx);
}

fn why(cx: &Cx<'_>, by: Option<&Jid>, reason: &str) -> Why {
    match (cx.room(), by) {
        (Some(room), Some(by)) => Why::by(room, by, reason),
        _ => Why::default(),
    }
}

/// §5.1.3, §9.1, §9.4: an occupant goes, or stays as something else.
fn tell_of_occupant(cx: &mut Cx<'_>, occupant: &Jid, before: Affiliation, real: &Jid, why: &Why) {
    let Some(room) = cx.room() else { return };
    let after = room.affiliation(real);
    let Some(role) = room.occupants.get(occupant).map(|known| known.role) else {
        return;
    };
    let role = before.role_after(after, role, room.config.moderated);
    if after == Affiliation::Outcast {
        kick::remove(cx, occupant, &[301], why);
    } else if room.config.members_only && after < Affiliation::Member {
        kick::remove(cx, occupant, &[321], why);
    } else if after != before {
        kick::renew(cx, occupant, role, why);
    }
}

/// The household decided what somebody is who was something else before (`crate::family`): where that one is
/// there, everybody is told.
pub(crate) fn decided_by_household(cx: &mut Cx<'_>, who: &Jid, before: Affiliation) {
    let Some(room) = cx.room() else { return };
    let there = room.occupants.iter().filter(|it| it.is(who.as_str()));
    let there: Vec<Jid> = there.map(|occupant| occupant.jid.clone()).collect();
    for occupant in there {
        tell_of_occupant(cx, &occupant, before, who, &Why::default());
    }
}

/// Who is not there is something else now. Whom a members-only room lets in from now on is invited (§9.5),
/// unless whoever does it has invited too many people lately.
fn tell_of_absent(cx: &mut Cx<'_>, by: Option<&Jid>, before: Affiliation, change: &Change) {
    let Some(room) = cx.room() else { return };
    let after = room.affiliation(&change.jid);
    if after == before {
        return;
    }
    let lets_in = room.config.members_only
        && before == Affiliation::None
        && after >= Affiliation::Member
        && change.jid.localpart().is_some();
    let now = cx.now();
    let may_invite = |by: &&Jid| lets_in && cx.server.rooms().may_invite(by, 1, now);
    let invited = by.filter(may_invite);
    let invitation = invited.map(|by| invitation(by, &room.config.password, &change.reason));
    announce_absent(cx, &change.jid);
    if let Some(invitation) = invitation {
        let own = cx.jid().clone();
        cx.route(Passing::new(Arc::new(invitation), own, change.jid.clone()));
    }
}

/// §10.3: occupants who may see addresses learn what somebody is now who is not there.
pub(super) fn announce_absent(cx: &mut Cx<'_>, who: &Jid) {
    let Some(room) = cx.room() else { return };
    let mut content = format!("<x xmlns='{USER}'><item");
    compose::attribute(&mut content, "affiliation", room.affiliation(who).name());
    compose::attribute(&mut content, "jid", who.as_str());
    // It is for those who look at the room now, not for anybody's archive.
    content.push_str(" role='none'/></x><no-store xmlns='urn:xmpp:hints'/>");
    let stanza = Arc::new(Stanza::compose(Kind::Message, &[], &content));
    let viewers = room.occupants.seats();
    let viewers = viewers.filter(|(viewer, _)| room.shows_addresses_to(viewer.role));
    let leaving: Vec<Passing> = viewers
        .map(|(_, seat)| Passing::new(stanza.clone(), cx.jid().clone(), seat.jid.clone()))
        .collect();
    for passing in leaving {
        cx.route(passing);
    }
}

/// §9.5, as it arrives with whoever is invited (§7.8.2).
fn invitation(by: &Jid, password: &str, reason: &str) -> Stanza {
    let mut content = format!("<x xmlns='{USER}'><invite");
    compose::attribute(&mut content, "from", by.bare_str());
    content.push('>');
    if !reason.is_empty() {
        content.push_str("<reason>");
        compose::escape(&mut content, reason);
        content.push_str("</reason>");
    }
    content.push_str("</invite>");
    if !password.is_empty() {
        content.push_str("<password>");
        compose::escape(&mut content, password);
        content.push_str("</password>");
    }
    content.push_str("</x>");
    Stanza::compose(Kind::Message, &[], &content)
}
