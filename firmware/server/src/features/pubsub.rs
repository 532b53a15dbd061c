//! XEP-0060: Publish-Subscribe, the wire face of `crate::pubsub`, for both: the service of the domain, whose
//! row is here, and the nodes of accounts, whose row is in `pep.rs`.
//!
//! State: `crate::pubsub`.
//!
//! Choices the specification leaves: whoever has an account here may have nodes at the service; there are no
//! collections, leases and subscription ids; the oldest item of a full node goes without a word; a form that
//! names a field that is not served is refused whole, where a list of people is done as far as it goes.

mod change;
mod disco;
mod errors;
mod lists;
pub(super) mod nobody;
mod owner;
mod people;
mod read;
mod request;

pub(super) use change::change;
pub(super) use disco::{items_of_account, node_info};
pub(super) use errors::condition;
pub(super) use owner::{owner_change, owner_read};
pub(super) use read::ask;

use crate::{
    account::Cx,
    feature::{Answer, Feature, Iq, IqHandler, IqHook, On, Spec, get, set, set_list},
    pubsub::{self, AUTHORIZATION, Visitor},
};
use xmpp::{Jid, Passing, StanzaError, form, rsm};

pub(super) const NS: &str = "http://jabber.org/protocol/pubsub";
pub(super) const OWNER: &str = "http://jabber.org/protocol/pubsub#owner";

/// Features of XEP-0060 §10 on one kind of entity.
macro_rules! announced {
    ($on:ident: $($name:literal)*) => {
        &[
            (On::$on, "http://jabber.org/protocol/pubsub"),
            (On::$on, rsm::NS),
            $((On::$on, concat!("http://jabber.org/protocol/pubsub#", $name)),)*
        ]
    };
}
pub(super) use announced;

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(60, "1.30.0", "Publish-Subscribe"),
    identities: &[(On::PubsubService, "pubsub", "service")],
    disco: announced!(PubsubService:
        "access-authorize" "access-open" "access-whitelist" "auto-create" "config-node"
        "config-node-max" "create-and-configure" "create-nodes" "delete-items" "delete-nodes"
        "instant-nodes" "item-ids" "manage-subscriptions" "member-affiliation" "meta-data"
        "modify-affiliations" "multi-items" "outcast-affiliation" "persistent-items" "publish"
        "publish-options" "publish-only-affiliation" "publisher-affiliation" "purge-nodes"
        "retract-items" "retrieve-affiliations" "retrieve-default" "retrieve-default-sub"
        "retrieve-items" "retrieve-subscriptions" "rsm" "subscribe" "subscription-notifications"
        "subscription-options"
    ),
    iq: &[
        reads(On::PubsubService, (NS, "pubsub"), ask),
        set(On::PubsubService, (NS, "pubsub"), change),
        get(On::PubsubService, (OWNER, "pubsub"), owner_read),
        set_list(On::PubsubService, (OWNER, "pubsub"), owner_change),
        get(
            On::PubsubService,
            (disco::INFO, "query"),
            disco::info_of_service,
        ),
        reads(
            On::PubsubService,
            (disco::ITEMS, "query"),
            disco::items_of_service,
        ),
    ],
    ..Feature::NONE
};

/// A `get` whose answer is on the disk, as a rule.
pub(super) const fn reads(
    on: On,
    payload: (&'static str, &'static str),
    ask: fn(&mut Cx<'_>, &Iq<'_>) -> Result<crate::feature::Plan, StanzaError>,
) -> IqHandler {
    IqHandler {
        on,
        type_: "get",
        payload,
        hook: IqHook::Reads(ask),
    }
}

/// A message for the service: an owner's answer to a request for approval (XEP-0060 §8.6). Nobody reads any
/// other; who writes one is told so, as for an address without anybody (RFC 6121 §8.5.1).
pub(crate) fn message_to_service(cx: &mut Cx<'_>, message: &Passing) {
    if !approve(cx, message) && message.stanza.type_() != "headline" {
        cx.refuse(message, StanzaError::SERVICE_UNAVAILABLE);
    }
}

/// Whether a message was an answer to a request for approval.
pub(super) fn approve(cx: &mut Cx<'_>, message: &Passing) -> bool {
    let x = message
        .stanza
        .child(form::NS, "x")
        .map(xmpp::stanza::Child::element);
    let form = x.and_then(|x| form::Form::submitted(&x).ok());
    let Some(form) = form.filter(|form| form.form_type() == Some(AUTHORIZATION)) else {
        return false;
    };
    let single = |var| match form.values(var) {
        Some([value]) => Some(value.as_str()),
        _ => None,
    };
    let subscriber = single("pubsub#subscriber_jid").and_then(|jid| Jid::parse(jid).ok());
    let allow = form.values("pubsub#allow").and_then(pubsub::flag);
    if let (Some(node), Some(subscriber), Some(allow)) = (single("pubsub#node"), subscriber, allow)
    {
        let visitor = Visitor::new(cx, &message.from);
        // Who may not, or asks about nobody, changes nothing; there is no answer to give to a message.
        let _ = pubsub::answer_request(cx, &visitor, node, &subscriber, allow);
    }
    true
}

/// A result without anything in it.
fn done<T>(result: Result<T, pubsub::Refusal>) -> Answer {
    result.map(|_| String::new()).map_err(errors::condition)
}
