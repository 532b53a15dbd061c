//! Real sockets and real TLS, from the first byte to the last.

use crate::{
    connection::fixture::World,
    listen::{self, Entrance, HttpConnection, Web},
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
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
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

struct House {
    c2s: SocketAddr,
    c2s_tls: SocketAddr,
    connector: TlsConnector,
    stop: watch::Sender<bool>,
    serving: Vec<JoinHandle<()>>,
}

impl House {
    async fn open() -> House {
        let world = World::new(
            "[listen]\nc2s = ['127.0.0.1:0']\nc2s_tls = ['127.0.0.1:0']\n\
             s2s = []\ns2s_tls = []\nhttps = []\nhttp = []",
        );
        let disk = Arc::new(Disk::default());
        let source = Source::SelfSigned {
            directory: "tls".into(),
            names: vec!["localhost".into()],
        };
        let tls = Arc::new(Tls::open(disk.clone(), &source, Path::new(""), 0).unwrap());
        let entrance = Entrance::new(world.server.clone(), tls, Arc::new(NoWeb));
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
            connector,
            stop,
            serving,
        }
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
