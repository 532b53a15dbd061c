//! A TCP socket, in the clear or under TLS. Idle, it lends no memory from anybody: reading goes through a
//! buffer that belongs to the thread.

use super::{Ahead, Handshake, Line};
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

impl Line for Socket {
    /// As much as one read gives.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&[u8], usize),
    ) -> Poll<io::Result<bool>> {
        self.poll_bytes(cx, |bytes| {
            take(bytes, bytes.len());
            !bytes.is_empty()
        })
    }

    /// Writes all of it, as long as the peer takes at least some within the limit.
    async fn write(&mut self, mut bytes: &[u8], mut ahead: impl Ahead) -> io::Result<()> {
        let stall = Duration::from_millis(WRITE_STALL_MS_MAX);
        while !bytes.is_empty() {
            let some = poll_fn(|cx| self.poll_write(cx, bytes, &mut ahead));
            let written = within(stall, some).await??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[written..];
        }
        let rest = poll_fn(|cx| self.poll_flush(cx, &mut ahead));
        within(stall, rest).await?
    }

    /// Negotiates TLS. An error leaves nothing to talk over (RFC 6120 §5.4.3.2).
    async fn negotiate_tls(&mut self, handshake: Handshake, limit: Duration) -> io::Result<()> {
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
    async fn close(&mut self) {
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

    fn tls(&self) -> Option<&TlsStream<TcpStream>> {
        match self {
            Socket::Secured(tls) => Some(tls),
            Socket::Clear(_) | Socket::Gone => None,
        }
    }
}

impl Socket {
    /// Lends what one read gives to `take`; nothing at the end.
    pub(super) fn poll_bytes<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut [u8]) -> T,
    ) -> Poll<io::Result<T>> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            let outcome = match self {
                Socket::Clear(tcp) => ready!(Pin::new(tcp).poll_read(cx, &mut buffer)),
                Socket::Secured(tls) => ready!(Pin::new(tls).poll_read(cx, &mut buffer)),
                Socket::Gone => Ok(()),
            };
            match outcome {
                Ok(()) => Poll::Ready(Ok(take(buffer.filled_mut()))),
                // Clients that just go away do not say so to TLS. The stream is what must be closed (RFC 6120
                // §4.4).
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Poll::Ready(Ok(take(&mut [])))
                }
                Err(error) => Poll::Ready(Err(error)),
            }
        })
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        ahead: &mut impl Ahead,
    ) -> Poll<io::Result<usize>> {
        let some = match self {
            Socket::Clear(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Socket::Secured(tls) => Pin::new(tls).poll_write(cx, bytes),
            Socket::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        };
        self.or_read_ahead(cx, some, ahead)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, ahead: &mut impl Ahead) -> Poll<io::Result<()>> {
        let rest = match self {
            Socket::Clear(tcp) => Pin::new(tcp).poll_flush(cx),
            Socket::Secured(tls) => Pin::new(tls).poll_flush(cx),
            Socket::Gone => Poll::Ready(Ok(())),
        };
        self.or_read_ahead(cx, rest, ahead)
    }

    /// Reads where the peer takes nothing. Its end is noticed by whoever reads next.
    fn or_read_ahead<T>(
        &mut self,
        cx: &mut Context<'_>,
        done: Poll<io::Result<T>>,
        ahead: &mut impl Ahead,
    ) -> Poll<io::Result<T>> {
        let mut is_open = true;
        while done.is_pending() && is_open && ahead.wants_more() {
            is_open = ready!(self.poll_read(cx, |read, _| ahead.take(read)))?;
        }
        done
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{OUTPUT_BYTES_PAUSE, READ_AHEAD_BYTES_MAX};
    use tokio::net::TcpSocket;

    struct Heard<'a>(&'a mut Vec<u8>);

    impl Ahead for Heard<'_> {
        fn wants_more(&self) -> bool {
            self.0.len() < READ_AHEAD_BYTES_MAX
        }

        fn take(&mut self, bytes: &[u8]) {
            self.0.extend(bytes);
        }
    }

    /// Two ends of a line that holds far less than either has to say.
    async fn narrow_line() -> (Socket, Socket) {
        let ends = [TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap()];
        for end in &ends {
            end.set_send_buffer_size(4_096).unwrap();
            end.set_recv_buffer_size(4_096).unwrap();
        }
        let [listening, calling] = ends;
        listening.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = listening.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let (called, calling) = tokio::join!(listener.accept(), calling.connect(address));
        (
            Socket::Clear(called.unwrap().0),
            Socket::Clear(calling.unwrap()),
        )
    }

    #[tokio::test]
    async fn two_that_write_at_once_hear_each_other() {
        let (mut one, mut other) = narrow_line().await;
        let most = vec![b'x'; OUTPUT_BYTES_PAUSE + xmpp::limits::STANZA_BYTES_MAX];
        let (mut heard, mut heard_too) = (Vec::new(), Vec::new());
        let (first, second) = tokio::join!(
            one.write(&most, Heard(&mut heard)),
            other.write(&most, Heard(&mut heard_too)),
        );
        first.unwrap();
        second.unwrap();
        // What is not heard meanwhile is still to be read.
        for (socket, heard) in [(&mut one, heard), (&mut other, heard_too)] {
            let mut all = heard;
            while all.len() < most.len() {
                poll_fn(|cx| socket.poll_read(cx, |bytes, _| all.extend(bytes)))
                    .await
                    .unwrap();
            }
            assert!(all == most);
        }
    }
}
