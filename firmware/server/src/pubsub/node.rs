//! A node in memory: its configuration, where its items are, and who has to do with it; and its rows.
//!
//! State: tables `pubsub.node`, `pubsub.affiliation` and `pubsub.subscription`. Payloads and ids of items are
//! on disk alone; of each item 24 bytes are in memory ([`super::items`]).

use super::{
    config::{Config, Face},
    items::Items,
};
use crate::world::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Record, Table};
use xmpp::Jid;

/// By account (0 for the service) and the node's name.
pub(crate) const NODE: Table<(u32, String), NodeRecord> = Table::per_account("pubsub.node", 1);
/// By account, node and bare JID.
pub(crate) const AFFILIATION: Table<(u32, u64, String), Affiliation> =
    Table::per_account("pubsub.affiliation", 1);
/// By account, node and the subscriber's JID.
pub(crate) const SUBSCRIPTION: Table<(u32, u64, String), Subscription> =
    Table::per_account("pubsub.subscription", 1);

/// A stored node. Fields are in the order of the first release and only ever appended to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeRecord {
    pub(super) number: u64,
    /// Under which number its items are: another one once it was purged.
    pub(super) shelf: u64,
    pub(super) config: Config,
    pub(super) creator: String,
    pub(super) created_ms: Timestamp,
}

impl Record for NodeRecord {}

/// What somebody is to a node (XEP-0060 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Affiliation {
    Owner,
    Publisher,
    PublishOnly,
    Member,
    None,
    Outcast,
}

impl Record for Affiliation {}

impl Affiliation {
    const NAMES: [(Affiliation, &str); 6] = [
        (Affiliation::Owner, "owner"),
        (Affiliation::Publisher, "publisher"),
        (Affiliation::PublishOnly, "publish-only"),
        (Affiliation::Member, "member"),
        (Affiliation::None, "none"),
        (Affiliation::Outcast, "outcast"),
    ];

    pub(crate) fn name(self) -> &'static str {
        let known = Self::NAMES.iter().find(|(known, _)| *known == self);
        known.map_or("none", |(_, name)| name)
    }

    /// §4.1, state chart: whether an owner may make the one of the other in one step.
    pub(super) fn may_become(self, other: Affiliation) -> bool {
        match self {
            Affiliation::Owner => matches!(other, Affiliation::Owner | Affiliation::None),
            Affiliation::Publisher => other != Affiliation::Member,
            _ => true,
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Affiliation> {
        let known = Self::NAMES.iter().find(|(_, known)| *known == name);
        known.map(|(affiliation, _)| *affiliation)
    }
}

/// A subscription (§4.2), by the JID it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subscription {
    /// An owner has not said yes yet.
    pub(crate) pending: bool,
    /// Wants notifications (§6.3, `pubsub#deliver`).
    pub(crate) deliver: bool,
}

impl Record for Subscription {}

impl Subscription {
    /// §4.2.
    pub(crate) fn state(self) -> &'static str {
        if self.pending {
            "pending"
        } else {
            "subscribed"
        }
    }
}

/// A node of a loaded account.
pub(crate) struct Node {
    pub(crate) name: Box<str>,
    pub(super) number: u64,
    pub(super) shelf: u64,
    /// `None` where it is what a new node of this name is like.
    config: Option<Box<Config>>,
    pub(crate) items: Items,
    /// Nobody, as a rule: contacts of an account are known from its roster.
    people: Option<Box<People>>,
    pub(crate) creator: Jid,
    pub(crate) created: Timestamp,
}

#[derive(Default)]
pub(super) struct People {
    pub(super) affiliations: Vec<(Jid, Affiliation)>,
    pub(super) subscriptions: Vec<(Jid, Subscription)>,
}

impl Node {
    pub(super) fn new(name: &str, face: Face, record: NodeRecord, creator: Jid) -> Node {
        let mut node = Node {
            name: name.into(),
            number: record.number,
            shelf: record.shelf,
            config: None,
            items: Items::default(),
            people: None,
            creator,
            created: record.created_ms,
        };
        node.set_config(face, record.config);
        node
    }

