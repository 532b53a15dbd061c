//! STUN messages as bytes (RFC 8489 §5, §14; RFC 8656 §18) and ChannelData (RFC 8656 §12.4): what is in
//! them, and how they are written. Owns nothing; every byte may come from a stranger.

use aws_lc_rs::hmac;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use subtle::ConstantTimeEq;

/// Bytes of a message before its attributes.
pub(super) const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// What the checksum is turned with, so that it is not one of the protocol around (RFC 8489 §14.7).
const FINGERPRINT_TURN: u32 = 0x5354_554e;
/// Bytes of the HMAC of SHA-1.
const MAC: usize = 20;
/// Bytes of that of SHA-256: all of them, since TURN does not speak of fewer (RFC 8489 §14.6).
const MAC_SHA256: usize = 32;
/// Numbers of channels: those of RFC 5766 §11. RFC 8656 §12 gave the upper three quarters back to protocols
/// that do not come to our ports; clients that choose among all of them are around, coturn's own for one.
pub(super) const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x7ffe;
/// Bytes before the data of a channel.
pub(super) const CHANNEL_HEADER: usize = 4;

/// What tells one transaction from another.
pub(super) type Transaction = [u8; 12];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Request,
    Indication,
    Success,
    Error,
}

/// RFC 8489 §3 and RFC 8656 §17.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Binding,
    Allocate,
    Refresh,
    Send,
    Data,
    CreatePermission,
    ChannelBind,
    /// Of RFC 6062, or of nobody.
    Other(u16),
}

/// Attributes by their numbers.
pub(super) mod attribute {
    pub(crate) const USERNAME: u16 = 0x0006;
    pub(crate) const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub(crate) const ERROR_CODE: u16 = 0x0009;
    pub(crate) const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
    pub(crate) const CHANNEL_NUMBER: u16 = 0x000c;
    pub(crate) const LIFETIME: u16 = 0x000d;
    pub(crate) const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub(crate) const DATA: u16 = 0x0013;
    pub(crate) const REALM: u16 = 0x0014;
    pub(crate) const NONCE: u16 = 0x0015;
    pub(crate) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub(crate) const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
    pub(crate) const EVEN_PORT: u16 = 0x0018;
    pub(crate) const REQUESTED_TRANSPORT: u16 = 0x0019;
    pub(crate) const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
    pub(crate) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub(crate) const RESERVATION_TOKEN: u16 = 0x0022;
    pub(crate) const ADDITIONAL_ADDRESS_FAMILY: u16 = 0x8000;
    pub(crate) const ADDRESS_ERROR_CODE: u16 = 0x8001;
    pub(crate) const SOFTWARE: u16 = 0x8022;
    pub(crate) const FINGERPRINT: u16 = 0x8028;
    /// Those below may not be ignored by who does not know them (RFC 8489 §14).
    pub(crate) const OPTIONAL: u16 = 0x8000;
}

/// IPv4 or IPv6, as attributes say it (RFC 8489 §14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Family {
    V4 = 1,
    V6 = 2,
}

impl Family {
    pub(super) fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// Out of an attribute of 4 bytes, of which the first is the family (RFC 8656 §18.6).
    pub(super) fn read(value: &[u8]) -> Option<Family> {
        match value {
            [1, _, _, _] => Some(Family::V4),
            [2, _, _, _] => Some(Family::V6),
            _ => None,
        }
    }
}

impl Method {
    fn from_number(number: u16) -> Method {
        match number {
            1 => Method::Binding,
            3 => Method::Allocate,
            4 => Method::Refresh,
            6 => Method::Send,
            7 => Method::Data,
            8 => Method::CreatePermission,
            9 => Method::ChannelBind,
            other => Method::Other(other),
        }
    }

    fn number(self) -> u16 {
        match self {
            Method::Binding => 1,
            Method::Allocate => 3,
            Method::Refresh => 4,
            Method::Send => 6,
            Method::Data => 7,
            Method::CreatePermission => 8,
            Method::ChannelBind => 9,
            Method::Other(number) => number,
        }
    }
}

