//! Frames in whatever pieces, and what is wrong with them.

use super::*;

/// What a decoder finds, written down; all at once and in pieces of every size it must be the same.
fn found(bytes: &[u8], max: usize) -> Vec<String> {
    let whole = found_in_pieces(bytes, bytes.len().max(1), max);
    for size in 1..bytes.len() {
        assert_eq!(
            found_in_pieces(bytes, size, max),
            whole,
            "{size} of {bytes:x?}"
        );
    }
    whole
}

fn found_in_pieces(bytes: &[u8], size: usize, max: usize) -> Vec<String> {
    let mut decoder = Decoder::default();
    let mut found = Vec::new();
    for piece in bytes.chunks(size) {
        let mut piece = piece.to_vec();
        let mut rest = Unread::new(&mut piece);
        loop {
            match decoder.next(&mut rest, max) {
                Ok(Some(Message::Text(text))) => found.push(format!("text {text}")),
                Ok(Some(Message::Ping(payload))) => {
                    found.push(format!("ping {}", String::from_utf8_lossy(&payload)));
                }
                Ok(Some(message)) => found.push(format!("{message:?}")),
                Ok(None) => break,
                Err(fault) => {
                    found.push(format!("{fault:?}"));
                    return found;
                }
            }
        }
    }
    if decoder.head_bytes > 0 || decoder.frame.is_some() || decoder.is_open {
        found.push("…".into());
    }
    found
}

/// A frame as a client sends it, with these first bits.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = Vec::new();
    write(0, payload, &mut bytes);
    bytes[0] = first;
    bytes[1] |= MASKED;
    let at = bytes.len() - payload.len();
    unmask(&mut bytes[at..], mask);
    bytes.splice(at..at, mask);
    bytes
}

