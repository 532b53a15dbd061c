//! What waits in an outbox.

use super::{Kind, Stanza, child::attributes};
use crate::{Jid, compose, ns};
use bytes::Bytes;
use std::fmt;

/// What waits in an outbox: everything a transport needs to write one stanza in any content namespace.
#[derive(Clone)]
pub struct Entry {
    pub kind: Kind,
    /// Attributes but `to`, as XML with a leading space each: ` from='…' id='…' type='…' xml:lang='…'`.
    pub head: Bytes,
    pub to: Option<Jid>,
    /// Everything between the tags, in `jabber:client` terms.
    pub content: Bytes,
    /// Position in the recipient's archive, where it has one: told back once the client has it.
    pub position: Option<u64>,
    /// What becomes of it while nobody looks at the client.
    pub class: Class,
}

/// How much a person who is not looking misses (XEP-0352).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// At once, and everything that waits goes before it.
    #[default]
    Urgent,
    /// Together with the next urgent one, or when somebody looks.
    Later,
    /// The same, and a newer one of the same sender takes its place.
    Presence(Jid),
    /// The same of chat states (XEP-0085).
    ChatState(Jid),
}

impl Entry {
    /// A stanza of our own for one session: `attributes` are (name, value) unescaped.
    pub fn compose(
        kind: Kind,
        to: Option<Jid>,
        attributes: &[(&str, &str)],
        content: String,
    ) -> Entry {
        let mut head = String::new();
        for (name, value) in attributes {
            compose::attribute(&mut head, name, value);
        }
        Entry {
            kind,
            head: head.into(),
            to,
            content: content.into(),
            position: None,
            class: Class::Urgent,
        }
    }

    /// The whole stanza as it goes to a client, in `jabber:client`: for the few who look into it again.
    pub fn to_stanza(&self) -> Option<Stanza> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        let tag = self.kind.name().len() + 1;
        let declaration = format!(" xmlns='{}'", ns::CLIENT);
        bytes.splice(tag..tag, declaration.into_bytes());
        Stanza::parse(&String::from_utf8(bytes).ok()?).ok()
    }

    /// Appends an element, as XML with its namespace, to the content.
    pub fn add(&mut self, element: &str) {
        let mut content = Vec::with_capacity(self.content.len() + element.len());
        content.extend_from_slice(&self.content);
        content.extend_from_slice(element.as_bytes());
        self.content = content.into();
    }

    /// Bytes on the wire, roughly; for limits.
    pub fn len(&self) -> usize {
        self.head.len()
            + self.content.len()
            + self.to.as_ref().map_or(0, |to| to.as_str().len())
            + 24
    }

    /// Never: a stanza has a start tag at least.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Appends the stanza as it goes to a client: no xmlns, since the stream's header declares
    /// `jabber:client`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.reserve(self.len());
        out.push(b'<');
        out.extend_from_slice(self.kind.name().as_bytes());
        out.extend_from_slice(&self.head);
        if let Some(to) = &self.to {
            out.extend_from_slice(b" to='");
            if compose::is_plain(to.as_str()) {
                out.extend_from_slice(to.as_str().as_bytes());
            } else {
                out.extend_from_slice(compose::escaped(to.as_str()).as_bytes());
            }
            out.push(b'\'');
        }
        if self.content.is_empty() {
            out.extend_from_slice(b"/>");
            return;
        }
        out.push(b'>');
        out.extend_from_slice(&self.content);
        out.extend_from_slice(b"</");
        out.extend_from_slice(self.kind.name().as_bytes());
        out.push(b'>');
    }
}

/// The attributes of a passing stanza but `to`, as [`Entry::head`] wants them. What the sender wrote goes on
/// as written, in its own quotes; attributes with a prefix stay behind, for their declarations do (RFC 6120
/// §8.4 advises against them).
pub(super) fn head(stanza: &Stanza, from: &Jid) -> String {
    let index = &stanza.index;
    let known = [
        ("id", index.id),
        ("type", index.type_),
        ("xml:lang", index.lang),
    ];
    let length = |name: &str, value: usize| " =''".len() + name.len() + value;
    let known_length = known
        .iter()
        .filter_map(|(name, span)| span.map(|span| length(name, span.range().len())));
    let lang = stanza
        .scope
        .lang
        .as_deref()
        .filter(|_| index.lang.is_none());
    // Exact for most stanzas, so that the text becomes shared bytes without another copy.
    let mut out = String::with_capacity(
        length("from", from.as_str().len())
            + known_length.sum::<usize>()
            + lang.map_or(0, |lang| length("xml:lang", lang.len())),
    );
    compose::attribute(&mut out, "from", from.as_str());
    for (name, span) in known {
        if let Some(span) = span {
            compose::verbatim(&mut out, name, stanza.slice(span));
        }
    }
    // §4.7.4, §8.1.5: the language of the stream, where the stanza has none.
    if let Some(lang) = lang {
        compose::attribute(&mut out, "xml:lang", lang);
    }
    if index.has_others {
        for (name, value) in attributes(stanza.slice(index.head)) {
            if !name.contains(':') && !matches!(name, "to" | "from" | "id" | "type" | "xmlns") {
                compose::verbatim(&mut out, name, value);
            }
        }
    }
    out
}

impl fmt::Debug for Entry {
    /// The head alone: bodies never reach a log (house rule 10).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, head) = (self.kind.name(), String::from_utf8_lossy(&self.head));
        write!(f, "<{name}{head} to={:?} of {} bytes>", self.to, self.len())
    }
}
