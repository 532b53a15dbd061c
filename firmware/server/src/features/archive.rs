//! What goes into the archive: messages that a person would miss on another device. Kept for sender and
//! recipient, each at a position of their own, before anything is delivered.

use super::{hints, jingle_message};
use crate::{
    account::Cx,
    archive::{self, EntryKind},
    feature::{Feature, Spec, Verdict},
};
use xmpp::{Passing, StanzaError, ns, stanza::Child};

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Own("archive"),
    message_out: Some(keep_sent),
    message_in: Some(keep_received),
    ..Feature::NONE
};

fn keep_sent(cx: &mut Cx<'_>, message: &mut Passing) -> Verdict {
    // A note to oneself is kept once, when it arrives.
    let to_oneself = message.to.bare_str() == cx.jid().as_str();
    if !to_oneself && worth(message) == Worth::Archive && cx.state.wants_kept(&message.to) {
        return kept(archive::keep(cx, message, EntryKind::Sent));
    }
    Verdict::Pass
}

fn keep_received(cx: &mut Cx<'_>, message: &mut Passing) -> Verdict {
    let kind = match worth(message) {
        Worth::Nothing => return Verdict::Pass,
        Worth::Archive if cx.state.wants_kept(&message.from) => EntryKind::Received,
        // XEP-0441 §2.1.3 is about what is found later; it must arrive all the same.
        Worth::Archive | Worth::Delivery => EntryKind::Temporary,
    };
    kept(archive::keep(cx, message, kind))
}

/// A message that cannot be kept is not delivered either.
fn kept(kept: Result<(), StanzaError>) -> Verdict {
    kept.map_or_else(Verdict::Refuse, |()| Verdict::Pass)
}

/// Whether a message is kept at all.
pub(crate) fn worth_keeping(message: &Passing) -> bool {
    worth(message) != Worth::Nothing
}

/// Whether what was said in a room is kept there. Of a subject the room keeps the last anyway, and that it
/// changed is part of what happened. That something was taken back everybody must find, whatever its author
/// wishes (XEP-0424 §5).
pub(crate) fn worth_keeping_in_room(message: &Passing) -> bool {
    message.stanza.child(archive::RETRACT, "retract").is_some()
        || !hints::no_store(message)
            && (hints::store(message)
                || message
                    .stanza
                    .children()
                    .any(|child| is_listed(MEANING, child)))
}

/// What becomes of a message beyond those who get it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worth {
    /// It is for those who are there.
    Nothing,
    /// It waits until somebody is there.
    Delivery,
    /// Another device wants to know of it later.
    Archive,
}

/// What makes a message worth a place in the archive: anything that a second device needs to show the same
/// conversation. The name `*` is any element of the namespace.
#[rustfmt::skip]
const MEANING: &[(&str, &str)] = &[
    (ns::CLIENT, "body"),                                        // XEP-0313 §6.1.1
    (ns::CLIENT, "subject"),                                     // RFC 6121 §5.2.4
    // Encrypted, with or without a body that says so.
    ("urn:xmpp:eme:0", "encryption"),                            // XEP-0380
    ("eu.siacs.conversations.axolotl", "encrypted"),             // XEP-0384 0.3
    ("urn:xmpp:omemo:2", "encrypted"),                           // XEP-0384
    ("urn:xmpp:openpgp:0", "openpgp"),                           // XEP-0373
    ("jabber:x:encrypted", "x"),                                 // XEP-0027
    // What happened to a message.
    ("urn:xmpp:receipts", "received"),                           // XEP-0184
    ("urn:xmpp:chat-markers:0", "received"),                     // XEP-0333
    ("urn:xmpp:chat-markers:0", "displayed"),
    ("urn:xmpp:chat-markers:0", "acknowledged"),
    ("urn:xmpp:message-correct:0", "replace"),                   // XEP-0308
    ("urn:xmpp:message-retract:0", "*"),                         // XEP-0424 before 0.4
    ("urn:xmpp:message-retract:1", "*"),                         // XEP-0424
    ("urn:xmpp:fasten:0", "apply-to"),                           // XEP-0422
    ("urn:xmpp:reactions:0", "reactions"),                       // XEP-0444
    // Calls: which device rang, took it or missed it.
    (jingle_message::NS, "*"),                                   // XEP-0353
    ("urn:xmpp:call-invites:0", "*"),                            // XEP-0482
    // Invitations and files.
    ("jabber:x:conference", "x"),                                // XEP-0249
    ("http://jabber.org/protocol/muc#user", "x"),                // XEP-0045 §7.8
    ("jabber:x:oob", "x"),                                       // XEP-0066
    ("urn:xmpp:sfs:0", "file-sharing"),                          // XEP-0447
];

