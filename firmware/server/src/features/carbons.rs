//! XEP-0280: Message Carbons. A copy of each conversation for the user's other devices.
//!
//! State: per resource whether it wants copies; per account which messages were copied when they were sent
//! ([`Copied`]), so that an error which answers one of them is copied, too.
//!
//! `<private/>` goes on to the recipient: taking it out let a sender decide silently about the devices of
//! somebody else, so §9 no longer asks for it.

use super::{hints, jingle_message};
use crate::{
    account::{Cx, Resource},
    archive,
    feature::{Answer, Delivery, Feature, Iq, On, Saved, Spec, Verdict, set},
    limits::COPIED_MAX,
    session::Session,
};
use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};
use xmpp::{Class, Element, Entry, Jid, Kind, Passing, StanzaError, ns, stanza::Reach};

const NS: &str = "urn:xmpp:carbons:2";
/// XEP-0045.
const ROOM_USER: &str = "http://jabber.org/protocol/muc#user";
/// Payloads of conversations (§6.1): receipts, chat states, markers, invitations into a room; and calls, that
/// all devices may ring and stop ringing (XEP-0353).
const CONVERSATION: [&str; 5] = [
    "urn:xmpp:receipts",
    "http://jabber.org/protocol/chatstates",
    "urn:xmpp:chat-markers:0",
    "jabber:x:conference",
    jingle_message::NS,
];

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(280, "1.0.1", "Message Carbons"),
    // §6.2: the rules of §6.1 are kept.
    disco: &[(On::Server, NS), (On::Server, "urn:xmpp:carbons:rules:0")],
    iq: &[
        set(On::OwnAccount, (NS, "enable"), |cx, iq| {
            switch(cx, iq, true)
        }),
        set(On::OwnAccount, (NS, "disable"), |cx, iq| {
            switch(cx, iq, false)
        }),
        // §4.1, §5.1: on behalf of somebody else.
        set(On::OtherAccount, (NS, "enable"), |_, _| {
            Err(StanzaError::NOT_ALLOWED)
        }),
        set(On::OtherAccount, (NS, "disable"), |_, _| {
            Err(StanzaError::NOT_ALLOWED)
        }),
    ],
    bind_inline: &[NS],
    bound: Some(enable_inline),
    message_out: Some(copy_sent),
    message_delivered: Some(copy_received),
    saved: Some(Saved {
        name: "carbons",
        save: |resource| resource.memory.carbons.then(Vec::new),
        restore: |resource, _| resource.memory.carbons = true,
    }),
    ..Feature::NONE
};

/// Messages that were copied when they were sent, by hashes of id and recipient, the newest last.
#[derive(Debug, Default)]
pub(crate) struct Copied(VecDeque<u64>);

impl Copied {
    fn remember(&mut self, id: &str, recipient: &Jid) {
        if self.0.len() >= COPIED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Copied::hash(id, recipient));
    }

    /// Whether an error with this id and sender answers one of them.
    fn is_answered(&self, id: &str, sender: &Jid) -> bool {
        self.0.contains(&Copied::hash(id, sender))
    }

    /// One that was sent to the bare JID may be answered by a resource.
    fn hash(id: &str, other: &Jid) -> u64 {
        let mut hasher = DefaultHasher::new();
        (id, other.bare_str()).hash(&mut hasher);
        hasher.finish()
    }
}

/// §4, §5; again and again without complaint (§10.1).
fn switch(cx: &mut Cx<'_>, iq: &Iq<'_>, on: bool) -> Answer {
    if let Some(resource) = cx.state.resource(&iq.passing.from) {
        resource.memory.carbons = on;
    }
    Ok(String::new())
}

/// XEP-0386 §4.
fn enable_inline(cx: &mut Cx<'_>, session: &Arc<Session>, bind: &Element) -> Option<String> {
    bind.child(NS, "enable")?;
    cx.state.resource(&session.jid)?.memory.carbons = true;
    None
}

