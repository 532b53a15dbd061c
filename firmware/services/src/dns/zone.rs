//! What the zone of this house should say: the one table of its records. Pure functions, no state.

use super::{
    limits::{ADDRESS_TTL_S, RECORD_TTL_S},
    record::{Data, Record},
};
use household::Config;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// What somebody else finds out, and may not know yet: an address of one family under which the house is seen
/// from outside, or the issuer of its certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seen<T> {
    /// Nobody can tell now: what is published stays.
    #[default]
    Unknown,
    /// There is none, and none is published: nobody outside reaches the house by this family.
    Nowhere,
    At(T),
}

impl<T> From<Option<T>> for Seen<T> {
    fn from(address: Option<T>) -> Seen<T> {
        address.map_or(Seen::Unknown, Seen::At)
    }
}

/// The addresses of the house as they were found; `[public]` has the last word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    pub ipv4: Seen<Ipv4Addr>,
    pub ipv6: Seen<Ipv6Addr>,
}

impl Outside {
    /// With what `[public]` says explicitly.
    pub(super) fn as_published(self, config: &Config) -> Outside {
        let public = &config.public;
        Outside {
            ipv4: public.ipv4.map_or(self.ipv4, Seen::At),
            ipv6: public.ipv6.map_or(self.ipv6, Seen::At),
        }
    }
}

/// Who alone may make certificates for the house (RFC 8659), and for which of its accounts (RFC 8657).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The domain that the authority calls itself by (RFC 8555 §7.1.1, `caaIdentities`).
    pub domain: String,
    /// The account's URI.
    pub account: String,
}

/// The ports that others come to. `None` where nobody listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    pub c2s: Option<u16>,
    pub c2s_tls: Option<u16>,
    pub s2s: Option<u16>,
    pub s2s_tls: Option<u16>,
    /// As the outside sees it.
    pub https: Option<u16>,
    pub stun: Option<u16>,
    pub turn_tls: Option<u16>,
}

impl Ports {
    /// As the configuration has them. A listener on port 0 has another one each time, which is not published.
    pub fn of(config: &Config) -> Ports {
        let first = |addresses: &[SocketAddr]| {
            let port = addresses.first().map(SocketAddr::port);
            port.filter(|port| *port != 0)
        };
        let listen = &config.listen;
        let others = |addresses| first(addresses).filter(|_| config.s2s.enabled);
        let https = match config.public.https_port {
            0 => first(&listen.https),
            port => Some(port).filter(|_| !listen.https.is_empty()),
        };
        Ports {
            c2s: first(&listen.c2s),
            c2s_tls: first(&listen.c2s_tls),
            s2s: others(&listen.s2s),
            s2s_tls: others(&listen.s2s_tls),
            https,
            stun: first(&listen.stun),
            turn_tls: first(&listen.turn_tls),
        }
    }
}

/// What the zone should say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// In the order in which they are written: what others point to comes first; what binds others, the CAA
    /// record, is last.
    pub records: Vec<Record>,
    /// Names and kinds of which nothing is known now: ours stay as they are.
    pub spared: Vec<(String, &'static str)>,
}

/// Every record that should be there.
pub fn desired(
    config: &Config,
    ports: Ports,
    outside: Outside,
    issuers: &Seen<Vec<Issuer>>,
) -> Wanted {
    let domain = config.domain.as_str();
    let outside = outside.as_published(config);
    let (mut records, mut spared) = (Vec::new(), Vec::new());
    match outside.ipv6 {
        Seen::At(address) => records.push(Record::new(domain, ADDRESS_TTL_S, Data::Aaaa(address))),
        Seen::Unknown => spared.push((domain.to_owned(), "AAAA")),
        Seen::Nowhere => {}
    }
    match outside.ipv4 {
        Seen::At(address) => records.push(Record::new(domain, ADDRESS_TTL_S, Data::A(address))),
        Seen::Unknown => spared.push((domain.to_owned(), "A")),
        Seen::Nowhere => {}
    }
    for name in component_names(config) {
        records.push(Record::new(
            name,
            RECORD_TTL_S,
            Data::Cname(domain.to_owned()),
        ));
    }
    for service in services(config, ports) {
        records.extend(service.records(domain));
    }
    match issuers {
        Seen::At(issuers) => {
            let all = issuers.iter().map(|issuer| Data::Caa {
                flags: 0,
                tag: "issue".to_owned(),
                value: format!("{}; accounturi={}", issuer.domain, issuer.account),
            });
            records.extend(all.map(|data| Record::new(domain, RECORD_TTL_S, data)));
        }
        Seen::Unknown => spared.push((domain.to_owned(), "CAA")),
        Seen::Nowhere => {}
    }
    Wanted { records, spared }
}

