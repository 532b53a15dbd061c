//! Presence (RFC 6121 §3, §4): who is available, who is told, and the stanzas that manage subscriptions.

mod directed;
pub(crate) mod moved;
mod requests;

pub(crate) use directed::Directed;

use crate::{
    account::{Cx, Presence},
    component::privilege,
    features::{ALL, passes, presence_came},
    identity,
    limits::{DIRECTED_MAX, REQUESTS_MAX},
    pubsub, push,
    roster::{self, Item, Subscription, Verb},
    s2s,
    session::{Session, waiting},
};
use std::sync::Arc;
use xmpp::{Class, Entry, Jid, Kind, Passing, Stanza, StanzaError, ns};

/// Presence that a client sent, under its account's lock.
pub(crate) fn from_client(cx: &mut Cx<'_>, session: &Arc<Session>, mut passing: Passing) {
    if passing.stanza.type_().is_empty() {
        identity::complete(cx, &mut passing);
    }
    let directed = passing.stanza.to().is_ok_and(|to| to.is_some());
    match (passing.stanza.type_(), directed) {
        ("", false) => available(cx, session, passing),
        ("unavailable", false) => unavailable(cx, session, &passing),
        ("" | "unavailable", true) => send_directed(cx, session, passing),
        ("error", true) => cx.route(passing),
        ("probe", true) => {
            let probe = asking_for_an_answer(cx, passing);
            cx.route(probe);
        }
        (type_, true) => {
            if let Some(verb) = Verb::parse(type_) {
                subscription_out(cx, verb, passing);
            }
        }
        // Subscribing to nobody, or an error for nobody.
        (_, false) => {}
    }
}

/// A probe of a client is answered also where nobody is there, unlike our own at a login; the id tells them
/// apart ([`concerns_the_absent`]).
fn asking_for_an_answer(cx: &Cx<'_>, probe: Passing) -> Passing {
    if probe.stanza.id().is_some() {
        return probe;
    }
    let id = format!("probe{}", cx.server.next_number());
    let stanza = Stanza::compose(Kind::Presence, &[("type", "probe"), ("id", &id)], "");
    Passing::new(Arc::new(stanza), probe.from, probe.to)
}

/// Presence for the account as somebody else sees it, under its lock.
pub(crate) fn arrive(cx: &mut Cx<'_>, mut passing: Passing) {
    match (passing.stanza.type_(), Verb::parse(passing.stanza.type_())) {
        (_, Some(verb)) => {
            passing.to = passing.to.bare(); // §3.1.3: as if sent to the bare JID
            subscription_in(cx, verb, &passing);
        }
        ("probe", None) => probed(cx, &passing),
        (type_, None) => {
            if type_ == "unavailable" {
                forget_directed(cx, &passing);
            }
            presence_came(cx, &passing);
            deliver(cx, &passing);
        }
    }
}

/// Whether presence is also for accounts that are not in memory: subscriptions, and probes that ask for an
/// answer. Probes of our own at a login ask only those who are there (DESIGN §5).
pub(crate) fn concerns_the_absent(passing: &Passing) -> bool {
    match passing.stanza.type_() {
        "probe" => passing.stanza.id().is_some(),
        type_ => Verb::parse(type_).is_some(),
    }
}

/// §8.5.3.1: whether a resource shares presence with somebody, who may then send it requests. Directed
/// presence to somebody in a room is shared with the whole room (XEP-0045 §17.4).
pub(crate) fn is_shared(cx: &mut Cx<'_>, resource: &Jid, with: &Jid) -> bool {
    let bare = with.bare();
    if bare == *cx.jid() || with.localpart().is_none() && bare == *cx.server.domain() {
        return true;
    }
    cx.state.roster.subscription(&bare).from
        || cx
            .state
            .resource(resource)
            .is_some_and(|r| r.directed.reaches(&bare))
}

/// The session is gone, with or without a word (§4.5.2): contacts are told, the resource leaves the account.
pub(crate) fn gone(cx: &mut Cx<'_>, session: &Session) {
    let Some(resource) = cx.state.resource(&session.jid) else {
        return;
    };
    if resource.session.number != session.number {
        return; // a successor has the resource; the contacts were told when it came
    }
    let session = resource.session.clone();
    // First: what follows is nothing that still waits for it, least of all on disk.
    let away = resource.away.take();
    let stanza = Stanza::compose(Kind::Presence, &[("type", "unavailable")], "");
    let passing = Passing::new(Arc::new(stanza), session.jid.clone(), cx.jid().clone());
    unavailable(cx, &session, &passing);
    for hook in ALL.iter().filter_map(|feature| feature.gone) {
        hook(cx, &session.jid);
    }
    waiting::over(cx, &session, away);
    cx.state
        .resources
        .retain(|resource| resource.session.number != session.number);
}

