//! Who is told of what happens at a node, and how (XEP-0060 §7.1.2, XEP-0163 §4).
//!
//! Explicit subscribers get it at the address that they subscribed with, and once; of an account's nodes, who
//! subscribed as a whole at those resources that ask for such, if there are any (XEP-0163 §4.3.2). Of these
//! nodes its available resources and its contacts know without subscribing, as far as their
//! clients ask for it (`+notify` in their capabilities): a contact of this house is told as a whole, and its
//! account chooses the resources, which it knows best; at another server those are told whose presence came
//! here.

use super::{
    Visitor,
    config::{Config, FIELDS, Face, Reply},
    items::{ItemRecord, bare},
};
use crate::{
    account::{Cx, Errand},
    features::passes,
    presence::gets_broadcasts,
    pubsub::Subscription,
    world::random_id,
};
use std::sync::Arc;
use xmpp::{Class, Entry, Jid, Kind, Passing, Stanza, compose, datetime, form::Writer};

const EVENT: &str = "http://jabber.org/protocol/pubsub#event";
/// FORM_TYPE of a configuration (XEP-0060 §16.4.4).
pub(crate) const NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";

/// Items that were just published.
pub(super) struct Published<'a>(pub(super) &'a [ItemRecord]);

/// §7.1.2.
pub(super) fn announce(cx: &mut Cx<'_>, name: &str, config: &Config, published: &Published<'_>) {
    if config.deliver_notifications {
        let mut items = String::new();
        for record in published.0 {
            item(&mut items, cx.face(), record, config.deliver_payloads);
        }
        let items = element("items", name, &items);
        let [for_contacts, for_others] = [Reader::Contact, Reader::Other]
            .map(|by| addresses(&reply_to(cx, name, by, published)));
        let for_contacts = format!("{items}{for_contacts}");
        tell(cx, name, config, [&for_contacts, &(items + &for_others)]);
    }
}

/// Whom an event is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// May see the account's presence.
    Contact,
    Other,
}

/// Whom to answer, as XEP-0033 says it.
fn addresses(whom: &[Jid]) -> String {
    if whom.is_empty() {
        return String::new();
    }
    let mut addresses = String::from("<addresses xmlns='http://jabber.org/protocol/address'>");
    for jid in whom {
        addresses.push_str("<address type='replyto'");
        compose::attribute(&mut addresses, "jid", jid.as_str());
        addresses.push_str("/>");
    }
    addresses + "</addresses>"
}

/// What the node says (§7.1.2.3, `pubsub#itemreply`); and for those who see it anyway, which resource of the
/// account it was (XEP-0163 §4.3.1).
fn reply_to(cx: &Cx<'_>, name: &str, by: Reader, published: &Published<'_>) -> Vec<Jid> {
    let (Ok(node), Some(last)) = (cx.node(name), published.0.last()) else {
        return Vec::new();
    };
    let resource = publishing_resource(cx.jid(), last).filter(|_| by == Reader::Contact);
    match (node.config(cx.face()).reply, resource) {
        (Reply::Owner, _) => super::people::owners(cx, name),
        (_, Some(resource)) => vec![resource],
        (Reply::Unsaid, None) => Vec::new(),
        (Reply::Publisher, None) => Jid::parse(bare(&last.publisher)).into_iter().collect(),
    }
}

/// The resource of the account that published an item, if one did.
fn publishing_resource(account: &Jid, record: &ItemRecord) -> Option<Jid> {
    let publisher = Jid::parse(&record.publisher).ok()?;
    (!publisher.is_bare() && publisher.bare() == *account).then_some(publisher)
}

/// An item as it is shown in events and in answers.
pub(crate) fn item(out: &mut String, face: Face, record: &ItemRecord, whole: bool) {
    out.push_str("<item");
    compose::attribute(out, "id", &record.id);
    if face == Face::Service {
        // §7.1.2.3; of an account's nodes it is the account.
        compose::attribute(out, "publisher", bare(&record.publisher));
    }
    if whole && !record.payload.is_empty() {
        out.push('>');
        out.push_str(&record.payload);
        out.push_str("</item>");
    } else {
        out.push_str("/>");
    }
}

/// §7.2.2.1.
pub(super) fn announce_retracted(cx: &mut Cx<'_>, name: &str, config: &Config, ids: &[String]) {
    let mut retracted = String::new();
    for id in ids {
        retract(&mut retracted, id);
    }
    let event = element("items", name, &retracted);
    tell(cx, name, config, [&event; 2]);
}

fn retract(out: &mut String, id: &str) {
    out.push_str("<retract");
    compose::attribute(out, "id", id);
    out.push_str("/>");
}

