//! Messages that were whole once, with a few bytes of somebody else's choice: nothing panics, and the other
//! library reads the same of them or refuses them, too.
//!
//! `PROPTEST_CASES=1000000 cargo test -p services mutated` looks for longer than a build does.

use super::*;
use proptest::{collection::vec, option, prelude::*, sample::Index};
use stun_types::{attribute::AttributeType, message::ShortTermCredentials};

/// What everybody here signs with: a key that is text, too, since the other library makes another one of a
/// password for each hash.
const SECRET: &str = "sixteen letters!";

/// What is written before anybody meddles with it.
#[derive(Clone, Debug)]
struct Whole {
    kind: u16,
    transaction: Transaction,
    attributes: Vec<(u16, Vec<u8>)>,
    signs: (bool, bool),
    has_fingerprint: bool,
}

/// What somebody does to it.
#[derive(Clone, Debug)]
enum Meddling {
    Flip(Index, u8),
    Set(Index, u8),
    /// A length or number of an attribute is this.
    Word(Index, u16),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Repeat(Index, Index),
    /// The header says how long it is.
    Measure,
    /// It has a right checksum at its end.
    Sum,
}

fn whole() -> impl Strategy<Value = Whole> {
    let kinds = prop_oneof![
        Just(0x0001u16),
        Just(0x0003),
        Just(0x0004),
        Just(0x0008),
        Just(0x0009),
        Just(0x0016),
        Just(0x0017),
        Just(0x0101),
        Just(0x0113),
        0u16..0x4000
    ];
    let attributes = prop_oneof![
        4 => (0x0006u16..0x0026, vec(any::<u8>(), 0..24)),
        2 => (prop_oneof![Just(0x0012u16), Just(0x0016), Just(0x0020)], addresses()),
        1 => (any::<u16>(), vec(any::<u8>(), 0..24)),
    ];
    let parts = (
        kinds,
        any::<Transaction>(),
        vec(attributes, 0..6),
        any::<(bool, bool)>(),
        any::<bool>(),
    );
    parts.prop_map(
        |(kind, transaction, attributes, signs, has_fingerprint)| Whole {
            kind,
            transaction,
            attributes,
            signs,
            has_fingerprint,
        },
    )
}

fn addresses() -> impl Strategy<Value = Vec<u8>> {
    let family = (any::<u8>(), 0u8..4);
    let rest = prop_oneof![
        vec(any::<u8>(), 6),
        vec(any::<u8>(), 18),
        vec(any::<u8>(), 0..24)
    ];
    (family, rest).prop_map(|((zero, family), rest)| [&[zero, family], &rest[..]].concat())
}

fn meddling() -> impl Strategy<Value = Meddling> {
    prop_oneof![
        (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Meddling::Flip(at, bit)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, to)| Meddling::Set(at, to)),
        (any::<Index>(), 0u16..64).prop_map(|(at, to)| Meddling::Word(at, to)),
        any::<Index>().prop_map(Meddling::Cut),
        (any::<Index>(), vec(any::<u8>(), 1..9)).prop_map(|(at, what)| Meddling::Insert(at, what)),
        any::<(Index, Index)>().prop_map(|(from, to)| Meddling::Repeat(from, to)),
        Just(Meddling::Measure),
        Just(Meddling::Sum),
    ]
}

fn key() -> Key {
    Key(SECRET.as_bytes().try_into().expect("it has sixteen"))
}

fn write(whole: &Whole) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::begin(&mut out, Class::Request, Method::Binding, whole.transaction);
    writer.out[..2].copy_from_slice(&whole.kind.to_be_bytes());
    for (kind, value) in &whole.attributes {
        writer.put(*kind, value);
    }
    if whole.signs.0 {
        writer.sign(&key());
    }
    if whole.signs.1 {
        writer.sign_sha256(&key());
    }
    if whole.has_fingerprint {
        writer.put_fingerprint();
    }
    out
}

