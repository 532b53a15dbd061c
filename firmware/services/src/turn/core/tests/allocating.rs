//! Allocations, as tables: what can be asked for, what is given, and for how long.

use super::fixture::*;
use crate::turn::{
    limits::{ALLOCATIONS_PER_ACCOUNT_MAX, RESERVATION_MS},
    wire::{Message, Method, attribute::*},
};
use expect_test::{Expect, expect};
use std::fmt::Write;

const PORTS: &str = "[turn]\nrelay_ports = '50000-50099'\n";
const ONE_PORT: &str = "[turn]\nrelay_ports = '50000-50000'\n";

fn check(report: &str, expected: Expect) {
    expected.assert_eq(report);
}

/// Each of these, asked by somebody without an allocation in a house of its own with one port.
fn table(method: Method, rows: &[(&str, Attributes<'_>)]) -> String {
    let mut report = String::new();
    for (what, attributes) in rows {
        let mut house = House::new(ONE_PORT);
        let mut juliet = house.client(JULIET, "198.18.0.9:1000");
        let said = house.ask(&mut juliet, method, attributes);
        let _ = writeln!(report, "{what}: {said}");
    }
    report
}

const TRANSPORT: (u16, &[u8]) = (REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
const V4: (u16, &[u8]) = (REQUESTED_ADDRESS_FAMILY, &[1, 0, 0, 0]);
const V6: (u16, &[u8]) = (REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0]);
const BOTH: (u16, &[u8]) = (ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);
const EVEN: (u16, &[u8]) = (EVEN_PORT, &[0]);
const PAIR: (u16, &[u8]) = (EVEN_PORT, &[0x80]);
const TOKEN: (u16, &[u8]) = (RESERVATION_TOKEN, &[0; 8]);

#[test]
fn allocate() {
    let report = table(
        Method::Allocate,
        &[
            ("plain", &[TRANSPORT]),
            ("no transport", &[]),
            ("a broken one", &[(REQUESTED_TRANSPORT, &[17])]),
            ("TCP to peers", &[(REQUESTED_TRANSPORT, &[6, 0, 0, 0])]),
            ("DONT-FRAGMENT", &[TRANSPORT, (0x001a, &[])]),
            ("a minute", &[TRANSPORT, (LIFETIME, &[0, 0, 0, 60])]),
            ("half an hour", &[TRANSPORT, (LIFETIME, &[0, 0, 7, 8])]),
            ("a day", &[TRANSPORT, (LIFETIME, &[0, 1, 0, 0])]),
            ("no time", &[TRANSPORT, (LIFETIME, &[0, 0, 0, 0])]),
            ("IPv4", &[TRANSPORT, V4]),
            ("IPv6", &[TRANSPORT, V6]),
            (
                "IPv7",
                &[TRANSPORT, (REQUESTED_ADDRESS_FAMILY, &[7, 0, 0, 0])],
            ),
            (
                "a broken family",
                &[TRANSPORT, (REQUESTED_ADDRESS_FAMILY, &[1])],
            ),
        ],
    );
    check(
        &report,
        expect![[r"
        plain: allocated, at 9.9.9.1:50000, for 600, seen as 198.18.0.9:1000, signed
        no transport: refused, 400, signed
        a broken one: refused, 400, signed
        TCP to peers: refused, 442, signed
        DONT-FRAGMENT: refused, 420, unknown [00, 1a], signed
        a minute: allocated, at 9.9.9.1:50000, for 600, seen as 198.18.0.9:1000, signed
        half an hour: allocated, at 9.9.9.1:50000, for 1800, seen as 198.18.0.9:1000, signed
        a day: allocated, at 9.9.9.1:50000, for 3600, seen as 198.18.0.9:1000, signed
        no time: allocated, at 9.9.9.1:50000, for 600, seen as 198.18.0.9:1000, signed
        IPv4: allocated, at 9.9.9.1:50000, for 600, seen as 198.18.0.9:1000, signed
        IPv6: allocated, at [2620:fe::1]:50000, for 600, seen as 198.18.0.9:1000, signed
        IPv7: refused, 440, signed
        a broken family: refused, 400, signed
    "]],
    );
}

#[test]
fn allocate_two_or_the_second_of_two() {
    let report = table(
        Method::Allocate,
        &[
            ("both", &[TRANSPORT, BOTH]),
            (
                "both, IPv4 second",
                &[TRANSPORT, (ADDITIONAL_ADDRESS_FAMILY, &[1, 0, 0, 0])],
            ),
            ("both and one", &[TRANSPORT, BOTH, V6]),
            ("both and a pair", &[TRANSPORT, BOTH, PAIR]),
            ("even", &[TRANSPORT, EVEN]),
            ("a broken even", &[TRANSPORT, (EVEN_PORT, &[])]),
            ("a pair of one port", &[TRANSPORT, PAIR]),
            ("an unknown token", &[TRANSPORT, TOKEN]),
            ("a broken token", &[TRANSPORT, (RESERVATION_TOKEN, &[0; 7])]),
            ("a token and even", &[TRANSPORT, TOKEN, EVEN]),
            ("a token and a family", &[TRANSPORT, TOKEN, V4]),
            ("a token and both", &[TRANSPORT, TOKEN, BOTH]),
        ],
    );
    check(
        &report,
        expect![[r"
            both: allocated, at 9.9.9.1:50000, at [2620:fe::1]:50000, for 600, seen as 198.18.0.9:1000, signed
            both, IPv4 second: refused, 400, signed
            both and one: refused, 400, signed
            both and a pair: refused, 400, signed
            even: allocated, at 9.9.9.1:50000, for 600, seen as 198.18.0.9:1000, signed
            a broken even: refused, 400, signed
            a pair of one port: refused, 508, signed
            an unknown token: refused, 508, signed
            a broken token: refused, 400, signed
            a token and even: refused, 400, signed
            a token and a family: refused, 400, signed
            a token and both: refused, 400, signed
        "]],
    );
}

#[test]
fn allocate_twice() {
    let mut house = House::new(PORTS);
    let (mut juliet, id) = house.relayed(JULIET, "198.18.0.9:1000");
    let again = juliet.again(Method::Allocate, UDP);
    let first = house.core.allocations[&id].relays[0]
        .as_ref()
        .unwrap()
        .address;
    let Said::Answer(answer) = house.packet(&juliet.line, &again) else {
        panic!("no answer")
    };
    let said = describe(&Message::read(&answer).unwrap());
    assert_eq!(
        said,
        format!("allocated, at {first}, for 600, seen as 198.18.0.9:1000, signed")
    );
    assert_eq!(
        house.ask(&mut juliet, Method::Allocate, UDP),
        "refused, 437, signed"
    );
    assert_eq!(house.paper.open_sockets().len(), 1);
}

#[test]
fn as_many_as_may_be() {
    let mut house = House::new("[turn]\nrelay_ports = '50000-50060'\n");
    for port in 0..ALLOCATIONS_PER_ACCOUNT_MAX {
        house.relayed(JULIET, &format!("198.18.0.9:{}", 1_000 + port));
    }
    let mut juliet = house.client(JULIET, "198.18.0.9:999");
    assert_eq!(
        house.ask(&mut juliet, Method::Allocate, UDP),
        "refused, 486, signed"
    );
    // A name that ends later is the same account.
    let mut juliet = house.client("1700000200:juliet", "198.18.0.9:999");
    assert_eq!(
        house.ask(&mut juliet, Method::Allocate, UDP),
        "refused, 486, signed"
    );
    for port in 0..61 - ALLOCATIONS_PER_ACCOUNT_MAX {
        house.relayed(ROMEO, &format!("198.18.0.9:{}", 2_000 + port));
    }
    let mut romeo = house.client(ROMEO, "198.18.0.9:999");
    assert_eq!(
        house.ask(&mut romeo, Method::Allocate, UDP),
        "refused, 508, signed"
    );
    house.pass(600_000);
    assert_eq!(house.paper.open_sockets(), []);
    house.relayed(ROMEO, "198.18.0.9:999");
}

#[test]
fn ports_in_pairs() {
    let mut house = House::new("[turn]\nrelay_ports = '50000-50003'\n");
    house.paper.busy.borrow_mut().extend([50_000]);
    let pair: Attributes<'_> = &[UDP[0], (EVEN_PORT, &[0x80])];
    let mut juliet = house.client(JULIET, "198.18.0.9:1000");
    let request = juliet.request(Method::Allocate, pair);
    let Said::Answer(answer) = house.packet(&juliet.line, &request) else {
        panic!("no answer")
    };
    let answer = Message::read(&answer).unwrap();
    assert_eq!(
        describe(&answer),
        "allocated, at 9.9.9.1:50002, for 600, with a token, seen as 198.18.0.9:1000, signed"
    );
    let token = answer.attribute(RESERVATION_TOKEN).unwrap().to_vec();
    let held: Attributes<'_> = &[UDP[0], (RESERVATION_TOKEN, &token)];
    // A request that comes again is told the same token.
    let again = juliet.again(Method::Allocate, pair);
    let Said::Answer(again) = house.packet(&juliet.line, &again) else {
        panic!("no answer")
    };
    let again = Message::read(&again).unwrap();
    assert_eq!(again.attribute(RESERVATION_TOKEN), Some(&token[..]));
    let mut other = house.client(JULIET, "198.18.0.9:1001");
    let said = house.ask(&mut other, Method::Allocate, held);
    assert_eq!(
        said,
        "allocated, at 9.9.9.1:50003, for 600, seen as 198.18.0.9:1001, signed"
    );
    let mut third = house.client(JULIET, "198.18.0.9:1002");
    assert_eq!(
        house.ask(&mut third, Method::Allocate, held),
        "refused, 508, signed"
    );
    // What nobody fetches is free again.
    house.pass(600_000);
    let mut juliet = house.client(JULIET, "198.18.0.9:1000");
    let said = house.ask(&mut juliet, Method::Allocate, pair);
    assert!(said.contains("with a token"), "{said}");
    assert_eq!(house.paper.open_sockets().len(), 2);
    house.pass(RESERVATION_MS);
    assert_eq!(house.paper.open_sockets().len(), 1);
}

#[test]
fn where_relayed_addresses_are() {
    let mut report = String::new();
    for (external, interfaces, came_to, family) in [
        ("", "192.168.1.5", "192.168.1.5", 1),
        ("9.9.9.9", "192.168.1.5", "192.168.1.5", 1),
        ("", "9.9.9.1", "9.9.9.1", 1),
        ("", "9.9.9.1", "::ffff:9.9.9.1", 1),
        ("", "9.9.9.1 2620:fe::1", "9.9.9.1", 2),
        ("2620:fe::9", "9.9.9.1 2620:fe::1", "9.9.9.1", 2),
        ("", "9.9.9.1", "9.9.9.1", 2),
        ("", "2620:fe::1", "2620:fe::1", 1),
        ("", "9.9.9.1 2620:fe::1", "127.0.0.1", 2),
        ("", "9.9.9.1 2620:fe::1", "::1", 1),
    ] {
        let mut house = House::new(ONE_PORT);
        let list = |text: &str| {
            text.split_whitespace()
                .map(|it| it.parse().unwrap())
                .collect()
        };
        *house.paper.external.borrow_mut() = list(external);
        *house.paper.interfaces.borrow_mut() = list(interfaces);
        let mut line = house.client(JULIET, "198.18.0.9:1000").line;
        line.came_to = came_to.parse().unwrap();
        let mut juliet = house.client_over(JULIET, line);
        let family = [family, 0, 0, 0];
        let attributes: Attributes<'_> = &[UDP[0], (REQUESTED_ADDRESS_FAMILY, &family)];
        let said = house.ask(&mut juliet, Method::Allocate, attributes);
        let said = said.split(", for").next().unwrap();
        let sockets = house.paper.open_sockets();
        let family = family[0];
        // Outside, on links, where it came in, and the family.
        let _ = writeln!(
            report,
            "{external:?}, {interfaces:?}, by {came_to}, {family}: {said}; {sockets:?}"
        );
    }
    check(
        &report,
        expect![[r#"
        "", "192.168.1.5", by 192.168.1.5, 1: allocated, at 192.168.1.5:50000; [192.168.1.5:50000]
        "9.9.9.9", "192.168.1.5", by 192.168.1.5, 1: allocated, at 9.9.9.9:50000; [0.0.0.0:50000]
        "", "9.9.9.1", by 9.9.9.1, 1: allocated, at 9.9.9.1:50000; [9.9.9.1:50000]
        "", "9.9.9.1", by ::ffff:9.9.9.1, 1: allocated, at 9.9.9.1:50000; [9.9.9.1:50000]
        "", "9.9.9.1 2620:fe::1", by 9.9.9.1, 2: allocated, at [2620:fe::1]:50000; [[2620:fe::1]:50000]
        "2620:fe::9", "9.9.9.1 2620:fe::1", by 9.9.9.1, 2: allocated, at [2620:fe::9]:50000; [[::]:50000]
        "", "9.9.9.1", by 9.9.9.1, 2: refused, 440, signed; []
        "", "2620:fe::1", by 2620:fe::1, 1: refused, 440, signed; []
        "", "9.9.9.1 2620:fe::1", by 127.0.0.1, 2: allocated, at [::1]:50000; [[::1]:50000]
        "", "9.9.9.1 2620:fe::1", by ::1, 1: allocated, at 127.0.0.1:50000; [127.0.0.1:50000]
    "#]],
    );
}

#[test]
fn refresh() {
    let mut house = House::new(PORTS);
    let mut report = String::new();
    let mut nobody = house.client(JULIET, "198.18.0.9:999");
    let both: Attributes<'_> = &[UDP[0], (ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0])];
    let mut juliet = house.client(JULIET, "198.18.0.9:1000");
    house.ask(&mut juliet, Method::Allocate, both);
    let mut romeo = house.client_over(ROMEO, juliet.line.clone());
    let v4: (u16, &[u8]) = (REQUESTED_ADDRESS_FAMILY, &[1, 0, 0, 0]);
    let end: (u16, &[u8]) = (LIFETIME, &[0, 0, 0, 0]);
    for (what, attributes) in [
        ("plain", &[][..]),
        ("an hour and more", &[(LIFETIME, &[0, 0, 255, 0][..])]),
        ("a broken time", &[(LIFETIME, &[0, 0, 255][..])]),
        (
            "a family that nobody has",
            &[(REQUESTED_ADDRESS_FAMILY, &[9, 0, 0, 0][..])],
        ),
        (
            "a broken family",
            &[(REQUESTED_ADDRESS_FAMILY, &[1, 0, 0][..])],
        ),
        ("something unknown", &[(0x7777, &b"x"[..])]),
        ("IPv4 ends", &[v4, end]),
        ("IPv4 again", &[v4]),
        ("all ends", &[end]),
        ("once more", &[end]),
    ] {
        let said = house.ask(&mut juliet, Method::Refresh, attributes);
        let open = house.paper.open_sockets().len();
        let _ = writeln!(report, "{what}: {said}; {open} open");
        if what == "plain" {
            let said = house.ask(&mut nobody, Method::Refresh, attributes);
            let _ = writeln!(report, "nobody's: {said}");
            let said = house.ask(&mut romeo, Method::Refresh, attributes);
            let _ = writeln!(report, "somebody else's: {said}");
        }
    }
    check(
        &report,
        expect![[r"
        plain: refreshed, for 600, signed; 2 open
        nobody's: refused, 437, signed
        somebody else's: refused, 441, signed
        an hour and more: refreshed, for 3600, signed; 2 open
        a broken time: refused, 400, signed; 2 open
        a family that nobody has: refused, 443, signed; 2 open
        a broken family: refused, 400, signed; 2 open
        something unknown: refused, 420, unknown [77, 77], signed; 2 open
        IPv4 ends: refreshed, for 0, signed; 1 open
        IPv4 again: refused, 443, signed; 1 open
        all ends: refreshed, for 0, signed; 0 open
        once more: refused, 437, signed; 0 open
    "]],
    );
}
