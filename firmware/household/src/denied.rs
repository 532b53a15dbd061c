//! Into the house, never: the addresses that nobody outside may make us reach.
//!
//! One table for everyone whom a stranger can tell an address: relayed peers, and servers that are dialled
//! because a name server said so. State: [`Denied`] holds the exceptions of one configuration, our own
//! addresses as far as it says them, and the networks around the house at one time.
//!
//! Sources: the IANA special-purpose registries (RFC 6890) and the RFCs at the rows.

use crate::{Config, config::Network};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Bits that all addresses of one house have in common with one that this machine has: of IPv6 what a
/// provider delegates to it (RFC 6177 §2), since a router's firewall lets its networks talk to each other. Of
/// IPv4 nothing is delegated, and what is on a link is told.
const HOUSE_BITS_V6: u8 = 56;
const HOUSE_BITS_V4: u8 = 32;
/// The same for an address that is only said to be ours, and may be any machine's: its network.
const SAID_BITS_V6: u8 = 64;

/// Why an address is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This very machine.
    Loopback,
    /// A network of a house or a company.
    Private,
    /// Between a provider and its customers (RFC 6598).
    ProviderInside,
    /// Valid on one cable only.
    LinkLocal,
    Multicast,
    Broadcast,
    Unspecified,
    Documentation,
    Benchmarking,
    /// Assigned to nobody, or to a protocol that has no hosts.
    Reserved,
    /// Another notation of an IPv4 address, which no server has as its own.
    Mapped,
    /// A network this house is connected to or was given.
    OnLink,
    /// Not loopback, in a house that never leaves it.
    BeyondLoopback,
}

impl fmt::Display for Kind {
    /// A noun phrase for the log and for pages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Loopback => "an address of this machine",
            Kind::Private => "a private address",
            Kind::ProviderInside => "an address inside a provider's network",
            Kind::LinkLocal => "a link-local address",
            Kind::Multicast => "a multicast address",
            Kind::Broadcast => "a broadcast address",
            Kind::Unspecified => "no host's address",
            Kind::Documentation => "an address for documentation",
            Kind::Benchmarking => "an address for benchmarks",
            Kind::Reserved => "a reserved address",
            Kind::Mapped => "an IPv4 address written as IPv6",
            Kind::OnLink => "an address in this house's own network",
            Kind::BeyondLoopback => {
                "an address beyond this machine, which \"localhost\" never leaves"
            }
        })
    }
}

/// What may be reached from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    exceptions: Vec<Network>,
    on_link: Vec<Network>,
    /// What the configuration says is our address for the world.
    own: Vec<IpAddr>,
    loopback_allowed: bool,
    loopback_only: bool,
}

impl Denied {
    /// For relayed peers. `on_link`: every network on our links and every prefix delegated to the house.
    pub fn to_peers(config: &Config, on_link: Vec<Network>) -> Denied {
        Denied {
            exceptions: config.turn.allow_peers.clone(),
            on_link,
            // A relay may be asked to reach another relayed address of its own, and decides about that.
            own: Vec::new(),
            loopback_allowed: false,
            loopback_only: false,
        }
    }

    /// For servers that are dialled. Loopback is one of them where every door for servers is on loopback:
    /// such a house has no other neighbours, unless somebody else at this machine passes on to it what comes
    /// from outside. A house called `localhost` sends nothing beyond it.
    pub fn to_servers(config: &Config, on_link: Vec<Network>) -> Denied {
        let mut doors = config.listen.s2s.iter().chain(&config.listen.s2s_tls);
        let some = doors.clone().next().is_some() && config.proxy_protocol.from.is_empty();
        let public = &config.public;
        let own = [public.ipv4.map(IpAddr::from), public.ipv6.map(IpAddr::from)];
        Denied {
            own: own.into_iter().flatten().collect(),
            loopback_allowed: some && doors.all(|door| door.ip().is_loopback()),
            loopback_only: config.domain == "localhost",
            ..Denied::to_peers(config, on_link)
        }
    }

    /// Why this address is not reached, or `None`.
    pub fn why(&self, address: IpAddr) -> Option<Kind> {
        let kind = kind(address);
        if self.loopback_only && kind != Some(Kind::Loopback) {
            return Some(Kind::BeyondLoopback);
        }
        if self.exceptions.iter().any(|it| it.contains(address)) {
            return None;
        }
        let on_link = |it: &Network| {
            it.contains(address) || embedded(address).any(|inner| it.contains(inner.into()))
        };
        let near = |own: &IpAddr| is_near(address, *own, SAID_BITS_V6);
        match kind {
            Some(Kind::Loopback) if self.loopback_allowed => None,
            None if self.on_link.iter().any(on_link) => Some(Kind::OnLink),
            None if self.own.iter().any(near) => Some(Kind::OnLink),
            kind => kind,
        }
    }

