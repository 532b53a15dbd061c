//! The proxy on real sockets: who meets, what passes, and what ends it.

use super::{limits::*, relay::relay, *};
use crate::{
    AccountChange,
    fixture::{Fixture, now},
    listen::Admission,
    session::Session,
    world::{Clock, Timestamp},
};
use rustix::net::{RecvFlags, recv};
use std::fmt::Write;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};

/// A house with a proxy.
struct Proxy {
    home: Fixture,
    listener: TcpListener,
    stop: watch::Sender<bool>,
}

impl Proxy {
    async fn at(address: &str) -> Proxy {
        let home = Fixture::new(&["romeo", "juliet"]);
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        home.server.note_proxy_port(port);
        Proxy {
            home,
            listener,
            stop: watch::Sender::new(false),
        }
    }

    async fn new() -> Proxy {
        Proxy::at("127.0.0.1:0").await
    }

    /// A connection that has said nothing yet.
    async fn connect(&self) -> TcpStream {
        let address = self.listener.local_addr().unwrap();
        let (ours, accepted) = tokio::join!(TcpStream::connect(address), self.listener.accept());
        let (tcp, from) = accepted.unwrap();
        let visit = Visit {
            tcp,
            address: from.ip(),
            admission: Admission::free(),
            stop: self.stop.subscribe(),
        };
        tokio::spawn(serve(self.home.server.clone(), visit));
        ours.unwrap()
    }

    /// One that says where it wants to meet somebody; and what it is told.
    async fn waits(&self, sid: &str, requester: &str, target: &str) -> (TcpStream, u8) {
        self.waits_and_says(sid, (requester, target), b"").await
    }

    /// The same with more in the same packet.
    async fn waits_and_says(
        &self,
        sid: &str,
        (requester, target): (&str, &str),
        more: &[u8],
    ) -> (TcpStream, u8) {
        let mut socket = self.connect().await;
        let name = hash(sid, requester, target);
        let greeting = &[5, 1, 0, 5, 1, 0, 3, 40];
        let asked = [greeting, name.as_bytes(), &[0, 0], more].concat();
        socket.write_all(&asked).await.unwrap();
        let mut said = [0; 2 + 4 + 1 + 40 + 2];
        socket.read_exact(&mut said).await.unwrap();
        assert_eq!((&said[..3], &said[4..7]), (&[5, 0, 5][..], &[0, 3, 40][..]));
        assert_eq!(&said[7..47], name.as_bytes());
        (socket, said[3])
    }

    /// Two who meet, and are told that they may wait.
    async fn meet(&self, sid: &str) -> (TcpStream, TcpStream) {
        let (one, said) = self.waits(sid, ROMEO, JULIET).await;
        let (other, also) = self.waits(sid, ROMEO, JULIET).await;
        assert_eq!((said, also), (0, 0));
        (one, other)
    }

    /// What a request for activation is answered with: `result`, or an error.
    fn activates(&self, session: &Arc<Session>, sid: &str, target: &str) -> String {
        let query = format!(
            "<query xmlns='http://jabber.org/protocol/bytestreams' sid='{sid}'>\
             <activate>{target}</activate></query>"
        );
        let to = self.home.server.bytestreams.service();
        self.home.send(
            session,
            &format!("<iq type='set' id='a' to='{to}'>{query}</iq>"),
        );
        let answer = self.home.got(session).concat();
        let known = [
            "type='result'",
            "item-not-found",
            "not-allowed",
            "forbidden",
            "resource-constraint",
            "bad-request",
            "jid-malformed",
        ];
        let known = known.iter().find(|known| answer.contains(*known));
        known.map_or(answer.clone(), |known| (*known).to_owned())
    }

    fn counts(&self) -> (usize, usize) {
        let inner = self.home.server.bytestreams.lock();
        (inner.waiting.len(), inner.streams.len())
    }

    /// Waits until so many wait and so many streams run: what a closed socket means is found out elsewhere.
    async fn settles(&self, counts: (usize, usize)) {
        while self.counts() != counts {
            tokio::task::yield_now().await;
        }
    }
}

const ROMEO: &str = "romeo@home.example/orchard";
const JULIET: &str = "juliet@far.example/balcony";
const RESULT: &str = "type='result'";

