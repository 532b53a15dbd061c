//! Streams and stanzas from the outside: what RFC 6120 lets through, what each refusal is called, and what
//! goes on.

mod header;
mod limits;
mod mutation;
mod oracle;
mod passing;
mod refusals;
mod stream;

use std::fmt::Write;
use xmpp::{
    StreamError, ns,
    stream::{Event, Reader},
};

const HEADER: &str = "<stream:stream to='home.example' version='1.0' xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams'>";

/// What a stream amounts to when it comes in these pieces, an event a line.
fn read<'a>(content: &'static str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut reader = Reader::new(content, 1_000);
    let mut lines = Vec::new();
    for piece in pieces {
        reader.push(piece);
        loop {
            match reader.next() {
                Ok(Some(event)) => lines.push(describe(&event)),
                Ok(None) => break,
                Err(error) => lines.push(refusal(error)),
            }
        }
    }
    lines
}

fn describe(event: &Event) -> String {
    match event {
        Event::Opened(header) => {
            format!("opened to {:?}", header.to.as_deref().unwrap_or("nobody"))
        }
        Event::Stanza(stanza) => {
            let mut line = format!("{} {}", stanza.kind.name(), stanza.type_());
            for child in stanza.children() {
                let _ = write!(line, " {}|{}={:?}", child.ns(), child.name(), child.text());
            }
            line
        }
        Event::Nonza(element) => {
            let mut xml = String::new();
            element.write(&mut xml, "");
            format!("nonza {xml}")
        }
        Event::Closed => "closed".into(),
    }
}

fn refusal(error: StreamError) -> String {
    match error.text {
        "" => error.condition.into(),
        text => format!("{}: {text}", error.condition),
    }
}

/// The last event of a client's stream that comes at once.
fn outcome(bytes: impl AsRef<[u8]>) -> String {
    read(ns::CLIENT, [bytes.as_ref()])
        .pop()
        .unwrap_or_else(|| "nothing".into())
}

/// The last event after a good header and then these bytes.
fn after_header(bytes: impl AsRef<[u8]>) -> String {
    outcome([HEADER.as_bytes(), bytes.as_ref()].concat())
}

/// All of these, behind a good header, have that outcome.
fn check(expected: &str, rows: &[&str]) {
    for xml in rows {
        assert_eq!(after_header(xml), expected, "{xml:?}");
    }
}
