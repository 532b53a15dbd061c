//! Subscriptions and affiliations (XEP-0060 §6.1, §6.2, §8.6, §8.8, §8.9). Nobody subscribes twice with one
//! address, so that there are no subscription ids.

use super::{
    Refusal, Visitor, event, lost,
    node::{AFFILIATION, Affiliation, SUBSCRIPTION, Subscription},
};
use crate::{
    account::{Cx, Errand},
    limits::{
        PUBSUB_AFFILIATIONS_MAX, PUBSUB_SUBSCRIPTIONS_MAX, PUBSUB_SUBSCRIPTIONS_PER_PERSON_MAX,
    },
};
use std::sync::Arc;
use xmpp::{Jid, Kind, Passing, Stanza, form::FieldType, form::Writer};

/// §6.1: subscribes an address of the visitor's own. Subscribing again changes nothing but the options.
pub(crate) fn subscribe(
    cx: &mut Cx<'_>,
    visitor: &Visitor,
    name: &str,
    jid: &Jid,
    deliver: Option<bool>,
) -> Result<Subscription, Refusal> {
    if jid.bare_str() != visitor.jid.bare_str() {
        return Err(Refusal::InvalidJid);
    }
    let node = cx.node(name)?;
    let at_once = visitor.may_subscribe(node, cx.face())?;
    let known = node.subscription(jid);
    if known.is_some_and(|known| known.pending) {
        return Err(Refusal::Pending);
    }
    let here = |(other, _): &&(Jid, Subscription)| other.bare_str() == jid.bare_str();
    let all = node.subscriptions();
    if known.is_none()
        && (all.len() >= PUBSUB_SUBSCRIPTIONS_MAX
            || !cx.state.memory.nodes.has_room_for_people(1)
            || all.iter().filter(here).count() >= PUBSUB_SUBSCRIPTIONS_PER_PERSON_MAX)
    {
        return Err(Refusal::TooManySubscriptions);
    }
    let subscription = Subscription {
        pending: !at_once,
        deliver: deliver.unwrap_or_else(|| known.is_none_or(|known| known.deliver)),
    };
    put(cx, name, jid, subscription);
    if subscription.pending {
        ask_owners(cx, name, jid);
    } else if known.is_none() {
        send_last(cx, name, jid);
        tell_owners(cx, name, jid, subscription.state());
    }
    Ok(subscription)
}

/// §6.2.
pub(crate) fn unsubscribe(
    cx: &mut Cx<'_>,
    visitor: &Visitor,
    name: &str,
    jid: &Jid,
) -> Result<(), Refusal> {
    let node = cx.node(name)?;
    if jid.bare_str() != visitor.jid.bare_str() {
        return Err(Refusal::Forbidden);
    }
    node.subscription(jid).ok_or(Refusal::Unsubscribed)?;
    remove(cx, name, jid);
    tell_owners(cx, name, jid, "none");
    Ok(())
}

/// §8.8.2: an owner says what subscriptions are; pending, approved or `None` for none. All or nothing.
pub(crate) fn set_subscriptions(
    cx: &mut Cx<'_>,
    visitor: &Visitor,
    name: &str,
    changes: &[(Jid, Option<bool>)],
) -> Result<(), Refusal> {
    let node = cx.node(name)?;
    visitor.must_own(node)?;
    let is_new =
        |(jid, wanted): &&(Jid, Option<bool>)| wanted.is_some() && node.subscription(jid).is_none();
    let new = changes.iter().filter(is_new).count();
    let all = node.subscriptions().len() + new;
    let fits = all <= PUBSUB_SUBSCRIPTIONS_MAX && cx.state.memory.nodes.has_room_for_people(new);
    if new > 0 && !fits {
        return Err(Refusal::TooManySubscriptions);
    }
    for (jid, pending) in changes {
        set_subscription(cx, name, jid, *pending);
    }
    Ok(())
}

/// The subscriber is told (§8.8.4).
fn set_subscription(cx: &mut Cx<'_>, name: &str, jid: &Jid, pending: Option<bool>) {
    let known = cx.node(name).ok().and_then(|node| node.subscription(jid));
    if known.map(|known| known.pending) == pending {
        return;
    }
    let state = match pending {
        Some(pending) => {
            let deliver = known.is_none_or(|known| known.deliver);
            let subscription = Subscription { pending, deliver };
            put(cx, name, jid, subscription);
            subscription.state()
        }
        None => {
            remove(cx, name, jid);
            "none"
        }
    };
    event::announce_subscription(cx, name, jid, state);
    if pending == Some(false) {
        send_last(cx, name, jid);
    }
}

/// §8.6: an owner's answer to a request. Whoever asked is told.
pub(crate) fn answer_request(
    cx: &mut Cx<'_>,
    visitor: &Visitor,
    name: &str,
    jid: &Jid,
    allow: bool,
) -> Result<(), Refusal> {
    let node = cx.node(name)?;
    visitor.must_own(node)?;
    let waits = node.subscription(jid);
    if !waits.is_some_and(|subscription| subscription.pending) {
        return Err(Refusal::Unsubscribed);
    }
    set_subscription(cx, name, jid, allow.then_some(false));
    Ok(())
}

