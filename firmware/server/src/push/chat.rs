//! What people want to hear of a chat, on all their devices or on those of a kind (XEP-0492). They say so in
//! the bookmark of its address: a room's, or a person's, for which apps use the same place.
//!
//! State: none; it is read from the bookmarks (XEP-0402) whenever something is said.

use super::note::{Note, Text, What};
use crate::{
    account::Cx,
    features::{
        mentions,
        notification_settings::{Notify, setting},
    },
};
use xmpp::{Element, Jid, Passing, ns, stanza::Child};

/// XEP-0372 §3.2.
const REFERENCES: &str = "urn:xmpp:reference:0";
/// XEP-0461 §3.1.
const REPLIES: &str = "urn:xmpp:reply:0";
/// XEP-0402 §2.
const BOOKMARKS: &str = "urn:xmpp:bookmarks:1";
/// XEP-0045 §7.5: goes with a private message in a room.
const ROOM_USER: &str = "http://jabber.org/protocol/muc#user";

/// Something that was said, and what the user wants to hear of the chat that it is in.
pub(super) struct Chat<'a> {
    said: &'a Passing,
    pub(super) note: &'a Note,
    own: &'a Jid,
    /// How the user is called there, as far as that is known.
    names: Vec<String>,
    bookmark: Option<Element>,
    /// What holds where the bookmark says nothing.
    usual: Notify,
}

impl<'a> Chat<'a> {
    /// Something that reached the account itself. Of a room of which nobody here knows how the user is called
    /// there, everything is of interest, as for XEP-0352.
    pub(super) fn of(cx: &Cx<'a>, said: &'a Passing, note: &'a Note) -> Chat<'a> {
        let mut chat = Chat::new(cx, said, note, Notify::Always);
        if let What::Room { .. } = note.what {
            let directed = cx
                .state
                .resources
                .iter()
                .flat_map(|own| own.directed.iter());
            let there = directed.filter(|jid| jid.bare_str() == said.from.bare_str());
            let names = there.filter_map(|jid| Some(jid.resourcepart()?.to_owned()));
            chat.names.extend(names);
            if !chat.names.is_empty() {
                chat.usual = Notify::OnMention;
            }
        } else {
            chat.names.extend(cx.jid().localpart().map(str::to_owned));
        }
        chat
    }

    /// Something that was said in a room in which the user has this nickname.
    pub(super) fn in_room(
        cx: &Cx<'a>,
        said: &'a Passing,
        note: &'a Note,
        nickname: &str,
        usual: Notify,
    ) -> Chat<'a> {
        let mut chat = Chat::new(cx, said, note, usual);
        chat.names.push(nickname.to_owned());
        chat
    }

    fn new(cx: &Cx<'a>, said: &'a Passing, note: &'a Note, usual: Notify) -> Chat<'a> {
        let bookmark = cx.state.memory.bookmarks.room(&said.from.bare());
        let nickname = bookmark.as_ref().and_then(|it| it.child(BOOKMARKS, "nick"));
        let nickname = nickname.map(Element::text).filter(|nick| !nick.is_empty());
        Chat {
            said,
            note,
            own: &cx.account.jid,
            names: nickname.into_iter().collect(),
            bookmark,
            usual,
        }
    }

    /// Whether a client of this identity is to be told (§3).
    pub(super) fn is_for(&self, identity: (&str, &str)) -> bool {
        let bookmark = self.bookmark.as_ref();
        match bookmark
            .and_then(|it| setting(it, identity))
            .unwrap_or(self.usual)
        {
            Notify::Always => true,
            Notify::OnMention => self.names_any(&self.names),
            Notify::Never => false,
        }
    }

    /// Whether it is for somebody who has that nickname here.
    pub(super) fn names(&self, nickname: &str) -> bool {
        self.names_any(&[nickname.to_owned()])
    }

    /// §3: what is for the user alone counts, as do references and answers, and a name that is a word of the
    /// text.
    fn names_any(&self, names: &[String]) -> bool {
        let text = match &self.note.what {
            What::Chat { text } | What::Room { text } => text,
            What::Call { .. } | What::Request | What::Backlog | What::Trial => return true,
        };
        // What is encrypted is said among few, and who is mentioned in it nobody here can tell.
        let is_open = matches!(text, Text::Plain(_));
        let is_private = matches!(self.note.what, What::Chat { .. })
            && self.said.stanza.child(ROOM_USER, "x").is_some();
        if !is_open || is_private {
            return true;
        }
        let mut children = self.said.stanza.children();
        if children.any(|child| self.refers_to(child, names)) {
            return true;
        }
        let body = self.said.stanza.child(ns::CLIENT, "body");
        let body = body.map(Child::text).unwrap_or_default();
        names.iter().any(|name| mentions(&body, name))
    }

    /// Whether this is a reference to the user or to something that the user said.
    fn refers_to(&self, child: Child<'_>, names: &[String]) -> bool {
        let to = match (child.ns(), child.name()) {
            (REFERENCES, "reference") if child.attr("type").as_deref() == Some("mention") => {
                child.attr("uri").and_then(|uri| address(&uri))
            }
            (REPLIES, "reply") => child.attr("to").and_then(|to| Jid::parse(&to).ok()),
            _ => None,
        };
        let Some(to) = to else {
            return false;
        };
        let occupant = to.resourcepart();
        to.bare_str() == self.own.as_str()
            || to.bare_str() == self.said.from.bare_str()
                && names.iter().any(|name| occupant == Some(name.as_str()))
    }
}

/// The address in an URI of RFC 5122, without what may follow.
fn address(uri: &str) -> Option<Jid> {
    let path = uri.strip_prefix("xmpp:")?;
    let path = path.split(['?', '#']).next()?;
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digit = |at: usize| char::from(digits[at]).to_digit(16);
        bytes.push((digit(0)? * 16 + digit(1)?) as u8);
        rest = after;
    }
    Jid::parse(&String::from_utf8(bytes).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_from_its_uri() {
        for (uri, expected) in [
            ("xmpp:juliet@home.example", Some("juliet@home.example")),
            (
                "xmpp:Juliet@home.example?message",
                Some("juliet@home.example"),
            ),
            (
                "xmpp:hall@r.example/Miss%20Capulet",
                Some("hall@r.example/Miss Capulet"),
            ),
            ("xmpp:hall@r.example/%C5%91", Some("hall@r.example/ő")),
            ("xmpp:hall@r.example/%C5", None),
            ("xmpp:hall@r.example/%2", None),
            ("xmpp:hall@r.example/%+1", None),
            ("https://home.example/", None),
            ("xmpp:", None),
        ] {
            let address = address(uri);
            assert_eq!(address.as_ref().map(Jid::as_str), expected, "{uri}");
        }
    }
}
