//! What strangers are sent over UDP, where anybody can write anybody's address on a letter.
//!
//! The first answer to a client is larger than its request, since it has to carry realm and nonce
//! (RFC 8489 §9.2.4), and so is the address in the answer to a bare Binding request. So answers are counted
//! against what came: the networks that somebody claims to write from get, over time, no more than they sent
//! and [`STRANGER_RATE`] bytes a second on top. Whoever wants to flood a third party through us sends the
//! flood himself. Beyond that nothing is answered; clients repeat, and there is TCP, where an address is
//! proven.
//!
//! State: a fixed number of slots. Networks share one by chance, which a key of ours decides, so that nobody
//! can aim at somebody else's.

use super::limits::{STRANGER_BURST, STRANGER_RATE, STRANGERS};
use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

pub(super) struct Strangers {
    /// Empty until the first one comes.
    slots: Vec<Slot>,
    chance: RandomState,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// Bytes that were sent beyond what came.
    ahead: u64,
    counted_ms: u64,
}

impl Strangers {
    pub(super) fn new() -> Strangers {
        Strangers {
            slots: Vec::new(),
            chance: RandomState::new(),
        }
    }

    /// Counts a request and its answer; `false` where it must not be sent.
    pub(super) fn may_get(&mut self, address: IpAddr, came: usize, goes: usize, now: u64) -> bool {
        // Nobody outside can write this machine's own address on a letter.
        if goes <= came || address.to_canonical().is_loopback() {
            return true;
        }
        if self.slots.is_empty() {
            self.slots = vec![Slot::default(); STRANGERS];
        }
        let place = self.chance.hash_one(network(address)) as usize % STRANGERS;
        let slot = &mut self.slots[place];
        let forgiven = now
            .saturating_sub(slot.counted_ms)
            .saturating_mul(STRANGER_RATE)
            / 1_000;
        let ahead = slot.ahead.saturating_sub(forgiven) + (goes - came) as u64;
        if ahead > STRANGER_BURST {
            return false;
        }
        *slot = Slot {
            ahead,
            counted_ms: now,
        };
        true
    }
}

/// Whose addresses count as one: the usual networks of a house.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(it) => Ipv4Addr::from_bits(it.to_bits() & (!0 << 8)).into(),
        IpAddr::V6(it) => Ipv6Addr::from_bits(it.to_bits() & (!0 << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes sent and received by somebody who asks all the time, with 28 bytes for 68.
    fn flood(strangers: &mut Strangers, seconds: u64, each_s: u64) -> (u64, u64) {
        let (mut came, mut went) = (0, 0);
        for request in 0..seconds * each_s {
            let host = Ipv4Addr::new(198, 51, 100, request as u8);
            let now = 1_000_000 + request * 1_000 / each_s;
            came += 28;
            went += 68 * u64::from(strangers.may_get(host.into(), 28, 68, now));
        }
        (came, went)
    }

    #[test]
    fn a_flood_gets_less_than_it_brings() {
        let mut strangers = Strangers::new();
        let (came, went) = flood(&mut strangers, 60, 1_000);
        let answers = (STRANGER_BURST + 60 * STRANGER_RATE) / 40;
        assert!(went <= answers * 68 && went * 5 < came, "{went} for {came}");
    }

    #[test]
    fn a_family_behind_one_address_is_answered() {
        let mut strangers = Strangers::new();
        let (came, went) = flood(&mut strangers, 60, 2);
        assert_eq!(went * 28, came * 68);
    }

    #[test]
    fn this_machine_is_always_answered() {
        let mut strangers = Strangers::new();
        for here in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            let here = here.parse().unwrap();
            assert!((0..1_000).all(|_| strangers.may_get(here, 28, 68, 1_000_000)));
        }
    }

    #[test]
    fn what_is_no_larger_than_what_came_is_always_sent() {
        let mut strangers = Strangers::new();
        flood(&mut strangers, 10, 1_000);
        let host = [198, 51, 100, 7].into();
        assert!(!strangers.may_get(host, 28, 68, 1_010_000));
        assert!(strangers.may_get(host, 68, 68, 1_010_000));
    }
}
