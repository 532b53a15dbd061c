//! XEP-0191: Blocking Command. A blocked contact can neither write to the user nor be written to, and sees
//! the user offline.
//!
//! State: the user's block list, in memory while the account is loaded and in table `blocking.list`; and per
//! resource whether it asked for the list.
//!
//! Blocking is polite (§4): subscriptions stay, and nobody is told. The account's own resources and its
//! server are never blocked, whatever the list says (§5, note): a block of the own domain is one of
//! everybody else there.

use super::reporting;
use crate::{
    account::{Cx, State},
    feature::{Answer, Feature, Iq, On, Saved, Spec, Verdict, get, set},
    limits::{BLOCKED_BYTES_MAX, BLOCKED_MAX},
    presence,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc};
use store::{Record, Snapshot, Table};
use xmpp::{Element, Jid, Kind, Passing, Stanza, StanzaError, compose};

const NS: &str = "urn:xmpp:blocking";
/// XEP-0045.
const ROOM_USER: &str = "http://jabber.org/protocol/muc#user";

/// By account; no row where nobody is blocked.
pub(crate) const LIST: Table<u32, Blocklist> = Table::per_account("blocking.list", 1);

/// §3.3: the user's own client tried to write to somebody the user has blocked.
const BLOCKED: StanzaError = StanzaError {
    type_: "cancel",
    ..StanzaError::NOT_ACCEPTABLE.with_detail("<blocked xmlns='urn:xmpp:blocking:errors'/>")
};

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(191, "1.3", "Blocking Command"),
    disco: &[(On::Server, NS), (On::OwnAccount, NS)],
    iq: &[
        get(On::OwnAccount, (NS, "blocklist"), list),
        set(On::OwnAccount, (NS, "block"), block),
        set(On::OwnAccount, (NS, "unblock"), unblock),
    ],
    stanza_out: Some(refuse_to_blocked),
    stanza_in: Some(refuse_from_blocked),
    saved: Some(Saved {
        name: "blocking",
        save: |resource| resource.memory.blocklist_pushes.then(Vec::new),
        restore: |resource, _| resource.memory.blocklist_pushes = true,
    }),
    ..Feature::NONE
};

/// Whom a user blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Blocklist(BTreeSet<Jid>);

impl Record for Blocklist {}

impl Blocklist {
    pub(super) fn load(snapshot: &Snapshot, account: u32) -> Result<Blocklist, store::Error> {
        Ok(LIST.get(snapshot, &account)?.unwrap_or_default())
    }

    /// §6: an entry is a full JID, a bare JID, a domain with a resource, or a domain with everybody there.
    fn matches(&self, jid: &Jid) -> bool {
        let entries = [jid.as_str(), jid.bare_str(), jid.domainpart()];
        entries.iter().any(|entry| self.0.contains(*entry))
    }

    fn fits(&self) -> bool {
        let bytes: usize = self.0.iter().map(|jid| jid.as_str().len()).sum();
        self.0.len() <= BLOCKED_MAX && bytes <= BLOCKED_BYTES_MAX
    }
}

/// Whether the account has nothing to do with somebody.
fn is_blocked(cx: &Cx<'_>, jid: &Jid) -> bool {
    cx.state.memory.blocked.matches(jid) && !is_spared(cx.jid(), cx.server.domain(), jid)
}

/// §5, note: the account's own resources; and its server, which speaks for it.
fn is_spared(own: &Jid, domain: &Jid, jid: &Jid) -> bool {
    [own, domain]
        .iter()
        .any(|spared| jid.bare_str() == spared.as_str())
}

fn refuse_to_blocked(cx: &mut Cx<'_>, passing: &mut Passing) -> Verdict {
    if is_blocked(cx, &passing.to) {
        Verdict::Refuse(BLOCKED)
    } else {
        Verdict::Pass
    }
}

/// Whether it is an invitation into a room (XEP-0045 §7.8.2) in the name of somebody blocked, or the answer
/// to one: the room brings it, and an error would go to the room.
fn is_blocked_invitation(cx: &Cx<'_>, message: &Passing) -> bool {
    let Some(x) = message.stanza.child(ROOM_USER, "x") else {
        return false;
    };
    let x = x.element();
    let invite = x.child(ROOM_USER, "invite");
    let invite = invite.or_else(|| x.child(ROOM_USER, "decline"));
    let inviter = invite.and_then(|invite| Jid::parse(invite.attr("from")?).ok());
    inviter.is_some_and(|inviter| is_blocked(cx, &inviter))
}

