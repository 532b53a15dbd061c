//! Who may use the relay: whoever was given a name and a password that belong together, until the time in the
//! name (the scheme that other servers call `use-auth-secret`). The name is `EXPIRY` or `EXPIRY:account`,
//! with the end in seconds since 1970; the password is base64 of HMAC-SHA1 of it. Nothing is stored.

use super::{limits::USERNAME_BYTES_MAX, wire::Key};
use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};

pub(super) struct Credentials {
    realm: String,
    secret: hmac::Key,
}

impl Credentials {
    pub(super) fn new(realm: String, secret: &[u8]) -> Credentials {
        Credentials {
            realm,
            secret: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret),
        }
    }

    pub(super) fn realm(&self) -> &str {
        &self.realm
    }

    /// With what somebody of this name signs; `None` where it is no such name. Whether it is over is asked
    /// apart: who relays already may end what they began.
    pub(super) fn key(&self, username: &str) -> Option<Key> {
        expiry(username)?;
        let mac = hmac::sign(&self.secret, username.as_bytes());
        Some(Key::new(
            username,
            &self.realm,
            &BASE64_STANDARD.encode(mac),
        ))
    }
}

/// Seconds since 1970 until which a name counts.
pub(super) fn expiry(username: &str) -> Option<u64> {
    if username.len() > USERNAME_BYTES_MAX {
        return None;
    }
    let expiry = username
        .split_once(':')
        .map_or(username, |(expiry, _)| expiry);
    let is_number = expiry.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| expiry.parse().ok())?
}

/// Whose allocations are counted together.
pub(super) fn account(username: &str) -> &str {
    username.split_once(':').map_or("", |(_, account)| account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_say() {
        for (username, expected) in [
            ("1700000000", Some((1_700_000_000, ""))),
            ("1700000000:juliet", Some((1_700_000_000, "juliet"))),
            ("1700000000:a:b", Some((1_700_000_000, "a:b"))),
            ("1700000000:", Some((1_700_000_000, ""))),
            ("", None),
            (":juliet", None),
            ("juliet", None),
            ("juliet:1700000000", None),
            ("+1700000000", None),
            ("99999999999999999999", None),
        ] {
            let found = expiry(username).map(|until| (until, account(username)));
            assert_eq!(found, expected, "{username}");
        }
        assert_eq!(expiry(&format!("1:{}", "a".repeat(506))), Some(1));
        assert_eq!(expiry(&format!("1:{}", "a".repeat(507))), None);
    }

    /// Made with: `printf 1700000000:juliet | openssl dgst -binary -sha1 -hmac secret | base64`.
    #[test]
    fn the_password_is_the_one_that_other_servers_make() {
        let credentials = Credentials::new("home.example".to_owned(), b"secret");
        let name = "1700000000:juliet";
        let key = Key::new(name, "home.example", "oxyCg2s/UjMm0HHpkc7YIKY8Wn0=");
        assert!(credentials.key(name) == Some(key));
        assert!(credentials.key("1700000001:juliet") != Some(key));
        assert!(credentials.key("juliet").is_none());
    }
}
