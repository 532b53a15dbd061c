//! A direct child of a stanza, read where it lies.

use super::{Stanza, index::IndexedChild, rewrite};
use crate::{
    Element, StreamError,
    xml::{self, Span, Token, Walker},
};
use memchr::memchr3;
use quick_xml::events::attributes::{Attribute, Attributes};
use std::borrow::Cow;

/// A direct child of a stanza.
#[derive(Clone, Copy, Debug)]
pub struct Child<'a> {
    stanza: &'a Stanza,
    index: usize,
}

impl<'a> Child<'a> {
    pub(super) fn new(stanza: &'a Stanza, index: usize) -> Child<'a> {
        Child { stanza, index }
    }

    /// Its place among the children, for [`super::Passing::leave_behind`].
    pub fn index(self) -> usize {
        self.index
    }

    /// Its name, without prefix.
    pub fn name(self) -> &'a str {
        self.stanza.slice(self.place().name)
    }

    /// Its namespace; the content namespace reads `jabber:client` on every kind of stream.
    pub fn ns(self) -> &'a str {
        self.stanza.name(self.place().ns)
    }

    /// An attribute without prefix (or `xml:lang`), unescaped.
    pub fn attr(self, name: &str) -> Option<Cow<'a, str>> {
        let mut attributes = attributes(self.stanza.slice(self.place().head));
        attributes
            .find(|(known, _)| *known == name)
            .map(|(_, value)| xml::unescape_value(value))
    }

    /// The text directly inside, unescaped.
    pub fn text(self) -> String {
        let place = self.place();
        if place.head.end == place.span.end {
            return String::new();
        }
        let inside = self.stanza.slice(Span {
            start: place.head.end,
            end: place.span.end,
        });
        if let Some(end) = memchr3(b'<', b'&', b'\r', inside.as_bytes())
            && inside[end..].starts_with("</")
        {
            return inside[..end].to_owned();
        }
        let mut walker = self.walker();
        let mut text = String::new();
        while let Ok(Some(token)) = walker.next() {
            match token {
                Token::End(_) if walker.depth() == 1 => break,
                Token::Text(raw) if walker.depth() == 2 => text.push_str(&xml::unescape_text(raw)),
                Token::CData(raw) if walker.depth() == 2 => {
                    text.push_str(&xml::unescape_line_ends(raw));
                }
                _ => {}
            }
        }
        text
    }

    /// The child as a tree.
    pub fn element(self) -> Element {
        // It was walked before, when the stanza was indexed.
        Element::next(&mut self.walker())
            .ok()
            .flatten()
            .unwrap_or_default()
    }

    /// The child as XML that stands by itself inside a `jabber:client` stanza: every prefix it uses is
    /// declared.
    pub fn to_xml(self) -> Cow<'a, str> {
        if !self.place().leans {
            return Cow::Borrowed(self.stanza.slice(self.place().span));
        }
        let mut out = String::new();
        // It was written before, within the limit, when the stanza was read.
        let _ = self.write(&mut out, usize::MAX);
        Cow::Owned(out)
    }

    /// Appends what [`Child::to_xml`] is, as long as `out` stays within `bytes_max`.
    pub(super) fn write(self, out: &mut String, bytes_max: usize) -> Result<(), StreamError> {
        if self.place().leans {
            rewrite::element(&mut self.walker(), out, bytes_max)
        } else {
            out.push_str(self.stanza.slice(self.place().span));
            Ok(())
        }
    }

    fn place(self) -> &'a IndexedChild {
        &self.stanza.places()[self.index]
    }

    /// A walk that begins with the child's start tag.
    fn walker(self) -> Walker<'a> {
        let mut walker = self.stanza.walker();
        walker.skip_to(self.place().span.start);
        walker
    }
}

/// Names and escaped values in a start tag that was checked before.
pub(super) fn attributes(tag: &str) -> impl Iterator<Item = (&str, &str)> {
    let inside = tag
        .trim_start_matches('<')
        .trim_end_matches('>')
        .trim_end_matches('/');
    let name_length = inside
        .bytes()
        .position(xml::is_white)
        .unwrap_or(inside.len());
    let mut attributes = Attributes::new(inside, name_length);
    attributes.with_checks(false);
    attributes.filter_map(|attribute| match attribute {
        Ok(Attribute {
            key,
            value: Cow::Borrowed(value),
        }) => Some((key.0, value)),
        _ => None,
    })
}
