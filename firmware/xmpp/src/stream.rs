//! Bytes to stream events (RFC 6120 §4, §11): framing over arbitrary chunk boundaries, restricted XML,
//! limits.
//!
//! Three steps that know nothing of each other: [`framer`] finds where an element ends, the strict walk in
//! `xml` judges it, and `stanza` or `element` keeps it. A transport that frames by itself (RFC 7395) enters
//! at the second.

pub(crate) mod framer;
mod header;

use crate::{
    Element, Stanza, StreamError, limits, ns,
    xml::{self, Around, Ns},
};
use bytes::Bytes;
use framer::{Frame, Framer};
use std::{fmt, sync::Arc};

/// What a peer's bytes amount to.
#[derive(Debug)]
pub enum Event {
    /// `<stream:stream …>`, with whatever it declares.
    Opened(Header),
    /// A message, presence or iq in the stream's content namespace.
    Stanza(Stanza),
    /// Any other element at stream level (`<auth/>`, `<starttls/>`, `<r/>`).
    Nonza(Element),
    /// `</stream:stream>`.
    Closed,
}

/// A stream header (RFC 6120 §4.7). Texts are unescaped, not yet judged.
#[derive(Clone, Debug, Default)]
pub struct Header {
    pub to: Option<String>,
    pub from: Option<String>,
    pub id: Option<String>,
    /// Major and minor; `None` where absent or no number (§4.7.5).
    pub version: Option<(u32, u32)>,
    pub lang: Option<String>,
    /// Whether it declares the content namespace as the default one. The other style, where every element
    /// says its own namespace, is as good (§4.8.2); a header for another content namespace is refused.
    pub declares_content: bool,
}

/// Prefixes, content namespace and language that a stream header declares; shared by the stanzas of the
/// stream.
#[derive(Debug, Default)]
pub struct Scope {
    /// (prefix, namespace), in the order of declaration.
    pub prefixes: Vec<(String, String)>,
    /// The content namespace as declared.
    pub content: &'static str,
    /// `xml:lang` of the header; stamped on stanzas that carry none (§4.7.4, §8.1.5).
    pub lang: Option<String>,
    /// The header's default namespace: content, none, or ([`Ns::Around`]) that of the stream.
    default: Ns,
    /// The header's name as written, which the end tag repeats.
    root: String,
}

impl Scope {
    /// What surrounds stanzas of our own.
    pub(crate) fn own() -> Arc<Scope> {
        static OWN: std::sync::LazyLock<Arc<Scope>> = std::sync::LazyLock::new(|| {
            Arc::new(Scope {
                content: ns::CLIENT,
                ..Scope::default()
            })
        });
        OWN.clone()
    }

    pub(crate) fn around(&self) -> Around<'_> {
        Around {
            default: self.default,
            named: ns::STREAMS,
            prefixes: &self.prefixes,
            is_content: true,
        }
    }
}

/// A stream as it arrives. Idle, it holds no bytes beyond an unfinished element.
pub struct Reader {
    scope: Arc<Scope>,
    framer: Framer,
    /// What was pushed and is not an event yet, behind `taken`.
    buffer: Vec<u8>,
    taken: usize,
    element_bytes_max: usize,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// The header was an empty-element tag: the end of the stream is still to be told.
    Closing,
    /// Closed or refused: what follows is of no interest.
    Over,
}

impl Reader {
    /// A reader that expects a stream header whose content namespace is `content` (one of `ns::CLIENT`,
    /// `ns::SERVER`, `ns::COMPONENT`) and refuses elements above `element_bytes_max` with `policy-violation`.
    pub fn new(content: &'static str, element_bytes_max: usize) -> Reader {
        Reader {
            scope: Arc::new(Scope {
                content,
                ..Scope::default()
            }),
            framer: Framer::new(),
            buffer: Vec::new(),
            taken: 0,
            element_bytes_max,
            phase: Phase::Open,
        }
    }

