//! Failed logins slow down, without locking anybody out.
//!
//! Failures are counted per (address, account): one tablet with an old password slows down nobody but itself,
//! and not even the other devices of the same person, since a success is neither counted nor delayed. Behind
//! one address a whole family lives, so the address alone is slowed down only by the number of *different*
//! names that fail.
//!
//! Of the memory kept, everything is bounded; when it is full the pair that has been quiet for longest is
//! forgotten.

use crate::limits::{
    THROTTLE_ENTRIES_MAX, THROTTLE_MS_FIRST, THROTTLE_MS_MAX, THROTTLE_NAMES_MAX, THROTTLE_QUIET_MS,
};
use aws_lc_rs::digest;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard},
};

/// Counts failed logins. Times are milliseconds of a clock that never jumps.
#[derive(Default)]
pub(crate) struct Throttle {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    pairs: BTreeMap<(IpAddr, Name), Pair>,
    addresses: BTreeMap<IpAddr, Address>,
}

/// A name that was tried, hashed: names that nobody has can be long.
type Name = [u8; 8];

/// One account as tried from one address.
#[derive(Default)]
struct Pair {
    /// When the allowance is whole again: each failure moves this by a minute / limit.
    whole_at: u64,
    slowed: Slowed,
}

/// All accounts as tried from one address.
#[derive(Default)]
struct Address {
    names: BTreeSet<Name>,
    slowed: Slowed,
}

/// Failures beyond the allowance.
#[derive(Default)]
struct Slowed {
    strikes: u32,
    /// When the last failure was (or will be) answered.
    last: u64,
}

impl Throttle {
    /// Counts a failed login and says for how many milliseconds its answer has to wait. `per_minute` failures
    /// of one account, or different failing names, are free; 0 switches all of this off.
    pub(crate) fn failed(&self, address: IpAddr, account: &str, per_minute: u32, now: u64) -> u64 {
        if per_minute == 0 {
            return 0;
        }
        let by_account = self.failed_token(address, account, per_minute, now);
        let (address, account) = (network(address), hashed(account));
        let mut inner = self.lock();
        let by_address = inner.address(address, now).failed(account, per_minute, now);
        by_account.max(by_address)
    }

    /// As [`Throttle::failed`], for a token: the pair is slowed down, the address is not. Tokens are not
    /// guessed, and a house full of phones whose tokens ended over the holidays is no attack.
    pub(crate) fn failed_token(
        &self,
        address: IpAddr,
        account: &str,
        per_minute: u32,
        now: u64,
    ) -> u64 {
        if per_minute == 0 {
            return 0;
        }
        let (address, account) = (network(address), hashed(account));
        let mut inner = self.lock();
        inner.pair(address, account, now).failed(per_minute, now)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .expect("nothing panics while it holds this lock")
    }
}

impl Inner {
    fn pair(&mut self, address: IpAddr, account: Name, now: u64) -> &mut Pair {
        let key = (address, account);
        make_room(&mut self.pairs, &key, now, |pair| pair.slowed.last);
        self.pairs.entry(key).or_default()
    }

    fn address(&mut self, address: IpAddr, now: u64) -> &mut Address {
        make_room(&mut self.addresses, &address, now, |known| {
            known.slowed.last
        });
        self.addresses.entry(address).or_default()
    }
}

impl Pair {
    fn failed(&mut self, per_minute: u32, now: u64) -> u64 {
        self.slowed.forget(now);
        // GCRA: the allowance is `per_minute` failures at once, and comes back evenly.
        let each = 60_000 / u64::from(per_minute);
        let whole_at = self.whole_at.max(now) + each;
        if self.slowed.strikes == 0 && whole_at <= now + 60_000 {
            self.whole_at = whole_at;
            return self.slowed.pass(now);
        }
        self.slowed.strike(now)
    }
}

impl Address {
    fn failed(&mut self, account: Name, per_minute: u32, now: u64) -> u64 {
        if self.slowed.forget(now) {
            self.names.clear();
        }
        let free = THROTTLE_NAMES_MAX.min(per_minute as usize);
        if self.names.len() < free {
            self.names.insert(account);
        }
        if self.names.contains(&account) {
            return self.slowed.pass(now);
        }
        self.slowed.strike(now)
    }
}

impl Slowed {
    /// After a quiet while everything begins anew.
    fn forget(&mut self, now: u64) -> bool {
        let quiet = now >= self.last.saturating_add(THROTTLE_QUIET_MS);
        if quiet {
            self.strikes = 0;
        }
        quiet
    }

    fn pass(&mut self, now: u64) -> u64 {
        self.last = self.last.max(now);
        0
    }

    fn strike(&mut self, now: u64) -> u64 {
        let delay = THROTTLE_MS_MAX.min(THROTTLE_MS_FIRST << self.strikes.min(16));
        self.strikes += 1;
        self.last = self.last.max(now + delay);
        delay
    }
}

fn hashed(account: &str) -> Name {
    let hash = digest::digest(&digest::SHA256, account.as_bytes());
    let mut name = Name::default();
    name.copy_from_slice(&hash.as_ref()[..8]);
    name
}

