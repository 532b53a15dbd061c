//! A port with TLS from the first byte. The ClientHello decides what is spoken behind it (RFC 7301), and with
//! that the handshake: certificates are asked of servers alone, since browsers would bother people with it.
//!
//! A port names what it accepts. Whoever names nothing of that gets the alert of RFC 7301 §3.2.

use super::{
    first_bytes::{self, Verdict},
    limits::{FIRST_BYTES_MS_MAX, FIRST_READ_BYTES},
};
use crate::{
    limits::TLS_HANDSHAKE_MS_MAX,
    tls::{Identity, Tls, proof},
};
use rustls::{
    ServerConfig,
    server::{Acceptor, ClientHello},
};
use std::{
    io::{self, ErrorKind},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{LazyConfigAcceptor, TlsStream};

/// What is spoken behind TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A client's stream (XEP-0368).
    Client,
    /// Another server's stream, likewise.
    Server,
    Http2,
    Http1,
    /// STUN and TURN (RFC 7443).
    Turn,
}

/// What a port accepts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TlsPort {
    /// In ALPN, in the order in which we prefer them (RFC 7301 §3.2).
    offers: &'static [Protocol],
    /// Of whoever sends no ALPN; `None`: their first bytes tell.
    silent: Option<Protocol>,
    /// Whether authorities look here for proofs that a name is ours (RFC 8737 §3: at port 443).
    has_proofs: bool,
}

pub(super) const C2S_TLS: TlsPort = TlsPort {
    offers: &[Protocol::Client],
    silent: Some(Protocol::Client),
    has_proofs: false,
};
pub(super) const S2S_TLS: TlsPort = TlsPort {
    offers: &[Protocol::Server],
    silent: Some(Protocol::Server),
    has_proofs: false,
};
pub(super) const HTTPS: TlsPort = TlsPort {
    // Who offers another protocol beside the web's wants that one; browsers do not know it.
    offers: &[
        Protocol::Client,
        Protocol::Server,
        Protocol::Turn,
        Protocol::Http2,
        Protocol::Http1,
    ],
    silent: None,
    has_proofs: true,
};
// Browsers name nothing here.
pub(super) const TURN_TLS: TlsPort = TlsPort {
    offers: &[Protocol::Turn],
    silent: Some(Protocol::Turn),
    has_proofs: false,
};

/// A connection of which it is known what is spoken on it.
pub(super) struct Opened {
    pub(super) protocol: Protocol,
    pub(super) tls: Box<TlsStream<TcpStream>>,
    /// The certificate that the peer was shown.
    pub(super) identity: Arc<Identity>,
    /// What the peer has already said.
    pub(super) first: Vec<u8>,
}

impl Protocol {
    /// The name in ALPN.
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Protocol::Client => b"xmpp-client",
            Protocol::Server => b"xmpp-server",
            Protocol::Http2 => b"h2",
            Protocol::Http1 => b"http/1.1",
            Protocol::Turn => b"stun.turn",
        }
    }
}

/// A port as it is now: a house that does not talk to others takes nobody for another server.
pub(super) struct Entry<'a> {
    pub(super) port: &'static TlsPort,
    pub(super) tls: &'a Tls,
    pub(super) with_servers: bool,
}

impl Entry<'_> {
    /// Makes the handshake and finds out what is spoken, both within their time. After an error nothing is
    /// left to talk over; the peer has been told why where TLS has a word for it.
    pub(super) async fn open(&self, tcp: TcpStream) -> io::Result<Opened> {
        let limit = Duration::from_millis(TLS_HANDSHAKE_MS_MAX);
        let (chosen, stream, identity) = timeout(limit, self.shake_hands(tcp)).await??;
        let mut stream = Box::new(stream);
        let (protocol, first) = match chosen {
            Some(protocol) => (protocol, Vec::new()),
            None => {
                let limit = Duration::from_millis(FIRST_BYTES_MS_MAX);
                timeout(limit, self.listen(&mut stream)).await??
            }
        };
        Ok(Opened {
            protocol,
            tls: stream,
            identity,
            first,
        })
    }

    async fn shake_hands(
        &self,
        tcp: TcpStream,
    ) -> io::Result<(Option<Protocol>, TlsStream<TcpStream>, Arc<Identity>)> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
        if let Some(proof) = self.proof(&start.client_hello()) {
            // RFC 8737 §3: what the authority came for was in the handshake.
            start.into_stream(proof).await?.shutdown().await?;
            return Err(refused("it wanted a proof, and has seen it"));
        }
        let identity = self.tls.identity();
        let chosen = match start.client_hello().alpn() {
            Some(wanted) => {
                let wanted: Vec<_> = wanted.collect();
                let mut taken = self.port.offers.iter().filter(|offer| self.takes(**offer));
                let any = taken.clone().next();
                let both = taken.find(|offer| wanted.contains(&offer.alpn()));
                // Without overlap any that is taken will do: it leads to the alert.
                both.or(any).copied()
            }
            None => self.port.silent,
        };
        let config = match chosen {
            Some(protocol) => identity.for_protocol(protocol),
            None => identity.for_strangers(),
        };
        let stream = start.into_stream(config).await?;
        Ok((chosen, stream.into(), identity))
    }

    /// RFC 8737 §3: an authority names one protocol, and the domain that is to be proven.
    fn proof(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let wanted = hello.alpn()?;
        let is_authority = self.port.has_proofs && wanted.eq([proof::ALPN]);
        self.tls
            .proof(hello.server_name().filter(|_| is_authority)?)
    }

    /// Reads until it is known what is spoken.
    async fn listen(&self, stream: &mut TlsStream<TcpStream>) -> io::Result<(Protocol, Vec<u8>)> {
        let mut first = Vec::with_capacity(FIRST_READ_BYTES);
        loop {
            if stream.read_buf(&mut first).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            match first_bytes::judge(&first) {
                Verdict::More => {}
                Verdict::Speaks(protocol) if self.takes(protocol) => return Ok((protocol, first)),
                Verdict::Speaks(_) | Verdict::Nothing => {
                    return Err(refused("nothing that is spoken on this port"));
                }
            }
        }
    }

    fn takes(&self, protocol: Protocol) -> bool {
        let is_wanted = protocol != Protocol::Server || self.with_servers;
        is_wanted && self.port.offers.contains(&protocol)
    }
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}
