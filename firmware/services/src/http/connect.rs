//! The way to a server of HTTP: where it is, which of its addresses answers, who it proves to be.

use super::{Authorities, Error, ErrorKind};
use crate::limits::HTTP_CONNECT_MS_MAX;
use http::Uri;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs::default_provider};
use rustls_pki_types::ServerName;
use server::s2s::resolve::{Family, NoAnswer, Resolver};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Where an address points.
pub(super) struct Place {
    host: String,
    port: u16,
    is_secure: bool,
    /// For the header `Host`.
    pub(super) authority: String,
}

impl Place {
    /// `https://…`, or `http://…` on this machine, as proxies and tests have it: nothing goes over a network
    /// in the clear.
    pub(super) fn of(uri: &Uri) -> Result<Place, Error> {
        let wrong = || Error::address(&uri.to_string());
        let is_secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() || authority.as_str().contains('@') || !(is_secure || is_here(&host)) {
            return Err(wrong());
        }
        Ok(Place {
            port: authority
                .port_u16()
                .unwrap_or(if is_secure { 443 } else { 80 }),
            host,
            is_secure,
            authority: authority.as_str().to_owned(),
        })
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// A connection, in the clear or not.
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects to the first of its addresses that answers.
pub(super) async fn open(
    place: &Place,
    families: &[Family],
    resolver: &Resolver,
    authorities: &Authorities,
) -> Result<Socket, Error> {
    let addresses = addresses(place, families, resolver).await?;
    let mut last = None;
    for address in addresses {
        match dial(address).await {
            Ok(stream) if place.is_secure => {
                return Ok(Socket::Tls(Box::new(
                    secure(place, stream, authorities).await?,
                )));
            }
            Ok(stream) => return Ok(Socket::Plain(stream)),
            Err(error) => last = Some(error),
        }
    }
    let why = last.map_or_else(|| "it has no address".to_owned(), |error| error.to_string());
    let text = format!("{} cannot be reached: {why}", place.host);
    Err(Error::new(ErrorKind::Unreachable, text))
}

async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(
        Duration::from_millis(HTTP_CONNECT_MS_MAX),
        TcpStream::connect(address),
    );
    let stream = stream.await.map_err(|_| io::ErrorKind::TimedOut)??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn addresses(
    place: &Place,
    families: &[Family],
    resolver: &Resolver,
) -> Result<Vec<SocketAddr>, Error> {
    let with_port = |address| SocketAddr::new(address, place.port);
    let literal = if place.host == "localhost" {
        Some(IpAddr::from([127, 0, 0, 1]))
    } else {
        place.host.parse().ok()
    };
    if let Some(address) = literal {
        return Ok(vec![with_port(address)]);
    }
    let (mut found, mut failure) = (vec![], None);
    for family in families {
        match resolver.addresses(&place.host, *family).await {
            Ok(addresses) => found.extend(addresses.into_iter().map(with_port)),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        _ if !found.is_empty() => Ok(found),
        Some(NoAnswer::Failed(why)) => Err(Error::new(
            ErrorKind::Unreachable,
            format!("{} cannot be found: {why}", place.host),
        )),
        _ => Err(Error::new(
            ErrorKind::NoName,
            format!("{} has no address", place.host),
        )),
    }
}

async fn secure(
    place: &Place,
    stream: TcpStream,
    authorities: &Authorities,
) -> Result<TlsStream<TcpStream>, Error> {
    let authorities = authorities.clone();
    // A hundred files, and as many certificates to read.
    let config = tokio::task::spawn_blocking(move || trusting(&authorities()));
    let config = config.await.map_err(|_| Error::address(&place.host))?;
    let name = ServerName::try_from(place.host.clone()).map_err(|_| Error::address(&place.host))?;
    let connected = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await;
    connected.map_err(|error| {
        let is_doubt = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            .is_some_and(|error| matches!(error, rustls::Error::InvalidCertificate(_)));
        let kind = if is_doubt {
            ErrorKind::Certificate
        } else {
            ErrorKind::Broken
        };
        Error::new(
            kind,
            format!("no secure connection to {}: {error}", place.host),
        )
    })
}

fn trusting(authorities: &[rustls_pki_types::CertificateDer<'static>]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities.iter().cloned());
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the suites of both versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
