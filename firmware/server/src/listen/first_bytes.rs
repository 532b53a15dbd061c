//! What a peer speaks that did not say so in its ClientHello: its first bytes tell.

use super::{
    limits::{FIRST_BYTES_MAX, METHOD_BYTES_MAX},
    tls_port::Protocol,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They are too few.
    More,
    Speaks(Protocol),
    /// Nothing that is spoken here.
    Nothing,
}

/// What a client of HTTP/2 says first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Judges what has come so far.
pub(super) fn judge(bytes: &[u8]) -> Verdict {
    let text = match without_mark(bytes) {
        Some(text) => text.trim_ascii_start(),
        None => return Verdict::More,
    };
    match text.first() {
        None if bytes.len() >= FIRST_BYTES_MAX => Verdict::Nothing,
        None => Verdict::More,
        Some(b'<') => stream(text, bytes.len() >= FIRST_BYTES_MAX),
        Some(0..=3) => stun(bytes),
        Some(b'P') if PREFACE.starts_with(bytes) && bytes.len() < PREFACE.len() => Verdict::More,
        Some(b'P') if bytes.starts_with(PREFACE) => Verdict::Speaks(Protocol::Http2),
        Some(_) => method(text),
    }
}

/// Without the byte order mark that may be there (RFC 6120 §11.6 forbids it, and some send it); `None` in the
/// middle of one.
fn without_mark(bytes: &[u8]) -> Option<&[u8]> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    match bytes.strip_prefix(MARK) {
        Some(rest) => Some(rest),
        None if !bytes.is_empty() && MARK.starts_with(bytes) => None,
        None => Some(bytes),
    }
}

/// A stream of a server, if its header says so before it ends (RFC 6120 §4.8), else of a client; whatever it
/// is, the reader of the stream has the last word.
fn stream(text: &[u8], is_enough: bool) -> Verdict {
    let Some(header) = header(text) else {
        return if is_enough {
            Verdict::Speaks(Protocol::Client)
        } else {
            Verdict::More
        };
    };
    let says = |name: &str| {
        ["'", "\""].iter().any(|quote| {
            let quoted = format!("{quote}{name}{quote}");
            find(header, quoted.as_bytes()).is_some()
        })
    };
    if says(xmpp::ns::SERVER) && !says(xmpp::ns::CLIENT) {
        Verdict::Speaks(Protocol::Server)
    } else {
        Verdict::Speaks(Protocol::Client)
    }
}

/// The first tag behind the XML declaration, if all of it is there.
fn header(text: &[u8]) -> Option<&[u8]> {
    if text.len() < 2 {
        return None;
    }
    let tag = if text.starts_with(b"<?") {
        let end = find(text, b"?>")?;
        &text[end + 2..]
    } else {
        text
    };
    let mut quote = None;
    let end = tag.iter().position(|&byte| match quote {
        Some(open) => {
            if byte == open {
                quote = None;
            }
            false
        }
        None => {
            if matches!(byte, b'\'' | b'"') {
                quote = Some(byte);
            }
            byte == b'>'
        }
    })?;
    Some(&tag[..end])
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|part| part == wanted)
}

/// RFC 8489 §5: the first two bits are zero, and the magic cookie is behind the length.
fn stun(bytes: &[u8]) -> Verdict {
    const COOKIE: &[u8] = &[0x21, 0x12, 0xa4, 0x42];
    match bytes.get(4..8) {
        None => Verdict::More,
        Some(COOKIE) => Verdict::Speaks(Protocol::Turn),
        Some(_) => Verdict::Nothing,
    }
}

