//! Access that is lost (XEP-0163 §7.1): who may not read a node any more is no subscriber of it any more, and
//! is told so (XEP-0060 §12.14). Asked whenever a contact, a configuration or an affiliation has changed.
//!
//! A block takes no access away: while it lasts the subscriber hears nothing (XEP-0163 §4.3.3), and with its
//! end all is as it was (XEP-0191 §4).

use super::{Refusal, Visitor, event, node::Node, people};
use crate::account::Cx;
use xmpp::Jid;

/// What the account's roster says of a contact is another thing now.
pub(crate) fn contact_changed(cx: &mut Cx<'_>, contact: &Jid) {
    let subscribed = |node: &&Node| {
        let mut subscriptions = node.subscriptions().iter();
        subscriptions.any(|(jid, _)| jid.bare_str() == contact.as_str())
    };
    let nodes = cx.state.memory.nodes.iter().filter(subscribed);
    let names: Vec<Box<str>> = nodes.map(|node| node.name.clone()).collect();
    for name in names {
        cancel(cx, &name, |jid| jid.bare_str() == contact.as_str());
    }
}

/// Its configuration or an affiliation is another one now. Who waited for an owner's word and needs none any
/// more has it (XEP-0060 §8.7).
pub(super) fn node_changed(cx: &mut Cx<'_>, name: &str) {
    cancel(cx, name, |_| true);
    let Ok(node) = cx.node(name) else {
        return;
    };
    let pending = node.subscriptions().iter().filter(|(_, is)| is.pending);
    let granted: Vec<Jid> = pending
        .map(|(jid, _)| jid)
        .filter(|jid| Visitor::new(cx, jid).may_subscribe(node, cx.face()) == Ok(true))
        .cloned()
        .collect();
    for jid in granted {
        people::set_subscription(cx, name, &jid, Some(false));
        people::tell_owners(cx, name, &jid, "subscribed");
    }
}

fn cancel(cx: &mut Cx<'_>, name: &str, concerns: impl Fn(&Jid) -> bool) {
    let Ok(node) = cx.node(name) else {
        return;
    };
    let subscribers = node.subscriptions().iter().map(|(jid, _)| jid);
    let lost: Vec<Jid> = subscribers
        .filter(|jid| concerns(jid) && !may_stay(cx, node, jid))
        .cloned()
        .collect();
    for jid in lost {
        people::remove(cx, name, &jid);
        event::announce_subscription(cx, name, &jid, "none");
        people::tell_owners(cx, name, &jid, "none");
    }
}

/// Whoever still waits for an owner's word may go on waiting. Who may not subscribe is not subscribed by
/// others either (§4.1).
pub(super) fn may_stay(cx: &Cx<'_>, node: &Node, jid: &Jid) -> bool {
    let read = Visitor::new(cx, jid).may_read(node, cx.face());
    matches!(read, Ok(()) | Err(Refusal::NotSubscribed))
}
