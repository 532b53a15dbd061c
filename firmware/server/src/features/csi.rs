//! XEP-0352: Client State Indication. What may wait while nobody looks at a device, and what may not.
//!
//! Nothing that a person must see now waits; nothing else wakes a phone. A message waits only if all that is
//! in it is known to be able to: what nobody here has heard of is urgent. Requests and errors always are, for
//! somebody waits for them.

use super::hints;
use crate::{
    account::{Cx, Resource},
    feature::{Delivery, Feature, Nonza, Spec},
    push,
    session::Session,
};
use std::sync::Arc;
use xmpp::{Class, Element, Jid, Kind, Passing, ns, stanza::Child};

const NS: &str = "urn:xmpp:csi:0";

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(352, "1.0.0", "Client State Indication"),
    stream_features: Some(|_, _| Some(format!("<csi xmlns='{NS}'/>"))),
    bind_inline: &[NS],
    bound: Some(begin_inactive),
    nonza: &[
        Nonza {
            name: (NS, "active"),
            hook: |cx, session, _| {
                session.outbox.set_active(true);
                push::looked_at(cx, &session.jid);
                Ok(String::new())
            },
        },
        Nonza {
            name: (NS, "inactive"),
            hook: |_, session, _| {
                session.outbox.set_active(false);
                Ok(String::new())
            },
        },
    ],
    message_delivered: Some(classify),
    ..Feature::NONE
};

/// XEP-0386 §4: a client that nobody looks at says so while it binds.
fn begin_inactive(_: &mut Cx<'_>, session: &Arc<Session>, bind: &Element) -> Option<String> {
    bind.child(NS, "inactive")?;
    session.outbox.set_active(false);
    None
}

/// Told before the copies leave, since an outbox looks at nothing but the class.
fn classify(cx: &mut Cx<'_>, message: &Passing, delivery: &mut Delivery<'_>) {
    let watched = |resource: &Resource| !resource.session.outbox.is_inactive();
    if cx.state.resources.iter().all(watched) && cx.state.memory.push.is_empty() {
        return; // nobody asks
    }
    let nickname = match delivery.receivers {
        [receiver] if message.stanza.type_() == "groupchat" => nickname(cx, receiver, message),
        _ => None,
    };
    let follows = nickname
        .as_deref()
        .map_or(Follows::Everything, Follows::Mentions);
    let class = class(message, follows);
    for (_, copy) in &mut delivery.copies {
        copy.class = class.clone();
    }
    delivery.entry.class = class;
}

/// How a receiver is called in the room that a message comes from: it sent directed presence there (XEP-0045
/// §7.2).
fn nickname(cx: &mut Cx<'_>, receiver: &Jid, message: &Passing) -> Option<String> {
    let room = message.from.bare_str();
    let mut directed = cx.state.resource(receiver)?.directed.iter();
    let occupant = directed.find(|jid| jid.bare_str() == room)?;
    occupant.resourcepart().map(str::to_owned)
}

/// XEP-0085.
const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// XEP-0045.
const ROOM_USER: &str = "http://jabber.org/protocol/muc#user";
/// XEP-0384, in the forms that are in use: messages, and keys without any.
const OMEMO: [&str; 3] = [
    "eu.siacs.conversations.axolotl",
    "urn:xmpp:omemo:1",
    "urn:xmpp:omemo:2",
];
/// What says nothing that cannot be said later: chat states, receipts, markers, reactions, events of nodes
/// (avatars, moods, device lists, what was read elsewhere), and what goes along with other payloads (ids,
/// delays, fallback marks, encryption marks, wishes about copies).
const PATIENT: [&str; 12] = [
    CHAT_STATES,
    "urn:xmpp:receipts",
    "urn:xmpp:chat-markers:0",
    "urn:xmpp:reactions:0",
    "http://jabber.org/protocol/pubsub#event",
    "urn:xmpp:sid:0",
    "urn:xmpp:occupant-id:0",
    "urn:xmpp:delay",
    "urn:xmpp:fallback:0",
    "urn:xmpp:eme:0",
    "urn:xmpp:carbons:2",
    "http://jabber.org/protocol/address",
];

/// What in a room concerns whoever gets it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Follows<'a> {
    /// Everything: a group of the household, or nobody knows what room this is.
    Everything,
    /// What names it by its nickname there: a large room among strangers.
    Mentions(&'a str),
}