/// Class and method in the first two bytes, the class between the bits of the method (RFC 8489 §5).
fn kind(class: Class, method: Method) -> [u8; 2] {
    let number = method.number();
    let class = match class {
        Class::Request => 0,
        Class::Indication => 0x010,
        Class::Success => 0x100,
        Class::Error => 0x110,
    };
    let spread = (number & 0xf) | (number & 0x70) << 1 | (number & 0xf80) << 2;
    (spread | class).to_be_bytes()
}

/// A message that is whole: its length is right, its attributes end where it ends, and its checksum is right
/// if it has one.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    pub(super) class: Class,
    pub(super) method: Method,
    pub(super) transaction: Transaction,
    /// Where the attribute with the HMAC of SHA-1 begins, and that with the one of SHA-256.
    integrity: Option<usize>,
    integrity_sha256: Option<usize>,
    /// Whether it had a checksum, so that the answer should have one.
    pub(super) has_fingerprint: bool,
}

impl<'a> Message<'a> {
    /// Reads all of `bytes`; `None` where they are not one message.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Message<'a>> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let number = u16::from_be_bytes([header[0], header[1]]);
        if number & 0xc000 != 0 || header[4..8] != COOKIE {
            return None;
        }
        let class = match number & 0x110 {
            0 => Class::Request,
            0x010 => Class::Indication,
            0x100 => Class::Success,
            _ => Class::Error,
        };
        let method = (number & 0xf) | (number & 0xe0) >> 1 | (number & 0x3e00) >> 2;
        let mut message = Message {
            bytes,
            class,
            method: Method::from_number(method),
            transaction: *header.last_chunk()?,
            integrity: None,
            integrity_sha256: None,
            has_fingerprint: false,
        };
        let length = u16::from_be_bytes([header[2], header[3]]);
        (usize::from(length) == bytes.len() - HEADER && length.is_multiple_of(4)).then_some(())?;
        message.walk()?;
        Some(message)
    }

    /// Looks at every attribute once.
    fn walk(&mut self) -> Option<()> {
        let mut at = HEADER;
        while at < self.bytes.len() {
            // Nothing comes behind the checksum (RFC 8489 §14.7).
            if self.has_fingerprint {
                return None;
            }
            let (kind, value, next) = attribute_at(self.bytes, at)?;
            if kind == attribute::FINGERPRINT {
                let sum = u32::from_be_bytes(value.try_into().ok()?);
                (sum == fingerprint(&self.bytes[..at])).then_some(())?;
                self.has_fingerprint = true;
            }
            // Behind the second one nothing counts but the checksum (RFC 8489 §14.6).
            let is_open = self.integrity_sha256.is_none();
            if kind == attribute::MESSAGE_INTEGRITY && is_open && self.integrity.is_none() {
                (value.len() == MAC).then_some(())?;
                self.integrity = Some(at);
            }
            if kind == attribute::MESSAGE_INTEGRITY_SHA256 && is_open {
                (value.len() == MAC_SHA256).then_some(())?;
                self.integrity_sha256 = Some(at);
            }
            at = next;
        }
        Some(())
    }

    /// The attributes that count, in order: those before the HMAC (RFC 8489 §14.5, §14.6).
    pub(super) fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let signed = self.integrity.or(self.integrity_sha256);
        let bytes = &self.bytes[..signed.unwrap_or(self.bytes.len())];
        let mut at = HEADER;
        std::iter::from_fn(move || {
            let (kind, value, next) = attribute_at(bytes, at)?;
            at = next;
            Some((kind, value))
        })
    }

    /// The first attribute of its kind; further ones do not count (RFC 8489 §14).
    pub(super) fn attribute(&self, wanted: u16) -> Option<&'a [u8]> {
        self.attributes()
            .find(|(kind, _)| *kind == wanted)
            .map(|(_, value)| value)
    }

    pub(super) fn has_integrity(&self) -> bool {
        self.integrity.or(self.integrity_sha256).is_some()
    }

    /// Whether the HMAC was made with this key: over everything before it, as if the message ended behind it.
    /// Where there are two, that of SHA-256 counts (RFC 8489 §9.2.4).
    pub(super) fn is_signed_with(&self, key: &Key) -> bool {
        self.has_mac_of(&key.0)
    }

    fn has_mac_of(&self, key: &[u8]) -> bool {
        let (algorithm, at) = match (self.integrity, self.integrity_sha256) {
            (_, Some(at)) => (hmac::HMAC_SHA256, at),
            (Some(at), None) => (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, at),
            (None, None) => return false,
        };
        let Some((_, mac, end)) = attribute_at(self.bytes, at) else {
            return false;
        };
        let length = (end - HEADER) as u16;
        let key = hmac::Key::new(algorithm, key);
        mac.ct_eq(sign(&key, &self.bytes[..at], length).as_ref())
            .into()
    }

    /// Reads an address that is turned with the header (RFC 8489 §14.2).
    pub(super) fn address(&self, value: &[u8]) -> Option<SocketAddr> {
        xor_address(value, &self.transaction)
    }
}