/// A session goes on that the server had forgotten for a while: its client believes of its contacts what is
/// no longer true. Each is unavailable until told otherwise (§4.3.2 rule 3), as after a login.
pub(crate) fn refresh(cx: &mut Cx<'_>, session: &Session) {
    let resource = cx.state.resource(&session.jid);
    if resource.is_none_or(|resource| resource.presence.is_none()) {
        return;
    }
    for contact in contacts(cx, |subscription| subscription.to) {
        let mut gone = mere(&[("type", "unavailable")], &contact, &session.jid);
        if passes(cx, |feature| feature.stanza_in, &mut gone) {
            session.outbox.push(gone.entry());
        }
    }
    probe_contacts(cx, session);
    show_others(cx, session);
}

/// A session has a connection again: what waits goes on.
pub(crate) fn resumed(cx: &mut Cx<'_>, session: &Session) {
    let resource = cx.state.resource(&session.jid);
    if resource.is_some_and(|resource| resource.presence.is_some()) {
        for hook in ALL.iter().filter_map(|feature| feature.available) {
            hook(cx, &session.jid);
        }
    }
}

/// §4.2.2, §4.4.2: presence without `to`.
fn available(cx: &mut Cx<'_>, session: &Arc<Session>, passing: Passing) {
    let Some(resource) = cx.state.resource(&session.jid) else {
        return;
    };
    let presence = Presence {
        priority: priority(&passing),
        passing: passing.clone(),
    };
    let initial = resource.presence.replace(presence).is_none();
    broadcast(cx, &passing);
    for hook in ALL.iter().filter_map(|feature| feature.presence_out) {
        hook(cx, &passing);
    }
    if initial {
        probe_contacts(cx, session);
        show_others(cx, session);
        requests::show_all(cx, session);
        privilege::appeared(cx, &passing);
        s2s::tell_failures(cx, &session.jid);
    }
    // Each time: a priority that is no longer negative lets messages in, too.
    for hook in ALL.iter().filter_map(|feature| feature.available) {
        hook(cx, &session.jid);
    }
}

/// §4.5.2: unavailable presence without `to`, from the client or in its name.
fn unavailable(cx: &mut Cx<'_>, session: &Arc<Session>, passing: &Passing) {
    let Some(resource) = cx.state.resource(&session.jid) else {
        return;
    };
    let directed = std::mem::take(&mut resource.directed);
    // §4.6.3: those who got directed presence are told even where no broadcast ever was.
    let was_available = resource.presence.is_some();
    if was_available {
        broadcast(cx, passing);
        if let Some(resource) = cx.state.resource(&session.jid) {
            resource.presence = None;
        }
    }
    for to in directed {
        if !(was_available && gets_broadcasts(cx, &to)) {
            cx.route(passing.addressed_to(to));
        }
    }
    if was_available {
        for hook in ALL.iter().filter_map(|feature| feature.unavailable) {
            hook(cx, &session.jid, passing);
        }
    }
}

/// To all subscribers and to the account's own available resources, the sending one included (§4.2.2,
/// §4.4.2, §4.5.2).
fn broadcast(cx: &mut Cx<'_>, passing: &Passing) {
    let entry = presence_entry(passing, cx.jid());
    cx.deliver_to(&entry, |resource| resource.presence.is_some());
    for contact in contacts(cx, |subscription| subscription.from) {
        send(cx, identity::shown_to(cx, passing, contact));
    }
}

/// What the server says in everybody's presence is another thing now (XEP-0153 §4.1): whoever gets broadcasts
/// is told anew. What was directed is its client's to repeat (XEP-0398 §5.1).
pub(crate) fn tell_anew(cx: &mut Cx<'_>) {
    let resources = cx.state.available();
    let resources: Vec<Jid> = resources.map(|r| r.session.jid.clone()).collect();
    for resource in resources {
        if let Some(passing) = identity::completed_anew(cx, &resource) {
            broadcast(cx, &passing);
        }
    }
}

/// Sends what no client addressed to this contact, unless a feature keeps it here.
fn send(cx: &mut Cx<'_>, mut passing: Passing) {
    if passes(cx, |feature| feature.stanza_out, &mut passing) {
        cx.route(passing);
    }
}

