//! What becomes of a node and its items: create, configure, purge, delete (XEP-0060 §8.1 to §8.5), and
//! retract (§7.2).

use super::{
    Refusal, Visitor,
    config::{Access, Config},
    event, expiry,
    items::Place,
    items_of, lost,
    node::{AFFILIATION, Affiliation, NODE, Node, NodeRecord, SUBSCRIPTION},
    publish::{By, is_name},
    purpose::is_private,
    shares::charged,
};
use crate::{
    account::Cx,
    feature::ItemChange,
    features::{item_changed, readers_changed},
};
use xmpp::Jid;

/// §8.1: makes a node. `fields` are of the configuration form.
pub(crate) fn create(
    cx: &mut Cx<'_>,
    visitor: &Visitor,
    name: &str,
    fields: &[(String, Vec<String>)],
) -> Result<(), Refusal> {
    visitor.may_create(cx.face())?;
    check_new(cx, visitor, name)?;
    let config = changed(cx, name, Config::of_new(cx.face(), name), fields)?;
    insert(cx, name, &visitor.jid, &config)?;
    readers_changed(cx, name, &[]);
    Ok(())
}

/// Whether there may be a node of this name, and is none yet.
pub(super) fn check_new(cx: &Cx<'_>, visitor: &Visitor, name: &str) -> Result<(), Refusal> {
    if !is_name(name) {
        return Err(Refusal::BadName);
    }
    if cx.node(name).is_ok() {
        return Err(Refusal::NodeExists);
    }
    let by = charged(cx, &visitor.jid);
    let room = cx.state.memory.nodes.has_room_for_node(by);
    room.then_some(()).ok_or(Refusal::NoRoom)
}

/// A private node (XEP-0223) stays one.
fn changed(
    cx: &Cx<'_>,
    name: &str,
    config: Config,
    fields: &[(String, Vec<String>)],
) -> Result<Config, Refusal> {
    let fields = fields
        .iter()
        .map(|(var, values)| (var.as_str(), values.as_slice()));
    if !is_private(cx.face(), name) {
        return config.with(cx.face(), fields);
    }
    let config = config.private(name).with(cx.face(), fields)?;
    match config.access {
        Access::Whitelist if config == config.clone().private(name) => Ok(config),
        Access::Whitelist => Err(Refusal::NotServed),
        _ => Err(Refusal::AccessNotServed),
    }
}

/// A new node, owned by whoever makes it: an account owns its own without a word.
pub(super) fn insert(
    cx: &mut Cx<'_>,
    name: &str,
    creator: &Jid,
    config: &Config,
) -> Result<(), Refusal> {
    let number = cx.server.next_position().ok_or(Refusal::Unavailable)?;
    let creator = creator.bare();
    let record = NodeRecord {
        number,
        shelf: number,
        config: config.clone(),
        creator: creator.as_str().to_owned(),
        created_ms: cx.now(),
    };
    cx.write(NODE.put(&(cx.id(), name.to_owned()), &record));
    let mut node = Node::new(name, cx.face(), record, creator.clone());
    if creator != *cx.jid() {
        let key = (cx.id(), number, creator.as_str().to_owned());
        cx.write(AFFILIATION.put(&key, &Affiliation::Owner));
        node.put_affiliation(creator, Affiliation::Owner);
    }
    cx.state.memory.nodes.insert(node);
    Ok(())
}

/// Takes over a configuration, if it is another one. Items that it has no room for go; the next load does
/// that again, should the power fail before their rows are gone.
pub(super) fn put_config(cx: &mut Cx<'_>, name: &str, config: &Config) -> Result<(), Refusal> {
    let (face, node) = (cx.face(), cx.node(name)?);
    if node.config(face) == *config {
        return Ok(());
    }
    let (max, shelf) = (config.items_max(), cx.shelf(node));
    if max == 0 && node.items.len() > 0 {
        clear(cx, name)?; // should items be kept again soon, these are none of them
    }
    if let Some(node) = cx.state.memory.nodes.get_mut(name) {
        node.set_config(face, config.clone());
    }
    put_row(cx, name);
    let evicted = items_of(cx, name).map(|(items, _)| items.evict(max));
    cx.sweep_items(shelf, &evicted.unwrap_or_default());
    expiry::look_anew(cx);
    readers_changed(cx, name, &[]);
    Ok(())
}

fn put_row(cx: &mut Cx<'_>, name: &str) {
    if let Ok(node) = cx.node(name) {
        let write = NODE.put(&(cx.id(), name.to_owned()), &node.record(cx.face()));
        cx.write(write);
    }
}

