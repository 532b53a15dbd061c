//! What was found out about our address, as sentences that a parent understands, with the next step. Owns
//! nothing.

use super::judge::{Class, Judge, Trouble, Verdict, Why};
use household::{Finding, Level};
use std::net::IpAddr;

/// IPv4 or IPv6.
pub(super) fn family(is_v6: bool) -> &'static str {
    if is_v6 { "IPv6" } else { "IPv4" }
}

/// About an address that the configuration says.
pub(super) fn given(is_v6: bool, address: IpAddr) -> Finding {
    let text = format!(
        "{}: {address}, as [public] in the configuration says",
        family(is_v6)
    );
    finding(Level::Ok, text, "")
}

/// About one that was looked for.
pub(super) fn looked_for(is_v6: bool, judge: &Judge) -> Finding {
    let name = family(is_v6);
    match &judge.last {
        None => finding(Level::Ok, format!("{name}: not looked for yet"), ""),
        Some(Verdict::Found {
            address,
            why,
            behind,
        }) => found(name, *address, why, *behind),
        Some(Verdict::Silent) => silent(name, judge),
        Some(Verdict::NotFound(trouble)) => not_found(name, trouble, judge.address()),
    }
}

fn found(name: &str, address: IpAddr, why: &Why, behind: Option<IpAddr>) -> Finding {
    let says = match why {
        Why::Interface => "this machine has it itself".to_owned(),
        Why::Agreed(classes) => format!("{} say so", list(classes)),
        Why::Alone(class) => format!("{class} alone says so"),
    };
    let text = format!("{name}: {address}; {says}");
    match (behind, why) {
        (Some(inner), _) => finding(
            Level::Warn,
            format!(
                "{text}; but your router has {inner}, so there is a second router before it (double NAT)"
            ),
            "set the first router, often the provider's box, to \"bridge\" or make yours its \"exposed \
             host\"; else forward every port in both",
        ),
        (None, Why::Alone(Class::Router)) => finding(Level::Ok, text, ""),
        (None, Why::Alone(_)) => finding(
            Level::Warn,
            format!("{text}, and nobody else was asked"),
            "add another kind of source to address.sources, so that one mistaken answer moves nothing",
        ),
        (None, _) => finding(Level::Ok, text, ""),
    }
}

fn silent(name: &str, judge: &Judge) -> Finding {
    let next = "look whether the router is online; it is asked again by itself";
    match judge.address() {
        Some(address) => finding(
            Level::Warn,
            format!("{name}: nobody outside answers; {address} was right before and stays"),
            next,
        ),
        None => finding(
            Level::Warn,
            format!("{name}: nobody outside answers, so the address is not known"),
            next,
        ),
    }
}

fn not_found(name: &str, trouble: &Trouble, kept: Option<IpAddr>) -> Finding {
    let (text, next) = match trouble {
        Trouble::NoWay if name == "IPv6" => (
            "this network has none".to_owned(),
            "switch IPv6 on in the router, if the provider has it: it needs no forwarded ports",
        ),
        Trouble::NoWay => (
            "this machine has no public address of its own, and there is nobody to ask".to_owned(),
            "add \"router\", \"stun\" and \"echo\" to address.sources, or set the address under [public]",
        ),
        Trouble::SharedByProvider(address) => (
            format!(
                "your provider shares one address among many customers (CGNAT; the router has {address}), \
                 so nobody can call this house over {name}"
            ),
            "ask the provider for an address of your own, or rely on IPv6; chat with the house works over \
             either",
        ),
        Trouble::OneOnly(class, address) => (
            format!(
                "only {class} answers ({address}), and one kind of source alone is not believed"
            ),
            "look at address.stun and address.echo: two kinds must answer; it is asked again by itself",
        ),
        Trouble::Disagree(said) => (
            format!(
                "the sources contradict each other ({}): this machine goes out through a VPN or a second \
                 line, or the address is just changing",
                said.iter()
                    .map(|(class, address)| format!("{class}: {address}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            "switch the VPN off for this machine, or set the right address under [public]",
        ),
        Trouble::NotPublic(address, kind) => (
            format!("{address} is {kind}, which nobody outside can call"),
            "set the first router, often the provider's box, to \"bridge\", or look at address.sources",
        ),
    };
    let kept = kept.map_or_else(String::new, |address| {
        format!("; {address}, known before, stays for some minutes")
    });
    // A house without IPv6 is as it is.
    let level = if *trouble == Trouble::NoWay && name == "IPv6" {
        Level::Ok
    } else {
        Level::Warn
    };
    finding(level, format!("{name}: {text}{kept}"), next)
}

fn list(classes: &[Class]) -> String {
    let names: Vec<String> = classes.iter().map(ToString::to_string).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

pub(super) fn finding(level: Level, text: impl Into<String>, next: &str) -> Finding {
    Finding {
        part: "address".to_owned(),
        level,
        text: text.into(),
        next: next.to_owned(),
    }
}
