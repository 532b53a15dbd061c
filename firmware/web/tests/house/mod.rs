//! A house with one account, for tests of files and of clients: a server on a disk in memory, and a listener
//! over a directory that vanishes.

#![allow(dead_code, reason = "each test file uses what it needs")]

use household::{Config, Health, Numbers};
use server::{
    Parts, Readers, Server, Session,
    accounts::{self, NewAccount},
    listen::{ClientDoor, HttpConnection, Protocol, Secured, Web},
    tls::{Files, Source, Tls},
    world::{Clock, Dice, Timestamp},
};
use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use store::{Options, Store, Urgency, WriterThread, disk::SimDisk};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use web::{Site, Uploads};
use xmpp::{Stanza, sasl::ChannelBindings};

pub(crate) const JPEG: &str = "image/jpeg";

pub(crate) struct House {
    address: SocketAddr,
    server: Arc<Server>,
    uploads: Uploads,
    juliet: Arc<Session>,
    clock: Arc<Hands>,
    directory: TempDir,
    stop: watch::Sender<bool>,
    pub(crate) door: ClientDoor,
    _writer: WriterThread,
}

/// Paths of a slot's URLs.
pub(crate) struct Slot {
    pub(crate) put: String,
    pub(crate) get: String,
}

pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = headers.find(|(known, _)| *known == name);
        found.map(|(_, value)| value.to_owned())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A clock moved by hand.
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        1_790_000_000_000 + self.elapsed_ms()
    }

    fn elapsed_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Different every time, the same in every run.
struct Counting(AtomicU64);

impl Dice for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = (self.0.fetch_add(1, Ordering::Relaxed) * 37) as u8;
        }
    }
}

struct Inline;

