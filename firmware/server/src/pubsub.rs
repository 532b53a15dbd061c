//! Publish-subscribe (XEP-0060): one engine for the nodes of every account (XEP-0163) and for those of the
//! domain's service. What is asked and answered in XML is in `features/pubsub.rs`; here is what nodes are,
//! who may do what with them, and who is told.
//!
//! The service is an account without localpart, sessions and contacts, so that it has a lock, a queue and
//! rows as accounts have. Nodes are in memory while their account is; of an item only its place is
//! ([`items`]), so that nothing is read from the disk under a lock.

mod access;
mod config;
mod departed;
mod event;
mod expiry;
mod items;
mod last;
mod lost;
mod manage;
mod moot;
mod node;
mod people;
mod publish;
mod purpose;
mod shares;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unloaded;

pub(crate) use access::Visitor;
pub(crate) use config::{Access, Config, FIELDS, Face, Field, flag};
pub(crate) use departed::{acquainted, forget, forgetting, has_subscribers, last_words};
pub(crate) use event::{NODE_CONFIG, arrive, is_wanted, item, to_subscriber};
pub(crate) use expiry::expire;
pub(crate) use items::{ID, ITEM, ItemRecord, Place, Shelf};
pub(crate) use last::{LastItems, last_item_for, last_items};
pub(crate) use lost::contact_changed;
pub(crate) use manage::{Removal, configure, create, delete, purge, retract};
pub(crate) use node::{AFFILIATION, Affiliation, NODE, Node, SUBSCRIPTION, Subscription};
pub(crate) use people::{
    AUTHORIZATION, affiliate, answer_request, set_subscriptions, subscribe, unsubscribe,
};
pub(crate) use publish::{By, NewItem, Publication, publish};

use crate::{
    account::Cx,
    limits::{PUBSUB_NODES_MAX, PUBSUB_SWEEP_ITEMS},
    world::Timestamp,
};
use items::{Hashing, Items};
use std::collections::HashMap;
use store::{Error, Snapshot, Urgency, Write};
use xmpp::Jid;

/// The id of the service among accounts, whose ids begin with 1.
pub(crate) const SERVICE: u32 = 0;

/// Why something is not done. What peers see of it is in `features/pubsub/errors.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoNode,
    NoItem,
    Forbidden,
    /// Who may not see the account's presence.
    PresenceRequired,
    NotInGroup,
    /// Not on the whitelist.
    Closed,
    NotSubscribed,
    /// Has no subscription to end.
    Unsubscribed,
    Pending,
    SubscriptionsOff,
    NodeExists,
    NodeFull,
    /// More items in one request than are kept.
    BatchTooBig,
    /// No room for another node, item or person.
    NoRoom,
    TooManySubscriptions,
    TooBig,
    BadName,
    ItemRequired,
    PayloadRequired,
    ItemForbidden,
    Precondition,
    /// A field or value that cannot be served.
    NotServed,
    /// An access model that cannot be served.
    AccessNotServed,
    NotPersistent,
    /// Somebody else's subscription.
    InvalidJid,
    /// Not what the items of this node are made of.
    BadPayload,
    /// Nothing would be left that could change it back.
    LastOwner,
    /// The disk gives no numbers at the moment.
    Unavailable,
}

/// The nodes of an account in memory, by name.
#[derive(Default)]
pub(crate) struct Nodes {
    list: Vec<Node>,
    hashing: Hashing,
    /// No item goes by itself before; the beginning of time where nobody looked yet.
    next_expiry: Timestamp,
    /// Rows that belong to nothing: a deletion was interrupted.
    strays: Vec<Write>,
    /// Rows of items for which their node has no room any more, likewise.
    surplus: Vec<Write>,
}