/// How soon a stanza must reach a device that nobody looks at.
pub(crate) fn class(passing: &Passing, follows: Follows<'_>) -> Class {
    let urgent = match (passing.stanza.kind, passing.stanza.type_()) {
        (Kind::Iq, _) => true,
        (Kind::Presence, "" | "unavailable") if !is_of_oneself(passing) => {
            return Class::Presence(passing.from.clone());
        }
        // Errors, subscriptions, and how the own joining and leaving of a room went.
        (Kind::Presence, _) | (Kind::Message, "error") => true,
        (Kind::Message, _) if is_chat_state(passing) => {
            return Class::ChatState(passing.from.clone());
        }
        (Kind::Message, "groupchat") => concerns(passing, follows),
        (Kind::Message, _) => !may_wait(passing),
    };
    if urgent { Class::Urgent } else { Class::Later }
}

/// XEP-0045 §7.2.2, §8.2: status 110 marks presence of the receiver itself, for which a join waits.
fn is_of_oneself(presence: &Passing) -> bool {
    let Some(x) = presence.stanza.child(ROOM_USER, "x") else {
        return false;
    };
    let x = x.element();
    let mut statuses = x
        .elements()
        .filter(|element| element.is(ROOM_USER, "status"));
    statuses.any(|status| status.attr("code") == Some("110"))
}

/// Whether what was said in a room is for somebody who does not look.
fn concerns(message: &Passing, follows: Follows<'_>) -> bool {
    let Some(body) = message.stanza.child(ns::CLIENT, "body") else {
        return !may_wait(message);
    };
    match follows {
        Follows::Everything => true,
        // What is encrypted is said among few (and in `body` there is a sentence about that, if anything).
        Follows::Mentions(nickname) => {
            message.stanza.children().any(|child| is_encrypted(child))
                || mentions(&body.text(), nickname)
        }
    }
}

/// Whether a nickname stands in a text by itself, however it is written.
pub(crate) fn mentions(text: &str, nickname: &str) -> bool {
    let (text, nickname) = (text.to_lowercase(), nickname.to_lowercase());
    let is_apart = |side: Option<char>| side.is_none_or(|c| !c.is_alphanumeric());
    !nickname.is_empty()
        && text.match_indices(&nickname).any(|(start, found)| {
            is_apart(text[..start].chars().next_back())
                && is_apart(text[start + found.len()..].chars().next())
        })
}

/// Whether it says that somebody writes, or does so no more, and nothing else: the next one replaces it
/// (XEP-0085 §5.1).
fn is_chat_state(message: &Passing) -> bool {
    let mut states = 0;
    let goes_along = |child: Child<'_>| match (child.ns(), child.name()) {
        (ns::CLIENT, "thread") | ("urn:xmpp:sid:0" | "urn:xmpp:occupant-id:0", _) => true,
        (CHAT_STATES, _) => {
            states += 1;
            true
        }
        (ns, _) => hints::is_hint(ns),
    };
    message.stanza.children().all(goes_along) && states > 0
}

fn may_wait(message: &Passing) -> bool {
    message
        .stanza
        .children()
        .all(|child| match (child.ns(), child.name()) {
            (ns::CLIENT, name) => name == "thread",
            (ROOM_USER, "x") => child.element().child(ROOM_USER, "invite").is_none(),
            (ns, "encrypted") if OMEMO.contains(&ns) => !is_encrypted(child),
            (ns, _) => PATIENT.contains(&ns) || hints::is_hint(ns),
        })
}

