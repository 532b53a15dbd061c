//! The last item of a node, sent because somebody came or subscribed (XEP-0163 §4.3.4, XEP-0060 §6.1.7). It
//! is on the disk, so that this is two steps: what is to be read is decided under the lock, and sent when it
//! was read.

use super::{
    Visitor,
    config::{Config, LastItem},
    event,
    items::{Place, Shelf},
    node::Node,
};
use crate::{
    account::Cx,
    capabilities::Capabilities,
    limits::{PUBSUB_ITEM_BYTES_MAX, PUBSUB_LAST_BYTES_MAX},
    presence::gets_broadcasts,
    pubsub::face_of,
    world::random_id,
};
use store::{Error, Snapshot};
use xmpp::{Jid, Passing};

/// The last items that somebody gets.
pub(crate) struct LastItems {
    from: Jid,
    to: Jid,
    /// Who gets them may see the account's presence.
    is_contact: bool,
    /// With the ids of the messages.
    wanted: Vec<(String, Box<str>, Config, Shelf, Place)>,
    /// Of what is sent.
    bytes_max: usize,
}

/// A resource became available: what its client asks for and may read.
pub(crate) fn last_items(cx: &Cx<'_>, to: &Jid, capabilities: &Capabilities) -> LastItems {
    let sends = |node: &Node| {
        capabilities.wants(&node.name)
            && node.config(cx.face()).last_item == LastItem::OnSubscriptionAndPresence
    };
    collect(cx, to, sends, PUBSUB_LAST_BYTES_MAX)
}

/// Somebody subscribed to a node.
pub(crate) fn last_item_for(cx: &Cx<'_>, to: &Jid, name: &str) -> LastItems {
    let sends =
        |node: &Node| *node.name == *name && node.config(cx.face()).last_item != LastItem::Never;
    collect(cx, to, sends, PUBSUB_ITEM_BYTES_MAX * 2)
}

fn collect(cx: &Cx<'_>, to: &Jid, sends: impl Fn(&Node) -> bool, bytes_max: usize) -> LastItems {
    let visitor = Visitor::new(cx, to);
    let mut wanted = Vec::new();
    for node in cx.state.memory.nodes.iter().filter(|node| sends(node)) {
        if let (Some(place), Ok(())) = (node.last(), visitor.may_read(node, cx.face())) {
            let config = node.config(cx.face());
            let id = random_id(cx.server.dice());
            wanted.push((id, node.name.clone(), config, cx.shelf(node), place));
        }
    }
    LastItems {
        from: cx.jid().clone(),
        to: to.clone(),
        is_contact: gets_broadcasts(cx, to),
        wanted,
        bytes_max,
    }
}

impl LastItems {
    pub(crate) fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// The messages, as far as the items are still there.
    pub(crate) fn read(&self, snapshot: &Snapshot) -> Result<Vec<Passing>, Error> {
        let (mut messages, mut bytes) = (Vec::new(), 0);
        for (id, name, config, shelf, place) in &self.wanted {
            if bytes + place.bytes() > self.bytes_max {
                continue; // it can be asked for
            }
            bytes += place.bytes();
            if let Some(record) = shelf.read(snapshot, *place)? {
                let face = face_of(shelf.owner);
                let to_contact_of = Some(&self.from).filter(|_| self.is_contact);
                let stanza = event::last_item(id, name, (face, config), &record, to_contact_of);
                messages.push(Passing::new(stanza, self.from.clone(), self.to.clone()));
            }
        }
        Ok(messages)
    }
}
