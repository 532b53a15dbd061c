//! A small tree, for nonzas and for the few payloads that are looked at deeply (forms, pubsub, bind).

use crate::{
    StreamError, compose, ns,
    xml::{self, Around, Ns, Start, Token, Walker},
};
use std::fmt::{self, Write};

/// An element with its namespace resolved. Attributes without a prefix have their bare name; others are
/// `prefix:name` for `xml`, and `{namespace}name` otherwise.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Element {
    pub name: String,
    pub ns: String,
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Node>,
}

/// What an element holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    /// An empty element.
    pub fn new(ns: &str, name: &str) -> Element {
        Element {
            name: name.into(),
            ns: ns.into(),
            ..Element::default()
        }
    }

    /// Parses one whole element that declares what it uses; `default_ns` is in force around it.
    /// Errors are those of the stream's strict layer.
    pub fn parse(xml: &str, default_ns: &str) -> Result<Element, StreamError> {
        Element::read(xml, Around::default_ns(default_ns))
    }

    /// Whether this is that element of that namespace.
    pub fn is(&self, ns: &str, name: &str) -> bool {
        self.name == name && self.ns == ns
    }

    /// The value of an attribute.
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The first child element of that name.
    pub fn child(&self, ns: &str, name: &str) -> Option<&Element> {
        self.elements().find(|e| e.is(ns, name))
    }

    /// The child elements.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The text directly inside.
    pub fn text(&self) -> String {
        let texts = self.children.iter().filter_map(|node| match node {
            Node::Element(_) => None,
            Node::Text(text) => Some(text.as_str()),
        });
        texts.collect()
    }

    /// As XML, with every namespace declared that `default_ns` around it does not give.
    pub fn write(&self, out: &mut String, default_ns: &str) {
        // The one namespace that may not be declared as the default one.
        let prefix = if self.ns == ns::XML { "xml:" } else { "" };
        let inner_ns = if prefix.is_empty() {
            &self.ns
        } else {
            default_ns
        };
        let _ = write!(out, "<{prefix}{}", self.name);
        if inner_ns != default_ns {
            compose::verbatim(out, "xmlns", inner_ns);
        }
        for (index, (name, value)) in self.attributes.iter().enumerate() {
            match name.strip_prefix('{').and_then(|name| name.split_once('}')) {
                Some((ns, local)) => {
                    compose::verbatim(out, &format!("xmlns:n{index}"), ns);
                    compose::attribute(out, &format!("n{index}:{local}"), value);
                }
                None => compose::attribute(out, name, value),
            }
        }
        if self.children.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        for node in &self.children {
            match node {
                Node::Element(element) => element.write(out, inner_ns),
                Node::Text(text) => compose::escape(out, text),
            }
        }
        let _ = write!(out, "</{prefix}{}>", self.name);
    }

    /// The one element that `xml` is.
    pub(crate) fn read(xml: &str, around: Around<'_>) -> Result<Element, StreamError> {
        let mut walker = Walker::new(xml, around);
        let element = Element::next(&mut walker)?.ok_or(StreamError::NOT_WELL_FORMED)?;
        // Nothing may follow it.
        match walker.next()? {
            None => Ok(element),
            Some(_) => Err(StreamError::NOT_WELL_FORMED),
        }
    }

    /// The element that begins where the walker is.
    pub(crate) fn next(walker: &mut Walker<'_>) -> Result<Option<Element>, StreamError> {
        // The elements that are open, outermost first: as deep as the walker allows.
        let mut open: Vec<Element> = Vec::new();
        while let Some(token) = walker.next()? {
            let whole = match (token, open.last_mut()) {
                (Token::Start(start), _) if start.is_empty => Element::started(walker, start),
                (Token::Start(start), _) => {
                    open.push(Element::started(walker, start));
                    continue;
                }
                (Token::End(_), _) => match open.pop() {
                    Some(element) => element,
                    None => return Ok(None),
                },
                (Token::Text(text), Some(inside)) => {
                    inside.push_text(&xml::unescape_text(text));
                    continue;
                }
                (Token::CData(text), Some(inside)) => {
                    inside.push_text(&xml::unescape_line_ends(text));
                    continue;
                }
                (Token::Text(_) | Token::CData(_), None) => continue,
            };
            match open.last_mut() {
                Some(parent) => parent.children.push(Node::Element(whole)),
                None => return Ok(Some(whole)),
            }
        }
        Ok(None)
    }

    pub(crate) fn started(walker: &Walker<'_>, start: Start<'_>) -> Element {
        let mut element = Element::new(walker.name(start.ns), start.local);
        for attribute in walker
            .attributes()
            .filter(|attribute| attribute.declares().is_none())
        {
            let name = match attribute.ns {
                Ns::None => attribute.local.to_owned(),
                Ns::Xml => format!("xml:{}", attribute.local),
                ns => format!("{{{}}}{}", walker.name(ns), attribute.local),
            };
            element
                .attributes
                .push((name, xml::unescape_value(attribute.value).into_owned()));
        }
        element
    }

    fn push_text(&mut self, text: &str) {
        match self.children.last_mut() {
            Some(Node::Text(before)) => before.push_str(text),
            _ => self.children.push(Node::Text(text.to_owned())),
        }
    }
}

impl fmt::Debug for Element {
    /// The name alone: what is inside may be a message or a password (house rule 10).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} xmlns='{}'…>", self.name, self.ns)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Element(element) => element.fmt(f),
            Node::Text(text) => write!(f, "text of {} bytes", text.len()),
        }
    }
}
