//! Where data goes, and where it does not.

use super::fixture::*;
use crate::turn::{
    limits::{ALLOCATION_BURST, ALLOCATION_RATE, CHANNEL_MS, PERMISSION_MS},
    wire::{Class, Message, Method, attribute::*},
};
use household::Config;

const HOUSE: &str = "[turn]\nrelay_ports = '50000-50099'\n";
const PLACE: &str = "8.8.8.8:7";

fn show(said: Said) -> String {
    match said {
        Said::Nothing => "nothing".to_owned(),
        Said::Answer(_) => "an answer".to_owned(),
        Said::ToPeer(relay, peer, data) => {
            assert_eq!(relay.is_ipv4(), peer.is_ipv4());
            format!("{} to {peer}", String::from_utf8_lossy(&data))
        }
        Said::ToClient(line, bytes) => {
            let what = match Message::read(&bytes) {
                Some(message) => describe(&message),
                None => format!("{bytes:?}"),
            };
            format!("{what} to {}", line.client)
        }
    }
}

fn send(peer: &[u8], data: &[u8]) -> Vec<u8> {
    unsigned(
        Class::Indication,
        Method::Send,
        &[(PEER, peer), (DATA, data)],
    )
}

fn bind(house: &mut House, client: &mut Client, peer: &str) {
    let attributes: Attributes<'_> = &[(CHANNEL_NUMBER, &[0x40, 0, 0, 0]), (PEER, peer.as_bytes())];
    let said = house.ask(client, Method::ChannelBind, attributes);
    assert_eq!(said, "done, signed");
}

fn permit(house: &mut House, client: &mut Client, peer: &str) {
    let said = house.ask(client, Method::CreatePermission, &[(PEER, peer.as_bytes())]);
    assert_eq!(said, "done, signed");
}

fn relayed_at(house: &House, id: u64) -> String {
    let relay = house.core.allocations[&id].relays[0].as_ref();
    relay.unwrap().address.to_string()
}

#[test]
fn by_indications() {
    let mut house = House::new(HOUSE);
    let (mut juliet, id) = house.relayed(JULIET, "198.18.0.9:1000");
    let stranger = house.client("", "198.18.0.9:1001").line;
    let line = juliet.line.clone();
    assert_eq!(
        show(house.packet(&line, &send(PLACE.as_bytes(), b"a"))),
        "nothing"
    );
    assert_eq!(show(house.hear_peer(id, PLACE, b"b")), "nothing");
    permit(&mut house, &mut juliet, "8.8.8.8:1");
    assert_eq!(
        show(house.packet(&line, &send(PLACE.as_bytes(), b"a"))),
        "a to 8.8.8.8:7"
    );
    assert_eq!(
        show(house.packet(&line, &send(PLACE.as_bytes(), b""))),
        " to 8.8.8.8:7"
    );
    assert_eq!(
        show(house.packet(&stranger, &send(PLACE.as_bytes(), b"a"))),
        "nothing"
    );
    assert_eq!(
        show(house.packet(&line, &send(b"8.8.4.4:7", b"a"))),
        "nothing"
    );
    assert_eq!(
        show(house.packet(&line, &send(b"[2620:fe::fe]:7", b"a"))),
        "nothing"
    );
    for broken in [
        &[(PEER, PLACE.as_bytes())][..],
        &[(DATA, b"a")],
        &[(PEER, b"x"), (DATA, b"a")],
        // Of two the first counts.
        &[(PEER, b"x"), (PEER, PLACE.as_bytes()), (DATA, b"a")],
        // DONT-FRAGMENT is one that is not known here.
        &[(PEER, PLACE.as_bytes()), (DATA, b"a"), (0x001a, b"")],
    ] {
        let broken = unsigned(Class::Indication, Method::Send, broken);
        assert_eq!(show(house.packet(&line, &broken)), "nothing");
    }
    let said = show(house.hear_peer(id, PLACE, b"hello"));
    assert_eq!(
        said,
        "Indication Data, from 8.8.8.8:7, data hello to 198.18.0.9:1000"
    );
    assert_eq!(show(house.hear_peer(id, "8.8.4.4:7", b"b")), "nothing");
    house.now += PERMISSION_MS;
    assert_eq!(show(house.hear_peer(id, PLACE, b"b")), "nothing");
    assert_eq!(
        show(house.packet(&line, &send(PLACE.as_bytes(), b"a"))),
        "nothing"
    );
}

#[test]
fn by_channels() {
    let mut house = House::new(HOUSE);
    let mut line = house.client(JULIET, "198.18.0.9:1000").line;
    let data = [0x40, 0, 0, 3, b'a', b'b', b'c'];
    for (is_stream, expected) in [
        (false, "[64, 0, 0, 1, 120] to 198.18.0.9:1000"),
        (true, "[64, 0, 0, 1, 120, 0, 0, 0] to 198.18.0.9:1000"),
    ] {
        line.is_stream = is_stream;
        let mut juliet = house.client_over(JULIET, line.clone());
        house.ask(&mut juliet, Method::Allocate, UDP);
        let id = house.core.by_line[&line];
        assert_eq!(show(house.packet(&line, &data)), "nothing");
        bind(&mut house, &mut juliet, PLACE);
        assert_eq!(show(house.packet(&line, &data)), "abc to 8.8.8.8:7");
        assert_eq!(show(house.packet(&line, &data[..6])), "nothing");
        assert_eq!(show(house.packet(&line, &[0x40, 1, 0, 0])), "nothing");
        assert_eq!(show(house.hear_peer(id, PLACE, b"x")), expected);
        // The channel is of one port, the permission of all of the address.
        let said = show(house.hear_peer(id, "8.8.8.8:8", b"x"));
        assert_eq!(
            said,
            "Indication Data, from 8.8.8.8:8, data x to 198.18.0.9:1000"
        );
        house.now += PERMISSION_MS;
        assert_eq!(show(house.packet(&line, &data)), "abc to 8.8.8.8:7");
        assert_eq!(show(house.hear_peer(id, PLACE, b"x")), "nothing");
        house.now += CHANNEL_MS - PERMISSION_MS;
        assert_eq!(show(house.packet(&line, &data)), "nothing");
        house.core.gone(&line);
        assert_eq!(house.paper.open_sockets(), []);
    }
}

