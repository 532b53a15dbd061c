//! The bytes of a connection that is handed on: what has come over it already, then what comes.

use crate::transport::socket;
use std::{
    io,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsStream;

/// The bytes of a connection, from the first.
pub struct ByteStream {
    /// Read already, and not yet taken.
    first: Vec<u8>,
    socket: Socket,
}

enum Socket {
    Clear(TcpStream),
    Secured(Box<TlsStream<TcpStream>>),
}

impl From<TcpStream> for ByteStream {
    fn from(tcp: TcpStream) -> ByteStream {
        ByteStream {
            first: Vec::new(),
            socket: Socket::Clear(tcp),
        }
    }
}

impl ByteStream {
    pub(super) fn secured(tls: Box<TlsStream<TcpStream>>, first: Vec<u8>) -> ByteStream {
        ByteStream {
            first,
            socket: Socket::Secured(tls),
        }
    }

    /// For what is no HTTP any more: the socket, and what came over it and was not looked at, from `first`
    /// on.
    pub(super) fn into_socket(self, first: &[u8]) -> (socket::Socket, Vec<u8>) {
        let socket = match self.socket {
            Socket::Clear(tcp) => socket::Socket::Clear(tcp),
            Socket::Secured(tls) => socket::Socket::Secured(tls),
        };
        (socket, [first, &self.first].concat())
    }

    /// The address of ours at the other end; `None` where the connection is gone already.
    pub(super) fn local_ip(&self) -> Option<IpAddr> {
        let tcp = match &self.socket {
            Socket::Clear(tcp) => tcp,
            Socket::Secured(tls) => tls.get_ref().0,
        };
        Some(tcp.local_addr().ok()?.ip().to_canonical())
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let taken = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first[..taken]);
            self.first.drain(..taken);
            return Poll::Ready(Ok(()));
        }
        match &mut self.socket {
            Socket::Clear(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Socket::Secured(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Clear(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Socket::Secured(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Clear(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Socket::Secured(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Clear(tcp) => tcp.is_write_vectored(),
            Socket::Secured(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Clear(tcp) => Pin::new(tcp).poll_flush(cx),
            Socket::Secured(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Clear(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Socket::Secured(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
