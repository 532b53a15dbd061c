//! One port for everything: what is spoken on a connection, as ALPN or the first bytes say, and what a proxy
//! in front may say of it.

use crate::common::{Home, Running, Tls};
use rustix::process::Signal;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    client::{
        ResolvesClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs::default_provider},
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const CONFIG: &str = "[listen]\nproxy65 = []\n\
    c2s = ['127.0.0.1:0']\nc2s_tls = ['127.0.0.1:0']\nhttps = ['127.0.0.1:0']\nhttp = ['127.0.0.1:0']\n\
    s2s = ['127.0.0.1:0']\ns2s_tls = ['127.0.0.1:0']\nstun = ['127.0.0.1:0']\n\
    turn_tls = ['127.0.0.1:0']\n";
const CLIENT: &str = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' \
    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
const SERVER: &str = "<stream:stream to='localhost' from='home.example' version='1.0' \
    xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>";
/// A STUN request without attributes, and how its answer begins: a success, with the same cookie behind it.
const BINDING: &[u8] = b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl";
const BOUND: &str = "\x01\x01\0\x0c\x21\x12";
const GET: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// How long an answer may take before something is wrong.
const PATIENCE: Duration = Duration::from_mins(1);

fn home(more: &str) -> Home {
    let home = Home::new();
    home.write("hearth.toml", &format!("{CONFIG}{more}"));
    home
}

/// Notes whether it is asked for a certificate, and has none.
#[derive(Debug, Default)]
struct Asked(AtomicBool);

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// What a handshake came to.
struct Shaken {
    tls: Tls,
    alpn: Option<String>,
    was_asked: bool,
}

/// A handshake with whatever certificate; the error is the alert that ended it.
fn shake(socket: TcpStream, alpn: &[&str]) -> Result<Shaken, String> {
    let asked = Arc::new(Asked::default());
    let provider = Arc::new(default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_client_cert_resolver(asked.clone());
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).expect("a client");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut tls = StreamOwned::new(client, socket);
    while tls.conn.is_handshaking() {
        tls.conn
            .complete_io(&mut tls.sock)
            .map_err(|error| error.to_string())?;
    }
    let alpn = tls.conn.alpn_protocol().map(<[u8]>::to_vec);
    Ok(Shaken {
        alpn: alpn.map(|name| String::from_utf8(name).expect("a name")),
        was_asked: asked.0.load(Ordering::Relaxed),
        tls,
    })
}

fn connect(running: &Running, name: &str, alpn: &[&str]) -> Result<Shaken, String> {
    let socket = TcpStream::connect(running.address(name)).expect("listening");
    shake(socket, alpn)
}

/// Reads until one of these texts has come, or the other side closes.
fn hear(stream: &mut impl Read, until: &[&str]) -> String {
    let (mut heard, mut byte) = (Vec::new(), [0]);
    while let Ok(1) = stream.read(&mut byte) {
        heard.push(byte[0]);
        if until.iter().any(|text| heard.ends_with(text.as_bytes())) {
            break;
        }
    }
    String::from_utf8_lossy(&heard).into_owned()
}

const OF_CLIENT: &str = "xmlns='jabber:client'";
const OF_SERVER: &str = "xmlns='jabber:server'";
const STATUS_END: &str = "\r\n";

/// What somebody who says this is taken for.
fn taken_for(stream: &mut (impl Read + Write), said: &[u8]) -> &'static str {
    // The other side may close before it has heard all of it.
    let _ = stream.write_all(said).and_then(|()| stream.flush());
    match hear(stream, &[OF_CLIENT, OF_SERVER, STATUS_END, BOUND]).as_str() {
        http if http.starts_with("HTTP/1.1 ") => "http",
        stream if stream.ends_with(OF_SERVER) => "server",
        stream if stream.ends_with(OF_CLIENT) => "client",
        BOUND => "relay",
        "" => "nobody",
        _ => "something",
    }
}