/// §8: to every resource that wants copies but the one that sent it.
fn copy_sent(cx: &mut Cx<'_>, message: &mut Passing) -> Verdict {
    // A note to oneself is copied once, when it arrives.
    if message.to.bare_str() == cx.jid().as_str() || !is_conversation(message) {
        return Verdict::Pass;
    }
    // §6.1, note: only those who are in that room can answer there.
    let room = is_private_in_room(message, &message.to).then(|| message.to.clone());
    let wants = |resource: &Resource| {
        resource.memory.carbons
            && resource.session.jid != message.from
            && room.as_ref().is_none_or(|room| is_in_room(resource, room))
    };
    if !cx.state.resources.iter().any(wants) {
        return Verdict::Pass;
    }
    let copy = sent(cx.jid(), &with_id(cx, message));
    let mut at_once = Vec::new();
    for resource in &mut cx.state.resources {
        // What is not kept cannot wait for its turn.
        let position = message.position.filter(|_| wants(resource));
        let waits = position.is_some_and(|at| resource.memory.waiting.queues_behind(at));
        if wants(resource) && !waits {
            at_once.push(resource.session.jid.clone());
        }
    }
    for jid in at_once {
        let to = Some(jid.clone());
        cx.deliver(&jid, Entry { to, ..copy.clone() });
    }
    if let Some(id) = message.stanza.id() {
        cx.state.memory.copied.remember(&id, &message.to);
    }
    Verdict::Pass
}

/// As the account's archive keeps it (XEP-0313 §3.5): the other devices need not ask for it again. The
/// recipient is not told.
fn with_id(cx: &Cx<'_>, message: &Passing) -> Passing {
    let mut kept = message.clone();
    if let Some(position) = message.position {
        let ids = cx.server.archive_ids();
        let stanza_id = archive::stanza_id(ids, cx.id(), cx.jid(), position);
        kept.add(stanza_id, Reach::ThisAccount);
    }
    kept
}

/// §7: to every resource that wants copies and does not receive the message itself, available or not.
fn copy_received(cx: &mut Cx<'_>, message: &Passing, delivery: &mut Delivery<'_>) {
    if message.stanza.type_() == "groupchat" {
        return; // most of what comes in a large room, and never copied
    }
    let wants = |resource: &Resource| {
        let jid = &resource.session.jid;
        resource.memory.carbons && *jid != message.from && !delivery.receivers.contains(jid)
    };
    let wanting = cx.state.resources.iter().filter(|resource| wants(resource));
    let wanting: Vec<Jid> = wanting
        .map(|resource| resource.session.jid.clone())
        .collect();
    if wanting.is_empty() || !is_received_conversation(cx, message) {
        return;
    }
    let copy = copy(cx.jid(), message, "received");
    delivery.copies.extend(wanting.into_iter().map(|jid| {
        let to = Some(jid.clone());
        (jid, Entry { to, ..copy.clone() })
    }));
}

fn is_received_conversation(cx: &Cx<'_>, message: &Passing) -> bool {
    if message.stanza.type_() == "error" {
        let id = message.stanza.id().unwrap_or_default();
        return !is_withheld(message) && cx.state.memory.copied.is_answered(&id, &message.from);
    }
    // The room sends it to every device in it.
    is_conversation(message) && !is_private_in_room(message, &message.from)
}

/// §6.1, but for errors and for what is private in a room.
fn is_conversation(message: &Passing) -> bool {
    let stanza = &message.stanza;
    let by_type = match stanza.type_() {
        "groupchat" | "error" => return false,
        "chat" => true,
        "headline" => false,
        _ => stanza.child(ns::CLIENT, "body").is_some(),
    };
    let by_payload = || {
        let mut children = stanza.children();
        children.any(|child| CONVERSATION.contains(&child.ns())) || is_invitation(message)
    };
    !is_withheld(message) && (by_type || by_payload())
}

/// §9: its sender wants no copies. What looks like a copy (§7) is none of ours, and not to be wrapped in one
/// that is.
fn is_withheld(message: &Passing) -> bool {
    let mut children = message.stanza.children();
    let ours = ["private", "sent", "received"];
    hints::no_copy(message)
        || children.any(|child| child.ns() == NS && ours.contains(&child.name()))
}

/// XEP-0045 §7.8.2.
fn is_invitation(message: &Passing) -> bool {
    let x = message.stanza.child(ROOM_USER, "x");
    x.is_some_and(|x| x.element().child(ROOM_USER, "invite").is_some())
}

/// XEP-0045 §7.5: with an occupant of a room, who has a full JID there.
fn is_private_in_room(message: &Passing, occupant: &Jid) -> bool {
    !occupant.is_bare() && message.stanza.child(ROOM_USER, "x").is_some() && !is_invitation(message)
}

/// Whoever joined a room sent directed presence to it.
fn is_in_room(resource: &Resource, occupant: &Jid) -> bool {
    let mut directed = resource.directed.iter();
    directed.any(|to| to.bare_str() == occupant.bare_str())
}

/// What the account's other resources get to know of a message that it sent.
pub(super) fn sent(own: &Jid, message: &Passing) -> Entry {
    let mut copy = copy(own, message, "sent");
    copy.class = class_of_sent(message);
    copy
}

