//! Addresses (RFC 7622): localpart, domainpart, resourcepart, each in its one normal form.

mod domain;
mod parts;
#[cfg(test)]
mod tests;
mod traits;

use std::sync::Arc;

use crate::prep;
use parts::Parts;

/// An address. Parsed once at the door; inside, holding one is the proof that it is well-formed and
/// normalised.
///
/// One shared string and two offsets: a clone is a count, comparing is comparing bytes.
#[derive(Clone)]
pub struct Jid {
    text: Arc<str>,
    /// Bytes of the localpart; 0 where there is none.
    local: u16,
    /// Offset of the `/`; the length of the text where there is no resourcepart.
    slash: u16,
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JidError {
    /// A part is empty, or the text has no domainpart.
    Empty,
    /// A part is longer than 1 023 bytes (RFC 7622 §3).
    TooLong,
    /// A part holds a character its profile does not allow.
    Forbidden,
}

/// Bytes of one part, after preparation (RFC 7622 §3.1).
const PART_BYTES_MAX: usize = 1023;
const _: () = assert!(Jid::BYTES_MAX <= u16::MAX as usize, "offsets are u16");

impl Jid {
    /// Bytes of the longest address: three parts and two separators (RFC 7622 §3.1).
    pub const BYTES_MAX: usize = 3 * PART_BYTES_MAX + 2;

    /// Parses and normalises any address: `domain`, `local@domain`, with or without `/resource`.
    pub fn parse(text: &str) -> Result<Jid, JidError> {
        // §3.2: the first '/' is found before the first '@', and both before any mapping could make new ones.
        let (bare, resource) = text
            .split_once('/')
            .map_or((text, None), |(bare, rest)| (bare, Some(rest)));
        let (local, domain) = bare
            .split_once('@')
            .map_or((None, bare), |(local, rest)| (Some(local), rest));
        let parts = Parts::prepare(local, domain, resource)?;
        Ok(if parts.are_the_whole_of(text) {
            parts.with_text(text.into())
        } else {
            parts.join()
        })
    }

    /// The address of these parts. Unlike parsing their concatenation, a separator inside a part stays in
    /// that part: a localpart `a@b` is refused.
    pub fn from_parts(
        local: Option<&str>,
        domain: &str,
        resource: Option<&str>,
    ) -> Result<Jid, JidError> {
        Ok(Parts::prepare(local, domain, resource)?.join())
    }

    /// The localpart, if there is one.
    pub fn localpart(&self) -> Option<&str> {
        (self.local > 0).then(|| &self.text[..usize::from(self.local)])
    }

    /// The domainpart.
    pub fn domainpart(&self) -> &str {
        let start = if self.local > 0 {
            usize::from(self.local) + 1
        } else {
            0
        };
        &self.text[start..usize::from(self.slash)]
    }

    /// The resourcepart, if there is one.
    pub fn resourcepart(&self) -> Option<&str> {
        self.text.get(usize::from(self.slash) + 1..)
    }

    /// The whole address, as it is written on the wire (before XML escaping).
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The text of the bare JID: `local@domain`, or `domain`.
    pub fn bare_str(&self) -> &str {
        &self.text[..usize::from(self.slash)]
    }

    /// Whether somebody else holds a clone of it: who keeps addresses for sharing can let go of the others.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.text) > 1
    }

    /// Whether there is no resourcepart.
    pub fn is_bare(&self) -> bool {
        usize::from(self.slash) == self.text.len()
    }

    /// The bare JID. Costs nothing where it is bare already.
    pub fn bare(&self) -> Jid {
        if self.is_bare() {
            self.clone()
        } else {
            Jid {
                text: self.bare_str().into(),
                ..*self
            }
        }
    }

    /// The bare JID with a resourcepart, which is prepared (RFC 7622 §3.4).
    pub fn with_resource(&self, resource: &str) -> Result<Jid, JidError> {
        let resource = parts::bounded(resource, prep::resourceprep)?;
        Ok(Jid {
            text: format!("{}/{resource}", self.bare_str()).into(),
            ..*self
        })
    }

    /// The domain of what is no address as a whole, where that can be told: behind the last at sign before
    /// the first slash, for a name that somebody chose elsewhere may have either (RFC 7622 §3.1).
    pub fn domain_as_written(text: &str) -> Option<Jid> {
        let bare = text.split_once('/').map_or(text, |(bare, _)| bare);
        let domain = bare.rsplit_once('@').map_or(bare, |(_, domain)| domain);
        Jid::parse(domain).ok()
    }

    /// The address of the domainpart alone.
    pub fn domain(&self) -> Jid {
        let domain = self.domainpart();
        if domain.len() == self.text.len() {
            return self.clone();
        }
        Jid {
            text: domain.into(),
            local: 0,
            slash: domain.len() as u16,
        }
    }
}
