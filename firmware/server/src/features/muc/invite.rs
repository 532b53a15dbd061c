//! Invitations that a room brings (XEP-0045 §7.8.2), and the answer of who does not come.
//!
//! An invitation names whoever invites by bare JID, also where the room hides addresses: it goes to somebody
//! whom that person chose, and people who are blocked must not get around it with a nickname. What is brought
//! is written anew, out of what an invitation consists of.

use super::{NOT_IN_THE_ROOM, USER, affiliation, refuse, room, something_can_be_kept};
use crate::{
    account::Cx,
    accounts,
    feature::{Plan, Read},
    limits::{ROOM_AFFILIATIONS_MAX, ROOM_INVITATION_BYTES_MAX, ROOM_INVITED_MAX},
    reading::Question,
    room::{Affiliation, Role, Room, record::AffiliationRecord},
};
use std::{collections::BTreeSet, sync::Arc};
use tracing::error;
use xmpp::{Element, Jid, Kind, Passing, Stanza, StanzaError, compose, stanza::Child};

/// A message to the room that is for somebody outside of it, or comes from there; `None` for any other.
pub(super) fn message(
    cx: &mut Cx<'_>,
    passing: &Passing,
) -> Option<Result<Option<Question>, StanzaError>> {
    let x = passing.stanza.child(USER, "x")?.element();
    if x.child(USER, "invite").is_some() {
        return Some(invite(cx, passing, &x).map(Some));
    }
    let decline = x.child(USER, "decline")?;
    Some(declined(cx, passing, decline).map(|()| None))
}

/// Somebody invites. Whether there are such people is read before anything is done.
fn invite(cx: &mut Cx<'_>, passing: &Passing, x: &Element) -> Result<Question, StanzaError> {
    let people = people(x)?;
    may_invite(room(cx)?, &passing.from, &people)?;
    if new_members(room(cx)?, &people).next().is_some() {
        something_can_be_kept(cx)?;
    }
    let count = u32::try_from(people.len()).unwrap_or(u32::MAX);
    let now = cx.now();
    if !cx.server.rooms().may_invite(&passing.from, count, now) {
        return Err(StanzaError {
            type_: "wait",
            ..StanzaError::POLICY_VIOLATION.with_text("you have invited many people lately")
        });
    }
    Ok(Question {
        passing: passing.clone(),
        plan: are_somebody(cx, &passing.from, &people),
        then: Some(bring),
    })
}

/// Whom an element invites, each once.
fn people(x: &Element) -> Result<BTreeSet<Jid>, StanzaError> {
    let invites = x.elements().filter(|child| child.is(USER, "invite"));
    let people: Result<BTreeSet<Jid>, StanzaError> = invites
        .map(|invite| {
            let to = invite.attr("to").ok_or(StanzaError::BAD_REQUEST)?;
            Jid::parse(to).map_err(|_| StanzaError::JID_MALFORMED)
        })
        .collect();
    let people = people?;
    if people.len() > ROOM_INVITED_MAX {
        return Err(StanzaError::POLICY_VIOLATION.with_text("these are too many people at once"));
    }
    Ok(people)
}

fn may_invite(room: &Room, by: &Jid, people: &BTreeSet<Jid>) -> Result<(), StanzaError> {
    let own = room.occupants.of(by).ok_or(NOT_IN_THE_ROOM)?;
    if room.locked {
        return Err(StanzaError::ITEM_NOT_FOUND); // §17.2: nobody could follow
    }
    let is_admin = room.affiliation(by) >= Affiliation::Admin;
    if own.role < Role::Participant || !(room.config.allow_invites || is_admin) {
        return Err(StanzaError::FORBIDDEN);
    }
    let is_banned = |who: &Jid| room.affiliation(who) == Affiliation::Outcast;
    if people.iter().any(is_banned) {
        return Err(StanzaError::NOT_ALLOWED.with_text("this person is banned from the room"));
    }
    let new = new_members(room, people).count();
    if new > 0 && room.affiliations.len() + new > ROOM_AFFILIATIONS_MAX {
        return Err(StanzaError::RESOURCE_CONSTRAINT.with_text("the room has too many members"));
    }
    Ok(())
}

/// Those whom an invitation makes members: without that they could not come in.
fn new_members<'a>(room: &'a Room, people: &'a BTreeSet<Jid>) -> impl Iterator<Item = &'a Jid> {
    let mut people = people.iter();
    std::iter::from_fn(move || {
        let none = |who: &&Jid| room.affiliation(who) == Affiliation::None;
        people.find(|who| room.config.members_only && none(who))
    })
}

/// Whether all of the people there could be of this house are. Who is no person cannot be invited. Whoever
/// comes from elsewhere is not told who lives here.
fn are_somebody(cx: &Cx<'_>, by: &Jid, people: &BTreeSet<Jid>) -> Plan {
    let domain = cx.server.domain();
    let below = format!(".{domain}");
    let is_ours =
        |who: &&Jid| who.domainpart() == domain.as_str() || who.domainpart().ends_with(&below);
    let lives_here = is_ours(&by);
    let domain = domain.clone();
    let people: Vec<Jid> = people.iter().filter(is_ours).cloned().collect();
    Box::new(move |snapshot| {
        for who in people {
            let name = who
                .localpart()
                .filter(|_| who.domainpart() == domain.as_str());
            let account = name.map_or(Ok(None), |name| accounts::find(snapshot, name));
            let account = account.map_err(|error| {
                error!(%error, "an account cannot be read");
                StanzaError::INTERNAL
            })?;
            if account.is_none() && lives_here {
                return Err(StanzaError::ITEM_NOT_FOUND);
            }
        }
        Ok(Read::of(String::new()))
    })
}