fn hash(sid: &str, requester: &str, target: &str) -> String {
    let said = format!("{sid}{requester}{target}");
    let sum = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
        said.as_bytes(),
    );
    let mut hex = String::new();
    for byte in sum.as_ref() {
        write!(hex, "{byte:02x}").unwrap();
    }
    hex
}

async fn hears(socket: &mut TcpStream, expected: &[u8]) {
    let mut heard = vec![0; expected.len()];
    socket.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, expected);
}

/// The other side closes; a reset is as good as an end.
async fn is_closed(socket: &mut TcpStream) {
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn two_meet_and_bytes_flow_both_ways_to_the_last() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let proxy = Proxy::at(address).await;
        let romeo = proxy.home.online("romeo", "orchard");
        let (mut one, mut other) = proxy.meet("s1").await;
        assert_eq!(proxy.counts(), (2, 0));
        assert_eq!(proxy.activates(&romeo, "s1", JULIET), RESULT);
        assert_eq!(proxy.counts(), (0, 1));
        one.write_all(b"But soft").await.unwrap();
        hears(&mut other, b"But soft").await;
        other.write_all(b"Ay me").await.unwrap();
        hears(&mut one, b"Ay me").await;
        // One has said its last, and still hears the other.
        let long = vec![7; 300_000];
        one.write_all(&long).await.unwrap();
        one.shutdown().await.unwrap();
        let mut heard = Vec::new();
        other.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, long);
        other.write_all(b"Good night").await.unwrap();
        hears(&mut one, b"Good night").await;
        assert_eq!(proxy.counts(), (0, 1));
        other.shutdown().await.unwrap();
        is_closed(&mut one).await;
        proxy.settles((0, 0)).await;
    }
}

#[tokio::test]
async fn nobody_but_the_requester_activates() {
    let proxy = Proxy::new().await;
    let romeo = proxy.home.online("romeo", "orchard");
    let juliet = proxy.home.online("juliet", "balcony");
    assert_eq!(proxy.activates(&romeo, "s1", JULIET), "item-not-found");
    let (one, said) = proxy.waits("s1", ROMEO, JULIET).await;
    assert_eq!(said, 0);
    assert_eq!(proxy.activates(&romeo, "s1", JULIET), "not-allowed");
    let (other, said) = proxy.waits("s1", ROMEO, JULIET).await;
    assert_eq!(said, 0);
    // A third one is nobody's.
    let (mut third, said) = proxy.waits("s1", ROMEO, JULIET).await;
    assert_eq!(said, 1);
    is_closed(&mut third).await;
    for (sid, target) in [("s2", JULIET), ("s1", "juliet@far.example"), ("s1", ROMEO)] {
        assert_eq!(proxy.activates(&romeo, sid, target), "item-not-found");
    }
    assert_eq!(proxy.activates(&juliet, "s1", JULIET), "item-not-found");
    assert_eq!(proxy.activates(&romeo, "s1", "@"), "jid-malformed");
    // Addresses may be spelled in another way.
    let spelled = " Juliet@Far.Example/balcony\n";
    assert_eq!(proxy.activates(&romeo, "s1", spelled), RESULT);
    assert_eq!(proxy.activates(&romeo, "s1", JULIET), "item-not-found");
    // While the stream is there, nobody else comes to that place.
    let (_, said) = proxy.waits("s1", ROMEO, JULIET).await;
    assert_eq!(said, 1);
    drop((one, other));
    proxy.settles((0, 0)).await;
}

#[tokio::test]
async fn what_is_said_too_early_is_for_nobody() {
    let proxy = Proxy::new().await;
    let romeo = proxy.home.online("romeo", "orchard");
    let both = (ROMEO, JULIET);
    let (mut one, said) = proxy.waits_and_says("s1", both, b"too early").await;
    let (mut other, also) = proxy.waits("s1", ROMEO, JULIET).await;
    assert_eq!((said, also), (0, 0));
    // It came with the rest, so it is gone once nothing is left to be read.
    let line = proxy.home.server.bytestreams.lock().waiting[0].line.clone();
    let socket = line.unwrap().socket;
    let is_empty = || {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        recv(&*socket, &mut [0; 1][..], flags).is_err()
    };
    while !is_empty() {
        tokio::task::yield_now().await;
    }
    drop(socket);
    assert_eq!(proxy.activates(&romeo, "s1", JULIET), RESULT);
    one.write_all(b"in time").await.unwrap();
    hears(&mut other, b"in time").await;
    // And who never stops is put out.
    let (mut flood, said) = proxy.waits("s2", ROMEO, JULIET).await;
    assert_eq!(said, 0);
    let _ = flood.write_all(&vec![0; EARLY_BYTES_MAX + 4_096]).await;
    is_closed(&mut flood).await;
    assert_eq!(proxy.activates(&romeo, "s2", JULIET), "item-not-found");
}

