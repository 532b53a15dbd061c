//! What a push service is told (XEP-0357 §7): how many messages wait, and nothing about them. A device that
//! gave a key (`tigase:push:encrypt:0`) is told more, which the services on the way cannot read.

use super::{
    note::{Note, Text, What},
    settings::{Encryption, Settings},
};
use crate::{features::push::NS, world::Dice};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::fmt::Write;
use tracing::error;
use xmpp::{
    compose,
    form::{FieldType, Writer},
};

/// What is said of the account as a whole.
pub(super) struct Summary {
    /// Messages since somebody last looked at the device.
    pub(super) unread: u32,
    /// People who ask to become contacts.
    pub(super) requests: usize,
}

/// The `<pubsub/>` that publishes a notification to a node, with the options that came with it.
pub(super) fn publish(
    node: &str,
    settings: &Settings,
    summary: &Summary,
    note: &Note,
    dice: &dyn Dice,
) -> String {
    let mut out = String::from("<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish");
    if !node.is_empty() {
        compose::attribute(&mut out, "node", node);
    }
    let _ = write!(out, "><item><notification xmlns='{NS}'>");
    match &settings.encryption {
        // Its §4.4: nothing that is not encrypted goes along.
        Some(encryption) => {
            out.push_str(&encrypted(encryption, settings.calls, summary, note, dice));
        }
        None => {
            out.push_str(&form(summary));
            if let (What::Call { sid, media }, true) = (&note.what, settings.calls) {
                out.push_str(&ring(sid, media));
            }
        }
    }
    if settings.priority {
        out.push_str("<priority xmlns='tigase:push:priority:0'>high</priority>");
    }
    out.push_str("</notification></item></publish>");
    if !settings.options.is_empty() {
        let _ = write!(
            out,
            "<publish-options>{}</publish-options>",
            settings.options
        );
    }
    out + "</pubsub>"
}

/// §11.3.1. Who wrote, and what, is nobody's business but the user's (§9).
fn form(summary: &Summary) -> String {
    let unread = summary.unread.to_string();
    let mut form = Writer::submit("urn:xmpp:push:summary").field(
        FieldType::TextSingle,
        "message-count",
        &[&unread],
    );
    if summary.requests > 0 {
        let requests = summary.requests.to_string();
        form = form.field(
            FieldType::TextSingle,
            "pending-subscription-count",
            &[&requests],
        );
    }
    form.finish()
}

/// A call by its id and media, which make a device ring (`tigase:push:jingle:0`).
fn ring(sid: &str, media: &[Box<str>]) -> String {
    let mut out = String::from("<jingle xmlns='tigase:push:jingle:0' action='propose'");
    compose::attribute(&mut out, "sid", sid);
    out.push('>');
    for media in media {
        out.push_str("<media>");
        compose::escape(&mut out, media);
        out.push_str("</media>");
    }
    out + "</jingle>"
}

/// Its §4.4. A call goes by the way that rings, if the device has one.
fn encrypted(
    encryption: &Encryption,
    rings: bool,
    summary: &Summary,
    note: &Note,
    dice: &dyn Dice,
) -> String {
    let max_bytes = encryption.max_bytes as usize;
    let rings = rings && note.is_call() && fits(&head(rings, summary, note), max_bytes);
    let json = told(max_bytes, rings, summary, note);
    let mut nonce = [0; NONCE_LEN];
    dice.fill(&mut nonce);
    let mut sealed = json.into_bytes();
    let key = UnboundKey::new(&AES_128_GCM, &encryption.key).map(LessSafeKey::new);
    let nonce_used = Nonce::assume_unique_for_key(nonce);
    let done =
        key.and_then(|key| key.seal_in_place_append_tag(nonce_used, Aad::empty(), &mut sealed));
    if done.is_err() {
        error!("a notification cannot be encrypted");
        return String::new();
    }
    let type_ = if rings { " type='voip'" } else { "" };
    format!(
        "<encrypted xmlns='tigase:push:encrypt:0'{type_} iv='{}'>{}</encrypted>",
        BASE64_STANDARD.encode(nonce),
        BASE64_STANDARD.encode(sealed)
    )
}

/// Bytes around what is encrypted: the attributes, and the tag that is added to it.
const WRAPPING: usize = 64;

const ENCRYPTED: &str = "You have a new encrypted message.";
const CALL: &str = "Somebody calls you.";
const BACKLOG: &str = "Something waits for you.";
const REQUEST: &str = "Asks to become a contact.";
const TRIAL: &str = "This is a test: push works.";

/// Bytes that there is room for before they are encrypted, which grow by a third in base 64.
fn room(max_bytes: usize) -> usize {
    max_bytes.saturating_sub(WRAPPING) / 4 * 3
}

/// Whether this can be told without a text.
fn fits(head: &str, max_bytes: usize) -> bool {
    head.len() < room(max_bytes)
}