#[test]
fn alpn_says_what_is_spoken_and_each_port_has_its_own() {
    let home = home("");
    let mut running = home.serve(&["serve"]);
    let refused = Err("no application protocol");
    // Port, ALPN, what is selected and whether a certificate is asked for.
    for (port, alpn, expected) in [
        (
            "c2s_tls",
            &["xmpp-client"][..],
            Ok((Some("xmpp-client"), false)),
        ),
        ("c2s_tls", &[], Ok((None, false))),
        ("c2s_tls", &["xmpp-server"], refused),
        ("c2s_tls", &["h2", "http/1.1"], refused),
        ("s2s_tls", &["xmpp-server"], Ok((Some("xmpp-server"), true))),
        ("s2s_tls", &[], Ok((None, true))),
        ("s2s_tls", &["xmpp-client"], refused),
        ("https", &["h2", "http/1.1"], Ok((Some("h2"), false))),
        ("https", &["http/1.1", "h2"], Ok((Some("h2"), false))),
        ("https", &["http/1.1"], Ok((Some("http/1.1"), false))),
        ("https", &["xmpp-client"], Ok((Some("xmpp-client"), false))),
        (
            "https",
            &["http/1.1", "xmpp-client"],
            Ok((Some("xmpp-client"), false)),
        ),
        ("https", &["xmpp-server"], Ok((Some("xmpp-server"), true))),
        ("https", &[], Ok((None, false))),
        ("https", &["acme-tls/1"], refused),
        ("https", &["stun.turn"], Ok((Some("stun.turn"), false))),
        (
            "https",
            &["http/1.1", "stun.turn"],
            Ok((Some("stun.turn"), false)),
        ),
        ("turn_tls", &["stun.turn"], Ok((Some("stun.turn"), false))),
        ("turn_tls", &[], Ok((None, false))),
        ("turn_tls", &["http/1.1"], refused),
        ("https", &["spdy/3"], refused),
    ] {
        let found = connect(&running, port, alpn);
        let found = found.map(|shaken| (shaken.alpn, shaken.was_asked));
        match (&found, expected) {
            (Ok((alpn, asked)), Ok(expected)) => {
                assert_eq!((alpn.as_deref(), *asked), expected, "{port} {alpn:?}");
            }
            (Err(error), Err(_)) => {
                assert!(
                    error.contains("NoApplicationProtocol"),
                    "{port} {alpn:?}: {error}"
                );
            }
            _ => panic!("{port} {alpn:?}: {found:?}"),
        }
    }
    assert_eq!(running.end(Signal::TERM), Some(0));
}

#[test]
fn what_is_spoken_is_what_was_said_to_be() {
    let home = home("");
    let mut running = home.serve(&["serve"]);
    for (port, alpn, said, expected) in [
        ("c2s_tls", &["xmpp-client"][..], CLIENT.as_bytes(), "client"),
        ("s2s_tls", &["xmpp-server"], SERVER.as_bytes(), "server"),
        ("https", &["xmpp-client"], CLIENT.as_bytes(), "client"),
        ("https", &["xmpp-server"], SERVER.as_bytes(), "server"),
        ("https", &["http/1.1"], GET.as_bytes(), "http"),
        ("https", &[], CLIENT.as_bytes(), "client"),
        ("https", &[], SERVER.as_bytes(), "server"),
        ("https", &[], GET.as_bytes(), "http"),
        ("https", &["stun.turn"], BINDING, "relay"),
        ("https", &[], BINDING, "relay"),
        ("turn_tls", &["stun.turn"], BINDING, "relay"),
        ("turn_tls", &[], BINDING, "relay"),
    ] {
        let mut tls = connect(&running, port, alpn)
            .map(|shaken| shaken.tls)
            .expect("TLS");
        assert_eq!(taken_for(&mut tls, said), expected, "{port} {alpn:?}");
    }
    // A mark of the byte order comes before streams, and empty lines before requests.
    for (said, expected) in [
        (["\u{feff}", CLIENT].concat().into_bytes(), "client"),
        (["\r\n", SERVER].concat().into_bytes(), "server"),
        (["\r\n", GET].concat().into_bytes(), "http"),
        (b"SSH-2.0-x\r\n".to_vec(), "nobody"),
    ] {
        let mut tls = connect(&running, "https", &[])
            .map(|shaken| shaken.tls)
            .expect("TLS");
        assert_eq!(taken_for(&mut tls, &said), expected, "{said:?}");
    }
    assert_eq!(running.end(Signal::TERM), Some(0));
}

#[test]
fn who_speaks_slowly_is_understood_too() {
    let home = home("");
    let mut running = home.serve(&["serve"]);
    for (said, expected) in [(CLIENT, "client"), (SERVER, "server"), (GET, "http")] {
        let mut tls = connect(&running, "https", &[])
            .map(|shaken| shaken.tls)
            .expect("TLS");
        let (last, begin) = said.as_bytes().split_last().expect("some bytes");
        for byte in begin {
            tls.write_all(&[*byte]).expect("open");
            tls.flush().expect("open");
        }
        assert_eq!(taken_for(&mut tls, &[*last]), expected);
    }
    assert_eq!(running.end(Signal::TERM), Some(0));
}

#[test]
fn a_house_that_talks_to_no_others_takes_nobody_for_one() {
    let home = home("[s2s]\nenabled = false\n");
    let mut running = home.serve(&["serve"]);
    let refused = connect(&running, "https", &["xmpp-server"]).err();
    assert!(refused.is_some_and(|error| error.contains("NoApplicationProtocol")));
    for (said, expected) in [(SERVER, "nobody"), (CLIENT, "client")] {
        let mut tls = connect(&running, "https", &[])
            .map(|shaken| shaken.tls)
            .expect("TLS");
        assert_eq!(taken_for(&mut tls, said.as_bytes()), expected);
    }
    assert_eq!(running.end(Signal::TERM), Some(0));
}

