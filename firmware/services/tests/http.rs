//! Requests to the outside, and servers that answer them badly.

use bytes::Bytes;
use http::{Request, StatusCode};
use rustls::{ServerConfig, crypto::aws_lc_rs::default_provider};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use server::s2s::resolve::Resolver;
use services::http::{Error, ErrorKind, Http, Reply};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

fn client(authorities: &[CertificateDer<'static>]) -> Http {
    // Nobody listens there: only addresses and this machine are asked in these tests.
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let authorities = authorities.to_vec();
    Http::new(
        Arc::new(Resolver::new(vec![nobody])),
        Arc::new(move || authorities.clone()),
    )
}

async fn get(http: &Http, uri: &str) -> Result<Reply, Error> {
    let request = Request::builder().uri(uri).body(Bytes::new());
    http.send(request.expect("a URI")).await
}

/// A server that reads a request and answers each with these bytes.
async fn answering(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("loopback");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            read_head(&mut socket).await;
            // Whoever heard enough hangs up.
            let _ = socket.write_all(&bytes).await;
        }
    });
    format!("http://{address}/path?query")
}

async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.expect("a request"));
    }
    String::from_utf8(head).expect("text")
}

#[tokio::test]
async fn addresses_that_are_not_asked() {
    let http = client(&[]);
    for uri in [
        "http://home.example/",
        "http://192.0.2.1/",
        "http://127.0.0.1.example/",
        "ftp://home.example/",
        "https://user:secret@home.example/",
        "https:///path",
        "/path",
        "home.example",
    ] {
        let Ok(request) = Request::builder().uri(uri).body(Bytes::new()) else {
            continue;
        };
        let error = http.send(request).await.expect_err(uri);
        assert_eq!(error.kind(), ErrorKind::Address, "{uri}: {error}");
        assert!(!error.is_temporary());
    }
    // In the clear, this machine alone.
    for uri in [
        "http://127.0.0.1:1/",
        "http://[::1]:1/",
        "http://localhost:1/",
    ] {
        let error = get(&http, uri).await.expect_err(uri);
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{uri}: {error}");
        assert!(error.is_temporary());
    }
}

#[tokio::test]
async fn answers_that_make_no_sense() {
    let long = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n{}",
        "a".repeat(2_000_000)
    );
    let endless = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}",
        format!("10000\r\n{}\r\n", "a".repeat(65_536)).repeat(40)
    );
    let head = format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(200_000));
    let http = client(&[]);
    for (bytes, kind) in [
        (long, ErrorKind::Nonsense),
        (endless, ErrorKind::Nonsense),
        (head, ErrorKind::Nonsense),
        ("220 mail.example ESMTP\r\n".to_owned(), ErrorKind::Nonsense),
        (
            "<stream:stream xmlns='jabber:client'>".to_owned(),
            ErrorKind::Nonsense,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n".to_owned(),
            ErrorKind::Nonsense,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_owned(),
            ErrorKind::Broken,
        ),
        (String::new(), ErrorKind::Broken),
    ] {
        let shown = bytes.chars().take(60).collect::<String>();
        let uri = answering(bytes.into_bytes()).await;
        let error = get(&http, &uri).await.expect_err(&shown);
        assert_eq!(error.kind(), kind, "{shown}: {error}");
        assert!(error.is_temporary());
    }
}

#[tokio::test]
async fn a_redirection_is_an_answer_and_not_followed() {
    let uri =
        answering(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\n".to_vec()).await;
    let reply = get(&client(&[]), &uri).await.expect("an answer");
    assert_eq!(reply.status, StatusCode::FOUND);
}

#[tokio::test]
async fn what_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("loopback");
    let serving = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let head = read_head(&mut socket).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        socket.write_all(answer).await.expect("sent");
        head
    });
    let reply = get(&client(&[]), &format!("http://{address}/v2/a?b=c"))
        .await
        .expect("an answer");
    assert_eq!(
        (reply.status, &reply.body[..]),
        (StatusCode::OK, &b"hello"[..])
    );
    let head = serving.await.expect("served");
    assert!(head.starts_with("GET /v2/a?b=c HTTP/1.1\r\n"), "{head}");
    for line in [format!("host: {address}"), "connection: close".to_owned()] {
        assert!(head.contains(&line), "{head}");
    }
}

#[tokio::test]
async fn a_silent_server_is_not_waited_for_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let uri = format!("http://{}/", listener.local_addr().expect("loopback"));
    let asking = tokio::spawn(async move { get(&client(&[]), &uri).await });
    let (mut socket, _) = listener.accept().await.expect("a connection");
    read_head(&mut socket).await;
    // From here on, time passes as soon as nobody has anything to do.
    tokio::time::pause();
    let error = asking.await.expect("no panic").expect_err("no answer");
    assert_eq!(error.kind(), ErrorKind::Silent, "{error}");
}

/// A server over TLS for these names, and its certificate.
async fn secured(names: &[&str]) -> (SocketAddr, CertificateDer<'static>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a certificate and its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("loopback");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut socket) = acceptor.accept(socket).await else {
                continue;
            };
            let mut head = [0; 16];
            socket.read_exact(&mut head).await.expect("a request");
            let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
            socket.write_all(answer).await.expect("sent");
            let _ = socket.shutdown().await;
        }
    });
    (address, certificate)
}

#[tokio::test]
async fn certificates_are_verified() {
    let (address, certificate) = secured(&["localhost"]).await;
    let (_, other) = secured(&["localhost"]).await;
    let uri = format!("https://localhost:{}/", address.port());
    let reply = get(&client(std::slice::from_ref(&certificate)), &uri)
        .await
        .expect("an answer");
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    let by_address = format!("https://{address}/");
    for (authorities, uri) in [
        (vec![], &uri),
        (vec![other], &uri),
        (vec![certificate], &by_address),
    ] {
        let error = get(&client(&authorities), uri).await.expect_err("a doubt");
        assert_eq!(error.kind(), ErrorKind::Certificate, "{uri}: {error}");
        assert!(
            error.is_temporary(),
            "it may be renewed, or the clock be set"
        );
    }
}
