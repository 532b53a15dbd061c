//! Finds where elements end in bytes that arrive in whatever pieces, before anything is parsed or allocated
//! for them.
//!
//! Every byte is looked at once, and the outcome does not depend on where the pieces are cut. What can be
//! refused without seeing the whole element is refused here: comments, instructions, wrong end tags, depth
//! and size. Tags end where quick-xml's `ElementParser` says, as they do in the strict walk that follows.

use crate::{
    StreamError, limits,
    xml::{self, Markup, Stack},
};
use memchr::{memchr, memmem};
use quick_xml::parser::{ElementParser, Parser};

/// A whole piece of the stream, of so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// `<?xml …?>`.
    Declaration(usize),
    /// The start tag of the stream.
    Header(usize),
    /// The header as an empty-element tag: the stream opens and closes.
    EmptyHeader(usize),
    /// An element at stream level.
    Element(usize),
    /// The end tag of the stream.
    Close(usize),
}

/// Where in the stream we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// At the very start, where alone a declaration may stand.
    Start,
    /// At the start of a stream that follows another one on the same connection: white space may still belong
    /// to the old stream, however late it comes.
    Restart,
    /// Before the header.
    Prolog,
    /// Between header and end tag.
    Stream,
}

/// What the byte at `at` is part of.
#[derive(Clone, Copy, Debug)]
enum Inside {
    Nothing,
    Text,
    /// A `<` that stands there; what follows it is not known yet.
    Markup,
    /// A start tag from that offset.
    Tag(u32, ElementParser),
    /// An end tag from that offset.
    EndTag(u32),
    CData,
    Declaration,
}

/// The scan over one piece of the stream; a few dozen bytes, and nothing on the heap unless an element is
/// deep.
pub(crate) struct Framer {
    place: Place,
    inside: Inside,
    /// Bytes of the piece that were looked at.
    at: usize,
    /// Offsets of the names of open elements.
    open: Stack<u32, 8>,
}

impl Framer {
    pub(crate) fn new() -> Framer {
        Framer {
            place: Place::Start,
            inside: Inside::Nothing,
            at: 0,
            open: Stack::new(),
        }
    }

    /// Expects the header of a stream that follows another one.
    pub(crate) fn restarted() -> Framer {
        Framer {
            place: Place::Restart,
            ..Framer::new()
        }
    }

    /// Expects elements, as between header and end tag of a stream.
    pub(crate) fn inside() -> Framer {
        Framer {
            place: Place::Stream,
            ..Framer::new()
        }
    }

    /// Whether nothing of a piece was seen yet.
    pub(crate) fn is_between(&self) -> bool {
        self.at == 0
    }

    /// White space was passed over; behind it no declaration may stand.
    pub(crate) fn skipped_white(&mut self) {
        if self.place == Place::Start {
            self.place = Place::Prolog;
        }
    }

    /// Forgets the piece that was begun.
    pub(crate) fn forget(&mut self) {
        self.inside = Inside::Nothing;
        self.at = 0;
        self.open.truncate(0);
    }

    /// The piece that `bytes` begin with (never white space), or `None` until more of it has come. Called
    /// again, `bytes` hold the same and more. A piece of more than `bytes_max` bytes is refused as soon as
    /// that many are there.
    pub(crate) fn next(
        &mut self,
        bytes: &[u8],
        bytes_max: usize,
    ) -> Result<Option<Frame>, StreamError> {
        let within = &bytes[..bytes.len().min(bytes_max)];
        match self.scan(within)? {
            Some(frame) => {
                self.forget();
                Ok(Some(frame))
            }
            None if bytes.len() > bytes_max => Err(xml::TOO_LARGE),
            None => Ok(None),
        }
    }

    fn scan(&mut self, bytes: &[u8]) -> Result<Option<Frame>, StreamError> {
        while self.at < bytes.len() {
            let rest = &bytes[self.at..];
            let found = match self.inside {
                Inside::Nothing if rest[0] == b'<' => {
                    self.inside = Inside::Markup;
                    continue;
                }
                Inside::Nothing => return Err(self.stray(rest[0])),
                Inside::Text => memchr(b'<', rest).map(|text| (text, Inside::Markup)),
                Inside::Markup => match self.markup(rest)? {
                    None => return Ok(None),
                    Some(inside) => Some((0, inside)),
                },
                Inside::Tag(from, ref mut quotes) => match quotes.feed(rest) {
                    Some(end) => {
                        self.at += end + 1;
                        if let Some(frame) = self.start_tag(bytes, from)? {
                            return Ok(Some(frame));
                        }
                        continue;
                    }
                    None => None,
                },
                Inside::EndTag(from) => match memchr(b'>', rest) {
                    Some(end) => {
                        self.at += end + 1;
                        if let Some(frame) = self.end_tag(bytes, from)? {
                            return Ok(Some(frame));
                        }
                        continue;
                    }
                    None => None,
                },
                Inside::CData => match memmem::find(rest, b"]]>") {
                    Some(end) => Some((end + 3, Inside::Text)),
                    // The terminator may be cut in two.
                    None => {
                        self.at = bytes.len().saturating_sub(2).max(self.at);
                        return Ok(None);
                    }
                },
                Inside::Declaration => match memchr(b'>', rest) {
                    Some(end) => {
                        self.place = Place::Prolog;
                        return Ok(Some(Frame::Declaration(self.at + end + 1)));
                    }
                    None => None,
                },
            };
            match found {
                Some((length, inside)) => (self.at, self.inside) = (self.at + length, inside),
                None => self.at = bytes.len(),
            }
        }
        Ok(None)
    }

