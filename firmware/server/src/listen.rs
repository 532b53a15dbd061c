//! The ports: what each one accepts, and how many may be at the door at once.

mod gate;
mod web;

pub(crate) use gate::Admission;
pub use web::ClientDoor;

use crate::{
    component::Component,
    connection::{Connection, Door, Peer},
    limits::{ACCEPT_PAUSE_MS, DEAD_LINE_MS, SHUTDOWN_MS_MAX},
    s2s::{Link, dial::limits::SERVER_DEAD_LINE_MS},
    server::Server,
    tls::Tls,
    transport::{
        socket::Socket,
        tcp::{self, House, Serving},
    },
};
use gate::Gate;
use household::config::Listen;
use rustix::net::sockopt::set_tcp_user_timeout;
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tracing::{debug, warn};

/// Bound sockets that nobody was accepted from yet.
pub struct Listeners {
    open: Vec<Open>,
}

struct Open {
    name: &'static str,
    who: Who,
    address: SocketAddr,
    socket: TcpListener,
}

/// Who comes in.
#[derive(Clone, Copy)]
enum Who {
    Client(Door),
    /// Another server; whether with TLS from the first byte (XEP-0368).
    Server {
        direct: bool,
    },
    Component,
}

impl Who {
    /// Milliseconds after which a line counts as broken on which nothing is acknowledged. Servers have better
    /// ones than phones, and what went into theirs soon counts as there.
    fn dead_line_ms(self) -> u32 {
        match self {
            Who::Client(_) | Who::Component => DEAD_LINE_MS,
            Who::Server { .. } => SERVER_DEAD_LINE_MS,
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

/// Binds every address of `[listen]` that clients, other servers and components use.
pub async fn bind(listen: &Listen) -> Result<Listeners, ListenError> {
    let mut open = Vec::new();
    let doors = [
        ("c2s", Who::Client(Door::StartTls), &listen.c2s),
        ("c2s_tls", Who::Client(Door::DirectTls), &listen.c2s_tls),
        ("s2s", Who::Server { direct: false }, &listen.s2s),
        ("s2s_tls", Who::Server { direct: true }, &listen.s2s_tls),
        ("component", Who::Component, &listen.component),
    ];
    for (name, who, addresses) in doors {
        for &wanted in addresses {
            let socket = bind_one(name, wanted).await?;
            let address = socket.local_addr().map_err(|error| ListenError {
                name,
                address: wanted,
                error,
            })?;
            open.push(Open {
                name,
                who,
                address,
                socket,
            });
        }
    }
    Ok(Listeners { open })
}

/// Binds one address of `[listen]`, of whatever speaks there. `[::]` stands for both families, also on a
/// machine that has no IPv6.
pub async fn bind_one(name: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    let bound = match TcpListener::bind(address).await {
        Err(error) if lacks_ipv6(&error) && address.ip() == IpAddr::from([0u16; 8]) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    };
    bound.map_err(|error| ListenError {
        name,
        address,
        error,
    })
}

fn lacks_ipv6(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    )
}

impl Listeners {
    /// Name in `[listen]` and address, resolved where the configuration said port 0.
    pub fn addresses(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        self.open.iter().map(|open| (open.name, open.address))
    }

    /// Accepts connections, and makes those to other servers, until `stop` turns true; then lets them take
    /// their last words and ends.
    pub async fn serve(self, server: Arc<Server>, tls: Arc<Tls>, stop: watch::Receiver<bool>) {
        let house = Arc::new(House::new(server, tls));
        let gate = Arc::new(Gate::default());
        // Each connection holds a clone; when all are gone the channel says so.
        let (alive, mut all_gone) = mpsc::channel::<()>(1);
        for open in self.open {
            let port = Port {
                open,
                house: house.clone(),
                gate: gate.clone(),
                stop: stop.clone(),
            };
            tokio::spawn(port.accept(alive.clone()));
        }
        drop(alive);
        let mut stop = stop;
        // The sender gone means the same as the word.
        let _ = stop.wait_for(|stop| *stop).await;
        let _ = timeout(Duration::from_millis(SHUTDOWN_MS_MAX), all_gone.recv()).await;
    }
}

struct Port {
    open: Open,
    house: Arc<House>,
    gate: Arc<Gate>,
    stop: watch::Receiver<bool>,
}

impl Port {
    async fn accept(mut self, alive: mpsc::Sender<()>) {
        loop {
            let accepted = tokio::select! {
                biased;
                _ = self.stop.wait_for(|stop| *stop) => return,
                accepted = self.open.socket.accept() => accepted,
            };
            match accepted {
                Ok((tcp, from)) => self.admit(tcp, from.ip().to_canonical(), &alive),
                Err(error) if is_about_the_peer(&error) => {}
                // Out of file descriptors or memory: they come back as connections end.
                Err(error) => {
                    warn!(listener = self.open.name, %error, "no connections can be accepted for a moment");
                    sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                }
            }
        }
    }

    fn admit(&self, tcp: TcpStream, address: IpAddr, alive: &mpsc::Sender<()>) {
        let Some(admission) = self.gate.admit(address) else {
            debug!(%address, "too many connections that have not authenticated");
            return;
        };
        // Stanzas are small, and everything that waits is written at once.
        let dead = self.open.who.dead_line_ms();
        if tcp.set_nodelay(true).is_err() || set_tcp_user_timeout(&tcp, dead).is_err() {
            return;
        }
        let (house, alive) = (self.house.clone(), alive.clone());
        let server = house.server.clone();
        let how = |direct| Serving {
            address,
            direct,
            admission: Some(admission),
            stop: self.stop.clone(),
        };
        match self.open.who {
            Who::Client(door) => {
                let connection = Connection::new(server, Peer { address, door });
                let serve = tcp::serve(
                    house,
                    Socket::Clear(tcp),
                    connection,
                    how(door == Door::DirectTls),
                );
                tokio::spawn(async move {
                    serve.await;
                    drop(alive);
                });
            }
            Who::Server { direct } => {
                let link = Link::called(server, address, direct);
                let serve = tcp::serve(house, Socket::Clear(tcp), link, how(direct));
                tokio::spawn(async move {
                    serve.await;
                    drop(alive);
                });
            }
            Who::Component => {
                let component = Component::new(server, address);
                let serve = tcp::serve(house, Socket::Clear(tcp), component, how(false));
                tokio::spawn(async move {
                    serve.await;
                    drop(alive);
                });
            }
        }
    }
}

fn is_about_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
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
            (Who::Client(Door::StartTls), false),
            (Who::Server { direct: false }, true),
            (Who::Server { direct: true }, true),
            (Who::Component, false),
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
}
