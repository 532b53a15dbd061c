//! Files that two apps send each other through this house, because neither reaches the other: the proxy of
//! XEP-0065 §6. Both connect here and say the same hash, one of them asks for the stream to be activated, and
//! from then on bytes flow both ways, as they are.
//!
//! Nobody proves who they are on these connections; what counts is that somebody of this house activates the
//! stream, and that no more of everything is there than the limits say. [`visit`] is one connection, from
//! its first byte; [`socks`] what it says first; [`relay`] what two of them are to each other.
//!
//! State: in memory, who waits and which streams there are. Nothing is kept.

pub mod limits;
mod relay;
mod rendezvous;
mod socks;
#[cfg(test)]
mod tests;
mod visit;

pub(crate) use rendezvous::Rendezvous;
pub(crate) use visit::{Visit, serve};

use limits::{STREAMS_MAX, STREAMS_PER_ACCOUNT_MAX, WAITING_MAX, WAITING_PER_ADDRESS_MAX};
use std::{
    io::{self, ErrorKind},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
};
use tokio::{
    net::TcpStream,
    sync::{oneshot, watch},
};
use xmpp::Jid;

/// The book of streams.
pub(crate) struct Bytestreams {
    /// The address of the service.
    service: Jid,
    /// Of the first listener; 0 where there is none.
    port: AtomicU16,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// The last number given to somebody who waits, or to a stream.
    number: u64,
    waiting: Vec<Waiting>,
    streams: Vec<Stream>,
}

/// A connection that said where it wants to meet somebody.
struct Waiting {
    number: u64,
    at: Rendezvous,
    network: IpAddr,
    /// `None` until it was told that it may wait.
    line: Option<Line>,
    told: oneshot::Sender<Told>,
}

/// A stream that was activated.
struct Stream {
    number: u64,
    at: Rendezvous,
    /// Whose it is.
    localpart: String,
    /// Dropped to end it.
    _end: oneshot::Sender<()>,
}

/// A socket, and what ends all of its listener's.
#[derive(Clone)]
struct Line {
    socket: Arc<TcpStream>,
    stop: watch::Receiver<bool>,
}

/// What becomes of one who waited.
enum Told {
    /// The stream is its to drive, with the other's line.
    Drive(Line, Running),
    /// The other has its line now.
    Driven,
}

/// The right to wait, until it is dropped.
struct Place {
    book: Arc<Bytestreams>,
    number: u64,
    told: oneshot::Receiver<Told>,
}

/// The right of a stream to go on, until it is dropped.
struct Running {
    book: Arc<Bytestreams>,
    number: u64,
    ended: oneshot::Receiver<()>,
}

/// Why a stream was not activated (§6.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotActivated {
    /// Nobody waits there.
    Nobody,
    /// Only one of the two does.
    OnlyOne,
    /// There are too many already, of this account or in all.
    TooMany,
    /// The account was closed meanwhile.
    NotAtHome,
}

impl Bytestreams {
    pub(crate) fn new(service: Jid) -> Arc<Bytestreams> {
        Arc::new(Bytestreams {
            service,
            port: AtomicU16::new(0),
            inner: Mutex::default(),
        })
    }

    /// The address of the service.
    pub(crate) fn service(&self) -> &Jid {
        &self.service
    }

