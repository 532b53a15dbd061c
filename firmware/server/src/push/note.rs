//! What a message is to somebody who does not look: something to read, a call, or nothing to wake anybody
//! for.

use crate::{
    features::{is_encrypted, jingle_message::is_call},
    limits::{PUSH_CALL_ID_BYTES_MAX, PUSH_TEXT_BYTES_MAX},
};
use xmpp::{Jid, Passing, ns, stanza::Child};

/// XEP-0167.
const RTP: &str = "urn:xmpp:jingle:apps:rtp:1";
/// Its media that a device can ring for.
const MEDIA: [&str; 2] = ["audio", "video"];
/// XEP-0045.
const ROOM_USER: &str = "http://jabber.org/protocol/muc#user";
/// What goes with a message that is itself nothing to read, whatever its body says to old clients.
const AFTERTHOUGHTS: [&str; 4] = [
    "urn:xmpp:reactions:0",
    "urn:xmpp:message-retract:0",
    "urn:xmpp:message-retract:1",
    "urn:xmpp:fasten:0",
];

/// Something a device is to be woken for. It has no `Debug`: people's words never reach a log.
pub(super) struct Note {
    /// The full JID of whoever said it: in a room its occupant.
    pub(super) sender: Jid,
    pub(super) what: What,
    /// Where the account's archive keeps it.
    pub(super) position: Option<u64>,
}

pub(super) enum What {
    Chat {
        text: Text,
    },
    Room {
        text: Text,
    },
    /// XEP-0353 §3.1, with its id and the media that are proposed.
    Call {
        sid: Box<str>,
        media: Vec<Box<str>>,
    },
    /// Somebody asks to become a contact (RFC 6121 §3.1).
    Request,
    /// Something of before a restart, of which nothing else is known.
    Backlog,
    /// Somebody wants to know whether push works.
    Trial,
}

pub(super) enum Text {
    /// The beginning, as far as a notification could hold it.
    Plain(Box<str>),
    Encrypted,
    /// Something else than words, as an invitation.
    Nothing,
}

impl Note {
    /// What a message that arrived for `own` is worth; `None` for what may be read whenever somebody looks:
    /// chat states, receipts, markers, reactions, what one wrote oneself.
    pub(super) fn of(message: &Passing, own: &Jid) -> Option<Note> {
        if message.from.bare_str() == own.as_str() {
            return None;
        }
        let what = match message.stanza.type_() {
            "error" | "headline" => return None,
            "groupchat" => What::Room {
                text: text(message)?,
            },
            _ => match call(message) {
                Some(call) => call,
                None => What::Chat {
                    text: text(message)?,
                },
            },
        };
        Some(Note {
            sender: message.from.clone(),
            what,
            position: message.position,
        })
    }

    /// Presence that asks for a subscription.
    pub(super) fn of_request(presence: &Passing) -> Note {
        Note {
            sender: presence.from.bare(),
            what: What::Request,
            position: None,
        }
    }

    pub(super) fn is_call(&self) -> bool {
        matches!(self.what, What::Call { .. })
    }
}

fn call(message: &Passing) -> Option<What> {
    let mut children = message.stanza.children();
    let propose = children.find(|child| is_call(*child) && child.name() == "propose")?;
    let sid = propose.attr("id")?;
    // Half an id is none: it answers no call.
    if !matches!(sid.len(), 1..=PUSH_CALL_ID_BYTES_MAX) {
        return None;
    }
    let propose = propose.element();
    let media = propose
        .elements()
        .filter(|child| child.is(RTP, "description"))
        .filter_map(|description| description.attr("media"))
        .filter(|media| MEDIA.contains(media));
    Some(What::Call {
        sid: sid.as_ref().into(),
        media: media.take(MEDIA.len()).map(Into::into).collect(),
    })
}

/// A call is answered, rejected or taken back (XEP-0353 §3.3-§3.5).
pub(super) struct EndOfCall {
    sid: Box<str>,
    /// The other side's bare JID, where it is named.
    with: Option<Jid>,
}

impl EndOfCall {
    pub(super) fn is_of(&self, note: &Note) -> bool {
        let is_with = |with: &Jid| note.sender.bare_str() == with.as_str();
        matches!(&note.what, What::Call { sid, .. } if *sid == self.sid)
            && self.with.as_ref().is_none_or(is_with)
    }
}

/// What a message that arrived for `own`, or that `own` sent, ends.
pub(super) fn end_of_call(message: &Passing, own: &Jid) -> Option<EndOfCall> {
    let is_ours = message.from.bare_str() == own.as_str();
    let ends: &[&str] = if is_ours {
        &["accept", "proceed", "reject", "finish"]
    } else {
        &["retract", "reject", "finish"]
    };
    let mut children = message.stanza.children();
    let end = children.find(|child| is_call(*child) && ends.contains(&child.name()))?;
    let with = if is_ours { &message.to } else { &message.from };
    // Devices of old say to their own account what they accept.
    let with = (with.bare_str() != own.as_str()).then(|| with.bare());
    Some(EndOfCall {
        sid: end.attr("id")?.as_ref().into(),
        with,
    })
}

