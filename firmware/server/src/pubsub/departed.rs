//! Accounts that are removed, as nodes see it: what they were to nodes of others ends, what they alone owned
//! at the service goes with them, and the subscribers of their own nodes are told that these are gone
//! (XEP-0060 §8.4.2). What they published at nodes of others stays, as letters do.

use super::{
    Visitor, event,
    items::bare,
    manage,
    node::{AFFILIATION, Affiliation, NODE, SUBSCRIPTION},
    people,
};
use crate::{
    account::Cx,
    world::{Dice, random_id},
};
use std::collections::{BTreeSet, HashMap};
use store::{Error, Snapshot, Write};
use xmpp::{Jid, Passing};

/// The accounts that have somebody, a bare JID, as subscriber or with an affiliation: their ids.
pub(crate) fn acquainted(snapshot: &Snapshot, gone: &str) -> Result<BTreeSet<u32>, Error> {
    let mut accounts = BTreeSet::new();
    for row in AFFILIATION.range(snapshot, ..)? {
        let ((account, _, jid), _) = row?;
        if jid == gone {
            accounts.insert(account);
        }
    }
    for row in SUBSCRIPTION.range(snapshot, ..)? {
        let ((account, _, jid), _) = row?;
        if bare(&jid) == gone {
            accounts.insert(account);
        }
    }
    Ok(accounts)
}

/// The account forgets somebody who is gone. A node of the service that nobody else owns is deleted, with a
/// word to its subscribers: there would be nobody left who could.
pub(crate) fn forget(cx: &mut Cx<'_>, gone: &Jid) {
    let visitor = Visitor::new(cx, gone);
    let nodes = cx.state.memory.nodes.iter();
    let names: Vec<Box<str>> = nodes.map(|node| node.name.clone()).collect();
    for name in names {
        let Ok(node) = cx.node(&name) else { continue };
        let subscriptions = node.subscriptions().iter().map(|(jid, _)| jid.clone());
        let ended: Vec<Jid> = subscriptions
            .filter(|jid| jid.bare_str() == gone.as_str())
            .collect();
        let is_known = node.affiliation(gone.as_str()) != Affiliation::None;
        for jid in ended {
            people::remove(cx, &name, &jid);
            people::tell_owners(cx, &name, &jid, "none");
        }
        if people::owners(cx, &name) == [gone.clone()] {
            // They own it: that was just looked up.
            let _ = manage::delete(cx, &visitor, &name);
        } else if is_known {
            people::put_affiliation(cx, &name, gone, Affiliation::None);
        }
    }
}

/// The same for an account that cannot be loaded: the rows, at most `max` of them. It has no nodes that
/// somebody else owns alone.
pub(crate) fn forgetting(
    snapshot: &Snapshot,
    account: u32,
    gone: &str,
    max: usize,
) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    for row in AFFILIATION.prefix(snapshot, &account)? {
        let (key, _) = row?;
        if key.2 == gone && writes.len() < max {
            writes.push(AFFILIATION.remove(&key));
        }
    }
    for row in SUBSCRIPTION.prefix(snapshot, &account)? {
        let (key, _) = row?;
        if bare(&key.2) == gone && writes.len() < max {
            writes.push(SUBSCRIPTION.remove(&key));
        }
    }
    Ok(writes)
}

/// Whether an account's own nodes have subscribers.
pub(crate) fn has_subscribers(snapshot: &Snapshot, account: u32) -> Result<bool, Error> {
    Ok(SUBSCRIPTION.prefix(snapshot, &account)?.next().is_some())
}

/// What is to be said to the subscribers of nodes of an account that is gone, at most `max` of them, and the
/// writes behind which it is said.
pub(crate) fn last_words(
    snapshot: &Snapshot,
    account: u32,
    gone: &Jid,
    (max, dice): (usize, &dyn Dice),
) -> Result<(Vec<Passing>, Vec<Write>), Error> {
    let (mut words, mut writes) = (Vec::new(), Vec::new());
    let mut nodes = HashMap::new();
    for row in SUBSCRIPTION.prefix(snapshot, &account)?.take(max) {
        let (key, _) = row?;
        if nodes.is_empty() {
            for row in NODE.prefix(snapshot, &account)? {
                let ((_, name), record) = row?;
                nodes.insert(record.number, (name, record.config));
            }
        }
        let told = nodes.get(&key.1).filter(|(_, config)| config.tell_delete);
        if let (Some((name, config)), Ok(subscriber)) = (told, Jid::parse(&key.2)) {
            let event = event::element("delete", name, "");
            let event = event::message(&random_id(dice), config, &event);
            if subscriber.bare_str() != gone.as_str() {
                words.push(Passing::new(event, gone.clone(), subscriber));
            }
        }
        writes.push(SUBSCRIPTION.remove(&key));
    }
    Ok((words, writes))
}
