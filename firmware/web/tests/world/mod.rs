//! A site on ports of its own, as `server::listen` would hand it connections; TLS itself is tested with the
//! ports and with the binary.

#![allow(dead_code, reason = "each test file uses what it needs")]

use axum::{Extension, Router, body::Bytes, routing::get};
use household::{Config, Health, Numbers};
use server::listen::{HttpConnection, Protocol, Secured, Web};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
};
use web::{Peer, Site};
use xmpp::sasl::ChannelBindings;

/// For as long as this lives.
pub(crate) struct World {
    /// In the clear.
    pub(crate) http: SocketAddr,
    /// As over TLS with a certificate that nobody knows.
    pub(crate) https: SocketAddr,
    /// As over TLS with one that everybody believes.
    pub(crate) trusted: SocketAddr,
    /// As over TLS, HTTP/2.
    pub(crate) http2: SocketAddr,
    pub(crate) health: watch::Sender<Health>,
    pub(crate) stop: watch::Sender<bool>,
    /// Lets those go on who asked for `/slow`.
    pub(crate) go_on: Arc<Notify>,
    /// Tells of each who asks for it.
    pub(crate) asked: Arc<Notify>,
}

impl World {
    pub(crate) async fn new() -> World {
        let (health, listening) = watch::channel(Health::default());
        let (stop, stopped) = watch::channel(false);
        let (go_on, asked) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let config = Arc::new(Config::default());
        let pages = web_ui::router(move || config.clone()).merge(pages(&go_on, &asked));
        let address = || Some("https://home.example:8443".to_owned());
        let site = Site::new("1.2.3", listening, Numbers::default, address, pages)
            .with_challenges(|token| (token == "known").then(|| "known.proof".to_owned()));
        let secured = |protocol, is_publicly_trusted| {
            Some(Secured {
                version: None,
                protocol,
                bindings: ChannelBindings {
                    exporter: None,
                    end_point: Some(vec![7]),
                },
                is_publicly_trusted,
            })
        };
        let open = |secured| open(site.clone(), secured, stopped.clone());
        World {
            http: open(None).await,
            https: open(secured(Protocol::Http1, false)).await,
            trusted: open(secured(Protocol::Http1, true)).await,
            http2: open(secured(Protocol::Http2, false)).await,
            health,
            stop,
            go_on,
            asked,
        }
    }

    pub(crate) async fn connect(&self, address: SocketAddr) -> TcpStream {
        TcpStream::connect(address).await.expect("listening")
    }

    /// Sends bytes and reads until the server closes.
    pub(crate) async fn ask(&self, address: SocketAddr, request: &str) -> String {
        let mut socket = self.connect(address).await;
        socket.write_all(request.as_bytes()).await.expect("open");
        rest(&mut socket).await
    }

    pub(crate) async fn get(&self, address: SocketAddr, path: &str, headers: &str) -> String {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n");
        self.ask(address, &request).await
    }
}

async fn open(site: Site, secured: Option<Secured>, stop: watch::Receiver<bool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((socket, peer)) = listener.accept().await {
            tokio::spawn(site.serve(HttpConnection {
                stream: socket.into(),
                peer,
                secured: secured.clone(),
                stop: stop.clone(),
            }));
        }
    });
    address
}

/// Pages that only tests have.
fn pages(go_on: &Arc<Notify>, asked: &Arc<Notify>) -> Router {
    let (go_on, asked) = (go_on.clone(), asked.clone());
    let slow = move || async move {
        asked.notify_one();
        go_on.notified().await;
        "at last"
    };
    let echo = |body: Bytes| async move { body };
    let who = |Extension(Peer(peer)): Extension<Peer>, secured: Option<Extension<Secured>>| async move {
        let protocol = secured.as_ref().map(|tls| tls.protocol);
        let bound_to = secured.and_then(|tls| tls.0.bindings.end_point);
        format!("{} {protocol:?} {bound_to:?}", peer.ip())
    };
    Router::new()
        .route("/slow", get(slow))
        .route("/echo", get(|| async { "" }).post(echo))
        .route("/who", get(who))
}

/// What comes until the server closes; a reset is as good as an end.
pub(crate) async fn rest(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = socket.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).expect("text")
}

/// The number of an answer's status.
pub(crate) fn status(answer: &str) -> u16 {
    let number = answer.split(' ').nth(1).expect("a status line");
    number.parse().expect("a number")
}
