//! What there is for calls, and what one account shows there: names and passwords that the secret makes, as
//! draft-uberti-behave-turn-rest-00 §2.2 has them.

use super::{Ports, Secret, limits::CREDENTIALS_MS};
use crate::{listen::web_port, world::Timestamp};
use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use household::Config;

/// Bytes of an account's number, and of the seal behind it in a name: nobody makes one that counts by trying.
const VEILED: usize = 4;
const SEAL: usize = 8;

/// A service for calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) kind: Kind,
    /// `udp` or `tcp`.
    pub(crate) transport: &'static str,
    /// A name that can be looked up, or an address.
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// The types of XEP-0215 §8.3.2, and TURN over TLS (RFC 7065 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stun,
    Turn,
    Turns,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Stun, Kind::Turn, Kind::Turns];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Stun => "stun",
            Kind::Turn => "turn",
            Kind::Turns => "turns",
        }
    }

    /// Whether nobody is served without a password (RFC 8656 §5).
    pub(crate) fn is_restricted(self) -> bool {
        self != Kind::Stun
    }
}

/// Everything that apps can use, the quickest way first. The https port has TURN only while there is a TURN
/// server, of which an open port of its own is the sign.
pub(super) fn offered(config: &Config, ports: Ports, https: Option<u16>) -> Vec<Service> {
    let host = match config.turn.host.as_str() {
        "" => &config.domain,
        host => host,
    };
    let host = idna::domain_to_ascii(host).unwrap_or_else(|_| host.to_owned());
    let service = |kind, transport, port| Service {
        kind,
        transport,
        host: host.clone(),
        port,
    };
    let mut offered = Vec::new();
    if let Some(port) = ports.stun {
        offered.push(service(Kind::Stun, "udp", port));
        offered.push(service(Kind::Stun, "tcp", port));
        offered.push(service(Kind::Turn, "udp", port));
        offered.push(service(Kind::Turn, "tcp", port));
    }
    if let Some(port) = ports.turn_tls {
        offered.push(service(Kind::Turns, "tcp", port));
    }
    let web = web_port(config, https).filter(|port| Some(*port) != ports.turn_tls);
    if let Some(port) = web.filter(|_| ports != Ports::default()) {
        offered.push(service(Kind::Turns, "tcp", port));
    }
    offered
}

/// What became of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Added(Service),
    Deleted(Service),
    /// It has other credentials.
    Modified(Service),
}

/// What apps that know the services of before have to learn.
pub(super) fn changes(before: &[Service], now: &[Service], is_same_secret: bool) -> Vec<Change> {
    let gone = before.iter().filter(|service| !now.contains(service));
    let mut changes: Vec<Change> = gone.cloned().map(Change::Deleted).collect();
    for service in now.iter().cloned() {
        if !before.contains(&service) {
            changes.push(Change::Added(service));
        } else if service.kind.is_restricted() && !is_same_secret {
            changes.push(Change::Modified(service));
        }
    }
    changes
}

/// What one account shows a TURN server.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// When they end, in seconds since 1970, a colon, and a name for the account that says nothing to others.
    pub username: String,
    pub password: String,
    /// When they end; whole seconds.
    pub expires_ms: Timestamp,
}

impl Secret {
    /// For an account, by its number, from now on.
    pub(crate) fn credentials(&self, account: u32, now: Timestamp) -> Credentials {
        let expires = now.saturating_add(CREDENTIALS_MS) / 1_000;
        let username = format!("{expires}:{}", self.name_of(account));
        Credentials {
            password: self.password(&username),
            username,
            expires_ms: expires * 1_000,
        }
    }

