//! RFC 7395: a stream in frames, each of which is one whole element. Inside, a stream has a header around
//! everything (RFC 6120 §4.2); here what goes out is cut into elements that stand for themselves, and what
//! comes in is put where such a stream expects it.

use crate::{
    Element, StreamError, compose, limits, ns,
    stream::framer::{Frame, Framer},
    xml,
};
use quick_xml::events::BytesStart;
use std::borrow::Cow;

/// The namespace of `<open/>` and `<close/>` (§3.3.2).
pub const NS: &str = "urn:ietf:params:xml:ns:xmpp-framing";

/// A part of what a stream of ours says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The header; its attributes as XML, with a leading space each, without declarations of namespaces.
    Open(String),
    /// An element, with all its namespaces (§3.3.3).
    Element(String),
    /// The end of the stream.
    Close,
    /// White space that shows whether the line is alive (RFC 6120 §4.6.1).
    Space,
}

impl Piece {
    /// The text of the frame. White space has none (§3.8).
    pub fn into_frame(self) -> Option<String> {
        match self {
            Piece::Open(attributes) => Some(format!("<open xmlns='{NS}'{attributes}/>")),
            Piece::Element(element) => Some(element),
            Piece::Close => Some(format!("<close xmlns='{NS}'/>")),
            Piece::Space => None,
        }
    }
}

/// Cuts what a stream of ours says, whole elements in the terms of `jabber:client`.
///
/// # Errors
/// None for what we write; for anything else what is wrong with it.
pub fn cut(said: &[u8]) -> Result<Vec<Piece>, StreamError> {
    pieces(said)?.collect()
}

/// The same, one after the other.
///
/// # Errors
/// As [`cut`].
pub fn pieces(said: &[u8]) -> Result<Pieces<'_>, StreamError> {
    let said = std::str::from_utf8(said).map_err(|_| StreamError::UNSUPPORTED_ENCODING)?;
    let rest = said.trim_start();
    Ok(Pieces {
        framer: Framer::inside(),
        rest,
        is_space: rest.is_empty() && !said.is_empty(),
    })
}

/// What [`pieces`] cuts. Behind an error there is nothing more.
pub struct Pieces<'a> {
    framer: Framer,
    rest: &'a str,
    /// There is nothing but white space.
    is_space: bool,
}

impl Pieces<'_> {
    fn step(&mut self) -> Result<Option<Piece>, StreamError> {
        if std::mem::take(&mut self.is_space) {
            return Ok(Some(Piece::Space));
        }
        while !self.rest.is_empty() {
            // A stream that follows another one on the same line (RFC 6120 §6.4.6).
            if self.rest.starts_with("<?xml") {
                self.framer = Framer::new();
            }
            let frame = self.framer.next(self.rest.as_bytes(), usize::MAX)?;
            let (length, piece) = match frame.ok_or(StreamError::NOT_WELL_FORMED)? {
                Frame::Declaration(length) => (length, None),
                Frame::Header(length) | Frame::EmptyHeader(length) => {
                    let attributes = kept_attributes(&self.rest[..length])?;
                    (length, Some(Piece::Open(attributes)))
                }
                Frame::Element(length) => {
                    let element = complete(&self.rest[..length])?;
                    (length, Some(Piece::Element(element)))
                }
                Frame::Close(length) => (length, Some(Piece::Close)),
            };
            self.rest = self.rest[length..].trim_start();
            if piece.is_some() {
                return Ok(piece);
            }
        }
        Ok(None)
    }
}

impl Iterator for Pieces<'_> {
    type Item = Result<Piece, StreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.rest = "";
        }
        step.transpose()
    }
}