/// §4.3.1: asks contacts whether they are there. Contacts of our own domain answer to the new resource alone.
fn probe_contacts(cx: &mut Cx<'_>, session: &Session) {
    let stanza = Arc::new(Stanza::compose(Kind::Presence, &[("type", "probe")], ""));
    for contact in contacts(cx, |subscription| subscription.to) {
        let local = contact.domainpart() == cx.server.domain().as_str();
        let from = if local {
            session.jid.clone()
        } else {
            cx.jid().clone()
        };
        send(cx, Passing::new(stanza.clone(), from, contact));
    }
}

/// An account is implicitly subscribed to its own presence: a new resource sees the others.
fn show_others(cx: &Cx<'_>, session: &Session) {
    for other in cx
        .state
        .available()
        .filter(|other| other.session.number != session.number)
    {
        if let Some(presence) = &other.presence {
            let entry = presence_entry(&presence.passing, cx.jid());
            session.outbox.push(entry);
        }
    }
}

/// Of presence a client needs the latest only, while nobody looks at it (XEP-0352 §3.2).
fn presence_entry(passing: &Passing, to: &Jid) -> Entry {
    Entry {
        class: Class::Presence(passing.from.clone()),
        ..passing.entry_to(to)
    }
}

/// §4.6.3.
fn send_directed(cx: &mut Cx<'_>, session: &Session, passing: Passing) {
    let subscriber = gets_broadcasts(cx, &passing.to);
    let Some(resource) = cx.state.resource(&session.jid) else {
        return;
    };
    if passing.stanza.type_() == "unavailable" {
        resource.directed.remove(&passing.to);
    } else if !(subscriber && resource.presence.is_some()) {
        if resource.directed.len() >= DIRECTED_MAX && !resource.directed.contains(&passing.to) {
            return cx.refuse(&passing, StanzaError::RESOURCE_CONSTRAINT);
        }
        resource.directed.insert(passing.to.clone());
    }
    cx.route(passing);
}

/// Subscribers do, and the account's own resources.
pub(crate) fn gets_broadcasts(cx: &Cx<'_>, who: &Jid) -> bool {
    let bare = who.bare();
    bare == *cx.jid() || cx.state.roster.subscription(&bare).from
}

/// §4.6.1: whoever says goodbye is no longer told. To one resource it may be said alone: of two devices in a
/// room, one leaves.
fn forget_directed(cx: &mut Cx<'_>, farewell: &Passing) {
    for resource in &mut cx.state.resources {
        if farewell.to.is_bare() || resource.session.jid == farewell.to {
            resource.directed.remove(&farewell.from);
        }
    }
}

/// §8.5.2.1.2, §8.5.3: to all available resources, or to the named one.
fn deliver(cx: &mut Cx<'_>, passing: &Passing) {
    let entry = if passing.stanza.type_() == "error" {
        passing.entry()
    } else {
        presence_entry(passing, &passing.to)
    };
    if passing.to.is_bare() {
        cx.deliver_to(&entry, |resource| resource.presence.is_some());
    } else {
        cx.deliver(&passing.to, entry);
    }
}

/// §4.3.2, §4.6.6.
fn probed(cx: &mut Cx<'_>, probe: &Passing) {
    let asker = probe.from.bare();
    let own = asker == *cx.jid();
    if !own && !cx.state.roster.subscription(&asker).from {
        return probed_by_stranger(cx, probe);
    }
    let to = &probe.from;
    if !probe.to.is_bare() {
        // Only that it is there (§4.3.2, last paragraph).
        let there = cx
            .state
            .available()
            .any(|resource| resource.session.jid == probe.to);
        if there {
            cx.route(mere(&[], &probe.to, to));
        }
        return;
    }
    let mut shown: Vec<Passing> = Vec::new();
    for presence in cx
        .state
        .available()
        .filter_map(|resource| resource.presence.as_ref())
    {
        shown.push(identity::shown_to(cx, &presence.passing, to.clone()));
    }
    if let (true, Some(id)) = (shown.is_empty(), probe.stanza.id()) {
        let stamp = cx.state.memory.last.stamp();
        shown.push(unavailable_since(&id, stamp, cx.jid(), to));
    }
    for passing in shown {
        cx.route(passing);
    }
}

