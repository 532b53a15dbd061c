//! The words of restricted XML (RFC 6120 §11.1 over XML 1.0, fifth edition): what a piece of markup is, which
//! characters, names and references are legal, and what the references stand for.

use crate::StreamError;
use memchr::memchr;
use std::borrow::Cow;

/// What stands at a `<`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Markup {
    StartTag,
    EndTag,
    CData,
    /// `<?xml`, legal only at the start of a stream.
    Declaration,
}

const CDATA: &[u8] = b"<![CDATA[";
const DECLARATION: &[u8] = b"<?xml";

/// What begins at `bytes`, which begin with `<`; `None` until more of it is known.
pub(crate) fn markup(bytes: &[u8]) -> Result<Option<Markup>, StreamError> {
    match (bytes.get(1), bytes.get(2)) {
        (Some(b'/'), _) => Ok(Some(Markup::EndTag)),
        (Some(b'!'), Some(b'-')) => match bytes.get(3) {
            Some(b'-') => Err(StreamError::RESTRICTED_XML), // a comment
            Some(_) => Err(StreamError::NOT_WELL_FORMED),
            None => Ok(None),
        },
        // A document type declaration, or a declaration as its subsets hold them.
        (Some(b'!'), Some(letter)) if letter.is_ascii_alphabetic() => {
            Err(StreamError::RESTRICTED_XML)
        }
        (Some(b'!'), _) => whole(bytes, CDATA, Markup::CData),
        (Some(b'?'), _) => instruction(bytes),
        (Some(_), _) => Ok(Some(Markup::StartTag)),
        (None, _) => Ok(None),
    }
}

fn whole(bytes: &[u8], expected: &[u8], markup: Markup) -> Result<Option<Markup>, StreamError> {
    if bytes.starts_with(expected) {
        Ok(Some(markup))
    } else if expected.starts_with(bytes) {
        Ok(None)
    } else {
        Err(StreamError::NOT_WELL_FORMED)
    }
}

/// A processing instruction is restricted; the declaration's target is reserved and so is no instruction (XML
/// §2.6).
fn instruction(bytes: &[u8]) -> Result<Option<Markup>, StreamError> {
    match bytes.get(DECLARATION.len()) {
        _ if !bytes.starts_with(DECLARATION) && !DECLARATION.starts_with(bytes) => {
            Err(StreamError::RESTRICTED_XML)
        }
        None => Ok(None),
        Some(byte) if is_white(*byte) => Ok(Some(Markup::Declaration)),
        Some(b'?') => Err(StreamError::NOT_WELL_FORMED), // a declaration without its version
        Some(_) => Err(StreamError::RESTRICTED_XML),
    }
}

/// `S` of XML §2.3.
pub(crate) fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// How many bytes of white space `bytes` begin with.
pub(crate) fn white(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|byte| !is_white(*byte))
        .unwrap_or(bytes.len())
}

/// Checks text between tags: legal characters, references we serve, no `]]>` (XML §2.4).
pub(crate) fn check_text(text: &str) -> Result<(), StreamError> {
    check(text, |rest| !rest.starts_with("]]>"))
}

/// Checks an attribute's value: the same, but no `<` (XML §2.3, AttValue).
pub(crate) fn check_value(value: &str) -> Result<(), StreamError> {
    check(value, |rest| !rest.starts_with('<'))
}

/// Checks the inside of a CDATA section: legal characters (XML §2.7).
pub(crate) fn check_cdata(text: &str) -> Result<(), StreamError> {
    if plain(text.as_bytes()) || text.chars().all(is_char) {
        Ok(())
    } else {
        Err(StreamError::NOT_WELL_FORMED)
    }
}

fn check(text: &str, is_allowed: impl Fn(&str) -> bool) -> Result<(), StreamError> {
    if plain(text.as_bytes()) {
        return Ok(());
    }
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        at += match byte {
            b'&' => reference(&text[at..])?.1,
            b'<' | b']' if !is_allowed(&text[at..]) => return Err(StreamError::NOT_WELL_FORMED),
            b'\t' | b'\n' | b'\r' => 1,
            0..b' ' => return Err(StreamError::NOT_WELL_FORMED),
            // U+FFFE and U+FFFF; surrogates are no UTF-8 to begin with.
            0xEF if matches!(text.as_bytes()[at..], [_, 0xBF, 0xBE | 0xBF, ..]) => {
                return Err(StreamError::NOT_WELL_FORMED);
            }
            _ => 1,
        };
    }
    Ok(())
}

