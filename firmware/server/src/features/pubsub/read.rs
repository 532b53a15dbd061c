//! What subscribers read: items, and what they are to nodes (XEP-0060 §5.6, §5.7, §6.3, §6.4, §6.5).

use super::{
    NS, change,
    errors::{NOT_SUBSCRIBED, condition},
    lists,
    request::Request,
};
use crate::{
    account::Cx,
    feature::{Iq, Plan, Read},
    features::page::{Asked, Page},
    limits::{LIST_BYTES_MAX, PUBSUB_IDS_MAX},
    pubsub::{self, Affiliation, Face, ItemRecord, Node, Place, Shelf, Visitor},
};
use store::Snapshot;
use tracing::error;
use xmpp::{
    Element, StanzaError, compose,
    form::{FieldType, Writer},
    rsm,
};

const FEWER: StanzaError = StanzaError::POLICY_VIOLATION.with_text("fewer items at a time, please");

pub(in crate::features) fn ask(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Result<Plan, StanzaError> {
    let request = Request::read(iq)?;
    let visitor = Visitor::new(cx, &iq.passing.from);
    let result = match request.action.name.as_str() {
        "items" => return items(cx, &visitor, &request),
        "subscriptions" => subscriptions(cx, &visitor, &request)?,
        "affiliations" => affiliations(cx, &visitor, &request)?,
        "default" => wrapped("default", request.action.attr("node"), &default_options()),
        "options" => options(cx, &visitor, &request)?,
        _ => return Err(StanzaError::FEATURE_NOT_IMPLEMENTED),
    };
    let result = format!("<pubsub xmlns='{NS}'>{result}</pubsub>");
    Ok(Box::new(move |_| Ok(Read::of(result))))
}

/// The nodes that a request is about: one, or all.
fn nodes<'a>(cx: &'a Cx<'_>, request: &'a Request) -> impl Iterator<Item = &'a Node> {
    let named = request.action.attr("node");
    let all = cx.state.memory.nodes.iter();
    all.filter(move |node| named.is_none_or(|name| *node.name == *name))
}

/// §5.6.
fn subscriptions(cx: &Cx<'_>, visitor: &Visitor, request: &Request) -> Result<String, StanzaError> {
    let own: Vec<_> = nodes(cx, request)
        .flat_map(|node| node.subscriptions().iter().map(move |one| (node, one)))
        .filter(|(_, (jid, _))| jid.bare_str() == visitor.jid.bare_str())
        .collect();
    let (list, set) = lists::page(request, &own, |list, (node, (jid, subscription))| {
        change::write(list, Some(&node.name), jid, *subscription);
        format!("{jid} {}", node.name)
    })?;
    Ok(wrapped("subscriptions", request.action.attr("node"), &list) + &set)
}

/// §5.7.
fn affiliations(cx: &Cx<'_>, visitor: &Visitor, request: &Request) -> Result<String, StanzaError> {
    let own: Vec<_> = nodes(cx, request)
        .map(|node| (node, visitor.affiliation(node)))
        .filter(|(_, affiliation)| *affiliation != Affiliation::None)
        .collect();
    let (list, set) = lists::page(request, &own, |list, (node, affiliation)| {
        list.push_str("<affiliation");
        compose::attribute(list, "node", &node.name);
        compose::attribute(list, "affiliation", affiliation.name());
        list.push_str("/>");
        node.name.to_string()
    })?;
    Ok(wrapped("affiliations", request.action.attr("node"), &list) + &set)
}

pub(super) fn wrapped(what: &str, node: Option<&str>, content: &str) -> String {
    let mut out = format!("<{what}");
    if let Some(node) = node {
        compose::attribute(&mut out, "node", node);
    }
    if content.is_empty() {
        return out + "/>";
    }
    out + &format!(">{content}</{what}>")
}

/// §6.3.2.
fn options(cx: &Cx<'_>, visitor: &Visitor, request: &Request) -> Result<String, StanzaError> {
    let (name, jid) = (request.node()?, request.jid()?);
    let subscription = cx.node(name).map_err(condition)?.subscription(&jid);
    if jid.bare_str() != visitor.jid.bare_str() {
        return Err(StanzaError::FORBIDDEN);
    }
    let subscription = subscription.ok_or(NOT_SUBSCRIBED)?;
    let mut out = String::from("<options");
    compose::attribute(&mut out, "node", name);
    compose::attribute(&mut out, "jid", jid.as_str());
    Ok(out + &format!(">{}</options>", options_form(subscription.deliver)))
}