/// What the device is told, in JSON: the longest text that fits. Where not even the names do, which others
/// choose, it is told that there is something: a notification that is too large might end its registration.
fn told(max_bytes: usize, rings: bool, summary: &Summary, note: &Note) -> String {
    let text = match &note.what {
        What::Chat { text } | What::Room { text } => match text {
            Text::Plain(text) => Some(&**text),
            Text::Encrypted => Some(ENCRYPTED),
            Text::Nothing => None,
        },
        What::Call { .. } if rings => None,
        What::Call { .. } => Some(CALL),
        What::Request => Some(REQUEST),
        What::Backlog => Some(BACKLOG),
        What::Trial => Some(TRIAL),
    };
    let head = head(rings, summary, note);
    if !fits(&head, max_bytes) {
        return format!("{{\"unread\":{}}}", summary.unread);
    }
    let around = ",\"message\":\"\"}".len();
    let room = room(max_bytes).checked_sub(head.len() + around);
    let (Some(text), Some(room)) = (text, room) else {
        return head + "}";
    };
    let mut message = String::new();
    for c in text.chars() {
        let before = message.len();
        push_escaped(&mut message, c);
        if message.len() > room {
            message.truncate(before);
            break;
        }
    }
    format!("{head},\"message\":\"{message}\"}}")
}

/// Everything but the text, without the last brace.
fn head(rings: bool, summary: &Summary, note: &Note) -> String {
    let unread = summary
        .unread
        .max(u32::from(matches!(note.what, What::Trial)));
    let (type_, sender) = match &note.what {
        What::Room { .. } => ("groupchat", note.sender.bare_str()),
        // Calls are answered to the device that began them.
        What::Call { .. } if rings => ("call", note.sender.as_str()),
        // To Siskin everything else is a chat, and it knows no other word.
        _ => ("chat", note.sender.bare_str()),
    };
    let mut out = format!(
        "{{\"unread\":{unread},\"sender\":{},\"type\":\"{type_}\"",
        quoted(sender)
    );
    match &note.what {
        What::Room { .. } => {
            if let Some(nickname) = note.sender.resourcepart() {
                let _ = write!(out, ",\"nickname\":{}", quoted(nickname));
            }
        }
        What::Call { sid, media } if rings => {
            let media: Vec<String> = media.iter().map(|media| quoted(media)).collect();
            let _ = write!(
                out,
                ",\"sid\":{},\"media\":[{}]",
                quoted(sid),
                media.join(",")
            );
        }
        _ => {}
    }
    out
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        push_escaped(&mut out, c);
    }
    out + "\""
}