/// §8.4.2, §8.5.2: `delete` or `purge`.
pub(crate) fn announce_removal(cx: &mut Cx<'_>, name: &str, config: &Config, what: &str) {
    let event = element(what, name, "");
    tell(cx, name, config, [&event; 2]);
}

/// §8.2.5.3.
pub(super) fn announce_configuration(cx: &mut Cx<'_>, name: &str, config: &Config) {
    let form = if config.deliver_payloads {
        let mut form = Writer::result(NODE_CONFIG);
        for field in FIELDS {
            let values = (field.get)(config);
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            form = form.field(field.type_, field.var, &values);
        }
        form.finish()
    } else {
        String::new()
    };
    let event = element("configuration", name, &form);
    tell(cx, name, config, [&event; 2]);
}

/// §8.6, §8.8.4: what has become of somebody's subscription.
pub(super) fn announce_subscription(cx: &mut Cx<'_>, name: &str, jid: &Jid, state: &str) {
    announce_subscription_to(cx, name, (jid, state), jid);
}

/// The same, to somebody else who is to know.
pub(super) fn announce_subscription_to(
    cx: &mut Cx<'_>,
    name: &str,
    (jid, state): (&Jid, &str),
    to: &Jid,
) {
    let mut event = format!("<event xmlns='{EVENT}'><subscription");
    compose::attribute(&mut event, "node", name);
    compose::attribute(&mut event, "jid", jid.as_str());
    compose::attribute(&mut event, "subscription", state);
    event.push_str("/></event>");
    let id = random_id(cx.server.dice());
    let attributes = [("type", "headline"), ("id", id.as_str())];
    let stanza = Stanza::compose(Kind::Message, &attributes, &event);
    send(cx, &Arc::new(stanza), to);
}

pub(super) fn element(what: &str, name: &str, content: &str) -> String {
    let mut event = format!("<event xmlns='{EVENT}'><{what}");
    compose::attribute(&mut event, "node", name);
    if content.is_empty() {
        event.push_str("/></event>");
    } else {
        event.push_str(&format!(">{content}</{what}></event>"));
    }
    event
}

/// The last item, sent because somebody came (XEP-0163 §4.3.4), as the message `id`: to a contact with the
/// resource of `account` that published it (§4.3.1).
pub(super) fn last_item(
    id: &str,
    name: &str,
    (face, config): (Face, &Config),
    record: &ItemRecord,
    to_contact_of: Option<&Jid>,
) -> Arc<Stanza> {
    let mut items = String::new();
    item(&mut items, face, record, config.deliver_payloads);
    let stamp = datetime::format(record.published_ms);
    let delay = format!("<delay xmlns='urn:xmpp:delay' stamp='{stamp}'/>");
    let resource = to_contact_of.and_then(|account| publishing_resource(account, record));
    let reply_to = addresses(&resource.into_iter().collect::<Vec<Jid>>());
    message(
        id,
        config,
        &(element("items", name, &items) + &reply_to + &delay),
    )
}

/// §12.4: every event has an `id` of its own, by which a subscriber's server says what became of it.
pub(super) fn message(id: &str, config: &Config, content: &str) -> Arc<Stanza> {
    let attributes = [("id", id), ("type", "headline")];
    let attributes = &attributes[..=usize::from(config.headline)];
    Arc::new(Stanza::compose(Kind::Message, attributes, content))
}

/// To everybody who is to know of a node: for those who may see the account's presence, and for others.
fn tell(cx: &mut Cx<'_>, name: &str, config: &Config, [for_contacts, for_others]: [&str; 2]) {
    let id = random_id(cx.server.dice());
    let stanza = message(&id, config, for_contacts);
    let for_others = if for_others == for_contacts {
        stanza.clone()
    } else {
        message(&id, config, for_others)
    };
    let subscribers = subscribers(cx, name);
    for subscriber in &subscribers {
        let is_contact = gets_broadcasts(cx, subscriber);
        let stanza = if is_contact { &stanza } else { &for_others };
        let mut passing = Passing::new(stanza.clone(), cx.jid().clone(), subscriber.clone());
        if passes(cx, |feature| feature.stanza_out, &mut passing) {
            to_subscriber(cx, passing, name, &subscribers);
        }
    }
    if cx.face() == Face::Service {
        return;
    }
    // Who subscribed as a whole has it at every resource; who switched it off there wants it no other way.
    let told = [subscribers, switched_off(cx, name)].concat();
    if !told.contains(cx.jid()) {
        let to_self = Passing::new(stanza.clone(), cx.jid().clone(), cx.jid().clone());
        arrive(cx, &to_self, name, &told);
    }
    for contact in contacts(cx, name) {
        if !told.contains(&contact) {
            tell_contact(cx, &stanza, &contact, (name, &told));
        }
    }
}

