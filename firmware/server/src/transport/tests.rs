//! Real sockets and real TLS, from the first byte to the last.

use crate::{
    connection::fixture::World,
    limits::{TLS_HANDSHAKE_MS_MAX, UNAUTHENTICATED_PER_ADDRESS_MAX},
    listen::{
        self, Entrance, HttpConnection, Relay, RelayConnection, Web,
        limits::{FIRST_BYTES_MS_MAX, PROXY_HEADER_MS_MAX},
    },
    tls::{Files, Source, Tls},
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream, UdpSocket},
    sync::watch,
    task::JoinHandle,
    time::Instant,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const HEADER: &str = "<stream:stream to='localhost' version='1.0' \
    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
/// PLAIN for juliet, password pencil.
const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>\
    AGp1bGlldABwZW5jaWw=</auth>";
const BIND: &str = "<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";

#[derive(Default)]
pub(crate) struct Disk(Mutex<BTreeMap<String, Vec<u8>>>);

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let files = self.0.lock().unwrap();
        files
            .get(&path.display().to_string())
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.0
            .lock()
            .unwrap()
            .insert(path.display().to_string(), bytes.into());
        Ok(())
    }

    fn write_secret(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write(path, bytes)
    }
}

/// Nobody here speaks HTTP.
struct NoWeb;

impl Web for NoWeb {
    fn serve(&self, _: HttpConnection) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}

struct NoRelay;

impl Relay for NoRelay {
    fn serve(&self, _: RelayConnection) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }

    fn serve_datagrams(
        &self,
        _: UdpSocket,
        _: watch::Receiver<bool>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}

struct House {
    c2s: SocketAddr,
    c2s_tls: SocketAddr,
    https: SocketAddr,
    connector: TlsConnector,
    stop: watch::Sender<bool>,
    serving: Vec<JoinHandle<()>>,
}

impl House {
    async fn open() -> House {
        let world = World::new(
            "[listen]\nc2s = ['127.0.0.1:0']\nc2s_tls = ['127.0.0.1:0']\n\
             https = ['127.0.0.1:0']\nstun = []\nturn_tls = []\ns2s = []\ns2s_tls = []\nhttp = []\n\
             proxy65 = []\n\
             [proxy_protocol]\nfrom = ['127.0.0.2']",
        );
        let disk = Arc::new(Disk::default());
        let source = Source::SelfSigned {
            directory: "tls".into(),
            names: vec!["localhost".into()],
        };
        let tls = Arc::new(Tls::open(disk.clone(), &source, Path::new(""), 0).unwrap());
        let entrance = Entrance::new(
            world.server.clone(),
            tls,
            Arc::new(NoWeb),
            Arc::new(NoRelay),
        );
        let (stop, stopped) = watch::channel(false);
        let mut addresses = BTreeMap::new();
        let mut serving = Vec::new();
        for opening in listen::openings(&world.server.config()) {
            let listener = opening.bind().await.unwrap();
            addresses.insert(opening.name, listener.address());
            let serve = listener.serve(entrance.clone(), stopped.clone());
            serving.push(tokio::spawn(serve));
        }
        let mut roots = RootCertStore::empty();
        let pem = disk.read(Path::new("tls/self-signed.pem")).unwrap();
        roots
            .add(CertificateDer::from_pem_slice(&pem).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"xmpp-client".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        House {
            c2s: addresses["c2s"],
            c2s_tls: addresses["c2s_tls"],
            https: addresses["https"],
            connector,
            stop,
            serving,
        }
    }

    /// Without a word about what is to be spoken.
    async fn secure_silently(&self, tcp: TcpStream) -> TlsStream<TcpStream> {
        let mut config = ClientConfig::clone(self.connector.config());
        config.alpn_protocols.clear();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, tcp).await.unwrap()
    }

    async fn secure(&self, tcp: TcpStream) -> TlsStream<TcpStream> {
        self.connector
            .connect(ServerName::try_from("localhost").unwrap(), tcp)
            .await
            .unwrap()
    }
}

/// Sends, and reads up to the text that is waited for.
async fn say(
    socket: &mut (impl AsyncRead + AsyncWrite + Unpin),
    text: &str,
    until: &str,
) -> String {
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut heard = String::new();
    let mut buffer = [0; 4_096];
    while !heard.contains(until) {
        let count = socket.read(&mut buffer).await.unwrap();
        assert!(count > 0, "closed before {until}: {heard}");
        heard += std::str::from_utf8(&buffer[..count]).unwrap();
    }
    heard
}

/// What comes until the other side closes.
async fn rest(socket: &mut (impl AsyncRead + Unpin)) -> String {
    let mut heard = String::new();
    socket.read_to_string(&mut heard).await.unwrap();
    heard
}

async fn log_in(socket: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let pipelined = format!("{HEADER}{AUTH}{HEADER}{BIND}");
    let heard = say(socket, &pipelined, "</jid>").await;
    assert!(
        heard.starts_with("<?xml version='1.0'?><stream:stream from='localhost'"),
        "{heard}"
    );
    assert!(
        heard.contains("-PLUS</mechanism>") && heard.contains("'tls-exporter'"),
        "{heard}"
    );
}