    /// Its row.
    pub(super) fn record(&self, face: Face) -> NodeRecord {
        NodeRecord {
            number: self.number,
            shelf: self.shelf,
            config: self.config(face),
            creator: self.creator.as_str().to_owned(),
            created_ms: self.created,
        }
    }

    pub(crate) fn config(&self, face: Face) -> Config {
        match &self.config {
            Some(config) => Config::clone(config),
            None => Config::of_new(face, &self.name),
        }
    }

    pub(super) fn set_config(&mut self, face: Face, config: Config) {
        let usual = config == Config::of_new(face, &self.name);
        self.config = (!usual).then(|| Box::new(config));
    }

    /// Seconds after which its items go by themselves; no new node is like that.
    pub(super) fn item_expire(&self) -> Option<u32> {
        self.config.as_ref().and_then(|config| config.item_expire)
    }

    /// Affiliations that were given; the account an account's node belongs to is not listed.
    pub(crate) fn affiliations(&self) -> &[(Jid, Affiliation)] {
        self.people
            .as_ref()
            .map_or(&[], |people| &people.affiliations)
    }

    /// Whom it is closed to in particular, however open it is.
    pub(crate) fn kept_out(&self) -> impl Iterator<Item = &Jid> {
        let people = self.affiliations().iter();
        people
            .filter(|(_, is)| matches!(is, Affiliation::Outcast | Affiliation::PublishOnly))
            .map(|(jid, _)| jid)
    }

    /// Explicit subscriptions.
    pub(crate) fn subscriptions(&self) -> &[(Jid, Subscription)] {
        self.people
            .as_ref()
            .map_or(&[], |people| &people.subscriptions)
    }

    /// The affiliation that was given to a bare JID.
    pub(crate) fn affiliation(&self, bare: &str) -> Affiliation {
        let mut known = self.affiliations().iter();
        let found = known.find(|(jid, _)| jid.as_str() == bare);
        found.map_or(Affiliation::None, |(_, affiliation)| *affiliation)
    }

    /// The subscription of exactly this JID.
    pub(crate) fn subscription(&self, jid: &Jid) -> Option<Subscription> {
        let mut known = self.subscriptions().iter();
        known
            .find(|(known, _)| known == jid)
            .map(|(_, subscription)| *subscription)
    }

    /// Whether somebody has a subscription that was approved, as this resource or another.
    pub(crate) fn is_subscribed(&self, bare: &str) -> bool {
        let mut known = self.subscriptions().iter();
        known.any(|(jid, subscription)| jid.bare_str() == bare && !subscription.pending)
    }

    pub(super) fn put_affiliation(&mut self, jid: Jid, affiliation: Affiliation) {
        let people = &mut self.people.get_or_insert_default().affiliations;
        people.retain(|(known, _)| *known != jid);
        if affiliation != Affiliation::None {
            people.push((jid, affiliation));
        }
    }

    pub(super) fn put_subscription(&mut self, jid: Jid, subscription: Subscription) {
        let people = &mut self.people.get_or_insert_default().subscriptions;
        match people.iter_mut().find(|(known, _)| *known == jid) {
            Some((_, known)) => *known = subscription,
            None => people.push((jid, subscription)),
        }
    }

    pub(super) fn remove_subscription(&mut self, jid: &Jid) {
        if let Some(people) = &mut self.people {
            people.subscriptions.retain(|(known, _)| known != jid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affiliations_have_names() {
        for (affiliation, name) in Affiliation::NAMES {
            assert_eq!(affiliation.name(), name);
            assert_eq!(Affiliation::parse(name), Some(affiliation));
        }
        assert_eq!(Affiliation::parse("baron"), None);
    }

    #[test]
    fn a_node_is_small_in_memory() {
        assert!(size_of::<Node>() <= 112, "{}", size_of::<Node>());
    }
}
