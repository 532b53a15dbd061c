//! What an owner does (XEP-0045 §10): configuring and destroying.

use super::room;
use crate::{
    account::Cx,
    feature::{Answer, Iq},
    room::Affiliation,
};
use xmpp::{Element, StanzaError, form};

/// §10.1.2, §10.2, §10.9.
pub(super) fn set(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let room = room(cx)?;
    if room.affiliation(&iq.passing.from) != Affiliation::Owner {
        return Err(StanzaError::FORBIDDEN);
    }
    let query = iq.payload.element();
    let x = query.child(form::NS, "x").ok_or(StanzaError::BAD_REQUEST)?;
    if is_instant(x) {
        if room.locked {
            cx.unlock_room();
        }
        return Ok(String::new());
    }
    Err(StanzaError::FEATURE_NOT_IMPLEMENTED)
}

/// §10.1.2: as it is.
fn is_instant(x: &Element) -> bool {
    x.attr("type") == Some("submit") && x.elements().next().is_none()
}
