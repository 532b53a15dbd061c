//! How many connections are open, in all and per address.

use crate::limits::{CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// The connections open now, shared by all web listeners.
#[derive(Clone, Default)]
pub(crate) struct Guests(Arc<Mutex<HashMap<IpAddr, u32>>>);

/// One open connection; dropping it makes room for the next.
pub(crate) struct Guest {
    guests: Guests,
    address: IpAddr,
}

impl Guests {
    /// Room for one more from this address, or `None` where a limit is reached.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Guest> {
        let address = household_of(address);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: u32 = open.values().sum();
        let count = open.get(&address).copied().unwrap_or(0);
        if all as usize >= CONNECTIONS_MAX || count >= CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        open.insert(address, count + 1);
        Some(Guest {
            guests: self.clone(),
            address,
        })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut open = self.guests.0.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.remove(&self.address);
            }
        }
    }
}

/// An IPv4 address, or the /64 that one customer of a provider has.
fn household_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_address_has_its_share_and_gets_it_back() {
        let guests = Guests::default();
        let mut inside: Vec<_> = (0..CONNECTIONS_PER_ADDRESS_MAX)
            .map(|host| {
                guests
                    .enter(address(&format!("2001:db8::{host:x}")))
                    .expect("room")
            })
            .collect();
        assert!(
            guests.enter(address("2001:db8::ffff:1")).is_none(),
            "the same /64"
        );
        assert!(
            guests.enter(address("2001:db8:0:1::1")).is_some(),
            "another /64"
        );
        assert!(guests.enter(address("192.0.2.1")).is_some());
        inside.pop();
        assert!(guests.enter(address("2001:db8::1")).is_some());
    }

    #[test]
    fn all_together_have_a_limit() {
        let guests = Guests::default();
        let inside: Vec<_> = (0..CONNECTIONS_MAX)
            .map(|host| {
                guests
                    .enter(address(&format!("10.0.{}.{}", host / 256, host % 256)))
                    .expect("room")
            })
            .collect();
        assert!(guests.enter(address("192.0.2.1")).is_none());
        drop(inside);
        assert!(guests.enter(address("::ffff:192.0.2.1")).is_some());
        assert!(
            guests.0.lock().expect("nobody panicked").is_empty(),
            "nothing is kept of those who left"
        );
    }
}
