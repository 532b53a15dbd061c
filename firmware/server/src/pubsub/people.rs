//! Subscriptions and affiliations (XEP-0060 §6.1, §6.2, §8.6, §8.8, §8.9). Nobody subscribes twice with one
//! address, so that there are no subscription ids.

use super::{
    Refusal, Visitor, event, lost,
    node::{AFFILIATION, Affiliation, Node, SUBSCRIPTION, Subscription},
    shares::charged,
};
use crate::{
    account::{Cx, Errand},
    features::readers_changed,
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
            || room_for_people(cx, node) == 0
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

/// §8.8.2: an owner says what subscriptions are; pending, approved or `None` for none. Gives those that stay
/// what they were; ends come first, and make room.
pub(crate) fn set_subscriptions(
    cx: &mut Cx<'_>,
    visitor: &Visitor,
    name: &str,
    mut changes: Vec<(Jid, Option<bool>)>,
) -> Result<Vec<(Jid, Refusal)>, Refusal> {
    cx.node(name).and_then(|node| visitor.must_own(node))?;
    changes.sort_by_key(|(_, wanted)| wanted.is_some());
    let ends = changes.partition_point(|(_, wanted)| wanted.is_none());
    for (jid, wanted) in changes.drain(..ends) {
        set_subscription(cx, name, &jid, wanted);
    }
    let node = cx.node(name)?;
    let room = PUBSUB_SUBSCRIPTIONS_MAX.saturating_sub(node.subscriptions().len());
    let mut room = room.min(room_for_people(cx, node));
    let mut refused = Vec::new();
    for (jid, wanted) in changes {
        let node = cx.node(name)?;
        let refusal = match node.subscription(&jid) {
            _ if !lost::may_stay(cx, node, &jid) => Some(Refusal::NotServed),
            None if room == 0 => Some(Refusal::TooManySubscriptions),
            None => {
                room -= 1;
                None
            }
            Some(_) => None,
        };
        match refusal {
            Some(refusal) => refused.push((jid, refusal)),
            None => set_subscription(cx, name, &jid, wanted),
        }
    }
    Ok(refused)
}

fn room_for_people(cx: &Cx<'_>, node: &Node) -> usize {
    let by = charged(cx, &node.creator);
    cx.state.memory.nodes.room_for_people(by)
}

/// The subscriber is told (§8.8.4).
pub(super) fn set_subscription(cx: &mut Cx<'_>, name: &str, jid: &Jid, pending: Option<bool>) {
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

/// §8.9.2: an owner says what people are, each of them named once. Gives those that stay what they were:
/// there is always an owner left, and that an account owns its own nodes may be said, and not changed. New
/// owners come first, and who is let go makes room. Who may not read any more loses the subscription.
pub(crate) fn affiliate(
    cx: &mut Cx<'_>,
    visitor: &Visitor,
    name: &str,
    mut changes: Vec<(Jid, Affiliation)>,
) -> Result<Vec<(Jid, Refusal)>, Refusal> {
    let node = cx.node(name)?;
    visitor.must_own(node)?;
    changes.sort_by_key(|(_, wanted)| match wanted {
        Affiliation::Owner => 0,
        Affiliation::None => 1,
        _ => 2,
    });
    let room = PUBSUB_AFFILIATIONS_MAX.saturating_sub(node.affiliations().len());
    let mut room = room.min(room_for_people(cx, node));
    let mut owners = owners(cx, name).len();
    let (mut changed, mut refused) = (Vec::new(), Vec::new());
    for (jid, wanted) in changes {
        let is = cx.node(name)?.affiliation(jid.as_str());
        let refusal = match (is, wanted) {
            _ if jid == *cx.jid() && wanted == Affiliation::Owner && !cx.is_service() => continue,
            _ if jid == *cx.jid() => Some(Refusal::LastOwner),
            _ if is == wanted => continue,
            _ if !is.may_become(wanted) => Some(Refusal::NotServed),
            (Affiliation::Owner, _) if owners == 1 => Some(Refusal::LastOwner),
            (Affiliation::None, _) if room == 0 => Some(Refusal::NoRoom),
            _ => None,
        };
        if let Some(refusal) = refusal {
            refused.push((jid, refusal));
            continue;
        }
        room =
            room + usize::from(wanted == Affiliation::None) - usize::from(is == Affiliation::None);
        owners = owners + usize::from(wanted == Affiliation::Owner)
            - usize::from(is == Affiliation::Owner);
        put_affiliation(cx, name, &jid, wanted);
        changed.push(jid);
    }
    if !changed.is_empty() {
        lost::node_changed(cx, name);
        readers_changed(cx, name, &changed);
    }
    Ok(refused)
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
    let affiliations = cx.node(name).map(Node::affiliations).unwrap_or_default();
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
