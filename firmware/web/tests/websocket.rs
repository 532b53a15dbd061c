//! Clients that come by WebSocket, over real sockets: the handshake (RFC 6455 §4.2), what is in frames (RFC
//! 7395), and goodbyes.

mod framed;
mod house;

use framed::{AUTH, BIND, CLOSE, Client, Heard, NS, OPEN, PING, frame, handshake, text};
use house::House;
use server::Visitor;
use xmpp::{
    limits::{STANZA_BYTES_MAX, UNAUTHENTICATED_BYTES_MAX},
    sasl::ChannelBindings,
};

const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";

fn message(bytes: usize) -> String {
    let (begin, end) = (
        "<message xmlns='jabber:client' to='juliet@home.example'><body>",
        "</body></message>",
    );
    let body = "x".repeat(bytes - begin.len() - end.len());
    format!("{begin}{body}{end}")
}

/// An error as it ends a stream, and what follows it.
async fn assert_ends(client: &mut Client, condition: &str, code: u16, what: &str) {
    let rest = client.rest().await;
    let [
        ..,
        Heard::Text(error),
        Heard::Text(close),
        goodbye,
        Heard::End,
    ] = &rest[..]
    else {
        panic!("{what}: {rest:?}");
    };
    let expected = format!("<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
    assert!(
        error.starts_with("<stream:error xmlns:stream=") && error.contains(&expected),
        "{what}: {error}"
    );
    assert_eq!(close, CLOSE, "{what}");
    assert_eq!(*goodbye, Heard::Close(Some(code)), "{what}");
}

#[tokio::test]
async fn a_handshake_is_as_it_must_be() {
    let house = House::new("").await;
    let upgrade: &[&str] = &["connection: upgrade\r\n", "upgrade: websocket\r\n"];
    let version = &["sec-websocket-version: 13\r\n", upgrade[0], upgrade[1]][..];
    let long = "a".repeat(48);
    type Row<'a> = (&'a [(&'a str, &'a str)], u16, &'a [&'a str]);
    let rows: &[Row] = &[
        (&[("Upgrade", "")], 426, upgrade),
        (&[("Upgrade", "h2c")], 426, upgrade),
        (&[("Connection", "keep-alive")], 426, upgrade),
        (&[("Sec-WebSocket-Version", "")], 426, version),
        (&[("Sec-WebSocket-Version", "8")], 426, version),
        (&[("Sec-WebSocket-Protocol", "")], 400, &["RFC 7395"]),
        (&[("Sec-WebSocket-Protocol", "chat")], 400, &["RFC 7395"]),
        (&[("Sec-WebSocket-Key", "")], 400, &["Sec-WebSocket-Key"]),
        (
            &[
                ("Sec-WebSocket-Protocol", "chat, xmpp"),
                ("Upgrade", "WebSocket"),
            ],
            101,
            upgrade,
        ),
        (&[("Sec-WebSocket-Key", &long)], 101, upgrade),
    ];
    for (instead, status, lines) in rows {
        let mut request = handshake(instead).into_bytes();
        // So that it comes to an end.
        request.extend(match status {
            101 => frame(0x88, b""),
            _ => b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec(),
        });
        let answer = house.raw(&request).await;
        assert!(
            answer.head.starts_with(&format!("HTTP/1.1 {status}")),
            "{instead:?}: {}",
            answer.head
        );
        let all = answer.head.clone() + &answer.text();
        for line in *lines {
            assert!(all.contains(line), "{instead:?}: {all}");
        }
    }
}

