//! One listener at work: who is let in, and whose they are then.

use super::{
    Admission, Entrance, Who,
    http::{HttpConnection, Secured},
    proxy,
    relay::RelayConnection,
    stream::ByteStream,
    tls_port::{Entry, Opened, Protocol},
};
use crate::{
    bytestreams::{self, Visit},
    component::Component,
    connection::{Connection, Door, Peer},
    limits::ACCEPT_PAUSE_MS,
    s2s::{Link, dial::limits::SERVER_DEAD_LINE_MS},
    transport::{
        Driven,
        socket::Socket,
        tcp::{self, Serving},
    },
};
use rustix::net::sockopt::set_tcp_user_timeout;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::sleep,
};
use tracing::{debug, warn};

/// What each connection of one listener is received with.
#[derive(Clone)]
pub(super) struct Port {
    /// Of the listener, in `[listen]`.
    pub(super) name: &'static str,
    pub(super) who: Who,
    pub(super) entrance: Arc<Entrance>,
    /// Turns true when the server shuts down; its sender gone means the same.
    pub(super) stop: watch::Receiver<bool>,
    /// Held by each connection.
    pub(super) alive: mpsc::Sender<()>,
}

/// A peer that may come in.
struct Arrival {
    peer: SocketAddr,
    admission: Admission,
}

/// What it comes over.
enum Line {
    Clear(TcpStream),
    Secured(Opened),
}