/// Number, value, and where the next one begins.
fn attribute_at(bytes: &[u8], at: usize) -> Option<(u16, &[u8], usize)> {
    let head: &[u8; 4] = bytes.get(at..)?.first_chunk()?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let begin = at + 4;
    let next = begin + length.next_multiple_of(4);
    let value = bytes.get(begin..next)?;
    Some((
        u16::from_be_bytes([head[0], head[1]]),
        &value[..length],
        next,
    ))
}

fn fingerprint(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes) ^ FINGERPRINT_TURN
}

fn xor_address(value: &[u8], transaction: &Transaction) -> Option<SocketAddr> {
    let (head, address) = value.split_at_checked(4)?;
    let port = u16::from_be_bytes([head[2] ^ COOKIE[0], head[3] ^ COOKIE[1]]);
    let ip = match head[1] {
        1 => {
            let octets: [u8; 4] = address.try_into().ok()?;
            let turned: [u8; 4] = std::array::from_fn(|at| octets[at] ^ COOKIE[at]);
            IpAddr::V4(Ipv4Addr::from(turned))
        }
        2 => {
            let octets: [u8; 16] = address.try_into().ok()?;
            let turned: [u8; 16] = std::array::from_fn(|at| octets[at] ^ mask(at, transaction));
            IpAddr::V6(Ipv6Addr::from(turned))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The byte with which the `at`th of an address is turned: cookie, then transaction.
fn mask(at: usize, transaction: &Transaction) -> u8 {
    match at.checked_sub(COOKIE.len()) {
        None => COOKIE[at],
        Some(at) => transaction[at],
    }
}

/// What requests of one account are signed with (RFC 8489 §9.2.2): MD5 of name, realm and password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key([u8; 16]);

impl Key {
    pub(super) fn new(username: &str, realm: &str, password: &str) -> Key {
        use md5::{Digest, Md5};
        Key(Md5::new()
            .chain_update(username)
            .chain_update(":")
            .chain_update(realm)
            .chain_update(":")
            .chain_update(password)
            .finalize()
            .into())
    }
}

/// The HMAC of a message that begins with `bytes` and says of itself to have `length` after its header.
fn sign(key: &hmac::Key, bytes: &[u8], length: u16) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(&bytes[..2]);
    context.update(&length.to_be_bytes());
    context.update(&bytes[4..]);
    context.sign()
}

/// Writes one message into a buffer that is reused. Each call leaves a message that is whole.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    transaction: Transaction,
}

impl<'a> Writer<'a> {
    /// Replaces what is in the buffer by a message without attributes.
    pub(super) fn begin(
        out: &'a mut Vec<u8>,
        class: Class,
        method: Method,
        transaction: Transaction,
    ) -> Writer<'a> {
        out.clear();
        out.extend_from_slice(&kind(class, method));
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&COOKIE);
        out.extend_from_slice(&transaction);
        Writer { out, transaction }
    }

    pub(super) fn put(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.out.extend_from_slice(&kind.to_be_bytes());
        self.out
            .extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.out.extend_from_slice(value);
        let end = self.out.len().next_multiple_of(4);
        self.out.resize(end, 0);
        self.set_length(end - HEADER);
        self
    }

    pub(super) fn put_number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.put(kind, &value.to_be_bytes())
    }

    /// An address turned with the header (RFC 8489 §14.2).
    pub(super) fn put_address(&mut self, kind: u16, address: SocketAddr) -> &mut Self {
        let mut value = [0; 20];
        let port = address.port().to_be_bytes();
        value[2..4].copy_from_slice(&[port[0] ^ COOKIE[0], port[1] ^ COOKIE[1]]);
        value[1] = Family::of(address.ip()) as u8;
        let turned = |(at, octet): (usize, u8)| octet ^ mask(at, &self.transaction);
        let end = match address.ip() {
            IpAddr::V4(ip) => {
                let octets = ip.octets().into_iter().enumerate().map(turned);
                value[4..8]
                    .iter_mut()
                    .zip(octets)
                    .for_each(|(to, it)| *to = it);
                8
            }
            IpAddr::V6(ip) => {
                let octets = ip.octets().into_iter().enumerate().map(turned);
                value[4..]
                    .iter_mut()
                    .zip(octets)
                    .for_each(|(to, it)| *to = it);
                20
            }
        };
        self.put(kind, &value[..end])
    }

    /// The last but one (RFC 8489 §14.5).
    pub(super) fn sign(&mut self, key: &Key) -> &mut Self {
        let length = self.out.len() + 4 + MAC - HEADER;
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key.0);
        let mac = sign(&key, self.out, length as u16);
        self.put(attribute::MESSAGE_INTEGRITY, mac.as_ref())
    }

    /// The last one (RFC 8489 §14.7).
    pub(super) fn put_fingerprint(&mut self) {
        self.set_length(self.out.len() + 8 - HEADER);
        let sum = fingerprint(self.out);
        self.put_number(attribute::FINGERPRINT, sum);
    }

    fn set_length(&mut self, length: usize) {
        self.out[2..4].copy_from_slice(&(length as u16).to_be_bytes());
    }
}

