//! Where two connections meet: the hash that both of them say (XEP-0065 §6.3.2).

use aws_lc_rs::digest;
use xmpp::Jid;

const BYTES: usize = digest::SHA1_OUTPUT_LEN;

/// SHA-1 of the stream's id and of the addresses of requester and target, in their normal form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rendezvous([u8; BYTES]);

impl Rendezvous {
    pub(crate) fn of(sid: &str, requester: &Jid, target: &Jid) -> Rendezvous {
        let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
        for part in [sid, requester.as_str(), target.as_str()] {
            hash.update(part.as_bytes());
        }
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(hash.finish().as_ref());
        Rendezvous(bytes)
    }

    /// Reads 40 hexadecimal digits, in either case.
    pub(super) fn parse(text: &[u8]) -> Option<Rendezvous> {
        if text.len() != 2 * BYTES {
            return None;
        }
        let digit = |character: u8| char::from(character).to_digit(16);
        let mut bytes = [0; BYTES];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
        }
        Some(Rendezvous(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by `printf vxf9n471bn46requester@example.com/footarget@example.org/bar | sha1sum`.
    const HASH: &str = "98b8d688d0f5d895fd41c5e7309a2e9e33ba32ff";

    #[test]
    fn a_hash_is_that_of_everybody_else() {
        let jid = |text| Jid::parse(text).unwrap();
        let at = |sid, one, other| Rendezvous::of(sid, &jid(one), &jid(other));
        let (one, other) = ("requester@example.com/foo", "target@example.org/bar");
        let expected = Rendezvous::parse(HASH.as_bytes()).unwrap();
        assert!(at("vxf9n471bn46", one, other) == expected);
        assert!(at("vxf9n471bn46", "Requester@Example.com/foo", other) == expected);
        assert!(at("vxf9n471bn46", other, one) != expected, "the other way");
        assert!(at("vxf9n471bn47", one, other) != expected);
        let upper = HASH.to_uppercase();
        assert!(Rendezvous::parse(upper.as_bytes()).unwrap() == expected);
        let (short, long) = (&HASH[1..], format!("{HASH}0"));
        let signed = format!("+{short}");
        for wrong in ["", short, &long, &signed, &format!("g{short}")] {
            assert!(Rendezvous::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }
}