/// Whether nothing in there needs a second look. Written so that it compiles to vector instructions.
fn plain(bytes: &[u8]) -> bool {
    let doubtful =
        |byte: u8| byte < b' ' || byte == b'&' || byte == b'<' || byte == b']' || byte == 0xEF;
    bytes.chunks(32).all(|chunk| {
        !chunk
            .iter()
            .fold(false, |found, byte| found | doubtful(*byte))
    })
}

/// The character that the reference at the start of `text` stands for, and the reference's length.
pub(crate) fn reference(text: &str) -> Result<(char, usize), StreamError> {
    let end = memchr(b';', text.as_bytes()).ok_or(StreamError::NOT_WELL_FORMED)?;
    let name = &text[1..end];
    let character = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => match name.strip_prefix('#') {
            Some(number) => numbered(number).ok_or(StreamError::NOT_WELL_FORMED)?,
            // RFC 6120 §11.1: an entity other than the five.
            None if is_name(name) => return Err(StreamError::RESTRICTED_XML),
            None => return Err(StreamError::NOT_WELL_FORMED),
        },
    };
    Ok((character, end + 1))
}

/// `65` or `x41`; only of characters that may stand in XML (XML §4.1, "Legal Character").
fn numbered(number: &str) -> Option<char> {
    let (digits, radix) = number
        .strip_prefix('x')
        .map_or((number, 10), |digits| (digits, 16));
    // The standard library's parser would take a sign as well.
    let well_formed = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    let code = u32::from_str_radix(digits, radix)
        .ok()
        .filter(|_| well_formed)?;
    char::from_u32(code).filter(|character| is_char(*character))
}

/// `Char` of XML §2.2.
pub(crate) fn is_char(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// `Name` of XML §2.3.
fn is_name(name: &str) -> bool {
    name.split(':')
        .all(|part| part.is_empty() || part.chars().all(is_name_char))
        && name
            .chars()
            .next()
            .is_some_and(|first| first == ':' || is_name_start(first))
}

/// Prefix (or nothing) and local part, where `name` is a `QName` of Namespaces in XML §4.
pub(crate) fn split_name(name: &str) -> Option<(&str, &str)> {
    let (prefix, local) = match memchr(b':', name.as_bytes()) {
        Some(colon) => (Some(&name[..colon]), &name[colon + 1..]),
        None => (None, name),
    };
    let well_formed = is_ncname(local) && prefix.is_none_or(is_ncname);
    well_formed.then_some((prefix.unwrap_or_default(), local))
}

fn is_ncname(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    name.chars().next().is_some_and(is_name_start)
        && (name.bytes().all(is_plain) || name.chars().all(is_name_char))
}

/// `NameStartChar` of XML §2.3, without the colon.
fn is_name_start(character: char) -> bool {
    matches!(character,
        'A'..='Z' | 'a'..='z' | '_' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}'
        | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

/// `NameChar` of XML §2.3, without the colon.
fn is_name_char(character: char) -> bool {
    is_name_start(character)
        || matches!(character,
            '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// What checked text between tags says: references resolved, line ends as `\n` (XML §2.11).
pub(crate) fn unescape_text(text: &str) -> Cow<'_, str> {
    unescape(text, |byte| matches!(byte, b'&' | b'\r'), '\n')
}

/// What a checked attribute value says: references resolved, white space as spaces (XML §3.3.3).
pub(crate) fn unescape_value(value: &str) -> Cow<'_, str> {
    unescape(
        value,
        |byte| matches!(byte, b'&' | b'\r' | b'\n' | b'\t'),
        ' ',
    )
}

fn unescape(raw: &str, is_special: impl Fn(u8) -> bool, white: char) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = raw;
    while let Some(at) = rest.bytes().position(&is_special) {
        out.reserve(rest.len());
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (character, length) = match rest.as_bytes() {
            // What was checked resolves; anything else stays as it is.
            [b'&', ..] => reference(rest).unwrap_or(('&', 1)),
            [b'\r', b'\n', ..] => (white, 2),
            _ => (white, 1),
        };
        out.push(character);
        rest = &rest[length..];
    }
    if out.is_empty() && rest.len() == raw.len() {
        return Cow::Borrowed(raw);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// What a checked CDATA section says: as it is, with line ends as `\n`.
pub(crate) fn unescape_line_ends(text: &str) -> Cow<'_, str> {
    unescape(text, |byte| byte == b'\r', '\n')
}
