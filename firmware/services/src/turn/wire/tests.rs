//! The vectors of RFC 5769, and what a second reader says to the same bytes.

mod mutated;

use super::*;
use stun_types::prelude::*;
use stun_types::{
    attribute::{Nonce, Realm, Username, XorMappedAddress},
    message::{
        IntegrityAlgorithm, LongTermCredentials, Message as Other, MessageIntegrityCredentials,
    },
};
use turn_types::attribute::{Data, XorPeerAddress};

/// Of RFC 5769 §2.1 to §2.4: spaces do not count.
const REQUEST: &str = "\
    00010058 2112a442 b7e7a701 bc34d686 fa87dfae 80220010 \
    5354554e 20746573 7420636c 69656e74 00240004 6e0001ff \
    80290008 932ff9b1 51263b36 00060009 6576746a 3a683676 \
    59202020 00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 \
    c1b571a2 80280004 e57a3bcf";
const IPV4_RESPONSE: &str = "\
    0101003c 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b \
    74657374 20766563 746f7220 00200008 0001a147 e112a643 \
    00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7 \
    80280004 c07d4c96";
const IPV6_RESPONSE: &str = "\
    01010048 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b \
    74657374 20766563 746f7220 00200014 0002a147 0113a9fa \
    a5d3f179 bc25f4b5 bed2b9d9 00080014 a382954e 4be67bf1 \
    1784c97c 8292c275 bfe3ed41 80280004 c8fb0b4c";
const LONG_TERM: &str = "\
    00010060 2112a442 78ad3433 c6ad72c0 29da412e 00060012 \
    e3839ee3 8388e383 aae38383 e382afe3 82b90000 0015001c \
    662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 \
    36347341 0014000b 6578616d 706c652e 6f726700 00080014 \
    f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666";
const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

fn text<'a>(message: &Message<'a>, kind: u16) -> &'a str {
    std::str::from_utf8(message.attribute(kind).unwrap()).unwrap()
}