/// XEP-0163 §4.3.2: who subscribed to an account's node as a whole has it at every resource that asks for
/// such and is not among those told already; where none asks, as a whole.
pub(crate) fn to_subscriber(cx: &mut Cx<'_>, event: Passing, name: &str, told: &[Jid]) {
    let is_whole = event.to.is_bare() && event.to.localpart().is_some();
    if cx.face() == Face::Service || !is_whole {
        return cx.route(event);
    }
    if event.to.domainpart() == cx.server.domain().as_str() {
        let told = resources_of(&event.to, told);
        return cx.route_errand(event, Errand::Subscribed(name.into(), told));
    }
    let wanting = cx.state.memory.neighbours.wanting(&event.to, name);
    if wanting.is_empty() {
        return cx.route(event);
    }
    for resource in wanting.into_iter().filter(|jid| !told.contains(jid)) {
        cx.route(event.addressed_to(resource));
    }
}

/// Those of a list that are resources of somebody.
fn resources_of(who: &Jid, list: &[Jid]) -> Box<[Jid]> {
    let resources = list.iter();
    let resources = resources.filter(|jid| jid.bare_str() == who.as_str() && !jid.is_bare());
    resources.cloned().collect()
}

/// Explicit subscribers who may still read.
fn subscribers(cx: &Cx<'_>, name: &str) -> Vec<Jid> {
    let Ok(node) = cx.node(name) else {
        return Vec::new();
    };
    let wants = |subscription: &Subscription| !subscription.pending && subscription.deliver;
    let subscriptions = node.subscriptions().iter();
    subscriptions
        .filter(|(_, subscription)| wants(subscription))
        .map(|(jid, _)| jid)
        .filter(|jid| Visitor::new(cx, jid).may_read(node, cx.face()).is_ok())
        .cloned()
        .collect()
}

/// §6.3: explicit subscribers who switched events off.
fn switched_off(cx: &Cx<'_>, name: &str) -> Vec<Jid> {
    let node = cx.node(name).ok();
    let all = node.iter().flat_map(|node| node.subscriptions());
    let off = all.filter(|(_, subscription)| !subscription.deliver);
    off.map(|(jid, _)| jid.clone()).collect()
}

/// XEP-0163 §4: contacts who may see presence and read the node.
fn contacts(cx: &Cx<'_>, name: &str) -> Vec<Jid> {
    let Ok(node) = cx.node(name) else {
        return Vec::new();
    };
    let items = cx.state.roster.iter();
    items
        .filter(|(_, item)| item.subscription.from)
        .map(|(jid, _)| jid)
        .filter(|jid| Visitor::new(cx, jid).may_read(node, cx.face()).is_ok())
        .cloned()
        .collect()
}

fn tell_contact(
    cx: &mut Cx<'_>,
    stanza: &Arc<Stanza>,
    contact: &Jid,
    (name, subscribers): (&str, &[Jid]),
) {
    if contact.domainpart() == cx.server.domain().as_str() {
        let mut passing = Passing::new(stanza.clone(), cx.jid().clone(), contact.clone());
        if passes(cx, |feature| feature.stanza_out, &mut passing) {
            let told = resources_of(contact, subscribers);
            cx.route_errand(passing, Errand::Event(name.into(), told));
        }
        return;
    }
    let mut wanting = cx.state.memory.neighbours.wanting(contact, name);
    wanting.retain(|resource| !subscribers.contains(resource));
    for resource in wanting {
        send(cx, stanza, &resource);
    }
}

fn send(cx: &mut Cx<'_>, stanza: &Arc<Stanza>, to: &Jid) {
    let mut passing = Passing::new(stanza.clone(), cx.jid().clone(), to.clone());
    if passes(cx, |feature| feature.stanza_out, &mut passing) {
        cx.route(passing);
    }
}

/// Whether a resource is available whose client asks for events of this node.
pub(crate) fn is_wanted(cx: &Cx<'_>, node: &str) -> bool {
    let mut resources = cx.state.available();
    resources.any(|resource| resource.memory.capabilities.wants(node))
}

/// An event for an account of ours as a whole, under its lock: to those of its available resources whose
/// clients ask for events of this node (XEP-0163 §4.3.1, §4.3.2), and were not told already.
pub(crate) fn arrive(cx: &mut Cx<'_>, event: &Passing, node: &str, told: &[Jid]) {
    let resources = cx.state.available();
    let wanting: Vec<Jid> = resources
        .filter(|resource| resource.memory.capabilities.wants(node))
        .map(|resource| resource.session.jid.clone())
        .filter(|resource| !told.contains(resource))
        .collect();
    for resource in wanting {
        let entry = Entry {
            class: Class::Later,
            ..event.entry_to(&resource)
        };
        cx.deliver(&resource, entry);
    }
}
