//! UDP: several datagrams at a system call, with the address that each came to, so that the answer leaves
//! from there (RFC 8489 §6.3.1.2), also where one socket stands for all addresses of the machine.
//!
//! State: one buffer per thread, made when it is first needed. Nothing waits while it is in use.

use super::{
    Inner,
    limits::{DATAGRAMS_AT_ONCE, FRAME_BYTES_MAX, TURNS_MAX},
    stream::StreamLine,
    world::Line,
};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use std::{
    cell::RefCell,
    hash::{Hash, Hasher},
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    thread,
};
use tokio::{
    io::Interest,
    net::UdpSocket,
    runtime,
    sync::{oneshot, watch},
    task::yield_now,
};

/// A socket for datagrams.
pub(super) struct Datagrams {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// Where datagrams of a client come from and go to.
#[derive(Clone)]
pub(super) struct DatagramWay {
    socket: Arc<Datagrams>,
    /// As the socket has it: on one for both families, IPv4 is written as IPv6.
    from: SocketAddr,
    came_to: Option<IpAddr>,
}

/// The way to a client.
#[derive(Clone)]
pub(super) enum Way {
    Datagram(DatagramWay),
    Stream(Arc<StreamLine>),
}

/// What is received into, and what is written.
pub(super) struct Scratch {
    buffer: Vec<u8>,
    metas: [RecvMeta; DATAGRAMS_AT_ONCE],
    pub(super) out: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        buffer: vec![0; DATAGRAMS_AT_ONCE * FRAME_BYTES_MAX],
        metas: [RecvMeta::default(); DATAGRAMS_AT_ONCE],
        out: Vec::with_capacity(FRAME_BYTES_MAX),
    });
}

/// Lends this thread's buffer.
pub(super) fn with_scratch<T>(work: impl FnOnce(&mut [u8], &mut Vec<u8>) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| work(&mut scratch.buffer, &mut scratch.out))
}

impl Datagrams {
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Datagrams> {
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        let state = UdpSocketState::new((&socket).into())?;
        fragments(&socket)?;
        Ok(Datagrams { socket, state })
    }

    /// To somebody, from whichever address the system chooses.
    pub(super) fn send(&self, to: SocketAddr, data: &[u8]) {
        let _ = self.socket.try_send_to(data, to);
    }

    /// Receives for ever; `each` sees every datagram with who sent it and which address it came to. Others
    /// have their turn now and then.
    pub(super) async fn receive(&self, mut each: impl FnMut(Received<'_>)) -> io::Error {
        loop {
            let mut turns = 0;
            loop {
                if let Err(error) = self.socket.readable().await {
                    return error;
                }
                SCRATCH.with_borrow_mut(|scratch| self.receive_some(scratch, &mut each));
                turns += 1;
                if turns == TURNS_MAX {
                    break;
                }
            }
            yield_now().await;
        }
    }

    fn receive_some(&self, scratch: &mut Scratch, each: &mut impl FnMut(Received<'_>)) {
        let Scratch { buffer, metas, out } = scratch;
        let mut parts = buffer.chunks_exact_mut(FRAME_BYTES_MAX);
        let mut slices: [_; DATAGRAMS_AT_ONCE] =
            std::array::from_fn(|_| IoSliceMut::new(parts.next().unwrap_or_default()));
        let mut count = 0;
        // Fewer than there was room for: nothing is left, and the system need not be asked again.
        let _ = self.socket.try_io(Interest::READABLE, || {
            count = self.state.recv((&self.socket).into(), &mut slices, metas)?;
            if count < DATAGRAMS_AT_ONCE {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        });
        for (meta, slice) in metas.iter().zip(&slices).take(count) {
            let mut rest = &slice[..meta.len];
            // The system may hand over several of one sender in a row.
            loop {
                let (data, further) = rest.split_at(meta.stride.min(rest.len()));
                each(Received {
                    from: meta.addr,
                    came_to: meta.dst_ip.map(|ip| ip.to_canonical()),
                    data,
                    out,
                });
                rest = further;
                if rest.is_empty() {
                    break;
                }
            }
        }
    }
}

/// A datagram, and a buffer to write in.
pub(super) struct Received<'a> {
    pub(super) from: SocketAddr,
    pub(super) came_to: Option<IpAddr>,
    pub(super) data: &'a [u8],
    pub(super) out: &'a mut Vec<u8>,
}

/// What is too large for some line on the way is sent in parts rather than lost (RFC 8656 §14).
fn fragments(socket: &UdpSocket) -> io::Result<()> {
    use rustix::net::sockopt::{
        Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    };
    set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DONT)?;
    if socket.local_addr()?.is_ipv6() {
        set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DONT)?;
    }
    Ok(())
}

