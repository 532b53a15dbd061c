//! The table, for several houses.

use super::*;
use expect_test::{Expect, expect};
use std::path::Path;

fn config(text: &str) -> Config {
    Config::from_texts([(Path::new("hearth.toml"), text)]).unwrap()
}

fn check(text: &str, outside: Outside, issuers: &Seen<Vec<Issuer>>, expected: Expect) {
    let config = config(text);
    let records = desired(&config, Ports::of(&config), outside, issuers);
    let spared = records
        .spared
        .iter()
        .map(|(name, kind)| format!("{name} {kind} stays"));
    let lines = records.records.iter().map(ToString::to_string);
    let lines: Vec<String> = lines.chain(spared).collect();
    expected.assert_eq(&(lines.join("\n") + "\n"));
}

const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);

fn both() -> Outside {
    Outside {
        ipv4: Seen::At(V4),
        ipv6: Seen::At(V6),
    }
}

#[test]
fn a_whole_house_behind_port_443() {
    let issuers = Seen::At(vec![Issuer {
        domain: "letsencrypt.org".to_owned(),
        account: "https://acme.example/acct/7".to_owned(),
    }]);
    check(
        "domain = 'home.example'\n[public]\nhttps_port = 443",
        both(),
        &issuers,
        expect![[r#"
            home.example 60 AAAA 2001:db8::7
            home.example 60 A 192.0.2.7
            groupchat.home.example 1800 CNAME home.example.
            upload.home.example 1800 CNAME home.example.
            proxy.home.example 1800 CNAME home.example.
            pubsub.home.example 1800 CNAME home.example.
            _xmpps-client._tcp.home.example 1800 SRV 5 1 443 home.example.
            _xmpps-client._tcp.home.example 1800 SRV 10 1 5223 home.example.
            _xmpp-client._tcp.home.example 1800 SRV 20 1 5222 home.example.
            _xmpps-server._tcp.home.example 1800 SRV 5 1 5270 home.example.
            _xmpp-server._tcp.home.example 1800 SRV 10 1 5269 home.example.
            _xmpps-server._tcp.groupchat.home.example 1800 SRV 5 1 5270 home.example.
            _xmpp-server._tcp.groupchat.home.example 1800 SRV 10 1 5269 home.example.
            _stun._udp.home.example 1800 SRV 0 0 3478 home.example.
            _turn._udp.home.example 1800 SRV 0 0 3478 home.example.
            _turns._tcp.home.example 1800 SRV 0 0 443 home.example.
            home.example 1800 CAA 0 issue "letsencrypt.org; accounturi=https://acme.example/acct/7"
        "#]],
    );
}

#[test]
fn what_is_off_for_good_is_said_where_others_would_look() {
    check(
        "domain = 'home.example'\n[s2s]\nenabled = false\n[names]\nrooms = 'talk'\n[listen]\nc2s = []\n\
         stun = []\nturn_tls = []",
        Outside {
            ipv4: Seen::Nowhere,
            ipv6: Seen::Unknown,
        },
        &Seen::Unknown,
        expect![[r"
            talk.home.example 1800 CNAME home.example.
            upload.home.example 1800 CNAME home.example.
            proxy.home.example 1800 CNAME home.example.
            pubsub.home.example 1800 CNAME home.example.
            _xmpps-client._tcp.home.example 1800 SRV 5 1 8443 home.example.
            _xmpps-client._tcp.home.example 1800 SRV 10 1 5223 home.example.
            _xmpp-client._tcp.home.example 1800 SRV 0 0 0 .
            _xmpps-server._tcp.home.example 1800 SRV 0 0 0 .
            _xmpp-server._tcp.home.example 1800 SRV 0 0 0 .
            _xmpps-server._tcp.talk.home.example 1800 SRV 0 0 0 .
            _xmpp-server._tcp.talk.home.example 1800 SRV 0 0 0 .
            home.example AAAA stays
            home.example CAA stays
        "]],
    );
}

#[test]
fn explicit_addresses_win() {
    let config = config("domain = 'home.example'\n[public]\nipv4 = '198.51.100.9'");
    let published = both().as_published(&config);
    assert_eq!(published.ipv4, Seen::At([198, 51, 100, 9].into()));
    assert_eq!(published.ipv6, Seen::At(V6));
}

#[test]
fn ports() {
    for (text, expected) in [
        ("", (Some(8443), Some(5349), Some(5349))),
        (
            "[public]\nhttps_port = 443",
            (Some(443), Some(5349), Some(443)),
        ),
        (
            "[public]\nhttps_port = 443\n[listen]\nhttps = []",
            (None, Some(5349), Some(5349)),
        ),
        (
            "[listen]\nhttps = ['[::]:0']",
            (None, Some(5349), Some(5349)),
        ),
        ("[listen]\nturn_tls = []", (Some(8443), None, Some(8443))),
        (
            "[listen]\nturn_tls = []\nstun = []",
            (Some(8443), None, None),
        ),
    ] {
        let ports = Ports::of(&config(text));
        assert_eq!(
            (ports.https, ports.turn_tls, turns(ports)),
            expected,
            "{text}"
        );
    }
}
