//! What moderators, admins and owners ask of a room about people (XEP-0045 §8, §9, §10.3 to §10.8): other
//! roles, by nickname, and other affiliations, by address. All of a request is done, or nothing.

#[cfg(test)]
mod tests;

use super::{affiliation, kick, leave, register, room};
use crate::{
    account::Cx,
    feature::{Answer, Iq},
    limits::{ROOM_CHANGES_MAX, ROOM_REASON_BYTES_MAX},
    room::{Affiliation, Role, Room, changes::Change, matrix::Refusal},
};
use std::collections::BTreeSet;
use xmpp::{Element, Jid, StanzaError};

pub(super) const NS: &str = "http://jabber.org/protocol/muc#admin";

impl From<Refusal> for StanzaError {
    fn from(refusal: Refusal) -> StanzaError {
        match refusal {
            Refusal::Forbidden => StanzaError::FORBIDDEN,
            Refusal::NotAllowed => StanzaError::NOT_ALLOWED,
            Refusal::Conflict => StanzaError::CONFLICT,
        }
    }
}

/// What somebody wants: roles or affiliations, never both in one request.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    Roles(Vec<Given>),
    Affiliations(Vec<Change>),
}

/// A role for an occupant.
#[derive(Debug, PartialEq, Eq)]
struct Given {
    occupant: Jid,
    role: Role,
    reason: String,
}

/// §8.2 to §8.5, §9, §10.3 to §10.8.
pub(super) fn set(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let by = &iq.passing.from;
    let own = cx.jid().clone();
    let room = open_to(cx, by)?;
    match read(room, &own, &iq.payload.element())? {
        Request::Roles(given) => give_roles(cx, by, &given)?,
        Request::Affiliations(changes) => affiliation::change(cx, by, changes)?,
    }
    Ok(String::new())
}

/// The room, where it is one for whoever asks: of a locked one only its owner knows (§10.1.1).
pub(super) fn open_to<'a>(cx: &'a mut Cx<'_>, who: &Jid) -> Result<&'a mut Room, StanzaError> {
    let room = room(cx)?;
    if room.locked && room.affiliation(who) != Affiliation::Owner {
        return Err(StanzaError::ITEM_NOT_FOUND);
    }
    Ok(room)
}

fn read(room: &Room, own: &Jid, query: &Element) -> Result<Request, StanzaError> {
    let items: Vec<&Element> = query
        .elements()
        .filter(|item| item.is(NS, "item"))
        .collect();
    if items.len() > ROOM_CHANGES_MAX {
        return Err(StanzaError::POLICY_VIOLATION.with_text("these are too many changes at once"));
    }
    let first = items.first().ok_or(StanzaError::BAD_REQUEST)?;
    let by_role = first.attr("role").is_some();
    // Of two decisions about the same nobody knows which is meant.
    let mut known = BTreeSet::new();
    let mut once = |jid: &Jid| {
        known
            .insert(jid.clone())
            .then_some(())
            .ok_or(StanzaError::BAD_REQUEST)
    };
    if by_role {
        let given = items.iter().map(|item| {
            let given = given(own, item)?;
            once(&given.occupant)?;
            Ok(given)
        });
        return given.collect::<Result<_, _>>().map(Request::Roles);
    }
    let changes = items.iter().map(|item| {
        let change = change(room, own, item)?;
        once(&change.jid)?;
        Ok(change)
    });
    changes.collect::<Result<_, _>>().map(Request::Affiliations)
}

/// §8.5, §9.8: a nickname and a role, and no affiliation.
fn given(own: &Jid, item: &Element) -> Result<Given, StanzaError> {
    let (Some(nick), Some(role), None) = (
        item.attr("nick"),
        item.attr("role"),
        item.attr("affiliation"),
    ) else {
        return Err(StanzaError::BAD_REQUEST);
    };
    Ok(Given {
        occupant: own
            .with_resource(nick)
            .map_err(|_| StanzaError::ITEM_NOT_FOUND)?,
        role: Role::parse(role).ok_or(StanzaError::BAD_REQUEST)?,
        reason: reason(item)?,
    })
}