#[test]
fn two_behind_the_same_relay() {
    for external in [None, Some("9.9.9.9")] {
        let mut house = House::new(HOUSE);
        let external: Option<std::net::IpAddr> = external.map(|it| it.parse().unwrap());
        house.paper.external.borrow_mut().extend(external);
        let (mut juliet, one) = house.relayed(JULIET, "198.18.0.9:1000");
        let (mut romeo, two) = house.relayed(ROMEO, "198.18.0.9:1001");
        let (here, there) = (relayed_at(&house, one), relayed_at(&house, two));
        permit(&mut house, &mut juliet, &there);
        let hello = send(there.as_bytes(), b"hello");
        assert_eq!(
            show(house.packet(&juliet.line, &hello)),
            "nothing",
            "no permission there"
        );
        bind(&mut house, &mut romeo, &here);
        let said = show(house.packet(&juliet.line, &hello));
        assert_eq!(
            said,
            "[64, 0, 0, 5, 104, 101, 108, 108, 111] to 198.18.0.9:1001"
        );
        let said = show(house.packet(&romeo.line, &[0x40, 0, 0, 1, b'x']));
        assert_eq!(
            said,
            format!("Indication Data, from {there}, data x to 198.18.0.9:1000")
        );
        // It never comes from outside, and never goes to what is no relayed address.
        assert_eq!(show(house.hear_peer(one, &there, b"x")), "nothing");
        let ssh = here.split_once(':').unwrap().0.to_owned() + ":22";
        assert_eq!(
            show(house.packet(&juliet.line, &send(ssh.as_bytes(), b"x"))),
            "nothing"
        );
        house.core.gone(&romeo.line);
        assert_eq!(show(house.packet(&juliet.line, &hello)), "nothing");
    }
}

#[test]
fn no_more_than_may_pass() {
    let mut house = House::new(HOUSE);
    let (mut juliet, id) = house.relayed(JULIET, "198.18.0.9:1000");
    permit(&mut house, &mut juliet, PLACE);
    let packet = send(PLACE.as_bytes(), &[0; 1_000]);
    let pass = |house: &mut House| {
        let passed = (0..2_000).filter(|_| {
            let to = house.packet(&juliet.line, &packet);
            let back = house.hear_peer(id, PLACE, &[0; 1_000]);
            usize::from(matches!(to, Said::ToPeer(..)))
                + usize::from(matches!(back, Said::ToClient(..)))
                > 0
        });
        passed.count() as u64
    };
    // Two packets a round, until the bucket is empty.
    assert_eq!(pass(&mut house), ALLOCATION_BURST / 2_000);
    assert!(house.core.counts.over_rate > 3_000);
    house.now += 100;
    assert_eq!(pass(&mut house), ALLOCATION_RATE / 10 / 2_000);
}

#[test]
fn a_change_of_the_network_ends_what_is_denied_now() {
    let mut house = House::new(&format!("{HOUSE}allow_peers = ['10.0.0.0/8']\n"));
    let (mut juliet, id) = house.relayed(JULIET, "198.18.0.9:1000");
    for peer in ["10.0.0.7:7", PLACE, "8.8.4.4:7"] {
        permit(&mut house, &mut juliet, peer);
    }
    bind(&mut house, &mut juliet, "10.0.0.7:7");
    let data = [0x40, 0, 0, 1, b'a'];
    assert_eq!(show(house.packet(&juliet.line, &data)), "a to 10.0.0.7:7");
    let network = household::config::Network {
        address: "8.8.4.0".parse().unwrap(),
        prefix: 24,
    };
    house
        .core
        .follow(&house.paper, &Config::default(), vec![network]);
    assert_eq!(show(house.packet(&juliet.line, &data)), "nothing");
    for (peer, expected) in [("10.0.0.7:7", false), (PLACE, true), ("8.8.4.4:7", false)] {
        assert_eq!(
            show(house.hear_peer(id, peer, b"x")) != "nothing",
            expected,
            "{peer}"
        );
    }
}

#[test]
fn what_is_no_message_is_counted() {
    let mut house = House::new(HOUSE);
    let line = house.client("", "198.18.0.9:1000").line;
    for bytes in [
        &b""[..],
        b"\0",
        b"\x40\0\0",
        b"\x80\0\0\0",
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 40],
    ] {
        assert_eq!(show(house.packet(&line, bytes)), "nothing", "{bytes:?}");
    }
    assert_eq!(house.core.counts.malformed, 6);
}
