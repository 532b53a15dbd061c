//! What the router does for us, as sentences that a parent understands, with the next step. Owns nothing.

use super::{
    line::Line,
    port::{Port, Refusal, Wanted},
};
use crate::links::Links;
use household::{Finding, Level};

pub(super) fn findings(v4: &Line, v6: &Line, wanted: &Wanted, links: &Links) -> Vec<Finding> {
    let mut findings = Vec::new();
    if wanted.ports.is_empty() {
        return findings;
    }
    if links.router(false).is_none() {
        let text = if links.public_v4(None).is_some() {
            "this machine is on the internet itself: there is no router to ask"
        } else {
            "there is no router at home to ask"
        };
        return vec![finding(Level::Ok, text, "")];
    }
    if !v4.has_tried {
        return vec![finding(Level::Ok, "the router is being asked", "")];
    }
    match v4.protocol() {
        Some(protocol) if v4.refused.is_empty() => {
            let text = format!(
                "the router opens {} by itself ({protocol})",
                list(v4.open.iter().map(|held| &held.port))
            );
            findings.push(finding(Level::Ok, text, ""));
        }
        _ => findings.extend(refusals(v4, wanted, links)),
    }
    if v4.open.iter().any(|held| held.lease.seconds == 0) {
        findings.push(finding(
            Level::Warn,
            "the router opens ports for ever only: they stay open when this machine is gone",
            "when you give Hearth up, delete the rules named \"Hearth\" in the router",
        ));
    }
    if v6.has_tried && v6.protocol().is_some() {
        let text = format!(
            "the router lets IPv6 in at {}",
            list(v6.open.iter().map(|held| &held.port))
        );
        findings.push(finding(Level::Ok, text, ""));
    } else if v6.has_tried {
        findings.push(finding(
            Level::Ok,
            "whether the router lets IPv6 in is not known: it is not one that can be asked",
            "where its firewall has a page for IPv6, allow the same ports there for this machine",
        ));
    }
    findings
}

/// Why ports stay closed.
fn refusals(line: &Line, wanted: &Wanted, links: &Links) -> Vec<Finding> {
    let own = links
        .towards_router()
        .map_or_else(|| "this machine".to_owned(), |own| own.to_string());
    let by_hand = |ports: &[&Port]| {
        let rules: Vec<String> = ports
            .iter()
            .map(|port| format!("{port} to {own} port {}", port.inside))
            .collect();
        format!("forward by hand in the router: {}", rules.join(", "))
    };
    let is_silent = |why: &Refusal| *why == Refusal::Silent;
    if line.open.is_empty() && line.refused.iter().all(|(_, why)| is_silent(why)) {
        let needed: Vec<&Port> = wanted.ports.iter().filter(|port| port.is_needed).collect();
        return vec![finding(
            Level::Warn,
            "the router does not open ports by itself: PCP, NAT-PMP and UPnP are off, or it has none",
            &format!(
                "switch UPnP or NAT-PMP on in the router, or {}",
                by_hand(&needed)
            ),
        )];
    }
    let refused = line.refused.iter();
    refused
        .map(|(port, why)| {
            let (why, next) = reason(port, why, &own, &by_hand(&[port]));
            let level = if port.is_needed {
                Level::Fail
            } else {
                Level::Warn
            };
            let text = format!("the router does not open {port} ({}): {why}", port.name);
            finding(level, &text, &next)
        })
        .collect()
}

/// Why a port stays closed, and what to do. `own` is the address that the router knows us by.
fn reason(port: &Port, why: &Refusal, own: &str, by_hand: &str) -> (String, String) {
    match why {
        Refusal::Taken(Some(who)) if who == own => (
            "a rule of its own has the port already".to_owned(),
            format!(
                "look whether that rule leads to port {} of this machine",
                port.inside
            ),
        ),
        Refusal::Taken(who) => (
            match who {
                Some(who) => format!("{who} has the port already"),
                None => "another device or the router itself has the port already".to_owned(),
            },
            "delete that rule in the router, or give Hearth another port under [listen]".to_owned(),
        ),
        Refusal::Forbidden => (
            "it may not open ports for this machine".to_owned(),
            format!("allow it in the router's settings, or {by_hand}"),
        ),
        Refusal::Full => (
            "it has no room for more rules".to_owned(),
            "delete rules that nobody needs, or start the router again".to_owned(),
        ),
        Refusal::Silent => (
            "it does not answer".to_owned(),
            "it is asked again by itself".to_owned(),
        ),
        Refusal::Other(number) => (
            format!("it answers with error {number}"),
            by_hand.to_owned(),
        ),
    }
}

fn list<'a>(ports: impl Iterator<Item = &'a Port>) -> String {
    let ports: Vec<String> = ports.map(ToString::to_string).collect();
    ports.join(", ")
}

fn finding(level: Level, text: impl Into<String>, next: &str) -> Finding {
    Finding {
        part: "router".to_owned(),
        level,
        text: text.into(),
        next: next.to_owned(),
    }
}