    /// Where it listens; `None` where it does not, and there is no such service.
    pub(crate) fn port(&self) -> Option<u16> {
        let port = self.port.load(Ordering::Relaxed);
        (port != 0).then_some(port)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody wants to wait there. `None` where there are enough of them: in all, from one address, or at
    /// this place, where two meet (§10.1, item 2).
    fn reserve(self: &Arc<Self>, at: Rendezvous, network: IpAddr) -> Option<Place> {
        let mut inner = self.lock();
        let waiting = &inner.waiting;
        let here = waiting.iter().filter(|other| other.at == at).count();
        let from_there = waiting.iter().filter(|other| other.network == network);
        // Behind loopback there is a proxy, and behind that everybody.
        let is_crowd = !network.is_loopback() && from_there.count() >= WAITING_PER_ADDRESS_MAX;
        let is_taken = here >= 2 || inner.streams.iter().any(|stream| stream.at == at);
        if is_taken || is_crowd || waiting.len() >= WAITING_MAX {
            return None;
        }
        inner.number += 1;
        let (sender, told) = oneshot::channel();
        let number = inner.number;
        inner.waiting.push(Waiting {
            number,
            at,
            network,
            line: None,
            told: sender,
        });
        Some(Place {
            book: self.clone(),
            number,
            told,
        })
    }

    /// Two that wait there are one stream from now on, somebody's of this house.
    pub(crate) fn activate(
        self: &Arc<Self>,
        at: Rendezvous,
        localpart: &str,
        is_at_home: impl FnOnce() -> bool,
    ) -> Result<(), NotActivated> {
        let (driver, driven, line, running) = {
            let mut inner = self.lock();
            let ready = |other: &&Waiting| other.at == at && other.line.is_some();
            match inner.waiting.iter().filter(ready).count() {
                0 => return Err(NotActivated::Nobody),
                1 => return Err(NotActivated::OnlyOne),
                _ => {}
            }
            let own = inner.streams.iter().filter(|it| it.localpart == localpart);
            if inner.streams.len() >= STREAMS_MAX || own.count() >= STREAMS_PER_ACCOUNT_MAX {
                return Err(NotActivated::TooMany);
            }
            // Under this lock: whose account is closed, is put out of the book behind that.
            if !is_at_home() {
                return Err(NotActivated::NotAtHome);
            }
            let (Some(driver), Some(driven)) = (inner.take(at), inner.take(at)) else {
                return Err(NotActivated::OnlyOne);
            };
            let Some(line) = driven.line else {
                return Err(NotActivated::OnlyOne);
            };
            let running = inner.start(self, at, localpart);
            (driver.told, driven.told, line, running)
        };
        // Not under the lock: what nobody takes is dropped, and takes itself out of the book.
        let _ = driven.send(Told::Driven);
        let driving = driver.send(Told::Drive(line, running));
        driving.map_err(|_| NotActivated::OnlyOne)
    }

    /// Ends what an account has begun.
    fn end_those_of(&self, localpart: &str) {
        let mut inner = self.lock();
        inner.streams.retain(|stream| stream.localpart != localpart);
    }
}

impl Inner {
    /// One who waits there and may be told.
    fn take(&mut self, at: Rendezvous) -> Option<Waiting> {
        let mut waiting = self.waiting.iter();
        let index = waiting.position(|other| other.at == at && other.line.is_some())?;
        Some(self.waiting.swap_remove(index))
    }

    fn start(&mut self, book: &Arc<Bytestreams>, at: Rendezvous, localpart: &str) -> Running {
        self.number += 1;
        let (end, ended) = oneshot::channel();
        self.streams.push(Stream {
            number: self.number,
            at,
            localpart: localpart.to_owned(),
            _end: end,
        });
        Running {
            book: book.clone(),
            number: self.number,
            ended,
        }
    }
}

impl Place {
    /// Tells it that it may wait; from now on its stream can begin, and not before it has heard that. What
    /// little is said here fits into any socket at once.
    fn wait_on(&self, line: Line, said: &[u8]) -> io::Result<()> {
        let mut inner = self.book.lock();
        if line.socket.try_write(said)? < said.len() {
            return Err(ErrorKind::WriteZero.into());
        }
        let mut waiting = inner.waiting.iter_mut();
        if let Some(own) = waiting.find(|own| own.number == self.number) {
            own.line = Some(line);
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.book.lock();
        inner.waiting.retain(|own| own.number != self.number);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut inner = self.book.lock();
        inner.streams.retain(|own| own.number != self.number);
    }
}

impl crate::Server {
    /// The first listener for bytestreams is bound to this port; 0 where there is none, and then there is no
    /// such service.
    pub fn note_proxy_port(&self, port: u16) {
        self.bytestreams.port.store(port, Ordering::Relaxed);
    }

    /// The account is closed or gone: so are the streams that it began.
    pub(crate) fn end_bytestreams(&self, localpart: &str) {
        self.bytestreams.end_those_of(localpart);
    }
}
