//! XEP-0124 §6: the `<body/>` around the elements of an HTTP request, taken off. What was in it can go on a
//! stream: whatever its namespaces leaned on in the wrapper, it declares itself.

use crate::{
    Element, StreamError, compose, limits, ns,
    xml::{self, Around, Start, Token, Walker},
};

/// The namespace of `<body/>` (§6).
pub const NS: &str = "http://jabber.org/protocol/httpbind";

/// A request without its wrapper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwrapped {
    /// The wrapper, without what was inside.
    pub body: Element,
    /// The elements, one after the other, as they go on a stream whose default namespace is `jabber:client`.
    pub payloads: String,
    pub count: usize,
}

/// Takes off the wrapper of a request that has `count_max` elements at most.
///
/// # Errors
/// What a stream would be refused for (RFC 6120 §11), and text between the elements (§6).
pub fn unwrap(request: &str, count_max: usize) -> Result<Unwrapped, StreamError> {
    let text = without_declaration(request)?;
    let mut walker = Walker::new(text, Around::default_ns(""));
    let body = begin(&mut walker)?;
    let declared = Declared::of(&walker)?;
    let (mut payloads, mut count) = (String::new(), 0);
    let mut open: Option<Open> = None;
    while let Some(token) = walker.next()? {
        let end = match (token, open.is_some()) {
            (Token::Start(start), false) => {
                count += 1;
                open = Some(Open {
                    begin: start.span.range().start,
                    name: start.span.range().start + 1 + name_length(&start),
                    missing: declared.missing(&walker),
                });
                start.is_empty.then_some(start.span.range().end)
            }
            (Token::End(span), true) if walker.depth() == 1 => Some(span.range().end),
            (Token::Text(text), false) if text.bytes().all(xml::is_white) => None,
            (Token::Text(_) | Token::CData(_), false) => return Err(StreamError::BAD_FORMAT),
            (Token::End(_), false) | (_, true) => None,
        };
        if count > count_max {
            return Err(StreamError::POLICY_VIOLATION);
        }
        if let (Some(end), Some(open)) = (end, open.take_if(|_| end.is_some())) {
            open.write(&text[..end], &mut payloads);
        }
    }
    Ok(Unwrapped {
        body,
        payloads,
        count,
    })
}

/// The wrapper's own tag, where that much can be read of a request that is refused.
pub fn tag(request: &str) -> Option<Element> {
    let text = without_declaration(request).ok()?;
    begin(&mut Walker::new(text, Around::default_ns(""))).ok()
}

fn begin(walker: &mut Walker<'_>) -> Result<Element, StreamError> {
    let Some(Token::Start(start)) = walker.next()? else {
        return Err(StreamError::NOT_WELL_FORMED);
    };
    let body = Element::started(walker, start);
    if !body.is(NS, "body") {
        return Err(StreamError::INVALID_NAMESPACE);
    }
    Ok(body)
}

fn without_declaration(text: &str) -> Result<&str, StreamError> {
    let Some(rest) = text.strip_prefix("<?xml") else {
        return Ok(text);
    };
    let (_, rest) = rest.split_once("?>").ok_or(StreamError::NOT_WELL_FORMED)?;
    Ok(rest)
}

fn name_length(start: &Start<'_>) -> usize {
    let prefix = start.prefix.len();
    start.local.len() + if prefix == 0 { 0 } else { prefix + 1 }
}

/// What the wrapper declares: prefix and namespace as written.
struct Declared<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Declared<'a> {
    fn of(walker: &Walker<'a>) -> Result<Declared<'a>, StreamError> {
        let all = walker.attributes();
        let all: Vec<_> = all
            .filter_map(|it| Some((it.declares()?, it.value)))
            .collect();
        if all.len() > limits::STREAM_PREFIXES_MAX {
            return Err(StreamError::POLICY_VIOLATION);
        }
        Ok(Declared(all))
    }

    /// What of it the tag that was read last does not declare itself.
    fn missing(&self, walker: &Walker<'a>) -> Vec<(&'a str, &'a str)> {
        let is_own = |prefix| {
            walker
                .attributes()
                .any(|own| own.declares() == Some(prefix))
        };
        let missing = self.0.iter().filter(|(prefix, _)| !is_own(*prefix));
        missing.copied().collect()
    }
}

/// A payload: where it begins, where its name ends, and what it may lean on.
struct Open<'a> {
    begin: usize,
    name: usize,
    missing: Vec<(&'a str, &'a str)>,
}

