//! XEP-0163: Personal Eventing Protocol. Every account is a publish-subscribe service for itself and its
//! contacts: nodes are made by publishing, contacts need not subscribe, and clients tell with their
//! capabilities what they want to hear (`caps.rs`).
//!
//! State: `crate::pubsub`.
//!
//! What the specification leaves, and where this goes beyond: a resource that becomes available gets the last
//! items of contacts in this house whether those are there or not. A node with OMEMO keys (XEP-0384) is made
//! open, and made so again whenever its account publishes to it without asking for something else: everybody
//! who may write to a person must be able to read these. Nodes that hold private things are closed from the
//! start (XEP-0223). Who loses access to a node, however that comes, loses the subscription and is told
//! (§7.1).

use super::pubsub::{
    NS, OWNER, announced, approve, ask, change, nobody, owner_change, owner_read, reads,
};
use crate::feature::{Feature, On, Spec, Verdict, get, refuse, set, set_list};
use xmpp::rsm;

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(163, "1.2.2", "Personal Eventing Protocol"),
    identities: &[(On::OwnAccount, "pubsub", "pep")],
    disco: announced!(OwnAccount:
        "access-authorize" "access-open" "access-presence" "access-roster" "access-whitelist"
        "auto-create" "auto-subscribe" "config-node" "config-node-max" "create-and-configure"
        "create-nodes" "delete-items" "delete-nodes" "filtered-notifications" "instant-nodes"
        "item-ids" "last-published" "manage-subscriptions" "member-affiliation" "meta-data"
        "modify-affiliations" "multi-items" "outcast-affiliation" "persistent-items"
        "presence-notifications" "presence-subscribe" "publish" "publish-options"
        "publish-only-affiliation" "publisher-affiliation" "pubsub-on-a-jid" "purge-nodes"
        "retract-items" "retrieve-affiliations" "retrieve-default" "retrieve-default-sub"
        "retrieve-items" "retrieve-subscriptions" "rsm" "subscribe" "subscription-notifications"
        "subscription-options"
    ),
    iq: &[
        reads(On::OwnAccount, (NS, "pubsub"), ask),
        set(On::OwnAccount, (NS, "pubsub"), change),
        get(On::OwnAccount, (OWNER, "pubsub"), owner_read),
        set_list(On::OwnAccount, (OWNER, "pubsub"), owner_change),
        reads(On::OtherAccount, (NS, "pubsub"), ask),
        set(On::OtherAccount, (NS, "pubsub"), change),
        get(On::OtherAccount, (OWNER, "pubsub"), owner_read),
        set_list(On::OtherAccount, (OWNER, "pubsub"), owner_change),
        refuse(On::NoAccount, "get", (NS, "pubsub"), nobody::answer),
        refuse(On::NoAccount, "set", (NS, "pubsub"), nobody::answer),
        refuse(On::NoAccount, "get", (OWNER, "pubsub"), nobody::answer),
        refuse(On::NoAccount, "set", (OWNER, "pubsub"), nobody::answer),
    ],
    message_in: Some(|cx, message| {
        let to_self = message.from.bare_str() == cx.jid().as_str() && message.to == *cx.jid();
        if to_self && approve(cx, message) {
            Verdict::Taken
        } else {
            Verdict::Pass
        }
    }),
    ..Feature::NONE
};

/// Nodes with keys are open (`crate::pubsub`); the rest is between clients.
pub(super) const OMEMO_FEATURE: Feature = Feature {
    spec: Spec::Xep(384, "0.9.1", "OMEMO Encryption"),
    ..Feature::NONE
};

/// By preconditions.
pub(super) const PUBLIC_FEATURE: Feature = Feature {
    spec: Spec::Xep(222, "1.0", "Persistent Storage of Public Data via PubSub"),
    ..Feature::NONE
};

/// By preconditions.
pub(super) const PRIVATE_FEATURE: Feature = Feature {
    spec: Spec::Xep(
        223,
        "1.1.1",
        "Persistent Storage of Private Data via PubSub",
    ),
    ..Feature::NONE
};
