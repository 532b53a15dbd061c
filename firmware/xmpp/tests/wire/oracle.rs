//! Judges one input by everything that has an opinion about it: our reader whole and in pieces, quick-xml on
//! where it ends, rxml on whether it is well-formed and what it says. The fuzz target `stream` calls the same
//! function.

use rxml::{Parse, Parser};
use std::fmt::Write;
use xmpp::{
    Element, Stanza, StreamError,
    element::Node,
    ns,
    stream::{Event, Reader},
};

const HEADER: &[u8] =
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// Panics where two of them disagree about `bytes`, which stand behind a stream's header. True if they hold
/// one good element and nothing else.
pub(crate) fn judge(bytes: &[u8]) -> bool {
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(whole, read(bytes, 1), "a byte at a time");
    assert_eq!(whole, read(bytes, 7), "seven bytes at a time");
    // One element by itself: the walk and the oracle see the same text.
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    if !text.starts_with('<') || text.starts_with("<?") || !text.ends_with('>') {
        return false;
    }
    let ours = Element::parse(text, "");
    let theirs = oracle(bytes);
    match (&ours, &theirs) {
        // rxml loses a carriage return at the end of an attribute's value.
        (Ok(_), Ok(_)) if text.contains('\r') => {}
        (Ok(ours), Ok(theirs)) => assert_eq!(canonical(ours), *theirs),
        (Ok(_), Err(reason)) => assert!(is_known_to_rxml(text), "only rxml refuses: {reason}"),
        (Err(error), Ok(_)) => assert!(is_known_to_us(text, *error), "only we refuse: {error:?}"),
        (Err(_), Err(_)) => {}
    }
    if ours.is_ok() {
        assert_eq!(quick_xml_end(text), Some(text.len()), "where it ends");
    }
    agree_in_a_stream(text, &whole);
    ours.is_ok()
}

/// What a reader makes of it in pieces of that size.
fn read(bytes: &[u8], size: usize) -> Vec<Result<String, StreamError>> {
    let mut reader = Reader::new(ns::CLIENT, 4_096);
    let mut found = Vec::new();
    for piece in HEADER.chunks(size).chain(bytes.chunks(size)) {
        reader.push(piece);
        loop {
            match reader.next() {
                Ok(None) => break,
                Ok(Some(event)) => found.push(Ok(describe(event))),
                Err(error) => found.push(Err(error)),
            }
        }
    }
    found
}

fn describe(event: Event) -> String {
    match event {
        Event::Opened(_) => "opened".into(),
        Event::Stanza(stanza) => describe_stanza(&stanza),
        Event::Nonza(element) => canonical(&element),
        Event::Closed => "closed".into(),
    }
}

fn describe_stanza(stanza: &Stanza) -> String {
    let mut line = format!(
        "{} {:?} {:?}",
        stanza.kind.name(),
        stanza.type_(),
        stanza.id()
    );
    for child in stanza.children() {
        let element = child.element();
        assert_eq!(
            (element.name.as_str(), element.ns.as_str()),
            (child.name(), child.ns())
        );
        assert_eq!(element.text(), child.text());
        // What goes on stands by itself and says the same.
        let alone =
            Element::parse(&child.to_xml(), ns::CLIENT).expect("what goes on is well-formed");
        assert_eq!(canonical(&alone), canonical(&element));
        line += &canonical(&element);
    }
    line
}

/// An element that stands by itself is taken in a stream too, but for its namespace; one that does not is
/// refused.
fn agree_in_a_stream(text: &str, events: &[Result<String, StreamError>]) {
    match (Element::parse(text, ns::CLIENT), events) {
        (Ok(_), [Ok(_), Ok(_)]) => {}
        (Ok(_), [Ok(_), Err(error)]) => {
            let of_streams = [
                "invalid-namespace",
                "bad-namespace-prefix",
                "policy-violation",
                // A second header.
                "unsupported-stanza-type",
            ];
            assert!(of_streams.contains(&error.condition), "{error:?}");
        }
        (Ok(_), _) => panic!("one element is one event"),
        // It may lean on the header's prefix, hold several elements, or be unfinished.
        (Err(_), _) => {}
    }
}

/// The tree as rxml reads it, or why not.
fn oracle(mut bytes: &[u8]) -> Result<String, String> {
    let mut parser = Parser::new();
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        match parser
            .parse(&mut bytes, true)
            .map_err(|error| format!("{error:?}"))?
        {
            None => {
                return root
                    .map(|root| canonical(&root))
                    .ok_or_else(|| "nothing".into());
            }
            Some(rxml::Event::XmlDeclaration(..)) => {}
            Some(rxml::Event::StartElement(_, (ns, name), attributes)) => {
                let mut element = Element::new(ns.as_str(), name.as_str());
                for ((ns, name), value) in &attributes {
                    let name = match ns.as_str() {
                        "" => name.to_string(),
                        xmpp::ns::XML => format!("xml:{name}"),
                        ns => format!("{{{ns}}}{name}"),
                    };
                    element.attributes.push((name, value.clone()));
                }
                open.push(element);
            }
            Some(rxml::Event::Text(_, text)) => {
                if let Some(element) = open.last_mut() {
                    element.children.push(Node::Text(text.as_str().into()));
                }
            }
            Some(rxml::Event::EndElement(_)) => {
                let element = open.pop().ok_or("an end without a start")?;
                match open.last_mut() {
                    Some(parent) => parent.children.push(Node::Element(element)),
                    None => root = Some(element),
                }
            }
        }
    }
}

/// The tree as text: attributes in order, adjacent texts joined, one name for all content namespaces.
fn canonical(element: &Element) -> String {
    let same = |name: &str| {
        name.replace(ns::SERVER, ns::CLIENT)
            .replace(ns::COMPONENT, ns::CLIENT)
    };
    let mut attributes: Vec<_> = element
        .attributes
        .iter()
        .map(|(name, value)| (same(name), value))
        .collect();
    attributes.sort();
    let mut out = format!("({:?} {:?} {attributes:?}", same(&element.ns), element.name);
    let mut text = String::new();
    for node in &element.children {
        match node {
            Node::Text(more) => text += more,
            Node::Element(child) => {
                let _ = write!(out, " {:?} {}", std::mem::take(&mut text), canonical(child));
            }
        }
    }
    let _ = write!(out, " {text:?})");
    out
}

/// Where quick-xml's own reader sees the root element end.
fn quick_xml_end(text: &str) -> Option<usize> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(text);
    let mut depth = 0_usize;
    loop {
        match reader.read_event().ok()? {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.checked_sub(1)?,
            Event::Eof => return None,
            _ => {}
        }
        if depth == 0 {
            return usize::try_from(reader.buffer_position()).ok();
        }
    }
}

/// What rxml refuses although XML 1.0 (fifth edition) allows it: a raw carriage return in an attribute value,
/// some characters in names, and whatever is beyond its limits.
fn is_known_to_rxml(text: &str) -> bool {
    text.contains('\r') || text.chars().any(|c| c >= '\u{F900}') || text.len() > 4_096
}

/// What we refuse although rxml does not: two declarations of the default namespace (which is not
/// well-formed), references in namespace names, and what is beyond our limits.
fn is_known_to_us(text: &str, error: StreamError) -> bool {
    error.condition == "policy-violation" || text.matches("xmlns").count() > 1
}
