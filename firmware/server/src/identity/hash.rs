//! XEP-0398 §4, XEP-0153 §4.1: the hash of the picture in presence of clients that leave it to the server.
//!
//! It goes into what is broadcast once, before the copies are made, and into directed presence. A client
//! that says `<photo/>` has its reasons; anything else that is not true is replaced. That a picture is gone
//! is said, too; but whoever never had one is not said to have none, unless the client begins to speak of it:
//! presence without pictures costs nothing.

use super::{DATA, METADATA, Picture};
use crate::{
    account::Cx,
    presence::gets_broadcasts,
    pubsub::{Access, Node, Visitor},
};
use xmpp::{Element, Jid, Passing, stanza::Reach};

pub(crate) const NS: &str = "vcard-temp:x:update";

/// Adds the hash to available presence of a client, on its way to wherever it is addressed.
pub(crate) fn complete(cx: &Cx<'_>, presence: &mut Passing) {
    let picture = cx.picture();
    if picture.is_some() && !may_know(cx, &presence.to) {
        return;
    }
    let to_be_said = picture.is_some() || cx.state.memory.newer.picture != Picture::OfCard;
    let hash = picture.map_or_else(String::new, |picture| picture.to_string());
    let stanza = presence.stanza.clone();
    let mut said = Vec::new();
    for x in stanza.children() {
        if x.name() != "x" || x.ns() != NS {
            continue;
        }
        let photo = x.element().child(NS, "photo").map(Element::text);
        let photo = photo.as_deref().map(str::trim);
        if photo.is_some_and(|photo| photo.is_empty() || photo.eq_ignore_ascii_case(&hash)) {
            return;
        }
        said.push(x.index());
    }
    if said.is_empty() && !to_be_said {
        return;
    }
    for index in said {
        presence.leave_behind(index, Reach::Everybody);
    }
    let photo = match &*hash {
        "" => "<photo/>".to_owned(),
        hash => format!("<photo>{hash}</photo>"),
    };
    presence.add(format!("<x xmlns='{NS}'>{photo}</x>"), Reach::Everybody);
}

/// XEP-0398 §7, §8: whoever may not see the picture would only recognise a person by its hash.
fn may_know(cx: &Cx<'_>, to: &Jid) -> bool {
    let contacts = gets_broadcasts(cx, to);
    let access = |name| cx.node(name).map(|node| node.config(cx.face()).access);
    let mut nodes = [DATA, METADATA].map(access).into_iter();
    let is_open = nodes.all(|access| match access {
        Ok(Access::Open) | Err(_) => true,
        Ok(Access::Presence) => contacts,
        Ok(_) => false,
    });
    is_open && !is_kept_out(cx, to)
}

/// Whether one of the nodes is closed to somebody in particular.
fn is_kept_out(cx: &Cx<'_>, who: &Jid) -> bool {
    let nodes = [DATA, METADATA]
        .into_iter()
        .filter_map(|name| cx.node(name).ok());
    let mut kept_out = nodes.flat_map(Node::kept_out);
    kept_out.any(|other| other.as_str() == who.bare_str())
}

/// Presence that was completed for everybody, as it is for one of them.
pub(crate) fn shown_to(cx: &Cx<'_>, presence: &Passing, to: Jid) -> Passing {
    if is_kept_out(cx, &to) {
        as_sent(presence).addressed_to(to)
    } else {
        presence.addressed_to(to)
    }
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
