//! Writes an element anew so that it stands by itself inside a `jabber:client` stanza: no prefixes but on
//! attributes, every namespace declared where it begins. What RFC 6120 §4.8.5 asks for with content
//! namespaces that have a prefix, and with declarations that stay behind on the stanza or on the header of
//! its stream.

use crate::{
    StreamError, compose, ns,
    xml::{self, Ns, Start, Token, Walker},
};

/// An element whose end tag is still to be written.
struct Open<'a> {
    prefix: &'static str,
    local: &'a str,
    /// The default namespace inside of it.
    default: &'a str,
}

/// Appends the element that begins where the walker is. It can be many times longer than it was;
/// `policy-violation` as soon as there are more than `bytes_max` bytes in `out`.
pub(super) fn element(
    walker: &mut Walker<'_>,
    out: &mut String,
    bytes_max: usize,
) -> Result<(), StreamError> {
    let mut open: Vec<Open<'_>> = Vec::new();
    loop {
        match walker.next()?.ok_or(StreamError::NOT_WELL_FORMED)? {
            Token::Start(start) => {
                let around = open.last().map_or(ns::CLIENT, |parent| parent.default);
                let inside = start_tag(walker, start, around, out);
                if !start.is_empty {
                    open.push(inside);
                }
            }
            Token::End(_) => {
                if let Some(Open { prefix, local, .. }) = open.pop() {
                    compose::end_tag(out, &[prefix, local]);
                }
            }
            Token::Text(text) => out.push_str(text),
            Token::CData(text) => out.extend(["<![CDATA[", text, "]]>"]),
        }
        if out.len() > bytes_max {
            return Err(xml::TOO_LARGE);
        }
        if open.is_empty() {
            return Ok(());
        }
    }
}

fn start_tag<'a>(
    walker: &Walker<'a>,
    start: Start<'a>,
    around: &'a str,
    out: &mut String,
) -> Open<'a> {
    let ns = walker.name(start.ns);
    // The one namespace that cannot be the default one.
    let (prefix, default) = if ns == ns::XML {
        ("xml:", around)
    } else {
        ("", ns)
    };
    out.extend(["<", prefix, start.local]);
    if default != around {
        compose::verbatim(out, "xmlns", default);
    }
    let attributes = walker
        .attributes()
        .filter(|attribute| attribute.declares().is_none());
    for (index, attribute) in attributes.enumerate() {
        match attribute.ns {
            Ns::None => compose::verbatim(out, attribute.local, attribute.value),
            Ns::Xml => compose::verbatim(out, &format!("xml:{}", attribute.local), attribute.value),
            ns => {
                compose::verbatim(out, &format!("xmlns:n{index}"), walker.name(ns));
                compose::verbatim(
                    out,
                    &format!("n{index}:{}", attribute.local),
                    attribute.value,
                );
            }
        }
    }
    out.push_str(if start.is_empty { "/>" } else { ">" });
    Open {
        prefix,
        local: start.local,
        default,
    }
}
