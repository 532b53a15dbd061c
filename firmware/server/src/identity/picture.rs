//! XEP-0398 §3: pictures from the card to events and back. The event with the bytes has their SHA-1 for its
//! id, in lower-case digits; another one, with metadata, says which it is.

use super::{Newer, Picture};
use crate::{account::Cx, feature::ItemChange, features::vcard::PhotoHash};
use base64::{Engine, engine::general_purpose::STANDARD};
use xmpp::{Element, compose};

pub(crate) const DATA: &str = "urn:xmpp:avatar:data";
pub(crate) const METADATA: &str = "urn:xmpp:avatar:metadata";

/// A picture that was taken from a card.
pub(super) struct Taken<'a> {
    bytes: &'a [u8],
    hash: PhotoHash,
    /// `None` where nobody can tell.
    type_: Option<String>,
}

impl<'a> Taken<'a> {
    pub(super) fn of(card: &Element, bytes: &'a [u8]) -> Taken<'a> {
        Taken {
            bytes,
            hash: PhotoHash::of(bytes),
            type_: said_type(card).or_else(|| recognised(bytes).map(str::to_owned)),
        }
    }
}

/// The media type that a card gives its picture. Old clients write `JPEG` (RFC 2426 §3.1.4), which is none.
fn said_type(card: &Element) -> Option<String> {
    let photos = card.elements().filter(|child| child.name == "PHOTO");
    let mut pictures = photos.filter(|photo| {
        let bytes = photo.child(&card.ns, "BINVAL").map(Element::text);
        bytes.is_some_and(|bytes| !bytes.trim().is_empty())
    });
    let type_ = pictures.next()?.child(&card.ns, "TYPE")?.text();
    let type_ = type_.trim().to_ascii_lowercase();
    is_image(&type_).then_some(type_)
}

/// Whether this is a media type, and of a picture: others see it (RFC 6838 §4.2).
fn is_image(type_: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
    let subtype = type_.strip_prefix("image/");
    subtype.is_some_and(|name| matches!(name.len(), 1..=127) && name.bytes().all(is_plain))
}

/// What a picture is by its first bytes: the types that XEP-0153 §4.6 names, and what phones make.
pub(super) fn recognised(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xFF, 0xD8, 0xFF, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        _ => None,
    }
}

/// Width and height in pixels, where they are easily told (XEP-0084 §4.2.1 recommends them).
fn measured(bytes: &[u8]) -> Option<(u16, u16)> {
    match recognised(bytes)? {
        // Four bytes each, of which XEP-0084 §11.2 has room for two.
        "image/png" if bytes.get(16..18)? == [0, 0] && bytes.get(20..22)? == [0, 0] => Some((
            short(bytes, 18, u16::from_be_bytes)?,
            short(bytes, 22, u16::from_be_bytes)?,
        )),
        "image/gif" => Some((
            short(bytes, 6, u16::from_le_bytes)?,
            short(bytes, 8, u16::from_le_bytes)?,
        )),
        "image/jpeg" => {
            let frame = frame_of_jpeg(bytes)?;
            Some((
                short(frame, 3, u16::from_be_bytes)?,
                short(frame, 1, u16::from_be_bytes)?,
            ))
        }
        _ => None,
    }
}

