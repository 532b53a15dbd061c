//! Publishing (XEP-0060 §7.1): one decision under the lock, one commit.

use super::{
    Refusal, Visitor,
    config::{Access, Config, WhenFull},
    event::{self, Published},
    items::{ItemRecord, Place},
    items_of,
    manage::{self, Removal},
    node::Node,
    purpose::{holds_keys, is_private},
    shares::charged,
};
use crate::{
    account::Cx,
    feature::ItemChange,
    features::{item_changed, items_offered, readers_changed},
    limits::{PUBSUB_BATCH_MAX, PUBSUB_ID_BYTES_MAX},
    world::random_id,
};
use xmpp::Jid;

/// What is to be published.
pub(crate) struct Publication<'a> {
    pub(crate) node: &'a str,
    pub(crate) items: Vec<NewItem>,
    /// Fields of the form of preconditions (§7.1.5).
    pub(crate) options: Option<Vec<(String, Vec<String>)>>,
}

pub(crate) struct NewItem {
    /// `None` for one of ours.
    pub(crate) id: Option<String>,
    /// XML that stands by itself; empty for none.
    pub(crate) payload: String,
}

/// Who decided to publish. What a feature publishes for an account is not shown to features, so that two of
/// them cannot go on answering each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Client,
    Server,
}

/// Publishes items, makes the node where there is none (§7.1.4), and tells whoever is to know. Gives the ids.
/// Nothing happens where anything is refused.
pub(crate) fn publish(
    cx: &mut Cx<'_>,
    visitor: &Visitor,
    mut publication: Publication<'_>,
    by: By,
) -> Result<Vec<String>, Refusal> {
    let name = publication.node;
    let known = cx.node(name).is_ok();
    let config = if known {
        configuration(cx, visitor, &publication)?
    } else {
        visitor.may_create(cx.face())?;
        manage::check_new(cx, visitor, name)?;
        let usual = Config::of_new(cx.face(), name);
        if is_private(cx.face(), name) {
            private(cx, usual, &publication)?
        } else {
            with_options(cx, &usual, &publication)?
        }
    };
    if by == By::Client {
        items_offered(cx, name, &mut publication.items)?;
    }
    admit(cx, visitor, &publication, &config)?;
    if known {
        manage::put_config(cx, name, &config)?;
    } else {
        manage::insert(cx, name, &visitor.jid, &config)?;
    }
    let ids = keep_and_tell(cx, &visitor.jid, publication, &config, by);
    if !known && by == By::Client {
        readers_changed(cx, name, &[]);
    }
    Ok(ids)
}

/// What the preconditions make of a configuration.
fn with_options(
    cx: &Cx<'_>,
    config: &Config,
    publication: &Publication<'_>,
) -> Result<Config, Refusal> {
    let options = publication.options.iter().flatten();
    let options = options.map(|(var, values)| (var.as_str(), values.as_slice()));
    config.with(cx.face(), options)
}

/// Whether somebody may publish under these preconditions; the configuration from then on, which is another
/// one only for nodes with keys (XEP-0384): there a client that wants what everybody needs gets it, instead
/// of going on with a node that nobody can read.
fn configuration(
    cx: &Cx<'_>,
    visitor: &Visitor,
    publication: &Publication<'_>,
) -> Result<Config, Refusal> {
    let node = cx.node(publication.node)?;
    visitor.may_publish(node, cx.face())?;
    let config = node.config(cx.face());
    if visitor.is_account && is_private(cx.face(), publication.node) {
        return private(cx, config, publication);
    }
    let mut wanted = with_options(cx, &config, publication)?;
    if visitor.is_account && holds_keys(publication.node) {
        let says_access = |options: &Vec<(String, Vec<String>)>| {
            options.iter().any(|(var, _)| var == "pubsub#access_model")
        };
        if !publication.options.as_ref().is_some_and(says_access) {
            wanted.access = Access::Open;
        }
        // Who may read is repaired, and more may be kept from now on: keys that are there stay.
        let mut repaired = Config {
            access: Access::Open,
            persist_items: true,
            ..config.clone()
        };
        if wanted.items_max() > config.items_max() {
            repaired.max_items = wanted.max_items;
        }
        if wanted == repaired {
            return Ok(wanted);
        }
    }
    if wanted == config {
        Ok(config)
    } else {
        Err(Refusal::Precondition)
    }
}

/// The configuration of a private node (XEP-0223) from now on. Preconditions are taken over, because apps do
/// not agree on them, and who is refused does not publish; but nobody is let in, and what such a node has to
/// be it becomes again.
fn private(cx: &Cx<'_>, config: Config, publication: &Publication<'_>) -> Result<Config, Refusal> {
    let wanted = with_options(cx, &config.private(publication.node), publication)?;
    if wanted.access == Access::Whitelist {
        Ok(wanted.private(publication.node))
    } else {
        Err(Refusal::Precondition)
    }
}

