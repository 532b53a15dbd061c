//! XEP-0359: Unique and Stable Stanza IDs. A `<stanza-id/>` that claims to be from us is from us.
//!
//! The archive adds an account's when it keeps a message. Here forged ones are taken out, at both doors, each
//! account those that claim to be its own (§3, rule 2), written in whatever way. Those of all other addresses
//! stay (§3, rule 3): it is for whoever reads them to know who may have added them (§6).

use crate::{
    account::Cx,
    archive::STANZA_ID,
    feature::{Feature, On, Spec, Verdict},
};
use xmpp::{Jid, Passing, stanza::Reach};

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(359, "0.7.0", "Unique and Stable Stanza IDs"),
    disco: &[
        (On::Server, STANZA_ID),
        (On::OwnAccount, STANZA_ID),
        (On::RoomArchive, STANZA_ID),
    ],
    message_out: Some(strip),
    message_in: Some(strip),
    ..Feature::NONE
};

fn strip(cx: &mut Cx<'_>, message: &mut Passing) -> Verdict {
    let forged = |child: xmpp::stanza::Child<'_>| {
        let by = child.attr("by").and_then(|by| Jid::parse(&by).ok());
        by.is_some_and(|by| by == *cx.jid())
    };
    let stanza = message.stanza.clone();
    for child in stanza.children() {
        if child.name() == "stanza-id" && child.ns() == STANZA_ID && forged(child) {
            message.leave_behind(child.index(), Reach::Everybody);
        }
    }
    Verdict::Pass
}