/// §8.9.2: all of these or none; there is always an owner left. Who may not read any more loses the
/// subscription. That an account owns its own nodes may be said, and not changed.
pub(crate) fn affiliate(
    cx: &mut Cx<'_>,
    visitor: &Visitor,
    name: &str,
    mut changes: Vec<(Jid, Affiliation)>,
) -> Result<(), Refusal> {
    let node = cx.node(name)?;
    visitor.must_own(node)?;
    let is_said_anyway = cx.jid().localpart().is_some();
    changes.retain(|(jid, is)| !(is_said_anyway && jid == cx.jid() && *is == Affiliation::Owner));
    let changed = |jid: &Jid| changes.iter().any(|(other, _)| other == jid);
    let kept = node.affiliations().iter().filter(|(jid, _)| !changed(jid));
    let given = changes
        .iter()
        .filter(|(_, affiliation)| *affiliation != Affiliation::None);
    let after: Vec<Affiliation> = kept
        .chain(given)
        .map(|(_, affiliation)| *affiliation)
        .collect();
    let owned = after.contains(&Affiliation::Owner) || cx.jid().localpart().is_some();
    if !owned || changes.iter().any(|(jid, _)| jid == cx.jid()) {
        return Err(Refusal::LastOwner);
    }
    let more = after.len().saturating_sub(node.affiliations().len());
    let fits = after.len() <= PUBSUB_AFFILIATIONS_MAX;
    if more > 0 && !(fits && cx.state.memory.nodes.has_room_for_people(more)) {
        return Err(Refusal::NoRoom);
    }
    for (jid, affiliation) in changes {
        put_affiliation(cx, name, &jid, affiliation);
    }
    lost::node_changed(cx, name);
    Ok(())
}

pub(super) fn put_affiliation(cx: &mut Cx<'_>, name: &str, jid: &Jid, affiliation: Affiliation) {
    let Some(node) = cx.state.memory.nodes.get_mut(name) else {
        return;
    };
    node.put_affiliation(jid.clone(), affiliation);
    let key = (cx.account.id, node.number, jid.as_str().to_owned());
    cx.write(match affiliation {
        Affiliation::None => AFFILIATION.remove(&key),
        affiliation => AFFILIATION.put(&key, &affiliation),
    });
}

fn put(cx: &mut Cx<'_>, name: &str, jid: &Jid, subscription: Subscription) {
    let Some(node) = cx.state.memory.nodes.get_mut(name) else {
        return;
    };
    if node.subscription(jid) == Some(subscription) {
        return;
    }
    node.put_subscription(jid.clone(), subscription);
    let key = (cx.account.id, node.number, jid.as_str().to_owned());
    cx.write(SUBSCRIPTION.put(&key, &subscription));
}

pub(super) fn remove(cx: &mut Cx<'_>, name: &str, jid: &Jid) {
    if let Some(node) = cx.state.memory.nodes.get_mut(name) {
        node.remove_subscription(jid);
        let key = (cx.account.id, node.number, jid.as_str().to_owned());
        cx.write(SUBSCRIPTION.remove(&key));
    }
}

/// §6.1.7.
fn send_last(cx: &mut Cx<'_>, name: &str, jid: &Jid) {
    cx.errand_to_self(jid, Errand::LastItem(name.into()));
}

/// Who decides about a node: bare JIDs.
pub(super) fn owners(cx: &Cx<'_>, name: &str) -> Vec<Jid> {
    let affiliations = cx
        .node(name)
        .map(super::Node::affiliations)
        .unwrap_or_default();
    let owners = affiliations
        .iter()
        .filter(|(_, is)| *is == Affiliation::Owner);
    let mut owners: Vec<Jid> = owners.map(|(jid, _)| jid.clone()).collect();
    if cx.jid().localpart().is_some() {
        owners.push(cx.jid().clone());
    }
    owners
}

/// §8.6.
fn ask_owners(cx: &mut Cx<'_>, name: &str, subscriber: &Jid) {
    let form = Writer::form(AUTHORIZATION)
        .field(FieldType::TextSingle, "pubsub#node", &[name])
        .field(
            FieldType::JidSingle,
            "pubsub#subscriber_jid",
            &[subscriber.as_str()],
        )
        .field(FieldType::Boolean, "pubsub#allow", &["0"]);
    let id = format!("approve{}", cx.server.next_number());
    let stanza = Stanza::compose(Kind::Message, &[("id", &id)], &form.finish());
    let stanza = Arc::new(stanza);
    for owner in owners(cx, name) {
        cx.route(Passing::new(stanza.clone(), cx.jid().clone(), owner));
    }
}

/// FORM_TYPE of a request for approval (§16.4.1).
pub(crate) const AUTHORIZATION: &str = "http://jabber.org/protocol/pubsub#subscribe_authorization";

/// `pubsub#notify_sub`.
pub(super) fn tell_owners(cx: &mut Cx<'_>, name: &str, subscriber: &Jid, state: &str) {
    let tells = cx
        .node(name)
        .is_ok_and(|node| node.config(cx.face()).tell_sub);
    if tells {
        for owner in owners(cx, name) {
            event::announce_subscription_to(cx, name, (subscriber, state), &owner);
        }
    }
}

#[cfg(test)]
mod tests;
