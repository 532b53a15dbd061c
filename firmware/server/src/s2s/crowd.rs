//! The links that are open, all of them: how many there may be and who makes room, which ones have to go, and
//! how they are shown to people.

use super::{
    Federation, Known, LinkStatus,
    limits::{
        CROWDED_IDLE_MS, LINKS_MAX, LINKS_PER_DOMAIN_MAX, LINKS_PER_NETWORK_MAX,
        LINKS_PER_PARENT_MAX,
    },
};
use crate::{server::Server, throttle::network};
use std::{fmt, net::IpAddr, sync::Weak};
use tracing::info;
use xmpp::{Jid, datetime};

/// Which links count together.
type Counts<'a> = &'a dyn Fn(&Known) -> bool;

impl Federation {
    /// A link begins.
    pub(super) fn link_begins(&self, number: u64, address: IpAddr, now: u64) {
        let known = Known {
            status: None,
            address,
            used: now,
            renew: false,
            waker: None,
        };
        self.links().insert(number, known);
    }

    /// A stanza went over it.
    pub(super) fn link_is_used(&self, number: u64, now: u64) {
        if let Some(known) = self.links().get_mut(&number) {
            known.used = now;
        }
    }

    /// Makes room for one more stream of this domain (RFC 6120 §13.12): where there are too many from its
    /// network, of its parent domain or in all, the one that has said nothing for the longest time goes.
    /// `false` where none of them has been silent for long enough, or too many are of this very domain.
    pub(super) fn makes_room(&self, number: u64, domain: &Jid, now: u64) -> bool {
        let rates = self.rates();
        let same = rates.get(domain).map_or(0, Weak::strong_count);
        drop(rates);
        if same >= LINKS_PER_DOMAIN_MAX {
            return false;
        }
        let mut links = self.links();
        let Some(address) = links.get(&number).map(|own| own.address) else {
            return false;
        };
        let own = (network(address), parent(domain.as_str()));
        let is_near = |known: &Known| !address.is_loopback() && network(known.address) == own.0;
        let is_related = |known: &Known| {
            let mut theirs = known.status.iter().flat_map(|status| &status.theirs);
            theirs.any(|name| parent(name) == own.1)
        };
        let rules: [(Counts<'_>, usize); 3] = [
            (&is_near, LINKS_PER_NETWORK_MAX),
            (&is_related, LINKS_PER_PARENT_MAX),
            (&|_| true, LINKS_MAX),
        ];
        for (counts, max) in rules {
            let alike = links
                .iter()
                .filter(|(_, known)| known.status.is_some() && !known.renew && counts(known));
            if alike.clone().count() < max {
                continue;
            }
            let silent = alike.min_by_key(|(_, known)| known.used);
            let silent = silent.filter(|(_, known)| known.used + CROWDED_IDLE_MS <= now);
            let Some(silent) = silent.map(|(number, _)| *number) else {
                return false;
            };
            links.get_mut(&silent).into_iter().for_each(Known::go);
        }
        true
    }
}

impl Server {
    /// Our own address changed: every connection to and from other servers goes, and is made anew where
    /// something waits. Who could not be reached from the old one is tried again.
    pub fn renew_remotes(&self) {
        info!("connections to other servers are made anew");
        for link in self.federation().links().values_mut() {
            link.go();
        }
        let remotes: Vec<_> = self.federation().remotes().values().cloned().collect();
        for remote in remotes {
            // A component comes by itself.
            if !self.is_component(remote.theirs.as_str()) && remote.is_alive() {
                self.call_again(remote);
            }
        }
    }

    /// A name may have become a component's: nobody outside speaks for it from then on.
    pub(crate) fn part_from_components(&self) {
        for known in self.federation().links().values_mut() {
            let mut theirs = known.status.iter().flat_map(|status| &status.theirs);
            if theirs.any(|name| self.is_component(name)) {
                known.go();
            }
        }
    }

    /// How many connections to and from other servers are open.
    pub fn links_open(&self) -> usize {
        let links = self.federation().links();
        links
            .values()
            .filter(|known| known.status.is_some())
            .count()
    }

    /// Every connection to and from another server, and every server that nobody gets through to, for people.
    pub fn remotes(&self) -> Vec<LinkStatus> {
        let links = self.federation().links();
        let open = links.values().filter_map(|known| known.status.clone());
        let mut all: Vec<LinkStatus> = open.collect();
        drop(links);
        let remotes: Vec<_> = self.federation().remotes().values().cloned().collect();
        let unreached = remotes.iter().filter(|remote| !remote.is_carried());
        all.extend(unreached.filter_map(|remote| {
            let fault = remote.fault()?;
            Some(LinkStatus {
                ours: remote.ours.to_string(),
                theirs: vec![remote.theirs.to_string()],
                called_by_us: true,
                secured_by: "",
                both_ways: false,
                since: fault.0,
                fault: Some(fault),
            })
        }));
        all
    }
}

/// A line for people: who, how, since when, and what went wrong last.
impl fmt::Display for LinkStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let theirs = self.theirs.join(", ");
        let since = datetime::format(self.since);
        if let Some((_, why)) = &self.fault {
            return write!(f, "{theirs}: nobody gets through; at {since}: {why}");
        }
        let (ours, by) = (&self.ours, self.secured_by);
        let way = match (self.both_ways, self.called_by_us) {
            (true, _) => "with",
            (false, true) => "to",
            (false, false) => "from",
        };
        write!(
            f,
            "{theirs}: connected {way} {ours} since {since}, known by {by}"
        )
    }
}

