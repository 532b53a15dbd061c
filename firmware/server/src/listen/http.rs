//! What is handed to those who serve HTTP: a connection, what has come over it already, and what TLS says of
//! it.

use super::tls_port::{Opened, Protocol};
use crate::transport::socket;
use rustls::ProtocolVersion;
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::watch,
};
use tokio_rustls::TlsStream;
use xmpp::sasl::ChannelBindings;

/// Whoever serves HTTP. The ports know nothing of it but this.
pub trait Web: Send + Sync {
    /// Serves one connection to its end.
    fn serve(&self, connection: HttpConnection) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// A connection on which HTTP is spoken.
pub struct HttpConnection {
    pub stream: HttpStream,
    pub peer: SocketAddr,
    /// `None` in the clear.
    pub secured: Option<Secured>,
    /// Turns true when the server shuts down; its sender gone means the same.
    pub stop: watch::Receiver<bool>,
}

/// What TLS has settled, for whoever serves a request on such a connection.
#[derive(Clone)]
pub struct Secured {
    pub version: Option<ProtocolVersion>,
    /// What is spoken, in ALPN or as the first bytes showed it.
    pub protocol: Protocol,
    /// What a login on this connection can be bound to.
    pub bindings: ChannelBindings,
    /// Whether everybody's browser believes the certificate.
    pub is_publicly_trusted: bool,
}

/// The bytes of a connection, from the first.
pub struct HttpStream {
    /// Read already, and not yet taken.
    first: Vec<u8>,
    socket: Socket,
}

enum Socket {
    Clear(TcpStream),
    Secured(Box<TlsStream<TcpStream>>),
}

impl From<TcpStream> for HttpStream {
    fn from(tcp: TcpStream) -> HttpStream {
        HttpStream {
            first: Vec::new(),
            socket: Socket::Clear(tcp),
        }
    }
}

impl Opened {
    /// For HTTP.
    pub(super) fn into_http(self) -> (HttpStream, Secured) {
        let (_, common) = self.tls.get_ref();
        let version = common.protocol_version();
        let bindings = match &*self.tls {
            TlsStream::Server(tls) => self.identity.bindings(tls.get_ref().1),
            TlsStream::Client(_) => ChannelBindings::default(),
        };
        let secured = Secured {
            version,
            protocol: self.protocol,
            bindings,
            is_publicly_trusted: self.identity.is_publicly_trusted(),
        };
        let stream = HttpStream {
            first: self.first,
            socket: Socket::Secured(self.tls),
        };
        (stream, secured)
    }
}

impl HttpStream {
    /// For something else than HTTP: the socket, and what came over it and was not looked at, from `first`
    /// on.
    pub(super) fn into_socket(self, first: &[u8]) -> (socket::Socket, Vec<u8>) {
        let socket = match self.socket {
            Socket::Clear(tcp) => socket::Socket::Clear(tcp),
            Socket::Secured(tls) => socket::Socket::Secured(tls),
        };
        (socket, [first, &self.first].concat())
    }
}

impl AsyncRead for HttpStream {
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

impl AsyncWrite for HttpStream {
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
