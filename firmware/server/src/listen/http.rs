//! What is handed to those who serve HTTP: a connection, and what TLS says of it.

use super::{
    stream::ByteStream,
    tls_port::{Opened, Protocol},
};
use rustls::ProtocolVersion;
use std::{net::SocketAddr, pin::Pin};
use tokio::sync::watch;
use tokio_rustls::TlsStream;
use xmpp::sasl::ChannelBindings;

/// Whoever serves HTTP. The ports know nothing of it but this.
pub trait Web: Send + Sync {
    /// Serves one connection to its end.
    fn serve(&self, connection: HttpConnection) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// A connection on which HTTP is spoken.
pub struct HttpConnection {
    pub stream: ByteStream,
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

impl Opened {
    /// For HTTP.
    pub(super) fn into_http(self) -> (ByteStream, Secured) {
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
        (ByteStream::secured(self.tls, self.first), secured)
    }
}