/// Keeps the map below its limit when `key` is new: first without what has been quiet, then without the
/// quietest.
fn make_room<K: Ord + Clone, V>(
    map: &mut BTreeMap<K, V>,
    key: &K,
    now: u64,
    last: impl Fn(&V) -> u64,
) {
    if map.len() < THROTTLE_ENTRIES_MAX || map.contains_key(key) {
        return;
    }
    map.retain(|_, entry| now < last(entry).saturating_add(THROTTLE_QUIET_MS));
    if map.len() < THROTTLE_ENTRIES_MAX {
        return;
    }
    let quietest = map.iter().min_by_key(|(_, entry)| last(entry));
    if let Some(quietest) = quietest.map(|(key, _)| key.clone()) {
        map.remove(&quietest);
    }
}

/// What counts as one address: an IPv4 address, or the /64 that one household gets.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "203.0.113.7";

    fn fail(throttle: &Throttle, address: &str, account: &str, now: u64) -> u64 {
        throttle.failed(address.parse().unwrap(), account, 10, now)
    }

    #[test]
    fn ten_failures_are_free_and_then_answers_slow_down_to_thirty_seconds() {
        let throttle = Throttle::default();
        let mut now = 0;
        let mut delays = vec![];
        for _ in 0..18 {
            let delay = fail(&throttle, HOME, "alice", now);
            now += delay;
            delays.push(delay / 1_000);
        }
        assert_eq!(
            delays,
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30, 30]
        );
    }

    #[test]
    fn other_accounts_and_other_addresses_are_not_slowed_down() {
        let throttle = Throttle::default();
        for _ in 0..50 {
            fail(&throttle, HOME, "alice", 0);
        }
        assert_ne!(fail(&throttle, HOME, "alice", 0), 0);
        for (address, account) in [
            (HOME, "bob"),
            ("203.0.113.8", "alice"),
            ("2001:db8::1", "alice"),
        ] {
            assert_eq!(
                fail(&throttle, address, account, 0),
                0,
                "{address} {account}"
            );
        }
    }

    #[test]
    fn a_device_that_tries_ten_times_a_minute_is_never_slowed_down() {
        let throttle = Throttle::default();
        for attempt in 0..1_000 {
            assert_eq!(fail(&throttle, HOME, "alice", attempt * 6_000), 0);
        }
    }

    #[test]
    fn a_quiet_minute_after_the_last_answer_forgets() {
        let throttle = Throttle::default();
        for _ in 0..11 {
            fail(&throttle, HOME, "alice", 0);
        }
        assert_eq!(fail(&throttle, HOME, "alice", 60_999), 2_000);
        assert_eq!(fail(&throttle, HOME, "alice", 60_999 + 2_000 + 60_000), 0);
    }

    #[test]
    fn an_address_that_tries_many_names_is_slowed_down_for_new_names_only() {
        let throttle = Throttle::default();
        for name in 0..10 {
            assert_eq!(fail(&throttle, HOME, &format!("user{name}"), 0), 0);
        }
        assert_eq!(fail(&throttle, HOME, "user10", 0), 1_000);
        assert_eq!(fail(&throttle, HOME, "user11", 0), 2_000);
        assert_eq!(fail(&throttle, HOME, "user3", 0), 0);
        assert_eq!(fail(&throttle, "203.0.113.9", "user10", 0), 0);
    }

    #[test]
    fn tokens_slow_down_their_account_and_never_the_address() {
        let throttle = Throttle::default();
        let home = HOME.parse().unwrap();
        for name in 0..40 {
            assert_eq!(
                throttle.failed_token(home, &format!("user{name}"), 10, 0),
                0
            );
        }
        assert_eq!(fail(&throttle, HOME, "alice", 0), 0);
        for _ in 1..10 {
            assert_eq!(throttle.failed_token(home, "alice", 10, 0), 0);
        }
        assert_eq!(throttle.failed_token(home, "alice", 10, 0), 1_000);
        assert_eq!(
            fail(&throttle, HOME, "alice", 0),
            2_000,
            "one count for both"
        );
    }

    #[test]
    fn a_64_is_one_address_and_mapped_ipv4_is_ipv4() {
        for (address, expected) in [
            ("203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(network(address.parse().unwrap()).to_string(), expected);
        }
    }

    #[test]
    fn zero_switches_it_off() {
        let throttle = Throttle::default();
        for _ in 0..100 {
            assert_eq!(throttle.failed(HOME.parse().unwrap(), "alice", 0, 0), 0);
            assert_eq!(
                throttle.failed_token(HOME.parse().unwrap(), "alice", 0, 0),
                0
            );
        }
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        for host in 0..10_000u32 {
            let address = IpAddr::from(host.to_be_bytes());
            throttle.failed(address, "alice", 10, u64::from(host));
        }
        let inner = throttle.inner.lock().unwrap();
        assert_eq!(inner.pairs.len(), THROTTLE_ENTRIES_MAX);
        assert_eq!(inner.addresses.len(), THROTTLE_ENTRIES_MAX);
    }
}
