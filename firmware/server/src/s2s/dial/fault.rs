//! What went wrong while dialling, and the one sentence about it. Owns the weightiest fault of one dialling.

use super::Unreachable;
use crate::s2s::resolve::NoAnswer;
use household::denied::Kind;
use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
};

/// One thing that went wrong.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// The host has no address.
    NoAddress(String),
    /// The host has an address that is never dialled.
    Denied(String, IpAddr, Kind),
    /// The name servers did not tell about a name, and why.
    NoAnswer(String, String),
    /// The answers about a name are not its owner's.
    Forged(String),
    /// The host did not let us in.
    Connection(String, SocketAddr, ErrorKind),
    /// Not everything was tried.
    NoTime,
    /// Too many others are being dialled.
    NoTurn,
}

/// The weightiest fault until now: the one that tells most about what to do.
pub(super) struct Faults {
    domain: String,
    worst: Option<Fault>,
}

impl Fault {
    pub(super) fn no_answer(name: &str, answer: NoAnswer) -> Fault {
        match answer {
            NoAnswer::Nothing => Fault::NoAddress(name.to_owned()),
            NoAnswer::Failed(why) => Fault::NoAnswer(name.to_owned(), why),
            NoAnswer::Forged => Fault::Forged(name.to_owned()),
        }
    }

    /// Later faults of the same weight replace earlier ones: addresses are tried to the end.
    fn weight(&self) -> u8 {
        match self {
            Fault::NoAddress(_) => 0,
            Fault::Denied(..) => 1,
            Fault::NoAnswer(..) => 2,
            Fault::Forged(_) => 3,
            Fault::NoTime | Fault::NoTurn => 4,
            // A house without IPv6 says this of every such address.
            Fault::Connection(_, _, ErrorKind::NetworkUnreachable) => 5,
            Fault::Connection(..) => 6,
        }
    }
}

impl Faults {
    pub(super) fn new(domain: &str) -> Faults {
        Faults {
            domain: domain.to_owned(),
            worst: None,
        }
    }

    pub(super) fn with(mut self, fault: Fault) -> Faults {
        self.add(fault);
        self
    }

    pub(super) fn add(&mut self, fault: Fault) {
        let weight = self.worst.as_ref().map_or(0, Fault::weight);
        if fault.weight() >= weight {
            self.worst = Some(fault);
        }
    }

    pub(super) fn why(self) -> Unreachable {
        use Unreachable::{NotFound, Timeout};
        let domain = self.domain;
        match self.worst {
            Some(Fault::NoAddress(host)) => NotFound(format!("{domain}: {host} has no address")),
            Some(Fault::Denied(host, address, kind)) => NotFound(format!(
                "{domain}: {host} has {address}, {kind}, which is never dialled"
            )),
            Some(Fault::NoAnswer(name, why)) => {
                Timeout(format!("{domain}: {name} could not be looked up: {why}"))
            }
            Some(Fault::Forged(name)) => Timeout(format!(
                "{domain}: what the name servers say about {name} contradicts its DNSSEC signatures"
            )),
            Some(Fault::Connection(host, address, kind)) => Timeout(format!(
                "{domain}: {host}, port {} ({}), {}",
                address.port(),
                address.ip(),
                what(kind)
            )),
            Some(Fault::NoTime) => Timeout(format!("{domain}: no server answered in time")),
            Some(Fault::NoTurn) => Timeout(format!(
                "{domain}: too many other servers are being called at the moment"
            )),
            None => Timeout(format!("{domain}: no other server is left to be tried")),
        }
    }
}

fn what(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ConnectionRefused => "refused the connection",
        ErrorKind::TimedOut => "did not answer",
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => {
            "cannot be reached from this network"
        }
        ErrorKind::ConnectionReset => "closed the connection at once",
        _ => "could not be connected to",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_is_about_the_weightiest() {
        let host = || "xmpp.far.example".to_owned();
        let connection =
            |address: &str, kind| Fault::Connection(host(), address.parse().unwrap(), kind);
        let no_address = || Fault::NoAddress(host());
        let denied = || Fault::Denied(host(), [10, 0, 0, 1].into(), Kind::Private);
        let silent = || Fault::NoAnswer(host(), "no name server answers".to_owned());
        let no_ipv6 = || connection("[2a01::1]:5269", ErrorKind::NetworkUnreachable);
        let refused = || connection("8.8.8.8:5269", ErrorKind::ConnectionRefused);
        let dead = || connection("9.9.9.9:5270", ErrorKind::TimedOut);
        for (faults, expected) in [
            (vec![], "T far.example: no other server is left to be tried"),
            (
                vec![no_address()],
                "N far.example: xmpp.far.example has no address",
            ),
            (
                vec![denied(), no_address()],
                "N far.example: xmpp.far.example has 10.0.0.1, a private address, which is never dialled",
            ),
            (
                vec![silent(), denied()],
                "T far.example: xmpp.far.example could not be looked up: no name server answers",
            ),
            (
                vec![Fault::Forged(host()), silent()],
                "T far.example: what the name servers say about xmpp.far.example contradicts its DNSSEC \
                 signatures",
            ),
            (
                vec![silent(), Fault::NoTime],
                "T far.example: no server answered in time",
            ),
            (
                vec![no_ipv6(), no_address()],
                "T far.example: xmpp.far.example, port 5269 (2a01::1), cannot be reached from this network",
            ),
            (
                vec![refused(), no_ipv6()],
                "T far.example: xmpp.far.example, port 5269 (8.8.8.8), refused the connection",
            ),
            (
                vec![silent(), Fault::NoTurn],
                "T far.example: too many other servers are being called at the moment",
            ),
            (
                vec![refused(), dead(), Fault::NoTime],
                "T far.example: xmpp.far.example, port 5270 (9.9.9.9), did not answer",
            ),
        ] {
            let faults = faults
                .into_iter()
                .fold(Faults::new("far.example"), Faults::with);
            let why = match faults.why() {
                Unreachable::NotFound(why) => format!("N {why}"),
                Unreachable::Timeout(why) => format!("T {why}"),
            };
            assert_eq!(why, expected);
        }
    }
}
