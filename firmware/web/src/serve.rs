//! One listener: accept, TLS where there is any, HTTP/1.1, all within the limits.

use crate::{
    Peer, Site,
    limits::{ACCEPT_PAUSE, HANDSHAKE_MAX, HEADERS_BYTES_MAX, HEADERS_MAX, HEADERS_WAIT_MAX},
    pace::Paced,
};
use hyper::{server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use server::Visitor;
use std::{net::SocketAddr, pin::pin, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};
use xmpp::sasl::ChannelBindings;

/// Asked at each connection, so that a new certificate needs no restart.
pub type TlsSource = Arc<dyn Fn() -> Arc<ServerConfig> + Send + Sync>;

/// Serves a listener until `stop` becomes true or its sender is gone. With `tls` it is an https listener.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsSource>,
    site: Site,
    mut stop: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    let mut stopped = pin!(async move {
        // An error means that the sender is gone: the same.
        let _ = stop.wait_for(|stop| *stop).await;
    });
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    connections.spawn(connection(socket, peer, tls.clone(), site.clone()));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a web connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

async fn connection(socket: TcpStream, peer: SocketAddr, tls: Option<TlsSource>, site: Site) {
    let Some(_guest) = site.guests.enter(peer.ip()) else {
        debug!(%peer, "too many web connections");
        return;
    };
    let Some(tls) = tls else {
        return http(socket, peer, None, &site).await;
    };
    match timeout(HANDSHAKE_MAX, TlsAcceptor::from(tls()).accept(socket)).await {
        Ok(Ok(socket)) => {
            let visitor = Visitor {
                address: peer.ip().to_canonical(),
                bindings: ChannelBindings::default(),
            };
            http(socket, peer, Some(visitor), &site).await;
        }
        Ok(Err(error)) => debug!(%peer, %error, "no TLS"),
        Err(_) => debug!(%peer, "TLS took too long"),
    }
}

async fn http(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    visitor: Option<Visitor>,
    site: &Site,
) {
    let service = TowerToHyperService::new(site.router.clone());
    let service = hyper::service::service_fn(move |mut request: hyper::Request<_>| {
        request.extensions_mut().insert(Peer(peer));
        if let Some(visitor) = &visitor {
            request.extensions_mut().insert(visitor.clone());
        }
        service.call(request)
    });
    let (socket, pace) = Paced::new(socket);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WAIT_MAX)
        .max_buf_size(HEADERS_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            debug!(%peer, %error, "a web connection ended");
        },
        () = pace.until_lost() => debug!(%peer, "a web connection stood still"),
    }
}