impl Nodes {
    pub(crate) fn load(snapshot: &Snapshot, account: u32) -> Result<Nodes, Error> {
        let mut nodes = Nodes::default();
        let face = face_of(account);
        for row in NODE.prefix(snapshot, &account)? {
            let ((_, name), record) = row?;
            if let Ok(creator) = Jid::parse(&record.creator) {
                nodes.list.push(Node::new(&name, face, record, creator));
            }
        }
        if nodes.list.is_empty() && ID.prefix(snapshot, &account)?.next().is_none() {
            return Ok(nodes); // as for every account that never published anything
        }
        nodes.load_items(snapshot, account)?;
        nodes.load_people(snapshot, account)?;
        nodes.list.shrink_to_fit();
        Ok(nodes)
    }

    fn load_items(&mut self, snapshot: &Snapshot, account: u32) -> Result<(), Error> {
        let shelves: HashMap<u64, usize> = self.index(|node| node.shelf);
        let owner = account;
        for row in ID.prefix(snapshot, &account)? {
            let ((_, number, place), record) = row?;
            match shelves.get(&number) {
                Some(&at) => self.list[at].items.load(&self.hashing, place, &record),
                None => self.strays.extend(Shelf { owner, number }.remove(place)),
            }
        }
        for node in &mut self.list {
            let (max, number) = (node.config(face_of(account)).items_max(), node.shelf);
            for place in node.items.evict(max) {
                let shelf = Shelf { owner, number };
                self.surplus.extend(shelf.remove(place.number()));
            }
        }
        Ok(())
    }

    fn load_people(&mut self, snapshot: &Snapshot, account: u32) -> Result<(), Error> {
        let numbers: HashMap<u64, usize> = self.index(|node| node.number);
        for row in AFFILIATION.prefix(snapshot, &account)? {
            let (key, affiliation) = row?;
            match (numbers.get(&key.1), Jid::parse(&key.2)) {
                (Some(&at), Ok(jid)) => self.list[at].put_affiliation(jid, affiliation),
                _ => self.strays.push(AFFILIATION.remove(&key)),
            }
        }
        for row in SUBSCRIPTION.prefix(snapshot, &account)? {
            let (key, subscription) = row?;
            match (numbers.get(&key.1), Jid::parse(&key.2)) {
                (Some(&at), Ok(jid)) => self.list[at].put_subscription(jid, subscription),
                _ => self.strays.push(SUBSCRIPTION.remove(&key)),
            }
        }
        Ok(())
    }

    fn index(&self, number: impl Fn(&Node) -> u64) -> HashMap<u64, usize> {
        let numbers = self.list.iter().enumerate();
        numbers.map(|(at, node)| (number(node), at)).collect()
    }

    /// Removals of what an interrupted deletion left, a sweep at a time: first those that nothing may
    /// overtake (`sweep_items`).
    pub(crate) fn take_strays(&mut self) -> Vec<(Vec<Write>, Urgency)> {
        let surplus = in_sweeps(std::mem::take(&mut self.surplus));
        let strays = in_sweeps(std::mem::take(&mut self.strays));
        let surplus = surplus.into_iter().map(|sweep| (sweep, Urgency::Soon));
        let strays = strays.into_iter().map(|sweep| (sweep, Urgency::Idle));
        surplus.chain(strays).collect()
    }

    /// All nodes, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Node> {
        self.list.iter()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        self.place(name).ok().map(|at| &self.list[at])
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        let at = self.place(name).ok()?;
        Some(&mut self.list[at])
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.list.binary_search_by(|node| (*node.name).cmp(name))
    }

    /// Where the item of this id is among those of its node.
    pub(crate) fn find(&self, node: &Node, id: &str) -> Option<usize> {
        node.items.find(&self.hashing, id)
    }

    /// §4.1, note: whether somebody may remove the item at this index, or put another in its place.
    fn may_remove(&self, visitor: &Visitor, node: &Node, index: usize) -> bool {
        visitor.edits(node)
            || node
                .items
                .is_by(&self.hashing, index, visitor.jid.bare_str())
    }

    fn insert(&mut self, node: Node) {
        if let Err(at) = self.place(&node.name) {
            self.list.reserve_exact(1);
            self.list.insert(at, node);
        }
    }

    fn remove(&mut self, name: &str) -> Option<Node> {
        let at = self.place(name).ok()?;
        Some(self.list.remove(at))
    }
}

