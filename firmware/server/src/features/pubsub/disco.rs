//! What there is to be found (XEP-0060 §5.1 to §5.5): nodes, what they are like, and their items.

use super::errors::condition;
use crate::{
    account::Cx,
    feature::{Answer, Iq, On, Plan, Read},
    features::{
        disco::entity_info,
        page::{Asked, Page},
    },
    pubsub::{Affiliation, FIELDS, Node, Visitor},
};
use tracing::error;
use xmpp::{
    Jid, StanzaError, compose, datetime,
    form::{FieldType, Writer},
    rsm,
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
        None => nodes(cx, iq),
        Some(node) => items_of_node(cx, iq, &node),
    }
}

/// The same for an account. XEP-0030 §8: of what somebody may not see they are told nothing.
pub(in crate::features) fn items_of_account(
    cx: &mut Cx<'_>,
    iq: &Iq<'_>,
) -> Result<Plan, StanzaError> {
    let Some(node) = iq.payload.attr("node") else {
        return nodes(cx, iq);
    };
    let name = node.as_ref();
    let visitor = Visitor::new(cx, &iq.passing.from);
    let may_read = cx
        .node(name)
        .and_then(|node| visitor.may_read(node, cx.face()));
    if may_read.is_err() && !visitor.is_account {
        let nothing = query(Some(name), "");
        return Ok(Box::new(move |_| Ok(Read::of(nothing))));
    }
    items_of_node(cx, iq, name)
}

/// Which page is asked for (XEP-0059 §3), and otherwise this end of it all.
fn asked(iq: &Iq<'_>, otherwise: rsm::Page) -> Result<Asked, StanzaError> {
    let query = iq.payload.element();
    Asked::read(query.child(rsm::NS, "set"), otherwise)
}

/// The nodes that somebody may subscribe to or read (XEP-0163 §6.2), by name.
fn nodes(cx: &Cx<'_>, iq: &Iq<'_>) -> Result<Plan, StanzaError> {
    let visitor = Visitor::new(cx, &iq.passing.from);
    let all = cx.state.memory.nodes.iter();
    let all = all.filter(|node| visitor.may_know(node, cx.face()).is_ok());
    let all: Vec<&Node> = all.collect();
    let find = |id: &str| all.iter().position(|node| *node.name == *id);
    let page = asked(iq, rsm::Page::First)?.of(all.len(), find)?;
    let read = |place: usize| {
        let node = all[page.range.start + place];
        let title = node.config(cx.face()).title;
        let title = (!title.is_empty()).then_some(&*title);
        Ok(Some((
            node.name.to_string(),
            item(cx.jid(), Some(&node.name), title),
        )))
    };
    let result = listed(&page, None, read)?;
    Ok(Box::new(move |_| Ok(Read::of(result))))
}

fn item(jid: &Jid, node: Option<&str>, name: Option<&str>) -> String {
    let mut out = String::from("<item");
    compose::attribute(&mut out, "jid", jid.as_str());
    for (attribute, value) in [("node", node), ("name", name)] {
        if let Some(value) = value {
            compose::attribute(&mut out, attribute, value);
        }
    }
    out + "/>"
}

/// What is on a page, read as what it is called in `<set/>` and the element.
fn listed(
    page: &Page,
    node: Option<&str>,
    read: impl Fn(usize) -> Result<Option<(String, String)>, StanzaError>,
) -> Result<String, StanzaError> {
    let (items, left_out) = page.fill(read, |(_, item)| item.len())?;
    let ends = items.first().zip(items.last());
    let ends = ends.map(|((first, _), (last, _))| (first.clone(), last.clone()));
    let set = page.set(ends, left_out);
    let items: String = items.into_iter().map(|(_, item)| item).collect();
    Ok(query(node, &(items + &set)))
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
fn items_of_node(cx: &Cx<'_>, iq: &Iq<'_>, name: &str) -> Result<Plan, StanzaError> {
    let node = cx.node(name).map_err(condition)?;
    Visitor::new(cx, &iq.passing.from)
        .may_read(node, cx.face())
        .map_err(condition)?;
    let find = |id: &str| cx.state.memory.nodes.find(node, id);
    let page = asked(iq, rsm::Page::Last)?.of(node.items.len(), find)?;
    let places = node.items.get(page.range.clone());
    let (shelf, jid, name) = (cx.shelf(node), cx.jid().clone(), name.to_owned());
    Ok(Box::new(move |snapshot| {
        let read = |place: usize| match shelf.read_id(snapshot, places[place]) {
            Ok(id) => Ok(id.map(|id| {
                let item = item(&jid, None, Some(&id));
                (id, item)
            })),
            Err(error) => {
                error!(%error, "ids of items cannot be read");
                Err(StanzaError::INTERNAL)
            }
        };
        listed(&page, Some(&name), read).map(Read::of)
    }))
}