#[tokio::test]
async fn there_is_room_for_so_many() {
    let proxy = Proxy::new().await;
    let book = &proxy.home.server.bytestreams;
    let at = |n: usize| {
        let jid = Jid::parse("a@b/c").unwrap();
        Rendezvous::of(&n.to_string(), &jid, &jid)
    };
    let network = |n: usize| IpAddr::from([198, 51, 100, u8::try_from(n).unwrap()]);
    let mut places: Vec<_> = (0..WAITING_MAX)
        .map(|n| book.reserve(at(n), network(n / WAITING_PER_ADDRESS_MAX)))
        .collect();
    assert!(places.iter().all(Option::is_some));
    assert!(
        book.reserve(at(WAITING_MAX), network(100)).is_none(),
        "in all"
    );
    places.truncate(WAITING_PER_ADDRESS_MAX);
    assert!(
        book.reserve(at(WAITING_MAX), network(0)).is_none(),
        "from one address"
    );
    assert!(book.reserve(at(WAITING_MAX), network(1)).is_some());
    let loopback = IpAddr::from([127, 0, 0, 1]);
    let behind_a_proxy: Vec<_> = (0..=WAITING_PER_ADDRESS_MAX)
        .map(|n| book.reserve(at(WAITING_MAX + n), loopback))
        .collect();
    assert!(behind_a_proxy.iter().all(Option::is_some));
    drop((places, behind_a_proxy));
    assert_eq!(proxy.counts(), (0, 0));

    let romeo = proxy.home.online("romeo", "orchard");
    let mut streams = Vec::new();
    for n in 0..STREAMS_PER_ACCOUNT_MAX {
        streams.push(proxy.meet(&format!("s{n}")).await);
        assert_eq!(proxy.activates(&romeo, &format!("s{n}"), JULIET), RESULT);
    }
    streams.push(proxy.meet("more").await);
    assert_eq!(
        proxy.activates(&romeo, "more", JULIET),
        "resource-constraint"
    );
    assert_eq!(proxy.counts(), (2, STREAMS_PER_ACCOUNT_MAX));
    streams.remove(0);
    proxy.settles((2, STREAMS_PER_ACCOUNT_MAX - 1)).await;
    assert_eq!(
        proxy.activates(&romeo, "more", JULIET),
        RESULT,
        "they still wait"
    );
}

#[tokio::test]
async fn an_account_that_is_closed_takes_its_streams_along() {
    for change in [AccountChange::Disabled, AccountChange::Removed] {
        let proxy = Proxy::new().await;
        let romeo = proxy.home.online("romeo", "orchard");
        let (mut one, mut other) = proxy.meet("s1").await;
        let _waiting = proxy.meet("s2").await;
        assert_eq!(proxy.activates(&romeo, "s1", JULIET), RESULT);
        let server = &proxy.home.server;
        now(server.account_changed("juliet", change));
        one.write_all(b"But soft").await.unwrap();
        hears(&mut other, b"But soft").await;
        now(server.account_changed("romeo", change));
        is_closed(&mut one).await;
        is_closed(&mut other).await;
        assert_eq!(proxy.counts(), (2, 0));
        let jid = |text| Jid::parse(text).unwrap();
        let at = Rendezvous::of("s2", &jid(ROMEO), &jid(JULIET));
        let activated = server
            .bytestreams
            .activate(at, "romeo", || server.directory().get("romeo").is_some());
        assert_eq!(activated, Err(NotActivated::NotAtHome));
    }
}

