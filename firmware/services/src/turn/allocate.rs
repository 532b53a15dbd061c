//! Allocations made and prolonged (RFC 8656 §7.2, §8.2).

use super::{
    allocation::{Allocation, Relayed},
    bucket::Bucket,
    core::Core,
    credentials::account,
    limits::{
        ALLOCATION_BURST, ALLOCATION_RATE, ALLOCATIONS_MAX, ALLOCATIONS_PER_ACCOUNT_MAX,
        LIFETIME_S, LIFETIME_S_MAX,
    },
    ports::{Opened, Wanted},
    refusal::Refusal,
    request::{Asked, Known},
    wire::{Family, Message, Writer, attribute},
    world::{Id, Line, World},
};
use household::denied;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Towards where the address is looked for that the world has of us, when nothing says it: some host of the
/// internet. Nothing is sent there.
const ANYWHERE_V4: Ipv4Addr = Ipv4Addr::new(1, 1, 1, 1);
const ANYWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888);
/// UDP, in REQUESTED-TRANSPORT.
const UDP: u8 = 17;

/// What an Allocate request asks for.
enum Wish {
    /// The port that was held for a token.
    Held([u8; 8]),
    /// One address.
    One(Family, Wanted),
    /// One of each family, with these ports.
    Both(Wanted),
}

impl<W: World> Core<W> {
    /// Makes an allocation, or finds the one that the same request has made before.
    pub(super) fn allocate(
        &mut self,
        asked: &Asked<'_, W>,
        known: &Known<'_>,
        own: Option<Id>,
    ) -> Result<Id, Refusal> {
        if let Some(id) = own {
            let made = self.allocations.get(&id);
            let is_same = made.is_some_and(|it| {
                it.transaction == asked.message.transaction && *it.username == *known.username
            });
            return is_same.then_some(id).ok_or(Refusal::AllocationMismatch);
        }
        let wish = wish(asked.message)?;
        let seconds = lifetime(asked.message)?.max(LIFETIME_S);
        self.admit(known)?;
        let now = asked.now;
        let bucket = Bucket::new(ALLOCATION_RATE, ALLOCATION_BURST, now);
        let mut made = Allocation::new(
            asked.line.clone(),
            known.username,
            known.key,
            asked.message.transaction,
            bucket,
        );
        let mut opened = Vec::with_capacity(2);
        match wish {
            Wish::Held(token) => {
                let held = self.ports.redeem(&token, now);
                opened.push(held.ok_or(Refusal::InsufficientCapacity)?);
            }
            Wish::One(family, wanted) => {
                let (first, second) = self.open(asked, family, wanted)?;
                made.token = second.map(|second| self.ports.hold(asked.world, second, now));
                opened.push(first);
            }
            Wish::Both(wanted) => {
                let mut trouble = None;
                for family in [Family::V4, Family::V6] {
                    match self.open(asked, family, wanted) {
                        Ok((first, _)) => opened.push(first),
                        Err(refusal) => trouble = Some((family, refusal)),
                    }
                }
                if opened.is_empty() {
                    return Err(Refusal::InsufficientCapacity);
                }
                made.missing = trouble;
            }
        }
        Ok(self.enter(asked, made, opened, seconds))
    }

    /// Gives an allocation its number, its sockets, and so many seconds.
    fn enter(
        &mut self,
        asked: &Asked<'_, W>,
        mut made: Allocation<W>,
        opened: Vec<Opened<W>>,
        seconds: u32,
    ) -> Id {
        let id = self.next;
        self.next += 1;
        for Opened { address, socket } in opened {
            let family = Family::of(address.ip());
            asked.world.attend(&socket, id, family);
            self.by_relayed.insert(address, id);
            made.relays[family as usize - 1] = Some(Relayed {
                address,
                socket,
                until_ms: asked.now + u64::from(seconds) * 1_000,
            });
        }
        self.by_line.insert(made.line.clone(), id);
        self.allocations.insert(id, made);
        id
    }

    /// Whether there is room for one more of this account (§7.2, item 10).
    fn admit(&self, known: &Known<'_>) -> Result<(), Refusal> {
        let whose = account(known.username);
        let all = self.allocations.values();
        let own = all.filter(|it| account(&it.username) == whose).count();
        if own >= ALLOCATIONS_PER_ACCOUNT_MAX {
            return Err(Refusal::AllocationQuotaReached);
        }
        if self.allocations.len() >= ALLOCATIONS_MAX {
            return Err(Refusal::InsufficientCapacity);
        }
        Ok(())
    }

    fn open(
        &mut self,
        asked: &Asked<'_, W>,
        family: Family,
        wanted: Wanted,
    ) -> Result<(Opened<W>, Option<Opened<W>>), Refusal> {
        let address = relayed_ip(asked, family).ok_or(Refusal::AddressFamilyNotSupported)?;
        if wanted == Wanted::Pair && !self.ports.can_hold() {
            return Err(Refusal::InsufficientCapacity);
        }
        self.ports.open(asked.world, address, wanted)
    }