/// RFC 9112 §3: a method in capital letters, and a space.
fn method(text: &[u8]) -> Verdict {
    let looked_at = &text[..text.len().min(METHOD_BYTES_MAX + 1)];
    let is_letter = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'-';
    match looked_at.iter().position(|byte| !is_letter(byte)) {
        Some(end) if end > 0 && text[end] == b' ' => Verdict::Speaks(Protocol::Http1),
        None if text.len() <= METHOD_BYTES_MAX => Verdict::More,
        Some(_) | None => Verdict::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Verdict = Verdict::Speaks(Protocol::Client);
    const SERVER: Verdict = Verdict::Speaks(Protocol::Server);
    const HTTP: Verdict = Verdict::Speaks(Protocol::Http1);
    const HTTP2: Verdict = Verdict::Speaks(Protocol::Http2);
    const STREAMS: &str = "xmlns:stream='http://etherx.jabber.org/streams'";

    /// What is said of all the bytes, and of every beginning of them: nothing else than to wait for more.
    fn check(bytes: &[u8], expected: Verdict) {
        let shown = String::from_utf8_lossy(bytes);
        for end in 0..bytes.len() {
            let verdict = judge(&bytes[..end]);
            assert!(
                verdict == Verdict::More || verdict == expected,
                "{verdict:?} after {end} of {shown}"
            );
        }
        assert_eq!(judge(bytes), expected, "{shown}");
    }

    #[test]
    fn streams() {
        // `$` stands for the namespace of streams.
        for (header, expected) in [
            ("<stream:stream xmlns='jabber:client' $>", CLIENT),
            ("<stream:stream xmlns='jabber:server' $>", SERVER),
            ("<stream:stream $ xmlns=\"jabber:server\">", SERVER),
            (
                "<?xml version='1.0'?>\n<stream:stream xmlns='jabber:server' $>",
                SERVER,
            ),
            (
                "<?xml version='1.0'?><s:stream xmlns='jabber:client' $>",
                CLIENT,
            ),
            (" \r\n\t<stream:stream xmlns='jabber:server' $>", SERVER),
            ("\u{feff}<stream:stream xmlns='jabber:server' $>", SERVER),
            ("\u{feff}<stream:stream xmlns='jabber:client' $>", CLIENT),
            ("<stream:stream to='a>b' xmlns='jabber:server' $>", SERVER),
            (
                "<stream:stream to=\"it's\" xmlns='jabber:server' $>",
                SERVER,
            ),
            (
                "<stream xmlns='jabber:client' xmlns:s='jabber:server' $>",
                CLIENT,
            ),
            // The namespace of dialback alone makes no server (XEP-0220 §2.1.1).
            (
                "<s:stream xmlns='jabber:client' xmlns:db='jabber:server:dialback' $>",
                CLIENT,
            ),
            (
                "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>",
                CLIENT,
            ),
            ("<>", CLIENT),
            ("<stream:stream><a xmlns='jabber:server'>", CLIENT),
        ] {
            check(header.replace('$', STREAMS).as_bytes(), expected);
        }
    }

    #[test]
    fn a_header_without_end_is_a_client_s() {
        let long = format!(
            "<stream:stream xmlns='jabber:server' a='{}",
            "x".repeat(FIRST_BYTES_MAX)
        );
        assert_eq!(judge(long.as_bytes()), CLIENT);
        let half = &long.as_bytes()[..FIRST_BYTES_MAX - 1];
        assert_eq!(judge(half), Verdict::More);
        let spaces = [b' '; FIRST_BYTES_MAX];
        assert_eq!(judge(&spaces), Verdict::Nothing);
        assert_eq!(judge(&spaces[1..]), Verdict::More);
    }

    #[test]
    fn everything_else() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], HTTP),
            (b"\r\nPOST /http-bind HTTP/1.1\r\n", HTTP),
            (b"VERSION-CONTROL / HTTP/1.1", HTTP),
            (b"BASELINE-CONTROLBUTLONGER /", Verdict::Nothing),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0", HTTP2),
            (b"PUT / HTTP/1.1\r\n", HTTP),
            (b"get / HTTP/1.1", Verdict::Nothing),
            (b" ", Verdict::More),
            (b"GET\t", Verdict::Nothing),
            (b"GET/", Verdict::Nothing),
            (b"{}", Verdict::Nothing),
            (b"SSH-2.0-OpenSSH\r\n", Verdict::Nothing),
            (b"\x16\x03\x01", Verdict::Nothing),
            (b"\xef\xbb\x00", Verdict::Nothing),
            (
                b"\x00\x01\x00\x00\x21\x12\xa4\x42",
                Verdict::Speaks(Protocol::Turn),
            ),
            (
                b"\x00\x03\x00\x08\x21\x12\xa4\x42",
                Verdict::Speaks(Protocol::Turn),
            ),
            (b"\x00\x01\x00\x00\x21\x12\xa4\x43", Verdict::Nothing),
        ] {
            check(bytes, expected);
        }
    }
}