/// The content is built once and shared by all who get it.
fn copy(own: &Jid, message: &Passing, way: &str) -> Entry {
    let type_ = message.stanza.type_();
    let attributes = [("from", own.as_str()), ("type", type_)];
    let attributes = if type_.is_empty() {
        &attributes[..1]
    } else {
        &attributes
    };
    let content = format!(
        "<{way} xmlns='{NS}'><forwarded xmlns='urn:xmpp:forward:0'>{}</forwarded></{way}>",
        message.to_xml()
    );
    Entry::compose(Kind::Message, None, attributes, content)
}

/// How soon the copy (XEP-0280) of what the user does on another device must reach this one: it is known
/// there, so only a call that was taken elsewhere is urgent.
fn class_of_sent(message: &Passing) -> Class {
    let mut children = message.stanza.children();
    if children.any(jingle_message::is_call) {
        Class::Urgent
    } else {
        Class::Later
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmpp::Stanza;

    fn message(type_: &str, to: &str, content: &str) -> Passing {
        let stanza = Stanza::compose(Kind::Message, &[("type", type_)], content);
        let from = Jid::parse("j@h/x").unwrap();
        Passing::new(Arc::new(stanza), from, Jid::parse(to).unwrap())
    }

    fn check(type_: &str, content: &str, eligible: bool) {
        let message = message(type_, "r@h", content);
        assert_eq!(is_conversation(&message), eligible, "{type_} {content}");
    }

    #[test]
    fn rules_of_section_6_1() {
        let body = "<body>b</body>";
        for (type_, with_body, without) in [
            ("chat", true, true),
            ("normal", true, false),
            ("of tomorrow", true, false),
            ("headline", false, false),
            ("groupchat", false, false),
            ("error", false, false),
        ] {
            check(type_, body, with_body);
            check(type_, "<subject>s</subject>", without);
            check(
                type_,
                "<received xmlns='urn:xmpp:receipts'/>",
                !matches!(type_, "groupchat" | "error"),
            );
            for withheld in [
                "<private xmlns='urn:xmpp:carbons:2'/>",
                "<sent xmlns='urn:xmpp:carbons:2'/>",
                "<received xmlns='urn:xmpp:carbons:2'/>",
                "<no-copy xmlns='urn:xmpp:hints'/>",
            ] {
                check(type_, &format!("{body}{withheld}"), false);
            }
        }
    }

    #[test]
    fn payloads_of_section_6_1() {
        let room = "x xmlns='http://jabber.org/protocol/muc#user'";
        for (payload, eligible) in [
            (
                "<active xmlns='http://jabber.org/protocol/chatstates'/>",
                true,
            ),
            ("<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", true),
            ("<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>", true),
            ("<x xmlns='jabber:x:conference' jid='room@h'/>", true),
            (&format!("<{room}><invite to='r@h'/></x>"), true),
            (&format!("<{room}/>"), false),
            (
                "<event xmlns='http://jabber.org/protocol/pubsub#event'/>",
                false,
            ),
        ] {
            check("normal", payload, eligible);
        }
    }

    #[test]
    fn what_is_private_in_a_room() {
        let x = "<x xmlns='http://jabber.org/protocol/muc#user'/>";
        let invite = "<x xmlns='http://jabber.org/protocol/muc#user'><invite to='r@h'/></x>";
        for (to, content, private) in [
            ("room@h/nick", x, true),
            ("room@h", x, false),
            ("room@h/nick", invite, false),
            ("r@h/x", "<body>b</body>", false),
        ] {
            let message = message("chat", to, content);
            assert_eq!(
                is_private_in_room(&message, &message.to),
                private,
                "{to} {content}"
            );
        }
    }

    #[test]
    fn errors_are_told_apart_and_forgotten() {
        let (romeo, nurse) = (Jid::parse("r@h").unwrap(), Jid::parse("n@h").unwrap());
        let orchard = Jid::parse("r@h/orchard").unwrap();
        let mut copied = Copied::default();
        copied.remember("1", &romeo);
        assert!(copied.is_answered("1", &romeo) && copied.is_answered("1", &orchard));
        assert!(!copied.is_answered("1", &nurse) && !copied.is_answered("2", &romeo));
        for _ in 0..COPIED_MAX {
            copied.remember("2", &romeo);
        }
        assert!(!copied.is_answered("1", &romeo));
        assert_eq!(copied.0.len(), COPIED_MAX);
    }
}
