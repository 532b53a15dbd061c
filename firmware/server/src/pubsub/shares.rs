//! Whether there is room for more, and whose it is: an account has all of its nodes' room for itself, and the
//! service is everybody's.

use super::{Face, Node, Nodes};
use crate::{
    account::Cx,
    limits::{
        PUBSUB_BYTES_MAX, PUBSUB_NODE_ITEMS_MAX, PUBSUB_NODES_MAX, PUBSUB_PEOPLE_MAX, PUBSUB_SHARES,
    },
};
use xmpp::Jid;

impl Nodes {
    /// What counts against a limit: every node, and with somebody's name those that they made.
    fn made<'a>(&'a self, by: Option<&'a str>) -> impl Iterator<Item = &'a Node> {
        let nodes = self.list.iter();
        nodes.filter(move |node| by.is_none_or(|by| node.creator.as_str() == by))
    }

    pub(super) fn has_room_for_node(&self, by: Option<&str>) -> bool {
        let has_share = |by| self.made(Some(by)).count() < PUBSUB_NODES_MAX / PUBSUB_SHARES;
        self.list.len() < PUBSUB_NODES_MAX && by.is_none_or(has_share)
    }

    /// Whether so many more items, of so many bytes, may be kept in the place of `freed` bytes: what takes no
    /// more room than before finds some always.
    pub(super) fn has_room_for(
        &self,
        by: Option<&str>,
        (more, bytes, freed): (usize, usize, u64),
    ) -> bool {
        let grows = (bytes as u64).saturating_sub(freed);
        let fits = |by: Option<&str>, shares: usize| {
            let items: usize = self.made(by).map(|node| node.items.len()).sum();
            let kept: u64 = self.made(by).map(|node| node.items.bytes()).sum();
            (more == 0 || items + more <= PUBSUB_NODE_ITEMS_MAX / shares)
                && (grows == 0 || kept + grows <= PUBSUB_BYTES_MAX / shares as u64)
        };
        fits(None, 1) && by.is_none_or(|by| fits(Some(by), PUBSUB_SHARES))
    }

    /// How many more subscriptions and affiliations the nodes may have.
    pub(super) fn room_for_people(&self, by: Option<&str>) -> usize {
        let people = |node: &Node| node.subscriptions().len() + node.affiliations().len();
        let room = |by: Option<&str>, shares: usize| {
            (PUBSUB_PEOPLE_MAX / shares).saturating_sub(self.made(by).map(people).sum())
        };
        let share = by.map_or(usize::MAX, |by| room(Some(by), PUBSUB_SHARES));
        room(None, 1).min(share)
    }
}

/// Against whose share a node counts that somebody made: an account has all of its own, and the service is
/// everybody's.
pub(super) fn charged<'a>(cx: &Cx<'_>, creator: &'a Jid) -> Option<&'a str> {
    (cx.face() == Face::Service).then(|| creator.bare_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pubsub::{Config, node::NodeRecord};

    #[test]
    fn nobody_fills_the_service_for_the_others() {
        let mut nodes = Nodes::default();
        let node = |n: usize, by: &str| {
            let record = NodeRecord {
                number: n as u64,
                shelf: n as u64,
                config: Config::of_new(Face::Service, "n"),
                creator: by.to_owned(),
                created_ms: 0,
            };
            Node::new(
                &format!("n{n}"),
                Face::Service,
                record,
                Jid::parse(by).unwrap(),
            )
        };
        for n in 0..PUBSUB_NODES_MAX / PUBSUB_SHARES {
            assert!(nodes.has_room_for_node(Some("juliet@localhost")), "{n}");
            nodes.insert(node(n, "juliet@localhost"));
        }
        assert!(!nodes.has_room_for_node(Some("juliet@localhost")));
        assert!(nodes.has_room_for_node(Some("romeo@localhost")));
        assert!(
            nodes.has_room_for_node(None),
            "of an account they are all its own"
        );
        let much = PUBSUB_BYTES_MAX as usize / PUBSUB_SHARES;
        for (by, bytes, fits) in [
            (Some("romeo@localhost"), much, true),
            (Some("romeo@localhost"), much + 1, false),
            (None, much + 1, true),
        ] {
            assert_eq!(
                nodes.has_room_for(by, (1, bytes, 0)),
                fits,
                "{by:?} {bytes}"
            );
        }
    }
}
