//! A stanza as it came off the wire: its bytes, and an index into them.
//!
//! Invariant: a passing stanza is never rebuilt from a tree (house rule 7). What the server changes about it
//! is noted in [`Passing`] and applied while copying out. The exceptions are children that lean on
//! declarations around them; they are written anew once, so that content is always in `jabber:client` terms
//! and stands by itself (DESIGN §8).

mod child;
mod entry;
mod index;
mod passing;
mod rewrite;

pub use child::Child;
pub use entry::{Class, Entry};
pub use passing::{Passing, Reach};

pub(crate) use index::index;

use crate::{
    Jid, StreamError, compose,
    jid::JidError,
    limits, ns,
    stream::Scope,
    xml::{self, Ns, Span, Walker},
};
use bytes::Bytes;
use index::{Index, IndexedChild};
use std::{borrow::Cow, fmt, sync::Arc};

/// RFC 6120 §8: the three kinds of stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Message,
    Presence,
    Iq,
}

impl Kind {
    /// The element's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Message => "message",
            Kind::Presence => "presence",
            Kind::Iq => "iq",
        }
    }

    fn of(name: &str) -> Option<Kind> {
        [Kind::Message, Kind::Presence, Kind::Iq]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}

/// A well-formed stanza, with its direct children indexed. Cheap to share (`Arc` it), never changed.
pub struct Stanza {
    pub kind: Kind,
    raw: Bytes,
    scope: Arc<Scope>,
    index: Index,
    /// The content where it is not a slice of `raw`.
    rewritten: Option<Bytes>,
}

impl Stanza {
    /// `raw` is what `index` was made of, inside `scope`. Written anew where that is needed, the content may
    /// have `bytes_max` bytes.
    pub(crate) fn new(
        raw: Bytes,
        scope: Arc<Scope>,
        index: Index,
        bytes_max: usize,
    ) -> Result<Stanza, StreamError> {
        let mut stanza = Stanza {
            kind: index.kind,
            raw,
            scope,
            index,
            rewritten: None,
        };
        if stanza.places().iter().any(|child| child.leans) {
            stanza.rewritten = Some(stanza.gather(|_| true, [], bytes_max)?.into());
        }
        Ok(stanza)
    }

    /// A stanza of our own: `attributes` are (name, value) unescaped, `content` is XML in `jabber:client`.
    /// `content` is composed by us and must be well-formed.
    pub fn compose(kind: Kind, attributes: &[(&str, &str)], content: &str) -> Stanza {
        let mut xml = String::with_capacity(content.len() + 128);
        xml.push('<');
        xml.push_str(kind.name());
        for (name, value) in attributes {
            compose::attribute(&mut xml, name, value);
        }
        compose::content(&mut xml, kind.name(), content);
        let Ok(stanza) = Stanza::own(xml.into()) else {
            debug_assert!(false, "what we composed is no stanza");
            // Better an empty stanza than one that ends its reader's stream.
            return if content.is_empty() {
                Stanza::empty(kind)
            } else {
                Stanza::compose(kind, attributes, "")
            };
        };
        stanza
    }

    /// The same with content that needs no judging: it was that of a stanza, child by child, or is escaped by
    /// us. Where the children lie is found out when somebody asks, and of what a room says of each to each
    /// nobody does.
    pub fn compose_judged(kind: Kind, attributes: &[(&str, &str)], content: &str) -> Stanza {
        let lengths = attributes
            .iter()
            .map(|(name, value)| name.len() + value.len() + " =''".len());
        let tags = "<></>".len() + 2 * kind.name().len() + lengths.sum::<usize>();
        let mut xml = String::with_capacity(tags + content.len());
        let mut index = Index::of_nothing(kind);
        xml.push('<');
        xml.push_str(kind.name());
        for (name, value) in attributes {
            let start = xml.len() + name.len() + " ='".len();
            compose::attribute(&mut xml, name, value);
            let (prefix, local) = name.split_once(':').unwrap_or(("", name));
            index.note(prefix, local, Span::new(start, xml.len() - "'".len()));
        }
        let head = xml.len() + if content.is_empty() { "/>" } else { ">" }.len();
        compose::content(&mut xml, kind.name(), content);
        index.head = Span::new(0, head);
        index.content = Span::new(head, head + content.len());
        let stanza = Stanza {
            kind,
            raw: xml.into(),
            scope: Scope::own(),
            index,
            rewritten: None,
        };
        debug_assert!(
            Stanza::own(stanza.raw.clone()).is_ok(),
            "what we composed is no stanza"
        );
        stanza
    }

    /// Parses a whole stanza written in `jabber:client` (from the store, from tests).
    /// `unsupported-stanza-type` where it is well-formed but no stanza.
    pub fn parse(xml: &str) -> Result<Stanza, StreamError> {
        Stanza::own(Bytes::copy_from_slice(xml.as_bytes()))
    }

    fn own(raw: Bytes) -> Result<Stanza, StreamError> {
        let text = std::str::from_utf8(&raw).map_err(|_| StreamError::UNSUPPORTED_ENCODING)?;
        let scope = Scope::own();
        let index = index(text, &scope)?.ok_or(StreamError::UNSUPPORTED_STANZA_TYPE)?;
        Stanza::new(raw, scope, index, limits::STANZA_BYTES_MAX)
    }

