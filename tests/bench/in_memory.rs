//! Two people on one server in memory: the whole path of a message without sockets, TLS and the card. From
//! the bytes that came off the wire to the bytes that go onto it, and what that queues for the disk.
//!
//! Shared by the scenario `route`, by `converse.rs` and by `tests/allocations.rs`.

use household::Config;
use server::{
    Parts, Readers, Server, Session,
    accounts::{self, NewAccount},
    world::{Clock, Dice, Timestamp},
};
use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Waker},
};
use store::{Options, Store, Urgency, disk::SimDisk};
use xmpp::{
    Stanza, ns,
    stream::{Event, Reader},
};

/// Bytes of the message as its sender writes it.
const MESSAGE_BYTES: usize = 400;
pub(crate) const DOMAIN: &str = "home.example";

/// Romeo, who writes, and Juliet, who reads.
pub(crate) struct InMemory {
    server: Arc<Server>,
    romeo: Arc<Session>,
    juliet: Arc<Session>,
    /// Romeo's stream.
    reader: Reader,
    message: String,
    /// What is written to Juliet's socket.
    output: Vec<u8>,
}

impl InMemory {
    /// A server with both of them online. `payload` goes into every message: a hint of XEP-0334, or
    /// nothing.
    pub(crate) fn new(payload: &str) -> InMemory {
        let store = store(&SimDisk::new(), &["romeo", "juliet"]);
        InMemory::over(store, Arc::new(Still), DOMAIN, ["romeo", "juliet"], payload)
    }

    /// The same over a store that has these two accounts. Nobody else has the store.
    pub(crate) fn over(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        domain: &str,
        [romeo, juliet]: [&str; 2],
        payload: &str,
    ) -> InMemory {
        let head =
            format!("<message to='{juliet}@{domain}' type='chat' id='0123456789'>{payload}<body>");
        let server = server(store, clock, domain);
        let (romeo, juliet) = (
            online(&server, romeo, "bench"),
            online(&server, juliet, "bench"),
        );
        let mut reader = Reader::new(ns::CLIENT, xmpp::limits::STANZA_BYTES_MAX);
        reader.push(
            format!(
                "<stream:stream xmlns='{}' xmlns:stream='{}'>",
                ns::CLIENT,
                ns::STREAMS
            )
            .as_bytes(),
        );
        assert!(
            matches!(reader.next(), Ok(Some(Event::Opened(_)))),
            "a stream header"
        );
        let tail = "</body></message>";
        let text = "x".repeat(MESSAGE_BYTES - head.len() - tail.len());
        let message = head + &text + tail;
        InMemory {
            server,
            romeo,
            juliet,
            reader,
            message,
            output: Vec::with_capacity(4096),
        }
    }

    /// One message, from one wire to the other.
    #[inline(never)]
    pub(crate) fn pass(&mut self) {
        self.reader.push(self.message.as_bytes());
        let Ok(Some(Event::Stanza(stanza))) = self.reader.next() else {
            panic!("a message is a stanza")
        };
        at_once(self.server.receive(&self.romeo, stanza));
        let batch = self.juliet.outbox.take();
        self.output.clear();
        for entry in &batch.entries {
            entry.write(&mut self.output);
            if let Some(position) = entry.position {
                at_once(self.server.written(&self.juliet, &[position]));
            }
        }
        assert!(
            self.output.len() > MESSAGE_BYTES,
            "it arrives, and says from whom"
        );
    }

    /// Lets the store write everything that was queued.
    pub(crate) fn settle(&self) {
        while self.server.store().turn() {}
    }
}

/// A store in memory that has these accounts.
pub(crate) fn store(disk: &SimDisk, localparts: &[&'static str]) -> Arc<Store> {
    let clock: store::Clock = Arc::new(std::time::Duration::default);
    let options = Options {
        clock,
        free_bytes_min: 0,
        ..Options::default()
    };
    let store = Store::open(Arc::new(disk.clone()), options).expect("an empty disk");
    let snapshot = store.snapshot().expect("an open store");
    let account = |localpart: &&'static str| NewAccount {
        localpart,
        password: "secret",
        display_name: "",
        admin: false,
    };
    let all: Vec<NewAccount<'_>> = localparts.iter().map(account).collect();
    let writes = accounts::import(&snapshot, DOMAIN, &all, 0, &Fixed(AtomicU8::new(0)));
    store.queue(
        writes.unwrap_or_else(|(_, refusal)| panic!("{refusal}")),
        Urgency::Now,
    );
    while store.turn() {}
    store
}

/// A server over a store, where time is what the clock says and everything else is the same in every run.
pub(crate) fn server(store: Arc<Store>, clock: Arc<dyn Clock>, domain: &str) -> Arc<Server> {
    let parts = Parts {
        config: Arc::new(Config {
            domain: domain.into(),
            ..Config::default()
        }),
        store,
        clock,
        dice: Arc::new(Fixed(AtomicU8::new(0))),
        readers: Arc::new(Inline),
    };
    Server::new(parts).expect("a server over an open store")
}

/// An available session with an empty outbox.
pub(crate) fn online(server: &Arc<Server>, localpart: &str, resource: &str) -> Arc<Session> {
    let session = at_once(server.bind(localpart, Some(resource))).expect("an account that exists");
    at_once(server.receive(&session, Stanza::parse("<presence/>").expect("a stanza")));
    while server.store().turn() {}
    session.outbox.take();
    session
}

/// In memory nothing waits for anything.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("something waits in a world where nothing does"),
    }
}

/// Time stands still.
pub(crate) struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        1_790_000_000_000
    }

    fn elapsed_ms(&self) -> u64 {
        0
    }
}

/// The same in every run.
struct Fixed(AtomicU8);

impl Dice for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
    }
}

struct Inline;

impl Readers for Inline {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}