/// What is in the first frame header of a JPEG (ITU T.81 §B.2.2), from the sample precision on.
fn frame_of_jpeg(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.get(2..)?;
    loop {
        let (&[mark, segment, high, low], content) = rest.split_first_chunk()?;
        match (mark, segment) {
            (0xFF, 0xC4 | 0xC8 | 0xCC | 0xD0..=0xFE | 0x01) => {}
            (0xFF, 0xC0..=0xCF) => return Some(content),
            _ => return None,
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        rest = rest.get(2 + length.max(2)..)?;
    }
}

/// The two bytes at a place.
fn short(bytes: &[u8], at: usize, read: fn([u8; 2]) -> u16) -> Option<u16> {
    Some(read(*bytes.get(at..)?.first_chunk()?))
}

/// §3.2: first the bytes, then the metadata. What is there from `before` is not published again.
pub(super) fn publish(cx: &mut Cx<'_>, taken: &Taken<'_>, before: Option<PhotoHash>) {
    let id = taken.hash.to_string();
    let is_the_same = before == Some(taken.hash);
    if is_the_same && has_item(cx, DATA, &id) && is_newest(cx, METADATA, &id) {
        return;
    }
    let said = metadata(taken).is_some_and(|metadata| {
        let bytes = STANDARD.encode(taken.bytes);
        cx.say(DATA, &id, format!("<data xmlns='{DATA}'>{bytes}</data>"))
            && cx.say(METADATA, &id, metadata)
    });
    if !said {
        cx.say_nothing(METADATA, &nothing());
    }
}

/// The card has no picture any more.
pub(super) fn take_back(cx: &mut Cx<'_>, before: PhotoHash) {
    cx.say_nothing(METADATA, &nothing());
    // It may never have been there.
    let _ = cx.retract(DATA, &before.to_string());
}

/// XEP-0084 §3.5.
fn nothing() -> String {
    format!("<metadata xmlns='{METADATA}'/>")
}

/// XEP-0084 §4.2.1.
fn metadata(taken: &Taken<'_>) -> Option<String> {
    let mut info = format!("<metadata xmlns='{METADATA}'><info");
    compose::attribute(&mut info, "bytes", &taken.bytes.len().to_string());
    compose::attribute(&mut info, "id", &taken.hash.to_string());
    compose::attribute(&mut info, "type", taken.type_.as_deref()?);
    if let Some((width, height)) = measured(taken.bytes) {
        compose::attribute(&mut info, "width", &width.to_string());
        compose::attribute(&mut info, "height", &height.to_string());
    }
    Some(info + "/></metadata>")
}

/// A client said which picture it is, or that there is none (§3.1).
pub(crate) fn metadata_changed(cx: &mut Cx<'_>, change: &ItemChange<'_>) {
    let is_current = |hash: PhotoHash| change.id == hash.to_string();
    let picture = match change.payload {
        Some(payload) => described(cx, payload),
        // An older item went.
        None if cx.node(METADATA).is_ok_and(|node| node.last().is_some())
            && !cx.picture().is_some_and(is_current) =>
        {
            return;
        }
        None => Picture::Gone,
    };
    put(cx, picture);
}

/// A client changed the bytes. Where new ones took the place of others, the metadata that says so is on its
/// way (XEP-0084 §3.2); until then events have nothing to show.
pub(crate) fn data_changed(cx: &mut Cx<'_>, change: &ItemChange<'_>) {
    match (change.payload, cx.state.memory.newer.picture) {
        (Some(_), Picture::Awaited(hash)) if change.id == hash.to_string() => {
            put(cx, Picture::OfEvents(hash));
        }
        (None, Picture::OfEvents(hash)) if !has_item(cx, DATA, &hash.to_string()) => {
            put(cx, Picture::Awaited(hash));
        }
        _ => {}
    }
}

fn put(cx: &mut Cx<'_>, picture: Picture) {
    let (newer, of_card) = (cx.state.memory.newer, cx.state.memory.photo.hash());
    let picture = match picture {
        // The card has it, too.
        Picture::OfEvents(hash) | Picture::Awaited(hash) if of_card == Some(hash) => {
            Picture::OfCard
        }
        // There never was one.
        Picture::Gone if of_card.is_none() && newer.picture == Picture::OfCard => Picture::OfCard,
        picture => picture,
    };
    cx.put_newer(Newer { picture, ..newer }, cx.picture());
}

/// The picture that metadata is about: the first of those that are said to be among the events.
fn described(cx: &Cx<'_>, payload: &str) -> Picture {
    let metadata = Element::parse(payload, "").unwrap_or_default();
    let hashes = || pictures(&metadata).filter_map(|(id, _)| PhotoHash::parse(id));
    let mut here = hashes().filter(|hash| has_item(cx, DATA, &hash.to_string()));
    match (here.next(), hashes().next()) {
        (Some(hash), _) => Picture::OfEvents(hash),
        (None, Some(hash)) => Picture::Awaited(hash),
        (None, None) => Picture::Gone,
    }
}

/// Ids and types of the pictures that metadata says are among the events.
fn pictures(metadata: &Element) -> impl Iterator<Item = (&str, &str)> {
    let infos = metadata.elements().filter(|info| info.is(METADATA, "info"));
    let here = infos.filter(|info| info.attr("url").is_none());
    here.filter_map(|info| Some((info.attr("id")?, info.attr("type")?.trim())))
        .filter(|(_, type_)| is_image(type_))
}

/// The `<PHOTO/>` of a picture from its event; `None` where the bytes are not those of this hash (§3.1).
pub(super) fn photo(data: &str, metadata: Option<&str>, hash: PhotoHash) -> Option<String> {
    let text = Element::parse(data, "").ok()?.text();
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let bytes = crate::features::vcard::BASE64.decode(digits).ok()?;
    if PhotoHash::of(&bytes) != hash {
        return None;
    }
    let id = hash.to_string();
    let metadata = metadata.and_then(|metadata| Element::parse(metadata, "").ok());
    let said = metadata.as_ref().and_then(|metadata| {
        let mut pictures = pictures(metadata);
        pictures.find(|(known, _)| *known == id)
    });
    let type_ = said.map(|(_, type_)| type_).or_else(|| recognised(&bytes));
    let mut photo = String::from("<PHOTO>");
    if let Some(type_) = type_ {
        photo.push_str(&format!("<TYPE>{}</TYPE>", compose::escaped(type_)));
    }
    let bytes = STANDARD.encode(bytes);
    Some(photo + &format!("<BINVAL>{bytes}</BINVAL></PHOTO>"))
}

fn has_item(cx: &Cx<'_>, node: &str, id: &str) -> bool {
    let nodes = &cx.state.memory.nodes;
    nodes
        .get(node)
        .is_some_and(|node| nodes.find(node, id).is_some())
}

fn is_newest(cx: &Cx<'_>, node: &str, id: &str) -> bool {
    let nodes = &cx.state.memory.nodes;
    let node = nodes.get(node);
    node.is_some_and(|node| {
        nodes
            .find(node, id)
            .is_some_and(|at| at + 1 == node.items.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_say_what_they_are() {
        const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\x00\0\0\0\x40";
        const JPEG: &[u8] =
            b"\xFF\xD8\xFF\xE0\x00\x04JF\xFF\xC4\x00\x03h\xFF\xC2\x00\x11\x08\x00\x40\x01\x00\x03";
        type Row = (&'static [u8], Option<&'static str>, Option<(u16, u16)>);
        let rows: [Row; 9] = [
            (PNG, Some("image/png"), Some((256, 64))),
            (&PNG[..20], Some("image/png"), None),
            (JPEG, Some("image/jpeg"), Some((256, 64))),
            (&JPEG[..19], Some("image/jpeg"), None),
            (
                b"\xFF\xD8\xFF\xE0\x00\x00\xFF\xE0\x00\x00",
                Some("image/jpeg"),
                None,
            ),
            (
                b"GIF89a\x00\x01\x40\x00",
                Some("image/gif"),
                Some((256, 64)),
            ),
            (b"RIFF\x01\0\0\0WEBPVP8 ", Some("image/webp"), None),
            (b"<svg/>", None, None),
            (b"", None, None),
        ];
        for (bytes, type_, size) in rows {
            assert_eq!(recognised(bytes), type_);
            assert_eq!(measured(bytes), size, "{type_:?}");
        }
    }

    #[test]
    fn what_a_card_says_of_its_type_is_believed_where_it_is_one() {
        for (photos, expected) in [
            (
                "<PHOTO><TYPE>image/PNG</TYPE><BINVAL>YWJj</BINVAL></PHOTO>",
                Some("image/png"),
            ),
            (
                "<PHOTO><TYPE>image/x-y+z </TYPE><BINVAL>YWJj</BINVAL></PHOTO>",
                Some("image/x-y+z"),
            ),
            (
                "<PHOTO><TYPE>JPEG</TYPE><BINVAL>YWJj</BINVAL></PHOTO>",
                None,
            ),
            (
                "<PHOTO><TYPE>image/'x'</TYPE><BINVAL>YWJj</BINVAL></PHOTO>",
                None,
            ),
            (
                "<PHOTO><TYPE>image/</TYPE><BINVAL>YWJj</BINVAL></PHOTO>",
                None,
            ),
            ("<PHOTO><BINVAL>YWJj</BINVAL></PHOTO>", None),
            // That of the picture that counts.
            (
                "<PHOTO><TYPE>image/gif</TYPE><BINVAL/></PHOTO>\
                 <PHOTO><TYPE>image/png</TYPE><BINVAL>YWJj</BINVAL></PHOTO>",
                Some("image/png"),
            ),
        ] {
            let card = format!("<vCard xmlns='vcard-temp'>{photos}</vCard>");
            let card = Element::parse(&card, "").unwrap();
            assert_eq!(said_type(&card).as_deref(), expected, "{photos}");
        }
    }

    #[test]
    fn only_the_bytes_of_a_hash_become_a_photo() {
        let hash = PhotoHash::of(b"abc");
        let id = hash.to_string();
        let metadata = format!(
            "<metadata xmlns='{METADATA}'><info id='{id}' type='image/gif' url='u'/>\
             <info id='{id}' type='image/png'/></metadata>"
        );
        let data = |content: &str| format!("<data xmlns='{DATA}'>{content}</data>");
        let png = "<PHOTO><TYPE>image/png</TYPE><BINVAL>YWJj</BINVAL></PHOTO>";
        let bare = "<PHOTO><BINVAL>YWJj</BINVAL></PHOTO>";
        for (content, metadata, expected) in [
            (" YW\nJj ", Some(&*metadata), Some(png)),
            ("YWJj", None, Some(bare)),
            ("YWJj", Some("<metadata/>"), Some(bare)),
            ("YWJk", Some(&*metadata), None),
            ("%", Some(&*metadata), None),
            ("", Some(&*metadata), None),
        ] {
            let photo = photo(&data(content), metadata, hash);
            assert_eq!(photo.as_deref(), expected, "{content}");
        }
    }
}