/// RFC 8259 §7.
fn push_escaped(out: &mut String, c: char) {
    match c {
        '"' | '\\' => out.extend(['\\', c]),
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        c if c < ' ' => {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::note::Note;
    use xmpp::{Element, Jid};

    fn note(what: What) -> Note {
        Note {
            sender: Jid::parse("romeo@h/orchard").unwrap(),
            what,
            position: None,
        }
    }

    fn chat(text: &str) -> Note {
        let text = Text::Plain(text.into());
        note(What::Chat { text })
    }

    fn call() -> Note {
        note(What::Call {
            sid: "c\"1".into(),
            media: vec!["audio".into(), "video".into()],
        })
    }

    const SUMMARY: Summary = Summary {
        unread: 2,
        requests: 0,
    };

    struct Zeros;

    impl Dice for Zeros {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    #[test]
    fn what_a_device_is_told() {
        let room = What::Room {
            text: Text::Plain("Hark".into()),
        };
        let secret = What::Chat {
            text: Text::Encrypted,
        };
        let quoted = r#""type":"chat","message":"He said \"hark\"\n\u0001""#;
        let groupchat = r#""type":"groupchat","nickname":"orchard","message":"Hark""#;
        let encrypted = r#""type":"chat","message":"You have a new encrypted message.""#;
        let ringing = r#""type":"call","sid":"c\"1","media":["audio","video"]"#;
        let request = r#""type":"chat","message":"Asks to become a contact.""#;
        let backlog = r#""type":"chat","message":"Something waits for you.""#;
        let silent = r#""type":"chat","message":"Somebody calls you.""#;
        let (bare, full) = ("romeo@h", "romeo@h/orchard");
        let rows = [
            (chat("He said \"hark\"\n\u{1}"), true, bare, quoted),
            (note(room), true, bare, groupchat),
            (note(secret), true, bare, encrypted),
            (call(), true, full, ringing),
            (call(), false, bare, silent),
            (note(What::Request), true, bare, request),
            (note(What::Backlog), true, bare, backlog),
        ];
        for (note, rings, sender, rest) in rows {
            let expected = format!("{{\"unread\":2,\"sender\":\"{sender}\",{rest}}}");
            assert_eq!(told(3_000, rings, &SUMMARY, &note), expected);
        }
    }

    #[test]
    fn a_long_text_ends_where_it_would_not_fit() {
        for text in [
            "ő\"".repeat(3_000),
            "a".repeat(9_000),
            "\u{1}".repeat(9_000),
        ] {
            for max_bytes in [512, 3_000, 3_001, 3_002, 4_096] {
                let json = told(max_bytes, true, &SUMMARY, &chat(&text));
                let sealed = (json.len() + 16).div_ceil(3) * 4;
                assert!(sealed <= max_bytes, "{sealed} of {max_bytes}");
                assert!(
                    sealed + 80 > max_bytes,
                    "{sealed} of {max_bytes} is less than fits"
                );
                assert!(json.ends_with("\"}"));
            }
        }
        assert_eq!(told(0, true, &SUMMARY, &chat("a")), "{\"unread\":2}");
    }

    #[test]
    fn whatever_others_call_themselves_a_notification_has_its_size() {
        for bytes in [50, 100, 150, 200, 220, 240, 255, 400, 600, 1_000] {
            let (part, sid) = ("n".repeat(bytes), "c".repeat(bytes.min(128)));
            let sender = format!("{part}@h/{}", "\"".repeat(bytes));
            for (what, can_ring) in [
                (
                    What::Chat {
                        text: Text::Nothing,
                    },
                    false,
                ),
                (
                    What::Room {
                        text: Text::Plain("Hark".into()),
                    },
                    false,
                ),
                (
                    What::Call {
                        sid: sid.into(),
                        media: vec!["audio".into()],
                    },
                    true,
                ),
            ] {
                let sender = Jid::parse(&sender).unwrap();
                let note = Note {
                    sender,
                    what,
                    position: None,
                };
                for max_bytes in [512, 700, 1_024, 3_000] {
                    let encryption = Encryption {
                        key: [7; 16],
                        max_bytes,
                    };
                    let xml = encrypted(&encryption, true, &SUMMARY, &note, &Zeros);
                    let sealed = Element::parse(&xml, "").unwrap().text();
                    assert!(
                        sealed.len() <= max_bytes as usize,
                        "{} of {max_bytes}",
                        sealed.len()
                    );
                    let whole = told(usize::MAX, true, &SUMMARY, &note);
                    let has_all = told(max_bytes as usize, true, &SUMMARY, &note) == whole;
                    assert_eq!(xml.contains("type='voip'"), can_ring && has_all, "{bytes}");
                    assert!(has_all || bytes > 50);
                }
            }
        }
    }

    #[test]
    fn what_is_encrypted_is_read_with_the_key_and_with_no_other() {
        let key = [7; 16];
        let encryption = Encryption {
            key,
            max_bytes: 3_000,
        };
        let xml = encrypted(&encryption, true, &SUMMARY, &chat("Hark"), &Zeros);
        let element = Element::parse(&xml, "").unwrap();
        assert_eq!(element.attr("iv"), Some("AAAAAAAAAAAAAAAA"));
        assert_eq!(element.attr("type"), None);
        let open = |key: [u8; 16]| {
            let mut sealed = BASE64_STANDARD.decode(element.text()).unwrap();
            let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
            let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
            let opened = key.open_in_place(nonce, Aad::empty(), &mut sealed);
            opened
                .ok()
                .map(|json| String::from_utf8(json.to_vec()).unwrap())
        };
        assert_eq!(
            open(key).as_deref(),
            Some(&*told(3_000, true, &SUMMARY, &chat("Hark")))
        );
        assert_eq!(open([8; 16]), None);
        let ringing = encrypted(&encryption, true, &SUMMARY, &call(), &Zeros);
        assert!(ringing.contains(" type='voip'"));
        let silent = encrypted(&encryption, false, &SUMMARY, &call(), &Zeros);
        assert!(!silent.contains("type="));
    }

    #[test]
    fn without_a_key_nothing_is_told_of_who_wrote_what() {
        let settings = Settings {
            options: "<x xmlns='jabber:x:data' type='submit'/>".into(),
            priority: true,
            calls: true,
            ..Settings::default()
        };
        let summary = Summary {
            unread: 1,
            requests: 3,
        };
        let xml = publish("n<1", &settings, &summary, &chat("Hark"), &Zeros);
        assert!(!xml.contains("Hark") && !xml.contains("romeo"), "{xml}");
        assert_eq!(
            xml,
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n&lt;1'><item>\
             <notification xmlns='urn:xmpp:push:0'><x xmlns='jabber:x:data' type='submit'>\
             <field type='hidden' var='FORM_TYPE'><value>urn:xmpp:push:summary</value></field>\
             <field type='text-single' var='message-count'><value>1</value></field>\
             <field type='text-single' var='pending-subscription-count'><value>3</value></field></x>\
             <priority xmlns='tigase:push:priority:0'>high</priority></notification></item></publish>\
             <publish-options><x xmlns='jabber:x:data' type='submit'/></publish-options></pubsub>"
        );
        let ringing = publish("", &settings, &summary, &call(), &Zeros);
        assert!(ringing.contains(
            "<jingle xmlns='tigase:push:jingle:0' action='propose' sid='c&quot;1'>\
             <media>audio</media><media>video</media></jingle>"
        ));
        assert!(!ringing.contains("romeo") && ringing.contains("<publish><item>"));
    }
}