    /// What a client is told of its allocation (§7.2, at the end).
    pub(super) fn tell_allocation(&self, asked: &Asked<'_, W>, id: Id, answer: &mut Writer<'_>) {
        let Some(allocation) = self.allocations.get(&id) else {
            return;
        };
        let mut left_ms = 0;
        for relay in allocation.relays.iter().flatten() {
            answer.put_address(attribute::XOR_RELAYED_ADDRESS, relay.address);
            left_ms = left_ms.max(relay.until_ms.saturating_sub(asked.now));
        }
        if let Some((family, refusal)) = allocation.missing {
            let (value, end) = refusal.value(family as u8);
            answer.put(attribute::ADDRESS_ERROR_CODE, &value[..end]);
        }
        answer.put_number(attribute::LIFETIME, left_ms.div_ceil(1_000) as u32);
        if let Some(token) = allocation.token {
            answer.put(attribute::RESERVATION_TOKEN, &token);
        }
        answer.put_address(attribute::XOR_MAPPED_ADDRESS, asked.line.client());
    }

    /// Prolongs an allocation or one of its addresses, or ends it (§8.2). Returns the seconds that it has.
    pub(super) fn refresh(&mut self, asked: &Asked<'_, W>, id: Id) -> Result<u32, Refusal> {
        let wanted = asked.message.attribute(attribute::REQUESTED_ADDRESS_FAMILY);
        let wanted = match wanted {
            Some(value @ [_, _, _, _]) => {
                Some(Family::read(value).ok_or(Refusal::PeerAddressFamilyMismatch)?)
            }
            Some(_) => return Err(Refusal::BadRequest),
            None => None,
        };
        let seconds = lifetime(asked.message)?;
        let allocation = self.allocations.get_mut(&id);
        let allocation = allocation.ok_or(Refusal::AllocationMismatch)?;
        if wanted.is_some_and(|family| allocation.relay(family).is_none()) {
            return Err(Refusal::PeerAddressFamilyMismatch);
        }
        let meant = |family: &Family| wanted.is_none_or(|wanted| wanted == *family);
        for family in [Family::V4, Family::V6].into_iter().filter(meant) {
            if seconds == 0 {
                self.end(id, family);
            } else if let Some(allocation) = self.allocations.get_mut(&id)
                && let Some(relay) = &mut allocation.relays[family as usize - 1]
            {
                relay.until_ms = asked.now + u64::from(seconds) * 1_000;
            }
        }
        Ok(seconds)
    }
}

/// Seconds that an allocation shall live; 0 where it shall end (§8.2).
fn lifetime(message: &Message<'_>) -> Result<u32, Refusal> {
    let Some(value) = message.attribute(attribute::LIFETIME) else {
        return Ok(LIFETIME_S);
    };
    let seconds = <[u8; 4]>::try_from(value).map_err(|_| Refusal::BadRequest)?;
    Ok(match u32::from_be_bytes(seconds) {
        0 => 0,
        seconds => seconds.clamp(LIFETIME_S, LIFETIME_S_MAX),
    })
}

/// The checks of §7.2, items 3 to 9, in their order.
fn wish(message: &Message<'_>) -> Result<Wish, Refusal> {
    let value = |kind| message.attribute(kind);
    match value(attribute::REQUESTED_TRANSPORT) {
        Some([UDP, _, _, _]) => {}
        Some([_, _, _, _]) => return Err(Refusal::UnsupportedTransport),
        _ => return Err(Refusal::BadRequest),
    }
    let even = match value(attribute::EVEN_PORT) {
        None => Wanted::Any,
        Some([flags]) if flags & 0x80 != 0 => Wanted::Pair,
        Some([_]) => Wanted::Even,
        Some(_) => return Err(Refusal::BadRequest),
    };
    let requested = value(attribute::REQUESTED_ADDRESS_FAMILY);
    let additional = value(attribute::ADDITIONAL_ADDRESS_FAMILY);
    if let Some(token) = value(attribute::RESERVATION_TOKEN) {
        let token = token.try_into().map_err(|_| Refusal::BadRequest)?;
        let is_alone = even == Wanted::Any && requested.is_none() && additional.is_none();
        return is_alone
            .then_some(Wish::Held(token))
            .ok_or(Refusal::BadRequest);
    }
    match (requested, additional) {
        (Some(_), Some(_)) => Err(Refusal::BadRequest),
        (None, None) => Ok(Wish::One(Family::V4, even)),
        (Some([_, _, _, _]), None) => {
            let family = requested.and_then(Family::read);
            let family = family.ok_or(Refusal::AddressFamilyNotSupported)?;
            Ok(Wish::One(family, even))
        }
        (Some(_), None) => Err(Refusal::BadRequest),
        (None, Some(family)) => {
            let is_legal = Family::read(family) == Some(Family::V6) && even != Wanted::Pair;
            is_legal
                .then_some(Wish::Both(even))
                .ok_or(Refusal::BadRequest)
        }
    }
}

/// The address that peers are to write to: what the configuration or somebody outside says of us; else the
/// one that the client reached us at; else that from which we would write to the world.
fn relayed_ip<W: World>(asked: &Asked<'_, W>, family: Family) -> Option<IpAddr> {
    let came_to = asked.line.came_to().map(|it| it.to_canonical());
    if let Some(external) = asked.world.external(family) {
        return Some(external);
    }
    if let Some(address) = came_to.filter(|it| Family::of(*it) == family) {
        return Some(address);
    }
    // A client on this machine is in a world of its own.
    let is_loopback = came_to.and_then(denied::kind) == Some(denied::Kind::Loopback);
    Some(match (family, is_loopback) {
        (Family::V4, true) => Ipv4Addr::LOCALHOST.into(),
        (Family::V6, true) => Ipv6Addr::LOCALHOST.into(),
        (Family::V4, false) => asked.world.source_towards(ANYWHERE_V4.into())?,
        (Family::V6, false) => asked.world.source_towards(ANYWHERE_V6.into())?,
    })
}