impl Port {
    /// Accepts until it is told to stop.
    pub(super) async fn accept(&self, socket: TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stopped() => return,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((tcp, from)) => self.admit(tcp, proxy::canonical(from)),
                Err(error) if is_about_the_peer(&error) => {}
                // Out of file descriptors or memory: they come back as connections end.
                Err(error) => {
                    warn!(listener = self.name, %error, "no connections can be accepted for a moment");
                    sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                }
            }
        }
    }

    async fn stopped(&self) {
        let _ = self.stop.clone().wait_for(|stop| *stop).await;
    }

    fn admit(&self, tcp: TcpStream, from: SocketAddr) {
        let is_proxy = self.is_proxy(from.ip());
        let gate = &self.entrance.gate;
        let admission = if is_proxy {
            gate.admit_proxy()
        } else {
            gate.admit(from.ip())
        };
        let Some(admission) = admission else {
            return debug!(address = %from.ip(), "too many connections that have not authenticated");
        };
        // Stanzas are small, and everything that waits is written at once.
        if tcp.set_nodelay(true).is_err()
            || set_tcp_user_timeout(&tcp, self.who.dead_line_ms()).is_err()
        {
            return;
        }
        let arrival = Arrival {
            peer: from,
            admission,
        };
        if is_proxy || matches!(self.who, Who::Tls(_)) {
            // A task of its own, which is gone when it is known whose the connection is: an idle session
            // keeps nothing of it.
            let port = self.clone();
            tokio::spawn(async move { port.receive(tcp, arrival, is_proxy).await });
        } else {
            self.hand_on(Line::Clear(tcp), arrival);
        }
    }

    /// Whether a connection from there is somebody else's. Components come directly: they and a proxy of the
    /// house are often on the same machine.
    fn is_proxy(&self, address: IpAddr) -> bool {
        let config = self.entrance.house.server.config();
        let mut proxies = config.proxy_protocol.from.iter();
        self.who != Who::Component && proxies.any(|network| network.contains(address))
    }

    async fn receive(&self, tcp: TcpStream, arrival: Arrival, is_proxy: bool) {
        let from = arrival.peer.ip();
        let opened = tokio::select! {
            biased;
            () = self.stopped() => return,
            opened = self.open(tcp, arrival, is_proxy) => opened,
        };
        match opened {
            Ok((line, arrival)) => self.hand_on(line, arrival),
            Err(error) => debug!(listener = self.name, address = %from, %error, "not let in"),
        }
    }

    async fn open(
        &self,
        mut tcp: TcpStream,
        mut arrival: Arrival,
        is_proxy: bool,
    ) -> io::Result<(Line, Arrival)> {
        if is_proxy && let Some(peer) = proxy::read(&mut tcp).await? {
            arrival.peer = peer;
        }
        if is_proxy {
            let admission = self.entrance.gate.admit(arrival.peer.ip());
            arrival.admission = admission.ok_or_else(|| {
                io::Error::other("too many connections that have not authenticated")
            })?;
        }
        let line = match self.who {
            Who::Tls(port) => {
                let house = &self.entrance.house;
                let entry = Entry {
                    port,
                    tls: &house.tls,
                    with_servers: house.server.config().s2s.enabled,
                };
                Line::Secured(entry.open(tcp).await?)
            }
            Who::Client
            | Who::Server
            | Who::Component
            | Who::Bytestream
            | Who::Http
            | Who::Relay => Line::Clear(tcp),
        };
        Ok((line, arrival))
    }

    /// It is known what the connection is for.
    fn hand_on(&self, line: Line, arrival: Arrival) {
        let server = self.entrance.house.server.clone();
        let address = arrival.peer.ip();
        match (self.who, line) {
            (Who::Client, line) => {
                let door = Door::StartTls;
                self.run(
                    Connection::new(server, Peer { address, door }),
                    line,
                    arrival,
                );
            }
            (Who::Server, line) => self.run(Link::called(server, address, false), line, arrival),
            (Who::Component, line) => self.run(Component::new(server, address), line, arrival),
            (Who::Bytestream, Line::Clear(tcp)) => self.run_bytestream(tcp, arrival),
            (Who::Bytestream, Line::Secured(_)) => {} // nobody makes one there
            (Who::Relay, Line::Clear(tcp)) => self.run_relay(tcp.into(), arrival),
            (Who::Http | Who::Tls(_), Line::Clear(tcp)) => self.run_http(tcp.into(), None, arrival),
            (Who::Http | Who::Relay | Who::Tls(_), Line::Secured(opened)) => {
                match opened.protocol {
                    Protocol::Client => {
                        let door = Door::DirectTls;
                        let connection = Connection::new(server, Peer { address, door });
                        self.run(connection, Line::Secured(opened), arrival);
                    }
                    Protocol::Server => {
                        let (tcp, _) = opened.tls.get_ref();
                        // As on the port that is theirs alone; where that fails the line is gone already.
                        let _ = set_tcp_user_timeout(tcp, SERVER_DEAD_LINE_MS);
                        let link = Link::called(server, address, true);
                        self.run(link, Line::Secured(opened), arrival);
                    }
                    Protocol::Http2 | Protocol::Http1 => {
                        let (stream, secured) = opened.into_http();
                        self.run_http(stream, Some(secured), arrival);
                    }
                    Protocol::Turn => {
                        self.run_relay(ByteStream::secured(opened.tls, opened.first), arrival);
                    }
                }
            }
        }
    }

    fn run<S: Driven + 'static>(&self, mut stream: S, line: Line, arrival: Arrival) {
        let socket = match line {
            Line::Clear(tcp) => Socket::Clear(tcp),
            Line::Secured(opened) => {
                stream.secured(&opened.identity, &opened.tls);
                stream.push(&opened.first);
                Socket::Secured(opened.tls)
            }
        };
        let how = Serving {
            address: arrival.peer.ip(),
            direct: false,
            admission: Some(arrival.admission),
            stop: self.stop.clone(),
        };
        self.spawn(tcp::serve(self.entrance.house.clone(), socket, stream, how));
    }

    /// Whoever relays says when the peer is no stranger any more.
    fn run_relay(&self, stream: ByteStream, arrival: Arrival) {
        let serve = self.entrance.relay.serve(RelayConnection {
            came_to: stream.local_ip(),
            stream,
            peer: arrival.peer,
            stranger: arrival.admission.into(),
            stop: self.stop.clone(),
        });
        self.spawn(serve);
    }

    fn run_bytestream(&self, tcp: TcpStream, arrival: Arrival) {
        let serve = bytestreams::serve(
            self.entrance.house.server.clone(),
            Visit {
                tcp,
                address: arrival.peer.ip(),
                admission: arrival.admission,
                stop: self.stop.clone(),
            },
        );
        self.spawn(serve);
    }

    /// From here on those who serve HTTP count whom they serve.
    fn run_http(&self, stream: ByteStream, secured: Option<Secured>, arrival: Arrival) {
        drop(arrival.admission);
        let serve = self.entrance.web.serve(HttpConnection {
            stream,
            peer: arrival.peer,
            secured,
            stop: self.stop.clone(),
        });
        self.spawn(serve);
    }

    fn spawn<T>(&self, serve: impl Future<Output = T> + Send + 'static) {
        let alive = self.alive.clone();
        tokio::spawn(async move {
            drop(serve.await);
            drop(alive);
        });
    }
}

fn is_about_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}
