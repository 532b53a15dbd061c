//! The ports: what each one accepts, and how many may be at the door at once.
//!
//! A connection goes through up to four steps before it is somebody's: the gate counts it, a proxy says whose
//! it is, TLS is made, and its first bytes may have to tell what it is for. Each has its time; nobody is held
//! without limit.

mod first_bytes;
mod gate;
mod http;
pub mod limits;
mod port;
mod proxy;
mod relay;
mod stream;
mod tls_port;
mod web;

pub(crate) use gate::Admission;
pub use http::{HttpConnection, Secured, Web};
pub use relay::{Relay, RelayConnection, Stranger};
pub use stream::ByteStream;
pub use tls_port::Protocol;
pub use web::{Admitted, ClientDoor};

use crate::{
    bytestreams::limits::IDLE_MS_MAX,
    limits::{DEAD_LINE_MS, SHUTDOWN_MS_MAX},
    s2s::dial::limits::SERVER_DEAD_LINE_MS,
    server::Server,
    tls::Tls,
    transport::tcp::House,
};
use gate::Gate;
use household::Config;
use limits::PORTS_TRIED;
use port::Port;
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tls_port::{C2S_TLS, HTTPS, S2S_TLS, TURN_TLS, TlsPort};
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::{mpsc, watch},
    time::timeout,
};

/// What all ports share: the server behind them, the certificate, and how many may wait.
pub struct Entrance {
    house: Arc<House>,
    gate: Arc<Gate>,
    web: Arc<dyn Web>,
    relay: Arc<dyn Relay>,
}

/// An address that the configuration wants to be listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The name in `[listen]`.
    pub name: &'static str,
    /// Port 0 is any.
    pub address: SocketAddr,
    who: Who,
}

/// A bound socket that nobody was accepted from yet.
pub struct Listener {
    opening: Opening,
    address: SocketAddr,
    socket: TcpListener,
    /// At the same port, where it is for datagrams, too.
    datagrams: Option<UdpSocket>,
}

/// Who comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// A client, STARTTLS.
    Client,
    /// Another server, STARTTLS.
    Server,
    Component,
    /// Files from app to app.
    Bytestream,
    /// HTTP in the clear.
    Http,
    /// STUN and TURN in the clear, over UDP, too.
    Relay,
    /// Whoever TLS says.
    Tls(&'static TlsPort),
}

impl Who {
    /// Milliseconds after which a line counts as broken on which nothing is acknowledged. Servers and
    /// components have better ones than phones, and what went into theirs soon counts as there.
    fn dead_line_ms(self) -> u32 {
        match self {
            Who::Server | Who::Component => SERVER_DEAD_LINE_MS,
            Who::Bytestream => IDLE_MS_MAX, // apps may be paused for that long
            Who::Client | Who::Http | Who::Relay | Who::Tls(_) => DEAD_LINE_MS,
        }
    }
}

/// Why an address cannot be listened on: a sentence that names key and value.
#[derive(Debug)]
pub struct ListenError {
    name: &'static str,
    address: SocketAddr,
    error: io::Error,
}

/// Every address of `[listen]` that is to be open. A house that does not talk to others has none for them,
/// and one without external components none for those.
pub fn openings(config: &Config) -> Vec<Opening> {
    let listen = &config.listen;
    let (others, components) = (config.s2s.enabled, !config.components.is_empty());
    let rows = [
        ("c2s", Who::Client, &listen.c2s, true),
        ("c2s_tls", Who::Tls(&C2S_TLS), &listen.c2s_tls, true),
        ("s2s", Who::Server, &listen.s2s, others),
        ("s2s_tls", Who::Tls(&S2S_TLS), &listen.s2s_tls, others),
        ("component", Who::Component, &listen.component, components),
        ("https", Who::Tls(&HTTPS), &listen.https, true),
        ("http", Who::Http, &listen.http, true),
        ("proxy65", Who::Bytestream, &listen.proxy65, true),
        ("stun", Who::Relay, &listen.stun, true),
        ("turn_tls", Who::Tls(&TURN_TLS), &listen.turn_tls, true),
    ];
    let open = rows.into_iter().filter(|(.., is_open)| *is_open);
    open.flat_map(|(name, who, addresses, _)| {
        addresses
            .iter()
            .map(move |&address| Opening { name, address, who })
    })
    .collect()
}

impl Opening {
    /// Binds it. `[::]` stands for both families, also on a machine that has no IPv6.
    pub async fn bind(self) -> Result<Listener, ListenError> {
        let wanted = self.address;
        let fault = |error| ListenError {
            name: self.name,
            address: wanted,
            error,
        };
        let mut attempts = if wanted.port() == 0 { PORTS_TRIED } else { 1 };
        loop {
            attempts -= 1;
            let bound = match TcpListener::bind(wanted).await {
                Err(error) if lacks_ipv6(&error) && wanted.ip() == IpAddr::from([0u16; 8]) => {
                    TcpListener::bind((Ipv4Addr::UNSPECIFIED, wanted.port())).await
                }
                bound => bound,
            };
            let socket = bound.map_err(fault)?;
            let address = socket.local_addr().map_err(fault)?;
            let datagrams = match self.who {
                Who::Relay => match UdpSocket::bind(address).await {
                    // The port that was chosen for one is not free for the other.
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {
                        continue;
                    }
                    bound => Some(bound.map_err(fault)?),
                },
                _ => None,
            };
            return Ok(Listener {
                opening: self,
                address,
                socket,
                datagrams,
            });
        }
    }
}

