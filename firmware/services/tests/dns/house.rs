//! A house with a store, a provider and name servers, all on this machine.

use super::{
    double::{Double, TOKEN},
    served,
};
use household::Config;
use server::{
    s2s::resolve::Resolver,
    tls::Files,
    world::{Clock, Dice},
};
use services::{
    dns::{
        Dns, Parts,
        authoritative::Authoritative,
        chooser,
        plan::Step,
        provider::Failure,
        zone::{Outside, Seen},
    },
    http::Http,
};
use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use store::{Options, Store, WriterThread, disk::SimDisk};

pub(crate) const ZONE: &str = "home.example";
pub(crate) const NOW: u64 = 1_790_000_000_000;

/// The time, which stands still unless told.
pub(crate) struct Hands(pub(crate) AtomicU64);

impl Clock for Hands {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn elapsed_ms(&self) -> u64 {
        self.now() - NOW
    }
}

/// Counts, from a number of its own.
pub(crate) struct Counting(pub(crate) AtomicU64);

impl Dice for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0.fetch_add(37, Ordering::Relaxed) as u8;
        }
    }
}

/// A disk that has nothing but the token.
pub(crate) struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("/token") => Ok(TOKEN.as_bytes().to_vec()),
            Some("/old-token") => Ok(b"dop_v1_old".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn write(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn write_secret(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

pub(crate) struct House {
    pub(crate) double: Double,
    pub(crate) dns: Dns,
    pub(crate) hands: Arc<Hands>,
    /// With `PORT` for that of the API.
    port: u16,
    _writer: WriterThread,
}

pub(crate) fn open_store() -> (Arc<Store>, WriterThread) {
    let options = Options {
        journal_bytes: 64 * 4_096,
        free_bytes_min: 0,
        ..Options::default()
    };
    let store = Store::open(Arc::new(SimDisk::new()), options).unwrap();
    let writer = store.start_writer().unwrap();
    (store, writer)
}

impl House {
    pub(crate) async fn new() -> House {
        House::at(Double::new(ZONE), "", 0).await
    }

    /// A house whose provider has this, with more lines of configuration, and dice of its own.
    pub(crate) async fn at(double: Double, more: &str, dice: u64) -> House {
        let port = double.serve().await.port();
        let name_server = served::serve(&double).await;
        let (store, writer) = open_store();
        let hands = Arc::new(Hands(AtomicU64::new(NOW)));
        let resolver = Arc::new(Resolver::new(vec![name_server]));
        let http = Http::new(resolver, Arc::new(Vec::new));
        let parts = Parts {
            store,
            clock: hands.clone(),
            dice: Arc::new(Counting(AtomicU64::new(dice))),
            providers: chooser(http, hands.clone(), Arc::new(Disk)),
            name_servers: Arc::new(Authoritative::on_port(Vec::new(), name_server.port())),
        };
        let more = format!("{more}\n[resolver]\nnameservers = ['{name_server}']");
        House {
            dns: Dns::new(parts, &config(&more, port)),
            double,
            hands,
            port,
            _writer: writer,
        }
    }

    pub(crate) fn configure(&self, text: &str) {
        self.dns.follow(&config(text, self.port));
    }

    /// Under these addresses from now on.
    pub(crate) fn seen_at(&self, ipv4: &str, ipv6: &str) {
        let outside = Outside {
            ipv4: ipv4.parse().ok().map_or(Seen::Nowhere, Seen::At),
            ipv6: ipv6.parse().ok().map_or(Seen::Nowhere, Seen::At),
        };
        self.dns.addresses(outside);
    }

    /// Does what is to be done, and gives what that was.
    pub(crate) async fn apply(&self, adopts: bool) -> Result<Vec<Step>, Failure> {
        let done = self
            .dns
            .apply(adopts)
            .await?
            .expect("somebody keeps the records");
        match done.failure {
            Some(failure) => Err(failure),
            None => Ok(done.plan.steps),
        }
    }

    /// Somebody removes all records of a kind in the provider's web page.
    pub(crate) fn remove_by_hand(&self, kind: &str) {
        let mut state = self.double.state();
        let records = state.zones.get_mut(ZONE).unwrap();
        records.retain(|it| it["type"] != kind);
    }

    /// Whether every name server answers with all of it.
    pub(crate) async fn is_seen(&self) -> bool {
        self.dns.status().await.unwrap().unwrap().is_right()
    }
}

/// A configuration; `domain` and `[dns]` may be among the lines.
fn config(text: &str, port: u16) -> Config {
    let mut whole = text.to_owned();
    if !text.contains("domain = ") {
        whole = format!("domain = '{ZONE}'\n{whole}");
    }
    if !text.contains("[dns]") {
        let dns = "[dns]\nprovider = 'digitalocean'\ntoken_file = '/token'";
        whole = format!("{whole}\n{dns}\napi_base = 'http://127.0.0.1:{port}'");
    }
    let whole = whole.replace("PORT", &port.to_string());
    Config::from_texts([(Path::new("/hearth.toml"), whole.as_str())]).unwrap()
}