#[tokio::test]
async fn both_doors_lead_in_and_everybody_is_told_when_the_house_closes() {
    let house = House::open().await;

    let mut tcp = TcpStream::connect(house.c2s).await.unwrap();
    say(&mut tcp, HEADER, "</stream:features>").await;
    say(
        &mut tcp,
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<proceed",
    )
    .await;
    let mut first = house.secure(tcp).await;
    log_in(&mut first).await;

    let mut second = house
        .secure(TcpStream::connect(house.c2s_tls).await.unwrap())
        .await;
    assert_eq!(
        second.get_ref().1.alpn_protocol(),
        Some(&b"xmpp-client"[..])
    );
    log_in(&mut second).await;
    let ping = "<iq type='get' id='p1' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
    say(&mut second, ping, "p1").await;

    let mut waiting = TcpStream::connect(house.c2s).await.unwrap();
    say(&mut waiting, HEADER, "</stream:features>").await;

    house.stop.send(true).unwrap();
    let goodbye = "<stream:error>\
        <system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>";
    assert_eq!(rest(&mut first).await, goodbye);
    assert_eq!(rest(&mut second).await, goodbye);
    assert_eq!(rest(&mut waiting).await, goodbye);
    drop((first, second, waiting));
    for serving in house.serving {
        serving.await.unwrap();
    }
}

#[tokio::test]
async fn a_closed_stream_is_closed_in_return() {
    let house = House::open().await;
    let mut socket = house
        .secure(TcpStream::connect(house.c2s_tls).await.unwrap())
        .await;
    log_in(&mut socket).await;
    socket.write_all(b"</stream:stream>").await.unwrap();
    assert_eq!(rest(&mut socket).await, "</stream:stream>");
}

#[tokio::test]
async fn what_is_no_tls_is_no_business_of_the_direct_door() {
    let house = House::open().await;
    let mut tcp = TcpStream::connect(house.c2s_tls).await.unwrap();
    tcp.write_all(HEADER.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    // An alert at most, and nothing of a stream.
    let _ = tcp.read_to_end(&mut heard).await;
    assert!(heard.len() <= 7, "{heard:?}");
}

/// Time is the test's own.
#[tokio::test(start_paused = true)]
async fn who_does_not_say_what_they_want_is_not_waited_for() {
    let house = House::open().await;
    for (port, limit) in [
        (house.c2s_tls, TLS_HANDSHAKE_MS_MAX),
        (house.https, TLS_HANDSHAKE_MS_MAX),
    ] {
        let begin = Instant::now();
        let mut tcp = TcpStream::connect(port).await.unwrap();
        assert_eq!(rest(&mut tcp).await, "");
        assert_eq!(begin.elapsed().as_millis() as u64, limit);
    }
    for half in ["", " ", "<", "<stream:stream to='local", "GE"] {
        let begin = Instant::now();
        let tcp = TcpStream::connect(house.https).await.unwrap();
        let mut tls = house.secure_silently(tcp).await;
        tls.write_all(half.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        let _ = tls.read_to_end(&mut heard).await;
        assert!(heard.is_empty(), "{half}");
        assert_eq!(
            begin.elapsed().as_millis() as u64,
            FIRST_BYTES_MS_MAX,
            "{half}"
        );
    }
    let begin = Instant::now();
    let mut proxy = from_proxy(house.c2s).await;
    assert_eq!(rest(&mut proxy).await, "");
    assert_eq!(begin.elapsed().as_millis() as u64, PROXY_HEADER_MS_MAX);
}

/// A connection from where `[proxy_protocol]` says.
async fn from_proxy(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    socket.connect(address).await.unwrap()
}

/// As a proxy says it (version 2, TCP over IPv4).
async fn for_somebody(address: SocketAddr, last: u8) -> TcpStream {
    let mut tcp = from_proxy(address).await;
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02";
    tcp.write_all(header).await.unwrap();
    tcp.write_all(&[last, 127, 0, 0, 1, 1, 2, 3, 4])
        .await
        .unwrap();
    tcp
}

#[tokio::test]
async fn who_comes_through_a_proxy_counts_for_themselves_on_all_ports_together() {
    let house = House::open().await;
    let mut inside = Vec::new();
    for number in 0..UNAUTHENTICATED_PER_ADDRESS_MAX {
        if number % 10 == 0 {
            let tcp = for_somebody(house.https, 1).await;
            inside.push(Err(house.secure_silently(tcp).await));
        } else {
            let mut tcp = for_somebody(house.c2s, 1).await;
            say(&mut tcp, HEADER, "</stream:features>").await;
            inside.push(Ok(tcp));
        }
    }
    for port in [house.c2s, house.https] {
        let mut tcp = for_somebody(port, 1).await;
        let mut heard = Vec::new();
        let _ = tcp.read_to_end(&mut heard).await;
        assert!(heard.is_empty(), "there is no more room for this address");
    }
    let mut other = for_somebody(house.c2s, 2).await;
    say(&mut other, HEADER, "</stream:features>").await;
    // Who is somebody makes room.
    let Some(Err(mut first)) = inside.into_iter().next() else {
        panic!("the first came over TLS");
    };
    log_in(&mut first).await;
    let mut again = for_somebody(house.c2s, 1).await;
    say(&mut again, HEADER, "</stream:features>").await;
}

#[tokio::test]
async fn a_client_comes_in_by_the_port_of_the_web_with_and_without_alpn() {
    let house = House::open().await;
    for is_silent in [false, true] {
        let tcp = TcpStream::connect(house.https).await.unwrap();
        let mut client = if is_silent {
            house.secure_silently(tcp).await
        } else {
            house.secure(tcp).await
        };
        log_in(&mut client).await;
    }
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let house = House::open().await;
    let address = house.c2s;
    let world = World::new(&format!("[listen]\nc2s = ['{address}']"));
    let opening = listen::openings(&world.server.config())[0];
    let error = opening.bind().await.err().unwrap().to_string();
    assert_eq!(
        error,
        format!(
            "listen.c2s = \"{address}\": another program is there; stop it or choose another port",
        )
    );
}
