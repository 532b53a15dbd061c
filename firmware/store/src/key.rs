//! Keys whose bytes sort as the values do, so that redb's byte order is the order of the tuples.
//!
//! Numbers are big-endian. Strings and byte vectors end in `00 00`, and a zero byte inside them is written as
//! `00 FF`: then "a" sorts before "a\0" and both before "ab", also when something follows in a tuple. Nothing
//! encodes to a proper prefix of another value of its type, which is what makes prefixes of tuples work.

use crate::Error;
use std::sync::Arc;

/// Something that a table is sorted by.
pub trait Key: Sized {
    /// Appends the bytes. For any two values, the order of the bytes is the order of the values.
    fn encode(&self, out: &mut Vec<u8>);

    /// Takes one value from the front of `input`.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the bytes are no such value.
    fn decode(input: &mut &[u8]) -> Result<Self, Error>;
}

/// Bytes that most keys stay below: they are written without growing.
const KEY_BYTES: usize = 16;

/// The key's bytes alone.
pub(crate) fn encoded<K: Key>(key: &K) -> Vec<u8> {
    let mut out = Vec::with_capacity(KEY_BYTES);
    key.encode(&mut out);
    out
}

fn damaged() -> Error {
    Error::Damaged("a key ends too early or is malformed".to_owned())
}

impl<const N: usize> Key for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, Error> {
        let (head, rest) = input.split_first_chunk::<N>().ok_or_else(damaged)?;
        *input = rest;
        Ok(*head)
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Key for $number {
            fn encode(&self, out: &mut Vec<u8>) {
                self.to_be_bytes().encode(out);
            }

            fn decode(input: &mut &[u8]) -> Result<Self, Error> {
                Key::decode(input).map(<$number>::from_be_bytes)
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64);

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

impl Key for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        escape(self, out);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, Error> {
        let mut value = Vec::new();
        let mut bytes = input.iter();
        loop {
            match (bytes.next(), bytes.as_slice().first()) {
                (Some(0), Some(0)) => break,
                (Some(0), Some(0xff)) => {
                    bytes.next();
                    value.push(0);
                }
                (Some(&byte), _) if byte != 0 => value.push(byte),
                _ => return Err(damaged()),
            }
        }
        *input = &bytes.as_slice()[1..];
        Ok(value)
    }
}

impl Key for String {
    fn encode(&self, out: &mut Vec<u8>) {
        escape(self.as_bytes(), out);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, Error> {
        String::from_utf8(Key::decode(input)?).map_err(|_| damaged())
    }
}

impl Key for Arc<str> {
    fn encode(&self, out: &mut Vec<u8>) {
        escape(self.as_bytes(), out);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, Error> {
        String::decode(input).map(Arc::from)
    }
}

/// The key of a table with one row.
impl Key for () {
    fn encode(&self, _: &mut Vec<u8>) {}

    fn decode(_: &mut &[u8]) -> Result<Self, Error> {
        Ok(())
    }
}

macro_rules! tuples {
    ($(($($part:ident $index:tt),*))*) => {$(
        impl<$($part: Key),*> Key for ($($part,)*) {
            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$index.encode(out);)*
            }

            fn decode(input: &mut &[u8]) -> Result<Self, Error> {
                Ok(($($part::decode(input)?,)*))
            }
        }
    )*};
}
tuples!((A 0) (A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3));

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded<K: Key>(bytes: &[u8]) -> Option<K> {
        let mut input = bytes;
        let key = K::decode(&mut input).ok()?;
        input.is_empty().then_some(key)
    }

    #[test]
    fn bytes_of_keys_are_part_of_the_file_format() {
        let rows: [(Vec<u8>, &[u8]); 7] = [
            (encoded(&0x0102_u16), &[1, 2]),
            (encoded(&7_u32), &[0, 0, 0, 7]),
            (encoded(&(1_u64 << 40)), &[0, 0, 1, 0, 0, 0, 0, 0]),
            (encoded(&"a\0b".to_owned()), &[b'a', 0, 0xff, b'b', 0, 0]),
            (encoded(&String::new()), &[0, 0]),
            (
                encoded(&(7_u32, "x".to_owned(), 1_u8)),
                &[0, 0, 0, 7, b'x', 0, 0, 1],
            ),
            (encoded(&()), &[]),
        ];
        for (got, expected) in rows {
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn malformed_keys_are_refused() {
        let rows: [&[u8]; 6] = [b"", b"a", b"a\0", b"a\0\x01", b"\0", &[0xc3, 0x28, 0, 0]];
        for bytes in rows {
            assert!(decoded::<String>(bytes).is_none(), "{bytes:?}");
        }
        assert!(decoded::<u32>(&[0, 0, 0]).is_none());
        assert!(decoded::<(u8, u16)>(&[1, 2]).is_none());
    }

    type Four = (u32, String, Vec<u8>, u64);

    proptest! {
        #[test]
        fn order_and_value_survive(a: Four, b: Four) {
            let (x, y) = (encoded(&a), encoded(&b));
            prop_assert_eq!(a.cmp(&b), x.cmp(&y));
            prop_assert_eq!(decoded::<Four>(&x), Some(a.clone()));
            prop_assert!(x.starts_with(&encoded(&(a.0, a.1))));
        }

        #[test]
        fn strings_with_zeros_keep_their_order(a in "[\0\u{1}ab\u{ff}]{0,6}", b in "[\0\u{1}ab\u{ff}]{0,6}") {
            let order = (&a, 1_u8).cmp(&(&b, 1));
            prop_assert_eq!(order, encoded(&(a, 1_u8)).cmp(&encoded(&(b, 1_u8))));
        }

        #[test]
        fn decoding_never_panics(bytes: Vec<u8>) {
            let _ = decoded::<Four>(&bytes);
        }
    }
}