    /// The same, where packets for the address would leave this machine from `own`: what is next to that is
    /// in the house, whoever told us the address, and nobody had to tell us where the house is.
    pub fn why_from(&self, own: IpAddr, address: IpAddr) -> Option<Kind> {
        let denied = self.why(address);
        let is_public = kind(address).is_none();
        let is_exception = self.exceptions.iter().any(|it| it.contains(address));
        let is_beside = is_public && !is_exception && is_near(address, own, HOUSE_BITS_V6);
        denied.or(is_beside.then_some(Kind::OnLink))
    }
}

/// Whether two addresses, or one and what the other one is translated to, are of one house.
fn is_near(address: IpAddr, own: IpAddr, bits_v6: u8) -> bool {
    let prefix = match own {
        IpAddr::V4(_) => HOUSE_BITS_V4,
        IpAddr::V6(_) => bits_v6,
    };
    let house = Network {
        address: own,
        prefix,
    };
    house.contains(address) || embedded(address).any(|inner| house.contains(inner.into()))
}

/// What kind of denied address this is; `None` for one of the public internet.
pub fn kind(address: IpAddr) -> Option<Kind> {
    match address {
        IpAddr::V4(address) => of_v4(address),
        IpAddr::V6(address) => of_v6(address),
    }
}

fn of_v4(address: Ipv4Addr) -> Option<Kind> {
    Some(match address.octets() {
        [0, 0, 0, 0] => Kind::Unspecified,
        [0, ..] => Kind::Reserved, // RFC 791: "this network"
        [127, ..] => Kind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Kind::Private, // RFC 1918
        [100, 64..=127, ..] => Kind::ProviderInside,
        [169, 254, ..] => Kind::LinkLocal, // RFC 3927
        [192, 0, 0, _] => Kind::Reserved,  // RFC 6890, with DS-Lite's RFC 7335
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Kind::Documentation, // RFC 5737
        [192, 88, 99, _] => Kind::Reserved, // RFC 7526: what were 6to4 relays
        [198, 18..=19, ..] => Kind::Benchmarking, // RFC 2544
        [224..=239, ..] => Kind::Multicast,
        [255, 255, 255, 255] => Kind::Broadcast,
        [240..=255, ..] => Kind::Reserved, // RFC 1112
        _ => return None,
    })
}

fn of_v6(address: Ipv6Addr) -> Option<Kind> {
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Kind::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Loopback,
        // RFC 4291 §2.5.5: "IPv4-compatible" and IPv4-mapped, public or not.
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] => Kind::Mapped,
        // RFC 8215: a translator inside somebody's network.
        [0x64, 0xff9b, 1, ..] => Kind::Private,
        // RFC 6052, RFC 4380, RFC 3056: as good as the IPv4 addresses inside.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x2001, 0, ..] | [0x2002, ..] => {
            return embedded(address.into()).find_map(of_v4);
        }
        [0x2001, 2, 0, ..] => Kind::Benchmarking, // RFC 5180
        // RFC 2928: the rest of the protocol assignments (ORCHID, DRIP and others).
        [0x2001, 1..=0x1ff, ..] => Kind::Reserved,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Kind::Documentation, // RFC 3849, RFC 9637
        [0xfe80..=0xfebf, ..] => Kind::LinkLocal,
        // RFC 4193; RFC 3879: what was site-local.
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Kind::Private,
        [0xff00..=0xffff, ..] => Kind::Multicast,
        // RFC 4291 §2.4: beyond these, nothing is assigned.
        [0x2000..=0x3fff, ..] => return None,
        _ => Kind::Reserved,
    })
}