    /// Takes bytes off the wire, in whatever pieces.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.phase != Phase::Over {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next event in what was pushed, or `None` until more comes. White space between elements is no
    /// event. After an error, and behind the end of the stream, the reader yields nothing more.
    #[expect(
        clippy::should_implement_trait,
        reason = "`?` on a result of an option is what callers want"
    )]
    pub fn next(&mut self) -> Result<Option<Event>, StreamError> {
        let event = self.step();
        match event {
            Err(_) | Ok(Some(Event::Closed)) => {
                self.phase = Phase::Over;
                self.clear();
            }
            Ok(None) => self.release(),
            Ok(Some(_)) => {}
        }
        event
    }

    /// From here the peer sends a new stream header (after SASL; RFC 6120 §6.4.6). Bytes already pushed
    /// count.
    pub fn restart(&mut self) {
        self.framer = Framer::restarted();
        self.scope = Arc::new(Scope {
            content: self.scope.content,
            ..Scope::default()
        });
        self.phase = Phase::Open;
    }

    /// Forgets bytes that came in before TLS was up (RFC 6120 §5.4.3.3: nothing of them may be kept).
    pub fn clear(&mut self) {
        self.buffer = Vec::new();
        self.taken = 0;
        self.framer.forget();
    }

    /// Changes the limit on one element: it is small before authentication and larger behind it.
    pub fn allow(&mut self, element_bytes_max: usize) {
        self.element_bytes_max = element_bytes_max;
    }

    /// Bytes held: the unfinished element.
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.taken
    }

    fn step(&mut self) -> Result<Option<Event>, StreamError> {
        match self.phase {
            Phase::Open => {}
            Phase::Closing => return Ok(Some(Event::Closed)),
            Phase::Over => return Ok(None),
        }
        loop {
            if self.framer.is_between() && self.skip_white() {
                self.framer.skipped_white();
            }
            let rest = &self.buffer[self.taken..];
            if rest.is_empty() {
                return Ok(None);
            }
            let Some(frame) = self.framer.next(rest, self.element_bytes_max)? else {
                return Ok(None);
            };
            match frame {
                Frame::Declaration(length) => {
                    header::check_declaration(utf8(&rest[..length])?)?;
                    self.taken += length;
                }
                Frame::Header(length) => return self.opened(length).map(Some),
                Frame::EmptyHeader(length) => {
                    self.phase = Phase::Closing;
                    return self.opened(length).map(Some);
                }
                Frame::Element(length) => return self.element(length).map(Some),
                Frame::Close(length) => return self.closed(length).map(Some),
            }
        }
    }

    fn opened(&mut self, length: usize) -> Result<Event, StreamError> {
        let text = utf8(&self.buffer[self.taken..self.taken + length])?;
        let (header, scope) = header::read(text, self.scope.content)?;
        self.scope = Arc::new(scope);
        self.taken += length;
        Ok(Event::Opened(header))
    }

    fn element(&mut self, length: usize) -> Result<Event, StreamError> {
        let text = utf8(&self.buffer[self.taken..self.taken + length])?;
        let Some(index) = crate::stanza::index(text, &self.scope)? else {
            if length > limits::NONZA_BYTES_MAX {
                return Err(xml::TOO_LARGE);
            }
            let element = Element::read(text, self.scope.around())?;
            self.taken += length;
            return Ok(Event::Nonza(element));
        };
        let raw = self.take(length);
        Stanza::new(raw, self.scope.clone(), index, self.element_bytes_max).map(Event::Stanza)
    }

    fn closed(&mut self, length: usize) -> Result<Event, StreamError> {
        let tag = &self.buffer[self.taken..self.taken + length];
        let name = utf8(&tag[2..length - 1])?.trim_end_matches([' ', '\t', '\n', '\r']);
        if name == self.scope.root {
            Ok(Event::Closed)
        } else {
            Err(StreamError::NOT_WELL_FORMED)
        }
    }

    /// The next `length` bytes, to be kept: the buffer itself where there is nothing else in it.
    fn take(&mut self, length: usize) -> Bytes {
        if self.taken == 0 && self.buffer.len() == length && self.buffer.capacity() == length {
            return Bytes::from(std::mem::take(&mut self.buffer));
        }
        let start = self.taken;
        self.taken += length;
        Bytes::copy_from_slice(&self.buffer[start..self.taken])
    }

    /// Passes over white space between elements. True if there was any.
    fn skip_white(&mut self) -> bool {
        let white = xml::white(&self.buffer[self.taken..]);
        self.taken += white;
        white > 0
    }

    /// Gives back what is not needed until more bytes come.
    fn release(&mut self) {
        if self.buffered() == 0 {
            self.buffer = Vec::new();
        } else if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.buffer.shrink_to_fit();
        }
        self.taken = 0;
    }
}

impl fmt::Debug for Reader {
    /// Without the bytes: they may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (phase, content) = (self.phase, self.scope.content);
        write!(f, "Reader({content}, {phase:?}, {} bytes)", self.buffered())
    }
}

/// RFC 6120 §4.9.3.22: violating the rules of UTF-8 is an encoding that we do not support.
fn utf8(bytes: &[u8]) -> Result<&str, StreamError> {
    std::str::from_utf8(bytes).map_err(|_| StreamError::UNSUPPORTED_ENCODING)
}
