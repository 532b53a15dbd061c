//! Start tags: attributes, namespace declarations, and what the names mean (Namespaces in XML 1.0).

use super::*;
use quick_xml::events::attributes::Attributes;

/// An attribute as written, and its namespace ([`Ns::None`] for one without prefix and for declarations).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attribute<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) local: &'a str,
    /// Checked but escaped.
    pub(crate) value: &'a str,
    pub(crate) ns: Ns,
}

impl<'a> Attribute<'a> {
    /// The prefix that it declares, empty for the default namespace.
    pub(crate) fn declares(&self) -> Option<&'a str> {
        match (self.prefix, self.local) {
            ("", "xmlns") => Some(""),
            ("xmlns", prefix) => Some(prefix),
            _ => None,
        }
    }
}

/// A declaration in force.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Binding<'a> {
    prefix: &'a str,
    ns: Ns,
    /// Depth of the element that declares; the root has 1.
    depth: usize,
}

/// Up to this depth a declaration stands outside of a stanza's children: on the header (0) or on the stanza
/// (1).
const OUTSIDE: usize = 1;

impl<'a> Walker<'a> {
    /// Reads what stands between `<` and `>`.
    pub(super) fn tag(&mut self, span: Span, inside: &'a str) -> Result<Start<'a>, StreamError> {
        let (inside, is_empty) = inside
            .strip_suffix('/')
            .map_or((inside, false), |inside| (inside, true));
        let name = &inside[..inside.bytes().position(is_white).unwrap_or(inside.len())];
        let (prefix, local) = split(name)?;
        let parent = self.open.last().copied().unwrap_or(Open {
            is_content: self.around.is_content,
            maps_content: self.around.is_content,
            ..Open::default()
        });
        let bindings = self.bindings.len();
        self.read_attributes(inside, name.len())?;
        let mut leans = self.declare(parent)?;
        let (ns, declared_at) = resolve(&self.bindings, self.around, prefix)?;
        let is_content = ns == Ns::Content;
        leans |=
            declared_at <= OUTSIDE && !(prefix.is_empty() && parent.is_content) && ns != Ns::Xml;
        leans |= self.resolve_attributes()?;
        if is_empty {
            self.bindings.truncate(bindings);
        } else {
            let maps_content = is_content || (self.name(ns), local) == FORWARDED;
            self.open.push(Open {
                name: Span::of(name, self.text),
                bindings,
                is_content,
                maps_content,
            });
        }
        Ok(Start {
            span,
            prefix,
            local,
            ns,
            is_empty,
            leans,
        })
    }

    fn read_attributes(&mut self, inside: &'a str, name_length: usize) -> Result<(), StreamError> {
        self.attributes.truncate(0);
        let mut end = name_length;
        // Equal names are looked for in `resolve_attributes`, together with names that mean the same.
        for attribute in Attributes::new(inside, name_length).with_checks(false) {
            let attribute = attribute.map_err(|_| StreamError::NOT_WELL_FORMED)?;
            let (name, value) = (attribute.key.0, borrowed(attribute.value)?);
            let is_separate = inside
                .as_bytes()
                .get(end)
                .is_some_and(|byte| is_white(*byte));
            end = Span::of(value, inside).end as usize + 1;
            if !is_separate {
                return Err(StreamError::NOT_WELL_FORMED);
            }
            let (prefix, local) = split(name)?;
            lexis::check_value(value)?;
            if self.attributes.len() >= limits::ATTRIBUTES_MAX {
                return Err(TOO_MANY_ATTRIBUTES);
            }
            self.attributes.push(Attribute {
                prefix,
                local,
                value,
                ns: Ns::None,
            });
        }
        Ok(())
    }

    /// Puts the tag's declarations in force. True if one of them spells a content namespace in a way that
    /// does not hold on every kind of stream.
    fn declare(&mut self, parent: Open) -> Result<bool, StreamError> {
        let (text, depth) = (self.text, self.open.len() + 1);
        let mut leans = false;
        for attribute in self.attributes.iter() {
            let (Some(prefix), name) = (attribute.declares(), attribute.value) else {
                continue;
            };
            check_declaration(prefix, name)?;
            let ns = match name {
                "" => Ns::None,
                ns::XML => Ns::Xml,
                _ if parent.maps_content && is_content(name) => {
                    leans |= parent.is_content || name != ns::CLIENT;
                    Ns::Content
                }
                _ => Ns::Frame(Span::of(name, text)),
            };
            if self.bindings.len() >= limits::NAMESPACES_MAX {
                return Err(TOO_MANY_NAMESPACES);
            }
            self.bindings.push(Binding { prefix, ns, depth });
        }
        Ok(leans)
    }

    /// Finds what prefixed attributes mean, and refuses two that mean the same (Namespaces in XML §6.3). True
    /// if one leans on a declaration outside of the stanza's child.
    fn resolve_attributes(&mut self) -> Result<bool, StreamError> {
        let (bindings, around) = (&self.bindings, self.around);
        let mut leans = false;
        for attribute in self
            .attributes
            .iter_mut()
            .filter(|a| !a.prefix.is_empty() && a.prefix != "xmlns")
        {
            let (ns, declared_at) = resolve(bindings, around, attribute.prefix)?;
            attribute.ns = ns;
            leans |= declared_at <= OUTSIDE && ns != Ns::Xml;
        }
        for (index, one) in self.attributes.iter().enumerate() {
            let is_same = |other: &Attribute<'_>| {
                one.local == other.local
                    && (one.prefix == other.prefix
                        || (one.ns != Ns::None && self.name(one.ns) == self.name(other.ns)))
            };
            if self.attributes.iter().take(index).any(is_same) {
                return Err(StreamError::NOT_WELL_FORMED);
            }
        }
        Ok(leans)
    }
}