/// The IPv4 addresses to which packets for this one are translated or sent in the end.
fn embedded(address: IpAddr) -> impl Iterator<Item = Ipv4Addr> {
    let pair = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    let found = match address {
        IpAddr::V4(_) => [None, None],
        IpAddr::V6(address) => match address.segments() {
            [0, 0, 0, 0, 0, 0 | 0xffff, a, b] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] => {
                [Some(pair(a, b)), None]
            }
            [0x2002, a, b, ..] => [Some(pair(a, b)), None],
            // The Teredo server, and the client with every bit turned over.
            [0x2001, 0, a, b, _, _, c, d] => [Some(pair(a, b)), Some(pair(!c, !d))],
            _ => [None, None],
        },
    };
    found.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn check(table: &[(&str, Option<Kind>)]) {
        for (text, expected) in table {
            assert_eq!(kind(text.parse().unwrap()), *expected, "{text}");
        }
    }

    #[test]
    fn every_kind_of_ipv4_address() {
        check(&[
            ("0.0.0.0", Some(Kind::Unspecified)),
            ("0.1.2.3", Some(Kind::Reserved)),
            ("9.255.255.255", None),
            ("10.0.0.1", Some(Kind::Private)),
            ("100.63.255.255", None),
            ("100.64.0.1", Some(Kind::ProviderInside)),
            ("100.128.0.1", None),
            ("127.0.0.1", Some(Kind::Loopback)),
            ("127.255.255.254", Some(Kind::Loopback)),
            ("169.254.169.254", Some(Kind::LinkLocal)),
            ("172.15.0.1", None),
            ("172.16.0.1", Some(Kind::Private)),
            ("172.31.255.255", Some(Kind::Private)),
            ("172.32.0.1", None),
            ("192.0.0.8", Some(Kind::Reserved)),
            ("192.0.2.1", Some(Kind::Documentation)),
            ("192.88.99.1", Some(Kind::Reserved)),
            ("192.168.1.1", Some(Kind::Private)),
            ("198.17.255.255", None),
            ("198.18.0.1", Some(Kind::Benchmarking)),
            ("198.19.255.255", Some(Kind::Benchmarking)),
            ("198.51.100.7", Some(Kind::Documentation)),
            ("203.0.113.7", Some(Kind::Documentation)),
            ("223.255.255.255", None),
            ("224.0.0.251", Some(Kind::Multicast)),
            ("240.0.0.1", Some(Kind::Reserved)),
            ("255.255.255.255", Some(Kind::Broadcast)),
            ("8.8.8.8", None),
        ]);
    }

    #[test]
    fn every_kind_of_ipv6_address() {
        check(&[
            ("::", Some(Kind::Unspecified)),
            ("::1", Some(Kind::Loopback)),
            ("::8.8.8.8", Some(Kind::Mapped)),
            ("::ffff:8.8.8.8", Some(Kind::Mapped)),
            ("::ffff:192.168.1.1", Some(Kind::Mapped)),
            ("64:ff9b::8.8.8.8", None),
            ("64:ff9b::192.168.1.1", Some(Kind::Private)),
            ("64:ff9b::127.0.0.1", Some(Kind::Loopback)),
            ("64:ff9b:1::8.8.8.8", Some(Kind::Private)),
            ("64:ff9b:0:1::8.8.8.8", Some(Kind::Reserved)),
            ("100::1", Some(Kind::Reserved)),
            // Teredo: server 8.8.8.8; clients 192.0.2.45 and 9.9.9.9, turned over.
            ("2001:0:808:808::3fff:fdd2", Some(Kind::Documentation)),
            ("2001:0:808:808::f6f6:f6f6", None),
            ("2001:0:a00:1::f6f6:f6f6", Some(Kind::Private)),
            ("2001:2::1", Some(Kind::Benchmarking)),
            ("2001:10::1", Some(Kind::Reserved)),
            ("2001:db8::1", Some(Kind::Documentation)),
            ("2001:4860:4860::8888", None),
            ("2002:0808:0808::1", None),
            ("2002:c0a8:0101::1", Some(Kind::Private)),
            ("2a01:4f8::1", None),
            ("3fff:fff::1", Some(Kind::Documentation)),
            ("3fff:1000::1", None),
            ("5f00::1", Some(Kind::Reserved)),
            ("fc00::1", Some(Kind::Private)),
            ("fdff::1", Some(Kind::Private)),
            ("fe80::1", Some(Kind::LinkLocal)),
            ("febf::1", Some(Kind::LinkLocal)),
            ("fec0::1", Some(Kind::Private)),
            ("ff02::fb", Some(Kind::Multicast)),
        ]);
    }

    fn servers(toml: &str) -> Denied {
        let config = Config::from_texts([(Path::new("hearth.toml"), toml)]).unwrap();
        let on_link = vec![Network {
            address: "2a01:4f8:1:2::5".parse().unwrap(),
            prefix: 64,
        }];
        Denied::to_servers(&config, on_link)
    }

    #[test]
    fn our_own_addresses_and_what_is_beside_them() {
        const OPEN: &str = "domain = 'home.example'";
        const ALLOW: &str =
            "domain = 'home.example'\n[turn]\nallow_peers = ['2a02::/16', '9.9.9.0/24']";
        const SAID: &str = "domain = 'home.example'\n[public]\nipv4 = '9.9.9.9'\nipv6 = '2a02::9'";
        const ALONE: &str = "domain = 'home.example'\n\
             [listen]\ns2s = ['127.0.0.9:5269']\ns2s_tls = []";
        let on_link = Some(Kind::OnLink);
        for (toml, own, address, expected) in [
            // The machine next to this one, behind the same firewall, and in the house's other network.
            (OPEN, "2a02:0:0:5600::7", "2a02:0:0:5600::7", on_link),
            (OPEN, "2a02:0:0:5600::7", "2a02:0:0:5600::8", on_link),
            (OPEN, "2a02:0:0:5600::7", "2a02:0:0:56ff::8", on_link),
            (OPEN, "2a02:0:0:5600::7", "2a02:0:0:5700::8", None),
            (OPEN, "9.9.9.9", "9.9.9.9", on_link),
            // Somebody else's machine at the same provider.
            (OPEN, "9.9.9.9", "9.9.9.1", None),
            (OPEN, "9.9.9.9", "2002:0909:0909::1", on_link),
            (OPEN, "192.168.1.2", "9.9.9.9", None),
            (ALLOW, "2a02::7", "2a02::7", None),
            (ALLOW, "9.9.9.9", "9.9.9.1", None),
            // Our own address as the router's outside has it.
            (SAID, "192.168.1.2", "9.9.9.9", on_link),
            (SAID, "192.168.1.2", "64:ff9b::9.9.9.9", on_link),
            (SAID, "192.168.1.2", "9.9.9.1", None),
            (SAID, "2a03::1", "2a02::9", on_link),
            (SAID, "2a03::1", "2a02::1", on_link),
            (SAID, "2a03::1", "2a02:0:0:1::9", None),
            (SAID, "2a03::1", "2a04::9", None),
            (ALONE, "127.0.0.1", "127.0.0.1", None),
        ] {
            let config = Config::from_texts([(Path::new("hearth.toml"), toml)]).unwrap();
            let denied = Denied::to_servers(&config, Vec::new());
            let found = denied.why_from(own.parse().unwrap(), address.parse().unwrap());
            assert_eq!(found, expected, "{address} from {own} with {toml}");
        }
    }

    #[test]
    fn a_house_and_its_neighbours() {
        const OPEN: &str = "domain = 'home.example'";
        const ALLOW: &str = "domain = 'home.example'\n[turn]\nallow_peers = ['10.1.0.0/16', '::1']";
        const ALONE: &str = "domain = 'home.example'\n\
             [listen]\ns2s = ['127.0.0.9:5269', '[::1]:5269']\ns2s_tls = []";
        const BEHIND: &str = "domain = 'home.example'\n[proxy_protocol]\nfrom = ['127.0.0.1']\n\
             [listen]\ns2s = ['127.0.0.9:5269']\ns2s_tls = []";
        const HALF: &str = "domain = 'home.example'\n[listen]\ns2s = ['127.0.0.9:5269']";
        const DEAF: &str = "domain = 'home.example'\n[listen]\ns2s = []\ns2s_tls = []";
        const LOCAL: &str = "[listen]\ns2s = ['127.0.0.1:5269']\ns2s_tls = []";
        for (toml, address, expected) in [
            (OPEN, "8.8.8.8", None),
            (OPEN, "10.1.2.3", Some(Kind::Private)),
            (OPEN, "127.0.0.1", Some(Kind::Loopback)),
            (OPEN, "2a01:4f8:1:2:3::4", Some(Kind::OnLink)),
            (OPEN, "2a01:4f8:1:3::4", None),
            (ALLOW, "10.1.2.3", None),
            (ALLOW, "10.2.2.3", Some(Kind::Private)),
            (ALLOW, "::1", None),
            (ALLOW, "127.0.0.1", Some(Kind::Loopback)),
            (ALLOW, "::ffff:10.1.2.3", Some(Kind::Mapped)),
            (ALONE, "127.0.0.1", None),
            (ALONE, "::1", None),
            (ALONE, "192.168.0.1", Some(Kind::Private)),
            (ALONE, "8.8.8.8", None),
            (BEHIND, "127.0.0.1", Some(Kind::Loopback)),
            (HALF, "127.0.0.1", Some(Kind::Loopback)),
            (DEAF, "127.0.0.1", Some(Kind::Loopback)),
            (LOCAL, "127.0.0.1", None),
            (LOCAL, "8.8.8.8", Some(Kind::BeyondLoopback)),
            ("", "127.0.0.1", Some(Kind::Loopback)),
            ("", "10.0.0.1", Some(Kind::BeyondLoopback)),
        ] {
            let found = servers(toml).why(address.parse().unwrap());
            assert_eq!(found, expected, "{address} with {toml}");
        }
    }
}