/// What says nothing by itself: with nothing else inside, a message is over when it has passed.
#[rustfmt::skip]
const PASSING: &[(&str, &str)] = &[
    ("http://jabber.org/protocol/chatstates", "*"),              // XEP-0085
    (ns::CLIENT, "thread"),                                      // goes with chat states (XEP-0085 §5.5)
    (archive::STANZA_ID, "*"),                                   // XEP-0359
    ("urn:xmpp:delay", "delay"),                                 // XEP-0203
    ("urn:xmpp:mam:2", "result"),                                // XEP-0313: it is in an archive
    ("urn:xmpp:receipts", "request"),                            // XEP-0184
    ("urn:xmpp:chat-markers:0", "markable"),                     // XEP-0333
    ("urn:xmpp:carbons:2", "private"),                           // XEP-0280
    ("http://jabber.org/protocol/pubsub#event", "event"),        // XEP-0163 §4.3.2: the last one comes again
];

fn is_listed(list: &[(&str, &str)], child: Child<'_>) -> bool {
    let (ns, name) = (child.ns(), child.name());
    list.iter()
        .any(|(known, names)| *known == ns && (*names == "*" || *names == name))
}

/// XEP-0313 §6.1 leaves the choice to the server; XEP-0160 §3 and XEP-0334 §4 say what not.
fn worth(message: &Passing) -> Worth {
    let stanza = &message.stanza;
    if matches!(stanza.type_(), "error" | "headline" | "groupchat") || hints::no_store(message) {
        return Worth::Nothing;
    }
    let means_something = || stanza.children().any(|child| is_listed(MEANING, child));
    let worth = if hints::store(message) || means_something() {
        Worth::Archive
    } else if says_nothing(message) {
        Worth::Nothing
    } else {
        Worth::Delivery
    };
    match worth {
        Worth::Archive if hints::no_permanent_store(message) => Worth::Delivery,
        worth => worth,
    }
}

/// Whether it is over when it has passed: its sender need not know that nobody was there.
pub(crate) fn says_nothing(message: &Passing) -> bool {
    message
        .stanza
        .children()
        .all(|child| hints::is_hint(child.ns()) || is_listed(PASSING, child))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use xmpp::{Jid, Stanza};

    fn worth_of(message: &str) -> Worth {
        let jid = Jid::parse("a@b").unwrap();
        let stanza = Arc::new(Stanza::parse(message).unwrap());
        worth(&Passing::new(stanza, jid.clone(), jid))
    }

    const ACTIVE: &str = "<active xmlns='http://jabber.org/protocol/chatstates'/>";
    const STORE: &str = "<store xmlns='urn:xmpp:hints'/>";
    const NO_STORE: &str = "<no-store xmlns='urn:xmpp:hints'/>";
    const NOT_FOR_GOOD: &str = "<no-permanent-store xmlns='urn:xmpp:hints'/>";
    const NO_COPY: &str = "<no-copy xmlns='urn:xmpp:hints'/>";
    const BODY: &str = "<body>Hark</body>";
    const UNHEARD_OF: &str = "<x xmlns='urn:example:unheard-of'/>";

    fn check(children: &[&str], expected: Worth) {
        let content = children.concat();
        for (type_, expected) in [
            ("chat", expected),
            ("normal", expected),
            ("error", Worth::Nothing),
            ("headline", Worth::Nothing),
            ("groupchat", Worth::Nothing),
        ] {
            let message = format!("<message type='{type_}'>{content}</message>");
            assert_eq!(worth_of(&message), expected, "{message}");
        }
    }

    #[test]
    fn what_means_something_is_archived() {
        for child in [
            BODY,
            "<subject>Letter</subject>",
            "<encrypted xmlns='eu.siacs.conversations.axolotl'/>",
            "<encrypted xmlns='urn:xmpp:omemo:2'/>",
            "<encryption xmlns='urn:xmpp:eme:0'/>",
            "<received xmlns='urn:xmpp:receipts' id='1'/>",
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
            "<reactions xmlns='urn:xmpp:reactions:0' id='1'/>",
            "<retract xmlns='urn:xmpp:message-retract:1' id='1'/>",
            "<replace xmlns='urn:xmpp:message-correct:0' id='1'/>",
            "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>",
            "<finish xmlns='urn:xmpp:jingle-message:0' id='1'/>",
        ] {
            check(&[child], Worth::Archive);
            check(&[ACTIVE, NO_COPY, UNHEARD_OF, child], Worth::Archive);
            check(&[child, NOT_FOR_GOOD], Worth::Delivery);
            check(&[child, NO_STORE], Worth::Nothing);
        }
    }

    #[test]
    fn the_rest_waits_or_passes() {
        check(&[], Worth::Nothing);
        check(&[ACTIVE], Worth::Nothing);
        check(&[ACTIVE, "<thread>t</thread>", NO_COPY], Worth::Nothing);
        check(
            &[ACTIVE, "<request xmlns='urn:xmpp:receipts'/>"],
            Worth::Nothing,
        );
        check(
            &["<event xmlns='http://jabber.org/protocol/pubsub#event'/>"],
            Worth::Nothing,
        );
        check(&[ACTIVE, STORE], Worth::Archive);
        check(&[STORE, NOT_FOR_GOOD], Worth::Delivery);
        check(&[STORE, NO_STORE], Worth::Nothing);
        check(&[UNHEARD_OF], Worth::Delivery);
        check(&[ACTIVE, UNHEARD_OF], Worth::Delivery);
    }
}
