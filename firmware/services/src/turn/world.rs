//! What the core is handed instead of reaching for it (house rule 9): time, randomness, sockets, and how this
//! machine looks from outside.

use super::wire::Family;
use std::{
    hash::Hash,
    net::{IpAddr, SocketAddr},
};

/// The number of an allocation; none is given twice.
pub(super) type Id = u64;

/// The way to a client and back: what the RFC calls the 5-tuple. Equal ones are one.
pub(super) trait Line: Clone + Eq + Hash {
    fn client(&self) -> SocketAddr;
    /// The address of ours that the client wrote to, where the system said so.
    fn came_to(&self) -> Option<IpAddr>;
    /// TCP or TLS: nobody else can be meant, and messages are padded.
    fn is_stream(&self) -> bool;
}

/// Why there is no socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenError {
    /// Another program has the port.
    Taken,
    /// The address is not one of this machine's.
    NotOurs,
    /// Whatever else: no sockets left, no such family.
    Impossible,
}

pub(super) trait World {
    type Line: Line;
    /// A socket that peers write to. It is closed when the last clone is dropped.
    type Relay: Clone;

    /// Seconds since 1970.
    fn now_s(&self) -> u64;
    fn fill(&self, bytes: &mut [u8]);
    /// Whether whoever has credentials of this name may use the relay still.
    fn may_relay(&self, username: &str) -> bool;
    /// The address that the outside has for this machine, where it is known.
    fn external(&self, family: Family) -> Option<IpAddr>;
    /// From which of our addresses packets would go there.
    fn source_towards(&self, address: IpAddr) -> Option<IpAddr>;
    fn open(&self, address: SocketAddr) -> Result<Self::Relay, OpenError>;
    /// From now on what comes to this socket is for that allocation.
    fn attend(&self, relay: &Self::Relay, id: Id, family: Family);
}
