//! Writing XML: escaping, start tags, error stanzas. Attribute values stand in single quotes.

use crate::{ns, xml};

/// Appends text with `& < > ' "` escaped, good for content and for attribute values in either quotes.
/// Characters that XML has no way to say become U+FFFD: nothing that we write may break a stream.
pub fn escape(out: &mut String, text: &str) {
    escape_where(out, text, |byte| {
        is_special(byte) && !matches!(byte, b'\n' | b'\t')
    });
}

/// Appends ` name='value'`, escaped; line breaks and tabs survive the reader's normalisation (XML §3.3.3).
pub fn attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("='");
    escape_where(out, value, is_special);
    out.push('\'');
}

/// The text escaped.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    escape(&mut out, text);
    out
}

/// Whether a text is the same with everything escaped: most addresses are.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.bytes().any(is_special)
}

/// Appends an attribute whose value was checked where it was read, as it was written there: escaped, or the
/// name of a namespace, which holds nothing to escape. Such a value holds one kind of quotes at most.
pub(crate) fn verbatim(out: &mut String, name: &str, value: &str) {
    let quote = if value.contains('\'') { '"' } else { '\'' };
    out.push(' ');
    out.push_str(name);
    out.push('=');
    out.push(quote);
    out.push_str(value);
    out.push(quote);
}

/// Ends a start tag that has its attributes: with the content and the end tag, or as an empty-element tag.
pub(crate) fn content(out: &mut String, name: &str, content: &str) {
    if content.is_empty() {
        out.push_str("/>");
    } else {
        out.push('>');
        out.push_str(content);
        end_tag(out, &[name]);
    }
}

/// Appends the end tag of an element whose name has these parts.
pub(crate) fn end_tag(out: &mut String, name: &[&str]) {
    out.push_str("</");
    out.extend(name.iter().copied());
    out.push('>');
}

/// Bytes that begin something which cannot stand in a value as it is: markup, controls, and perhaps U+FFFE or
/// U+FFFF.
fn is_special(byte: u8) -> bool {
    matches!(byte, 0..b' ' | b'&' | b'<' | b'>' | b'\'' | b'"' | 0xEF)
}

fn escape_where(out: &mut String, text: &str, is_special: impl Fn(u8) -> bool) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(&is_special) {
        let (before, special) = rest.split_at(at);
        out.push_str(before);
        let mut characters = special.chars();
        match characters.next() {
            Some('&') => out.push_str("&amp;"),
            Some('<') => out.push_str("&lt;"),
            Some('>') => out.push_str("&gt;"),
            Some('\'') => out.push_str("&apos;"),
            Some('"') => out.push_str("&quot;"),
            Some('\t') => out.push_str("&#9;"),
            Some('\n') => out.push_str("&#10;"),
            Some('\r') => out.push_str("&#13;"),
            Some(other) => out.push(if xml::is_char(other) {
                other
            } else {
                char::REPLACEMENT_CHARACTER
            }),
            None => {}
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
}

/// A condition and, if there is one, the sentence for a person, both of one namespace.
fn condition(out: &mut String, name: &str, text: &str, ns: &str) {
    out.push('<');
    out.push_str(name);
    attribute(out, "xmlns", ns);
    out.push_str("/>");
    if !text.is_empty() {
        out.push_str("<text");
        attribute(out, "xmlns", ns);
        out.push_str(" xml:lang='en'>");
        escape(out, text);
        end_tag(out, &["text"]);
    }
}

impl crate::StanzaError {
    /// The `<error/>` element (RFC 6120 §8.3.2), without `by`.
    pub fn to_xml(self) -> String {
        self.element(None, "")
    }

    /// The same, with an application-specific condition behind its own (§8.3.4), as XML.
    pub fn to_xml_because(self, detail: &str) -> String {
        self.element(None, detail)
    }

    /// The same, with the entity that answered in `by`.
    pub fn to_xml_by(self, by: &crate::Jid) -> String {
        self.element(Some(by), "")
    }

    fn element(self, by: Option<&crate::Jid>, detail: &str) -> String {
        let mut out = String::from("<error");
        attribute(&mut out, "type", self.type_);
        if let Some(by) = by {
            attribute(&mut out, "by", by.as_str());
        }
        if self.code > 0 {
            attribute(&mut out, "code", &self.code.to_string());
        }
        out.push('>');
        condition(&mut out, self.condition, self.text, ns::STANZA_ERRORS);
        out.push_str(self.detail);
        out.push_str(detail);
        end_tag(&mut out, &["error"]);
        out
    }
}

impl crate::StreamError {
    /// The `<stream:error/>` element (RFC 6120 §4.9.2) inside a stream of ours, which declares the prefix
    /// `stream`.
    pub fn to_xml(self) -> String {
        let mut out = String::from("<stream:error>");
        condition(&mut out, self.condition, self.text, ns::STREAM_ERRORS);
        if let Some((h, sent)) = self.handled_too_high {
            out.push_str("<handled-count-too-high xmlns='urn:xmpp:sm:3'");
            attribute(&mut out, "h", &h.to_string());
            attribute(&mut out, "send-count", &sent.to_string());
            out.push_str("/>");
        }
        out.push_str("</stream:error>");
        out
    }
}

impl crate::SaslFailure {
    /// The condition element and text to put inside `<failure/>` of SASL and SASL2 alike.
    pub fn to_xml(self) -> String {
        let mut out = String::new();
        condition(&mut out, self.condition, self.text, ns::SASL);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SaslFailure, StanzaError, StreamError};

    #[test]
    fn text_is_escaped() {
        for (text, expected) in [
            ("", ""),
            (
                "as it is: é\u{FEFF}\u{FF21}\n\t",
                "as it is: é\u{FEFF}\u{FF21}\n\t",
            ),
            (
                "<a b='c' d=\"e\">&amp;",
                "&lt;a b=&apos;c&apos; d=&quot;e&quot;&gt;&amp;amp;",
            ),
            // A carriage return would be read as a line feed (XML §2.11).
            ("a\r\n", "a&#13;\n"),
            // What XML cannot say.
            (
                "a\0b\u{1b}c\u{FFFE}\u{FFFF}d",
                "a\u{FFFD}b\u{FFFD}c\u{FFFD}\u{FFFD}d",
            ),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn attributes_keep_their_line_breaks() {
        let mut out = String::new();
        attribute(&mut out, "a", "b\n\t\r'\"");
        assert_eq!(out, " a='b&#10;&#9;&#13;&apos;&quot;'");
    }

    #[test]
    fn errors() {
        assert_eq!(
            StanzaError::ITEM_NOT_FOUND.to_xml(),
            "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        );
        assert_eq!(
            StreamError::POLICY_VIOLATION.with_text("a & b").to_xml(),
            "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>a &amp; b</text></stream:error>"
        );
        assert_eq!(
            StreamError::handled_count_too_high(10, 8).to_xml(),
            "<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
             <handled-count-too-high xmlns='urn:xmpp:sm:3' h='10' send-count='8'/></stream:error>"
        );
        assert_eq!(
            SaslFailure::NOT_AUTHORIZED.to_xml(),
            "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
        );
    }
}