    fn empty(kind: Kind) -> Stanza {
        let raw = Bytes::from(format!("<{}/>", kind.name()));
        Stanza {
            kind,
            raw,
            scope: Scope::own(),
            index: Index::of_nothing(kind),
            rewritten: None,
        }
    }

    /// The attribute `type` as written; empty where absent.
    pub fn type_(&self) -> &str {
        self.slice(self.index.type_)
    }

    /// The attribute `id`, unescaped.
    pub fn id(&self) -> Option<Cow<'_, str>> {
        self.value(self.index.id)
    }

    /// `xml:lang` of the stanza, else of its stream.
    pub fn lang(&self) -> Option<Cow<'_, str>> {
        self.value(self.index.lang)
            .or_else(|| self.scope.lang.as_deref().map(Cow::Borrowed))
    }

    /// The address in `to`, if there is one.
    pub fn to(&self) -> Result<Option<Jid>, JidError> {
        self.value(self.index.to)
            .map(|to| Jid::parse(&to))
            .transpose()
    }

    /// The address in `from`, if there is one.
    pub fn from(&self) -> Result<Option<Jid>, JidError> {
        self.value(self.index.from)
            .map(|from| Jid::parse(&from))
            .transpose()
    }

    /// What stands in `to`, unescaped, also where that is no address.
    pub fn to_as_written(&self) -> Option<Cow<'_, str>> {
        self.value(self.index.to)
    }

    /// What stands in `from`, unescaped, also where that is no address.
    pub fn from_as_written(&self) -> Option<Cow<'_, str>> {
        self.value(self.index.from)
    }

    /// The direct child elements.
    pub fn children(&self) -> impl Iterator<Item = Child<'_>> {
        (0..self.places().len()).map(|index| Child::new(self, index))
    }

    /// The first direct child of that name; the content namespace reads `jabber:client` on every kind of
    /// stream.
    pub fn child(&self, ns: &str, name: &str) -> Option<Child<'_>> {
        self.children()
            .find(|child| child.name() == name && child.ns() == ns)
    }

    /// Bytes of the stanza as received.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Never: the shortest stanza is `<iq/>`.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Everything between the tags, in `jabber:client` terms.
    fn content(&self) -> Bytes {
        self.rewritten
            .clone()
            .unwrap_or_else(|| self.raw.slice(self.index.content.range()))
    }

    /// The content with the children that `keeps` names, and `added` behind them; an error where that is more
    /// than `bytes_max` because children were written anew. What stands between children (white space, as a
    /// rule) stays: RFC 6120 §11.4 leaves judging it to the recipient.
    fn gather<'a>(
        &self,
        keeps: impl Fn(usize) -> bool,
        added: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
        bytes_max: usize,
    ) -> Result<String, StreamError> {
        let (content, added) = (self.index.content, added.into_iter());
        let left = self
            .places()
            .iter()
            .enumerate()
            .filter(|(child, _)| !keeps(*child));
        let left: usize = left.map(|(_, place)| place.span.range().len()).sum();
        // Exact as long as no child is written anew, so that the text becomes shared bytes without another
        // copy.
        let length = content.range().len() - left + added.clone().map(str::len).sum::<usize>();
        let mut out = String::with_capacity(length);
        let mut at = content.start;
        for (child, place) in self.children().zip(self.places()) {
            out.push_str(self.slice(Span {
                start: at,
                end: place.span.start,
            }));
            if keeps(child.index()) {
                child.write(&mut out, bytes_max)?;
            }
            at = place.span.end;
        }
        out.push_str(self.slice(Span {
            start: at,
            end: content.end,
        }));
        out.extend(added);
        Ok(out)
    }

    /// A walk over the stanza, behind its start tag: what prefixes mean inside is known.
    fn walker(&self) -> Walker<'_> {
        let mut walker = Walker::new(self.text(), self.scope.around());
        // It was walked before, when the stanza was indexed; an error would show again as the end of the
        // walk.
        let _ = walker.next();
        walker
    }

    /// Where the children lie.
    fn places(&self) -> &[IndexedChild] {
        self.index.children.get_or_init(|| {
            let judged = index(self.text(), &self.scope).ok().flatten();
            let children = judged.and_then(|judged| judged.children.into_inner());
            children.unwrap_or_default()
        })
    }

    fn name(&self, ns: Ns) -> &str {
        match ns {
            Ns::Frame(span) => self.slice(span),
            Ns::Content => ns::CLIENT,
            _ => self.scope.around().name(ns, ""),
        }
    }

    fn value(&self, span: Option<Span>) -> Option<Cow<'_, str>> {
        span.map(|span| xml::unescape_value(self.slice_at(span)))
    }

    fn slice(&self, span: impl Into<Option<Span>>) -> &str {
        span.into().map_or("", |span| self.slice_at(span))
    }

    fn slice_at(&self, span: Span) -> &str {
        // The whole was checked when it was indexed, and names and values begin and end at characters.
        std::str::from_utf8(self.raw.get(span.range()).unwrap_or_default()).unwrap_or_default()
    }

    fn text(&self) -> &str {
        self.slice_at(Span::new(0, self.raw.len()))
    }
}

impl fmt::Debug for Stanza {
    /// The head alone: bodies never reach a log (house rule 10).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, type_, id) = (self.kind.name(), self.type_(), self.slice(self.index.id));
        write!(
            f,
            "<{name} type='{type_}' id='{id}' of {} bytes>",
            self.len()
        )
    }
}
