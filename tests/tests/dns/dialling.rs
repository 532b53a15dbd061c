//! From places to sockets (RFC 8305, XEP-0495), and never into the house.

use super::{ALONE, IMPATIENT, dialer, dialer_of};
use household::Config;
use server::s2s::dial::{
    Dialing, Patience, Unreachable,
    limits::{ANSWERING_DIALS_MAX, DIALS_MAX},
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};
use system_tests::dns::NameServer;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Takes connections; stops when it is dropped.
async fn alive(address: IpAddr) -> TcpListener {
    TcpListener::bind((address, 0)).await.unwrap()
}

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().unwrap().port()
}

/// A port that refuses: it was free a moment ago and belongs to us.
fn refusing() -> (u16, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    (socket.local_addr().unwrap().port(), socket)
}

/// A port of loopback on which nothing answers for IPv6, since nobody accepts what is there already, and, on
/// request, somebody does for IPv4.
struct Dead {
    port: u16,
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

async fn dead() -> Dead {
    dead_at((V6, 0).into()).await
}

async fn dead_at(address: SocketAddr) -> Dead {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.unwrap();
    socket.bind(address).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    // The queue takes one more than it was made for; then packets are dropped.
    while let Ok(connected) = tokio::time::timeout(IMPATIENT, TcpStream::connect(address)).await {
        waiting.push(connected.unwrap());
    }
    Dead {
        port: address.port(),
        _listener: listener,
        _waiting: waiting,
    }
}

async fn shown(dialing: &mut Dialing) -> Option<(SocketAddr, bool, String)> {
    let dialed = dialing.next().await?;
    assert!(dialed.tcp.nodelay().unwrap());
    assert_eq!(dialed.tcp.peer_addr().unwrap(), dialed.address);
    Some((dialed.address, dialed.direct, dialed.host))
}

#[tokio::test]
async fn the_next_one_when_one_is_of_no_use() {
    let (one, two) = (alive(V4).await, alive(V4).await);
    let (one, two) = (port(&one), port(&two));
    let (refused, _kept) = refusing();
    let names = NameServer::start(&format!(
        "
        _xmpps-server._tcp.far.example SRV 10 0 {one} a.far.example
        _xmpp-server._tcp.far.example  SRV 10 0 {refused} a.far.example
        _xmpp-server._tcp.far.example  SRV 20 0 {two} b.far.example
        _xmpp-server._tcp.far.example  SRV 30 0 {two} missing.far.example
        a.far.example                  A 127.0.0.1
        b.far.example                  A 127.0.0.1
        "
    ))
    .await
    .unwrap();
    let mut dialing = dialer(&names).begin("far.example").await.unwrap();
    let expected = [(one, true, "a.far.example"), (two, false, "b.far.example")];
    for (port, direct, host) in expected {
        let address = SocketAddr::new(V4, port);
        let found = shown(&mut dialing).await;
        assert_eq!(found, Some((address, direct, host.to_owned())));
    }
    assert_eq!(shown(&mut dialing).await, None);
    assert_eq!(shown(&mut dialing).await, None, "and stays so");
    let why =
        format!("far.example: a.far.example, port {refused} (127.0.0.1), refused the connection");
    assert_eq!(dialing.why(), Unreachable::Timeout(why));
}

#[tokio::test]
async fn ipv6_that_is_dead_costs_a_moment() {
    let dead = dead().await;
    // What is dead for IPv6 is alive for IPv4.
    let _listener = TcpListener::bind((V4, dead.port)).await.unwrap();
    let names = NameServer::start(&format!(
        "
        _xmpp-server._tcp.far.example SRV 0 0 {} xmpp.far.example
        xmpp.far.example              AAAA ::1
        xmpp.far.example              A 127.0.0.1
        ",
        dead.port
    ))
    .await
    .unwrap();
    let mut dialing = dialer(&names).begin("far.example").await.unwrap();
    let (address, ..) = shown(&mut dialing).await.unwrap();
    assert_eq!(address, SocketAddr::new(V4, dead.port));
}

#[tokio::test]
async fn ipv6_first_where_both_live() {
    let six = alive(V6).await;
    let _four = TcpListener::bind((V4, port(&six))).await.unwrap();
    let names = NameServer::start(&format!(
        "
        _xmpp-server._tcp.far.example SRV 0 0 {} xmpp.far.example
        xmpp.far.example              AAAA ::1
        xmpp.far.example              A 127.0.0.1
        ",
        port(&six)
    ))
    .await
    .unwrap();
    let mut dialing = dialer(&names).begin("far.example").await.unwrap();
    for expected in [V6, V4] {
        assert_eq!(shown(&mut dialing).await.unwrap().0.ip(), expected);
    }
    assert!(shown(&mut dialing).await.is_none());
}

#[tokio::test]
async fn name_servers_that_are_silent_about_ipv6() {
    let listener = alive(V4).await;
    for fault in ["SILENT AAAA", "SERVFAIL AAAA"] {
        let names = NameServer::start(&format!(
            "
            _xmpp-server._tcp.far.example SRV 0 0 {} xmpp.far.example
            xmpp.far.example              A 127.0.0.1
            xmpp.far.example              {fault}
            ",
            port(&listener)
        ))
        .await
        .unwrap();
        let mut dialing = dialer(&names).begin("far.example").await.unwrap();
        assert!(shown(&mut dialing).await.is_some(), "{fault}");
    }
}

#[tokio::test]
async fn a_dead_host_takes_no_longer_than_allowed() {
    let dead = dead().await;
    let names = NameServer::start(&format!(
        "
        _xmpp-server._tcp.far.example SRV 0 0 {} xmpp.far.example
        xmpp.far.example              AAAA ::1
        ",
        dead.port
    ))
    .await
    .unwrap();
    let did_not = format!(
        "far.example: xmpp.far.example, port {} (::1), did not answer",
        dead.port
    );
    let in_time = "far.example: no server answered in time".to_owned();
    for (attempt, whole, expected) in [
        (IMPATIENT, IMPATIENT * 100, did_not),
        (IMPATIENT * 100, IMPATIENT, in_time),
    ] {
        let patience = Patience {
            attempt,
            whole,
            ..Patience::default()
        };
        let dialer = dialer_of(ALONE, &names, patience);
        let mut dialing = dialer.begin("far.example").await.unwrap();
        assert!(dialing.next().await.is_none());
        assert_eq!(dialing.why(), Unreachable::Timeout(expected));
    }
}

#[tokio::test]
async fn places_that_are_named_but_dead_are_not_replaced_by_the_domain_itself() {
    // RFC 6120 §3.2.1 step 8. The domain itself would answer, on the port of servers.
    let own = own_loopback(1);
    let _itself = TcpListener::bind((own, 5269)).await.unwrap();
    let (refused, _kept) = refusing();
    let names = NameServer::start(&format!(
        "
        _xmpp-server._tcp.far.example SRV 0 0 {refused} xmpp.far.example
        xmpp.far.example              A 127.0.0.1
        far.example                   A {own}
        near.example                  A {own}
        "
    ))
    .await
    .unwrap();
    let dialer = dialer(&names);
    let mut dialing = dialer.begin("far.example").await.unwrap();
    assert!(dialing.next().await.is_none());
    // Without a named place it is dialled; and an address is one's own name.
    for (domain, host) in [
        ("near.example", "near.example"),
        (&own.to_string(), &own.to_string()),
    ] {
        let mut dialing = dialer.begin(domain).await.unwrap();
        let found = shown(&mut dialing).await.unwrap();
        assert_eq!(
            found,
            ((own, 5269).into(), false, host.to_owned()),
            "{domain}"
        );
    }
}

/// A loopback address that no other run of this test has.
fn own_loopback(number: u8) -> IpAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high, low, number).into()
}