#[tokio::test]
async fn too_many_strangers_are_told_to_come_again() {
    let house = House::new("").await;
    let visitor = Visitor {
        address: [192, 0, 2, 1].into(),
        bindings: ChannelBindings::default(),
    };
    let nearby = Visitor {
        address: [127, 0, 0, 1].into(),
        ..visitor.clone()
    };
    let mut inside: Vec<_> = std::iter::from_fn(|| house.door.admit(visitor.clone())).collect();
    assert!(!inside.is_empty(), "one address has its share");
    inside.extend(std::iter::from_fn(|| house.door.admit(nearby.clone())));
    let mut request = handshake(&[]).into_bytes();
    request.extend(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let answer = house.raw(&request).await;
    assert!(answer.head.starts_with("HTTP/1.1 503"), "{}", answer.head);
    assert!(
        answer.head.contains("retry-after: 10\r\n"),
        "{}",
        answer.head
    );
    drop(inside);
    Client::enter(&house, b"").await;
}

#[tokio::test]
async fn a_message_may_come_in_fragments_with_questions_between() {
    let house = House::new("").await;
    let mut client = Client::log_in(&house).await;
    let (begin, rest) = PING.split_at(20);
    let (middle, end) = rest.split_at(30);
    let pieces = [
        frame(0x01, begin.as_bytes()),
        frame(0x89, b"there?"),
        frame(0x00, middle.as_bytes()),
        frame(0x8A, b"unasked"),
        frame(0x00, b""),
        frame(0x80, end.as_bytes()),
    ];
    client.send(&pieces[0]).await;
    client.send(&pieces[1]).await;
    assert_eq!(client.hear().await, Heard::Pong(b"there?".to_vec()));
    for byte in pieces[2..].concat() {
        client.send(&[byte]).await;
    }
    assert!(
        client
            .until("id='p1'")
            .await
            .starts_with("<iq xmlns='jabber:client' ")
    );
    // Of several questions the last is answered, with everything else that is to be said.
    let all = [frame(0x89, b"1"), frame(0x89, b"2"), text(PING)].concat();
    client.send(&all).await;
    assert_eq!(client.hear().await, Heard::Pong(b"2".to_vec()));
    client.until("id='p1'").await;
}

#[tokio::test]
async fn who_says_goodbye_is_answered() {
    let house = House::new("").await;
    // First the stream, then the socket.
    let mut client = Client::log_in(&house).await;
    client.say(CLOSE).await;
    assert_eq!(client.hear().await, Heard::Text(CLOSE.into()));
    assert_eq!(client.hear().await, Heard::Close(Some(1000)));
    client.send(&frame(0x88, b"\x03\xe8")).await;
    assert_eq!(client.hear().await, Heard::End);
    // Both at once.
    let mut client = Client::log_in(&house).await;
    let both = [text(CLOSE), frame(0x88, b"\x03\xe9bye")].concat();
    client.send(&both).await;
    let expected = [
        Heard::Text(CLOSE.into()),
        Heard::Close(Some(1001)),
        Heard::End,
    ];
    assert_eq!(client.rest().await, expected);
    // The socket alone: a page that was closed.
    for (payload, code) in [(&b"\x03\xe9"[..], Some(1001)), (b"", None)] {
        let mut client = Client::log_in(&house).await;
        client.send(&frame(0x88, payload)).await;
        assert_eq!(client.rest().await, [Heard::Close(code), Heard::End]);
    }
}

/// A session that can be resumed, and how.
async fn enable(client: &mut Client) -> String {
    client.say(ENABLE).await;
    let enabled = client.until("<enabled").await;
    let id = enabled.split(" id='").nth(1).expect("an id");
    let id = id.split('\'').next().expect("quoted");
    format!("<resume xmlns='urn:xmpp:sm:3' h='0' previd='{id}'/>")
}

async fn resume(house: &House, resume: &str) -> String {
    let login = [text(OPEN), text(AUTH), text(OPEN), text(resume)].concat();
    let mut client = Client::enter(house, &login).await;
    client.until("urn:xmpp:sm:3' ").await
}

#[tokio::test]
async fn a_session_waits_for_who_left_without_a_word() {
    let house = House::new("").await;
    let mut client = Client::log_in(&house).await;
    let way_back = enable(&mut client).await;
    client.send(&frame(0x88, b"\x03\xe9")).await;
    assert_eq!(client.rest().await, [Heard::Close(Some(1001)), Heard::End]);
    let answer = resume(&house, &way_back).await;
    assert!(answer.contains("<resumed"), "{answer}");
}

#[tokio::test]
async fn a_message_has_a_limit() {
    let house = House::new("[limits]\nc2s_rate = '0kB/s'").await;
    let large = message(UNAUTHENTICATED_BYTES_MAX + 1);
    let mut stranger = Client::enter(&house, &text(OPEN)).await;
    stranger.send(&text(&large)).await;
    assert_ends(&mut stranger, "policy-violation", 1009, "a stranger").await;
    // In fragments, of which the last never comes.
    let (begin, rest) = large.split_at(6_000);
    let mut stranger = Client::enter(&house, &text(OPEN)).await;
    stranger.send(&frame(0x01, begin.as_bytes())).await;
    stranger.send(&frame(0x00, rest.as_bytes())).await;
    assert_ends(&mut stranger, "policy-violation", 1009, "fragments").await;
    // The same is nothing behind a login, even one that came with it.
    let all = [OPEN, AUTH, OPEN, BIND, &large, PING].map(text).concat();
    let mut client = Client::enter(&house, &all).await;
    client.until("id='p1'").await;
    client.say(&message(STANZA_BYTES_MAX)).await;
    client.say(PING).await;
    client.until("id='p1'").await;
    // And who sends too much is not awaited, or they would send it again.
    for too_large in [
        text(&message(STANZA_BYTES_MAX + 2_000)),
        frame(0x01, message(STANZA_BYTES_MAX + 2_000).as_bytes()),
    ] {
        let mut client = Client::log_in(&house).await;
        let way_back = enable(&mut client).await;
        client.send(&too_large).await;
        assert_ends(&mut client, "policy-violation", 1009, "behind a login").await;
        let answer = resume(&house, &way_back).await;
        assert!(answer.contains("<failed"), "{answer}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_in_a_frame() {
    let house = House::new("").await;
    let header = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>";
    let other = OPEN.replace(NS, "jabber:client");
    let rows: &[(&str, Vec<u8>, &str, u16)] = &[
        (
            "no UTF-8",
            frame(0x81, b"<a>\xff</a>"),
            "unsupported-encoding",
            1007,
        ),
        ("no mask", b"\x81\x04<a/>".to_vec(), "bad-format", 1002),
        ("a reserved bit", frame(0xC1, b"<a/>"), "bad-format", 1002),
        (
            "a reserved opcode",
            frame(0x83, b"<a/>"),
            "bad-format",
            1002,
        ),
        (
            "a fragment of nothing",
            frame(0x80, b"<a/>"),
            "bad-format",
            1002,
        ),
        ("a long ping", frame(0x89, &[0; 126]), "bad-format", 1002),
        ("a ping in fragments", frame(0x09, b""), "bad-format", 1002),
        (
            "a goodbye of no code",
            frame(0x88, b"\x03\xed"),
            "bad-format",
            1002,
        ),
        ("bytes", frame(0x82, b"<a/>"), "bad-format", 1003),
        (
            "a header of TCP",
            text(header),
            "unsupported-stanza-type",
            1000,
        ),
        ("another header", text(&other), "invalid-namespace", 1000),
        ("half an element", text("<a>"), "not-well-formed", 1000),
    ];
    for (what, bytes, condition, code) in rows {
        let mut client = Client::enter(&house, bytes).await;
        assert_ends(&mut client, condition, *code, what).await;
        // What came before is answered, whatever comes behind it.
        let mut client = Client::log_in(&house).await;
        client
            .send(&[&text(PING)[..], bytes, &text(PING)].concat())
            .await;
        client.until("id='p1'").await;
        assert_ends(&mut client, condition, *code, what).await;
    }
}

#[tokio::test]
async fn everybody_is_told_when_the_house_closes() {
    let house = House::new("").await;
    let mut client = Client::log_in(&house).await;
    let mut stranger = Client::enter(&house, &text(OPEN)).await;
    stranger.until("</stream:features>").await;
    let closing = async {
        assert_ends(&mut client, "system-shutdown", 1000, "a client").await;
        assert_ends(&mut stranger, "system-shutdown", 1000, "a stranger").await;
        drop((client, stranger));
    };
    tokio::join!(house.door.close(), closing);
}