/// §6.4.2.
pub(super) fn default_options() -> String {
    Writer::result(change::SUBSCRIBE_OPTIONS)
        .field(FieldType::Boolean, "pubsub#deliver", &["1"])
        .finish()
}

fn options_form(deliver: bool) -> String {
    let deliver = if deliver { "1" } else { "0" };
    let field = (
        FieldType::Boolean,
        "pubsub#deliver",
        "Whether to be told of items",
    );
    Writer::form(change::SUBSCRIBE_OPTIONS)
        .labelled(field, &[], &[deliver])
        .finish()
}

/// Which items, decided under the lock.
struct Wanted {
    node: String,
    shelf: Shelf,
    face: Face,
    places: Vec<Place>,
    /// Of all items; `None` where they are named.
    page: Option<Page>,
}

/// §6.5.
fn items(cx: &mut Cx<'_>, visitor: &Visitor, request: &Request) -> Result<Plan, StanzaError> {
    let name = request.node()?;
    let node = cx.node(name).map_err(condition)?;
    visitor.may_read(node, cx.face()).map_err(condition)?;
    let mut wanted = Wanted {
        node: name.to_owned(),
        shelf: cx.shelf(node),
        face: cx.face(),
        places: Vec::new(),
        page: None,
    };
    let ids: Vec<&Element> = request
        .action
        .elements()
        .filter(|e| e.is(NS, "item"))
        .collect();
    if ids.is_empty() {
        wanted.page(cx, node, request)?;
    } else {
        // §6.5.8; what is not there is left out (§6.5.9.12).
        if ids.len() > PUBSUB_IDS_MAX {
            return Err(FEWER);
        }
        for item in ids {
            let id = item.attr("id").ok_or(StanzaError::BAD_REQUEST)?;
            let found = cx.state.memory.nodes.find(node, id);
            wanted
                .places
                .extend(found.and_then(|index| node.items.get(index..index + 1).pop()));
        }
        // What is left out would seem not to be there.
        let bytes: usize = wanted.places.iter().map(|place| place.bytes()).sum();
        if bytes > LIST_BYTES_MAX {
            return Err(FEWER);
        }
    }
    Ok(Box::new(move |snapshot| {
        wanted.read(snapshot).map(Read::of).map_err(|error| {
            error!(%error, "items cannot be read");
            StanzaError::INTERNAL
        })
    }))
}

impl Wanted {
    /// §6.5.2, §6.5.4, §6.5.7.
    fn page(&mut self, cx: &Cx<'_>, node: &Node, request: &Request) -> Result<(), StanzaError> {
        let newest = request.action.attr("max_items");
        let newest: Option<usize> = newest
            .map(|max| max.parse().map_err(|_| StanzaError::BAD_REQUEST))
            .transpose()?;
        let asked = Asked::read(request.beside("set"), rsm::Page::First)?.newest(newest);
        let find = |id: &str| cx.state.memory.nodes.find(node, id);
        let page = asked.of(node.items.len(), find)?;
        self.places = node.items.get(page.range.clone());
        self.page = Some(page);
        Ok(())
    }

    fn read(&self, snapshot: &Snapshot) -> Result<String, store::Error> {
        let read = |place: usize| self.shelf.read(snapshot, self.places[place]);
        let Some(page) = &self.page else {
            let records = (0..self.places.len()).map(read);
            let records: Result<Vec<_>, _> = records.filter_map(Result::transpose).collect();
            return Ok(self.answer(&records?, ""));
        };
        let (records, left_out) = page.fill(read, |record| record.payload.len())?;
        let ends = records.first().zip(records.last());
        let ends = ends.map(|(first, last)| (first.id.clone(), last.id.clone()));
        Ok(self.answer(&records, &page.set(ends, left_out)))
    }

    fn answer(&self, records: &[ItemRecord], set: &str) -> String {
        let mut list = String::new();
        for record in records {
            pubsub::item(&mut list, self.face, record, true);
        }
        let items = wrapped("items", Some(&self.node), &list);
        format!("<pubsub xmlns='{NS}'>{items}{set}</pubsub>")
    }
}