const OPEN: &str = "domain = 'home.example'";
const LOCAL: &str = "[listen]\ns2s = ['127.0.0.1:5269']\ns2s_tls = []";
const ALLOW: &str = "domain = 'home.example'\n[turn]\nallow_peers = ['127.0.0.0/8']";

const MACHINE: &str = "an address of this machine";
const BEYOND: &str = "an address beyond this machine, which \"localhost\" never leaves";

/// Configuration and domain; host, address and why it is denied.
type Trap = (
    &'static str,
    &'static str,
    Option<(&'static str, &'static str, &'static str)>,
);

#[rustfmt::skip]
const TRAPS: [Trap; 11] = [
    (OPEN, "trap.example", Some(("trap.example", "127.0.0.1", MACHINE))),
    (OPEN, "router.example", Some(("router.example", "192.168.1.1", "a private address"))),
    (OPEN, "cloud.example",
        Some(("cloud.example", "::ffff:169.254.169.254", "an IPv4 address written as IPv6"))),
    (OPEN, "name.example", Some(("localhost", "127.0.0.1", MACHINE))),
    (OPEN, "number.example", Some(("127.0.0.1", "127.0.0.1", MACHINE))),
    (OPEN, "127.0.0.1", Some(("127.0.0.1", "127.0.0.1", MACHINE))),
    (OPEN, "[::1]", Some(("::1", "::1", MACHINE))),
    (OPEN, "nothing.example", Some(("nothing.example", "0.0.0.0", "no host's address"))),
    (LOCAL, "router.example", Some(("router.example", "192.168.1.1", BEYOND))),
    (LOCAL, "trap.example", None),
    (ALLOW, "trap.example", None),
];

#[tokio::test]
async fn never_into_the_house() {
    let listener = alive(V4).await;
    let port = port(&listener);
    let names = NameServer::start(&format!(
        "
        _xmpp-server._tcp.trap.example SRV 0 0 {port} trap.example
        trap.example                   A 127.0.0.1
        router.example                 A 192.168.1.1
        cloud.example                  AAAA ::ffff:169.254.169.254
        _xmpp-server._tcp.name.example SRV 0 0 {port} localhost
        _xmpp-server._tcp.number.example SRV 0 0 {port} 127.0.0.1
        nothing.example                A 0.0.0.0
        "
    ))
    .await
    .unwrap();
    for (toml, domain, denied) in TRAPS {
        let dialer = dialer_of(toml, &names, Patience::default());
        let mut dialing = dialer.begin(domain).await.unwrap();
        let dialed = dialing.next().await;
        match denied {
            None => assert!(dialed.is_some(), "{domain} with {toml}"),
            Some((host, address, kind)) => {
                assert!(dialed.is_none(), "{domain} with {toml}");
                let why = format!("{domain}: {host} has {address}, {kind}, which is never dialled");
                assert_eq!(dialing.why(), Unreachable::NotFound(why), "{domain}");
            }
        }
    }
}

#[tokio::test]
async fn who_does_not_exist_is_told_apart_from_who_does_not_answer() {
    let names = NameServer::start(
        "
        _xmpp-server._tcp.closed.example SRV 0 0 0 .
        sick.example                     SERVFAIL
        ",
    )
    .await
    .unwrap();
    let dialer = dialer(&names);
    for (domain, expected) in [
        (
            "missing.example",
            "N missing.example: missing.example has no address",
        ),
        (
            "closed.example",
            "N closed.example is no server for others: its name servers say so",
        ),
        (
            "sick.example",
            "T sick.example: sick.example could not be looked up: the name servers cannot tell: \
             Server Failure",
        ),
    ] {
        let why = match dialer.begin(domain).await {
            Err(why) => why,
            Ok(mut dialing) => {
                assert!(dialing.next().await.is_none(), "{domain}");
                dialing.why()
            }
        };
        let why = match why {
            Unreachable::NotFound(why) => format!("N {why}"),
            Unreachable::Timeout(why) => format!("T {why}"),
        };
        assert_eq!(why, expected);
    }
}

#[tokio::test]
async fn a_dead_host_does_not_hide_the_one_for_this_case() {
    // Twelve addresses that say nothing: one socket takes packets for all of loopback.
    let dead = dead_at((Ipv4Addr::UNSPECIFIED, 0).into()).await;
    let backup = alive(V4).await;
    let mut zone = format!(
        "_xmpp-server._tcp.far.example SRV 20 0 {} backup.example\nbackup.example A 127.0.0.1\n",
        port(&backup)
    );
    for host in 1..=3 {
        zone += &format!(
            "_xmpp-server._tcp.far.example SRV 10 0 {} h{host}.example\n",
            dead.port
        );
        for address in 1..=4 {
            zone += &format!("h{host}.example A 127.0.{host}.{address}\n");
        }
    }
    let names = NameServer::start(&zone).await.unwrap();
    let attempt = Duration::from_secs(2);
    let patience = Patience {
        attempt,
        // Three of the attempts one after the other take longer than this.
        whole: attempt * 3,
        stagger: Duration::from_millis(10),
        ..Patience::default()
    };
    let mut dialing = dialer_of(ALONE, &names, patience)
        .begin("far.example")
        .await
        .unwrap();
    let (address, ..) = shown(&mut dialing).await.unwrap();
    assert_eq!(address, SocketAddr::new(V4, port(&backup)));
}

#[tokio::test]
async fn who_takes_too_long_gets_no_further_address() {
    let (one, two) = (alive(V4).await, alive(V4).await);
    let names = NameServer::start(&format!(
        "
        _xmpp-server._tcp.far.example SRV 10 0 {} a.far.example
        _xmpp-server._tcp.far.example SRV 20 0 {} a.far.example
        a.far.example                 A 127.0.0.1
        ",
        port(&one),
        port(&two)
    ))
    .await
    .unwrap();
    let patience = Patience {
        reach: Duration::from_secs(2),
        ..Patience::default()
    };
    let dialer = dialer_of(ALONE, &names, patience);
    for takes in [Duration::ZERO, patience.reach] {
        let mut dialing = dialer.begin("far.example").await.unwrap();
        assert!(shown(&mut dialing).await.is_some());
        // A server that says nothing on a connection that stands.
        tokio::time::sleep(takes).await;
        assert_eq!(shown(&mut dialing).await.is_some(), takes.is_zero());
        if !takes.is_zero() {
            let why = "far.example: no server answered in time".to_owned();
            assert_eq!(dialing.why(), Unreachable::Timeout(why));
        }
    }
}

#[tokio::test]
async fn strangers_do_not_keep_our_people_from_their_friends() {
    let names = NameServer::start("far.example A 127.0.0.1").await.unwrap();
    let patience = Patience {
        turn: IMPATIENT,
        ..Patience::default()
    };
    let dialer = dialer_of(ALONE, &names, patience);
    let busy = |domain: &str| {
        let why = format!("{domain}: too many other servers are being called at the moment");
        Some(Unreachable::Timeout(why))
    };
    let mut answering = Vec::new();
    for number in 0..ANSWERING_DIALS_MAX {
        let domain = format!("s{number}.example");
        answering.push(dialer.begin_to_answer(&domain).await.unwrap());
    }
    let refused = dialer.begin_to_answer("far.example").await.err();
    assert_eq!(refused, busy("far.example"));
    let mut wanted = Vec::new();
    for number in 0..DIALS_MAX {
        let domain = format!("w{number}.example");
        wanted.push(dialer.begin(&domain).await.unwrap());
    }
    let refused = dialer.begin("far.example").await.err();
    assert_eq!(refused, busy("far.example"));
    // A turn ends with the dialling, and with each socket it has found.
    answering.pop();
    assert!(dialer.begin_to_answer("far.example").await.is_ok());
    assert!(wanted[0].next().await.is_none());
    assert!(dialer.begin("far.example").await.is_ok());
}

#[tokio::test]
async fn what_is_denied_follows_the_configuration_and_the_network() {
    let listener = alive(V4).await;
    let names = NameServer::start(&format!(
        "_xmpp-server._tcp.far.example SRV 0 0 {} far.example\nfar.example A 127.0.0.1",
        port(&listener)
    ))
    .await
    .unwrap();
    let dialer = dialer_of(OPEN, &names, Patience::default());
    for (toml, reached) in [(OPEN, false), (ALLOW, true), (ALONE, true), (OPEN, false)] {
        let resolver = format!("[resolver]\nnameservers = ['{}']", names.address());
        let toml = format!("{toml}\n{resolver}");
        let config = Config::from_texts([(Path::new("hearth.toml"), &*toml)]).unwrap();
        dialer.follow(&config);
        let mut dialing = dialer.begin("far.example").await.unwrap();
        assert_eq!(shown(&mut dialing).await.is_some(), reached, "{toml}");
    }
}
