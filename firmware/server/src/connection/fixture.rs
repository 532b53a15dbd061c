//! For tests: a server with two accounts on a disk in memory, and clients without sockets.

use super::{Connection, Door, Peer, Todo};
use crate::{
    accounts::{self, NewAccount},
    directory::Readers,
    fixture::run_beside,
    server::{Parts, Server},
    world::{Clock, Dice, Timestamp},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use household::Config;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use store::{Options, Store, Urgency, disk::SimDisk};

pub(crate) const HEADER: &str = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' \
    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
pub(crate) const BIND: &str = "<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
    <resource>balcony</resource></bind></iq>";
pub(crate) const PING: &str =
    "<iq type='get' id='p1' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";

/// Stands still until a test says otherwise.
#[derive(Default)]
pub(crate) struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        1_790_000_000_000 + self.elapsed_ms()
    }

    fn elapsed_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The same numbers in every run.
#[derive(Default)]
struct TestDice(AtomicU64);

impl Dice for TestDice {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            let count = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            *byte = count.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0];
        }
    }
}

struct Inline;

impl Readers for Inline {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

/// A server without sockets.
pub(crate) struct World {
    pub(crate) server: Arc<Server>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) disk: Arc<SimDisk>,
}

impl World {
    /// A server for `localhost` with juliet, and with romeo, who is disabled.
    pub(crate) fn new(config: &str) -> World {
        let clock = Arc::new(TestClock::default());
        let disk = Arc::new(SimDisk::new());
        let store = Store::open(disk.clone(), Options::default()).unwrap();
        let dice = TestDice::default();
        for localpart in ["juliet", "romeo"] {
            let account = NewAccount {
                localpart,
                password: "pencil",
                display_name: "",
                admin: false,
            };
            let snapshot = store.snapshot().unwrap();
            store.queue(
                accounts::add(&snapshot, "localhost", &account, 0, &dice).unwrap(),
                Urgency::Now,
            );
            while store.turn() {}
        }
        let disabled = accounts::disable(&store.snapshot().unwrap(), "romeo").unwrap();
        store.queue(disabled, Urgency::Now);
        while store.turn() {}
        let config = Config::from_texts([(Path::new("test.toml"), config)]).unwrap();
        let parts = Parts {
            config: Arc::new(config),
            store,
            clock: clock.clone(),
            dice: Arc::new(dice),
            readers: Arc::new(Inline),
        };
        World {
            server: Server::new(parts).unwrap(),
            clock,
            disk,
        }
    }

    pub(crate) fn pass(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }
}

/// A client of that server, that writes and reads text.
pub(crate) struct Client<'a> {
    world: &'a World,
    pub(crate) connection: Connection,
}

impl World {
    pub(crate) fn connect(&self, door: Door) -> Client<'_> {
        let address = "203.0.113.7".parse().unwrap();
        let connection = Connection::new(self.server.clone(), Peer { address, door });
        Client {
            world: self,
            connection,
        }
    }
}

/// Nothing here waits for anything but the store, which is inline.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

impl Client<'_> {
    /// Sends and returns what comes back, without the long header and features.
    pub(crate) fn say(&mut self, text: &str) -> String {
        self.connection.push(text.as_bytes());
        self.hear()
    }

    pub(crate) fn hear(&mut self) -> String {
        let mut heard = String::new();
        self.go(&mut heard);
        for (from, to, short) in [
            ("<?xml version='1.0'?>", "", ""),
            ("<stream:stream ", ">", "<header>"),
            ("<stream:features>", "</stream:features>", "<features>"),
            (" xmlns='urn:ietf:params:xml:ns:xmpp-streams'", "/", "/"),
            (" xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'", "/", "/"),
            (" xmlns='urn:ietf:params:xml:ns:xmpp-sasl'", "", ""),
            (" xmlns='urn:ietf:params:xml:ns:xmpp-tls'", "", ""),
            (" xmlns='urn:ietf:params:xml:ns:xmpp-bind'", "", ""),
            (" xmlns='urn:xmpp:sasl:2'", "", ""),
        ] {
            while let Some(start) = heard.find(from) {
                let end = start + heard[start..].find(to).unwrap() + to.len();
                let end = if to.is_empty() {
                    start + from.len()
                } else {
                    end
                };
                heard.replace_range(start..end, short);
            }
        }
        heard
    }

    /// The whole of what comes back.
    pub(crate) fn say_raw(&mut self, text: &str) -> String {
        self.connection.push(text.as_bytes());
        let mut heard = String::new();
        self.go(&mut heard);
        heard
    }

    fn go(&mut self, heard: &mut String) {
        let server = self.world.server.clone();
        run_beside(server.store(), async {
            loop {
                let todo = self.connection.step().await;
                let output = std::mem::take(self.connection.output());
                heard.push_str(&String::from_utf8(output).unwrap());
                self.connection.written().await;
                match todo {
                    Todo::Write => {}
                    Todo::Work(work) => self.connection.resume(work.run()).await,
                    Todo::Read => return,
                    Todo::Wait => return heard.push_str("[waits]"),
                    Todo::StartTls => return heard.push_str("[TLS]"),
                    Todo::Close => return heard.push_str("[closed]"),
                }
            }
        });
    }

    /// Lets time pass up to the deadline.
    pub(crate) fn tick(&mut self) -> String {
        let deadline = self.connection.deadline().unwrap();
        self.world.pass(deadline - self.world.clock.elapsed_ms());
        self.connection.tick();
        self.hear()
    }
}

pub(crate) fn plain(authzid: &str, name: &str, password: &str) -> String {
    let data = STANDARD.encode(format!("{authzid}\0{name}\0{password}"));
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{data}</auth>")
}

pub(crate) fn plain2(name: &str, password: &str, inline: &str) -> String {
    let data = STANDARD.encode(format!("\0{name}\0{password}"));
    format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'>\
         <initial-response>{data}</initial-response>{inline}</authenticate>"
    )
}