/// §4.3.2 rule 1; §4.6.6: directed presence is shown to whom it was sent.
fn probed_by_stranger(cx: &mut Cx<'_>, probe: &Passing) {
    let directed = cx.state.resources.iter().find(|resource| {
        resource.session.jid == probe.to
            && (resource.directed.contains(&probe.from)
                || resource.directed.contains(&probe.from.bare()))
    });
    if directed.is_some() {
        return cx.route(mere(&[], &probe.to, &probe.from));
    }
    let id = probe.stanza.id().unwrap_or_default();
    let mut attributes = vec![("type", "unsubscribed")];
    if !id.is_empty() {
        attributes.push(("id", &id));
    }
    cx.route(mere(&attributes, &cx.jid().clone(), &probe.from));
}

/// Presence without content.
fn mere(attributes: &[(&str, &str)], from: &Jid, to: &Jid) -> Passing {
    Passing::new(
        Arc::new(Stanza::compose(Kind::Presence, attributes, "")),
        from.clone(),
        to.clone(),
    )
}

/// §4.3.2 rule 3, with the time of the last unavailable presence where it is known.
fn unavailable_since(id: &str, stamp: Option<u64>, from: &Jid, to: &Jid) -> Passing {
    let delay = stamp.map(|at| {
        format!(
            "<delay xmlns='urn:xmpp:delay' stamp='{}'/>",
            xmpp::datetime::format(at)
        )
    });
    let attributes = [("type", "unavailable"), ("id", id)];
    let stanza = Stanza::compose(Kind::Presence, &attributes, &delay.unwrap_or_default());
    Passing::new(Arc::new(stanza), from.clone(), to.clone())
}

/// §3.1.2, §3.1.5, §3.2.2, §3.3.2, §3.4.2: the account's client manages a subscription.
fn subscription_out(cx: &mut Cx<'_>, verb: Verb, mut passing: Passing) {
    let contact = passing.to.bare();
    if contact == *cx.jid() {
        return; // an account is implicitly subscribed to itself
    }
    let old = cx.state.roster.get(&contact).cloned().unwrap_or_default();
    let (state, routed) = old.subscription.outbound(verb);
    let listed = old.listed || state != old.subscription && verb_lists(verb);
    if listed && !old.listed && !cx.state.roster.has_room(&contact, &old) {
        return cx.refuse(&passing, StanzaError::RESOURCE_CONSTRAINT);
    }
    passing.from = cx.jid().clone();
    passing.to = contact.clone();
    if verb == Verb::Unsubscribed && old.subscription.from {
        show_unavailable(cx, &contact); // while the contact may still see it
    }
    if routed {
        cx.route(passing);
    }
    let mut item = old.clone();
    item.listed = listed;
    change(cx, &contact, &old, state, item);
    if verb == Verb::Subscribed && state.from && !old.subscription.from {
        show_available(cx, &contact);
    }
}

/// Asking and approving make a roster item; refusing somebody unknown does not.
fn verb_lists(verb: Verb) -> bool {
    matches!(verb, Verb::Subscribe | Verb::Subscribed)
}

/// §3.1.3, §3.1.6, §3.2.3, §3.3.3: a contact manages a subscription.
fn subscription_in(cx: &mut Cx<'_>, verb: Verb, passing: &Passing) {
    let contact = passing.from.bare();
    if contact == *cx.jid() {
        return;
    }
    let old = cx.state.roster.get(&contact).cloned().unwrap_or_default();
    let inbound = old.subscription.inbound(verb);
    let asks = inbound.state.pending_in && !old.subscription.pending_in;
    if asks && cx.state.roster.requests() >= REQUESTS_MAX {
        return;
    }
    let is_looked_into = verb == Verb::Subscribe && moved::ask(cx, passing, inbound.deliver);
    if inbound.deliver && !is_looked_into {
        requests::deliver(cx, verb, passing);
    }
    let request = asks.then(|| requests::kept(passing));
    let item = match request {
        Some(request) => old.clone().with_request(Some(request)),
        None => old.clone(),
    };
    change(cx, &contact, &old, inbound.state, item);
    if asks && !is_looked_into {
        push::contact_requested(cx, passing); // it counts from now on
    }
    if let Some(reply) = inbound.reply {
        let id = passing.stanza.id().unwrap_or_default();
        let mut attributes = vec![("type", reply.name())];
        if !id.is_empty() {
            attributes.push(("id", &id));
        }
        cx.route(mere(&attributes, &cx.jid().clone(), &contact));
    }
    if inbound.state.to && !old.subscription.to {
        for hook in ALL.iter().filter_map(|feature| feature.subscribed) {
            hook(cx, &contact);
        }
    }
    match (old.subscription.from, inbound.state.from) {
        (false, true) => show_available(cx, &contact),
        (true, false) => show_unavailable(cx, &contact),
        _ => {}
    }
}