/// Channel and data of a ChannelData message; `None` where the message is shorter than it says. What comes
/// behind is padding (RFC 8656 §12.5).
pub(super) fn channel_data(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<CHANNEL_HEADER>()?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    Some((u16::from_be_bytes([head[0], head[1]]), rest.get(..length)?))
}

/// Replaces what is in the buffer by a ChannelData message, padded to whole words as streams want it.
pub(super) fn write_channel_data(out: &mut Vec<u8>, channel: u16, data: &[u8], pads: bool) {
    out.clear();
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
    if pads {
        out.resize(out.len().next_multiple_of(4), 0);
    }
}

/// How long the message is that begins with these bytes of a stream, its padding included (RFC 8489 §6.2.2,
/// RFC 8656 §12.5). `Ok(None)`: too few to say. `Err`: no message begins like this.
pub(super) fn frame_length(bytes: &[u8]) -> Result<Option<usize>, ()> {
    let Some(head) = bytes.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    match head[0] {
        0..=0x3f => match bytes.get(4..8) {
            None => Ok(None),
            Some(cookie) if cookie == COOKIE && length.is_multiple_of(4) => {
                Ok(Some(HEADER + length))
            }
            Some(_) => Err(()),
        },
        0x40..=0x7f => Ok(Some((CHANNEL_HEADER + length).next_multiple_of(4))),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests;
