//! What there is only so much of, and who has how much of it: connections, bytes of requests on their way in,
//! files that are read. A limit for all, and one for each household, so that nobody takes it away from
//! others.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// Bits of an IPv6 address that the networks of one household have in common (RFC 6177 §2).
const HOUSEHOLD_BITS_V6: u32 = 56;
/// Where more than half of everything is taken, a household that has this part of its share gets no more.
const CROWDED_PART: u64 = 8;

/// A clone is a count.
#[derive(Clone)]
pub(crate) struct Shares {
    all_max: u64,
    each_max: u64,
    taken: Arc<Mutex<HashMap<IpAddr, u64>>>,
}

/// Some of it; dropping it gives it back.
pub(crate) struct Share {
    of: Shares,
    household: IpAddr,
    amount: u64,
}

impl Shares {
    pub(crate) fn new(all_max: u64, each_max: u64) -> Shares {
        Shares {
            all_max,
            each_max,
            taken: Arc::default(),
        }
    }

    /// `None` where a limit is reached. Behind loopback there is a proxy, and behind that everybody.
    pub(crate) fn take(&self, address: IpAddr, amount: u64) -> Option<Share> {
        let household = household_of(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all: u64 = taken.values().sum();
        let here = taken.get(&household).copied().unwrap_or(0);
        let is_crowded = all > self.all_max / 2 && here >= self.each_max / CROWDED_PART;
        let has_enough = is_crowded || here + amount > self.each_max;
        if all + amount > self.all_max || has_enough && !household.is_loopback() {
            return None;
        }
        taken.insert(household, here + amount);
        Some(Share {
            of: self.clone(),
            household,
            amount,
        })
    }
}

impl Share {
    /// Keeps this much of it at most, and gives back the rest.
    pub(crate) fn shrink(&mut self, amount: u64) {
        let rest = self.amount.saturating_sub(amount);
        self.amount -= rest;
        let taken = &self.of.taken;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.household) {
            Some(here) if *here > rest => *here -= rest,
            _ => {
                taken.remove(&self.household);
            }
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

/// An IPv4 address, or what a provider gives to one customer. All of loopback is one.
fn household_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if v6.is_loopback() => address,
        IpAddr::V6(v6) => {
            let host_bits = 128 - HOUSEHOLD_BITS_V6;
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> host_bits << host_bits))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn takes(shares: &Shares, who: &str, amount: u64) -> Option<Share> {
        shares.take(address(who), amount)
    }

    #[test]
    fn one_household_has_its_share_and_gets_it_back() {
        let shares = Shares::new(100, 16);
        let mut inside: Vec<_> = (0..16)
            .map(|network| {
                takes(&shares, &format!("2001:db8::{network:x}:0:0:0:1"), 1).expect("room")
            })
            .collect();
        assert!(
            takes(&shares, "2001:db8::ff:0:0:0:1", 1).is_none(),
            "of the same /56"
        );
        assert!(
            takes(&shares, "2001:db8:0:100::1", 1).is_some(),
            "of another"
        );
        assert!(takes(&shares, "192.0.2.1", 16).is_some());
        assert!(takes(&shares, "192.0.2.1", 17).is_none());
        inside.pop();
        assert!(takes(&shares, "::ffff:192.0.2.1", 1).is_some());
        assert!(takes(&shares, "2001:db8::1", 1).is_some());
    }

    #[test]
    fn where_it_is_crowded_there_is_room_for_those_who_have_little() {
        let shares = Shares::new(64, 16);
        let _half: Vec<_> = ["192.0.2.1", "192.0.2.2"]
            .map(|who| takes(&shares, who, 16))
            .into();
        let _last = takes(&shares, "192.0.2.3", 2).expect("half is left");
        assert!(
            takes(&shares, "192.0.2.3", 1).is_none(),
            "an eighth of its share"
        );
        let _first = takes(&shares, "192.0.2.4", 16).expect("it had nothing");
        assert!(takes(&shares, "127.0.0.1", 13).is_some());
        assert!(takes(&shares, "127.0.0.1", 15).is_none());
    }

    #[test]
    fn all_together_have_a_limit() {
        let shares = Shares::new(64, 16);
        let inside: Vec<_> = (0..64)
            .map(|host| takes(&shares, &format!("10.0.0.{host}"), 1).expect("room"))
            .collect();
        assert!(takes(&shares, "192.0.2.1", 1).is_none());
        assert!(takes(&shares, "127.0.0.1", 1).is_none());
        drop(inside);
        let mut proxy = takes(&shares, "::1", 64).expect("room");
        proxy.shrink(63);
        assert!(takes(&shares, "192.0.2.1", 1).is_some());
        proxy.shrink(70);
        assert!(takes(&shares, "192.0.2.1", 2).is_none(), "it never grows");
        drop(proxy);
        assert!(
            shares.taken.lock().expect("nobody panicked").is_empty(),
            "nothing is kept of those who left"
        );
    }
}
