//! What there is to be found (XEP-0060 §5.1 to §5.5): nodes, what they are like, and their items.

use super::errors::condition;
use crate::{
    account::Cx,
    feature::{Answer, Iq, On, Plan, Read},
    features::disco::entity_info,
    limits::PUBSUB_PAGE_ITEMS_MAX,
    pubsub::{Affiliation, FIELDS, Node, Visitor},
};
use tracing::error;
use xmpp::{
    Jid, StanzaError, compose, datetime,
    form::{FieldType, Writer},
};

pub(super) const INFO: &str = "http://jabber.org/protocol/disco#info";
pub(super) const ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// FORM_TYPE of what is told of a node (§5.4).
const META_DATA: &str = "http://jabber.org/protocol/pubsub#meta-data";

pub(super) fn info_of_service(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    match iq.payload.attr("node") {
        None => Ok(entity_info(On::PubsubService)),
        Some(node) => node_info(cx, &iq.passing.from, &node),
    }
}

/// §5.3, §5.4. That there is a node is told to those who may read it, or subscribe.
pub(in crate::features) fn node_info(cx: &Cx<'_>, from: &Jid, name: &str) -> Answer {
    let node = cx.node(name).map_err(condition)?;
    let visitor = Visitor::new(cx, from);
    visitor.may_know(node, cx.face()).map_err(condition)?;
    let mut out = format!("<query xmlns='{INFO}'");
    compose::attribute(&mut out, "node", name);
    out.push_str("><identity category='pubsub' type='leaf'");
    let config = node.config(cx.face());
    if !config.title.is_empty() {
        compose::attribute(&mut out, "name", &config.title);
    }
    out.push_str("/><feature var='http://jabber.org/protocol/pubsub'/>");
    out.push_str(&meta_data(cx, node));
    Ok(out + "</query>")
}

fn meta_data(cx: &Cx<'_>, node: &Node) -> String {
    let config = node.config(cx.face());
    let of_jids = |meant: Affiliation| -> Vec<&str> {
        let given = node
            .affiliations()
            .iter()
            .filter(|(_, given)| *given == meant);
        given.map(|(jid, _)| jid.as_str()).collect()
    };
    let mut owners = of_jids(Affiliation::Owner);
    if cx.jid().localpart().is_some() {
        owners.push(cx.jid().as_str());
    }
    let mut subscriptions = node.subscriptions().iter();
    let subscribers = subscriptions
        .by_ref()
        .filter(|(_, s)| !s.pending)
        .count()
        .to_string();
    let (creator, created) = (node.creator.as_str(), datetime::format(node.created));
    let mut form = Writer::result(META_DATA)
        .field(FieldType::JidSingle, "pubsub#creator", &[creator])
        .field(FieldType::TextSingle, "pubsub#creation_date", &[&created])
        .field(FieldType::JidMulti, "pubsub#owner", &owners)
        .field(
            FieldType::JidMulti,
            "pubsub#publisher",
            &of_jids(Affiliation::Publisher),
        )
        .field(
            FieldType::TextSingle,
            "pubsub#num_subscribers",
            &[&subscribers],
        );
    const TOLD: [&str; 7] = [
        "pubsub#title",
        "pubsub#description",
        "pubsub#language",
        "pubsub#type",
        "pubsub#access_model",
        "pubsub#publish_model",
        "pubsub#max_items",
    ];
    for field in FIELDS.iter().filter(|field| TOLD.contains(&field.var)) {
        let values = (field.get)(&config);
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        form = form.field(field.type_, field.var, &values);
    }
    form.finish()
}

/// §5.2, §5.5.
pub(super) fn items_of_service(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Result<Plan, StanzaError> {
    match iq.payload.attr("node") {
        None => Ok(nodes(cx, &iq.passing.from)),
        Some(node) => items_of_node(cx, &iq.passing.from, &node),
    }
}

/// The same for an account. XEP-0030 §8: of what somebody may not see they are told nothing.
pub(in crate::features) fn items_of_account(
    cx: &mut Cx<'_>,
    iq: &Iq<'_>,
) -> Result<Plan, StanzaError> {
    let from = &iq.passing.from;
    let Some(node) = iq.payload.attr("node") else {
        return Ok(nodes(cx, from));
    };
    match items_of_node(cx, from, &node) {
        Err(_) if from.bare() != *cx.jid() => {
            let mut nothing = format!("<query xmlns='{ITEMS}'");
            compose::attribute(&mut nothing, "node", &node);
            nothing.push_str("/>");
            Ok(Box::new(move |_| Ok(Read::of(nothing))))
        }
        items => items,
    }
}

/// The nodes that somebody may subscribe to or read (XEP-0163 §6.2).
fn nodes(cx: &Cx<'_>, from: &Jid) -> Plan {
    let visitor = Visitor::new(cx, from);
    let mut list = String::new();
    let all = cx.state.memory.nodes.iter();
    for node in all.filter(|node| visitor.may_know(node, cx.face()).is_ok()) {
        list.push_str("<item");
        compose::attribute(&mut list, "jid", cx.jid().as_str());
        compose::attribute(&mut list, "node", &node.name);
        let title = node.config(cx.face()).title;
        if !title.is_empty() {
            compose::attribute(&mut list, "name", &title);
        }
        list.push_str("/>");
    }
    let result = query(None, &list);
    Box::new(move |_| Ok(Read::of(result)))
}

fn query(node: Option<&str>, list: &str) -> String {
    let mut out = format!("<query xmlns='{ITEMS}'");
    if let Some(node) = node {
        compose::attribute(&mut out, "node", node);
    }
    if list.is_empty() {
        return out + "/>";
    }
    out + &format!(">{list}</query>")
}

/// The ids of a node's items, newest last; of very many the newest.
fn items_of_node(cx: &Cx<'_>, from: &Jid, name: &str) -> Result<Plan, StanzaError> {
    let node = cx.node(name).map_err(condition)?;
    Visitor::new(cx, from)
        .may_read(node, cx.face())
        .map_err(condition)?;
    let count = node.items.len();
    let places = node
        .items
        .get(count.saturating_sub(PUBSUB_PAGE_ITEMS_MAX)..count);
    let (shelf, jid, name) = (cx.shelf(node), cx.jid().clone(), name.to_owned());
    Ok(Box::new(move |snapshot| {
        let mut list = String::new();
        for place in &places {
            let id = shelf.read_id(snapshot, *place).map_err(|error| {
                error!(%error, "ids of items cannot be read");
                StanzaError::INTERNAL
            })?;
            let Some(id) = id else { continue };
            list.push_str("<item");
            compose::attribute(&mut list, "jid", jid.as_str());
            compose::attribute(&mut list, "name", &id);
            list.push_str("/>");
        }
        Ok(Read::of(query(Some(&name), &list)))
    }))
}
