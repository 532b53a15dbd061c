//! How many may be at the door at once. Only those count who have not authenticated yet: a whole family lives
//! behind one address, and who has a password may stay.

use crate::{
    limits::{UNAUTHENTICATED_MAX, UNAUTHENTICATED_PER_ADDRESS_MAX},
    throttle::network,
};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
};

#[derive(Default)]
pub(super) struct Gate {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    total: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// The right to be served. Counts until the peer has authenticated or is gone.
pub(crate) struct Admission {
    gate: Option<Arc<Gate>>,
    /// `None` while a proxy has not said whose the connection is.
    network: Option<IpAddr>,
}

impl Gate {
    /// Lets a connection in, if there is room.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admission> {
        let network = network(address);
        let mut inner = self.lock();
        let here = inner.by_address.get(&network).copied().unwrap_or(0);
        // Behind loopback there is a proxy, and behind that everybody.
        let is_full = here >= UNAUTHENTICATED_PER_ADDRESS_MAX && !address.is_loopback();
        if is_full || inner.total >= UNAUTHENTICATED_MAX {
            return None;
        }
        inner.total += 1;
        inner.by_address.insert(network, here + 1);
        Some(Admission {
            gate: Some(self.clone()),
            network: Some(network),
        })
    }

    /// Lets a proxy in that is about to say for whom.
    pub(super) fn admit_proxy(self: &Arc<Self>) -> Option<Admission> {
        let mut inner = self.lock();
        if inner.total >= UNAUTHENTICATED_MAX {
            return None;
        }
        inner.total += 1;
        Some(Admission {
            gate: Some(self.clone()),
            network: None,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .expect("nothing panics while it holds this lock")
    }
}

impl Admission {
    /// Of nobody who counts.
    #[cfg(test)]
    pub(crate) fn free() -> Admission {
        Admission {
            gate: None,
            network: None,
        }
    }

    /// The peer is known now and counts no longer.
    pub(crate) fn authenticated(&mut self) {
        let Some(gate) = self.gate.take() else { return };
        let mut inner = gate.lock();
        inner.total -= 1;
        let Some(network) = self.network else { return };
        if let Some(here) = inner.by_address.get_mut(&network) {
            *here -= 1;
            if *here == 0 {
                inner.by_address.remove(&network);
            }
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.authenticated();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_cannot_take_all_the_room() {
        let gate = Arc::new(Gate::default());
        let mut inside: Vec<_> = (0..UNAUTHENTICATED_PER_ADDRESS_MAX)
            .map(|_| gate.admit(address("2001:db8::1")).unwrap())
            .collect();
        assert!(gate.admit(address("2001:db8::2")).is_none(), "the same /64");
        let _other = gate.admit(address("2001:db8:0:1::1")).unwrap();
        inside[0].authenticated();
        let _again = gate.admit(address("2001:db8::1")).unwrap();
        assert!(gate.admit(address("2001:db8::1")).is_none());
        drop(inside);
        assert!(gate.admit(address("2001:db8::1")).is_some());
    }

    #[test]
    fn a_proxy_counts_for_nobody_until_it_has_said_for_whom() {
        let gate = Arc::new(Gate::default());
        let proxies: Vec<_> = (0..UNAUTHENTICATED_MAX)
            .map(|_| gate.admit_proxy().unwrap())
            .collect();
        assert!(gate.admit_proxy().is_none());
        assert!(gate.lock().by_address.is_empty());
        drop(proxies);
        assert_eq!(gate.lock().total, 0);
    }

    #[test]
    fn the_total_is_bounded_and_nothing_is_left_behind() {
        let gate = Arc::new(Gate::default());
        let inside: Vec<_> = (0..UNAUTHENTICATED_MAX)
            .map(|_| gate.admit(address("127.0.0.1")).unwrap())
            .collect();
        assert!(gate.admit(address("192.0.2.1")).is_none());
        drop(inside);
        let inner = gate.lock();
        assert_eq!((inner.total, inner.by_address.len()), (0, 0));
    }
}