/// Both sides agree on a subscription without a word to each other: who answers for the contact said so, and
/// what the item is to be otherwise.
pub(crate) fn agree(cx: &mut Cx<'_>, contact: &Jid, item: Item, (to, from): (bool, bool)) {
    let before = cx.state.roster.subscription(contact);
    if before.from && !from {
        show_unavailable(cx, contact); // while the contact may still see it
    }
    let mut item = item.with_request(None);
    item.subscription = Subscription {
        to,
        from,
        ..Subscription::default()
    };
    put(cx, contact, item);
    push_item(cx, contact);
    if to && !before.to {
        for hook in ALL.iter().filter_map(|feature| feature.subscribed) {
            hook(cx, contact);
        }
    }
    if from && !before.from {
        show_available(cx, contact);
    }
}

/// Takes over a new state, stores it, and pushes the item where clients can see the difference.
fn change(cx: &mut Cx<'_>, contact: &Jid, old: &Item, state: Subscription, mut item: Item) {
    // A contact that was approved is listed from then on (§3.1.3).
    let listed = item.listed || state.from;
    (item.subscription, item.listed) = (state, listed);
    if !state.pending_in {
        item = item.with_request(None);
    }
    let changed = state != old.subscription || listed != old.listed;
    if !changed {
        return;
    }
    let visible = |s: Subscription| (s.to, s.from, s.ask, s.approved);
    let push = item.listed && (!old.listed || visible(state) != visible(old.subscription));
    put(cx, contact, item);
    if push {
        push_item(cx, contact);
    }
}

/// Stores an item and forgets one of which nothing is left. Subscriptions of that contact may end with it.
pub(crate) fn put(cx: &mut Cx<'_>, contact: &Jid, item: Item) {
    let write = item.write(cx.id(), contact);
    cx.write(write);
    if item.is_forgettable() {
        cx.state.roster.remove(contact);
    } else {
        cx.state.roster.put(contact, item);
    }
    pubsub::contact_changed(cx, contact);
}

/// A roster push (§2.1.6) of the item as it is now, under a new version.
pub(crate) fn push_item(cx: &mut Cx<'_>, contact: &Jid) {
    let item = match cx.state.roster.get(contact) {
        Some(item) if item.listed => item.to_xml(contact),
        _ => format!(
            "<item jid='{}' subscription='remove'/>",
            xmpp::compose::escaped(contact.as_str())
        ),
    };
    let (start, number) = (cx.server.store().start_count(), cx.server.next_number());
    let version = cx.state.roster.next_version(start, number);
    cx.write(roster::VERSION.put(&cx.id(), &version));
    let query = format!(
        "<query xmlns='{}' ver='{version}'>{item}</query>",
        roster::NS
    );
    cx.push(&query, |resource| resource.interested);
    privilege::roster_changed(cx, &query);
}

/// §3.1.5: current presence of every available resource, to somebody who may see it, or more of it, from now
/// on.
pub(crate) fn show_available(cx: &mut Cx<'_>, contact: &Jid) {
    let shown: Vec<Passing> = cx
        .state
        .available()
        .filter_map(|resource| resource.presence.as_ref())
        .map(|presence| identity::shown_to(cx, &presence.passing, contact.clone()))
        .collect();
    for passing in shown {
        send(cx, passing);
    }
}

/// §3.2.2, §3.3.3: unavailable presence of every available resource, to somebody who may not see it any more.
pub(crate) fn show_unavailable(cx: &mut Cx<'_>, contact: &Jid) {
    let stanza = Arc::new(Stanza::compose(
        Kind::Presence,
        &[("type", "unavailable")],
        "",
    ));
    let jids: Vec<Jid> = cx
        .state
        .available()
        .map(|resource| resource.session.jid.clone())
        .collect();
    for jid in jids {
        cx.route(Passing::new(stanza.clone(), jid, contact.clone()));
    }
}

fn contacts(cx: &Cx<'_>, wanted: impl Fn(Subscription) -> bool) -> Vec<Jid> {
    let items = cx.state.roster.iter();
    items
        .filter(|(_, item)| wanted(item.subscription))
        .map(|(jid, _)| jid.clone())
        .collect()
}

/// §4.7.2.3: an integer between -128 and +127; anything else counts as zero.
pub(crate) fn priority(passing: &Passing) -> i8 {
    let priority = passing.stanza.child(ns::CLIENT, "priority");
    priority
        .and_then(|element| element.text().trim().parse().ok())
        .unwrap_or_default()
}