/// §9.2, §9.5: an address and an affiliation, and no role. Some clients give the nickname of somebody who is
/// there in place of the address.
fn change(room: &Room, own: &Jid, item: &Element) -> Result<Change, StanzaError> {
    let (Some(affiliation), None) = (item.attr("affiliation"), item.attr("role")) else {
        return Err(StanzaError::BAD_REQUEST);
    };
    let affiliation = Affiliation::parse(affiliation).ok_or(StanzaError::BAD_REQUEST)?;
    let (jid, nick) = match (item.attr("jid"), item.attr("nick")) {
        (Some(jid), nick) => {
            let jid = Jid::parse(jid).map_err(|_| StanzaError::JID_MALFORMED)?;
            (jid.bare(), nick) // §10.3: an address stands for all devices
        }
        (None, Some(nick)) => {
            let occupant = own.with_resource(nick).ok();
            let occupant = occupant.and_then(|jid| room.occupants.get(&jid));
            (occupant.ok_or(StanzaError::ITEM_NOT_FOUND)?.real(), None)
        }
        (None, None) => return Err(StanzaError::BAD_REQUEST),
    };
    if jid.localpart().is_none() && affiliation >= Affiliation::Admin {
        return Err(
            StanzaError::NOT_ACCEPTABLE.with_text("a domain can be banned or a member only")
        );
    }
    // Nobody in particular has a nickname: neither a stranger nor a whole domain.
    let is_person = jid.localpart().is_some();
    let nick = nick.filter(|_| affiliation >= Affiliation::Member && is_person);
    let nick = match nick {
        Some("") => Some(String::new()), // §9.5: no longer reserved
        Some(nick) => Some(register::reservable(room, own, nick, &jid)?),
        None => None,
    };
    Ok(Change {
        jid,
        affiliation,
        nick,
        reason: reason(item)?,
    })
}

fn reason(item: &Element) -> Result<String, StanzaError> {
    let reason = item
        .child(NS, "reason")
        .map(Element::text)
        .unwrap_or_default();
    if reason.len() > ROOM_REASON_BYTES_MAX {
        return Err(StanzaError::NOT_ACCEPTABLE.with_text("this reason is too long"));
    }
    Ok(reason)
}

/// §8.2 to §8.5, §9.6 to §9.8.
fn give_roles(cx: &mut Cx<'_>, by: &Jid, given: &[Given]) -> Result<(), StanzaError> {
    let room = room(cx)?;
    let standing = room.standing(by);
    if !standing.moderates() {
        return Err(StanzaError::FORBIDDEN);
    }
    for one in given {
        let occupant = room
            .occupants
            .get(&one.occupant)
            .ok_or(StanzaError::ITEM_NOT_FOUND)?;
        let real = occupant.real();
        let to = crate::room::matrix::Standing {
            affiliation: room.affiliation(&real),
            role: occupant.role,
        };
        let leaves = one.role == Role::None && real.as_str() == by.bare_str();
        if !leaves {
            standing.may_give(one.role, to)?; // §8.2: to kick oneself is a way to go
        }
    }
    for one in given {
        give_role(cx, by, &one.occupant, one.role, &one.reason);
    }
    leave::after_leaving(cx);
    Ok(())
}

/// Gives one occupant a role that is granted: §8.3 `participant`, §8.2 `none`.
pub(super) fn give_role(cx: &mut Cx<'_>, by: &Jid, occupant: &Jid, role: Role, reason: &str) {
    let Some(room) = cx.room() else { return };
    let Some(known) = room.occupants.get(occupant) else {
        return;
    };
    let (real, before) = (known.real(), known.role);
    let why = kick::Why::by(room, by, reason);
    if role == Role::None {
        return kick::remove(cx, occupant, &[307], &why);
    }
    if role != before {
        cx.keep_voice(&real, role);
        kick::renew(cx, occupant, role, &why);
    }
}