/// What every URL of this house begins with: the domain, and the port that people outside reach; `None` where
/// there is none. `bound` is the port of the first https listener.
pub fn web_address(config: &Config, bound: Option<u16>) -> Option<String> {
    let port = web_port(config, bound)?;
    let host = idna::domain_to_ascii(&config.domain).unwrap_or_else(|_| config.domain.clone());
    Some(match port {
        443 => format!("https://{host}"),
        port => format!("https://{host}:{port}"),
    })
}

/// The port of https that people outside reach, likewise.
pub(crate) fn web_port(config: &Config, bound: Option<u16>) -> Option<u16> {
    match config.public.https_port {
        0 => bound,
        public => Some(public),
    }
}

fn lacks_ipv6(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    )
}

impl Entrance {
    /// `web` serves HTTP on every port where it is spoken, and `relay` STUN and TURN.
    pub fn new(
        server: Arc<Server>,
        tls: Arc<Tls>,
        web: Arc<dyn Web>,
        relay: Arc<dyn Relay>,
    ) -> Arc<Entrance> {
        Arc::new(Entrance {
            house: Arc::new(House::new(server, tls)),
            gate: Arc::new(Gate::default()),
            web,
            relay,
        })
    }
}

impl Listener {
    /// Where it is bound, with the port that was chosen where the configuration said 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts connections until `stop` turns true; then lets them take their last words and ends.
    pub async fn serve(self, entrance: Arc<Entrance>, stop: watch::Receiver<bool>) {
        // Each connection holds a clone; when all are gone the channel says so.
        let (alive, mut all_gone) = mpsc::channel::<()>(1);
        if let Some(datagrams) = self.datagrams {
            let serve = entrance.relay.serve_datagrams(datagrams, stop.clone());
            let alive = alive.clone();
            tokio::spawn(async move {
                serve.await;
                drop(alive);
            });
        }
        let port = Port {
            name: self.opening.name,
            who: self.opening.who,
            entrance,
            stop,
            alive,
        };
        port.accept(self.socket).await;
        drop(port);
        let _ = timeout(Duration::from_millis(SHUTDOWN_MS_MAX), all_gone.recv()).await;
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listen.{} = \"{}\": ", self.name, self.address)?;
        match self.error.kind() {
            io::ErrorKind::AddrInUse => {
                f.write_str("another program is there; stop it or choose another port")
            }
            io::ErrorKind::PermissionDenied => {
                f.write_str("the system does not allow this port; choose one above 1023")
            }
            io::ErrorKind::AddrNotAvailable => {
                f.write_str("this machine does not have this address; choose one it has")
            }
            _ => write!(f, "cannot listen here: {}", self.error),
        }
    }
}

impl std::error::Error for ListenError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s2s::limits::REMOTE_SETTLE_MS;
    use expect_test::{Expect, expect};

    fn check(kind: io::ErrorKind, expected: Expect) {
        let address = "[::]:5222".parse().unwrap();
        expected.assert_eq(
            &ListenError {
                name: "c2s",
                address,
                error: kind.into(),
            }
            .to_string(),
        );
    }

    #[test]
    fn what_went_to_a_server_does_not_count_as_there_on_a_dead_line() {
        for (who, soon) in [
            (Who::Client, false),
            (Who::Server, true),
            (Who::Http, false),
            (Who::Component, true),
        ] {
            let dead = u64::from(who.dead_line_ms());
            assert_eq!(dead < REMOTE_SETTLE_MS, soon);
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        check(
            io::ErrorKind::AddrInUse,
            expect![[
                r#"listen.c2s = "[::]:5222": another program is there; stop it or choose another port"#
            ]],
        );
    }

    #[test]
    fn urls_have_the_domain_and_the_port_that_is_seen_outside() {
        for (domain, public, bound, expected) in [
            (
                "home.example",
                0,
                Some(8443),
                Some("https://home.example:8443"),
            ),
            ("home.example", 0, Some(443), Some("https://home.example")),
            (
                "home.example",
                443,
                Some(8443),
                Some("https://home.example"),
            ),
            ("home.example", 444, None, Some("https://home.example:444")),
            ("home.example", 0, None, None),
            (
                "bücher.example",
                443,
                None,
                Some("https://xn--bcher-kva.example"),
            ),
        ] {
            let mut config = Config::default();
            domain.clone_into(&mut config.domain);
            config.public.https_port = public;
            assert_eq!(web_address(&config, bound).as_deref(), expected);
        }
    }

    #[test]
    fn nobody_listens_for_others_that_are_not_wanted() {
        let names = |config: &Config| {
            let mut names: Vec<_> = openings(config)
                .iter()
                .map(|opening| opening.name)
                .collect();
            names.dedup();
            names.join(" ")
        };
        let mut config = Config::default();
        let always = "https http proxy65 stun turn_tls";
        assert_eq!(names(&config), format!("c2s c2s_tls s2s s2s_tls {always}"));
        config.s2s.enabled = false;
        assert_eq!(names(&config), format!("c2s c2s_tls {always}"));
    }
}
