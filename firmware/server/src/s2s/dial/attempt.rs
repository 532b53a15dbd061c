//! Lookups and attempts under way, and the addresses that wait for one (RFC 8305 §3 to §5, XEP-0495 §4).
//!
//! State: [`Attempts`], of one dialling. What runs ends when it is dropped.

use super::{
    Dialed, Inner,
    fault::Fault,
    limits::{ATTEMPTS_MAX, SERVER_DEAD_LINE_MS},
};
use crate::s2s::{
    dane::Tlsa,
    resolve::{Endpoint, Family, Host, NoAnswer},
};
use rustix::net::sockopt::set_tcp_user_timeout;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{Instant, timeout},
};

/// The order of attempts: host after host, and of one host the families in turn, IPv6 first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// Number of the place, in order.
    pub(super) endpoint: usize,
    /// Number of the address in its answer.
    pub(super) place: usize,
    pub(super) family: Family,
}

/// An address to connect to.
#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) address: SocketAddr,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) tlsa: Vec<Tlsa>,
}

/// What became of a lookup.
pub(super) struct Looked {
    /// Number of the place, in order.
    pub(super) number: usize,
    pub(super) endpoint: Arc<Endpoint>,
    /// `None`: both.
    family: Option<Family>,
    pub(super) outcome: Result<Host, NoAnswer>,
}

/// What ended.
pub(super) enum Event {
    Connected(Candidate, TcpStream),
    Failed(Candidate, io::Error),
    Looked(Looked),
    /// Something that was called off.
    Nothing,
}

#[derive(Default)]
pub(super) struct Attempts {
    /// Places looked up until now.
    places: usize,
    looking: JoinSet<Looked>,
    /// The best rank that each of these can bring.
    expected: BTreeSet<Rank>,
    ready: BTreeMap<Rank, Candidate>,
    /// Since when the first of these is there.
    ready_since: Option<Instant>,
    trying: JoinSet<(Rank, io::Result<TcpStream>)>,
    tried: BTreeMap<Rank, Candidate>,
}

impl Attempts {
    /// Nothing runs and nothing waits.
    pub(super) fn are_over(&self) -> bool {
        self.looking.is_empty() && self.ready.is_empty() && self.trying.is_empty()
    }

    /// Looks up a host: each family on its own, or both at once where proofs are needed.
    pub(super) fn look_up(&mut self, inner: &Arc<Inner>, endpoint: &Arc<Endpoint>) {
        let number = self.places;
        self.places += 1;
        let families: &[Option<Family>] = if endpoint.secure {
            &[None]
        } else {
            &[Some(Family::V6), Some(Family::V4)]
        };
        for family in families.iter().copied() {
            self.expected.insert(best(number, family));
            let (inner, endpoint) = (inner.clone(), endpoint.clone());
            self.looking.spawn(async move {
                let host = &endpoint.host;
                let outcome = match family {
                    None => inner.resolver.host(host, endpoint.port).await,
                    Some(family) => {
                        let addresses = inner.resolver.addresses(host, family).await;
                        addresses.map(|addresses| Host {
                            addresses,
                            ..Host::default()
                        })
                    }
                };
                Looked {
                    number,
                    endpoint,
                    family,
                    outcome,
                }
            });
        }
    }

    /// What a lookup of a host would find that is an address.
    pub(super) fn known(&mut self, endpoint: Arc<Endpoint>, address: IpAddr) -> Looked {
        self.places += 1;
        Looked {
            number: self.places - 1,
            endpoint,
            family: None,
            outcome: Ok(Host {
                addresses: vec![address],
                ..Host::default()
            }),
        }
    }

    /// The next attempt or lookup that ended. Never, if none is under way.
    pub(super) async fn event(&mut self) -> Event {
        tokio::select! {
            biased;
            Some(ended) = self.trying.join_next() => match ended {
                Ok((rank, outcome)) => match (self.tried.remove(&rank), outcome) {
                    (Some(candidate), Ok(tcp)) => Event::Connected(candidate, tcp),
                    (Some(candidate), Err(error)) => Event::Failed(candidate, error),
                    (None, _) => Event::Nothing,
                },
                Err(_) => Event::Nothing,
            },
            Some(ended) = self.looking.join_next() => match ended {
                Ok(looked) => {
                    self.expected.remove(&best(looked.number, looked.family));
                    Event::Looked(looked)
                }
                Err(_) => Event::Nothing,
            },
            else => pending().await,
        }
    }

    /// An address waits for its turn.
    pub(super) fn add(&mut self, rank: Rank, candidate: Candidate) {
        self.ready.insert(rank, candidate);
        self.ready_since.get_or_insert_with(Instant::now);
    }

    /// When the first of those that wait may begin, not before `pace`: while a better one may still come,
    /// `delay` after the first came. `None` if none can.
    pub(super) fn start(&self, pace: Instant, delay: Duration) -> Option<Instant> {
        let (first, _) = self.ready.first_key_value()?;
        if self.trying.len() >= ATTEMPTS_MAX {
            return None;
        }
        let better = self.expected.first().is_some_and(|rank| rank < first);
        let since = self
            .ready_since
            .filter(|_| better && !self.looking.is_empty());
        Some(since.map_or(pace, |since| pace.max(since + delay)))
    }

    /// Begins to connect to the first of those that wait.
    pub(super) fn begin(&mut self, patience: Duration) {
        if let Some((rank, candidate)) = self.ready.pop_first() {
            let address = candidate.address;
            self.tried.insert(rank, candidate);
            self.trying.spawn(async move {
                let outcome = timeout(patience, connect(address)).await;
                (rank, outcome.unwrap_or(Err(io::ErrorKind::TimedOut.into())))
            });
        }
        if self.ready.is_empty() {
            self.ready_since = None;
        }
    }

    /// Ends the attempts under way; their addresses wait for their turn again.
    pub(super) fn withdraw(&mut self) {
        self.trying = JoinSet::new();
        self.ready.append(&mut self.tried);
        self.ready_since = (!self.ready.is_empty()).then(Instant::now);
    }
}

/// The best rank of a lookup.
fn best(endpoint: usize, family: Option<Family>) -> Rank {
    Rank {
        endpoint,
        place: 0,
        family: family.unwrap_or(Family::V6),
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // Stanzas are small, and somebody waits for each.
    socket.set_nodelay(true)?;
    set_tcp_user_timeout(&socket, SERVER_DEAD_LINE_MS)?;
    socket.connect(address).await
}

impl Candidate {
    pub(super) fn dialed(self, tcp: TcpStream) -> Dialed {
        Dialed {
            tcp,
            address: self.address,
            direct: self.endpoint.direct,
            host: self.endpoint.host.clone(),
            dnssec: self.endpoint.secure,
            tlsa: self.tlsa,
        }
    }

    pub(super) fn fault(&self, error: &io::Error) -> Fault {
        Fault::Connection(self.endpoint.host.clone(), self.address, error.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::tcp_user_timeout;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_line_that_broke_is_found_soon() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(tcp.nodelay().unwrap());
        assert_eq!(tcp_user_timeout(&tcp).unwrap(), SERVER_DEAD_LINE_MS);
    }
}