/// The names of `[names]`, whole.
fn component_names(config: &Config) -> [String; 4] {
    let names = &config.names;
    [&names.rooms, &names.upload, &names.proxy, &names.pubsub]
        .map(|name| format!("{name}.{}", config.domain))
}

/// A service and where it is.
struct Service {
    /// `_service._proto.domain`.
    name: String,
    /// Priority, weight and port.
    places: Vec<(u16, u16, u16)>,
    /// Where nobody is there, that is said (RFC 2782, "Target"): others would look at the domain itself
    /// (RFC 6120 §3.2.2, XEP-0368).
    is_said_when_absent: bool,
}

impl Service {
    fn records(self, host: &str) -> Vec<Record> {
        let srv = |(priority, weight, port), target: &str| {
            let target = target.to_owned();
            let data = Data::Srv {
                priority,
                weight,
                port,
                target,
            };
            Record::new(self.name.as_str(), RECORD_TTL_S, data)
        };
        if self.places.is_empty() && self.is_said_when_absent {
            return vec![srv((0, 0, 0), "")];
        }
        self.places.iter().map(|&place| srv(place, host)).collect()
    }
}

fn services(config: &Config, ports: Ports) -> Vec<Service> {
    let (domain, listen) = (&config.domain, &config.listen);
    let service = |name: &str, of: &str, places: &[Option<(u16, u16, u16)>], off: bool| Service {
        name: format!("{name}.{of}"),
        places: places.iter().copied().flatten().collect(),
        is_said_when_absent: off,
    };
    let at = |priority, weight, port: Option<u16>| port.map(|port| (priority, weight, port));
    let no_clients = listen.c2s_tls.is_empty() && listen.https.is_empty();
    let no_others = !config.s2s.enabled;
    let mut all = vec![
        service(
            "_xmpps-client._tcp",
            domain,
            &[at(5, 1, ports.https), at(10, 1, ports.c2s_tls)],
            no_clients,
        ),
        service(
            "_xmpp-client._tcp",
            domain,
            &[at(20, 1, ports.c2s)],
            listen.c2s.is_empty(),
        ),
    ];
    // Those of other servers look for rooms under the rooms' own name.
    for of in [domain, &format!("{}.{domain}", config.names.rooms)] {
        all.push(service(
            "_xmpps-server._tcp",
            of,
            &[at(5, 1, ports.s2s_tls)],
            no_others || listen.s2s_tls.is_empty(),
        ));
        all.push(service(
            "_xmpp-server._tcp",
            of,
            &[at(10, 1, ports.s2s)],
            no_others || listen.s2s.is_empty(),
        ));
    }
    all.push(service(
        "_stun._udp",
        domain,
        &[at(0, 0, ports.stun)],
        false,
    ));
    all.push(service(
        "_turn._udp",
        domain,
        &[at(0, 0, ports.stun)],
        false,
    ));
    all.push(service(
        "_turns._tcp",
        domain,
        &[at(0, 0, turns(ports))],
        false,
    ));
    all
}

/// Where relays are asked for over TLS: on 443 where the web is there, which every network lets through.
fn turns(ports: Ports) -> Option<u16> {
    let relay = ports.turn_tls.or(ports.stun)?;
    let web = ports.https.filter(|port| *port == 443);
    web.or(ports.turn_tls)
        .or(ports.https)
        .filter(|_| relay != 0)
}

#[cfg(test)]
mod tests;