/// What a message says; `None` where it says nothing to anybody who does not look.
fn text(message: &Passing) -> Option<Text> {
    let children = || message.stanza.children();
    if children().any(|child| AFTERTHOUGHTS.contains(&child.ns())) {
        return None;
    }
    if children().any(says_it_in_secret) {
        return Some(Text::Encrypted);
    }
    let body = message.stanza.child(ns::CLIENT, "body");
    match body.map(Child::text).filter(|body| !body.is_empty()) {
        Some(body) => Some(Text::Plain(beginning(&body).into())),
        None => children().any(invites).then_some(Text::Nothing),
    }
}

fn says_it_in_secret(child: Child<'_>) -> bool {
    matches!(
        (child.ns(), child.name()),
        ("urn:xmpp:openpgp:0", "openpgp") | ("jabber:x:encrypted", "x")
    ) || is_encrypted(child)
}

/// XEP-0249; XEP-0045 §7.8.2; XEP-0482 §2.1, to a call of several.
fn invites(child: Child<'_>) -> bool {
    match (child.ns(), child.name()) {
        ("jabber:x:conference", "x") | ("urn:xmpp:call-invites:0", "invite") => true,
        (ROOM_USER, "x") => child.element().child(ROOM_USER, "invite").is_some(),
        _ => false,
    }
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(PUSH_TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use xmpp::Stanza;

    fn note(type_: &str, from: &str, content: &str) -> String {
        let stanza = format!("<message type='{type_}'>{content}</message>");
        let stanza = Arc::new(Stanza::parse(&stanza).unwrap());
        let jid = |text| Jid::parse(text).unwrap();
        let message = Passing::new(stanza, jid(from), jid("j@h"));
        let show = |text: Text| match text {
            Text::Plain(text) => text.into(),
            Text::Encrypted => "secret".to_owned(),
            Text::Nothing => String::new(),
        };
        match Note::of(&message, &jid("j@h")).map(|note| note.what) {
            None => "-".into(),
            Some(What::Chat { text }) => format!("chat {}", show(text)),
            Some(What::Room { text }) => format!("room {}", show(text)),
            Some(What::Call { sid, media }) => format!("call {sid} {}", media.join(",")),
            Some(What::Request | What::Backlog | What::Trial) => "no message".into(),
        }
    }

    fn check(rows: &[(&str, &str, &str)]) {
        for (type_, content, expected) in rows {
            let note = note(type_, "r@h/x", content);
            assert_eq!(note, *expected, "{type_} {content}");
        }
    }

    const BODY: &str = "<body>Hark</body>";

    #[test]
    fn what_is_worth_waking_somebody() {
        let omemo = "<body>You cannot read this</body>\
             <encrypted xmlns='eu.siacs.conversations.axolotl'><header/><payload/></encrypted>";
        let propose = "<propose xmlns='urn:xmpp:jingle-message:0' id='c1'>\
             <description xmlns='urn:xmpp:jingle:apps:rtp:1' media='smell'/>\
             <description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/></propose>";
        let openpgp = "<openpgp xmlns='urn:xmpp:openpgp:0'/>";
        let invitation = "<x xmlns='jabber:x:conference' jid='r@h'/>";
        check(&[
            ("chat", BODY, "chat Hark"),
            ("normal", BODY, "chat Hark"),
            ("groupchat", BODY, "room Hark"),
            ("chat", omemo, "chat secret"),
            ("chat", openpgp, "chat secret"),
            ("chat", propose, "call c1 audio"),
            ("normal", invitation, "chat "),
            ("chat", "<invite xmlns='urn:xmpp:call-invites:0'/>", "chat "),
        ]);
    }

    #[test]
    fn what_can_wait() {
        let id = "c".repeat(PUSH_CALL_ID_BYTES_MAX + 1);
        let endless = format!("<propose xmlns='urn:xmpp:jingle-message:0' id='{id}'/>");
        let keys = "<encrypted xmlns='urn:xmpp:omemo:2'><header/></encrypted>";
        let retract = "<retract xmlns='urn:xmpp:jingle-message:0' id='c1'/>";
        let composing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
        let displayed = "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>";
        let left = "<left xmlns='urn:xmpp:call-invites:0' id='1'/>";
        let reaction = "<body>+1</body><reactions xmlns='urn:xmpp:reactions:0' id='1'/>";
        check(&[
            ("headline", BODY, "-"),
            ("error", BODY, "-"),
            ("chat", "<body/>", "-"),
            ("chat", "", "-"),
            ("chat", keys, "-"),
            ("chat", "<propose xmlns='urn:xmpp:jingle-message:0'/>", "-"),
            ("chat", &endless, "-"),
            ("chat", retract, "-"),
            ("chat", composing, "-"),
            ("chat", "<received xmlns='urn:xmpp:receipts' id='1'/>", "-"),
            ("chat", displayed, "-"),
            ("chat", reaction, "-"),
            ("chat", left, "-"),
            ("groupchat", "<subject>Tonight</subject>", "-"),
        ]);
        assert_eq!(note("chat", "j@h/laptop", BODY), "-", "a note to oneself");
    }

    #[test]
    fn of_a_long_text_the_beginning_is_kept() {
        let long = format!("<body>{}</body>", "ő".repeat(PUSH_TEXT_BYTES_MAX));
        let kept = note("chat", "r@h/x", &long);
        assert!(kept.len() <= PUSH_TEXT_BYTES_MAX + "chat ".len() && kept.ends_with('ő'));
    }
}
