//! RFC 6455: the frames of a WebSocket (§5) as a server reads and writes them, and the answer to the key of a
//! handshake (§4.2.2). No sockets, and no buffer but for a message or a control frame that has come in part.

use crate::{StreamError, xml};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::borrow::Cow;

/// What is said goodbye with where nothing is wrong (§7.4.1).
pub const NORMAL: u16 = 1000;

/// Bytes of the longest head of a frame: its two, a length of eight, a mask of four (§5.2).
const HEAD_BYTES_MAX: usize = 14;
/// Bytes of the payload of a control frame (§5.5).
const CONTROL_BYTES_MAX: u64 = 125;
/// The first byte of a frame that ends its message.
const FIN: u8 = 0x80;
/// The second byte's, of a frame under a mask.
const MASKED: u8 = 0x80;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// What the frames of a peer amount to.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A whole message.
    Text(Cow<'a, str>),
    /// To be answered with the same (§5.5.2).
    Ping(Cow<'a, [u8]>),
    Pong,
    /// The goodbye, with its code where it has one (§5.5.1).
    Close(Option<u16>),
}

/// Why nothing more of a peer can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    TooLarge,
    /// A text that is not UTF-8 (§8.1).
    NotText,
    /// A message that is no text, where only text is spoken (RFC 7395 §3.2).
    Binary,
    /// Frames as they must not be.
    Protocol,
}

impl Fault {
    /// What is said goodbye with (§7.4.1).
    pub fn code(self) -> u16 {
        match self {
            Fault::Protocol => 1002,
            Fault::Binary => 1003,
            Fault::NotText => 1007,
            Fault::TooLarge => 1009,
        }
    }

    /// What it is for a stream (RFC 6120 §4.9.3).
    pub fn error(self) -> StreamError {
        match self {
            Fault::Protocol | Fault::Binary => StreamError::BAD_FORMAT,
            Fault::NotText => StreamError::UNSUPPORTED_ENCODING,
            Fault::TooLarge => xml::TOO_LARGE,
        }
    }
}

/// The frames of a peer, in whatever pieces they come. Between two messages it holds nothing.
#[derive(Default)]
pub struct Decoder {
    /// The head of the next frame, as far as it has come.
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: usize,
    /// The frame whose payload comes now.
    frame: Option<Frame>,
    /// A message has begun, of which there are more frames to come.
    is_open: bool,
    /// What has come of it.
    message: Vec<u8>,
    /// What has come of a control frame.
    control: Vec<u8>,
}

/// Bytes that have come and were not looked at.
pub struct Unread<'a>(&'a mut [u8]);

impl<'a> Unread<'a> {
    pub fn new(bytes: &'a mut [u8]) -> Unread<'a> {
        Unread(bytes)
    }

    /// What is left.
    pub fn rest(&self) -> &[u8] {
        self.0
    }

    fn take(&mut self, most: usize) -> &'a mut [u8] {
        let most = most.min(self.0.len());
        let (part, rest) = std::mem::take(&mut self.0).split_at_mut(most);
        self.0 = rest;
        part
    }
}

#[derive(Clone, Copy)]
struct Frame {
    opcode: u8,
    is_last: bool,
    /// Turned to the next byte.
    mask: [u8; 4],
    /// Bytes that are still to come.
    left: usize,
}

