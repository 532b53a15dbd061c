//! Who may do what with a node (XEP-0060 §4.1, §4.5).

use super::{
    Refusal,
    config::{Access, Face, Publishing},
    node::{Affiliation, Node},
};
use crate::account::Cx;
use xmpp::Jid;

/// Somebody who wants something of a node, as its account knows them.
pub(crate) struct Visitor {
    /// The address they asked from.
    pub(crate) jid: Jid,
    /// The account that the nodes belong to (XEP-0163 §2.2).
    pub(crate) is_account: bool,
    /// May see the account's presence.
    sees_presence: bool,
    /// Of the account's roster.
    groups: Box<[Box<str>]>,
    /// Of this household: may have nodes of their own at the service.
    is_household: bool,
}

impl Visitor {
    pub(crate) fn new(cx: &Cx<'_>, jid: &Jid) -> Visitor {
        let bare = jid.bare();
        let item = cx.state.roster.get(&bare);
        let of_domain = jid.domainpart() == cx.server.domain().as_str();
        Visitor {
            is_account: bare == *cx.jid(),
            sees_presence: item.is_some_and(|item| item.subscription.from),
            groups: item.map(|item| item.groups().into()).unwrap_or_default(),
            is_household: of_domain && jid.localpart().is_some(),
            jid: jid.clone(),
        }
    }

    /// The account itself.
    pub(crate) fn account(cx: &Cx<'_>) -> Visitor {
        Visitor::new(cx, &cx.jid().clone())
    }

    pub(crate) fn affiliation(&self, node: &Node) -> Affiliation {
        if self.is_account {
            Affiliation::Owner
        } else {
            node.affiliation(self.jid.bare_str())
        }
    }

    /// §8.1.1: whether they may make nodes.
    pub(crate) fn may_create(&self, face: Face) -> Result<(), Refusal> {
        let may = match face {
            Face::Personal => self.is_account,
            Face::Service => self.is_household,
        };
        may.then_some(()).ok_or(Refusal::Forbidden)
    }

    pub(crate) fn must_own(&self, node: &Node) -> Result<(), Refusal> {
        let owns = self.affiliation(node) == Affiliation::Owner;
        owns.then_some(()).ok_or(Refusal::Forbidden)
    }

    /// Whether they may change what others published.
    pub(super) fn edits(&self, node: &Node) -> bool {
        matches!(
            self.affiliation(node),
            Affiliation::Owner | Affiliation::Publisher
        )
    }

    /// §6.5.1.
    pub(crate) fn may_read(&self, node: &Node, face: Face) -> Result<(), Refusal> {
        match self.affiliation(node) {
            Affiliation::Owner | Affiliation::Publisher | Affiliation::Member => return Ok(()),
            Affiliation::Outcast | Affiliation::PublishOnly => return Err(Refusal::Forbidden),
            Affiliation::None => {}
        }
        let config = node.config(face);
        let (may, refusal) = match config.access {
            Access::Open => (true, Refusal::Forbidden),
            Access::Presence => (self.sees_presence, Refusal::PresenceRequired),
            Access::Roster => {
                let mut groups = self.groups.iter();
                let is_in_one = groups.any(|group| config.groups.contains(group));
                (is_in_one && self.sees_presence, Refusal::NotInGroup)
            }
            Access::Authorize => (
                node.is_subscribed(self.jid.bare_str()),
                Refusal::NotSubscribed,
            ),
            Access::Whitelist => (false, Refusal::Closed),
        };
        may.then_some(()).ok_or(refusal)
    }

    /// §5.2, §5.3: whether they are told that there is such a node: they may read it, or ask for that.
    pub(crate) fn may_know(&self, node: &Node, face: Face) -> Result<(), Refusal> {
        match self.may_read(node, face) {
            Err(Refusal::NotSubscribed) => Ok(()),
            read => read,
        }
    }

    /// §6.1: whether a subscription is one at once, or waits for an owner.
    pub(crate) fn may_subscribe(&self, node: &Node, face: Face) -> Result<bool, Refusal> {
        if !node.config(face).subscribe {
            return Err(Refusal::SubscriptionsOff);
        }
        match self.may_read(node, face) {
            Err(Refusal::NotSubscribed) => Ok(false), // §6.1.4
            read => read.map(|()| true),
        }
    }

    /// §7.1.3.1.
    pub(crate) fn may_publish(&self, node: &Node, face: Face) -> Result<(), Refusal> {
        let may = match (self.affiliation(node), node.config(face).publishing) {
            (Affiliation::Owner | Affiliation::Publisher | Affiliation::PublishOnly, _) => true,
            (Affiliation::Outcast, _) => false,
            (_, Publishing::Open) => true,
            (_, Publishing::Subscribers) => node.is_subscribed(self.jid.bare_str()),
            (_, Publishing::Publishers) => false,
        };
        may.then_some(()).ok_or(Refusal::Forbidden)
    }
}
