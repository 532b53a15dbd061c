//! What is handed to those who relay calls: connections on which STUN and TURN are spoken, and the sockets
//! for datagrams.

use super::{gate::Admission, stream::ByteStream};
use std::{
    net::{IpAddr, SocketAddr},
    pin::Pin,
};
use tokio::{net::UdpSocket, sync::watch};

/// Whoever relays. The ports know nothing of it but this.
pub trait Relay: Send + Sync {
    /// Serves one connection to its end.
    fn serve(&self, connection: RelayConnection) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Serves whoever writes to this socket until `stop` turns true; its sender gone means the same.
    fn serve_datagrams(
        &self,
        socket: UdpSocket,
        stop: watch::Receiver<bool>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// A connection of a client that wants to be relayed.
pub struct RelayConnection {
    pub stream: ByteStream,
    pub peer: SocketAddr,
    /// The address of ours that it reached.
    pub came_to: Option<IpAddr>,
    /// To be dropped when the peer is known.
    pub stranger: Stranger,
    /// Turns true when the server shuts down; its sender gone means the same.
    pub stop: watch::Receiver<bool>,
}

/// Somebody of whom it is not known yet who they are: counts as one for as long as it lives.
#[derive(Default)]
pub struct Stranger {
    /// `None`: nobody counts them.
    _admission: Option<Admission>,
}

impl From<Admission> for Stranger {
    fn from(admission: Admission) -> Stranger {
        Stranger {
            _admission: Some(admission),
        }
    }
}