/// §7.1.3.4 to §7.1.3.7 and §12.11, for all items before the first one is kept.
fn admit(
    cx: &Cx<'_>,
    visitor: &Visitor,
    publication: &Publication<'_>,
    config: &Config,
) -> Result<(), Refusal> {
    let items = &publication.items;
    let carries = config.persist_items || config.deliver_payloads;
    if items.is_empty() && carries {
        return Err(Refusal::ItemRequired);
    }
    if !items.is_empty() && !carries {
        return Err(Refusal::ItemForbidden);
    }
    if items.len() > PUBSUB_BATCH_MAX {
        return Err(Refusal::BatchTooBig);
    }
    let (mut bytes, mut new, mut replaced) = (0, 0, 0);
    let (nodes, node) = (&cx.state.memory.nodes, cx.node(publication.node).ok());
    for item in items {
        // §4.3, table 6: what is not sent along need not be there.
        if item.payload.is_empty() && config.deliver_payloads {
            return Err(Refusal::PayloadRequired);
        }
        let id = item.id.as_deref();
        if id.is_some_and(|id| id.is_empty() || id.len() > PUBSUB_ID_BYTES_MAX) {
            return Err(Refusal::BadName);
        }
        if item.payload.len() > config.max_payload as usize {
            return Err(Refusal::TooBig);
        }
        bytes += item.payload.len();
        let known = node
            .zip(id)
            .and_then(|(node, id)| Some((node, nodes.find(node, id)?)));
        // What somebody else said stays what they said, unless one may remove it, too.
        if known.is_some_and(|(node, index)| !nodes.may_remove(visitor, node, index)) {
            return Err(Refusal::Forbidden);
        }
        new += usize::from(known.is_none());
        replaced += known.map_or(0, |(node, index)| node.items.bytes_at(index));
    }
    if !config.persist_items {
        return Ok(());
    }
    if items.len() > 1 && items.len() > config.items_max() {
        return Err(Refusal::BatchTooBig);
    }
    let kept = node.map_or(0, |node| node.items.len());
    let surplus = (kept + new).saturating_sub(config.items_max());
    if surplus > 0 && config.when_full == WhenFull::Reject {
        return Err(Refusal::NodeFull);
    }
    let evicted = node.map_or(0, |node| node.items.bytes_of_oldest(surplus));
    let by = charged(cx, node.map_or(&visitor.jid, |node| &node.creator));
    let more = (new.saturating_sub(surplus), bytes, replaced + evicted);
    let room = nodes.has_room_for(by, more);
    room.then_some(()).ok_or(Refusal::NoRoom)
}

fn keep_and_tell(
    cx: &mut Cx<'_>,
    publisher: &Jid,
    publication: Publication<'_>,
    config: &Config,
    by: By,
) -> Vec<String> {
    let name = publication.node;
    let now = cx.now();
    let mut records = Vec::new();
    for item in publication.items {
        records.push(ItemRecord {
            id: item.id.unwrap_or_else(|| random_id(cx.server.dice())),
            publisher: publisher.as_str().to_owned(),
            published_ms: now,
            payload: item.payload,
        });
    }
    if config.persist_items {
        for record in &records {
            keep(cx, name, record, config);
        }
    }
    event::announce(cx, name, config, &Published(&records));
    if by == By::Client {
        for (at, record) in records.iter().enumerate() {
            let change = ItemChange {
                node: name,
                id: &record.id,
                payload: Some(&record.payload),
                more: at + 1 < records.len(),
            };
            item_changed(cx, &change);
        }
    }
    records.into_iter().map(|record| record.id).collect()
}

/// Puts an item onto the shelf, in the place of the one with its id or of the oldest.
fn keep(cx: &mut Cx<'_>, name: &str, record: &ItemRecord, config: &Config) {
    let shelf = cx.node(name).map(|node| cx.shelf(node));
    let (Ok(shelf), Some((items, hashing))) = (shelf, items_of(cx, name)) else {
        return;
    };
    let short = record.short();
    let replaced = items
        .find(hashing, &record.id)
        .map(|index| items.remove(index));
    let place = items.push(hashing, &short);
    let evicted = items.evict(config.items_max());
    // In this order: the place may be that of the item that goes.
    cx.sweep_items(shelf, replaced.as_slice());
    cx.sweep_items(shelf, &evicted);
    for write in shelf.keep(place, record, &short) {
        cx.write(write);
    }
    cx.state.memory.nodes.expires(place, config);
}

impl Cx<'_> {
    /// Publishes one item on behalf of the account, as its own clients could, and tells its devices and
    /// contacts. Features are not told ([`By::Server`]).
    pub(crate) fn publish(
        &mut self,
        node: &str,
        id: &str,
        payload: String,
        options: &[(&str, &str)],
    ) -> Result<(), Refusal> {
        let owned = |(var, value): &(&str, &str)| ((*var).to_owned(), vec![(*value).to_owned()]);
        let publication = Publication {
            node,
            items: vec![NewItem {
                id: Some(id.to_owned()),
                payload,
            }],
            options: (!options.is_empty()).then(|| options.iter().map(owned).collect()),
        };
        publish(self, &Visitor::account(self), publication, By::Server).map(|_| ())
    }

    /// Removes an item on behalf of the account. Features are not told.
    pub(crate) fn retract(&mut self, node: &str, id: &str) -> Result<(), Refusal> {
        let removal = Removal {
            node,
            ids: &[id.to_owned()],
            notify: false,
        };
        manage::retract(self, &Visitor::account(self), &removal, By::Server)
    }
}

/// Whether a node may have this name.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= PUBSUB_ID_BYTES_MAX
}

impl Node {
    /// The newest item.
    pub(crate) fn last(&self) -> Option<Place> {
        self.items.last()
    }
}
