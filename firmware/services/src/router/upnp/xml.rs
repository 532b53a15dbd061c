//! The little that is read of a gateway's XML: which services it has, and the texts of an answer. One pass
//! over what fits into the limits; no tree, no entities but the five of XML, no documents beside it. Owns
//! nothing.

use super::super::limits::{DESCRIPTION_PARTS_MAX, TEXT_BYTES_MAX};
use quick_xml::{Reader, events::Event};

/// The first of these kinds of service that a description has, and where it is asked.
pub(super) fn service(body: &[u8], kinds: &[&'static str]) -> Option<(&'static str, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let (mut kind, mut url) = (None, None);
    each(body, &mut |name, text| match text {
        Some(text) if name == "serviceType" => {
            kind = kinds.iter().position(|kind| *kind == text);
        }
        Some(text) if name == "controlURL" => url = Some(text.to_owned()),
        // The end of a service.
        None if name == "service" => {
            if let (Some(kind), Some(url)) = (kind.take(), url.take()) {
                found.push((kind, url));
            }
            (kind, url) = (None, None);
        }
        _ => {}
    })?;
    let (kind, url) = found.into_iter().min()?;
    Some((kinds[kind], url))
}

/// Every element that has nothing but text in it, by its name without a prefix.
pub(super) fn texts(body: &[u8]) -> Option<Vec<(String, String)>> {
    let mut texts = Vec::new();
    each(body, &mut |name, text| {
        texts.extend(text.map(|text| (name.to_owned(), text.to_owned())));
    })?;
    Some(texts)
}

/// Calls for the end of every element, with its text where it has no elements in it. `None` where this is no
/// XML, or too much.
fn each(body: &[u8], end: &mut dyn FnMut(&str, Option<&str>)) -> Option<()> {
    let text = std::str::from_utf8(body).ok()?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    // What stands in the element that was opened last.
    let mut inside: Option<String> = None;
    let push = |inside: &mut Option<String>, text: &str| {
        if let Some(so_far) = inside
            .as_mut()
            .filter(|it| it.len() + text.len() <= TEXT_BYTES_MAX)
        {
            so_far.push_str(text);
        }
    };
    for _ in 0..DESCRIPTION_PARTS_MAX {
        match reader.read_event().ok()? {
            Event::Eof => return Some(()),
            Event::Start(_) => inside = Some(String::new()),
            Event::Empty(element) => {
                inside = None;
                end(element.local_name().as_ref(), Some(""));
            }
            Event::End(element) => {
                let text = inside.take();
                end(
                    element.local_name().as_ref(),
                    text.as_deref().map(str::trim),
                );
            }
            Event::Text(text) => push(&mut inside, &text),
            Event::CData(text) => push(&mut inside, &text),
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref().ok()? {
                    Some(character) => character,
                    None => match &*reference {
                        "amp" => '&',
                        "lt" => '<',
                        "gt" => '>',
                        "quot" => '"',
                        "apos" => '\'',
                        _ => return None,
                    },
                };
                push(&mut inside, character.encode_utf8(&mut [0; 4]));
            }
            Event::DocType(_) => return None,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [&str; 2] = ["urn:two", "urn:one"];

    #[test]
    fn a_description_is_read_for_the_best_service() {
        let one =
            "<service><serviceType>urn:one</serviceType><controlURL>/one</controlURL></service>";
        let two = "<service><controlURL> /t?a&amp;b</controlURL><serviceType>urn:two</serviceType></service>";
        let none =
            "<service><serviceType>urn:two</serviceType></service><controlURL>/x</controlURL>";
        for (inside, expected) in [
            (one.to_owned(), Some(("urn:one", "/one"))),
            (
                format!("{one}<device>{two}</device>"),
                Some(("urn:two", "/t?a&b")),
            ),
            (format!("{none}{one}"), Some(("urn:one", "/one"))),
            (none.to_owned(), None),
            (
                one.replace("service>", "u:service>"),
                Some(("urn:one", "/one")),
            ),
            (String::new(), None),
            (format!("<a>&b;</a>{one}"), None),
            (one.repeat(3_000), None),
        ] {
            let body = format!("<?xml version='1.0'?><root xmlns:u='u'>{inside}</root>");
            let found = service(body.as_bytes(), &KINDS);
            let found = found.as_ref().map(|(kind, url)| (*kind, &**url));
            assert_eq!(found, expected, "{inside:.200}");
        }
        let bomb = "<!DOCTYPE a [<!ENTITY b 'bb'><!ENTITY c '&b;&b;'>]><root>&c;</root>";
        assert_eq!(service(bomb.as_bytes(), &KINDS), None);
        let deep = "<a>".repeat(40_000);
        assert_eq!(service(deep.as_bytes(), &KINDS), None);
        let long = format!("<controlURL>{}</controlURL>", "x".repeat(100_000));
        assert_eq!(service(long.as_bytes(), &KINDS), None);
    }

    #[test]
    fn answers_are_texts_by_name() {
        let body = "<s:Envelope xmlns:s='e'><s:Body><u:R xmlns:u='r'><A>9.9.9.9</A><B/><C>\
                    <D>&#65;</D></C></u:R></s:Body></s:Envelope>";
        let texts = texts(body.as_bytes()).unwrap();
        let shown: Vec<String> = texts
            .iter()
            .map(|(name, it)| format!("{name}={it}"))
            .collect();
        assert_eq!(shown.join(" "), "A=9.9.9.9 B= D=A");
        for body in ["<a", "<a></b>", "<a>&nonsense;</a>", "\u{0}"] {
            let found = super::texts(body.as_bytes());
            assert!(found.is_none_or(|it| it.is_empty()), "{body}");
        }
    }
}
