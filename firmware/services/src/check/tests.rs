//! Doors as they may be found, and what is said of them.

use super::*;
use crate::links::{LinkAddress, WayOut};

fn port(name: &'static str, number: u16, is_needed: bool) -> Port {
    Port {
        name,
        protocol: if name == "stun" {
            Protocol::Udp
        } else {
            Protocol::Tcp
        },
        inside: number,
        outside: number,
        is_needed,
    }
}

fn facts(open: &[&Port]) -> Facts {
    let links = Links {
        addresses: vec![LinkAddress {
            ip: "192.168.1.7".parse().unwrap(),
            interface: 2,
            is_temporary: false,
            is_passing: false,
        }],
        ways_out: vec![WayOut {
            is_v6: false,
            gateway: "192.168.1.1".parse().ok(),
            interface: 2,
            metric: 0,
        }],
    };
    let bound = |port| vec![SocketAddr::from(([0, 0, 0, 0], port))];
    Facts {
        domain: "home.example".to_owned(),
        bound: [("https", 443), ("stun", 3_478)]
            .map(|(name, port)| (name.to_owned(), bound(port)))
            .into(),
        ports: Vec::new(),
        outside: Outside {
            ipv4: "9.9.9.9".parse().ok(),
            ipv6: None,
        },
        router: router::Report {
            open: open.iter().map(|port| (*port).clone()).collect(),
            ..router::Report::default()
        },
        links: Arc::new(links),
    }
}

/// The findings about these ways of the two ports that are needed, as `level: text; next`.
fn said(ways: [Way; 2], facts: &Facts) -> Vec<String> {
    let doors = [port("https", 443, true), port("stun", 3_478, true)];
    let doors: Vec<Door> = doors
        .into_iter()
        .zip(ways)
        .map(|(port, way)| Door {
            port,
            is_open_here: true,
            way,
        })
        .collect();
    let findings = words::doors(&doors, facts);
    let shown = |it: &Finding| format!("{} {}; {}", it.level.word(), it.text, it.next);
    findings.iter().map(shown).collect()
}

#[test]
fn every_way_is_a_sentence_with_a_next_step() {
    let (https, stun) = (port("https", 443, true), port("stun", 3_478, true));
    let none = facts(&[]);
    let all = facts(&[&https, &stun]);
    let good = said([Way::Ours, Way::Ours], &all);
    assert!(good.iter().all(|it| it.starts_with("ok ")), "{good:?}");
    // The router turns back, so that what is closed is closed.
    let half = said([Way::Ours, Way::Closed], &none);
    assert_eq!(
        half[1],
        "fail 3478/udp (stun): answers here, and the router does not let the world in; forward 3478/udp in \
         the router to 192.168.1.7 port 3478, or switch on [router] and UPnP in it"
    );
    // It does not turn back, and says that it lets the world in.
    let around = said([Way::Closed, Way::Closed], &all);
    assert!(around[0].starts_with("ok 443/tcp (https): answers here, and the router says"));
    assert!(
        around[2].starts_with("warn the router has no way back in"),
        "{around:?}"
    );
    assert!(around[2].contains("home.example and those below it with the address 192.168.1.7"));
    // It says nothing: from inside nobody can tell.
    let dark = said([Way::Closed, Way::Closed], &none);
    assert!(
        dark[0].starts_with("warn 443/tcp (https): answers here; from inside it cannot be seen")
    );
    assert!(!dark.iter().any(|it| it.contains("hairpin")), "{dark:?}");
    let foreign = said([Way::Foreign, Way::Ours], &none);
    assert!(foreign[0].starts_with("fail 443/tcp (https): at our address outside somebody else"));
    let mut unknown = none.clone();
    unknown.outside = Outside::default();
    let unknown = said([Way::Unknown, Way::Unknown], &unknown);
    assert!(
        unknown
            .iter()
            .any(|it| it.starts_with("warn no public IPv4 address"))
    );
}

#[test]
fn ipv6_needs_no_forwarding_and_perhaps_a_hole() {
    let mut facts = facts(&[]);
    facts.outside.ipv6 = "2a02::7".parse().ok();
    let said_of = |facts: &Facts| said([Way::Ours, Way::Ours], facts).pop().unwrap();
    assert!(said_of(&facts).contains("cannot be seen from inside; try it with a phone"));
    facts.router.open_v6 = vec![port("https", 443, true), port("stun", 3_478, true)];
    assert!(said_of(&facts).starts_with("ok over IPv6 (2a02::7) the router says"));
}

#[test]
fn a_relay_that_others_can_reach() {
    let mut facts = facts(&[]);
    let address = SocketAddr::from(([0, 0, 0, 0], 3_478));
    let said = |facts: &Facts, answers: &[(SocketAddr, bool)]| {
        let findings = words::turn(answers, facts);
        let shown = findings
            .iter()
            .map(|it| format!("{} {}", it.level.word(), it.text));
        shown.collect::<Vec<_>>().join(" | ")
    };
    assert_eq!(
        said(&facts, &[(address, true)]),
        "ok the relay answers at 0.0.0.0:3478 | ok calls are relayed at 9.9.9.9"
    );
    assert!(said(&facts, &[(address, false)]).starts_with("fail the relay does not answer"));
    assert!(said(&facts, &[]).starts_with("warn listen.stun is switched off"));
    facts.outside.ipv4 = "192.168.1.7".parse().ok();
    assert!(said(&facts, &[(address, true)]).contains("warn no public address is known"));
}
