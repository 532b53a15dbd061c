//! STUN and TURN (RFC 8489, RFC 8656): tells clients where they are seen from, and relays their calls where
//! no direct way leads from one to the other.
//!
//! `core.rs` and what it uses know no sockets: a packet comes in, and out comes what is to be done with it.
//! `machine.rs` gives them the machine, `datagrams.rs`, `relayed.rs` and `stream.rs` carry packets. State:
//! the core, behind one lock that is never held over a system call of a packet. Each listener, each relayed
//! address and each connection has a task; buffers belong to the thread, not to them, so that an allocation
//! at rest costs little more than its sockets.
//!
//! Not here: TCP to peers (RFC 6062), DTLS, DONT-FRAGMENT, and ICMP told to clients (RFC 8656 §11.5).

mod allocate;
mod allocation;
pub(crate) mod ask;
mod bucket;
mod core;
mod credentials;
mod datagrams;
pub mod limits;
mod machine;
mod nonce;
mod peers;
mod ports;
mod refusal;
mod relayed;
mod request;
mod strangers;
mod stream;
mod wire;
mod world;

pub use self::core::Counts;

use self::{
    core::{Core, Fate},
    credentials::Credentials,
    datagrams::{Datagrams, Way},
    limits::{CONNECTIONS_MAX, TICK},
    machine::Machine,
};
use household::{Config, config::Network};
use server::{
    listen::{Relay, RelayConnection},
    world::{Clock, Dice},
};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    net::UdpSocket,
    sync::{Notify, Semaphore, watch},
    time::sleep,
};
use tracing::debug;

/// The addresses under which this house is seen from outside; `None` where nobody knows better than the
/// machine itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct External {
    pub ipv4: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
}

impl External {
    /// As `[public]` has them.
    pub fn of(config: &Config) -> External {
        External {
            ipv4: config.public.ipv4,
            ipv6: config.public.ipv6,
        }
    }
}

/// Whether the account of a name of credentials may relay still. It is asked under the lock of the relay, and
/// may not ask the relay anything.
pub type MayRelay = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// The relay. A clone is the same one.
#[derive(Clone)]
pub struct Turn(Arc<Inner>);

struct Inner {
    core: Mutex<Core<Machine>>,
    machine: Machine,
    around: Mutex<Around>,
    /// Somebody has an allocation now.
    busy: Notify,
    connections: Arc<Semaphore>,
}

/// What decides which peers are denied.
struct Around {
    config: Config,
    on_link: Vec<Network>,
}

impl Turn {
    /// `secret` is what credentials are made with; `external` is followed while [`Turn::keep`] runs.
    pub fn new(
        config: &Config,
        (secret, may_relay): (&[u8], MayRelay),
        (clock, dice): (Arc<dyn Clock>, Arc<dyn Dice>),
        external: watch::Receiver<External>,
    ) -> Turn {
        Turn(Arc::new_cyclic(|turn| {
            let machine = Machine::new(clock, dice, external, may_relay, turn.clone());
            let core = Core::new(config, secret, &machine, machine.elapsed_ms());
            Inner {
                core: Mutex::new(core),
                machine,
                around: Mutex::new(Around {
                    config: config.clone(),
                    on_link: Vec::new(),
                }),
                busy: Notify::new(),
                connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            }
        }))
    }

    /// Ends what is over, and follows our addresses, until it is dropped or `stop` turns true.
    pub async fn keep(self, mut stop: watch::Receiver<bool>) {
        let mut external = self.0.machine.external_addresses();
        let keeping = async {
            loop {
                let is_busy = self
                    .0
                    .core()
                    .tick(&self.0.machine, self.0.machine.elapsed_ms());
                tokio::select! {
                    () = sleep(TICK), if is_busy => {}
                    () = self.0.busy.notified(), if !is_busy => {}
                    Ok(()) = external.changed() => self.look_around(|_| {}),
                }
            }
        };
        tokio::select! {
            () = keeping => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    /// Configuration and secret are others now. Allocations stay, except towards peers that are denied now.
    pub fn follow(&self, config: &Config, secret: &[u8]) {
        self.0.core().credentials = Credentials::new(config.domain.clone(), secret);
        self.look_around(|around| around.config = config.clone());
    }

    /// The networks on our links, and those delegated to the house, are these now: no peer is there.
    pub fn network_changed(&self, on_link: Vec<Network>) {
        self.look_around(|around| around.on_link = on_link);
    }

    fn look_around(&self, change: impl FnOnce(&mut Around)) {
        let around = &mut *self.0.around.lock().unwrap_or_else(PoisonError::into_inner);
        change(around);
        let on_link = around.on_link.clone();
        self.0
            .core()
            .follow(&self.0.machine, &around.config, on_link);
    }

    /// What became of packets since the start.
    pub fn counts(&self) -> Counts {
        self.0.core().counts
    }

    /// Allocations that are there.
    pub fn allocations(&self) -> usize {
        self.0.core().allocations.len()
    }
}

impl Relay for Turn {
    fn serve(&self, connection: RelayConnection) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let inner = self.0.clone();
        Box::pin(async move {
            match inner.connections.clone().try_acquire_owned() {
                Ok(_permit) => stream::serve(inner, connection).await,
                Err(_) => debug!(peer = %connection.peer, "too many connections to the relay"),
            }
        })
    }

    fn serve_datagrams(
        &self,
        socket: UdpSocket,
        stop: watch::Receiver<bool>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(datagrams::serve(self.0.clone(), socket, stop))
    }
}

impl Inner {
    fn core(&self) -> MutexGuard<'_, Core<Machine>> {
        self.core
            .lock()
            .expect("nothing panics while it holds this lock")
    }

    /// One packet or message of a client. `true`: what was written is the answer.
    fn hear_client(&self, now: u64, way: &Way, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        // The lock is given back before anything is sent.
        let fate = self.core().hear_client(&self.machine, now, way, bytes, out);
        carry(fate, out)
    }
}

/// Does with a packet what is to be done. `true`: what was written is an answer to who sent it.
fn carry(fate: Fate<'_, Machine>, out: &[u8]) -> bool {
    match fate {
        Fate::Nothing => {}
        Fate::Answer => return true,
        Fate::ToClient(Way::Datagram(way)) => way.send(out),
        Fate::ToClient(Way::Stream(line)) => {
            // Where too much waits, it is lost like a datagram.
            line.send(out);
        }
        Fate::ToPeer { relay, peer, data } => relay.send(peer, data),
    }
    false
}