/// §8.2.4: applies a form whole, or refuses it whole.
pub(crate) fn configure(
    cx: &mut Cx<'_>,
    visitor: &Visitor,
    name: &str,
    fields: &[(String, Vec<String>)],
) -> Result<(), Refusal> {
    let node = cx.node(name)?;
    visitor.must_own(node)?;
    let config = changed(cx, name, node.config(cx.face()), fields)?;
    put_config(cx, name, &config)?;
    lost::node_changed(cx, name);
    if config.tell_configuration {
        event::announce_configuration(cx, name, &config);
    }
    Ok(())
}

/// §8.5: all items go.
pub(crate) fn purge(cx: &mut Cx<'_>, visitor: &Visitor, name: &str) -> Result<(), Refusal> {
    let node = cx.node(name)?;
    visitor.must_own(node)?;
    let config = node.config(cx.face());
    if !config.persist_items {
        return Err(Refusal::NotPersistent);
    }
    clear(cx, name)?;
    if config.tell_retract {
        event::announce_removal(cx, name, &config, "purge");
    }
    emptied(cx, name);
    Ok(())
}

/// Takes all items off, onto a new shelf: the next load tells what is left of the old one.
fn clear(cx: &mut Cx<'_>, name: &str) -> Result<(), Refusal> {
    let number = cx.server.next_position().ok_or(Refusal::Unavailable)?;
    let old = cx.shelf(cx.node(name)?);
    let places = items_of(cx, name).map(|(items, _)| items.clear());
    if let Some(node) = cx.state.memory.nodes.get_mut(name) {
        node.shelf = number;
    }
    put_row(cx, name);
    cx.sweep_shelf(old, &places.unwrap_or_default());
    Ok(())
}

/// §8.4: the node goes, with everything in it.
pub(crate) fn delete(cx: &mut Cx<'_>, visitor: &Visitor, name: &str) -> Result<(), Refusal> {
    let node = cx.node(name)?;
    visitor.must_own(node)?;
    let config = node.config(cx.face());
    if config.tell_delete {
        event::announce_removal(cx, name, &config, "delete");
    }
    let shelf = cx.shelf(cx.node(name)?);
    let Some(mut node) = cx.state.memory.nodes.remove(name) else {
        return Err(Refusal::NoNode);
    };
    cx.write(NODE.remove(&(cx.id(), name.to_owned())));
    for (jid, _) in node.affiliations() {
        cx.write(AFFILIATION.remove(&(cx.id(), node.number, jid.as_str().to_owned())));
    }
    for (jid, _) in node.subscriptions() {
        cx.write(SUBSCRIPTION.remove(&(cx.id(), node.number, jid.as_str().to_owned())));
    }
    let places = node.items.clear();
    cx.sweep_shelf(shelf, &places);
    emptied(cx, name);
    let kept_out: Vec<Jid> = node.kept_out().cloned().collect();
    readers_changed(cx, name, &[]);
    if !kept_out.is_empty() {
        readers_changed(cx, name, &kept_out);
    }
    Ok(())
}

pub(super) fn emptied(cx: &mut Cx<'_>, name: &str) {
    let change = ItemChange {
        node: name,
        id: "",
        payload: None,
        more: false,
    };
    item_changed(cx, &change);
}

/// Items to be removed (§7.2).
pub(crate) struct Removal<'a> {
    pub(crate) node: &'a str,
    pub(crate) ids: &'a [String],
    /// Subscribers are to know, however the node is configured.
    pub(crate) notify: bool,
}

/// §7.2: owners and publishers may take back what anybody published, others what is their own (§4.1, note).
pub(crate) fn retract(
    cx: &mut Cx<'_>,
    visitor: &Visitor,
    removal: &Removal<'_>,
    by: By,
) -> Result<(), Refusal> {
    let node = cx.node(removal.node)?;
    if visitor.affiliation(node) == Affiliation::Outcast {
        return Err(Refusal::Forbidden);
    }
    let config = node.config(cx.face());
    if !config.persist_items {
        return Err(Refusal::NotPersistent);
    }
    let nodes = &cx.state.memory.nodes;
    for id in removal.ids {
        let index = nodes.find(node, id);
        if index.is_some_and(|index| !nodes.may_remove(visitor, node, index))
            || index.is_none() && !visitor.edits(node)
        {
            return Err(Refusal::Forbidden);
        }
        index.ok_or(Refusal::NoItem)?;
    }
    let shelf = cx.shelf(node);
    let mut places: Vec<Place> = Vec::new();
    if let Some((items, hashing)) = items_of(cx, removal.node) {
        for id in removal.ids {
            places.extend(items.find(hashing, id).map(|index| items.remove(index)));
        }
    }
    cx.sweep_items(shelf, &places);
    if removal.notify || config.tell_retract {
        event::announce_retracted(cx, removal.node, &config, removal.ids);
    }
    if by == By::Client {
        for (at, id) in removal.ids.iter().enumerate() {
            let change = ItemChange {
                node: removal.node,
                id,
                payload: None,
                more: at + 1 < removal.ids.len(),
            };
            item_changed(cx, &change);
        }
    }
    Ok(())
}
