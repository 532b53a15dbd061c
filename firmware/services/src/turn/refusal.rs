//! Why a request is refused: the codes of RFC 8489 §14.8 and RFC 8656 §19.

/// Unknown attributes that one answer names: more than anybody has invented. Each takes less room than it
/// took in the request.
const NAMED_MAX: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    BadRequest,
    Unauthenticated,
    Forbidden,
    /// The first of them.
    UnknownAttributes(Names),
    AllocationMismatch,
    StaleNonce,
    AddressFamilyNotSupported,
    WrongCredentials,
    UnsupportedTransport,
    PeerAddressFamilyMismatch,
    AllocationQuotaReached,
    InsufficientCapacity,
}

/// Numbers of attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    numbers: [u16; NAMED_MAX],
    count: usize,
}

impl Names {
    pub(super) fn add(&mut self, number: u16) {
        if let Some(place) = self.numbers.get_mut(self.count) {
            *place = number;
            self.count += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// As UNKNOWN-ATTRIBUTES has them (RFC 8489 §14.13).
    pub(super) fn bytes(&self) -> ([u8; 2 * NAMED_MAX], usize) {
        let mut bytes = [0; 2 * NAMED_MAX];
        for (place, number) in bytes.chunks_exact_mut(2).zip(self.numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        (bytes, 2 * self.count)
    }
}

impl Refusal {
    /// Code and phrase. What strangers get in great numbers has none: it shall be small.
    fn row(self) -> (u16, &'static str) {
        match self {
            Refusal::BadRequest => (400, "Bad Request"),
            Refusal::Unauthenticated => (401, ""),
            Refusal::Forbidden => (403, "Forbidden"),
            Refusal::UnknownAttributes(_) => (420, ""),
            Refusal::AllocationMismatch => (437, "Allocation Mismatch"),
            Refusal::StaleNonce => (438, ""),
            Refusal::AddressFamilyNotSupported => (440, "Address Family not Supported"),
            Refusal::WrongCredentials => (441, "Wrong Credentials"),
            Refusal::UnsupportedTransport => (442, "Unsupported Transport Protocol"),
            Refusal::PeerAddressFamilyMismatch => (443, "Peer Address Family Mismatch"),
            Refusal::AllocationQuotaReached => (486, "Allocation Quota Reached"),
            Refusal::InsufficientCapacity => (508, "Insufficient Capacity"),
        }
    }

    /// The value of ERROR-CODE; with a family that of ADDRESS-ERROR-CODE (RFC 8656 §18.12). Returns the bytes
    /// and how many count.
    pub(super) fn value(self, family: u8) -> ([u8; 64], usize) {
        let (code, phrase) = self.row();
        let mut value = [0; 64];
        value[0] = family;
        value[2] = (code / 100) as u8;
        value[3] = (code % 100) as u8;
        let end = 4 + phrase.len();
        value[4..end].copy_from_slice(phrase.as_bytes());
        (value, end)
    }
}