    fn markup(&self, rest: &[u8]) -> Result<Option<Inside>, StreamError> {
        let (is_top, from) = (self.open.len() == 0, self.at as u32);
        // A client that writes UTF-16: `<` and a NUL.
        if self.place != Place::Stream && rest.get(1) == Some(&0) {
            return Err(StreamError::UNSUPPORTED_ENCODING);
        }
        Ok(match xml::markup(rest)? {
            Some(Markup::StartTag) => Some(Inside::Tag(from, ElementParser::Outside)),
            Some(Markup::EndTag) if self.place == Place::Stream => Some(Inside::EndTag(from)),
            Some(Markup::CData) if !is_top => Some(Inside::CData),
            Some(Markup::CData) => return Err(self.stray(b'<')),
            Some(Markup::Declaration) if matches!(self.place, Place::Start | Place::Restart) => {
                Some(Inside::Declaration)
            }
            Some(Markup::EndTag | Markup::Declaration) => return Err(StreamError::NOT_WELL_FORMED),
            None => None,
        })
    }

    /// What a byte that is neither white nor a `<` means outside of elements.
    fn stray(&self, byte: u8) -> StreamError {
        match (byte, self.place) {
            // Never in UTF-8, or not at the start of a character: RFC 6120 §4.9.3.22. NUL: UTF-16 begins with
            // it.
            (0x80..=0xC1 | 0xF5.., _) | (0, Place::Start | Place::Restart) => {
                StreamError::UNSUPPORTED_ENCODING
            }
            (0..b' ', _) | (_, Place::Start | Place::Restart | Place::Prolog) => {
                StreamError::NOT_WELL_FORMED
            }
            // §11.7 allows white space between elements and nothing else; it is well-formed and means
            // nothing.
            (_, Place::Stream) => StreamError::BAD_FORMAT,
        }
    }

    /// The start tag from `from` to `self.at` is whole.
    fn start_tag(&mut self, bytes: &[u8], from: u32) -> Result<Option<Frame>, StreamError> {
        let is_empty = bytes[self.at - 2] == b'/';
        if self.place != Place::Stream {
            self.place = Place::Stream;
            return Ok(Some(if is_empty {
                Frame::EmptyHeader(self.at)
            } else {
                Frame::Header(self.at)
            }));
        }
        if self.open.len() >= limits::DEPTH_MAX {
            return Err(xml::TOO_DEEP);
        }
        // A second header: as an element it would not end before the stream does, and swallow all of it.
        let tag = &bytes[from as usize..self.at];
        if self.open.len() == 0 && !is_empty && is_header(tag) {
            return Err(StreamError::UNSUPPORTED_STANZA_TYPE);
        }
        if !is_empty {
            self.open.push(from + 1);
        }
        Ok(self.element_end())
    }

    /// The end tag from `from` to `self.at` is whole. A wrong one is refused at once: its author waits for
    /// the answer (RFC 6120 §4.9.1.1) and will not send more.
    fn end_tag(&mut self, bytes: &[u8], from: u32) -> Result<Option<Frame>, StreamError> {
        let Some(open) = self.open.pop() else {
            return Ok(Some(Frame::Close(self.at)));
        };
        let name = bytes[from as usize + 2..self.at - 1].trim_ascii_end();
        let is_same = bytes[open as usize..]
            .strip_prefix(name)
            .and_then(|behind| behind.first())
            .is_some_and(|byte| !name.is_empty() && (xml::is_white(*byte) || *byte == b'>'));
        if is_same {
            Ok(self.element_end())
        } else {
            Err(StreamError::NOT_WELL_FORMED)
        }
    }

    fn element_end(&mut self) -> Option<Frame> {
        self.inside = Inside::Text;
        (self.open.len() == 0).then_some(Frame::Element(self.at))
    }
}

/// Whether a start tag is that of a stream, by its usual prefix.
fn is_header(tag: &[u8]) -> bool {
    tag.strip_prefix(b"<stream:stream")
        .and_then(|behind| behind.first())
        .is_some_and(|byte| xml::is_white(*byte) || *byte == b'>')
}
