//! The search for our address against servers of the test's own: over real sockets of this machine, which
//! answer with addresses of the world, or with whatever a liar would.

use household::{Config, Level};
use server::{
    s2s::resolve::Resolver,
    world::{Clock, Dice, Timestamp},
};
use services::{
    address::{Address, Heard, Report, Tools},
    http::Http,
    links::{LinkAddress, Links, WayOut},
};
use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use stun_types::{
    attribute::XorMappedAddress,
    message::{Message, MessageWriteVec},
    prelude::*,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
    sync::watch,
    time::timeout,
};

struct Time(Instant);

impl Clock for Time {
    fn now(&self) -> Timestamp {
        1_700_000_000_000
    }

    fn elapsed_ms(&self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }
}

struct Chance;

impl Dice for Chance {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("randomness");
    }
}

/// A STUN server that answers everybody with this address; `lies` are sent before.
async fn stun(seen: &str, lies: Vec<Vec<u8>>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    let place = socket.local_addr().expect("bound");
    let seen = SocketAddr::new(seen.parse().expect("an address"), 4_711);
    tokio::spawn(async move {
        let mut buffer = [0; 1_500];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            for lie in &lies {
                let _ = socket.send_to(lie, peer).await;
            }
            let Ok(question) = Message::from_bytes(&buffer[..length]) else {
                continue;
            };
            let mut answer = Message::builder_success(&question, MessageWriteVec::new());
            let mapped = XorMappedAddress::new(seen, question.transaction_id());
            answer.add_attribute(&mapped).expect("room");
            let _ = socket.send_to(&answer.finish(), peer).await;
        }
    });
    place
}

/// An echo that answers everybody with these bytes, and counts them.
async fn echo(answer: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut head = [0; 2_000];
                let _ = socket.read(&mut head).await;
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    (url, asked)
}

fn http(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A house behind a router.
struct House {
    report: watch::Receiver<Report>,
    config: watch::Sender<Arc<Config>>,
    _told: (
        watch::Sender<Arc<Links>>,
        watch::Sender<Option<std::net::Ipv4Addr>>,
    ),
    _stop: watch::Sender<bool>,
}

fn config(domain: &str, address: &str) -> Arc<Config> {
    let text = format!("domain = '{domain}'\n{address}");
    Arc::new(Config::from_texts([(Path::new("hearth.toml"), &*text)]).expect("a configuration"))
}

#[allow(clippy::disallowed_methods, reason = "this is the machine")]
fn open(config: Arc<Config>) -> House {
    let links = Links {
        addresses: vec![LinkAddress {
            ip: "192.168.1.7".parse().expect("an address"),
            interface: 2,
            is_temporary: false,
            is_passing: false,
        }],
        ways_out: vec![WayOut {
            is_v6: false,
            gateway: "192.168.1.1".parse::<IpAddr>().ok(),
            interface: 2,
            metric: 0,
        }],
    };
    let (config, links) = (
        watch::Sender::new(config),
        watch::Sender::new(Arc::new(links)),
    );
    let (router, stop) = (watch::Sender::new(None), watch::Sender::new(false));
    let resolver = Arc::new(Resolver::new(vec![
        "127.0.0.1:1".parse().expect("an address"),
    ]));
    let heard = Heard {
        config: config.subscribe(),
        links: links.subscribe(),
        router: router.subscribe(),
    };
    let tools = Tools {
        clock: Arc::new(Time(Instant::now())),
        dice: Arc::new(Chance),
        http: Http::new(resolver.clone(), Arc::new(Vec::new)),
        resolver,
    };
    let address = Address::new(heard, tools);
    let report = address.report();
    tokio::spawn(address.keep(stop.subscribe()));
    House {
        report,
        config,
        _told: (links, router),
        _stop: stop,
    }
}

impl House {
    /// Waits until this holds of what is known.
    async fn until(&mut self, holds: impl FnMut(&Report) -> bool) -> Report {
        let patience = Duration::from_secs(30);
        let found = timeout(patience, self.report.wait_for(holds)).await;
        found.expect("in time").expect("it goes on").clone()
    }
}

#[tokio::test]
async fn two_classes_that_agree_are_believed_and_liars_are_not() {
    let mut other = vec![0; 20];
    other[..8].copy_from_slice(&[1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
    let lies = vec![
        vec![],
        vec![0xff; 1_500],
        other,
        b"HTTP/1.1 200 OK\r\n\r\n6.6.6.6".to_vec(),
    ];
    let place = stun("9.9.9.9", lies).await;
    let (url, _) = echo(http("9.9.9.9\n")).await;
    let text =
        format!("[address]\nsources = ['stun', 'echo']\nstun = ['{place}']\necho = ['{url}']");
    let mut house = open(config("home.example", &text));
    let report = house.until(|it| it.outside.ipv4.is_some()).await;
    assert_eq!(report.outside.ipv4, "9.9.9.9".parse().ok());
    assert_eq!(report.findings[0].level, Level::Ok, "{report:?}");
    // Somebody sets the address by hand: nobody is asked for it any more.
    let given = format!("[public]\nipv4 = '8.8.8.8'\n{text}");
    house.config.send_replace(config("home.example", &given));
    house
        .until(|it| it.outside.ipv4 == "8.8.8.8".parse().ok())
        .await;
    house.config.send_replace(config("home.example", &text));
    house
        .until(|it| it.outside.ipv4 == "9.9.9.9".parse().ok())
        .await;
}

#[tokio::test]
async fn answers_of_a_liar_are_no_answers() {
    let place = stun("9.9.9.9", Vec::new()).await;
    let redirect =
        "HTTP/1.1 302 Found\r\nLocation: https://6.6.6.6/\r\nContent-Length: 7\r\n\r\n9.9.9.9";
    let long = format!("{}9.9.9.9", " ".repeat(1_100_000));
    for answer in [
        http("<html>9.9.9.9"),
        http("::ffff:9.9.9.9"),
        redirect.to_owned(),
        http(&long),
        "9.9.9.9".to_owned(),
        String::new(),
    ] {
        let (url, asked) = echo(answer.clone()).await;
        let text =
            format!("[address]\nsources = ['stun', 'echo']\nstun = ['{place}']\necho = ['{url}']");
        let mut house = open(config("home.example", &text));
        let report = house
            .until(|it| it.findings.iter().any(|it| it.level == Level::Warn))
            .await;
        assert_eq!(report.outside.ipv4, None, "{answer:.60}");
        assert!(
            report.findings[0].text.contains("only STUN answers"),
            "{report:?}"
        );
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn a_house_that_never_leaves_this_machine_asks_nobody() {
    let (url, asked) = echo(http("9.9.9.9")).await;
    let echo = format!("stun = []\necho = ['{url}']");
    for (domain, sources) in [("localhost", "['echo']"), ("home.example", "[]")] {
        let text = format!("[public]\nipv6 = '2a02::7'\n[address]\nsources = {sources}\n{echo}");
        let mut house = open(config(domain, &text));
        let report = house.until(|it| !it.findings.is_empty()).await;
        assert_eq!(report.outside.ipv6, "2a02::7".parse().ok());
        assert_eq!(report.outside.ipv4, None);
    }
    // The same with somebody to ask asks.
    let text = format!("[address]\nsources = ['echo']\n{echo}");
    let mut house = open(config("home.example", &text));
    house.until(|it| it.outside.ipv4.is_some()).await;
    assert_eq!(
        asked.load(Ordering::Relaxed),
        1,
        "of three houses, one asked"
    );
}
