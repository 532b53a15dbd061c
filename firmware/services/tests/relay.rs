//! The relay over real sockets, spoken to with somebody else's library.

mod client;

use client::*;
use server::listen::{Relay, RelayConnection, Stranger};
use services::turn::External;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};
use turn_types::{attribute::RequestedTransport, message::ALLOCATE};

fn at(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().expect("an address"), port)
}

#[tokio::test]
async fn data_goes_to_a_peer_and_back() {
    let house = House::open("127.0.0.1", NEIGHBOURS).await;
    let peer = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    let place = peer.local_addr().expect("loopback");
    let mut juliet = Client::new(at("127.0.0.1", house.port)).await;
    let relayed = juliet.allocate().await;
    assert_eq!(relayed.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    // Who has no permission is not heard.
    peer.send_to(b"too soon", relayed).await.expect("loopback");
    assert_eq!(juliet.bind(place).await, None);
    juliet
        .socket
        .send(&in_channel(b"hello"))
        .await
        .expect("loopback");
    assert_eq!(hear(&peer).await, (b"hello".to_vec(), relayed));
    peer.send_to(b"welcome", relayed).await.expect("loopback");
    assert_eq!(juliet.hear().await, in_channel(b"welcome"));
    // As much as one datagram holds, in both directions.
    let large = vec![7; 1_400];
    juliet
        .socket
        .send(&in_channel(&large))
        .await
        .expect("loopback");
    assert_eq!(hear(&peer).await.0, large);
    assert_eq!(juliet.refresh(0).await, None);
    assert_eq!(house.turn.allocations(), 0);
    assert_eq!(juliet.refresh(0).await, Some(437));
}

#[tokio::test]
async fn the_answer_comes_from_where_the_question_went() {
    for listening in ["0.0.0.0", "::"] {
        let house = House::open(listening, NEIGHBOURS).await;
        for ip in ["127.0.0.1", "127.0.0.2", "127.1.2.3"] {
            let mut juliet = Client::new(at(ip, house.port)).await;
            assert!(juliet.is_answered().await, "{ip}");
            assert_eq!(
                juliet.allocate().await.ip(),
                ip.parse::<IpAddr>().expect("an address")
            );
        }
        if listening == "::" {
            let juliet = Client::new(at("::1", house.port)).await;
            assert!(juliet.is_answered().await);
        }
    }
}

#[tokio::test]
async fn two_behind_the_relay_and_nobody_else() {
    let house = House::open("127.0.0.1", "[turn]\nrelay_ports = '30000-32000'\n").await;
    let mut juliet = Client::new(at("127.0.0.1", house.port)).await;
    let mut romeo = Client::new(at("127.0.0.1", house.port)).await;
    let (here, there) = (juliet.allocate().await, romeo.allocate().await);
    assert_eq!(romeo.bind(here).await, None);
    assert_eq!(juliet.bind(there).await, None);
    juliet
        .socket
        .send(&in_channel(b"hello"))
        .await
        .expect("loopback");
    assert_eq!(romeo.hear().await, in_channel(b"hello"));
    // A port of ours that is no relayed address, another address of this machine, and the network at home.
    for (ip, port) in [
        ("127.0.0.1", 22),
        ("127.0.0.2", 80),
        ("192.168.1.1", 80),
        ("10.0.0.1", 80),
    ] {
        assert_eq!(juliet.bind(at(ip, port)).await, Some(403), "{ip}");
    }
    for ip in ["127.0.0.2", "192.168.1.1", "169.254.169.254"] {
        assert_eq!(juliet.permit(at(ip, 80)).await, Some(403), "{ip}");
    }
}

#[tokio::test]
async fn our_address_changes_and_nobody_is_dropped() {
    let house = House::open("127.0.0.1", NEIGHBOURS).await;
    let mut juliet = Client::new(at("127.0.0.1", house.port)).await;
    let before = juliet.allocate().await;
    let new = Ipv4Addr::new(127, 0, 0, 9);
    house.external.send_replace(External {
        ipv4: Some(new),
        ipv6: None,
    });
    let mut romeo = Client::new(at("127.0.0.1", house.port)).await;
    assert_eq!(romeo.allocate().await.ip(), IpAddr::V4(new));
    assert_eq!(
        (before.ip(), juliet.refresh(600).await),
        (Ipv4Addr::LOCALHOST.into(), None)
    );
    assert_eq!(house.turn.allocations(), 2);
}

#[tokio::test]
async fn allocations_end_with_their_listener() {
    let house = House::open("127.0.0.1", NEIGHBOURS).await;
    let mut juliet = Client::new(at("127.0.0.1", house.port)).await;
    let relayed = juliet.allocate().await;
    assert!(UdpSocket::bind(relayed).await.is_err());
    house.stop.send_replace(true);
    house.serving.await.expect("loopback");
    assert_eq!(house.turn.allocations(), 0);
    // The task that reads it has a moment to end.
    while UdpSocket::bind(relayed).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_no_message_is_counted_and_not_answered() {
    let house = House::open("127.0.0.1", NEIGHBOURS).await;
    let juliet = Client::new(at("127.0.0.1", house.port)).await;
    for bytes in [&b""[..], b"?", b"\0\x01\0\0", &[0xff; 1_000]] {
        juliet.socket.send(bytes).await.expect("loopback");
    }
    // What is answered first is the question behind them.
    assert!(juliet.is_answered().await);
    assert_eq!(house.turn.counts().malformed, 4);
}

/// A connection to the relay.
async fn connect(house: &House) -> TcpStream {
    let door = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let client = TcpStream::connect(door.local_addr().expect("loopback"));
    let (client, accepted) = tokio::join!(client, door.accept());
    let (tcp, peer) = accepted.expect("loopback");
    let serve = house.turn.serve(RelayConnection {
        stream: tcp.into(),
        peer,
        came_to: Some(Ipv4Addr::LOCALHOST.into()),
        stranger: Stranger::default(),
        stop: house.stop.subscribe(),
    });
    tokio::spawn(serve);
    client.expect("loopback")
}

/// One message of a stream, without its padding.
async fn read(tcp: &mut TcpStream) -> Vec<u8> {
    let mut message = vec![0; 4];
    tcp.read_exact(&mut message).await.expect("loopback");
    let length = usize::from(u16::from_be_bytes([message[2], message[3]]));
    let whole = if message[0] < 0x40 {
        20 + length
    } else {
        4 + length
    };
    message.resize(whole.next_multiple_of(4), 0);
    tcp.read_exact(&mut message[4..]).await.expect("loopback");
    message.truncate(whole);
    message
}

#[tokio::test]
async fn a_stream_in_pieces() {
    let house = House::open("127.0.0.1", NEIGHBOURS).await;
    let peer = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    let place = peer.local_addr().expect("loopback");
    for piece in [1, 3, 7, 50, 10_000] {
        let mut tcp = connect(&house).await;
        let mut words = Words::default();
        let udp = RequestedTransport::new(RequestedTransport::UDP);
        words.learn(&exchange(&mut tcp, &words.request(ALLOCATE, &[&udp]), piece).await);
        let answer = exchange(&mut tcp, &words.request(ALLOCATE, &[&udp]), piece).await;
        let relayed = relayed(&answer).expect("an allocation");
        let answer = exchange(&mut tcp, &words.bind(place), piece).await;
        assert_eq!(code(&answer), None);
        // Several messages at once, each padded to whole words.
        let mut several = Vec::new();
        for data in [&b"one"[..], b"", b"three", &[7; 1_000]] {
            several.extend_from_slice(&in_channel(data));
            several.resize(several.len().next_multiple_of(4), 0);
        }
        send(&mut tcp, &several, piece).await;
        for data in [&b"one"[..], b"", b"three", &[7; 1_000]] {
            assert_eq!(hear(&peer).await, (data.to_vec(), relayed));
        }
        peer.send_to(b"back", relayed).await.expect("loopback");
        peer.send_to(b"again", relayed).await.expect("loopback");
        assert_eq!(read(&mut tcp).await, in_channel(b"back"));
        assert_eq!(read(&mut tcp).await, in_channel(b"again"));
        // What is no message ends the connection, and the allocation with it.
        let _ = tcp.write_all(&[0xff; 8]).await;
        assert!(matches!(tcp.read(&mut [0; 1]).await, Ok(0) | Err(_)));
        while house.turn.allocations() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

async fn send(tcp: &mut TcpStream, bytes: &[u8], piece: usize) {
    tcp.set_nodelay(true).expect("loopback");
    for part in bytes.chunks(piece) {
        tcp.write_all(part).await.expect("loopback");
    }
}

async fn exchange(tcp: &mut TcpStream, request: &[u8], piece: usize) -> Vec<u8> {
    send(tcp, request, piece).await;
    read(tcp).await
}