    /// The password that goes with a name, whoever asks: base64 of its HMAC-SHA1, as TURN servers with a
    /// shared secret compute it.
    pub fn password(&self, username: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.as_ref());
        STANDARD.encode(hmac::sign(&key, username.as_bytes()))
    }

    /// An account, always the same: what its allocations are counted by. Only who has the secret can tell
    /// from it which one it is.
    fn name_of(&self, account: u32) -> String {
        let number = account.to_be_bytes();
        let seal = self.seal(number);
        let name = [&self.veil(seal, number)[..], &seal].concat();
        URL_SAFE_NO_PAD.encode(name)
    }

    /// The number of the account that a name of credentials is for; `None` for names that somebody else has
    /// made, who knows the secret as well.
    pub(super) fn account_of(&self, username: &str) -> Option<u32> {
        let (_, name) = username.split_once(':')?;
        let name: [u8; VEILED + SEAL] = URL_SAFE_NO_PAD.decode(name).ok()?.try_into().ok()?;
        let [a, b, c, d, seal @ ..] = name;
        let number = self.veil(seal, [a, b, c, d]);
        verify_slices_are_equal(&self.seal(number), &seal).ok()?;
        Some(u32::from_be_bytes(number))
    }

    fn seal(&self, number: [u8; VEILED]) -> [u8; SEAL] {
        self.first_of(b"account ", &number)
    }

    /// Turns a number into what strangers see of it, and back.
    fn veil(&self, seal: [u8; SEAL], number: [u8; VEILED]) -> [u8; VEILED] {
        let mask: [u8; VEILED] = self.first_of(b"veil ", &seal);
        std::array::from_fn(|at| number[at] ^ mask[at])
    }

    fn first_of<const COUNT: usize>(&self, what: &[u8], of: &[u8]) -> [u8; COUNT] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.as_ref());
        let signed = hmac::sign(&key, &[what, of].concat());
        std::array::from_fn(|at| signed.as_ref()[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(services: &[Service]) -> String {
        let one = |it: &Service| {
            let (kind, transport) = (it.kind.name(), it.transport);
            format!("{kind}/{transport} {}:{}", it.host, it.port)
        };
        services.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_is_open_is_offered() {
        let rows = [
            (None, None, Some(443), 0, "", ""),
            (
                Some(3478),
                None,
                None,
                0,
                "",
                "stun/udp h.example:3478, stun/tcp h.example:3478, \
                 turn/udp h.example:3478, turn/tcp h.example:3478",
            ),
            (None, Some(5349), None, 0, "", "turns/tcp h.example:5349"),
            (
                None,
                Some(5349),
                Some(8443),
                443,
                "",
                "turns/tcp h.example:5349, turns/tcp h.example:443",
            ),
            (
                None,
                Some(5349),
                Some(8443),
                0,
                "2001:db8::1",
                "turns/tcp 2001:db8::1:5349, turns/tcp 2001:db8::1:8443",
            ),
            (
                None,
                Some(443),
                Some(443),
                0,
                "bücher.example",
                "turns/tcp xn--bcher-kva.example:443",
            ),
        ];
        for (stun, turn_tls, https, public, host, expected) in rows {
            let mut config = Config {
                domain: "h.example".into(),
                ..Config::default()
            };
            config.turn.host = host.into();
            config.public.https_port = public;
            let ports = Ports { stun, turn_tls };
            assert_eq!(shown(&offered(&config, ports, https)), expected);
        }
    }

    #[test]
    fn who_knows_the_services_learns_what_changed() {
        let config = Config::default();
        let with = |stun, turn_tls| offered(&config, Ports { stun, turn_tls }, None);
        let (both, stun) = (with(Some(1), Some(2)), with(Some(1), None));
        let turns = both.last().unwrap().clone();
        assert_eq!(changes(&both, &both, true), []);
        assert_eq!(
            changes(&both, &stun, true),
            [Change::Deleted(turns.clone())]
        );
        assert_eq!(changes(&stun, &both, true), [Change::Added(turns.clone())]);
        let modified: Vec<_> = both[2..].iter().cloned().map(Change::Modified).collect();
        assert_eq!(changes(&both, &both, false), modified);
        let renamed = with(Some(3), Some(2));
        let all = changes(&both, &renamed, true);
        assert_eq!(all.len(), 8, "four went and four came: {all:?}");
    }

    /// Computed by `openssl dgst -sha1 -hmac north -binary | base64`, as coturn does it.
    #[test]
    fn a_password_is_that_of_every_turn_server_with_the_secret() {
        let secret = Secret::of("north");
        assert_eq!(
            secret.password("1790086400:6DLl1Y0jqHc7Q3bC"),
            "7zUDp9w68wSjzCmp3BkuPjpHO/0="
        );
    }

    #[test]
    fn a_name_is_of_one_account_and_ends() {
        let (secret, other) = (Secret::of("north"), Secret::of("south"));
        let now = 1_790_000_000_999;
        let mine = secret.credentials(7, now);
        let (expires, name) = mine.username.split_once(':').unwrap();
        assert_eq!((expires, name.len()), ("1790086400", 16));
        assert_eq!(mine.expires_ms, 1_790_086_400_000);
        assert_eq!(mine.password, secret.password(&mine.username));
        let later = secret.credentials(7, now + 1_000);
        assert!(later.username.ends_with(name) && later.password != mine.password);
        assert!(!secret.credentials(8, now).username.ends_with(name));
        assert!(!other.credentials(7, now).username.ends_with(name));
    }

    #[test]
    fn whose_a_name_is() {
        let (secret, other) = (Secret::of("north"), Secret::of("south"));
        for account in [0, 1, 7, u32::MAX] {
            let mine = secret.credentials(account, 0).username;
            assert_eq!(secret.account_of(&mine), Some(account), "{mine}");
            assert_eq!(other.account_of(&mine), None, "{mine}");
            let mut wrong = mine.into_bytes();
            for at in wrong.len() - 16..wrong.len() {
                let right = wrong[at];
                wrong[at] = if right == b'A' { b'B' } else { b'A' };
                let name = str::from_utf8(&wrong).unwrap();
                assert_eq!(secret.account_of(name), None, "{name}");
                wrong[at] = right;
            }
        }
        for name in [
            "",
            "1",
            "1:",
            "1:alice",
            "1:AAAAAAAAAAAAAAAA",
            "1:AAAAAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(secret.account_of(name), None, "{name}");
        }
    }
}