/// What a prefix means, and the depth of the element that says so (0: the header, or nobody).
fn resolve(
    bindings: &Stack<Binding<'_>, 8>,
    around: Around<'_>,
    prefix: &str,
) -> Result<(Ns, usize), StreamError> {
    if let Some(binding) = bindings
        .iter()
        .rev()
        .find(|binding| binding.prefix == prefix)
    {
        return Ok((binding.ns, binding.depth));
    }
    match prefix {
        "" => Ok((around.default, 0)),
        "xml" => Ok((Ns::Xml, 0)),
        _ => match around
            .prefixes
            .iter()
            .rposition(|(declared, _)| declared == prefix)
        {
            Some(index) if is_content(&around.prefixes[index].1) => Ok((Ns::Content, 0)),
            Some(index) => Ok((Ns::Header(index as u16), 0)),
            // RFC 6120 §4.9.3.13: the example of a body with an unbound prefix.
            None => Err(StreamError::NOT_WELL_FORMED),
        },
    }
}

/// Prefix and local part of a name within the limit.
fn split(name: &str) -> Result<(&str, &str), StreamError> {
    if name.len() > limits::NAME_BYTES_MAX {
        return Err(NAME_TOO_LONG);
    }
    lexis::split_name(name).ok_or(StreamError::NOT_WELL_FORMED)
}

/// The constraints of Namespaces in XML §3: `xml` and `xmlns` mean what they mean, and only the default
/// namespace may be undeclared.
fn check_declaration(prefix: &str, name: &str) -> Result<(), StreamError> {
    if name.len() > limits::NAMESPACE_BYTES_MAX {
        return Err(NAME_TOO_LONG);
    }
    // Names are compared as they are written; nobody's namespace needs escaping.
    if name
        .bytes()
        .any(|byte| matches!(byte, b'&' | b'\t' | b'\n' | b'\r'))
    {
        return Err(ODD_NAMESPACE);
    }
    let is_legal = prefix != "xmlns"
        && name != XMLNS
        && (prefix == "xml") == (name == ns::XML)
        && (prefix.is_empty() || !name.is_empty());
    if is_legal {
        Ok(())
    } else {
        Err(StreamError::NOT_WELL_FORMED)
    }
}

/// quick-xml borrows values from the tag; it owns only those it was given escaped.
fn borrowed(value: std::borrow::Cow<'_, str>) -> Result<&str, StreamError> {
    match value {
        std::borrow::Cow::Borrowed(value) => Ok(value),
        std::borrow::Cow::Owned(_) => Err(StreamError::INTERNAL),
    }
}
