//! What is asked of a router, and what it answers: plain values.

use household::{Config, config::AddressSource};
use std::{fmt, net::SocketAddr};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// As the Internet Protocol numbers it.
    pub(super) fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        }
    }

    /// As UPnP spells it.
    pub(super) fn upper(self) -> &'static str {
        match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// A port that the world should be let in by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The name of its listener, as in `[listen]`.
    pub name: &'static str,
    pub protocol: Protocol,
    /// Of this machine.
    pub inside: u16,
    /// Of the address that the world calls; over IPv6 there is no other than the one inside.
    pub outside: u16,
    /// Whether chat and calls are impossible without it.
    pub is_needed: bool,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.outside, self.protocol)
    }
}

/// What a router is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub ports: Vec<Port>,
    /// Whether its outside address is of interest; else a router that opens no ports is left alone.
    pub asks_address: bool,
}

impl Wanted {
    /// What the configuration wants, with these ports of the house. Nothing, in one called `localhost`.
    pub fn of(config: &Config, ports: Vec<Port>) -> Wanted {
        if config.domain == "localhost" {
            return Wanted::default();
        }
        Wanted {
            asks_address: config.address.sources.contains(&AddressSource::Router),
            ports: if config.router.enabled {
                ports
            } else {
                Vec::new()
            },
        }
    }
}

/// The ports by which the world comes in: of those listeners, by their names, that are bound for others than
/// this machine. The most important first.
pub fn ports<'a>(
    config: &Config,
    bound: impl Iterator<Item = (&'a str, &'a SocketAddr)>,
) -> Vec<Port> {
    let mut ports = Vec::new();
    for (name, address) in bound.filter(|(_, it)| !it.ip().is_loopback()) {
        ports.extend(ports_of(config, name, address.port()));
    }
    ports.sort_by_key(|port: &Port| (!port.is_needed, port.protocol, port.outside));
    ports.dedup_by_key(|port| (port.protocol, port.outside));
    ports
}

/// Outside, the web has its one port, and what proves a domain to a certificate authority has port 80
/// (RFC 8555 §8.3).
fn ports_of(config: &Config, name: &str, inside: u16) -> Vec<Port> {
    let port = |name, protocol, outside, is_needed| Port {
        name,
        protocol,
        inside,
        outside,
        is_needed,
    };
    let https = match config.public.https_port {
        0 => inside,
        given => given,
    };
    match name {
        "https" => vec![port("https", Protocol::Tcp, https, true)],
        "stun" => vec![
            port("stun", Protocol::Udp, inside, true),
            port("stun", Protocol::Tcp, inside, false),
        ],
        "c2s" => vec![port("c2s", Protocol::Tcp, inside, false)],
        "c2s_tls" => vec![port("c2s_tls", Protocol::Tcp, inside, false)],
        "s2s" => vec![port("s2s", Protocol::Tcp, inside, false)],
        "s2s_tls" => vec![port("s2s_tls", Protocol::Tcp, inside, false)],
        "turn_tls" => vec![port("turn_tls", Protocol::Tcp, inside, false)],
        "proxy65" => vec![port("proxy65", Protocol::Tcp, inside, false)],
        "http" => vec![port("http", Protocol::Tcp, 80, false)],
        _ => Vec::new(), // components are of this house
    }
}

/// Why a router does not open a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Somebody else in the house has it; where it is known, who.
    Taken(Option<String>),
    /// It may not, or not for us.
    Forbidden,
    /// It has no more room.
    Full,
    /// It says nothing.
    Silent,
    /// It says something that makes no sense, or an error of its own: the number.
    Other(u32),
}

/// A port that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    /// For how long; 0 = until somebody closes it.
    pub(super) seconds: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_is_bound_for_others_is_wanted() {
        let wanted = |toml: &str, bound: &[(&str, &str)]| {
            let config = Config::from_texts([(Path::new("hearth.toml"), toml)]).unwrap();
            let bound: Vec<(&str, SocketAddr)> = bound
                .iter()
                .map(|(name, address)| (*name, address.parse().unwrap()))
                .collect();
            let ports = ports(&config, bound.iter().map(|(name, it)| (*name, it)));
            let wanted = Wanted::of(&config, ports);
            let ports = wanted.ports.iter();
            let ports: Vec<String> = ports
                .map(|it| format!("{it}<{}{}", it.inside, if it.is_needed { "!" } else { "" }))
                .collect();
            ports.join(" ")
        };
        const ON: &str = "domain = 'home.example'\n[router]\nenabled = true\n";
        let all = [
            ("c2s", "[::]:5222"),
            ("https", "[::]:8443"),
            ("http", "[::]:8080"),
            ("component", "0.0.0.0:5347"),
            ("stun", "0.0.0.0:3478"),
            ("stun", "[::]:3478"),
            ("s2s", "127.0.0.1:5269"),
        ];
        let expected = "8443/tcp<8443! 3478/udp<3478! 80/tcp<8080 3478/tcp<3478 5222/tcp<5222";
        assert_eq!(wanted(ON, &all), expected);
        let public = format!("{ON}[public]\nhttps_port = 443");
        assert_eq!(wanted(&public, &all[1..2]), "443/tcp<8443!");
        assert_eq!(wanted("domain = 'home.example'", &all), "");
        assert_eq!(wanted("[router]\nenabled = true", &all), "");
    }
}