/// §3.3: the same answers that an account would give where nobody is.
fn refuse_from_blocked(cx: &mut Cx<'_>, passing: &mut Passing) -> Verdict {
    if cx.state.memory.blocked.0.is_empty() {
        return Verdict::Pass; // as nearly always
    }
    if is_blocked_invitation(cx, passing) {
        return Verdict::Drop;
    }
    if !is_blocked(cx, &passing.from) {
        return Verdict::Pass;
    }
    match (passing.stanza.kind, passing.stanza.type_()) {
        // Nobody answers a headline (RFC 6121 §8.5.2.2), and a room takes an error for a farewell.
        (Kind::Presence, _) | (Kind::Message, "headline" | "groupchat") => Verdict::Drop,
        _ => Verdict::Refuse(StanzaError::SERVICE_UNAVAILABLE),
    }
}

/// §3.2.
fn list(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    if let Some(resource) = cx.state.resource(&iq.passing.from) {
        resource.memory.blocklist_pushes = true;
    }
    Ok(command("blocklist", &cx.state.memory.blocked.0))
}

/// §3.3.
fn block(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let payload = iq.payload.element();
    let jids = items(&payload)?;
    if jids.is_empty() {
        return Err(StanzaError::BAD_REQUEST);
    }
    let mut list = cx.state.memory.blocked.clone();
    list.0.extend(jids.iter().cloned());
    if !list.fits() {
        return Err(StanzaError::RESOURCE_CONSTRAINT.with_text("the block list is full"));
    }
    let before = take_over(cx, list);
    let hidden_from = onlookers(cx, &jids, |jid| !before.matches(jid));
    for contact in &hidden_from {
        presence::show_unavailable(cx, contact);
    }
    take_back_directed(cx, &hidden_from);
    push(cx, &command("block", &jids));
    reporting::keep(cx, &payload);
    Ok(String::new())
}

/// §3.4, §3.5. That somebody was not blocked is no error.
fn unblock(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let payload = iq.payload.element();
    let jids = items(&payload)?;
    let mut list = cx.state.memory.blocked.clone();
    if jids.is_empty() {
        if payload.elements().next().is_some() {
            return Err(StanzaError::BAD_REQUEST); // only an empty <unblock/> means everyone
        }
        list.0.clear();
    }
    list.0.retain(|jid| !jids.contains(jid));
    let before = take_over(cx, list);
    let after = &cx.state.memory.blocked;
    let freed: BTreeSet<Jid> = before.0.difference(&after.0).cloned().collect();
    for contact in onlookers(cx, &freed, |jid| !cx.state.memory.blocked.matches(jid)) {
        presence::show_available(cx, &contact);
    }
    push(cx, &command("unblock", &jids));
    Ok(String::new())
}

/// The addresses in a command.
fn items(command: &Element) -> Result<BTreeSet<Jid>, StanzaError> {
    let items = command.elements().filter(|element| element.is(NS, "item"));
    items
        .map(|item| {
            let jid = item.attr("jid").ok_or(StanzaError::BAD_REQUEST)?;
            Jid::parse(jid).map_err(|_| StanzaError::JID_MALFORMED)
        })
        .collect()
}

/// Takes over and stores a new list; returns the old one.
fn take_over(cx: &mut Cx<'_>, list: Blocklist) -> Blocklist {
    if list != cx.state.memory.blocked {
        let write = if list.0.is_empty() {
            LIST.remove(&cx.id())
        } else {
            LIST.put(&cx.id(), &list)
        };
        cx.write(write);
    }
    std::mem::replace(&mut cx.state.memory.blocked, list)
}

/// Those among `jids` who may see the account's presence (§3.3, §3.4): subscribers whom an entry matches, and
/// single resources of subscribers.
fn onlookers(
    cx: &Cx<'_>,
    jids: &BTreeSet<Jid>,
    is_changed: impl Fn(&Jid) -> bool,
) -> BTreeSet<Jid> {
    let entries = Blocklist(jids.clone());
    let roster = &cx.state.roster;
    let subscribers = roster.iter().filter(|(_, item)| item.subscription.from);
    let matched = subscribers
        .map(|(contact, _)| contact)
        .filter(|contact| entries.matches(contact));
    let resources = jids
        .iter()
        .filter(|jid| !jid.is_bare() && roster.subscription(&jid.bare()).from);
    let all = matched
        .chain(resources)
        .filter(|jid| is_changed(jid) && !is_spared(cx.jid(), cx.server.domain(), jid));
    all.cloned().collect()
}