#[test]
fn the_examples_of_the_rfc() {
    // §5.7, as far as a client may send them.
    let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(frame(0x81, b"Hello"), masked);
    assert_eq!(found(masked, 5), ["text Hello"]);
    let pong = b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(found(pong, 0), ["Pong"]);
    assert_eq!(
        found(b"\x81\x05Hello", 5),
        ["Protocol"],
        "what a client sends is masked"
    );
    // And as a server does.
    let mut out = Vec::new();
    write_text("Hello", &mut out);
    write_pong(b"Hello", &mut out);
    write_ping(&mut out);
    write_close(None, &mut out);
    write_close(Some(1002), &mut out);
    assert_eq!(
        out,
        b"\x81\x05Hello\x8a\x05Hello\x89\x00\x88\x00\x88\x02\x03\xea"
    );
    for (length, head) in [
        (125, &b"\x81\x7d"[..]),
        (126, b"\x81\x7e\x00\x7e"),
        (256, b"\x81\x7e\x01\x00"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\0\0\0\0\0\x01\0\0"),
    ] {
        let mut out = Vec::new();
        write_text(&"x".repeat(length), &mut out);
        assert_eq!(out.strip_suffix(&vec![b'x'; length][..]), Some(head));
    }
    assert_eq!(
        accept(b"dGhlIHNhbXBsZSBub25jZQ=="),
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "§1.3"
    );
}

#[test]
fn messages_come_in_fragments_with_control_frames_between() {
    let bytes = [
        frame(0x01, "H\u{e4}".as_bytes().get(..2).unwrap()), // ends within a character
        frame(0x89, b"there?"),
        frame(0x00, b"\xa4l"),
        frame(0x00, b""),
        frame(0x8A, b""),
        frame(0x80, b"lo"),
        frame(0x81, b""),
        frame(0x89, b""),
        frame(0x88, b"\x03\xe8bye"),
    ]
    .concat();
    assert_eq!(
        found(&bytes, 6),
        [
            "ping there?",
            "Pong",
            "text H\u{e4}llo",
            "text ",
            "ping ",
            "Close(Some(1000))"
        ]
    );
    assert_eq!(found(&bytes[..bytes.len() - 1], 6).last().unwrap(), "…");
}

#[test]
fn what_is_wrong_is_told() {
    let many = [frame(0x01, b"123"), frame(0x00, b"456"), frame(0x80, b"7")].concat();
    let again = [frame(0x01, b"1"), frame(0x81, b"2")].concat();
    let also_binary = [frame(0x01, b"1"), frame(0x82, b"2")].concat();
    let rows: &[(&str, Vec<u8>, &str)] = &[
        ("too large", frame(0x81, b"1234567"), "TooLarge"),
        ("in fragments", many, "TooLarge"),
        ("announced", b"\x81\xfe\x00\x7e1234".to_vec(), "TooLarge"),
        (
            "and huge",
            b"\x81\xff\x7f\0\0\0\0\0\0\x011234".to_vec(),
            "TooLarge",
        ),
        ("bytes", frame(0x82, b"1"), "Binary"),
        ("bytes in fragments", frame(0x02, b"1"), "Binary"),
        ("bytes within text", also_binary, "Protocol"),
        ("no UTF-8", frame(0x81, b"\xc3"), "NotText"),
        ("a surrogate", frame(0x81, b"\xed\xa0\x80"), "NotText"),
        ("the first reserved bit", frame(0xC1, b"1"), "Protocol"),
        ("the second", frame(0xA1, b"1"), "Protocol"),
        ("the third", frame(0x91, b"1"), "Protocol"),
        ("a reserved opcode", frame(0x83, b"1"), "Protocol"),
        ("one for control", frame(0x8B, b"1"), "Protocol"),
        ("the end of nothing", frame(0x80, b"1"), "Protocol"),
        ("a message within another", again, "Protocol"),
        ("a ping in fragments", frame(0x09, b"1"), "Protocol"),
        ("a long ping", frame(0x89, &[b'x'; 126]), "Protocol"),
        (
            "a length too long",
            b"\x81\xfe\x00\x051234".to_vec(),
            "Protocol",
        ),
        (
            "and longer",
            b"\x81\xff\0\0\0\0\0\0\0\x051234".to_vec(),
            "Protocol",
        ),
        (
            "of 64 bits",
            b"\x81\xff\x80\0\0\0\0\0\0\x001234".to_vec(),
            "Protocol",
        ),
        ("half a code", frame(0x88, b"\x03"), "Protocol"),
        (
            "a reason that is no text",
            frame(0x88, b"\x03\xe8\xff"),
            "NotText",
        ),
    ];
    for (what, bytes, expected) in rows {
        assert_eq!(found(bytes, 6), [*expected], "{what}");
    }
}

#[test]
fn a_goodbye_has_a_code_that_may_be_sent() {
    assert_eq!(found(&frame(0x88, b""), 0), ["Close(None)"]);
    for (codes, is_allowed) in [
        (0..=999, false),
        (1000..=1003, true),
        (1004..=1006, false),
        (1007..=1014, true),
        (1015..=2999, false),
        (3000..=4999, true),
        (5000..=u16::MAX, false),
    ] {
        for code in [*codes.start(), *codes.end()] {
            let found = found(&frame(0x88, &code.to_be_bytes()), 0);
            let expected = if is_allowed {
                format!("Close(Some({code}))")
            } else {
                "Protocol".into()
            };
            assert_eq!(found, [expected], "{code}");
        }
    }
}

#[test]
fn what_was_too_large_may_be_tried_again() {
    let mut bytes = [frame(0x81, b"ab"), frame(0x81, b"abcd"), frame(0x81, b"c")].concat();
    let mut rest = Unread::new(&mut bytes);
    let mut decoder = Decoder::default();
    let text = |text: &'static str| Ok(Some(Message::Text(text.into())));
    assert_eq!(decoder.next(&mut rest, 3), text("ab"));
    assert_eq!(decoder.next(&mut rest, 3), Err(Fault::TooLarge));
    assert_eq!(decoder.next(&mut rest, 3), Err(Fault::TooLarge));
    assert_eq!(decoder.next(&mut rest, 4), text("abcd"));
    assert_eq!(decoder.next(&mut rest, 4), text("c"));
    assert_eq!(decoder.next(&mut rest, 4), Ok(None));
}

#[test]
fn nothing_is_held_between_two_messages() {
    let large = frame(0x81, "x".repeat(100_000).as_bytes());
    let mut decoder = Decoder::default();
    for piece in large.chunks(16_384) {
        let mut piece = piece.to_vec();
        let _ = decoder.next(&mut Unread::new(&mut piece), 100_000).unwrap();
    }
    assert_eq!(
        (decoder.message.capacity(), decoder.control.capacity()),
        (0, 0)
    );
}
