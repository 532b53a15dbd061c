//! A server in memory, for unit tests: time stands still, the disk is simulated and nothing is written
//! until a test says so.

use crate::{
    accounts::{self, NewAccount},
    directory::Readers,
    server::{Parts, Server},
    session::Session,
    world::{Clock, Dice, Timestamp},
};
use household::Config;
use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};
use store::{Options, Store, Urgency, disk::SimDisk};
use xmpp::{Stanza, stream::Event, stream::Reader};

pub(crate) struct Fixture {
    pub(crate) server: Arc<Server>,
    pub(crate) disk: SimDisk,
    pub(crate) hands: Arc<Hands>,
}

/// A clock moved by hand.
pub(crate) struct Hands(AtomicU64);

impl Hands {
    pub(crate) fn pass(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

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
            *byte = self.0.fetch_add(1, Ordering::Relaxed) as u8;
        }
    }
}

struct Inline;

impl Readers for Inline {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

impl Fixture {
    /// A server for `home.example` with these accounts; their password is `secret`.
    pub(crate) fn new(localparts: &[&str]) -> Fixture {
        let fixture = Fixture::on(SimDisk::new());
        for localpart in localparts {
            let snapshot = fixture.server.store().snapshot().unwrap();
            let account = NewAccount {
                localpart,
                password: "secret",
                display_name: "",
                admin: false,
            };
            let writes = accounts::add(
                &snapshot,
                "home.example",
                &account,
                0,
                fixture.server.dice(),
            )
            .unwrap();
            fixture.server.store().queue(writes, Urgency::Now);
            drop(snapshot);
            fixture.write();
        }
        fixture
    }

    /// A server over what a disk holds.
    pub(crate) fn on(disk: SimDisk) -> Fixture {
        let hands = Arc::new(Hands(AtomicU64::new(0)));
        let ticking = hands.clone();
        let clock: store::Clock =
            Arc::new(move || std::time::Duration::from_millis(ticking.elapsed_ms()));
        let options = Options {
            clock,
            journal_bytes: 1 << 20,
            free_bytes_min: 0,
            ..Options::default()
        };
        let store = Store::open(Arc::new(disk.clone()), options).unwrap();
        let config = Config {
            domain: "home.example".into(),
            ..Config::default()
        };
        let server = Server::new(Parts {
            config: Arc::new(config),
            store,
            clock: hands.clone(),
            dice: Arc::new(Counting(AtomicU64::new(0))),
            readers: Arc::new(Inline),
        })
        .unwrap();
        Fixture {
            server,
            disk,
            hands,
        }
    }

    /// Lets the writer finish everything queued.
    pub(crate) fn write(&self) {
        while self.server.store().turn() {}
    }

    /// Removes an account and everything it left.
    pub(crate) fn remove(&self, localpart: &str) {
        let store = self.server.store();
        let writes = accounts::remove(&store.snapshot().unwrap(), localpart, 0).unwrap();
        store.queue(writes, Urgency::Now);
        self.write();
        let (_, id) = accounts::removed(&store.snapshot().unwrap()).unwrap()[0];
        loop {
            let writes = accounts::writes_to_remove(&store.snapshot().unwrap(), id).unwrap();
            if writes.is_empty() {
                break;
            }
            store.queue(writes, Urgency::Now);
            self.write();
        }
        store.queue(vec![accounts::swept(localpart)], Urgency::Now);
        self.write();
    }

    pub(crate) fn bind(&self, localpart: &str, resource: &str) -> Arc<Session> {
        now(self.server.bind(localpart, Some(resource))).unwrap()
    }

    /// Bound, with the roster asked for, and available.
    pub(crate) fn online(&self, localpart: &str, resource: &str) -> Arc<Session> {
        let session = self.bind(localpart, resource);
        self.send(
            &session,
            "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>",
        );
        self.send(&session, "<presence/>");
        session.outbox.take();
        session
    }

    /// Available with what waited still in the outbox.
    pub(crate) fn online_with_waiting(&self, localpart: &str) -> Arc<Session> {
        let session = self.bind(localpart, "balcony");
        self.send(&session, "<presence/>");
        session
    }

    pub(crate) fn send(&self, session: &Arc<Session>, xml: &str) {
        now(self.server.receive(session, from_wire(xml)));
    }

    /// Housekeeping.
    pub(crate) fn tick(&self) {
        now(self.server.tick());
    }

    pub(crate) fn leave(&self, session: &Arc<Session>) {
        now(self.server.leave(session));
    }

    /// What waits for a session, as XML; it counts as written to the socket.
    pub(crate) fn got(&self, session: &Arc<Session>) -> Vec<String> {
        let batch = session.outbox.take();
        let positions: Vec<u64> = batch
            .entries
            .iter()
            .filter_map(|entry| entry.position)
            .collect();
        let got = batch.entries.iter().map(|entry| {
            let mut bytes = Vec::new();
            entry.write(&mut bytes);
            String::from_utf8(bytes).unwrap()
        });
        let got = got.collect();
        if !positions.is_empty() {
            now(self.server.written(session, &positions));
        }
        got
    }
}

/// In this world nothing waits for anything but the tests.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("something waits in a world where nothing does"),
    }
}

/// Runs what waits for nothing but the store, whose writer is this thread.
pub(crate) fn run_beside<T>(store: &Store, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        let poll = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        match poll {
            Poll::Ready(value) => return value,
            Poll::Pending => assert!(store.turn(), "something waits for nothing"),
        }
    }
}

fn from_wire(xml: &str) -> Stanza {
    let mut reader = Reader::new("jabber:client", 262_144);
    reader.push(
        b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
    );
    reader.push(xml.as_bytes());
    while let Some(event) = reader.next().unwrap() {
        if let Event::Stanza(stanza) = event {
            return stanza;
        }
    }
    panic!("no stanza in {xml}");
}