/// The last two labels of a domain: what is below belongs to one owner, or to customers of one provider.
fn parent(domain: &str) -> &str {
    let dot = domain.rmatch_indices('.').nth(1);
    dot.map_or(domain, |(dot, _)| &domain[dot + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::fixture::World;

    fn status(theirs: &str) -> LinkStatus {
        LinkStatus {
            ours: "home.example".to_owned(),
            theirs: vec![theirs.to_owned()],
            called_by_us: false,
            secured_by: "certificate",
            both_ways: false,
            since: 0,
            fault: None,
        }
    }

    /// One more that wants in; whether it may.
    fn comes(
        federation: &Federation,
        number: u64,
        (domain, address): (&str, &str),
        now: u64,
    ) -> bool {
        federation.link_begins(number, address.parse().unwrap(), now);
        let jid = Jid::parse(domain).unwrap();
        let may = federation.makes_room(number, &jid, now);
        if may {
            let mut links = federation.links();
            links.get_mut(&number).unwrap().status = Some(status(domain));
        } else {
            federation.links().remove(&number);
        }
        may
    }

    fn going(federation: &Federation) -> Vec<u64> {
        let links = federation.links();
        let going = links.iter().filter(|(_, known)| known.renew);
        going.map(|(number, _)| *number).collect()
    }

    #[test]
    fn one_owner_of_many_names_makes_room_for_himself() {
        let world = World::new("domain = 'home.example'");
        let federation = world.server.federation();
        assert!(comes(
            federation,
            0,
            ("friend.example.org", "198.51.100.1"),
            0
        ));
        let max = LINKS_PER_NETWORK_MAX as u64;
        // One machine with all names of one certificate, and one owner with many machines.
        let name = |number: u64| format!("a{number}.evil{number}.example");
        for number in 1..=max {
            assert!(
                comes(federation, number, (&name(number), "203.0.113.9"), number),
                "{number}"
            );
        }
        assert!(!comes(
            federation,
            900,
            ("b.evil.example", "203.0.113.9"),
            max
        ));
        assert!(going(federation).is_empty());
        federation.link_is_used(1, max);
        let later = max + CROWDED_IDLE_MS;
        assert!(comes(
            federation,
            901,
            ("b.evil.example", "203.0.113.9"),
            later
        ));
        assert_eq!(
            going(federation),
            [2],
            "the friend does not go, nor who talks"
        );
    }

    #[test]
    fn names_below_one_parent_are_one_owner() {
        let world = World::new("domain = 'home.example'");
        let federation = world.server.federation();
        for number in 0..LINKS_PER_PARENT_MAX as u64 {
            let at = format!("2001:db8:{number:x}::1");
            assert!(comes(
                federation,
                number,
                (&format!("a{number}.evil.example"), &at),
                0
            ));
        }
        assert!(!comes(
            federation,
            900,
            ("b.evil.example", "2001:db8:ffff::1"),
            1
        ));
        assert!(comes(
            federation,
            901,
            ("friend.example.org", "2001:db8:ffff::1"),
            1
        ));
        assert!(comes(
            federation,
            902,
            ("b.evil.example", "2001:db8:ffff::1"),
            CROWDED_IDLE_MS
        ));
        assert_eq!(going(federation).len(), 1);
    }

    #[test]
    fn all_together_end_somewhere() {
        let world = World::new("domain = 'home.example'");
        let federation = world.server.federation();
        for number in 0..LINKS_MAX as u64 {
            let at = format!("2001:db8:{number:x}::1");
            let name = format!("x{number}.example");
            assert!(comes(federation, number, (&name, &at), 0), "{number}");
        }
        assert!(!comes(
            federation,
            900,
            ("friend.example.org", "192.0.2.1"),
            1
        ));
        assert!(comes(
            federation,
            901,
            ("friend.example.org", "192.0.2.1"),
            CROWDED_IDLE_MS
        ));
        assert_eq!(going(federation).len(), 1);
    }

    #[test]
    fn lines_for_people() {
        let open = status("far.example");
        let fault = Some((0, "it is down".to_owned()));
        let lost = LinkStatus {
            fault,
            ..open.clone()
        };
        for (status, expected) in [
            (
                open,
                "far.example: connected from home.example since 1970-01-01T00:00:00Z, known by certificate",
            ),
            (
                lost,
                "far.example: nobody gets through; at 1970-01-01T00:00:00Z: it is down",
            ),
        ] {
            assert_eq!(status.to_string(), expected);
        }
    }

    #[test]
    fn parents() {
        for (domain, expected) in [
            ("example", "example"),
            ("far.example", "far.example"),
            ("rooms.far.example", "far.example"),
            ("a.b.far.example", "far.example"),
        ] {
            assert_eq!(parent(domain), expected);
        }
    }
}
