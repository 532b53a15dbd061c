//! What owners make of people (XEP-0060 §8.8.2, §8.9.2): each entry of a list for itself. What cannot be done
//! comes back with the error, as it is; the rest is done (§8.8.2.4, §8.9.2.4).

use super::{
    OWNER,
    errors::{JID_REQUIRED, condition},
    owner::{answer, write},
};
use crate::{
    account::Cx,
    feature::Reply,
    limits::{PUBSUB_AFFILIATIONS_MAX, PUBSUB_SUBSCRIPTIONS_MAX},
    pubsub::{self, Affiliation, Refusal, Visitor},
};
use std::collections::HashSet;
use xmpp::{Element, Jid, StanzaError};

/// A list as it was sent.
struct List<'a, T> {
    /// What is wanted, of whom.
    changes: Vec<(Jid, T)>,
    /// Addresses, as they were written, of whom something is wanted that there is not; or that are none.
    wrong: Vec<&'a str>,
}

/// Understands a list, in which nobody is named twice: of subscriptions because there are no subscription
/// ids. An entry that wants nothing changes nothing (§8.8.2.1, §8.9.2.1, notes).
fn read<'a, T>(
    action: &'a Element,
    (what, max): (&str, usize),
    too_many: Refusal,
    understand: impl Fn(&Element, &str) -> Option<T>,
    whom: fn(&str) -> Option<Jid>,
) -> Result<List<'a, T>, StanzaError> {
    let (mut changes, mut wrong) = (Vec::new(), Vec::new());
    let mut named = HashSet::new();
    for entry in action.elements().filter(|child| child.is(OWNER, what)) {
        let text = entry.attr("jid").ok_or(JID_REQUIRED)?;
        let Some(wanted) = entry.attr(what) else {
            continue;
        };
        if changes.len() + wrong.len() > max {
            return Err(condition(too_many)); // more than there can be
        }
        let jid = whom(text);
        if jid.as_ref().is_some_and(|jid| !named.insert(jid.clone())) {
            return Err(StanzaError::BAD_REQUEST);
        }
        match jid.zip(understand(entry, wanted)) {
            Some(change) => changes.push(change),
            None => wrong.push(text),
        }
    }
    Ok(List { changes, wrong })
}

/// §8.9.2: people as a whole.
pub(super) fn affiliate(
    cx: &mut Cx<'_>,
    visitor: &Visitor,
    node: &str,
    action: &Element,
) -> Result<Reply, StanzaError> {
    let List { changes, wrong } = read(
        action,
        ("affiliation", PUBSUB_AFFILIATIONS_MAX),
        Refusal::NoRoom,
        |_, wanted| Affiliation::parse(wanted),
        |text| Some(Jid::parse(text).ok()?.bare()),
    )?;
    let refused = pubsub::affiliate(cx, visitor, node, changes).map_err(condition)?;
    let is = |jid: &Jid| {
        let known = cx
            .node(node)
            .map(|node| Visitor::new(cx, jid).affiliation(node));
        known.unwrap_or(Affiliation::None).name()
    };
    Ok(reply(("affiliation", node), &wrong, &refused, is))
}

/// §8.8.2.
pub(super) fn subscribe(
    cx: &mut Cx<'_>,
    visitor: &Visitor,
    node: &str,
    action: &Element,
) -> Result<Reply, StanzaError> {
    let List { changes, wrong } = read(
        action,
        ("subscription", PUBSUB_SUBSCRIPTIONS_MAX),
        Refusal::TooManySubscriptions,
        |entry, wanted| match wanted {
            _ if entry.attr("subid").is_some_and(|id| !id.is_empty()) => None,
            "subscribed" => Some(Some(false)),
            "pending" => Some(Some(true)),
            "none" => Some(None),
            _ => None,
        },
        |text| Jid::parse(text).ok(),
    )?;
    let refused = pubsub::set_subscriptions(cx, visitor, node, changes).map_err(condition)?;
    let is = |jid: &Jid| {
        let known = cx.node(node).ok().and_then(|node| node.subscription(jid));
        known.map_or("none", pubsub::Subscription::state)
    };
    Ok(reply(("subscription", node), &wrong, &refused, is))
}

/// What was not done is as it was; `is` says what somebody is.
fn reply(
    (what, node): (&str, &str),
    wrong: &[&str],
    refused: &[(Jid, Refusal)],
    is: impl Fn(&Jid) -> &'static str,
) -> Reply {
    let mut list = String::new();
    for text in wrong {
        let is = Jid::parse(text).map_or("none", |jid| is(&jid));
        write(&mut list, what, (text, is));
    }
    for (jid, _) in refused {
        write(&mut list, what, (jid.as_str(), is(jid)));
    }
    let error = match refused.first() {
        _ if !wrong.is_empty() => StanzaError::NOT_ACCEPTABLE,
        None => return Reply::Done(String::new()),
        Some((_, refusal)) => condition(*refusal),
    };
    Reply::DoneInPart(answer(&format!("{what}s"), node, &list), error)
}
