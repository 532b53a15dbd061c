//! The strict layer: walks one whole element once and refuses everything that is not namespace-well-formed
//! restricted XML, because a single such stanza in an archive makes every strict client drop its stream,
//! again and again.
//!
//! Tags and attributes are cut by quick-xml's parts (`ElementParser`, `Attributes`), so the framer and this
//! walk agree on where a tag ends. Its `Reader` would keep the names of open elements on the heap, three
//! allocations a stanza, and everything else it does is done again here more strictly.

mod lexis;
mod namespace;
mod stack;
mod tag;

pub(crate) use lexis::{
    Markup, is_char, is_white, markup, unescape_line_ends, unescape_text, unescape_value, white,
};
pub(crate) use namespace::{Around, Ns, Span, is_content};
pub(crate) use stack::Stack;
pub(crate) use tag::Attribute;

use crate::{StreamError, limits, ns};
use memchr::{memchr, memmem};
use quick_xml::parser::{ElementParser, Parser};
use tag::Binding;

/// A piece of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Token<'a> {
    /// A start tag; its attributes are at [`Walker::attributes`] until the next token.
    Start(Start<'a>),
    /// An end tag. Empty-element tags have none.
    End(Span),
    /// Text between tags, checked but escaped.
    Text(&'a str),
    /// The inside of a CDATA section.
    CData(&'a str),
}

/// A start tag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start<'a> {
    /// From `<` to `>`.
    pub(crate) span: Span,
    pub(crate) prefix: &'a str,
    pub(crate) local: &'a str,
    pub(crate) ns: Ns,
    /// Whether it is an empty-element tag.
    pub(crate) is_empty: bool,
    /// Whether it leans on declarations outside of the stanza's child that it is or is in, or names a content
    /// namespace where the receiver's stream may have another: such a child cannot be copied as it stands.
    pub(crate) leans: bool,
}

/// An element whose end tag was not seen yet.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    name: Span,
    /// Declarations in force outside of it.
    bindings: usize,
    /// Whether it is in the content namespace.
    is_content: bool,
    /// Whether content namespaces that its children declare are the content namespace: the rule of RFC 6120
    /// §4.8.3 reaches only so far, and XEP-0297 (`<forwarded/>`) starts anew.
    maps_content: bool,
}

/// The walk over one element.
pub(crate) struct Walker<'a> {
    text: &'a str,
    around: Around<'a>,
    at: usize,
    open: Stack<Open, 8>,
    bindings: Stack<Binding<'a>, 8>,
    attributes: Stack<Attribute<'a>, 8>,
    is_done: bool,
}

