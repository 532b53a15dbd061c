//! What the machine gives to the core: clocks, chance, its addresses, and sockets for relayed addresses.

use super::{
    Datagrams, External, Inner, MayRelay, Way, relayed,
    wire::Family,
    world::{Id, OpenError, World},
};
use server::world::{Clock, Dice};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{Arc, OnceLock, Weak},
};
use tokio::{sync::watch, task::AbortHandle};

pub(super) struct Machine {
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    external: watch::Receiver<External>,
    may_relay: MayRelay,
    turn: Weak<Inner>,
}

impl Machine {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        dice: Arc<dyn Dice>,
        external: watch::Receiver<External>,
        may_relay: MayRelay,
        turn: Weak<Inner>,
    ) -> Machine {
        Machine {
            clock,
            dice,
            external,
            may_relay,
            turn,
        }
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        self.clock.elapsed_ms()
    }

    pub(super) fn external_addresses(&self) -> watch::Receiver<External> {
        self.external.clone()
    }
}

/// A socket that peers write to, and the task that reads it. Both end with it.
pub(super) struct RelaySocket {
    datagrams: Arc<Datagrams>,
    reading: OnceLock<AbortHandle>,
}

impl RelaySocket {
    /// To a peer. A datagram that finds no room is lost, as on any other way.
    pub(super) fn send(&self, peer: SocketAddr, data: &[u8]) {
        self.datagrams.send(peer, data);
    }
}

impl Drop for RelaySocket {
    fn drop(&mut self) {
        if let Some(reading) = self.reading.get() {
            reading.abort();
        }
    }
}

impl World for Machine {
    type Line = Way;
    type Relay = Arc<RelaySocket>;

    fn now_s(&self) -> u64 {
        self.clock.now() / 1_000
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.dice.fill(bytes);
    }

    fn may_relay(&self, username: &str) -> bool {
        (self.may_relay)(username)
    }

    fn external(&self, family: Family) -> Option<IpAddr> {
        let external = *self.external.borrow();
        match family {
            Family::V4 => external.ipv4.map(IpAddr::V4),
            Family::V6 => external.ipv6.map(IpAddr::V6),
        }
    }

    /// Nothing is sent: connecting a datagram socket only chooses a route.
    fn source_towards(&self, address: IpAddr) -> Option<IpAddr> {
        let any: IpAddr = match address {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((address, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    }

    fn open(&self, address: SocketAddr) -> Result<Arc<RelaySocket>, OpenError> {
        let opened = UdpSocket::bind(address).and_then(Datagrams::new);
        let datagrams = opened.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => OpenError::Taken,
            io::ErrorKind::AddrNotAvailable => OpenError::NotOurs,
            _ => OpenError::Impossible,
        })?;
        Ok(Arc::new(RelaySocket {
            datagrams: Arc::new(datagrams),
            reading: OnceLock::new(),
        }))
    }

    fn attend(&self, relay: &Arc<RelaySocket>, id: Id, _: Family) {
        if let Some(turn) = self.turn.upgrade() {
            turn.busy.notify_one();
            let reading = tokio::spawn(relayed::serve(turn, relay.datagrams.clone(), id));
            let _ = relay.reading.set(reading.abort_handle());
        }
    }
}
