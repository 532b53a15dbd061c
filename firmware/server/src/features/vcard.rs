//! XEP-0054: vcard-temp. What people say of themselves: a name, a birthday, a picture. Anybody may read it.
//!
//! A card is read from the disk when somebody asks; of the picture its hash is at hand, for presence
//! (XEP-0153) that tells of it. What newer clients publish of the same person is in `crate::identity`.
//!
//! State: tables `vcard.card` and `vcard.photo`; the latter also in memory while the account is loaded.

use crate::{
    account::Cx,
    feature::{Answer, Feature, Iq, IqHandler, IqHook, On, Plan, Spec, refuse, set},
    identity,
    limits::{ROOM_PICTURES_MAX, VCARD_BYTES_MAX},
};
use aws_lc_rs::digest;
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::{Deserialize, Serialize};
use store::{Record, Snapshot, Table};
use xmpp::{Element, StanzaError};

pub(crate) const NS: &str = "vcard-temp";

/// By account.
pub(crate) const CARD: Table<u32, Card> = Table::per_account("vcard.card", 1);
/// By account: apart, because it is read with the account and the card is not.
pub(crate) const PHOTO: Table<u32, PhotoHash> = Table::per_account("vcard.photo", 1);

/// Pictures are base 64 with whatever white space and padding a client gave them.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

const TOO_LARGE: StanzaError = StanzaError::POLICY_VIOLATION
    .with_text("this is too much for a vCard: a smaller picture may do");
const NO_PICTURE: StanzaError =
    StanzaError::BAD_REQUEST.with_text("what is said to be a picture is none");

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(54, "1.3.0", "vcard-temp"),
    disco: &[(On::Server, NS), (On::OwnAccount, NS)],
    iq: &[
        get_card(On::OwnAccount, own),
        get_card(On::OtherAccount, of_another),
        set(On::OwnAccount, (NS, "vCard"), publish),
        // §3.2; an account that nobody has looks the same.
        refuse(On::OtherAccount, "set", (NS, "vCard"), |_, _| {
            Err(StanzaError::FORBIDDEN)
        }),
        refuse(On::NoAccount, "set", (NS, "vCard"), |_, _| {
            Err(StanzaError::FORBIDDEN)
        }),
    ],
    ..Feature::NONE
};

const fn get_card(on: On, ask: fn(&mut Cx<'_>, &Iq<'_>) -> Result<Plan, StanzaError>) -> IqHandler {
    IqHandler {
        on,
        type_: "get",
        payload: (NS, "vCard"),
        hook: IqHook::Reads(ask),
    }
}

/// A stored card: an element that stands by itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Card {
    xml: String,
}

impl Record for Card {}

/// SHA-1 of a picture, as XEP-0153 §3.1 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PhotoHash([u8; 20]);

impl Record for PhotoHash {}

impl PhotoHash {
    pub(crate) fn of(picture: &[u8]) -> PhotoHash {
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, picture);
        let mut bytes = [0; 20];
        bytes.copy_from_slice(hash.as_ref());
        PhotoHash(bytes)
    }

    /// As it is written; `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<PhotoHash> {
        let mut bytes = [0; 20];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).ok()?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(PhotoHash(bytes)).filter(|hash| hash.to_string() == text)
    }
}

/// Lower-case hexadecimal digits (§3.1, note).
impl std::fmt::Display for PhotoHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What is in memory of an account's card: the hash of its picture, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Photo(Option<Box<PhotoHash>>);

impl Photo {
    pub(super) fn load(snapshot: &Snapshot, account: u32) -> Result<Photo, store::Error> {
        Ok(Photo(PHOTO.get(snapshot, &account)?.map(Box::new)))
    }

    /// What presence tells of (XEP-0153); `None` where there is no picture.
    pub(crate) fn hash(&self) -> Option<PhotoHash> {
        self.0.as_deref().copied()
    }
}

/// The card of an account as XML, as it was stored.
///
/// # Errors
/// The disk's.
pub(crate) fn card(snapshot: &Snapshot, account: u32) -> Result<Option<String>, store::Error> {
    Ok(CARD.get(snapshot, &account)?.map(|card| card.xml))
}

/// Replaces the card of this account; an empty element takes it away.
///
/// # Errors
/// `policy-violation` above [`VCARD_BYTES_MAX`]; `bad-request` where a picture is no base 64, or no picture.
pub(crate) fn put(cx: &mut Cx<'_>, card: &Element, xml: String) -> Result<(), StanzaError> {
    if xml.len() > VCARD_BYTES_MAX {
        return Err(TOO_LARGE);
    }
    let picture = picture(card)?;
    let photo = picture.as_deref().map(PhotoHash::of);
    let (account, before) = (cx.id(), cx.picture());
    cx.write(if is_empty(card) {
        CARD.remove(&account)
    } else {
        CARD.put(&account, &Card { xml })
    });
    if photo != cx.state.memory.photo.hash() {
        cx.write(match &photo {
            Some(photo) => PHOTO.put(&account, photo),
            None => PHOTO.remove(&account),
        });
        cx.state.memory.photo = Photo(photo.map(Box::new));
    }
    identity::card_stored(cx, card, picture.as_deref(), before);
    Ok(())
}

/// The same for a room (XEP-0486), which publishes nothing else of it. Gives the hashes of its pictures.
///
/// # Errors
/// As of [`put`]; `policy-violation` also above [`ROOM_PICTURES_MAX`].
pub(crate) fn put_for_room(
    cx: &mut Cx<'_>,
    card: &Element,
    xml: String,
) -> Result<Vec<PhotoHash>, StanzaError> {
    let pictures = pictures(card)?;
    if xml.len() > VCARD_BYTES_MAX || pictures.len() > ROOM_PICTURES_MAX {
        return Err(TOO_LARGE);
    }
    let room = cx.id();
    cx.write(if is_empty(card) {
        CARD.remove(&room)
    } else {
        CARD.put(&room, &Card { xml })
    });
    let hashes = pictures.iter().map(|picture| PhotoHash::of(picture));
    Ok(hashes.collect())
}