impl<'a> Walker<'a> {
    pub(crate) fn new(text: &'a str, around: Around<'a>) -> Walker<'a> {
        let (open, bindings, attributes) = (Stack::new(), Stack::new(), Stack::new());
        Walker {
            text,
            around,
            at: 0,
            open,
            bindings,
            attributes,
            is_done: false,
        }
    }

    /// The next piece; `None` behind the one root element.
    pub(crate) fn next(&mut self) -> Result<Option<Token<'a>>, StreamError> {
        let rest = &self.text[self.at..];
        if self.open.len() == 0 {
            return self.outside(rest);
        }
        match memchr(b'<', rest.as_bytes()) {
            Some(0) => self.markup(rest).map(Some),
            Some(length) => {
                self.at += length;
                lexis::check_text(&rest[..length])?;
                Ok(Some(Token::Text(&rest[..length])))
            }
            None => Err(StreamError::NOT_WELL_FORMED),
        }
    }

    /// Around the root stands white space at most.
    fn outside(&mut self, rest: &'a str) -> Result<Option<Token<'a>>, StreamError> {
        let length = lexis::white(rest.as_bytes());
        self.at += length;
        match rest.as_bytes().get(length) {
            None if self.is_done => Ok(None),
            Some(b'<') if !self.is_done => match lexis::markup(&rest.as_bytes()[length..])? {
                Some(Markup::StartTag) => self.start().map(|start| Some(Token::Start(start))),
                _ => Err(StreamError::NOT_WELL_FORMED),
            },
            _ => Err(StreamError::NOT_WELL_FORMED),
        }
    }

    fn markup(&mut self, rest: &'a str) -> Result<Token<'a>, StreamError> {
        match lexis::markup(rest.as_bytes())? {
            Some(Markup::StartTag) => self.start().map(Token::Start),
            Some(Markup::EndTag) => self.end(rest).map(Token::End),
            Some(Markup::CData) => self.cdata(rest).map(Token::CData),
            Some(Markup::Declaration) | None => Err(StreamError::NOT_WELL_FORMED),
        }
    }

    fn start(&mut self) -> Result<Start<'a>, StreamError> {
        let rest = &self.text[self.at..];
        let length = ElementParser::Outside
            .feed(rest.as_bytes())
            .ok_or(StreamError::NOT_WELL_FORMED)?
            + 1;
        let span = Span::new(self.at, self.at + length);
        if self.open.len() >= limits::DEPTH_MAX {
            return Err(TOO_DEEP);
        }
        let start = self.tag(span, &rest[1..length - 1])?;
        self.at += length;
        self.is_done = self.open.len() == 0;
        Ok(start)
    }

    fn end(&mut self, rest: &'a str) -> Result<Span, StreamError> {
        let length = memchr(b'>', rest.as_bytes()).ok_or(StreamError::NOT_WELL_FORMED)? + 1;
        let name = rest[2..length - 1].trim_end_matches([' ', '\t', '\n', '\r']);
        let open = self
            .open
            .pop()
            .filter(|open| &self.text[open.name.range()] == name);
        let open = open.ok_or(StreamError::NOT_WELL_FORMED)?;
        self.bindings.truncate(open.bindings);
        let span = Span::new(self.at, self.at + length);
        self.at += length;
        self.is_done = self.open.len() == 0;
        Ok(span)
    }

    fn cdata(&mut self, rest: &'a str) -> Result<&'a str, StreamError> {
        let inside = &rest["<![CDATA[".len()..];
        let length = memmem::find(inside.as_bytes(), b"]]>").ok_or(StreamError::NOT_WELL_FORMED)?;
        lexis::check_cdata(&inside[..length])?;
        self.at += rest.len() - inside.len() + length + "]]>".len();
        Ok(&inside[..length])
    }

    /// Continues at an offset inside the element whose start tag was read last, at the start of one of its
    /// children.
    pub(crate) fn skip_to(&mut self, offset: u32) {
        self.at = offset as usize;
    }

    /// Elements open, the one of the last start tag included unless it was empty.
    pub(crate) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Attributes of the last start tag, declarations included, in their order.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = &Attribute<'a>> {
        self.attributes.iter()
    }

    /// The namespace's name.
    pub(crate) fn name(&self, ns: Ns) -> &'a str {
        self.around.name(ns, self.text)
    }
}

pub(crate) const TOO_DEEP: StreamError =
    StreamError::POLICY_VIOLATION.with_text("elements are nested too deeply");
pub(crate) const TOO_LARGE: StreamError =
    StreamError::POLICY_VIOLATION.with_text("the element is too large");
const NAME_TOO_LONG: StreamError = StreamError::POLICY_VIOLATION.with_text("a name is too long");
const TOO_MANY_ATTRIBUTES: StreamError =
    StreamError::POLICY_VIOLATION.with_text("an element has too many attributes");
const TOO_MANY_NAMESPACES: StreamError =
    StreamError::POLICY_VIOLATION.with_text("too many namespaces are declared");
const ODD_NAMESPACE: StreamError =
    StreamError::POLICY_VIOLATION.with_text("a namespace name holds a reference or a line break");

/// XEP-0297: what is in there was a stanza of its own.
const FORWARDED: (&str, &str) = ("urn:xmpp:forward:0", "forwarded");
/// What the prefix `xmlns` means (Namespaces in XML §3).
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
