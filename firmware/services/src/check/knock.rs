//! Knocks at one door of ours, from inside or by the way around through the router, and sees who opens. Owns
//! nothing.

use super::limits::{CHAIN_MAX, KNOCK_MS_MAX};
use crate::{
    address::stun,
    router::{Port, Protocol},
};
use rustls_pki_types::{CertificateDer, ServerName};
use server::world::Dice;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

/// With what is knocked.
#[derive(Clone)]
pub(super) struct Knocker {
    pub(super) domain: String,
    /// Takes any certificate: who it is, is looked at here.
    pub(super) tls: Arc<rustls::ClientConfig>,
    pub(super) dice: Arc<dyn Dice>,
}

/// Who opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    Nobody,
    /// Somebody, who has no certificate to show at this port.
    Somebody,
    /// Somebody with this certificate.
    Holder(CertificateDer<'static>),
}

impl Knocker {
    /// Knocks at this address.
    pub(super) async fn knock(&self, port: &Port, address: SocketAddr) -> Opened {
        let patience = Duration::from_millis(KNOCK_MS_MAX);
        match port.protocol {
            Protocol::Udp => {
                let seen = timeout(patience, stun::seen(address, &*self.dice)).await;
                match seen {
                    Ok(Ok(Some(_))) => Opened::Somebody,
                    _ => Opened::Nobody,
                }
            }
            Protocol::Tcp => {
                let Ok(Ok(stream)) = timeout(patience, TcpStream::connect(address)).await else {
                    return Opened::Nobody;
                };
                if port.name != "https" {
                    return Opened::Somebody;
                }
                let shown = timeout(patience, self.holder(stream)).await;
                shown
                    .ok()
                    .flatten()
                    .map_or(Opened::Somebody, Opened::Holder)
            }
        }
    }

    async fn holder(&self, stream: TcpStream) -> Option<CertificateDer<'static>> {
        let name = ServerName::try_from(self.domain.clone()).ok()?;
        let connector = TlsConnector::from(self.tls.clone());
        let stream = connector.connect(name, stream).await.ok()?;
        let chain = stream.get_ref().1.peer_certificates()?;
        let leaf = chain.iter().take(CHAIN_MAX).next()?;
        Some(leaf.clone().into_owned())
    }
}

/// Where a listener is found on this machine itself.
pub(super) fn inside(bound: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}