/// What a frame of a peer is on a stream.
///
/// # Errors
/// `invalid-namespace` (§3.3.2), `not-well-formed` for anything but one whole element, which a `<` begins, or
/// `policy-violation` for one that is too large.
pub fn put(frame: &str) -> Result<Cow<'_, str>, StreamError> {
    let element = match frame.strip_prefix("<?xml") {
        Some(rest) => {
            let (_, rest) = rest.split_once("?>").ok_or(StreamError::NOT_WELL_FORMED)?;
            rest.trim_start() // not recommended, which is not forbidden (§3.3.3)
        }
        None => frame,
    };
    let whole = Framer::inside().next(element.as_bytes(), limits::STANZA_BYTES_MAX)?;
    let Some(Frame::Element(length)) = whole else {
        return Err(StreamError::NOT_WELL_FORMED);
    };
    if !element[length..].trim().is_empty() {
        return Err(StreamError::NOT_WELL_FORMED);
    }
    match local_name(element) {
        "open" => header(element).map(Cow::Owned),
        "close" if framing(element)?.name == "close" => Ok(Cow::Borrowed("</stream:stream>")),
        _ => Ok(Cow::Borrowed(&element[..length])),
    }
}

/// The header that stands for an `<open/>` (§3.3.1: the same attributes).
fn header(open: &str) -> Result<String, StreamError> {
    let open = framing(open)?;
    Ok(header_with(|name| open.attr(name)))
}

/// The header of a stream with the attributes that `value` gives: `to`, `from`, `id`, `version`, `xml:lang`.
pub fn header_with<'a>(value: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut header = String::from("<stream:stream");
    for name in ["to", "from", "id", "version", "xml:lang"] {
        if let Some(value) = value(name) {
            compose::attribute(&mut header, name, value);
        }
    }
    compose::attribute(&mut header, "xmlns", ns::CLIENT);
    compose::attribute(&mut header, "xmlns:stream", ns::STREAMS);
    header.push('>');
    header
}

fn framing(element: &str) -> Result<Element, StreamError> {
    // It becomes a tree, as what it stands for does.
    if element.len() > limits::NONZA_BYTES_MAX {
        return Err(xml::TOO_LARGE);
    }
    let element = Element::parse(element, "")?;
    if element.ns == NS {
        Ok(element)
    } else {
        Err(StreamError::INVALID_NAMESPACE)
    }
}

fn local_name(element: &str) -> &str {
    let name = &element[1..];
    let end = name.find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>');
    let name = &name[..end.unwrap_or(name.len())];
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// The element with what the header of its stream declares for it.
fn complete(element: &str) -> Result<String, StreamError> {
    let tag = tag(element)?;
    let at = 1 + tag.name().as_ref().len();
    let mut declared = false;
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|_| StreamError::NOT_WELL_FORMED)?;
        declared |= attribute.key.as_ref() == "xmlns";
    }
    let mut whole = String::with_capacity(element.len() + 64);
    whole.push_str(&element[..at]);
    if element.starts_with("<stream:") {
        compose::attribute(&mut whole, "xmlns:stream", ns::STREAMS);
    } else if !declared {
        compose::attribute(&mut whole, "xmlns", ns::CLIENT);
    }
    whole.push_str(&element[at..]);
    Ok(whole)
}

fn kept_attributes(header: &str) -> Result<String, StreamError> {
    let mut kept = String::new();
    for attribute in tag(header)?.attributes() {
        let attribute = attribute.map_err(|_| StreamError::NOT_WELL_FORMED)?;
        let name: &str = attribute.key.as_ref();
        if !name.starts_with("xmlns") {
            kept.push_str(&format!(" {name}='{}'", attribute.value));
        }
    }
    Ok(kept)
}

