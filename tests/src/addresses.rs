//! The addresses of a script, and what they are called on the server it is played against.
//!
//! Scripts live at `home.example`. Elsewhere that is another domain, and the localparts of accounts
//! and rooms get a suffix of their own, so that scripts neither disturb one another nor an account
//! or a room that was there before.

use xmpp::{Element, element::Node};

/// The domain scripts call their own.
pub(crate) const HOME: &str = "home.example";
/// Where their rooms are.
const ROOMS: &str = "@groupchat.home.example";
const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";

/// How addresses are translated.
#[derive(Clone, Debug)]
pub struct Addresses {
    domain: String,
    suffix: String,
    localparts: Vec<String>,
}

impl Addresses {
    /// For a server of that domain; `suffix` is appended to localparts.
    pub fn new(domain: &str, suffix: &str) -> Addresses {
        Addresses {
            domain: domain.into(),
            suffix: suffix.into(),
            localparts: Vec::new(),
        }
    }

    /// Declares an account of the script.
    pub fn add(&mut self, localpart: &str) {
        self.localparts.push(localpart.into());
    }

    /// The localpart there.
    pub fn localpart(&self, localpart: &str) -> String {
        format!("{localpart}{}", self.suffix)
    }

    /// A text with its addresses as they are there.
    pub fn outward(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for localpart in &self.localparts {
            let here = format!("{localpart}@{HOME}");
            text = replace(
                &text,
                &here,
                &format!("{localpart}{}@{}", self.suffix, self.domain),
            );
        }
        replace(&self.rooms_outward(&text), HOME, &self.domain)
    }

    /// A room needs no declaration: whoever enters makes it.
    fn rooms_outward(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for (at, part) in text.split(ROOMS).enumerate() {
            if at > 0 {
                // What stands alone is an address without a localpart.
                let alone = out.is_empty() || out.ends_with(|c: char| "'\" >".contains(c));
                out.push_str(if alone { "" } else { &self.suffix });
                out.push_str(ROOMS);
            }
            out.push_str(part);
        }
        out
    }

    /// Like [`Addresses::outward`], where localparts stand alone, as in SASL messages.
    pub fn outward_names(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for localpart in &self.localparts {
            text = replace(&text, localpart, &format!("{localpart}{}", self.suffix));
        }
        replace(&text, HOME, &self.domain)
    }

    /// What came, with addresses as the script knows them, and without the rooms of other scripts.
    pub fn homeward(&self, element: &mut Element) {
        element
            .children
            .retain(|node| !matches!(node, Node::Element(child) if self.is_room_of_another(child)));
        for (_, value) in &mut element.attributes {
            *value = self.homeward_text(value);
        }
        for node in &mut element.children {
            match node {
                Node::Element(child) => self.homeward(child),
                Node::Text(text) => *text = self.homeward_text(text),
            }
        }
    }

    /// A room in a list (XEP-0030 §3) that this script did not make.
    fn is_room_of_another(&self, item: &Element) -> bool {
        let jid = item.attr("jid").filter(|_| item.is(DISCO_ITEMS, "item"));
        jid.is_some_and(|jid| {
            let jid = replace(jid, &self.domain, HOME);
            jid.split_once(ROOMS)
                .is_some_and(|(room, _)| !room.ends_with(&self.suffix))
        })
    }

    fn homeward_text(&self, text: &str) -> String {
        let mut text = replace(text, &self.domain, HOME);
        for localpart in &self.localparts {
            let there = format!("{localpart}{}@{HOME}", self.suffix);
            text = replace(&text, &there, &format!("{localpart}@{HOME}"));
        }
        text = text.replace(&format!("{}{ROOMS}", self.suffix), ROOMS);
        // A name that a server gave whoever has none.
        match text.strip_suffix(&self.suffix) {
            Some(name) => name.to_owned(),
            None => text,
        }
    }
}

/// Replaces a name where it stands as a whole word; a dot before it is fine, as in
/// `rooms.home.example`. In other letters it is replaced by capitals: the address is the same, and
/// not written in its normal form.
fn replace(text: &str, name: &str, by: &str) -> String {
    if name == by {
        return text.to_owned();
    }
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut last = b' ';
    while let Some(at) = rest.to_ascii_lowercase().find(name) {
        let (before, found, behind) = (
            &rest[..at],
            &rest[at..at + name.len()],
            &rest[at + name.len()..],
        );
        let previous = before.as_bytes().last().copied().unwrap_or(last);
        // `\x00juliet` is how SASL messages are written: the digits belong to the byte before the name.
        let escaped = before
            .len()
            .checked_sub(4)
            .and_then(|at| before.get(at..at + 2))
            == Some("\\x");
        let next = behind.as_bytes().first().copied().unwrap_or(b' ');
        out.push_str(before);
        let whole = (escaped || !is_word(previous)) && !is_word(next);
        match (whole, found == name) {
            (true, true) => out.push_str(by),
            (true, false) => out.push_str(&by.to_ascii_uppercase()),
            (false, _) => out.push_str(found),
        }
        last = name.as_bytes().last().copied().unwrap_or(b' ');
        rest = behind;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_home_again() {
        let mut addresses = Addresses::new("localhost", "-7");
        addresses.add("juliet");
        for (here, there) in [
            ("juliet@home.example/balcony", "juliet-7@localhost/balcony"),
            ("to='home.example'", "to='localhost'"),
            ("rooms.home.example", "rooms.localhost"),
            (
                "to='capulet@groupchat.home.example/juliet'",
                "to='capulet-7@groupchat.localhost/juliet'",
            ),
            ("'@groupchat.home.example'", "'@groupchat.localhost'"),
            ("groupchat.home.example", "groupchat.localhost"),
            ("nobody@home.example", "nobody@localhost"),
            ("romeo@far.example", "romeo@far.example"),
            ("juliet@far.example", "juliet@far.example"),
            ("myjuliet@home.example", "myjuliet@localhost"),
        ] {
            assert_eq!(addresses.outward(here), there);
            assert_eq!(addresses.homeward_text(there), here);
        }
    }
}
