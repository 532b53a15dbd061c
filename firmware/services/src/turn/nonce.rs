//! Nonces that need no memory: the time at which they were made, and a seal over it and the client's address
//! (RFC 8489 §9.2, §9.2.4: no two clients get the same). Short, since strangers get them: 16 characters
//! behind those that every server of this RFC has in front.

use super::limits::NONCE_MS;
use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq;

/// Bytes of the seal: guessing one means some 2⁶³ requests within an hour.
const SEAL: usize = 8;
const BYTES: usize = 4 + SEAL;
/// In front of every nonce (§9.2): that we speak RFC 8489, and none of its further features (§18.1), which
/// are 24 bits in base64.
const COOKIE: &[u8; 13] = b"obMatJos2AAAA";
/// Characters of a nonce.
const TEXT: usize = COOKIE.len() + 16;

/// Seals nonces. Its key lives as long as the process: after a restart clients hear 438 once.
pub(super) struct Nonces(hmac::Key);

impl Nonces {
    pub(super) fn new(key: [u8; 32]) -> Nonces {
        Nonces(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    pub(super) fn make(&self, client: SocketAddr, now_ms: u64) -> [u8; TEXT] {
        let made = ((now_ms / 1_000) as u32).to_be_bytes();
        let mut bytes = [0; BYTES];
        bytes[..4].copy_from_slice(&made);
        bytes[4..].copy_from_slice(&self.seal(made, client));
        let mut text = [0; TEXT];
        let (cookie, sealed) = text.split_at_mut(COOKIE.len());
        cookie.copy_from_slice(COOKIE);
        BASE64_URL_SAFE_NO_PAD
            .encode_slice(bytes, sealed)
            .expect("12 bytes are 16 characters");
        text
    }

    /// Whether it was made for this client, and not too long ago.
    pub(super) fn is_valid(&self, text: &[u8], client: SocketAddr, now_ms: u64) -> bool {
        let mut bytes = [0; BYTES];
        let Some(sealed) = text.strip_prefix(COOKIE).filter(|_| text.len() == TEXT) else {
            return false;
        };
        if BASE64_URL_SAFE_NO_PAD.decode_slice(sealed, &mut bytes) != Ok(BYTES) {
            return false;
        }
        let [a, b, c, d, seal @ ..] = bytes;
        let made = [a, b, c, d];
        let age_s = (now_ms / 1_000).checked_sub(u32::from_be_bytes(made).into());
        age_s.is_some_and(|age| age <= NONCE_MS / 1_000)
            && seal.ct_eq(&self.seal(made, client)).into()
    }

    fn seal(&self, made: [u8; 4], client: SocketAddr) -> [u8; SEAL] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&made);
        context.update(&client.port().to_be_bytes());
        match client.ip() {
            IpAddr::V4(ip) => context.update(&ip.octets()),
            IpAddr::V6(ip) => context.update(&ip.octets()),
        }
        let mut seal = [0; SEAL];
        seal.copy_from_slice(&context.sign().as_ref()[..SEAL]);
        seal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_it_is_and_for_how_long() {
        let nonces = Nonces::new([7; 32]);
        let client = "198.51.100.7:1000";
        let nonce = nonces.make(client.parse().unwrap(), 5_000);
        assert_eq!((&nonce[..13], nonce.len()), (&b"obMatJos2AAAA"[..], 29));
        let mut other = nonce;
        other[28] ^= 1;
        for (nonces, nonce, client, now_ms, expected) in [
            (&nonces, &nonce[..], client, 5_000, true),
            (&nonces, &nonce, client, 5_000 + NONCE_MS, true),
            (&nonces, &nonce, client, 6_000 + NONCE_MS, false),
            (&nonces, &nonce, client, 4_000, false),
            (&nonces, &nonce, "198.51.100.7:1001", 5_000, false),
            (&nonces, &nonce, "198.51.100.8:1000", 5_000, false),
            (&nonces, &nonce, "[::ffff:198.51.100.7]:1000", 5_000, false),
            (&nonces, &other, client, 5_000, false),
            (&nonces, &nonce[..28], client, 5_000, false),
            (&nonces, &nonce[13..], client, 5_000, false),
            (&nonces, b"", client, 5_000, false),
            (
                &nonces,
                b"obMatJos2AAAA~~~~~~~~~~~~~~~~",
                client,
                5_000,
                false,
            ),
            (&nonces, b"~~~~~~~~~~~~~~~~", client, 5_000, false),
            (&Nonces::new([8; 32]), &nonce, client, 5_000, false),
        ] {
            let client = client.parse().unwrap();
            let found = nonces.is_valid(nonce, client, now_ms);
            assert_eq!(found, expected, "{client} {now_ms}");
        }
    }
}
