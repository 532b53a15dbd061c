//! XEP-0398 §4, XEP-0153 §4.1: the hash of the picture in presence of clients that leave it to the server.
//!
//! It goes into what is broadcast once, before the copies are made, and into directed presence; a client that
//! says `<photo/>` has its reasons. Somebody who never had a picture is not said to have none, which costs
//! nothing; whose picture is gone, is.

use super::{DATA, METADATA, Picture};
use crate::{
    account::Cx,
    presence::gets_broadcasts,
    pubsub::{Access, Visitor},
};
use xmpp::{Jid, Passing, stanza::Reach};

pub(crate) const NS: &str = "vcard-temp:x:update";

/// Adds the hash to available presence of a client, on its way to wherever it is addressed.
pub(crate) fn complete(cx: &Cx<'_>, presence: &mut Passing) {
    let hash = match (cx.picture(), cx.state.memory.newer.picture) {
        (Some(hash), _) if may_know(cx, &presence.to) => hash.to_string(),
        (None, Picture::Gone) => String::new(),
        _ => return,
    };
    let stanza = presence.stanza.clone();
    let mut outdated = Vec::new();
    for x in stanza.children() {
        if x.name() != "x" || x.ns() != NS {
            continue;
        }
        let said = x.element().child(NS, "photo").map(xmpp::Element::text);
        match said.as_deref().map(str::trim) {
            Some("") => return,
            Some(said) if said.eq_ignore_ascii_case(&hash) => return,
            _ => outdated.push(x.index()),
        }
    }
    for index in outdated {
        presence.leave_behind(index, Reach::Everybody);
    }
    let photo = if hash.is_empty() {
        "<photo/>".to_owned()
    } else {
        format!("<photo>{hash}</photo>")
    };
    presence.add(format!("<x xmlns='{NS}'>{photo}</x>"), Reach::Everybody);
}

/// XEP-0398 §7, §8: whoever may not see the picture would only recognise a person by its hash.
fn may_know(cx: &Cx<'_>, to: &Jid) -> bool {
    let contacts = gets_broadcasts(cx, to);
    let access = |name| cx.node(name).map(|node| node.config(cx.face()).access);
    [DATA, METADATA]
        .map(access)
        .iter()
        .all(|access| match access {
            Ok(Access::Open) | Err(_) => true,
            Ok(Access::Presence) => contacts,
            Ok(_) => false,
        })
}

/// Presence as its client sent it.
pub(crate) fn as_sent(presence: &Passing) -> Passing {
    let (from, to) = (presence.from.clone(), presence.to.clone());
    Passing::new(presence.stanza.clone(), from, to)
}

/// The presence of a resource with what is true now, where that is not what was said last.
pub(crate) fn completed_anew(cx: &mut Cx<'_>, resource: &Jid) -> Option<Passing> {
    let before = cx
        .state
        .resource(resource)?
        .presence
        .as_ref()?
        .passing
        .clone();
    let mut now = as_sent(&before);
    complete(cx, &mut now);
    if now.content() == before.content() {
        return None;
    }
    cx.state.resource(resource)?.presence.as_mut()?.passing = now.clone();
    Some(now)
}

/// Whether somebody may read these nodes, as far as there are such.
pub(super) fn may_read(cx: &Cx<'_>, visitor: &Visitor, nodes: &[&str]) -> bool {
    let may = |name: &&str| match cx.node(name) {
        Ok(node) => visitor.may_read(node, cx.face()).is_ok(),
        Err(_) => true,
    };
    nodes.iter().all(may)
}