impl Open<'_> {
    /// Writes what `text` ends with, with every prefix declared that occurs in it, and the default namespace,
    /// unless that is the wrapper's own: its content counts as `jabber:client` (XEP-0206 §2, note).
    fn write(&self, text: &str, out: &mut String) {
        out.push_str(&text[self.begin..self.name]);
        for (prefix, name) in &self.missing {
            let name = xml::unescape_value(name);
            if prefix.is_empty() {
                if !["", NS, ns::CLIENT].contains(&&*name) {
                    compose::attribute(out, "xmlns", &name);
                }
            } else if text[self.begin..].contains(&format!("{prefix}:")) {
                compose::attribute(out, &format!("xmlns:{prefix}"), &name);
            }
        }
        out.push_str(&text[self.name..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_whatever_comes_behind_it() {
        for (behind, sid) in [
            (" sid='a'/>", Some("a")),
            (" sid='a'><b>", Some("a")),
            (" sid='a'>text", Some("a")),
            (" sid='a'></c>", Some("a")),
            (">", None),
            (" sid='a'", None),
            (" sid='a' sid='b'>", None),
        ] {
            let tag = tag(&format!("<?xml version='1.0'?><body xmlns='{NS}'{behind}"));
            let found = tag.as_ref().and_then(|tag| tag.attr("sid"));
            assert_eq!(found, sid, "{behind}");
        }
        assert!(tag("<body sid='a'/>").is_none(), "of no namespace");
    }

    #[test]
    fn what_is_in_a_body_goes_on_a_stream() {
        for (inside, expected) in [
            ("", ""),
            ("/", ""),
            (" rid='1'>\n", ""),
            ("><presence/>", "<presence/>"),
            (
                "><message xmlns='jabber:client'><body>&lt;body></body></message> <a:b xmlns:a='c'/>",
                "<message xmlns='jabber:client'><body>&lt;body></body></message><a:b xmlns:a='c'/>",
            ),
            (
                " xmlns:s='urn:s' xmlns:t=\"urn:'t\" xmlns:u='urn:u'><s:a t:x='1'/><b><u:c/></b ><d/>",
                "<s:a xmlns:s='urn:s' xmlns:t='urn:&apos;t' t:x='1'/><b xmlns:u='urn:u'><u:c/></b ><d/>",
            ),
            (
                " xmlns:s='urn:s'><a xmlns:s='urn:t' s:b=''/>",
                "<a xmlns:s='urn:t' s:b=''/>",
            ),
        ] {
            let end = if inside.starts_with('/') {
                ">"
            } else {
                "</body>"
            };
            let begin = if inside.is_empty() { ">" } else { "" };
            let text = format!("<?xml version='1.0'?><body xmlns='{NS}'{begin}{inside}{end}");
            let found = unwrap(&text, 2 + expected.matches("<b xmlns:u").count());
            assert_eq!(found.unwrap().payloads, expected, "{text}");
        }
        let other =
            format!("<b:body xmlns:b='{NS}' xmlns='urn:x' to='&lt;' b:to='1'><y/></b:body>");
        let found = unwrap(&other, 1).unwrap();
        assert_eq!(found.payloads, "<y xmlns='urn:x'/>");
        assert_eq!((found.body.attr("to"), found.count), (Some("<"), 1));
    }

    #[test]
    fn what_is_no_body_is_refused() {
        let ns = format!("xmlns='{NS}'");
        for (text, expected) in [
            (String::new(), StreamError::NOT_WELL_FORMED),
            ("hello".into(), StreamError::NOT_WELL_FORMED),
            ("<body/>".into(), StreamError::INVALID_NAMESPACE),
            (format!("<bodies {ns}/>"), StreamError::INVALID_NAMESPACE),
            (format!("<body {ns}>"), StreamError::NOT_WELL_FORMED),
            (
                format!("<body {ns}><a></body>"),
                StreamError::NOT_WELL_FORMED,
            ),
            (
                format!("<body {ns}/><body {ns}/>"),
                StreamError::NOT_WELL_FORMED,
            ),
            (format!("<body {ns}>hello</body>"), StreamError::BAD_FORMAT),
            (
                format!("<body {ns}><![CDATA[ ]]></body>"),
                StreamError::BAD_FORMAT,
            ),
            (
                format!("<body {ns}><!-- --></body>"),
                StreamError::RESTRICTED_XML,
            ),
            (
                format!("<body {ns}><a><?b?></a></body>"),
                StreamError::RESTRICTED_XML,
            ),
            (
                format!("<!DOCTYPE body><body {ns}/>"),
                StreamError::RESTRICTED_XML,
            ),
            (
                format!("<body {ns}><a>&b;</a></body>"),
                StreamError::RESTRICTED_XML,
            ),
            (
                format!("<body {ns}><a:b/></body>"),
                StreamError::NOT_WELL_FORMED,
            ),
            (
                format!("<body {ns} a='1' a='2'/>"),
                StreamError::NOT_WELL_FORMED,
            ),
            (
                format!("<body {ns}><a/><a/><a/></body>"),
                StreamError::POLICY_VIOLATION,
            ),
        ] {
            let found = unwrap(&text, 2).map_err(|error| error.condition);
            assert_eq!(found, Err(expected.condition), "{text}");
        }
    }
}