/// The people are there, as far as it is known here.
fn bring(cx: &mut Cx<'_>, passing: Passing, read: Result<Read, StanzaError>) {
    let x = passing.stanza.child(USER, "x").map(Child::element);
    let x = x.unwrap_or_default();
    // What was true before the disk was asked need not be now.
    let people = read.and_then(|_| {
        let people = people(&x)?;
        may_invite(room(cx)?, &passing.from, &people)?;
        Ok(people)
    });
    let people = match people {
        Ok(people) => people,
        Err(refusal) => return refuse(cx, &passing, refusal),
    };
    let new = cx
        .room()
        .map(|room| new_members(room, &people).map(Jid::bare));
    let new: Vec<Jid> = new.into_iter().flatten().collect();
    for who in new {
        make_member(cx, &who);
    }
    let mut invited = BTreeSet::new();
    for invite in x.elements().filter(|child| child.is(USER, "invite")) {
        let to = invite.attr("to").and_then(|to| Jid::parse(to).ok());
        if let Some(to) = to.filter(|to| invited.insert(to.clone())) {
            send(cx, &passing, invite, to);
        }
    }
}

fn make_member(cx: &mut Cx<'_>, who: &Jid) {
    let Some(room) = cx.room_mut() else { return };
    let member = AffiliationRecord {
        affiliation: Affiliation::Member,
        nick: String::new(),
        reason: String::new(),
    };
    room.affiliations.insert(who.clone(), member);
    cx.keep_affiliation(who);
    affiliation::announce_absent(cx, who);
}

/// To one person, as one who was invited before is not.
fn send(cx: &mut Cx<'_>, passing: &Passing, invite: &Element, to: Jid) {
    let Some(room) = cx.room() else { return };
    let mut content = format!("<x xmlns='{USER}'><invite");
    compose::attribute(&mut content, "from", passing.from.bare_str());
    content.push('>');
    reason(&mut content, invite);
    // §7.9: of which conversation this goes on.
    if let Some(goes_on) = invite.child(USER, "continue") {
        content.push_str("<continue");
        let thread = goes_on.attr("thread");
        if let Some(thread) = thread.filter(|thread| thread.len() <= ROOM_INVITATION_BYTES_MAX) {
            compose::attribute(&mut content, "thread", thread);
        }
        content.push_str("/>");
    }
    content.push_str("</invite>");
    if !room.config.password.is_empty() {
        content.push_str("<password>");
        compose::escape(&mut content, &room.config.password);
        content.push_str("</password>");
    }
    content.push_str("</x>");
    let id = passing.stanza.id().unwrap_or_default();
    let brought = (passing.from.clone(), cx.jid().clone(), 1);
    let own = cx.jid().clone();
    if let Some(room) = cx.room_mut() {
        room.under_way.note((&own, &to, &id), brought);
    }
    let message = in_the_name_of_the_room(passing, &content);
    cx.route(Passing::new(message, own, to));
}

fn in_the_name_of_the_room(passing: &Passing, content: &str) -> Arc<Stanza> {
    let (id, lang) = (passing.stanza.id(), passing.stanza.lang());
    let mut attributes = Vec::with_capacity(2);
    if let Some(id) = &id {
        attributes.push(("id", &**id));
    }
    if let Some(lang) = &lang {
        attributes.push(("xml:lang", &**lang));
    }
    Arc::new(Stanza::compose(Kind::Message, &attributes, content))
}

/// What was given for a reason, unless it is an essay.
fn reason(out: &mut String, of: &Element) {
    let Some(reason) = of.child(USER, "reason") else {
        return;
    };
    let text = reason.text();
    if text.len() > ROOM_INVITATION_BYTES_MAX {
        return;
    }
    out.push_str("<reason");
    if let Some(lang) = reason.attr("xml:lang") {
        compose::attribute(out, "xml:lang", lang);
    }
    out.push('>');
    compose::escape(out, &text);
    out.push_str("</reason>");
}

/// Somebody does not come. Whoever invited is told, as long as it has to do with the room; nobody learns
/// whether it has.
fn declined(cx: &mut Cx<'_>, passing: &Passing, decline: &Element) -> Result<(), StanzaError> {
    let to = decline.attr("to").ok_or(StanzaError::BAD_REQUEST)?;
    let to = Jid::parse(to).map_err(|_| StanzaError::JID_MALFORMED)?;
    let now = cx.now();
    let room = room(cx)?;
    if room.affiliation(&passing.from) == Affiliation::Outcast {
        return Err(StanzaError::FORBIDDEN);
    }
    let occupants = room.occupants.iter().filter(|o| o.is(to.bare_str()));
    let seats = occupants.flat_map(|o| o.seats.iter().map(|seat| seat.jid.clone()));
    let mut inviter: Vec<Jid> = seats.collect();
    if inviter.is_empty() && room.affiliation(&to) >= Affiliation::Member {
        inviter.push(to.bare());
    }
    // As with invitations: it is a way to write to people.
    if inviter.is_empty() || !cx.server.rooms().may_invite(&passing.from, 1, now) {
        return Ok(());
    }
    let mut content = format!("<x xmlns='{USER}'><decline");
    compose::attribute(&mut content, "from", passing.from.bare_str());
    content.push('>');
    reason(&mut content, decline);
    content.push_str("</decline></x>");
    let message = in_the_name_of_the_room(passing, &content);
    for to in inviter {
        let own = cx.jid().clone();
        cx.route(Passing::new(message.clone(), own, to));
    }
    Ok(())
}