#[tokio::test]
async fn a_listener_that_closes_ends_what_came_by_it() {
    let proxy = Proxy::new().await;
    let romeo = proxy.home.online("romeo", "orchard");
    let (mut one, mut other) = proxy.meet("s1").await;
    let (mut waiting, _) = proxy.waits("s2", ROMEO, JULIET).await;
    let mut silent = proxy.connect().await;
    assert_eq!(proxy.activates(&romeo, "s1", JULIET), RESULT);
    proxy.stop.send_replace(true);
    for socket in [&mut one, &mut other, &mut waiting, &mut silent] {
        is_closed(socket).await;
    }
    proxy.settles((0, 0)).await;
}

#[tokio::test]
async fn who_waits_is_gone_when_the_line_is() {
    let proxy = Proxy::new().await;
    let romeo = proxy.home.online("romeo", "orchard");
    let (one, other) = proxy.meet("s1").await;
    drop(one);
    proxy.settles((1, 0)).await;
    assert_eq!(proxy.activates(&romeo, "s1", JULIET), "not-allowed");
    drop(other);
    proxy.settles((0, 0)).await;
    assert_eq!(proxy.activates(&romeo, "s1", JULIET), "item-not-found");
}

/// From here on nothing happens but time.
async fn time_passes(sockets: &mut [&mut TcpStream]) -> u64 {
    tokio::time::pause();
    let begin = Instant::now();
    for socket in sockets {
        is_closed(socket).await;
    }
    begin.elapsed().as_millis() as u64
}

#[tokio::test]
async fn nobody_waits_for_ever() {
    let proxy = Proxy::new().await;
    let mut silent = proxy.connect().await;
    let passed = time_passes(&mut [&mut silent]).await;
    assert!(
        (HANDSHAKE_MS_MAX..HANDSHAKE_MS_MAX + 50).contains(&passed),
        "{passed}"
    );
    tokio::time::resume();
    let (mut one, mut other) = proxy.meet("s1").await;
    let passed = time_passes(&mut [&mut one, &mut other]).await;
    assert!(
        (WAITING_MS_MAX - 50..WAITING_MS_MAX + 50).contains(&passed),
        "{passed}"
    );
    assert_eq!(proxy.counts(), (0, 0));
}

#[tokio::test]
async fn a_stream_in_which_nothing_moves_is_over() {
    let proxy = Proxy::new().await;
    let romeo = proxy.home.online("romeo", "orchard");
    let (mut one, mut other) = proxy.meet("s1").await;
    assert_eq!(proxy.activates(&romeo, "s1", JULIET), RESULT);
    one.write_all(b"But soft").await.unwrap();
    hears(&mut other, b"But soft").await;
    proxy.home.hands.pass(u64::from(IDLE_MS_MAX));
    let passed = time_passes(&mut [&mut one, &mut other]).await;
    assert!(passed <= u64::from(IDLE_MS_MAX) + 50, "{passed}");
    assert_eq!(proxy.counts(), (0, 0));
}

/// As time goes by.
struct Real(Instant);

impl Clock for Real {
    fn now(&self) -> Timestamp {
        self.elapsed_ms()
    }

    fn elapsed_ms(&self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }
}

#[tokio::test]
async fn a_stream_has_a_pace() {
    const BYTES: usize = 4_000_000;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = watch::Sender::new(false);
    let mut ends = Vec::new();
    let mut lines = Vec::new();
    for _ in 0..2 {
        let (end, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        ends.push(end.unwrap());
        lines.push(Line {
            socket: Arc::new(accepted.unwrap().0),
            stop: stop.subscribe(),
        });
    }
    let (mut other, mut one) = (ends.pop().unwrap(), ends.pop().unwrap());
    let begin = Instant::now();
    let relaying = tokio::spawn(async move {
        relay(&Real(begin), &lines[0], &lines[1]).await;
    });
    let sending = tokio::spawn(async move {
        one.write_all(&vec![7; BYTES]).await.unwrap();
        one.shutdown().await.unwrap();
        one
    });
    let mut heard = Vec::new();
    other.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard.len(), BYTES);
    let least = (BYTES as u64 - BURST_BYTES) * 1_000 / BYTES_PER_SECOND_MAX;
    let took = begin.elapsed().as_millis() as u64;
    // What the last buffer cost is not waited for.
    assert!(took + 10 >= least, "{took} ms instead of {least}");
    drop((other, sending.await.unwrap()));
    relaying.await.unwrap();
}
