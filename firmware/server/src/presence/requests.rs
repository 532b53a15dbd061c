//! Requests of others to see an account's presence (RFC 6121 §3.1.3), while they wait for an answer: they are
//! kept with the roster.

use crate::{
    account::Cx,
    features::passes,
    limits::REQUEST_BYTES_MAX,
    roster::{Item, Verb},
    session::Session,
};
use std::sync::Arc;
use xmpp::{Jid, Kind, Passing, Stanza};

/// §3.1.3 rule 4: requests are shown at every initial presence until they are answered.
pub(super) fn show_all(cx: &mut Cx<'_>, session: &Session) {
    let items = cx.state.roster.iter();
    let moves = &cx.state.memory.moves;
    let requests: Vec<Passing> = items
        .filter(|(contact, item)| item.subscription.pending_in && !moves.hide(contact))
        .map(|(contact, item)| request(cx, contact, item))
        .collect();
    for mut request in requests {
        if passes(cx, |feature| feature.stanza_in, &mut request) {
            session.outbox.push(request.entry());
        }
    }
}

pub(super) fn request(cx: &Cx<'_>, contact: &Jid, item: &Item) -> Passing {
    let kept = item
        .request()
        .and_then(|bytes| std::str::from_utf8(bytes).ok());
    let stanza = kept.and_then(|xml| Stanza::parse(xml).ok());
    let stanza =
        stanza.unwrap_or_else(|| Stanza::compose(Kind::Presence, &[("type", "subscribe")], ""));
    Passing::new(Arc::new(stanza), contact.clone(), cx.jid().clone())
}

/// Requests go to available resources, the rest to interested ones (§2.2, note).
pub(super) fn deliver(cx: &mut Cx<'_>, verb: Verb, passing: &Passing) {
    cx.deliver_to(&passing.entry(), |resource| {
        if verb == Verb::Subscribe {
            resource.presence.is_some()
        } else {
            resource.interested
        }
    });
}

/// §3.1.3 rule 4: the complete stanza, unless it is huge.
pub(super) fn kept(passing: &Passing) -> Box<[u8]> {
    if !is_too_large(passing) {
        return passing.to_xml().into_bytes().into();
    }
    let id = passing.stanza.id().unwrap_or_default();
    let bare = Stanza::compose(Kind::Presence, &[("type", "subscribe"), ("id", &id)], "");
    let bare = Passing::new(Arc::new(bare), passing.from.clone(), passing.to.clone());
    bare.to_xml().into_bytes().into()
}

/// Whether only its addresses and its id would be kept.
pub(super) fn is_too_large(request: &Passing) -> bool {
    request.to_xml().len() > REQUEST_BYTES_MAX
}
