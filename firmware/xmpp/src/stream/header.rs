//! The start of a stream: XML declaration and stream header (RFC 6120 §4.2, §4.7, §4.8, §11.5).

use super::{Header, Scope};
use crate::{
    StreamError, limits, ns,
    xml::{self, Around, Attribute, Ns, Token, Walker, is_content},
};
use quick_xml::events::attributes::Attributes;

const TOO_MANY_PREFIXES: StreamError =
    StreamError::POLICY_VIOLATION.with_text("the stream header declares too many prefixes");

/// Reads a header, and what it means for the stanzas that follow. Errors as far as they can be told without
/// knowing hosts: the caller judges `to`, `from` and `version`.
pub(super) fn read(text: &str, content: &'static str) -> Result<(Header, Scope), StreamError> {
    let mut walker = Walker::new(text, Around::default_ns(""));
    let Some(Token::Start(start)) = walker.next()? else {
        return Err(StreamError::NOT_WELL_FORMED);
    };
    // §4.8.1, and §4.9.3.2 about prefixes.
    if walker.name(start.ns) != ns::STREAMS {
        return Err(StreamError::INVALID_NAMESPACE);
    }
    if start.local != "stream" {
        return Err(StreamError::BAD_FORMAT);
    }
    // §4.8.5 allows to insist on this one, because others cause trouble further on.
    if !matches!(start.prefix, "" | "stream") {
        return Err(StreamError::BAD_NAMESPACE_PREFIX);
    }
    let mut header = Header::default();
    let root = if start.prefix.is_empty() {
        "stream"
    } else {
        "stream:stream"
    };
    let mut scope = Scope {
        content,
        default: Ns::None,
        root: root.into(),
        ..Scope::default()
    };
    for attribute in walker.attributes() {
        match attribute.declares() {
            Some("") => scope.default = default_ns(attribute.value, content)?,
            Some("xml") => {}
            Some(prefix) => scope.prefixes.push((prefix.into(), attribute.value.into())),
            None => note(&mut header, attribute),
        }
    }
    if scope.prefixes.len() > limits::STREAM_PREFIXES_MAX {
        return Err(TOO_MANY_PREFIXES);
    }
    // Kept as long as the stream.
    scope.prefixes.shrink_to_fit();
    header.declares_content = scope.default == Ns::Content;
    scope.lang = header.lang.clone().filter(|lang| is_lang(lang));
    Ok((header, scope))
}

/// §4.8.2: the default namespace is that of the content, or that of the stream, or there is none.
fn default_ns(name: &str, content: &str) -> Result<Ns, StreamError> {
    match name {
        "" => Ok(Ns::None),
        ns::STREAMS => Ok(Ns::Around),
        _ if name == content && is_content(name) => Ok(Ns::Content),
        _ => Err(StreamError::INVALID_NAMESPACE),
    }
}

fn note(header: &mut Header, attribute: &Attribute<'_>) {
    let value = || Some(xml::unescape_value(attribute.value).into_owned());
    match (attribute.prefix, attribute.local) {
        ("", "to") => header.to = value(),
        ("", "from") => header.from = value(),
        ("", "id") => header.id = value(),
        ("", "version") => header.version = version(attribute.value),
        ("xml", "lang") => header.lang = value(),
        _ => {}
    }
}

/// §4.7.5: two integers; leading zeros are ignored.
fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    let number = |digits: &str| {
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    Some((number(major)?, number(minor)?))
}

/// Whether it has the characters and length of a language tag (§4.7.4), so that it may be stamped on stanzas.
fn is_lang(lang: &str) -> bool {
    (1..=limits::LANG_BYTES_MAX).contains(&lang.len())
        && lang.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Judges `<?xml …?>` (XML §2.8, RFC 6120 §11.5, §11.6): version 1.x, no encoding but UTF-8. A standalone
/// declaration is ignored, as §11.5 allows.
pub(super) fn check_declaration(text: &str) -> Result<(), StreamError> {
    let inside = text
        .strip_prefix("<?xml")
        .and_then(|rest| rest.strip_suffix("?>"));
    let inside = inside.ok_or(StreamError::NOT_WELL_FORMED)?;
    let mut expected = ["version", "encoding", "standalone"].iter();
    let (mut count, mut end) = (0, 0);
    for attribute in Attributes::new(inside, 0).with_checks(false) {
        let attribute = attribute.map_err(|_| StreamError::NOT_WELL_FORMED)?;
        let (name, value) = (attribute.key.0, attribute.value.as_ref());
        let is_separate = inside
            .as_bytes()
            .get(end)
            .is_some_and(|byte| xml::is_white(*byte));
        end = xml::Span::of(value, inside).end as usize + 1;
        let is_version = value
            .strip_prefix("1.")
            .is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit()));
        let is_in_order = (count > 0 || name == "version") && expected.any(|known| *known == name);
        match name {
            _ if !is_separate || !is_in_order => return Err(StreamError::NOT_WELL_FORMED),
            "version" if is_version => {}
            "encoding" if value.eq_ignore_ascii_case("utf-8") => {}
            "encoding" => return Err(StreamError::UNSUPPORTED_ENCODING),
            "standalone" if matches!(value, "yes" | "no") => {}
            _ => return Err(StreamError::NOT_WELL_FORMED),
        }
        count += 1;
    }
    if count == 0 {
        Err(StreamError::NOT_WELL_FORMED)
    } else {
        Ok(())
    }
}
