//! What programs and browsers get, over real sockets.

use household::{Config, Health, Level, Numbers};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use web::Site;

/// A site on a port of its own, for as long as this lives.
struct World {
    address: std::net::SocketAddr,
    health: watch::Sender<Health>,
    stop: watch::Sender<bool>,
}

impl World {
    async fn new() -> World {
        let (health, listening) = watch::channel(Health::default());
        let (stop, stopped) = watch::channel(false);
        let config = Arc::new(Config::default());
        let pages = web_ui::router(move || config.clone());
        let site = Site::new("1.2.3", listening, Numbers::default, pages);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(web::serve(listener, None, site, stopped));
        World {
            address,
            health,
            stop,
        }
    }

    /// Sends bytes and reads until the server closes.
    async fn ask(&self, request: &str) -> String {
        let mut socket = TcpStream::connect(self.address).await.expect("listening");
        socket.write_all(request.as_bytes()).await.expect("open");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("text");
        answer
    }

    async fn get(&self, path: &str, headers: &str) -> String {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n"
        ))
        .await
    }
}

#[tokio::test]
async fn what_is_where() {
    let world = World::new().await;
    let rows = [
        ("/", "", "HTTP/1.1 200", "localhost"),
        ("/healthz", "", "HTTP/1.1 200", "ok\n"),
        ("/metrics", "", "HTTP/1.1 200", "hearth_accounts 0\n"),
        (
            "/metrics",
            "X-Forwarded-For: 192.0.2.1\r\n",
            "HTTP/1.1 403",
            "machine",
        ),
        (
            "/metrics",
            "Forwarded: for=192.0.2.1\r\n",
            "HTTP/1.1 403",
            "machine",
        ),
        ("/nothing", "", "HTTP/1.1 404", ""),
    ];
    for (path, headers, status, content) in rows {
        let answer = world.get(path, headers).await;
        assert!(answer.starts_with(status), "{path}: {answer}");
        assert!(answer.contains(content), "{path}: {answer}");
        for header in [
            "content-security-policy: default-src 'none'",
            "x-content-type-options: nosniff",
        ] {
            assert!(answer.contains(header), "{path}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_failed_part_is_named() {
    let world = World::new().await;
    world.health.send_modify(|health| {
        health.set("store", Level::Fail, "the card is full");
        health.set("listeners", Level::Warn, "no http");
    });
    let answer = world.get("/healthz", "").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with("store: the card is full\n"), "{answer}");
    world
        .health
        .send_modify(|health| health.set("store", Level::Warn, "nearly full"));
    assert!(world.get("/healthz", "").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let world = World::new().await;
    let long = "a".repeat(web::limits::HEADERS_BYTES_MAX);
    let rows = [
        ("rubbish\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), "HTTP/1.1 4"),
        (
            format!(
                "GET / HTTP/1.1\r\n{}\r\n",
                "x: y\r\n".repeat(web::limits::HEADERS_MAX + 1)
            ),
            "HTTP/1.1 431",
        ),
        (
            "POST /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
                .to_owned(),
            "HTTP/1.1 405",
        ),
    ];
    for (request, status) in rows {
        let answer = world.ask(&request).await;
        assert!(
            answer.starts_with(status),
            "{}: {answer}",
            &request[..20.min(request.len())]
        );
    }
}

#[tokio::test]
async fn stopping_closes_what_is_open() {
    let world = World::new().await;
    let mut socket = TcpStream::connect(world.address).await.expect("listening");
    world.stop.send(true).expect("the listener hears");
    let mut rest = Vec::new();
    // A reset is as good as an end.
    let _ = socket.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}