impl Decoder {
    /// The next message in `bytes`, which are taken off as far as they are looked at, and unmasked; `None`
    /// when all of them are. A message may have `message_bytes_max` bytes.
    ///
    /// # Errors
    /// What is wrong, in the order in which it comes; nothing can be read then. Only a message that was too
    /// large may be tried again, with what was left of `bytes` and a larger limit.
    pub fn next<'a>(
        &mut self,
        bytes: &mut Unread<'a>,
        message_bytes_max: usize,
    ) -> Result<Option<Message<'a>>, Fault> {
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.begin(bytes, message_bytes_max)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            let part = bytes.take(frame.left);
            unmask(part, frame.mask);
            frame.left -= part.len();
            frame.mask.rotate_left(part.len() % 4);
            if frame.left > 0 {
                self.begun(frame.opcode).extend_from_slice(part);
                self.frame = Some(frame);
                return Ok(None);
            }
            if let Some(message) = self.end(frame, part)? {
                return Ok(Some(message));
            }
        }
    }

    /// Reads the head of a frame (§5.2). What is wrong with its first two bytes is known as soon as they are
    /// there.
    fn begin(
        &mut self,
        bytes: &mut Unread<'_>,
        message_bytes_max: usize,
    ) -> Result<Option<Frame>, Fault> {
        loop {
            let wanted = self.head_wanted()?;
            if self.head_bytes == wanted {
                break;
            }
            let part = bytes.take(wanted - self.head_bytes);
            if part.is_empty() {
                return Ok(None);
            }
            self.head[self.head_bytes..self.head_bytes + part.len()].copy_from_slice(part);
            self.head_bytes += part.len();
        }
        let [first, second, ..] = self.head;
        let (length, mask) = self.head[2..self.head_bytes].split_at(self.head_bytes - 6);
        let mask = [mask[0], mask[1], mask[2], mask[3]];
        let long = length
            .iter()
            .fold(0, |long, byte| long << 8 | u64::from(*byte));
        // The shortest form that holds it, and 63 bits at most.
        let length = match (length.len(), long) {
            (0, _) => u64::from(second & !MASKED),
            (2, 126..) | (8, 0x1_0000..=0x7FFF_FFFF_FFFF_FFFF) => long,
            _ => return Err(Fault::Protocol),
        };
        let opcode = first & 0x0F;
        let room = message_bytes_max.saturating_sub(self.message.len());
        if opcode < CLOSE && length > room as u64 {
            return Err(Fault::TooLarge);
        }
        self.head_bytes = 0;
        Ok(Some(Frame {
            opcode,
            is_last: first & FIN != 0,
            mask,
            left: length as usize,
        }))
    }

    /// How many bytes the head has, as far as can be told.
    fn head_wanted(&self) -> Result<usize, Fault> {
        if self.head_bytes < 2 {
            return Ok(2);
        }
        let [first, second, ..] = self.head;
        let (opcode, length) = (first & 0x0F, second & !MASKED);
        let is_allowed = match opcode {
            CONTINUATION => self.is_open,
            TEXT => !self.is_open,
            BINARY if !self.is_open => return Err(Fault::Binary),
            CLOSE | PING | PONG => first & FIN != 0 && u64::from(length) <= CONTROL_BYTES_MAX,
            _ => false,
        };
        // No extension was agreed on that would give the reserved bits a meaning (§5.2). What a client sends
        // is masked (§5.1).
        if !is_allowed || first & 0x70 != 0 || second & MASKED == 0 {
            return Err(Fault::Protocol);
        }
        Ok(match length {
            126 => 8,
            127 => HEAD_BYTES_MAX,
            _ => 6,
        })
    }

    fn begun(&mut self, opcode: u8) -> &mut Vec<u8> {
        if opcode < CLOSE {
            &mut self.message
        } else {
            &mut self.control
        }
    }

    /// The last part of a frame's payload is there.
    fn end<'a>(&mut self, frame: Frame, part: &'a [u8]) -> Result<Option<Message<'a>>, Fault> {
        let begun = self.begun(frame.opcode);
        if !frame.is_last {
            begun.extend_from_slice(part);
            self.is_open = true;
            return Ok(None);
        }
        let whole: Cow<[u8]> = if begun.is_empty() {
            part.into()
        } else {
            begun.extend_from_slice(part);
            std::mem::take(begun).into()
        };
        Ok(Some(match frame.opcode {
            PING => Message::Ping(whole),
            PONG => Message::Pong,
            CLOSE => Message::Close(close_code(&whole)?),
            _ => {
                self.is_open = false;
                Message::Text(text(whole)?)
            }
        }))
    }
}

/// §5.3.
fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    for (byte, key) in bytes.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
}

fn text(bytes: Cow<[u8]>) -> Result<Cow<str>, Fault> {
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).ok(),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
    }
    .ok_or(Fault::NotText)
}

/// The code of a goodbye: one that may be sent (§7.4), and behind it a reason in UTF-8.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Fault> {
    match payload {
        [] => Ok(None),
        [_] => Err(Fault::Protocol),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(Fault::Protocol);
            }
            std::str::from_utf8(reason).map_err(|_| Fault::NotText)?;
            Ok(Some(code))
        }
    }
}

/// Writes a message of text, in one frame.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    write(TEXT, text.as_bytes(), out);
}

/// Writes a question whether anybody is there (§5.5.2).
pub fn write_ping(out: &mut Vec<u8>) {
    write(PING, b"", out);
}

/// Writes the answer to one, with its payload (§5.5.3).
pub fn write_pong(payload: &[u8], out: &mut Vec<u8>) {
    write(PONG, payload, out);
}

/// Writes a goodbye.
pub fn write_close(code: Option<u16>, out: &mut Vec<u8>) {
    let code = code.map(u16::to_be_bytes);
    write(CLOSE, code.as_ref().map_or(b"", |code| code), out);
}

/// A whole frame. What a server sends is never masked (§5.1).
fn write(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(FIN | opcode);
    match payload.len() {
        length @ 0..=125 => out.push(length as u8),
        length @ 126..=0xFFFF => {
            out.push(126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// The answer to the key of a handshake (§4.2.2), whatever its length: some clients do not send 16 bytes.
pub fn accept(key: &[u8]) -> String {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat()))
}

#[cfg(test)]
mod tests;
