//! The ports of `[turn] relay_ports`: which are in use, which are held for the second of a pair, and how
//! one is found (RFC 8656 §7.2). They are chosen by chance, so that nobody guesses the next one (RFC 6056).

use super::{
    limits::{BINDS_MAX, RESERVATION_MS, RESERVATIONS_MAX},
    refusal::Refusal,
    wire::Family,
    world::{OpenError, World},
};
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
};

pub(super) struct Ports<W: World> {
    range: RangeInclusive<u16>,
    taken: HashSet<(Family, u16)>,
    held: Vec<Held<W>>,
}

/// A port that waits for whoever has its token.
struct Held<W: World> {
    token: [u8; 8],
    opened: Opened<W>,
    until_ms: u64,
}

/// A port of ours, bound.
pub(super) struct Opened<W: World> {
    /// As it is told to clients.
    pub(super) address: SocketAddr,
    pub(super) socket: W::Relay,
}

/// Which ports will do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Any,
    Even,
    /// An even one, and the next one to hold.
    Pair,
}

impl<W: World> Ports<W> {
    pub(super) fn new(range: RangeInclusive<u16>) -> Ports<W> {
        Ports {
            range,
            taken: HashSet::new(),
            held: Vec::new(),
        }
    }

    /// Those in use stay in use.
    pub(super) fn follow(&mut self, range: RangeInclusive<u16>) {
        self.range = range;
    }

    /// Binds a port at this address; of a pair the second one, too.
    pub(super) fn open(
        &mut self,
        world: &W,
        address: IpAddr,
        wanted: Wanted,
    ) -> Result<(Opened<W>, Option<Opened<W>>), Refusal> {
        let family = Family::of(address);
        let count = self.range.len();
        let mut chance = [0; 4];
        world.fill(&mut chance);
        let start = u32::from_be_bytes(chance) as usize % count.max(1);
        let mut binds = 0;
        for step in 0..count {
            let port = self.range.start() + ((start + step) % count) as u16;
            let is_odd = port % 2 == 1;
            if self.taken.contains(&(family, port)) || wanted != Wanted::Any && is_odd {
                continue;
            }
            let second = (wanted == Wanted::Pair).then(|| port + 1);
            if second.is_some_and(|second| !self.is_free(family, second)) {
                continue;
            }
            binds += 1;
            if binds > BINDS_MAX {
                break;
            }
            match self.bind(world, address, port, second) {
                Ok(opened) => return Ok(opened),
                Err(OpenError::Taken) => {}
                Err(OpenError::NotOurs) => return Err(Refusal::AddressFamilyNotSupported),
                Err(OpenError::Impossible) => return Err(Refusal::InsufficientCapacity),
            }
        }
        Err(Refusal::InsufficientCapacity)
    }

    fn is_free(&self, family: Family, port: u16) -> bool {
        self.range.contains(&port) && !self.taken.contains(&(family, port))
    }

    fn bind(
        &mut self,
        world: &W,
        address: IpAddr,
        port: u16,
        second: Option<u16>,
    ) -> Result<(Opened<W>, Option<Opened<W>>), OpenError> {
        let first = open_at(world, address, port)?;
        let second = second
            .map(|port| open_at(world, address, port))
            .transpose()?;
        for opened in [Some(&first), second.as_ref()].into_iter().flatten() {
            self.taken.insert(key(opened.address));
        }
        Ok((first, second))
    }

    /// Holds a port for whoever comes with the token that is returned.
    pub(super) fn hold(&mut self, world: &W, opened: Opened<W>, now: u64) -> [u8; 8] {
        let mut token = [0; 8];
        world.fill(&mut token);
        self.held.push(Held {
            token,
            opened,
            until_ms: now + RESERVATION_MS,
        });
        token
    }

    pub(super) fn can_hold(&self) -> bool {
        self.held.len() < RESERVATIONS_MAX
    }

    /// The port that was held for this token.
    pub(super) fn redeem(&mut self, token: &[u8], now: u64) -> Option<Opened<W>> {
        let is_it = |held: &Held<W>| held.token == token && held.until_ms > now;
        let at = self.held.iter().position(is_it)?;
        Some(self.held.swap_remove(at).opened)
    }

    /// Whoever had it is done with it.
    pub(super) fn give_back(&mut self, address: SocketAddr) {
        self.taken.remove(&key(address));
    }

    pub(super) fn tick(&mut self, now: u64) {
        let over = self.held.extract_if(.., |held| held.until_ms <= now);
        for held in over {
            self.taken.remove(&key(held.opened.address));
        }
    }

    pub(super) fn has_held(&self) -> bool {
        !self.held.is_empty()
    }
}

fn key(address: SocketAddr) -> (Family, u16) {
    (Family::of(address.ip()), address.port())
}

/// At the address itself, so that packets leave from it; where that is a router's in front of us, at all of
/// ours.
fn open_at<W: World>(world: &W, ip: IpAddr, port: u16) -> Result<Opened<W>, OpenError> {
    let address = SocketAddr::new(ip, port);
    let socket = match world.open(address) {
        Err(OpenError::NotOurs) => {
            let any: IpAddr = match ip {
                IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            world.open(SocketAddr::new(any, port))?
        }
        opened => opened?,
    };
    Ok(Opened { address, socket })
}