/// The header of a proxy for somebody at this address, or for itself.
fn proxied(address: Option<[u8; 4]>) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    match address {
        Some(address) => {
            header.extend([0x21, 0x11, 0, 12]);
            header.extend(address);
            header.extend([127, 0, 0, 1, 0xc0, 0, 0x01, 0xbb]);
        }
        None => header.extend([0x20, 0, 0, 0]),
    }
    header
}

#[test]
fn a_proxy_says_whose_connection_it_is() {
    let home = home("[proxy_protocol]\nfrom = ['127.0.0.1']\n");
    let mut running = home.serve(&["serve"]);
    let somebody = proxied(Some([192, 0, 2, 1]));
    let itself = proxied(None);
    let v1 = b"PROXY TCP4 192.0.2.1 127.0.0.1 49152 443\r\n".to_vec();
    // `/metrics` is for this machine alone.
    for (header, path, expected) in [
        (&somebody, "/healthz", "HTTP/1.1 200"),
        (&somebody, "/metrics", "HTTP/1.1 403"),
        (&itself, "/metrics", "HTTP/1.1 200"),
        (&v1, "/healthz", ""),
        (&Vec::new(), "/healthz", ""),
    ] {
        let get = GET.replace("/healthz", path);
        let mut clear = TcpStream::connect(running.address("http")).expect("listening");
        let _ = clear.write_all(&[header.as_slice(), get.as_bytes()].concat());
        let heard = hear(&mut clear, &[STATUS_END]);
        assert!(
            heard.starts_with(expected) && heard.is_empty() == expected.is_empty(),
            "{heard}"
        );
        let mut socket = TcpStream::connect(running.address("https")).expect("listening");
        let _ = socket.write_all(header);
        let shaken = shake(socket, &["http/1.1"]);
        assert_eq!(shaken.is_ok(), !expected.is_empty(), "before TLS");
        if let Ok(mut shaken) = shaken {
            shaken.tls.write_all(get.as_bytes()).expect("open");
            assert!(
                hear(&mut shaken.tls, &[STATUS_END]).starts_with(expected),
                "{path}"
            );
        }
    }
    for (port, said, expected) in [("c2s", CLIENT, "client"), ("s2s", SERVER, "server")] {
        let mut socket = TcpStream::connect(running.address(port)).expect("listening");
        socket.write_all(&somebody).expect("open");
        assert_eq!(taken_for(&mut socket, said.as_bytes()), expected);
        let mut without = TcpStream::connect(running.address(port)).expect("listening");
        assert_eq!(taken_for(&mut without, said.as_bytes()), "nobody");
    }
    assert_eq!(running.end(Signal::TERM), Some(0));
}

#[test]
fn a_header_from_elsewhere_is_no_proxy_s() {
    let home = home("[proxy_protocol]\nfrom = ['192.0.2.0/24']\n");
    let mut running = home.serve(&["serve"]);
    let mut header = proxied(Some([198, 51, 100, 1]));
    header.extend(GET.as_bytes());
    let mut clear = TcpStream::connect(running.address("http")).expect("listening");
    clear.write_all(&header).expect("open");
    assert!(!hear(&mut clear, &[STATUS_END]).starts_with("HTTP/1.1 200"));
    let mut socket = TcpStream::connect(running.address("https")).expect("listening");
    socket.write_all(&header).expect("open");
    assert!(shake(socket, &["http/1.1"]).is_err());
    let mut usual = connect(&running, "https", &["http/1.1"])
        .map(|shaken| shaken.tls)
        .expect("TLS");
    assert_eq!(taken_for(&mut usual, GET.as_bytes()), "http");
    assert_eq!(running.end(Signal::TERM), Some(0));
}

#[test]
fn what_opens_doors_is_in_no_log() {
    let home = home("");
    let mut running = home.serve_at_level("debug");
    let mut tls = connect(&running, "https", &[])
        .map(|shaken| shaken.tls)
        .expect("TLS");
    let request = "POST /secret-path?token=secret-query HTTP/1.1\r\nHost: localhost\r\n\
        Authorization: Bearer secret-authorization\r\nCookie: id=secret-cookie\r\n\
        Content-Length: 11\r\nConnection: close\r\n\r\nsecret-body";
    assert_eq!(taken_for(&mut tls, request.as_bytes()), "http");
    running.signal(Signal::TERM);
    let log = running.rest_of_the_log();
    assert!(log.contains("answered"), "{log}");
    assert!(
        log.contains("status=404") && !log.contains("secret"),
        "{log}"
    );
}

/// Believes whoever is there.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