/// Whether a message is inside. Keys that travel without one (XEP-0384 §5.4) concern devices only.
pub(crate) fn is_encrypted(child: Child<'_>) -> bool {
    OMEMO.contains(&child.ns()) && child.element().child(child.ns(), "payload").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmpp::Stanza;

    fn passing(kind: Kind, type_: &str, content: &str) -> Passing {
        let stanza = Stanza::compose(kind, &[("type", type_)], content);
        let jid = |text| Jid::parse(text).unwrap();
        Passing::new(Arc::new(stanza), jid("room@h/nurse"), jid("j@h/x"))
    }

    /// `U` urgent, `L` later, `P` presence.
    fn letter(class: &Class) -> char {
        match class {
            Class::Urgent => 'U',
            Class::Later => 'L',
            Class::Presence(_) => 'P',
            Class::ChatState(_) => 'S',
        }
    }

    fn check(kind: Kind, rows: &[(&str, &str, char)]) {
        for (type_, content, expected) in rows {
            let class = class(&passing(kind, type_, content), Follows::Everything);
            assert_eq!(letter(&class), *expected, "{type_} {content}");
        }
    }

    const STATE: &str = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
    const EVENT: &str = "<event xmlns='http://jabber.org/protocol/pubsub#event'/>";
    const RECEIPT: &str = "<received xmlns='urn:xmpp:receipts' id='1'/>";

    #[test]
    fn messages() {
        let marker = "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/><store xmlns='urn:xmpp:hints'/>\
                      <stanza-id xmlns='urn:xmpp:sid:0' by='j@h' id='2'/><thread>t</thread>";
        let both = format!("{STATE}<body>b</body>");
        let keys = "<encrypted xmlns='eu.siacs.conversations.axolotl'><header/></encrypted>";
        let letter =
            "<encrypted xmlns='eu.siacs.conversations.axolotl'><header/><payload/></encrypted>";
        check(
            Kind::Message,
            &[
                ("chat", "<body>b</body>", 'U'),
                ("chat", &both, 'U'),
                ("normal", "<subject>s</subject>", 'U'),
                ("chat", letter, 'U'),
                ("chat", "<openpgp xmlns='urn:xmpp:openpgp:0'/>", 'U'),
                (
                    "chat",
                    "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>",
                    'U',
                ),
                (
                    "chat",
                    "<retract xmlns='urn:xmpp:jingle-message:0' id='1'/>",
                    'U',
                ),
                ("chat", "<attention xmlns='urn:xmpp:attention:0'/>", 'U'),
                ("chat", "<tomorrow xmlns='urn:example'/>", 'U'),
                (
                    "normal",
                    "<x xmlns='jabber:x:conference' jid='room@h'/>",
                    'U',
                ),
                (
                    "normal",
                    "<x xmlns='http://jabber.org/protocol/muc#user'><invite/></x>",
                    'U',
                ),
                ("error", STATE, 'U'),
                ("headline", "<body>The bridge is closed</body>", 'U'),
                ("headline", EVENT, 'L'),
                ("chat", STATE, 'S'),
                ("chat", &format!("{STATE}{RECEIPT}"), 'L'),
                ("chat", RECEIPT, 'L'),
                ("chat", marker, 'L'),
                ("chat", keys, 'L'),
                (
                    "chat",
                    "<reactions xmlns='urn:xmpp:reactions:0' id='1'/>",
                    'L',
                ),
                (
                    "normal",
                    "<x xmlns='http://jabber.org/protocol/muc#user'/>",
                    'L',
                ),
                ("chat", "", 'L'),
            ],
        );
    }

    #[test]
    fn presence_and_requests() {
        let room = |inside: &str| format!("<x xmlns='{ROOM_USER}'>{inside}</x>");
        check(
            Kind::Presence,
            &[
                ("", "<show>away</show>", 'P'),
                ("unavailable", "", 'P'),
                ("", &room("<status code='100'/>"), 'P'),
                ("", &room("<status code='100'/><status code='110'/>"), 'U'),
                (
                    "unavailable",
                    &room("<status code='110'/><status code='307'/>"),
                    'U',
                ),
                ("error", "", 'U'),
                ("subscribe", "", 'U'),
                ("subscribed", "", 'U'),
                ("unsubscribed", "", 'U'),
            ],
        );
        check(
            Kind::Iq,
            &[
                ("get", STATE, 'U'),
                ("set", "", 'U'),
                ("result", "", 'U'),
                ("error", "", 'U'),
            ],
        );
        let presence = passing(Kind::Presence, "", "");
        assert_eq!(
            class(&presence, Follows::Everything),
            Class::Presence(presence.from.clone())
        );
    }

    #[test]
    fn what_is_said_in_rooms() {
        let letter_of = |content: &str, follows| {
            letter(&class(
                &passing(Kind::Message, "groupchat", content),
                follows,
            ))
        };
        let encrypted = "<body>I sent you a message</body>\
                         <encrypted xmlns='urn:xmpp:omemo:2'><header/><payload/></encrypted>";
        for (content, everything, juliet) in [
            ("<body>JULIET: hark</body>", 'U', 'U'),
            ("<body>Where is @juliet?</body>", 'U', 'U'),
            ("<body>Juliette is here</body>", 'U', 'L'),
            ("<body>Good morrow</body>", 'U', 'L'),
            (encrypted, 'U', 'U'),
            ("<subject>The end of joining</subject>", 'U', 'U'),
            (STATE, 'S', 'S'),
            (RECEIPT, 'L', 'L'),
        ] {
            assert_eq!(
                letter_of(content, Follows::Everything),
                everything,
                "{content}"
            );
            assert_eq!(
                letter_of(content, Follows::Mentions("Juliet")),
                juliet,
                "{content}"
            );
        }
        assert_eq!(letter_of("<body>all</body>", Follows::Mentions("")), 'L');
    }
}
