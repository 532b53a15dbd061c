//! What stays of a message in a room that was taken back (XEP-0424 §4, XEP-0425 §4): its place, its time, who
//! said it, and that it was taken back. What it said is gone from the disk with the next checkpoint.
//!
//! The payload is edited where it is, by the writer, which knows it as it is then: who takes back what
//! somebody else said changes nothing. What the index counts of its bytes stays as it was.
//!
//! State: none of its own.

use super::PAYLOAD;
use crate::world::Timestamp;
use bytes::Bytes;
use std::sync::Arc;
use store::Write;
use xmpp::{Passing, Stanza, datetime};

/// XEP-0424.
pub(crate) const RETRACT: &str = "urn:xmpp:message-retract:1";
/// XEP-0421.
const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";
/// XEP-0045: in an archive it says who an occupant was.
const ROOM_USER: &str = "http://jabber.org/protocol/muc#user";

/// Something that takes a message back.
#[derive(Clone, Debug)]
pub(crate) struct Retraction {
    /// The occupant id of its author, who may take back only what has the same; `None` of a moderator.
    pub(crate) author: Option<Box<str>>,
    /// The `id` of the stanza that says so.
    pub(crate) id: String,
    pub(crate) stamp: Timestamp,
    /// By whom and why (XEP-0425 §4), as XML; empty where the author did it.
    pub(crate) moderated: String,
}

/// The write that takes back the message of a room at this position, if it is the author's.
pub(crate) fn retract(position: u64, retraction: Retraction) -> Write {
    PAYLOAD.edit(&position, move |payload| {
        if let Some(tombstone) = retraction.tombstone(payload) {
            *payload = Bytes::from(tombstone);
        }
    })
}

impl Retraction {
    /// What is kept in place of this message; `None` where it stays: it is somebody else's, was taken back
    /// before, or says itself that something was taken back, which everybody must get to know (XEP-0424 §5).
    pub(crate) fn tombstone(&self, payload: &[u8]) -> Option<String> {
        let stanza = Stanza::parse(std::str::from_utf8(payload).ok()?).ok()?;
        let from = stanza.from().ok().flatten()?;
        let stands = stanza.children().any(|child| child.ns() == RETRACT);
        let author = stanza.child(OCCUPANT_ID, "occupant-id");
        let author = author.and_then(|id| id.attr("id"));
        let may = self
            .author
            .as_ref()
            .is_none_or(|own| author.as_deref() == Some(own));
        if stands || !may {
            return None;
        }
        let who = stanza.children();
        let who = who.filter(|child| matches!(child.ns(), OCCUPANT_ID | ROOM_USER));
        let mut content: String = who.map(|child| child.to_xml().into_owned()).collect();
        content.push_str(&self.element());
        let id = stanza.id();
        let mut attributes = vec![("type", stanza.type_())];
        attributes.extend(id.as_deref().map(|id| ("id", id)));
        // Made anew: what stood between the children goes, too.
        let rest = Stanza::compose(stanza.kind, &attributes, &content);
        Some(Passing::new(Arc::new(rest), from.clone(), from).to_xml_for_all())
    }

    fn element(&self) -> String {
        let mut out = format!("<retracted xmlns='{RETRACT}'");
        xmpp::compose::attribute(&mut out, "id", &self.id);
        xmpp::compose::attribute(&mut out, "stamp", &datetime::format(self.stamp));
        if self.moderated.is_empty() {
            return out + "/>";
        }
        out + ">" + &self.moderated + "</retracted>"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(content: &str) -> String {
        format!(
            "<message xmlns='jabber:client' from='r@s/hag' id='m1' type='groupchat'>\
             Hist!<body>Magic potions</body>{content}</message>"
        )
    }

    const BY_HAG: &str = "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='hag'/>";

    fn retraction(author: Option<&str>, moderated: &str) -> Retraction {
        Retraction {
            author: author.map(Into::into),
            id: "r'1".into(),
            stamp: 1_568_937_552_000,
            moderated: moderated.into(),
        }
    }

    #[test]
    fn who_said_it_stays_and_nothing_of_what() {
        let item = "<x xmlns='http://jabber.org/protocol/muc#user'><item jid='hag@s/x'/></x>";
        let more = format!("{BY_HAG}<thread>t</thread><x xmlns='jabber:x:oob'/>{item}");
        let stamp = "<retracted xmlns='urn:xmpp:message-retract:1' id='r&apos;1' \
             stamp='2019-09-19T23:59:12Z'";
        for (moderated, end) in [("", "/>"), ("<m/>", "><m/></retracted>")] {
            let tombstone = retraction(Some("hag"), moderated).tombstone(said(&more).as_bytes());
            let expected = format!(
                "<message xmlns='jabber:client' from='r@s/hag' id='m1' type='groupchat'>\
                 {BY_HAG}{item}{stamp}{end}</message>"
            );
            assert_eq!(tombstone, Some(expected));
        }
    }

    #[test]
    fn what_stays() {
        let retracted = format!("{BY_HAG}<retracted xmlns='{RETRACT}' id='1'/>");
        let retract = format!("{BY_HAG}<retract xmlns='{RETRACT}' id='1'/>");
        for (content, author, goes) in [
            (BY_HAG, Some("hag"), true),
            (BY_HAG, Some("macbeth"), false),
            (BY_HAG, None, true),
            ("", Some("hag"), false),
            ("", None, true),
            (&retracted, None, false),
            (&retract, None, false),
        ] {
            let tombstone = retraction(author, "").tombstone(said(content).as_bytes());
            assert_eq!(tombstone.is_some(), goes, "{content} {author:?}");
        }
        assert_eq!(retraction(None, "").tombstone(b"<message"), None);
    }
}
