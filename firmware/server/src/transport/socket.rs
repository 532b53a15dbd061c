//! A TCP socket, in the clear or under TLS. Idle, it lends no memory from anybody: reading goes through a
//! buffer that belongs to the thread.

use super::Handshake;
use crate::limits::{CLOSE_MS_MAX, READ_BYTES, WRITE_STALL_MS_MAX};
use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

pub(crate) enum Socket {
    Clear(TcpStream),
    Secured(Box<TlsStream<TcpStream>>),
    /// Between the two, or after a handshake that failed.
    Gone,
}

impl Socket {
    /// Hands what came in to `take`, as much as one read gives. `false` at the end: the peer sends nothing
    /// more.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<bool>> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            let outcome = match self {
                Socket::Clear(tcp) => ready!(Pin::new(tcp).poll_read(cx, &mut buffer)),
                Socket::Secured(tls) => ready!(Pin::new(tls).poll_read(cx, &mut buffer)),
                Socket::Gone => Ok(()),
            };
            match outcome {
                Ok(()) => {
                    take(buffer.filled());
                    Poll::Ready(Ok(!buffer.filled().is_empty()))
                }
                // Clients that just go away do not say so to TLS. The stream is what must be closed (RFC 6120
                // §4.4).
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Poll::Ready(Ok(false))
                }
                Err(error) => Poll::Ready(Err(error)),
            }
        })
    }

    /// Writes all of it, as long as the peer takes at least some within the limit.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let stall = Duration::from_millis(WRITE_STALL_MS_MAX);
        while !bytes.is_empty() {
            let written = within(stall, self.write_some(bytes)).await??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[written..];
        }
        within(stall, self.flush()).await?
    }

    async fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Clear(tcp) => tcp.write(bytes).await,
            Socket::Secured(tls) => tls.write(bytes).await,
            Socket::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        match self {
            Socket::Clear(tcp) => tcp.flush().await,
            Socket::Secured(tls) => tls.flush().await,
            Socket::Gone => Ok(()),
        }
    }

    /// Negotiates TLS. An error leaves nothing to talk over (RFC 6120 §5.4.3.2).
    pub(super) async fn negotiate_tls(
        &mut self,
        handshake: Handshake,
        limit: Duration,
    ) -> io::Result<()> {
        if let Socket::Clear(tcp) = std::mem::replace(self, Socket::Gone) {
            let tls: TlsStream<TcpStream> = match handshake {
                Handshake::Answer(config) => {
                    let accept = TlsAcceptor::from(config).accept(tcp);
                    timeout(limit, accept).await??.into()
                }
                Handshake::Begin(config, name) => {
                    let connect = TlsConnector::from(config).connect(name, tcp);
                    timeout(limit, connect).await??.into()
                }
            };
            *self = Socket::Secured(Box::new(tls));
        }
        Ok(())
    }

    /// Says goodbye on every layer and waits a little for the peer to do the same, so that it reads our last
    /// words before its system hears that nobody listens any more.
    pub(super) async fn close(&mut self) {
        let goodbye = async {
            match self {
                Socket::Clear(tcp) => drain(tcp).await,
                Socket::Secured(tls) => drain(&mut **tls).await,
                Socket::Gone => Ok(()),
            }
        };
        // Whatever goes wrong now, the connection ends.
        let _ = timeout(Duration::from_millis(CLOSE_MS_MAX), goodbye).await;
    }
}

/// As `timeout`, but without a timer for what is done at once, as nearly everything is.
async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> io::Result<T> {
    let mut work = pin!(work);
    match poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => Ok(timeout(limit, work).await?),
    }
}

async fn drain(socket: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    socket.shutdown().await?;
    let mut waste = [0; 512];
    while socket.read(&mut waste).await? > 0 {}
    Ok(())
}