/// The bytes of a card's picture: of the first that has any.
///
/// # Errors
/// `bad-request` where one is no base 64, or is said to be something else than a picture.
pub(crate) fn picture(card: &Element) -> Result<Option<Vec<u8>>, StanzaError> {
    Ok(pictures(card)?.into_iter().next())
}

fn pictures(card: &Element) -> Result<Vec<Vec<u8>>, StanzaError> {
    let mut pictures = Vec::new();
    for photo in card.elements().filter(|child| child.is(NS, "PHOTO")) {
        // XEP-0153 §4.5 wants a media type. Old clients write `JPEG`, as RFC 2426 §3.1.4 did; what matters
        // is that nobody is shown a page for a picture.
        let type_ = photo.child(NS, "TYPE").map(Element::text);
        let type_ = type_.unwrap_or_default().trim().to_ascii_lowercase();
        if type_.contains('/') && !type_.starts_with("image/") {
            return Err(NO_PICTURE);
        }
        let Some(text) = photo.child(NS, "BINVAL").map(Element::text) else {
            continue;
        };
        let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        let picture = BASE64.decode(digits).map_err(|_| NO_PICTURE)?;
        if !picture.is_empty() {
            pictures.push(picture);
        }
    }
    Ok(pictures)
}

fn is_empty(card: &Element) -> bool {
    card.elements().next().is_none() && card.text().trim().is_empty()
}

/// §3.1.
fn own(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Result<Plan, StanzaError> {
    let none = StanzaError::ITEM_NOT_FOUND;
    Ok(identity::plan(cx, &iq.passing.from, none))
}

/// §3.3: to strangers no card and no account are the same.
fn of_another(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Result<Plan, StanzaError> {
    let none = StanzaError::SERVICE_UNAVAILABLE;
    Ok(identity::plan(cx, &iq.passing.from, none))
}

/// §3.2: there are no changes of a part.
fn publish(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let xml = iq.payload.to_xml().into_owned();
    put(cx, &iq.payload.element(), xml)?;
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    fn pictured(content: &str) -> String {
        let card = Element::parse(&format!("<vCard xmlns='{NS}'>{content}</vCard>"), "").unwrap();
        match picture(&card) {
            Ok(None) => "none".into(),
            Ok(Some(picture)) => PhotoHash::of(&picture).to_string(),
            Err(error) => error.condition.into(),
        }
    }

    #[test]
    fn pictures_are_read_as_clients_write_them() {
        const ABC: &str = "a9993e364706816aba3e25717850c26c9cd0d89d"; // FIPS 180, SHA-1 of `abc`
        let rows = [
            ("", "none"),
            ("<FN>A</FN>", "none"),
            ("<PHOTO/>", "none"),
            ("<PHOTO><BINVAL/></PHOTO>", "none"),
            ("<PHOTO><EXTVAL>http://a</EXTVAL></PHOTO>", "none"),
            (
                "<PHOTO><TYPE>image/png</TYPE><BINVAL>YWJj</BINVAL></PHOTO>",
                ABC,
            ),
            ("<PHOTO><TYPE>JPEG</TYPE><BINVAL>YWJj</BINVAL></PHOTO>", ABC),
            ("<PHOTO><BINVAL>\n  YW\n  Jj\n</BINVAL></PHOTO>", ABC),
            ("<PHOTO/><PHOTO><BINVAL>YWJj</BINVAL></PHOTO>", ABC),
            (
                "<PHOTO><BINVAL>YQ</BINVAL></PHOTO>",
                "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8",
            ),
            (
                "<PHOTO><BINVAL>YQ==</BINVAL></PHOTO>",
                "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8",
            ),
            ("<PHOTO><BINVAL>%</BINVAL></PHOTO>", "bad-request"),
            (
                "<PHOTO><TYPE>text/html</TYPE><BINVAL>YWJj</BINVAL></PHOTO>",
                "bad-request",
            ),
            ("<PHOTO xmlns='other'><BINVAL>%</BINVAL></PHOTO>", "none"),
        ];
        for (content, expected) in rows {
            assert_eq!(pictured(content), expected, "{content}");
        }
    }

    #[test]
    fn the_hash_of_the_picture_is_at_hand_and_comes_back_with_the_account() {
        let fixture = Fixture::new(&["juliet"]);
        let juliet = fixture.online("juliet", "balcony");
        let hash = |expected: &str| {
            fixture.write();
            let snapshot = fixture.server.store().snapshot().unwrap();
            let id = juliet.account.id;
            let stored = Photo::load(&snapshot, id).unwrap().hash();
            let known = juliet.account.lock().memory.photo.hash();
            assert_eq!(stored, known);
            let shown = known.map_or_else(String::new, |hash| hash.to_string());
            assert_eq!(shown, expected);
        };
        let publish = |photo: &str| {
            let card = format!("<vCard xmlns='{NS}'><FN>J</FN>{photo}</vCard>");
            fixture.send(&juliet, &format!("<iq type='set' id='v'>{card}</iq>"));
        };
        hash("");
        publish("<PHOTO><BINVAL>YWJj</BINVAL></PHOTO>");
        hash("a9993e364706816aba3e25717850c26c9cd0d89d");
        publish("<PHOTO><BINVAL>%</BINVAL></PHOTO>");
        hash("a9993e364706816aba3e25717850c26c9cd0d89d");
        publish("");
        hash("");
    }
}
