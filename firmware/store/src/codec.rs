//! Values as bytes: a version byte, then postcard for records and the bytes themselves for stanzas.
//!
//! The version byte is the table's. It changes only when a migration contracts (DESIGN §9): until then, what
//! the previous release cannot read goes into a table beside.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A plain record of a feature, kept in postcard. `impl Record for Blocklist {}` is all there is to write.
///
/// `Serialize` is to be derived: postcard needs lengths before contents, which a derived one always knows.
pub trait Record: Serialize + DeserializeOwned {
    /// Reads what an older `version` of the table wrote. `None`: no such version was ever written.
    fn upgrade(version: u8, bytes: &[u8]) -> Option<Self> {
        let _ = (version, bytes);
        None
    }
}

/// What a table holds.
pub trait Value: Sized {
    /// Appends the bytes, without the version.
    fn encode(&self, out: &mut Vec<u8>);

    /// About how many bytes that will be.
    fn bytes(&self) -> usize {
        RECORD_BYTES
    }

    /// Reads what [`Value::encode`] wrote. `None` when these bytes are no such value.
    fn decode(bytes: &[u8]) -> Option<Self>;

    /// Reads what an older `version` of the table wrote.
    fn upgrade(version: u8, bytes: &[u8]) -> Option<Self> {
        let _ = (version, bytes);
        None
    }
}

impl<T: Record> Value for T {
    fn encode(&self, out: &mut Vec<u8>) {
        *out = postcard::to_extend(self, std::mem::take(out))
            .expect("a Record knows its lengths (see the trait)");
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        match postcard::take_from_bytes(bytes) {
            Ok((value, [])) => Some(value),
            _ => None,
        }
    }

    fn upgrade(version: u8, bytes: &[u8]) -> Option<Self> {
        <T as Record>::upgrade(version, bytes)
    }
}

/// Stanzas and other things that are bytes already.
impl Value for Bytes {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn bytes(&self) -> usize {
        self.len()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Bytes::copy_from_slice(bytes))
    }
}

macro_rules! plain_records {
    ($($record:ty),*) => {$(impl Record for $record {})*};
}
plain_records!((), bool, u8, u16, u32, u64, String);

/// Bytes that most records stay below: they are written without growing.
const RECORD_BYTES: usize = 64;

/// The stored form of a value.
pub(crate) fn to_stored<V: Value>(version: u8, value: &V) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + value.bytes());
    out.push(version);
    value.encode(&mut out);
    out
}

/// The value of a stored form; the error says what is wrong with it.
pub(crate) fn from_stored<V: Value>(version: u8, stored: &[u8]) -> Result<V, &'static str> {
    match stored.split_first() {
        None => Err("it is empty"),
        Some((&found, bytes)) if found == version => {
            V::decode(bytes).ok_or("its bytes are malformed")
        }
        Some((&found, bytes)) if found < version => {
            V::upgrade(found, bytes).ok_or("its old version is unknown")
        }
        Some(_) => Err("a newer version wrote it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Mark {
        upto: u64,
        holes: Vec<u32>,
    }

    impl Record for Mark {
        fn upgrade(version: u8, bytes: &[u8]) -> Option<Self> {
            // Version 1 had no holes.
            (version == 1)
                .then(|| <u64 as Value>::decode(bytes))?
                .map(|upto| Mark {
                    upto,
                    holes: vec![],
                })
        }
    }

    #[test]
    fn a_record_is_its_version_and_postcard() {
        let mark = Mark {
            upto: 300,
            holes: vec![1, 2],
        };
        assert_eq!(to_stored(2, &mark), [2, 0xac, 2, 2, 1, 2]);
        assert_eq!(from_stored::<Mark>(2, &[2, 0xac, 2, 2, 1, 2]), Ok(mark));
    }

    #[test]
    fn bytes_are_kept_as_they_are() {
        let stanza = Bytes::from_static(b"<message/>");
        assert_eq!(to_stored(1, &stanza), b"\x01<message/>");
        assert_eq!(from_stored(1, b"\x01<message/>"), Ok(stanza));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let rows: [(&[u8], Result<Mark, &str>); 5] = [
            (
                &[1, 7],
                Ok(Mark {
                    upto: 7,
                    holes: vec![],
                }),
            ),
            (&[], Err("it is empty")),
            (&[2, 1], Err("its bytes are malformed")),
            (&[2, 1, 0, 9], Err("its bytes are malformed")),
            (&[3, 1, 0], Err("a newer version wrote it")),
        ];
        for (stored, expected) in rows {
            assert_eq!(from_stored::<Mark>(2, stored), expected, "{stored:?}");
        }
    }
}