/// The start tag of an element or a header.
fn tag(element: &str) -> Result<BytesStart<'_>, StreamError> {
    let mut quote = None;
    let end = element.bytes().position(|byte| match (quote, byte) {
        (None, b'>') => true,
        (None, b'\'' | b'"') => {
            quote = Some(byte);
            false
        }
        (Some(open), byte) if open == byte => {
            quote = None;
            false
        }
        _ => false,
    });
    let end = end.ok_or(StreamError::NOT_WELL_FORMED)?;
    let content = element[1..end].trim_end_matches('/');
    let name = content.find(|c: char| c.is_ascii_whitespace());
    Ok(BytesStart::from_content(
        content,
        name.unwrap_or(content.len()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_cut_into_whole_elements() {
        let said = "<?xml version='1.0'?><stream:stream from='a.example' id='a' version='1.0' \
             xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
             <stream:features><a xmlns='b'/></stream:features>\
             <r xmlns='urn:xmpp:sm:3'/><message id=' xmlns=\"a>b'><body>1 &gt; 0</body></message> \
             <iq type='result' id='1'/></stream:stream>";
        let frames = cut(said.as_bytes()).unwrap().into_iter();
        let frames: Vec<_> = frames.filter_map(Piece::into_frame).collect();
        expect_test::expect![[r#"
            <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' from='a.example' id='a' version='1.0'/>
            <stream:features xmlns:stream='http://etherx.jabber.org/streams'><a xmlns='b'/></stream:features>
            <r xmlns='urn:xmpp:sm:3'/>
            <message xmlns='jabber:client' id=' xmlns="a>b'><body>1 &gt; 0</body></message>
            <iq xmlns='jabber:client' type='result' id='1'/>
            <close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"#]]
        .assert_eq(&frames.join("\n"));
        assert_eq!(cut(b" ").unwrap(), [Piece::Space]);
        assert_eq!(cut(b"").unwrap(), []);
        let mut wrong = pieces(b"<a/>b<c/>").unwrap();
        assert!(wrong.next().unwrap().is_ok());
        assert_eq!(wrong.next(), Some(Err(StreamError::BAD_FORMAT)));
        assert_eq!(wrong.next(), None);
        // A stream begins anew behind what ended the one before.
        let again = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/><?xml version='1.0'?>\
             <stream:stream id='b'>";
        assert_eq!(
            cut(again.as_bytes()).unwrap()[1],
            Piece::Open(" id='b'".into())
        );
    }

    #[test]
    fn a_frame_is_one_whole_element() {
        let open = format!("<open xmlns='{NS}' to='home.example' version='1.0' xml:lang='de'/>");
        let header = "<stream:stream to='home.example' version='1.0' xml:lang='de' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>";
        let close = format!("<c:close xmlns:c='{NS}'/>");
        let declared = format!("<?xml version='1.0'?>{open}");
        let [full_open, full_close] = ["open", "close"].map(|name| {
            let inside = "<a/>".repeat(limits::NONZA_BYTES_MAX / 4);
            format!("<{name} xmlns='{NS}'>{inside}</{name}>")
        });
        let large = format!("<a>{}</a>", "x".repeat(limits::STANZA_BYTES_MAX));
        let rows = [
            (open.as_str(), Ok(header)),
            (&declared, Ok(header)),
            (&close, Ok("</stream:stream>")),
            (&full_open, Err(xml::TOO_LARGE)),
            (&full_close, Err(xml::TOO_LARGE)),
            (&large, Err(xml::TOO_LARGE)),
            (
                "<message xmlns='jabber:client'/>",
                Ok("<message xmlns='jabber:client'/>"),
            ),
            ("<presence/>\n", Ok("<presence/>")),
            (
                "<open to='home.example'/>",
                Err(StreamError::INVALID_NAMESPACE),
            ),
            (
                "<close xmlns='jabber:client'/>",
                Err(StreamError::INVALID_NAMESPACE),
            ),
            ("<presence/><presence/>", Err(StreamError::NOT_WELL_FORMED)),
            ("<message><body>", Err(StreamError::NOT_WELL_FORMED)),
            (
                "<stream:stream to='home.example'>",
                Err(StreamError::UNSUPPORTED_STANZA_TYPE),
            ),
            (" ", Err(StreamError::BAD_FORMAT)),
            ("", Err(StreamError::NOT_WELL_FORMED)),
            ("</stream:stream>", Err(StreamError::NOT_WELL_FORMED)),
            ("hello", Err(StreamError::BAD_FORMAT)),
        ];
        for (frame, expected) in rows {
            let found = put(frame).map(Cow::into_owned);
            assert_eq!(found, expected.map(str::to_owned), "{frame}");
        }
    }
}