impl<'a> Writer<'a> {
    /// Goes on with a message.
    pub(crate) fn go_on(out: &'a mut Vec<u8>) -> Writer<'a> {
        let transaction = Message::read(out).unwrap().transaction;
        Writer { out, transaction }
    }

    /// As clients may do it (RFC 8489 §14.6).
    pub(crate) fn sign_sha256(&mut self, key: &Key) -> &mut Self {
        let length = self.out.len() + 4 + MAC_SHA256 - HEADER;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key.0);
        let mac = super::sign(&key, self.out, length as u16);
        self.put(attribute::MESSAGE_INTEGRITY_SHA256, mac.as_ref())
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter(|it| !it.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn sample_request() {
    let bytes = bytes(REQUEST);
    let message = Message::read(&bytes).unwrap();
    assert_eq!(
        (message.class, message.method),
        (Class::Request, Method::Binding)
    );
    assert_eq!(text(&message, attribute::USERNAME), "evtj:h6vY");
    assert!(message.has_fingerprint && message.has_mac_of(PASSWORD));
    assert!(!message.has_mac_of(b"VOkJxbRl1RmTxUk/WvJxBT"));
}

#[test]
fn sample_responses() {
    for (response, address) in [
        (IPV4_RESPONSE, "192.0.2.1:32853"),
        (
            IPV6_RESPONSE,
            "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
        ),
    ] {
        let bytes = bytes(response);
        let message = Message::read(&bytes).unwrap();
        assert_eq!(
            (message.class, message.method),
            (Class::Success, Method::Binding)
        );
        let value = message.attribute(attribute::XOR_MAPPED_ADDRESS).unwrap();
        let address: SocketAddr = address.parse().unwrap();
        assert_eq!(message.address(value), Some(address));
        assert!(message.has_fingerprint && message.has_mac_of(PASSWORD));
        // Written by us it is the same, byte by byte.
        let mut out = Vec::new();
        let mut writer = Writer::begin(
            &mut out,
            Class::Success,
            Method::Binding,
            message.transaction,
        );
        writer
            .put(0x8022, b"test vector")
            .put_address(attribute::XOR_MAPPED_ADDRESS, address);
        // The vectors pad with spaces.
        let end = writer.out.len();
        assert_eq!(writer.out[HEADER + 4 + 11], 0);
        writer.out[HEADER + 4 + 11] = b' ';
        assert_eq!(end, message.integrity.unwrap());
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, PASSWORD);
        let mac = super::sign(&key, writer.out, (end + 24 - HEADER) as u16);
        writer
            .put(attribute::MESSAGE_INTEGRITY, mac.as_ref())
            .put_fingerprint();
        assert_eq!(out, bytes);
    }
}

#[test]
fn sample_request_with_long_term_authentication() {
    let bytes = bytes(LONG_TERM);
    let message = Message::read(&bytes).unwrap();
    let username = "\u{30de}\u{30c8}\u{30ea}\u{30c3}\u{30af}\u{30b9}";
    assert_eq!(text(&message, attribute::USERNAME), username);
    assert_eq!(text(&message, attribute::REALM), "example.org");
    assert_eq!(
        text(&message, attribute::NONCE),
        "f//499k954d6OL34oL9FSTvy64sA"
    );
    assert!(message.is_signed_with(&Key::new(username, "example.org", "TheMatrIX")));
    assert!(!message.is_signed_with(&Key::new(username, "example.org", "TheMatrix")));
    assert!(!message.has_fingerprint);
}

#[test]
fn one_wrong_bit_is_noticed() {
    let whole = bytes(REQUEST);
    for at in 0..8 * whole.len() {
        let mut wrong = whole.clone();
        wrong[at / 8] ^= 1 << (at % 8);
        let is_right = Message::read(&wrong).is_some_and(|it| it.has_fingerprint);
        assert!(!is_right, "bit {at}");
    }
    let long = bytes(LONG_TERM);
    let key = Key::new(
        "\u{30de}\u{30c8}\u{30ea}\u{30c3}\u{30af}\u{30b9}",
        "example.org",
        "TheMatrIX",
    );
    for at in 0..8 * long.len() {
        let mut wrong = long.clone();
        wrong[at / 8] ^= 1 << (at % 8);
        let is_right = Message::read(&wrong).is_some_and(|it| it.is_signed_with(&key));
        assert!(!is_right, "bit {at}");
    }
}

#[test]
fn what_is_no_message() {
    let whole = bytes(REQUEST);
    for end in 0..whole.len() {
        assert!(Message::read(&whole[..end]).is_none(), "{end}");
    }
    let header = "00010000 2112a442 000000000000000000000000";
    for (hex, expected) in [
        (header.to_owned(), true),
        (format!("{header} 00"), false),
        (header.replace("2112a442", "2112a443"), false),
        (header.replace("0001", "4001"), false),
        (header.replace("00010000", "00010001") + "00", false),
        // An attribute that goes on where the message ends.
        (header.replace("00010000", "00010004") + "00060001", false),
        (
            header.replace("00010000", "00010008") + "0006000100000000",
            true,
        ),
        (
            header.replace("00010000", "00010008") + "0006000500000000",
            false,
        ),
        // An HMAC of the wrong length.
        (
            header.replace("00010000", "00010008") + "0008000400000000",
            false,
        ),
    ] {
        assert_eq!(Message::read(&bytes(&hex)).is_some(), expected, "{hex}");
    }
}

#[test]
fn channels_and_frames() {
    assert_eq!(
        channel_data(&[0x40, 1, 0, 2, 7, 8]),
        Some((0x4001, &[7, 8][..]))
    );
    assert_eq!(
        channel_data(&[0x40, 1, 0, 2, 7, 8, 0, 0]),
        Some((0x4001, &[7, 8][..]))
    );
    assert_eq!(channel_data(&[0x40, 1, 0, 0]), Some((0x4001, &[][..])));
    assert_eq!(channel_data(&[0x40, 1, 0, 3, 7, 8]), None);
    assert_eq!(channel_data(&[0x40, 1, 0]), None);
    let mut out = vec![9; 9];
    write_channel_data(&mut out, 0x4002, &[1, 2, 3, 4, 5], false);
    assert_eq!(out, [0x40, 2, 0, 5, 1, 2, 3, 4, 5]);
    write_channel_data(&mut out, 0x4002, &[1, 2, 3, 4, 5], true);
    assert_eq!(out, [0x40, 2, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0]);
    for (begin, expected) in [
        (&[][..], Ok(None)),
        (&[0, 1, 0], Ok(None)),
        (&[0, 1, 0, 0, 0x21, 0x12, 0xa4], Ok(None)),
        (&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], Ok(Some(20))),
        (&[0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42, 7], Ok(Some(28))),
        (&[0, 1, 0, 7, 0x21, 0x12, 0xa4, 0x42], Err(())),
        (&[0x40, 0, 0, 0], Ok(Some(4))),
        (&[0x7f, 0, 0, 5], Ok(Some(12))),
        (&[0x80, 0, 0, 0], Err(())),
        (b"\r\n\r\n\0\r\nQUIT", Err(())),
        (&[0x16, 3, 1, 0, 1, 0, 1, 0], Err(())),
    ] {
        assert_eq!(frame_length(begin), expected, "{begin:?}");
    }
}

/// What the other library reads where we write.
#[test]
fn others_read_what_we_write() {
    let peer = "[2001:db8::7]:9".parse().unwrap();
    let mapped = "192.0.2.1:80".parse().unwrap();
    let key = Key::new("1:juliet", "home.example", "secret");
    let mut out = Vec::new();
    Writer::begin(&mut out, Class::Request, Method::Send, [7; 12])
        .put(attribute::USERNAME, b"1:juliet")
        .put(attribute::REALM, b"home.example")
        .put(attribute::NONCE, b"nonce")
        .put_address(attribute::XOR_PEER_ADDRESS, peer)
        .put_address(attribute::XOR_MAPPED_ADDRESS, mapped)
        .put(attribute::DATA, b"hello")
        .sign(&key)
        .put_fingerprint();
    let other = Other::from_bytes(&out).unwrap();
    assert_eq!(other.method().value(), 6);
    assert_eq!(
        other.attribute::<Username>().unwrap().username(),
        "1:juliet"
    );
    assert_eq!(other.attribute::<Realm>().unwrap().realm(), "home.example");
    assert_eq!(other.attribute::<Nonce>().unwrap().nonce(), "nonce");
    assert_eq!(other.attribute::<Data>().unwrap().data(), b"hello");
    let transaction = other.transaction_id();
    assert_eq!(
        other
            .attribute::<XorPeerAddress>()
            .unwrap()
            .addr(transaction),
        peer
    );
    assert_eq!(
        other
            .attribute::<XorMappedAddress>()
            .unwrap()
            .addr(transaction),
        mapped
    );
    let credentials = LongTermCredentials::new("1:juliet".into(), "secret".into());
    let credentials = MessageIntegrityCredentials::from(credentials.to_key("home.example".into()));
    assert_eq!(
        other.validate_integrity(&credentials).unwrap(),
        IntegrityAlgorithm::Sha1
    );
}

#[test]
fn the_hmac_of_sha_256() {
    let key = Key::new("1:juliet", "home.example", "secret");
    let whole = |signs_twice: bool| {
        let mut out = Vec::new();
        let mut writer = Writer::begin(&mut out, Class::Request, Method::Refresh, [7; 12]);
        writer.put(attribute::USERNAME, b"1:juliet");
        if signs_twice {
            writer.sign(&key);
        }
        writer.sign_sha256(&key);
        // Neither counts: they are behind it.
        writer.put(attribute::LIFETIME, &[0; 4]);
        writer.put(attribute::MESSAGE_INTEGRITY, b"short");
        writer.put_fingerprint();
        out
    };
    for bytes in [whole(false), whole(true)] {
        let message = Message::read(&bytes).unwrap();
        assert!(message.has_integrity() && message.is_signed_with(&key));
        assert!(!message.is_signed_with(&Key::new("1:juliet", "home.example", "guess")));
        let kinds: Vec<u16> = message.attributes().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [attribute::USERNAME]);
        let mut wrong = bytes.clone();
        wrong[HEADER + 4] ^= 1;
        assert!(Message::read(&wrong).is_none_or(|it| !it.is_signed_with(&key)));
    }
}