fn measure(bytes: &mut [u8]) {
    let length = bytes.len().saturating_sub(HEADER) as u16;
    if let Some(place) = bytes.get_mut(2..4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

fn meddle(bytes: &mut Vec<u8>, how: Meddling) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match how {
        Meddling::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
        Meddling::Set(at, to) => bytes[at.index(length)] = to,
        Meddling::Word(at, to) => {
            let at = at.index(length) & !1;
            for (place, byte) in bytes[at..].iter_mut().zip(to.to_be_bytes()) {
                *place = byte;
            }
        }
        Meddling::Cut(at) => bytes.truncate(at.index(length)),
        Meddling::Insert(at, what) => {
            let at = at.index(length);
            bytes.splice(at..at, what);
        }
        Meddling::Repeat(from, to) => {
            let (from, to) = (from.index(length), to.index(length));
            let part = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.extend_from_slice(&part);
        }
        Meddling::Measure => measure(bytes),
        Meddling::Sum => {
            bytes.extend_from_slice(&[0x80, 0x28, 0, 4, 0, 0, 0, 0]);
            measure(bytes);
            let sum = length;
            let right = fingerprint(&bytes[..sum]).to_be_bytes();
            bytes[sum + 4..].copy_from_slice(&right);
        }
    }
}

/// Where we refuse what the other library lets pass: what is not as long as it says or ends within an
/// attribute, something behind the checksum, an HMAC of a wrong length, and what is wrong behind an HMAC,
/// where it does not look.
fn is_read_more_strictly(bytes: &[u8]) -> bool {
    let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
    if length + HEADER != bytes.len() || !length.is_multiple_of(4) {
        return true;
    }
    let (mut at, mut is_signed) = (HEADER, false);
    while at < bytes.len() {
        let Some((kind, value, next)) = attribute_at(bytes, at) else {
            return true;
        };
        match (kind, value.len()) {
            (attribute::FINGERPRINT, _) => return next != bytes.len() || is_signed,
            (attribute::MESSAGE_INTEGRITY, MAC) => is_signed = true,
            (attribute::MESSAGE_INTEGRITY_SHA256, MAC_SHA256) => is_signed = true,
            (attribute::MESSAGE_INTEGRITY | attribute::MESSAGE_INTEGRITY_SHA256, _) => return true,
            _ => {}
        }
        at = next;
    }
    false
}

fn same(bytes: &[u8]) -> Result<(), TestCaseError> {
    let _ = channel_data(bytes);
    let _ = frame_length(bytes);
    let theirs = Other::from_bytes(bytes);
    let Some(ours) = Message::read(bytes) else {
        prop_assert!(
            theirs.is_err() || is_read_more_strictly(bytes),
            "{bytes:02x?}"
        );
        return Ok(());
    };
    prop_assert!(theirs.is_ok(), "{bytes:02x?}");
    let theirs = theirs.expect("it was looked at");
    prop_assert_eq!(ours.method.number(), theirs.method().value());
    let transaction: u128 = theirs.transaction_id().into();
    prop_assert_eq!(&ours.transaction[..], &transaction.to_be_bytes()[4..]);
    prop_assert_eq!(frame_length(bytes), Ok(Some(bytes.len())));
    let mut others = theirs.iter_attributes();
    for (kind, value) in ours.attributes() {
        if kind == attribute::FINGERPRINT {
            break;
        }
        let other = others.next().map(|(_, other)| other);
        prop_assert!(
            other
                .is_some_and(|it| it.get_type() == AttributeType::new(kind) && *it.value == *value),
            "{kind:#06x} of {bytes:02x?}"
        );
        if kind == attribute::XOR_PEER_ADDRESS {
            let theirs = theirs.attribute::<XorPeerAddress>().ok();
            let first = ours.attribute(kind).and_then(|value| ours.address(value));
            let theirs = theirs.map(|it| it.addr((transaction).into()));
            prop_assert_eq!(first, theirs, "{:02x?}", bytes);
        }
    }
    if is_signed_as_usual(bytes) {
        let credentials = ShortTermCredentials::new(SECRET.into()).into();
        let is_signed = theirs.validate_integrity(&credentials).is_ok();
        prop_assert_eq!(ours.is_signed_with(&key()), is_signed, "{:02x?}", bytes);
    }
    Ok(())
}

/// Nothing stands between the HMACs: the other library would not see the second one, which counts (RFC 8489
/// §14.5).
fn is_signed_as_usual(bytes: &[u8]) -> bool {
    let all = std::iter::successors(attribute_at(bytes, HEADER), |(_, _, at)| {
        attribute_at(bytes, *at)
    });
    let kinds: Vec<u16> = all.map(|(kind, _, _)| kind).collect();
    let at = |wanted| kinds.iter().position(|kind| *kind == wanted);
    match (
        at(attribute::MESSAGE_INTEGRITY),
        at(attribute::MESSAGE_INTEGRITY_SHA256),
    ) {
        (Some(first), Some(second)) => second == first + 1 || second < first,
        _ => true,
    }
}

proptest! {
    #[test]
    fn what_was_whole_once(
        whole in whole(),
        how in vec(meddling(), 0..4),
        measures in option::weighted(0.7, Just(Meddling::Measure)),
    ) {
        let mut bytes = write(&whole);
        for one in how.into_iter().chain(measures) {
            meddle(&mut bytes, one);
        }
        same(&bytes)?;
    }

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..80)) {
        same(&bytes)?;
    }
}