/// Presence that was sent to somebody directly (RFC 6121 §4.6) ends with the block, too.
fn take_back_directed(cx: &mut Cx<'_>, told: &BTreeSet<Jid>) {
    let (own, domain) = (cx.jid().clone(), cx.server.domain().clone());
    let State {
        resources, memory, ..
    } = &mut *cx.state;
    let mut ended = Vec::new();
    for resource in resources {
        let directed = std::mem::take(&mut resource.directed);
        let (blocked, kept): (Vec<Jid>, Vec<Jid>) = directed
            .into_iter()
            .partition(|to| memory.blocked.matches(to) && !is_spared(&own, &domain, to));
        resource.directed = kept.into_iter().collect();
        let available = resource.presence.is_some();
        let untold = blocked
            .into_iter()
            .filter(|to| !(available && told.contains(to.bare_str())));
        ended.extend(untold.map(|to| (resource.session.jid.clone(), to)));
    }
    let unavailable = Stanza::compose(Kind::Presence, &[("type", "unavailable")], "");
    let unavailable = Arc::new(unavailable);
    for (from, to) in ended {
        cx.route(Passing::new(unavailable.clone(), from, to));
    }
}

fn command<'a>(name: &str, jids: impl IntoIterator<Item = &'a Jid>) -> String {
    let mut items = String::new();
    for jid in jids {
        items.push_str("<item");
        compose::attribute(&mut items, "jid", jid.as_str());
        items.push_str("/>");
    }
    if items.is_empty() {
        format!("<{name} xmlns='{NS}'/>")
    } else {
        format!("<{name} xmlns='{NS}'>{items}</{name}>")
    }
}

/// To every resource that asked for the list, the one that changed it included (§3.3, §3.4).
fn push(cx: &mut Cx<'_>, command: &str) {
    cx.push(command, |resource| resource.memory.blocklist_pushes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    #[test]
    fn matching_of_section_6() {
        for (entry, matched, others) in [
            (
                "r@h/x",
                &["r@h/x", "R@H/x"][..],
                &["r@h", "r@h/y", "h", "h/x", "s@h/x"][..],
            ),
            (
                "r@h",
                &["r@h", "r@h/x", "r@h/y"],
                &["s@h", "h", "h/x", "r@sub.h"],
            ),
            ("h/x", &["h/x"], &["h", "h/y", "r@h", "r@h/x"]),
            (
                "h",
                &["h", "h/x", "r@h", "r@h/x"],
                &["sub.h", "r@sub.h", "r@x/h", "h@x"],
            ),
        ] {
            let list = Blocklist([jid(entry)].into());
            for address in matched {
                assert!(list.matches(&jid(address)), "{entry} matches {address}");
            }
            for address in others {
                assert!(
                    !list.matches(&jid(address)),
                    "{entry} does not match {address}"
                );
            }
        }
    }

    #[test]
    fn a_list_has_limits() {
        let numbers = |count: usize, tail: &str| {
            Blocklist((0..count).map(|n| jid(&format!("u{n}@h/{tail}"))).collect())
        };
        assert!(numbers(BLOCKED_MAX, "x").fits());
        assert!(!numbers(BLOCKED_MAX + 1, "x").fits());
        assert!(!numbers(BLOCKED_MAX, &"x".repeat(BLOCKED_BYTES_MAX / BLOCKED_MAX)).fits());
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let home = crate::fixture::Fixture::new(&["juliet"]);
        let juliet = home.online("juliet", "balcony");
        let block = |numbers: std::ops::Range<usize>| {
            let jids: Vec<Jid> = numbers.map(|n| jid(&format!("u{n}@far.example"))).collect();
            let payload = command("block", &jids);
            home.send(&juliet, &format!("<iq type='set' id='b'>{payload}</iq>"));
            home.write();
            home.got(&juliet).concat()
        };
        assert!(block(0..BLOCKED_MAX).contains("type='result'"));
        assert!(block(BLOCKED_MAX..BLOCKED_MAX + 1).contains("<resource-constraint "));
        assert!(
            block(0..1).contains("type='result'"),
            "who is in it already takes no room"
        );
        let snapshot = home.server.store().snapshot().unwrap();
        let id = juliet.account.id;
        let kept = Blocklist::load(&snapshot, id).unwrap();
        assert_eq!(kept.0.len(), BLOCKED_MAX);
        assert!(!kept.matches(&jid(&format!("u{BLOCKED_MAX}@far.example"))));
    }
}