impl Readers for Inline {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

/// Keeps nothing.
struct Nothing;

impl Files for Nothing {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn write(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn write_secret(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

fn certificate() -> Tls {
    let source = Source::SelfSigned {
        directory: "tls".into(),
        names: vec!["home.example".into()],
    };
    Tls::open(Arc::new(Nothing), &source, Path::new(""), 0).expect("a certificate")
}

/// Hands the site connections as if they were over TLS.
async fn accept(listener: TcpListener, site: Site, stop: watch::Receiver<bool>) {
    while let Ok((socket, peer)) = listener.accept().await {
        tokio::spawn(site.serve(HttpConnection {
            stream: socket.into(),
            peer,
            secured: Some(Secured {
                version: None,
                protocol: Protocol::Http1,
                bindings: ChannelBindings::default(),
                is_publicly_trusted: false,
            }),
            stop: stop.clone(),
        }));
    }
}

impl House {
    /// A house with these settings, over its https port, which speaks plainly here.
    pub(crate) async fn new(settings: &str) -> House {
        let directory = TempDir::new().expect("a directory");
        let file = directory.path().join("hearth.toml");
        let text = format!("domain = 'home.example'\n{settings}");
        fs::write(&file, text).expect("written");
        let mut config = Config::read(&[file]).expect("settings");
        config.data_dir = directory.path().to_owned();
        if settings.is_empty() {
            config.upload.keep_free = 0;
        }
        let clock = Arc::new(Hands(AtomicU64::new(0)));
        let store = Store::open(Arc::new(SimDisk::new()), Options::default()).expect("a store");
        let writer = store.start_writer().expect("a thread");
        let server = Server::new(Parts {
            config: Arc::new(config),
            store: store.clone(),
            clock: clock.clone(),
            dice: Arc::new(Counting(AtomicU64::new(0))),
            readers: Arc::new(Inline),
        });
        let server = server.expect("a server");
        make_account(&server);
        let juliet = server.bind("juliet", Some("balcony")).await.expect("bound");
        let uploads = Uploads::new(server.clone(), directory.path());
        let (_, health) = watch::channel(Health::default());
        let door = ClientDoor::new(server.clone(), Arc::new(certificate()));
        let site = Site::new("1.2.3", health, Numbers::default, || None, uploads.router())
            .with_clients(door.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        server.note_https_port(address.port());
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(accept(listener, site, stopped));
        House {
            address,
            server,
            uploads,
            juliet,
            clock,
            directory,
            stop,
            door,
            _writer: writer,
        }
    }

    /// Lets time pass on the server's clock.
    pub(crate) fn pass(&self, time: Duration) {
        let ms = time.as_millis() as u64;
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }

    /// Begins to clean up.
    pub(crate) fn keep(&self) {
        tokio::spawn(self.uploads.clone().keep(self.stop.subscribe()));
    }

    pub(crate) async fn slot(&self, name: &str, bytes: usize, media_type: &str) -> Slot {
        let stanza = format!(
            "<iq type='get' id='s' to='upload.home.example'><request xmlns='urn:xmpp:http:upload:0' \
             filename='{name}' size='{bytes}' content-type='{media_type}'/></iq>"
        );
        let stanza = Stanza::parse(&stanza).expect("a stanza");
        self.server.receive(&self.juliet, stanza).await;
        let mut answer = Vec::new();
        for entry in self.juliet.outbox.take().entries {
            entry.write(&mut answer);
        }
        let answer = String::from_utf8(answer).expect("text");
        let host = format!("https://home.example:{}", self.address.port());
        let mut urls = answer.split(&host).skip(1);
        let mut url = || {
            let rest = urls.next().unwrap_or_else(|| panic!("no slot: {answer}"));
            rest[..rest.find(['\'', '"']).expect("quoted")].to_owned()
        };
        Slot {
            put: url(),
            get: url(),
        }
    }

    pub(crate) async fn line(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("listening")
    }

    pub(crate) fn head(method: &str, target: &str, media_type: &str, bytes: usize) -> String {
        let typed = match media_type {
            "" => String::new(),
            media_type => format!("Content-Type: {media_type}\r\n"),
        };
        format!(
            "{method} {target} HTTP/1.1\r\nHost: home.example\r\nConnection: close\r\n{typed}\
             Content-Length: {bytes}\r\n\r\n"
        )
    }

    pub(crate) async fn put(&self, target: &str, media_type: &str, body: &[u8]) -> Answer {
        let head = House::head("PUT", target, media_type, body.len());
        self.send(&head, body).await
    }

    pub(crate) async fn get(&self, target: &str, headers: &str) -> Answer {
        self.request("GET", target, headers, b"").await
    }

    pub(crate) async fn request(
        &self,
        method: &str,
        target: &str,
        headers: &str,
        body: &[u8],
    ) -> Answer {
        let length = match body.len() {
            0 => String::new(),
            bytes => format!("Content-Length: {bytes}\r\n"),
        };
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: home.example\r\nConnection: close\r\n{headers}\
             {length}\r\n"
        );
        self.send(&head, body).await
    }

    pub(crate) async fn ask(&self, request: &str) -> Answer {
        self.send(request, b"").await
    }

    /// Whatever bytes these are.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Answer {
        self.send("", bytes).await
    }

    /// Sends all before it reads, as many programs do.
    async fn send(&self, head: &str, body: &[u8]) -> Answer {
        let mut line = self.line().await;
        line.write_all(head.as_bytes()).await.expect("open");
        line.write_all(body).await.expect("open");
        answer(&mut line).await
    }

    /// A request of BOSH, and its answer.
    pub(crate) async fn bosh(&self, attributes: &str, inside: &str) -> String {
        let ns = "http://jabber.org/protocol/httpbind";
        let body = format!("<body xmlns='{ns}' {attributes}>{inside}</body>");
        let answer = self.request("POST", "/http-bind", "", body.as_bytes());
        let answer = answer.await;
        assert!(answer.head.starts_with("HTTP/1.1 200"), "{}", answer.head);
        answer.text()
    }

    /// Puts something where the bytes of a file are that nobody can remove.
    pub(crate) fn wedge(file: &str) {
        fs::remove_file(file).expect("a file");
        fs::create_dir(file).expect("made");
    }

    /// Everything that lies in the folder of uploads, below it.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        collect(&self.directory.path().join("uploads"), &mut files);
        files.sort();
        files
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, bytes).expect("written");
    }
}

fn make_account(server: &Server) {
    let snapshot = server.store().snapshot().expect("a snapshot");
    let account = NewAccount {
        localpart: "juliet",
        password: "secret",
        display_name: "",
        admin: false,
    };
    let writes = accounts::add(&snapshot, "home.example", &account, 0, server.dice());
    drop(snapshot);
    let ticket = server
        .store()
        .queue(writes.expect("an account"), Urgency::Now);
    drop(server.store().snapshot_after(ticket).expect("written"));
}

fn collect(directory: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path: PathBuf = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path.to_string_lossy().into_owned());
        }
    }
}

/// Everything until the server closes.
pub(crate) async fn answer(line: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    line.read_to_end(&mut bytes).await.expect("an answer");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no HTTP: {}", String::from_utf8_lossy(&bytes))) + 4;
    Answer {
        head: String::from_utf8_lossy(&bytes[..end]).into_owned(),
        body: bytes[end..].to_vec(),
    }
}

/// What others do soon: looked for again and again, for ten seconds at most.
pub(crate) async fn eventually(condition: impl Fn() -> bool) {
    let looking = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), looking)
        .await
        .expect("it never came to be");
}
