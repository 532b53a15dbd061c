//! What a server writes, cut into items. Not `xmpp::stream`: the reader under test shall not be its
//! own judge of what its server writes.

use xmpp::{Element, ns};

/// One thing on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// `<?xml version='1.0'?>`
    Declaration,
    /// `<stream:stream …>`
    Open(Element),
    /// A stanza or a nonza.
    Element(Element),
    /// `</stream:stream>`
    Close,
}

/// A stream as it arrives.
#[derive(Debug, Default)]
pub struct Wire {
    buffer: Vec<u8>,
    /// The start tag of the stream's header, which declares what the elements use.
    header: Option<String>,
}

impl Wire {
    /// Takes bytes in whatever pieces.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// What is left over, for messages.
    pub fn rest(&self) -> String {
        String::from_utf8_lossy(&self.buffer).trim().to_owned()
    }

    /// The next whole item, or nothing until more comes. The error is what makes it no XML.
    pub fn take_item(&mut self) -> Result<Option<Item>, String> {
        let blank = self
            .buffer
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        self.buffer.drain(..blank);
        let Some(length) = item_length(&self.buffer)? else {
            return Ok(None);
        };
        let text: Vec<u8> = self.buffer.drain(..length).collect();
        let text = String::from_utf8(text).map_err(|_| "what came is not UTF-8".to_owned())?;
        self.item(text).map(Some)
    }

    fn item(&mut self, text: String) -> Result<Item, String> {
        if text.starts_with("<?") {
            return Ok(Item::Declaration);
        }
        if text.starts_with("</") {
            return Ok(Item::Close);
        }
        if is_stream_header(text.as_bytes()) {
            let whole = format!("{text}</{}>", tag_name(text.as_bytes()));
            let element = parse_inside(&default_header(), &whole)?;
            // Scripts need not declare what every stream declares.
            self.header = Some(text).filter(|text| text.contains("xmlns"));
            return Ok(Item::Open(element));
        }
        let header = self.header.clone().unwrap_or_else(default_header);
        parse_inside(&header, &text).map(Item::Element)
    }
}

/// All items of a text that is complete.
pub fn items(text: &str) -> Result<Vec<Item>, String> {
    let mut wire = Wire::default();
    wire.push(text.as_bytes());
    let mut items = Vec::new();
    while let Some(item) = wire.take_item()? {
        items.push(item);
    }
    let rest = wire.rest();
    if rest.is_empty() {
        Ok(items)
    } else {
        Err(format!("this is not complete: {rest}"))
    }
}

/// What is declared around elements where no header was seen, in scripts too.
fn default_header() -> String {
    format!(
        "<stream:stream xmlns='{}' xmlns:stream='{}'>",
        ns::CLIENT,
        ns::STREAMS
    )
}

/// Parses an element with what is declared around it.
fn parse_inside(header: &str, text: &str) -> Result<Element, String> {
    let whole = format!("{header}{text}</{}>", tag_name(header.as_bytes()));
    let stream =
        Element::parse(&whole, "").map_err(|error| format!("{}: {text}", error.condition))?;
    stream
        .elements()
        .next()
        .cloned()
        .ok_or_else(|| format!("no element: {text}"))
}

/// Bytes up to the end of the first item, if it is complete.
fn item_length(bytes: &[u8]) -> Result<Option<usize>, String> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut depth = 0;
    let mut at = 0;
    loop {
        let Some(open) = bytes[at..].iter().position(|byte| *byte == b'<') else {
            return if depth == 0 {
                Err(unexpected(bytes))
            } else {
                Ok(None)
            };
        };
        if depth == 0 && open > 0 {
            return Err(unexpected(bytes));
        }
        at += open;
        let Some(length) = tag_length(&bytes[at..]) else {
            return Ok(None);
        };
        let tag = &bytes[at..at + length];
        at += length;
        match tag {
            [b'<', b'!', ..] => return Err(unexpected(tag)),
            [b'<', b'?', ..] if depth == 0 => return Ok(Some(at)),
            [b'<', b'?', ..] => return Err(unexpected(tag)),
            [b'<', b'/', ..] if depth == 0 => return Ok(Some(at)),
            [b'<', b'/', ..] => depth -= 1,
            _ if depth == 0 && is_stream_header(tag) => return Ok(Some(at)),
            [.., b'/', b'>'] => {}
            _ => depth += 1,
        }
        if depth == 0 {
            return Ok(Some(at));
        }
    }
}

/// Bytes of the tag at the start, quoted `>` included, if it is complete.
fn tag_length(bytes: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'>') => return Some(at + 1),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

fn is_stream_header(tag: &[u8]) -> bool {
    !tag.ends_with(b"/>") && matches!(tag_name(tag).rsplit(':').next(), Some("stream"))
}

fn tag_name(tag: &[u8]) -> &str {
    let name = tag.get(1..).unwrap_or_default();
    let end = name
        .iter()
        .position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>'));
    std::str::from_utf8(&name[..end.unwrap_or(name.len())]).unwrap_or_default()
}

fn unexpected(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(60)];
    format!(
        "this does not belong on a stream: {}",
        String::from_utf8_lossy(head)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: Expect) {
        // One byte at a time, as a slow network would bring it.
        let mut wire = Wire::default();
        let mut out = String::new();
        for byte in text.as_bytes() {
            wire.push(&[*byte]);
            match wire.take_item() {
                Ok(None) => {}
                Ok(Some(Item::Element(e))) => {
                    out += &format!("{} {} {:?}\n", e.name, e.ns, e.text());
                }
                Ok(Some(Item::Open(e))) => out += &format!("open {:?}\n", e.attributes),
                Ok(Some(other)) => out += &format!("{other:?}\n"),
                Err(error) => {
                    out += &format!("error: {error}\n");
                    break;
                }
            }
        }
        expected.assert_eq(&out);
    }

    #[test]
    fn a_stream_is_cut_into_items() {
        check(
            "<?xml version='1.0'?>\
             <s:stream to='a>b' xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:client'>\
             <stream:features/>",
            expect![[r#"
                Declaration
                open [("to", "a>b")]
                error: not-well-formed: <stream:features/>
            "#]],
        );
        check(
            "<stream:stream id='a>b' xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client'>\n\
             <stream:features><a xmlns='x'><a/></a></stream:features> \
             <message><body>hi</body></message></stream:stream>",
            expect![[r#"
                open [("id", "a>b")]
                features http://etherx.jabber.org/streams ""
                message jabber:client ""
                Close
            "#]],
        );
    }

    #[test]
    fn what_has_no_place_on_a_stream() {
        check(
            "<!-- hello -->",
            expect![[r"
            error: this does not belong on a stream: <!-- hello -->
        "]],
        );
        check(
            "hello<a/>",
            expect![[r"
            error: this does not belong on a stream: h
        "]],
        );
    }
}
