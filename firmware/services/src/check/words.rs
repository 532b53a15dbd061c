//! What the self-check found, as sentences that a parent understands, with the next step. Owns nothing.

use super::{Door, Facts, Way, public};
use crate::router::Port;
use household::{Finding, Level};
use std::net::{IpAddr, SocketAddr};

pub(super) fn stays_here(part: &str) -> Finding {
    let text = "the domain is \"localhost\", so this house stays on this machine";
    finding(part, Level::Ok, text, "")
}

/// About every port, and about the house as a whole.
pub(super) fn doors(doors: &[Door], facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_there = |name: &str| facts.bound.get(name).is_some_and(|it| !it.is_empty());
    for (name, what) in [("https", "pages and most apps"), ("stun", "calls")] {
        if !is_there(name) {
            findings.push(finding(
                "ports",
                Level::Warn,
                format!("listen.{name} is switched off: without it there are no {what}"),
                "give it an address under [listen]",
            ));
        }
    }
    // By the way around, either every port is reached or none: it is the router that turns back.
    let turns_back = doors.iter().any(|door| door.way == Way::Ours);
    findings.extend(doors.iter().map(|door| one(door, facts, turns_back)));
    let is_tried = doors.iter().any(|door| matches!(door.way, Way::Closed));
    if is_tried && !turns_back && !facts.router.open.is_empty() {
        findings.push(no_way_around(facts));
    }
    if facts.outside.ipv4.is_none() {
        let text = "no public IPv4 address is known, so nobody can come in over IPv4";
        findings.push(finding(
            "ports",
            Level::Warn,
            text,
            "see `hearth check` about the address",
        ));
    }
    findings.push(over_v6(doors, facts));
    findings
}

fn one(door: &Door, facts: &Facts, turns_back: bool) -> Finding {
    let port = &door.port;
    let name = format!("{port} ({})", port.name);
    if !door.is_open_here {
        let text = format!("{name}: does not answer on this machine itself");
        return finding(
            "ports",
            Level::Fail,
            text,
            "start the server again, and look at its log",
        );
    }
    match door.way {
        Way::Ours => {
            let text = format!("{name}: answers here and at our address outside");
            finding("ports", Level::Ok, text, "")
        }
        Way::Own => {
            let text = format!("{name}: answers, and this machine has its public address itself");
            let next =
                "if others cannot reach it, look at a firewall of the provider or the machine";
            finding("ports", Level::Ok, text, next)
        }
        Way::Foreign => finding(
            "ports",
            bad(port),
            format!(
                "{name}: at our address outside somebody else answers, perhaps the router itself"
            ),
            "switch off the router's own page for the outside, and forward the port to this machine",
        ),
        Way::Unknown => finding("ports", Level::Ok, format!("{name}: answers here"), ""),
        Way::Closed => closed(door, facts, turns_back),
    }
}

/// Nobody opens by the way around: the router may be closed, or may not let anybody out and back in.
fn closed(door: &Door, facts: &Facts, turns_back: bool) -> Finding {
    let port = &door.port;
    let here = format!("{port} ({}): answers here", port.name);
    if facts.router.open.contains(port) {
        let text = format!("{here}, and the router says that it lets the world in");
        return finding("ports", Level::Ok, text, "");
    }
    if turns_back {
        let text = format!("{here}, and the router does not let the world in");
        return finding("ports", bad(port), text, &forward(port, facts));
    }
    let text =
        format!("{here}; from inside it cannot be seen whether the router lets the world in");
    let next = format!(
        "try it with a phone on mobile data; if it fails, {}",
        forward(port, facts)
    );
    finding("ports", Level::Warn, text, &next)
}

/// How bad it is that nobody gets in there.
fn bad(port: &Port) -> Level {
    if port.is_needed {
        Level::Fail
    } else {
        Level::Warn
    }
}

fn forward(port: &Port, facts: &Facts) -> String {
    let own = facts.links.towards_router();
    let own = own.map_or_else(|| "this machine".to_owned(), |own| own.to_string());
    format!(
        "forward {port} in the router to {own} port {}, or switch on [router] and UPnP in it",
        port.inside
    )
}

/// The router lets the world in, and does not let the house out and back in.
fn no_way_around(facts: &Facts) -> Finding {
    let own = facts.links.towards_router();
    let own = own.map_or_else(|| "this machine".to_owned(), |own| own.to_string());
    finding(
        "ports",
        Level::Warn,
        "the router has no way back in from inside (no hairpin NAT): apps on the home network do not find \
         the house at its address outside",
        &format!(
            "give the router's own name server the name {} and those below it with the address {own}, or \
             use IPv6, which needs no way around",
            facts.domain
        ),
    )
}

fn over_v6(doors: &[Door], facts: &Facts) -> Finding {
    let Some(address) = facts.outside.ipv6 else {
        let text = "no public IPv6 address is known, so nobody comes in over IPv6";
        return finding("ports", Level::Ok, text, "");
    };
    let open = &facts.router.open_v6;
    let is_let_in = doors
        .iter()
        .all(|door| !door.port.is_needed || open.contains(&door.port));
    if is_let_in && !doors.is_empty() {
        let text = format!("over IPv6 ({address}) the router says that it lets the world in");
        return finding("ports", Level::Ok, text, "");
    }
    finding(
        "ports",
        Level::Ok,
        format!(
            "over IPv6 ({address}) nothing has to be forwarded; whether the router's firewall lets the \
                 world in cannot be seen from inside"
        ),
        "try it with a phone on mobile data; if it fails, allow the ports for this machine in the router's \
         firewall",
    )
}

/// About the relay of calls.
pub(super) fn turn(answers: &[(SocketAddr, bool)], facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if answers.is_empty() {
        let text =
            "listen.stun is switched off: calls work where both can reach each other directly";
        findings.push(finding(
            "turn",
            Level::Warn,
            text,
            "give it an address under [listen]",
        ));
        return findings;
    }
    for (address, is_answered) in answers {
        findings.push(if *is_answered {
            finding(
                "turn",
                Level::Ok,
                format!("the relay answers at {address}"),
                "",
            )
        } else {
            let text = format!("the relay does not answer at {address}");
            finding(
                "turn",
                Level::Fail,
                text,
                "start the server again, and look at its log",
            )
        });
    }
    if facts.domain == "localhost" {
        findings.push(stays_here("turn"));
        return findings;
    }
    let public: Vec<String> = public(facts.outside)
        .iter()
        .map(IpAddr::to_string)
        .collect();
    findings.push(if public.is_empty() {
        finding(
            "turn",
            Level::Warn,
            "no public address is known, so calls are relayed inside the home network alone",
            "set [address] so that the address is found, or set it under [public]",
        )
    } else {
        let text = format!("calls are relayed at {}", public.join(" and "));
        finding("turn", Level::Ok, text, "")
    });
    findings
}

fn finding(part: &str, level: Level, text: impl Into<String>, next: &str) -> Finding {
    Finding {
        part: part.to_owned(),
        level,
        text: text.into(),
        next: next.to_owned(),
    }
}
