//! XEP-0359: Unique and Stable Stanza IDs. A `<stanza-id/>` that claims to be from us is from us.
//!
//! The archive adds the recipient's when it keeps a message. Here forged ones are taken out, at both doors:
//! what a client of ours claims about any address of this house, and what anybody claims about the account
//! that receives it. Those of others stay (§3, rule 3).

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
        (On::Room, STANZA_ID),
        (On::RoomArchive, STANZA_ID),
    ],
    message_out: Some(strip_sent),
    message_in: Some(strip_received),
    ..Feature::NONE
};

fn strip_sent(cx: &mut Cx<'_>, message: &mut Passing) -> Verdict {
    let domain = cx.server.domain();
    strip(message, |by| is_in_this_house(domain, by))
}

/// What comes from this house was looked at when it was sent, or is of a room's making.
fn strip_received(cx: &mut Cx<'_>, message: &mut Passing) -> Verdict {
    let domain = cx.server.domain();
    let from_afar = !is_in_this_house(domain, &message.from);
    let own = cx.jid();
    strip(message, |by| {
        by.bare_str() == own.as_str() || (from_afar && is_in_this_house(domain, by))
    })
}

/// An account, the server, or a service below it.
fn is_in_this_house(domain: &Jid, address: &Jid) -> bool {
    let below = address.domainpart().strip_suffix(domain.as_str());
    below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
}

/// Rule 2. Addresses are compared as such: `by` may be written in many ways.
fn strip(message: &mut Passing, is_forged: impl Fn(&Jid) -> bool) -> Verdict {
    let forged = |child: xmpp::stanza::Child<'_>| {
        let by = child.attr("by").and_then(|by| Jid::parse(&by).ok());
        by.is_some_and(|by| is_forged(&by))
    };
    let stanza = message.stanza.clone();
    for child in stanza.children() {
        if child.name() == "stanza-id" && child.ns() == STANZA_ID && forged(child) {
            message.leave_behind(child.index(), Reach::Everybody);
        }
    }
    Verdict::Pass
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_house() {
        let domain = Jid::parse("home.example").unwrap();
        for (address, expected) in [
            ("home.example", true),
            ("juliet@home.example", true),
            ("juliet@HOME.example/balcony", true),
            ("room@groupchat.home.example", true),
            ("juliet@far.example", false),
            ("juliet@sweethome.example", false),
            ("juliet@home.example.far.example", false),
        ] {
            let address = Jid::parse(address).unwrap();
            assert_eq!(is_in_this_house(&domain, &address), expected, "{address}");
        }
    }
}
