//! Requests, as tables: what each one is answered.

use super::fixture::*;
use crate::turn::{
    limits::{CHANNELS_MAX, NONCE_MS, PERMISSIONS_MAX, STRANGER_BURST},
    wire::{Class, Key, Message, Method, attribute::*},
};
use expect_test::{Expect, expect};
use std::fmt::Write;

const PORTS: &str = "[turn]\nrelay_ports = '50000-50099'\n";
const CHANNEL: &[u8] = &[0x40, 0, 0, 0];

fn check(report: &str, expected: Expect) {
    expected.assert_eq(report);
}

#[test]
fn binding() {
    let mut house = House::new(PORTS);
    let mut report = String::new();
    for (what, class, attributes) in [
        ("a request", Class::Request, &[][..]),
        (
            "with something optional",
            Class::Request,
            &[(0x8022, &b"test"[..])],
        ),
        (
            "with something unknown",
            Class::Request,
            &[(0x7777, &b""[..]), (0x0003, &b"abcd"[..])],
        ),
        ("an indication", Class::Indication, &[]),
        ("an answer to nothing", Class::Success, &[]),
        ("a refusal of nothing", Class::Error, &[]),
    ] {
        let stranger = house.client("", "198.18.0.9:1000").line;
        let said = match house.packet(&stranger, &unsigned(class, Method::Binding, attributes)) {
            Said::Answer(answer) => describe(&Message::read(&answer).unwrap()),
            _ => "nothing".to_owned(),
        };
        let _ = writeln!(report, "{what}: {said}");
    }
    check(
        &report,
        expect![[r"
        a request: done, seen as 198.18.0.9:1000
        with something optional: done, seen as 198.18.0.9:1000
        with something unknown: refused, 420, unknown [77, 77, 00, 03]
        an indication: nothing
        an answer to nothing: nothing
        a refusal of nothing: nothing
    "]],
    );
}

/// What somebody is told, in words.
fn answer(house: &mut House, client: &Client, bytes: &[u8]) -> String {
    match house.packet(&client.line, bytes) {
        Said::Answer(answer) => describe(&Message::read(&answer).unwrap()),
        _ => "nothing".to_owned(),
    }
}

#[test]
fn who_asks() {
    let mut house = House::new(PORTS);
    let mut report = String::new();
    let mut say = |what: &str, house: &mut House, client: &Client, bytes: &[u8]| {
        let _ = writeln!(report, "{what}: {}", answer(house, client, bytes));
    };
    let mut juliet = house.client(JULIET, "198.18.0.9:1000");
    say(
        "nobody",
        &mut house,
        &juliet,
        &unsigned(Class::Request, Method::Allocate, UDP),
    );
    let whole = juliet.request(Method::Allocate, UDP);
    for missing in [USERNAME, REALM, NONCE] {
        let mut parts: Vec<_> = Message::read(&whole).unwrap().attributes().collect();
        parts.retain(|(kind, _)| *kind != missing);
        parts.push((MESSAGE_INTEGRITY, &[0; 20]));
        let request = unsigned(Class::Request, Method::Allocate, &parts);
        say(
            &format!("signed without {missing:#06x}"),
            &mut house,
            &juliet,
            &request,
        );
    }
    for username in ["juliet", "1699999999:juliet", "1700000000:juliet", ""] {
        let mut other = house.client(username, "198.18.0.9:1000");
        let request = other.request(Method::Allocate, UDP);
        say(&format!("as {username:?}"), &mut house, &other, &request);
    }
    let mut guessing = house.client(JULIET, "198.18.0.9:1000");
    guessing.key = Key::new(JULIET, DOMAIN, "guessed");
    let request = guessing.request(Method::Allocate, UDP);
    say("with a guessed password", &mut house, &guessing, &request);
    check(
        &report,
        expect![[r#"
        nobody: refused, 401, realm home.example, with a nonce
        signed without 0x0006: refused, 400
        signed without 0x0014: refused, 400
        signed without 0x0015: refused, 400
        as "juliet": refused, 401, realm home.example, with a nonce
        as "1699999999:juliet": refused, 401, realm home.example, with a nonce
        as "1700000000:juliet": refused, 401, realm home.example, with a nonce
        as "": refused, 401, realm home.example, with a nonce
        with a guessed password: refused, 401, realm home.example, with a nonce
    "#]],
    );
}

#[test]
fn with_which_nonce() {
    let mut house = House::new(PORTS);
    let mut report = String::new();
    let mut say = |what: &str, house: &mut House, client: &Client, bytes: &[u8]| {
        let _ = writeln!(report, "{what}: {}", answer(house, client, bytes));
    };
    let mut juliet = house.client(JULIET, "198.18.0.9:1000");
    let mut elsewhere = house.client(JULIET, "198.18.0.9:1000");
    elsewhere.line.client.set_port(1_001);
    let request = elsewhere.request(Method::Allocate, UDP);
    say(
        "with a nonce of another place",
        &mut house,
        &elsewhere,
        &request,
    );
    house.now += NONCE_MS + 1_000;
    let request = juliet.request(Method::Allocate, UDP);
    say("with an old nonce", &mut house, &juliet, &request);
    juliet.nonce = house
        .core
        .nonces
        .make(juliet.line.client, house.now)
        .to_vec();
    let request = juliet.request(Method::Allocate, UDP);
    say("with the new one", &mut house, &juliet, &request);
    check(
        &report,
        expect![[r"
        with a nonce of another place: refused, 438, realm home.example, with a nonce
        with an old nonce: refused, 438, realm home.example, with a nonce
        with the new one: allocated, at 9.9.9.1:50048, for 600, seen as 198.18.0.9:1000, signed
    "]],
    );
}

#[test]
fn who_relays_may_go_on_when_the_name_is_over() {
    let mut house = House::new(PORTS);
    let (mut juliet, _) = house.relayed(JULIET, "198.18.0.9:1000");
    house.paper.now_s.set(NOW_S + 200);
    assert_eq!(
        house.ask(&mut juliet, Method::Refresh, &[]),
        "refreshed, for 600, signed"
    );
    let mut new = house.client(JULIET, "198.18.0.9:1001");
    let said = house.ask(&mut new, Method::Allocate, UDP);
    assert_eq!(said, "refused, 401, realm home.example, with a nonce");
}

#[test]
fn permissions() {
    let mut house = House::new(PORTS);
    let (mut juliet, _) = house.relayed(JULIET, "198.18.0.9:1000");
    let mut report = String::new();
    for (what, attributes) in [
        ("none", &[][..]),
        ("one", &[(PEER, &b"8.8.8.8:1"[..])]),
        ("two", &[(PEER, &b"8.8.8.8:1"[..]), (PEER, b"8.8.4.4:1")]),
        ("a broken one", &[(PEER, &[0, 1][..])]),
        ("the other family", &[(PEER, &b"[2620:fe::fe]:1"[..])]),
        ("loopback", &[(PEER, &b"127.0.0.1:1"[..])]),
        ("somebody in the house", &[(PEER, &b"192.168.1.1:1"[..])]),
        ("beside us", &[(PEER, &b"9.9.9.2:1"[..])]),
        ("ourselves", &[(PEER, &b"9.9.9.1:1"[..])]),
        (
            "one of them denied",
            &[(PEER, &b"8.8.8.8:1"[..]), (PEER, b"10.0.0.1:1")],
        ),
    ] {
        let said = house.ask(&mut juliet, Method::CreatePermission, attributes);
        let _ = writeln!(report, "{what}: {said}");
    }
    let mut said = Vec::new();
    for host in 0..=PERMISSIONS_MAX {
        let peer = format!("8.8.1.{host}:1");
        let peer: Attributes<'_> = &[(PEER, peer.as_bytes())];
        said.push(house.ask(&mut juliet, Method::CreatePermission, peer));
    }
    let _ = writeln!(report, "the last of many: {}", said.last().unwrap());
    check(
        &report,
        expect![[r"
        none: refused, 400, signed
        one: done, signed
        two: done, signed
        a broken one: refused, 400, signed
        the other family: refused, 443, signed
        loopback: refused, 403, signed
        somebody in the house: refused, 403, signed
        beside us: refused, 403, signed
        ourselves: done, signed
        one of them denied: refused, 403, signed
        the last of many: refused, 508, signed
    "]],
    );
    house.now += 300_000;
    let said = house.ask(
        &mut juliet,
        Method::CreatePermission,
        &[(PEER, b"8.8.8.9:1")],
    );
    assert_eq!(said, "done, signed");
}

#[test]
fn channels() {
    let mut house = House::new(PORTS);
    let (mut juliet, _) = house.relayed(JULIET, "198.18.0.9:1000");
    house.relayed(ROMEO, "198.18.0.9:1001");
    let romeo = house
        .core
        .by_relayed
        .keys()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    let mut report = String::new();
    let number = |number: u16| [number.to_be_bytes(), [0; 2]].concat();
    for (what, channel, peer) in [
        ("one", CHANNEL, &b"8.8.8.8:7"[..]),
        ("the same again", CHANNEL, b"8.8.8.8:7"),
        ("to another peer", CHANNEL, b"8.8.8.8:8"),
        ("another for it", &number(0x4001), b"8.8.8.8:7"),
        ("another peer", &number(0x4001), b"8.8.8.8:8"),
        ("the last number", &number(0x7ffe), b"8.8.8.8:9"),
        ("beyond the last", &number(0x7fff), b"8.8.8.8:10"),
        ("before the first", &number(0x3fff), b"8.8.8.8:10"),
        ("a broken number", &[0x40], b"8.8.8.8:10"),
        ("a broken peer", &number(0x4002), &[0, 1]),
        ("no port", &number(0x4002), b"8.8.8.8:0"),
        ("the other family", &number(0x4002), b"[2620:fe::fe]:10"),
        ("somebody in the house", &number(0x4002), b"192.168.1.1:10"),
        ("nobody's relayed address", &number(0x4002), b"9.9.9.1:10"),
        ("a relayed address", &number(0x4002), romeo[0].as_bytes()),
    ] {
        let attributes: Attributes<'_> = &[(CHANNEL_NUMBER, channel), (PEER, peer)];
        let said = house.ask(&mut juliet, Method::ChannelBind, attributes);
        let _ = writeln!(report, "{what}: {said}");
    }
    check(
        &report,
        expect![[r"
        one: done, signed
        the same again: done, signed
        to another peer: refused, 400, signed
        another for it: refused, 400, signed
        another peer: done, signed
        the last number: done, signed
        beyond the last: refused, 400, signed
        before the first: refused, 400, signed
        a broken number: refused, 400, signed
        a broken peer: refused, 400, signed
        no port: refused, 400, signed
        the other family: refused, 443, signed
        somebody in the house: refused, 403, signed
        nobody's relayed address: refused, 403, signed
        a relayed address: done, signed
    "]],
    );
}

#[test]
fn half_a_channel_and_too_many() {
    let mut house = House::new(PORTS);
    let (mut juliet, _) = house.relayed(JULIET, "198.18.0.9:1000");
    let mut report = String::new();
    let number = |number: u16| [number.to_be_bytes(), [0; 2]].concat();
    for (what, attributes) in [
        ("no number", &[(PEER, &b"8.8.8.8:7"[..])]),
        ("no peer", &[(CHANNEL_NUMBER, CHANNEL)]),
    ] {
        let said = house.ask(&mut juliet, Method::ChannelBind, attributes);
        let _ = writeln!(report, "{what}: {said}");
    }
    let mut said = String::new();
    for more in 0..=CHANNELS_MAX as u16 {
        let peer = format!("8.8.4.4:{}", 100 + more);
        let number = number(0x4100 + more);
        let attributes: Attributes<'_> = &[(CHANNEL_NUMBER, &number), (PEER, peer.as_bytes())];
        said = house.ask(&mut juliet, Method::ChannelBind, attributes);
    }
    let _ = writeln!(report, "one too many: {said}");
    check(
        &report,
        expect![[r"
            no number: refused, 400, signed
            no peer: refused, 400, signed
            one too many: refused, 508, signed
        "]],
    );
}

/// RFC 8489 §6.3.
#[test]
fn what_nobody_knows_is_not_answered() {
    let mut house = House::new(PORTS);
    let (mut juliet, _) = house.relayed(JULIET, "198.18.0.9:1000");
    // Connect (RFC 6062), Send and Data as requests, and nothing that is assigned.
    let methods = [
        Method::Other(0x00a),
        Method::Send,
        Method::Data,
        Method::Other(0xfff),
    ];
    for method in methods {
        let said = house.ask(&mut juliet, method, &[]);
        assert_eq!(said, "nothing", "{method:?}");
    }
    for (class, method) in [
        (Class::Indication, Method::Allocate),
        (Class::Indication, Method::Data),
        (Class::Success, Method::Allocate),
        (Class::Error, Method::Refresh),
    ] {
        let said = answer(&mut house, &juliet, &unsigned(class, method, &[]));
        assert_eq!(said, "nothing", "{class:?} {method:?}");
    }
    assert_eq!(house.core.counts.malformed, 8);
}

/// RFC 8489 §14.13: each of them, as many as fit.
#[test]
fn what_is_not_understood_is_named() {
    let mut house = House::new(PORTS);
    let stranger = house.client("", "198.18.0.9:1000");
    let many: Vec<(u16, &[u8])> = (0x7000..0x7020).map(|kind| (kind, &b""[..])).collect();
    let request = unsigned(Class::Request, Method::Binding, &many);
    let Said::Answer(answer) = house.packet(&stranger.line, &request) else {
        panic!("nothing was said");
    };
    let answer = Message::read(&answer).unwrap();
    let named = answer.attribute(UNKNOWN_ATTRIBUTES).unwrap();
    let expected: Vec<u8> = (0x7000u16..0x7010).flat_map(u16::to_be_bytes).collect();
    assert_eq!(named, expected);
}

/// RFC 8656 §5: on what allocates and refreshes, and for nobody but who is known.
#[test]
fn who_we_are() {
    let mut house = House::new(PORTS);
    let mut juliet = house.client(JULIET, "198.18.0.9:1000");
    let stranger = unsigned(Class::Request, Method::Allocate, UDP);
    let requests = [
        (stranger, false),
        (juliet.request(Method::Allocate, UDP), true),
        (juliet.request(Method::Allocate, UDP), true),
        (juliet.request(Method::Refresh, &[]), true),
        (juliet.request(Method::CreatePermission, &[]), false),
    ];
    for (request, expected) in requests {
        let Said::Answer(answer) = house.packet(&juliet.line, &request) else {
            panic!("nothing was said");
        };
        let answer = Message::read(&answer).unwrap();
        let said = answer.attribute(SOFTWARE);
        assert_eq!(
            said,
            expected.then_some(&b"Hearth"[..]),
            "{}",
            describe(&answer)
        );
    }
}

#[test]
fn who_is_nobody_here_any_more_is_not_relayed() {
    let mut house = House::new(PORTS);
    let (mut juliet, _) = house.relayed(JULIET, "198.18.0.9:1000");
    let (mut romeo, _) = house.relayed(ROMEO, "198.18.0.9:1001");
    house.paper.removed.borrow_mut().push(JULIET.to_owned());
    let refused = "refused, 401, realm home.example, with a nonce";
    let peer: Attributes<'_> = &[(PEER, b"8.8.8.8:1")];
    assert_eq!(
        house.ask(&mut juliet, Method::CreatePermission, peer),
        refused
    );
    assert_eq!(house.ask(&mut juliet, Method::Refresh, &[]), refused);
    let mut new = house.client(JULIET, "198.18.0.9:1002");
    assert_eq!(house.ask(&mut new, Method::Allocate, UDP), refused);
    assert_eq!(house.paper.open_sockets().len(), 2);
    house.pass(5_000);
    assert_eq!(house.paper.open_sockets().len(), 1);
    let said = house.ask(&mut romeo, Method::Refresh, &[]);
    assert_eq!(said, "refreshed, for 600, signed");
}

/// RFC 8489 §9.2.4: that of SHA-256 counts, and the answer has that of SHA-1, since nobody chose.
#[test]
fn signed_with_another_hash() {
    let mut house = House::new(PORTS);
    let mut juliet = house.client(JULIET, "198.18.0.9:1000");
    for (is_right, expected) in [
        (false, "refused, 401, realm home.example, with a nonce"),
        (
            true,
            "allocated, at 9.9.9.1:50048, for 600, seen as 198.18.0.9:1000, signed",
        ),
    ] {
        let request = juliet.request(Method::Allocate, UDP);
        let request = signed_with_sha256(&request, &juliet.key, is_right);
        let said = answer(&mut house, &juliet, &request);
        assert_eq!(said, expected);
    }
}

#[test]
fn strangers_get_no_more_than_they_bring() {
    let mut house = House::new(PORTS);
    let request = unsigned(Class::Request, Method::Allocate, UDP);
    let (mut came, mut went) = (0, 0);
    for port in 1..10_000u16 {
        let line = house.client("", &format!("198.18.0.9:{port}")).line;
        came += request.len() as u64;
        match house.packet(&line, &request) {
            Said::Answer(answer) => went += answer.len() as u64,
            _ => assert!(went + STRANGER_BURST > came || house.core.counts.unanswered > 0),
        }
    }
    assert!(went * 20 < came, "{went} for {came}");
    // Who comes over TCP is where they say.
    let mut line = house.client("", "198.18.0.9:1").line;
    line.is_stream = true;
    assert!(matches!(house.packet(&line, &request), Said::Answer(_)));
    // As is who sends back what they were sent.
    house.relayed(JULIET, "198.18.0.9:2");
}