/// What is in a node, oldest first, for what is read with its account.
pub(crate) fn stored_items(
    nodes: &Nodes,
    snapshot: &Snapshot,
    account: u32,
    name: &str,
) -> Result<Vec<ItemRecord>, Error> {
    let Some(node) = nodes.get(name) else {
        return Ok(Vec::new());
    };
    let shelf = Shelf {
        owner: account,
        number: node.shelf,
    };
    let places = node.items.get(0..node.items.len());
    let items = places.into_iter().map(|place| shelf.read(snapshot, place));
    items.filter_map(Result::transpose).collect()
}

/// Which kind of nodes an account has.
pub(crate) fn face_of(account: u32) -> Face {
    if account == SERVICE {
        Face::Service
    } else {
        Face::Personal
    }
}

impl Cx<'_> {
    /// Which kind of nodes this account has.
    pub(crate) fn face(&self) -> Face {
        face_of(self.id())
    }

    /// Where the items of a node are.
    pub(crate) fn shelf(&self, node: &Node) -> Shelf {
        Shelf {
            owner: self.id(),
            number: node.shelf,
        }
    }

    /// Whether so many nodes, and items of so many bytes together, may be added.
    pub(crate) fn has_room_for(&self, nodes: usize, items: usize, bytes: usize) -> bool {
        let known = &self.state.memory.nodes;
        known.list.len() + nodes <= PUBSUB_NODES_MAX && known.has_room_for(None, (items, bytes, 0))
    }

    /// Its own node of that name.
    pub(crate) fn node(&self, name: &str) -> Result<&Node, Refusal> {
        self.state.memory.nodes.get(name).ok_or(Refusal::NoNode)
    }

    /// Removes items from the disk: with everything else that is decided now where they are as few as a
    /// person names, and right behind it where they are many. The next load removes what a power cut left of
    /// them, as long as the newer ones are there: no later write may overtake that.
    fn sweep_items(&mut self, shelf: Shelf, places: &[Place]) {
        let removals = places.iter().flat_map(|place| shelf.remove(place.number()));
        if places.len() <= PUBSUB_SWEEP_ITEMS {
            removals.for_each(|write| self.write(write));
        } else {
            self.sweep(in_sweeps(removals.collect()));
        }
    }

    /// The same for a shelf that was given up: nothing will be put there, so many can wait until nothing else
    /// is to be written.
    fn sweep_shelf(&mut self, shelf: Shelf, places: &[Place]) {
        if places.len() <= PUBSUB_SWEEP_ITEMS {
            return self.sweep_items(shelf, places);
        }
        let removals = places.iter().flat_map(|place| shelf.remove(place.number()));
        for sweep in in_sweeps(removals.collect()) {
            self.server.store().queue(sweep, Urgency::Idle);
        }
    }
}

/// Writes in batches that nobody notices.
fn in_sweeps(writes: Vec<Write>) -> Vec<Vec<Write>> {
    let mut sweeps = Vec::new();
    let mut writes = writes.into_iter().peekable();
    while writes.peek().is_some() {
        sweeps.push(writes.by_ref().take(PUBSUB_SWEEP_ITEMS * 2).collect());
    }
    sweeps
}

/// A node's items, for the parts that change them.
fn items_of<'a>(cx: &'a mut Cx<'_>, name: &str) -> Option<(&'a mut Items, &'a Hashing)> {
    let nodes = &mut cx.state.memory.nodes;
    let at = nodes.place(name).ok()?;
    Some((&mut nodes.list[at].items, &nodes.hashing))
}