impl DatagramWay {
    /// From the address that the client wrote to.
    pub(super) fn send(&self, bytes: &[u8]) {
        let transmit = Transmit {
            destination: self.from,
            ecn: None,
            contents: bytes,
            segment_size: None,
            src_ip: self.came_to,
        };
        let Datagrams { socket, state } = &*self.socket;
        let _ = socket.try_io(Interest::WRITABLE, || {
            state.try_send(socket.into(), &transmit)
        });
    }
}

impl Line for Way {
    fn client(&self) -> SocketAddr {
        match self {
            Way::Datagram(way) => SocketAddr::new(way.from.ip().to_canonical(), way.from.port()),
            Way::Stream(line) => line.client,
        }
    }

    fn came_to(&self) -> Option<IpAddr> {
        match self {
            Way::Datagram(way) => way.came_to,
            Way::Stream(line) => line.came_to,
        }
    }

    fn is_stream(&self) -> bool {
        matches!(self, Way::Stream(_))
    }
}

impl PartialEq for Way {
    fn eq(&self, other: &Way) -> bool {
        match (self, other) {
            (Way::Datagram(a), Way::Datagram(b)) => {
                a.from == b.from && a.came_to == b.came_to && Arc::ptr_eq(&a.socket, &b.socket)
            }
            (Way::Stream(a), Way::Stream(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Eq for Way {}

impl Hash for Way {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Way::Datagram(way) => way.from.hash(state),
            Way::Stream(line) => Arc::as_ptr(line).hash(state),
        }
    }
}

/// Takes packets of clients until it is told to stop. Allocations made over this socket end with it.
///
/// All of it happens on a thread of its own: waking another one for a packet costs as much as relaying it.
pub(super) async fn serve(turn: Arc<Inner>, socket: UdpSocket, stop: watch::Receiver<bool>) {
    let (done, ended) = oneshot::channel::<()>();
    let relay = move || -> io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        // A task like those of relayed addresses: what came first is heard first.
        let receiving = runtime.spawn(receive(turn, socket.into_std()?, stop));
        let received = runtime.block_on(receiving).unwrap_or(Ok(()));
        drop(done);
        received
    };
    let begun = thread::Builder::new()
        .name("relay".to_owned())
        .spawn(move || {
            if let Err(error) = relay() {
                tracing::warn!(%error, "no datagrams can be received");
            }
        });
    match begun {
        Ok(_) => drop(ended.await),
        Err(error) => tracing::warn!(%error, "no datagrams can be received"),
    }
}

async fn receive(
    turn: Arc<Inner>,
    socket: std::net::UdpSocket,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let socket = Arc::new(Datagrams::new(socket)?);
    let receiving = socket.receive(
        |Received {
             from,
             came_to,
             data,
             out,
         }| {
            let way = Way::Datagram(DatagramWay {
                socket: socket.clone(),
                from,
                came_to,
            });
            let now = turn.machine.elapsed_ms();
            if turn.hear_client(now, &way, data, out)
                && let Way::Datagram(way) = &way
            {
                way.send(out);
            }
        },
    );
    tokio::select! {
        biased;
        error = receiving => tracing::warn!(%error, "no datagrams can be received any more"),
        _ = stop.wait_for(|stop| *stop) => {}
    }
    let is_here =
        |way: &Way| matches!(way, Way::Datagram(way) if Arc::ptr_eq(&way.socket, &socket));
    turn.core().gone_if(is_here);
    Ok(())
}
