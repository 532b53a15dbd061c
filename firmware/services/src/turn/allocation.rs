//! One allocation: where its client is, its relayed addresses, who may write to it, and its channels
//! (RFC 8656 §6, §9, §12).

use super::{
    bucket::Bucket,
    limits::{CHANNEL_MS, CHANNELS_MAX, PERMISSION_MS, PERMISSIONS_MAX},
    refusal::Refusal,
    wire::{Family, Key, Transaction},
    world::World,
};
use std::net::{IpAddr, SocketAddr};

pub(super) struct Allocation<W: World> {
    pub(super) line: W::Line,
    pub(super) username: Box<str>,
    pub(super) key: Key,
    /// Of the request that made it: the same again gets the same answer (§7.2).
    pub(super) transaction: Transaction,
    /// One for each family, IPv4 first.
    pub(super) relays: [Option<Relayed<W>>; 2],
    /// The family that was asked for as well, and why it could not be had (§18.12).
    pub(super) missing: Option<(Family, Refusal)>,
    /// What was told of the port behind its own (§18.10).
    pub(super) token: Option<[u8; 8]>,
    pub(super) bucket: Bucket,
    permissions: Vec<Permission>,
    channels: Vec<Channel>,
}

/// A relayed transport address.
pub(super) struct Relayed<W: World> {
    /// As it was told to the client.
    pub(super) address: SocketAddr,
    pub(super) socket: W::Relay,
    pub(super) until_ms: u64,
}

/// Somebody who may write to it.
#[derive(Clone, Copy)]
struct Permission {
    peer: IpAddr,
    until_ms: u64,
    reach: Reach,
}

/// A short name of a peer.
#[derive(Clone, Copy)]
struct Channel {
    number: u16,
    peer: SocketAddr,
    until_ms: u64,
    reach: Reach,
}

/// Where data for a peer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    pub(super) reach: Reach,
}

/// Where a peer's address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Beyond a socket.
    Outside,
    /// It is one of our own: another relayed address of this process, or nobody.
    Inside,
    /// One of our own, but of those that the configuration lets everybody reach.
    Both,
}

impl<W: World> Allocation<W> {
    pub(super) fn new(
        line: W::Line,
        username: &str,
        key: Key,
        transaction: Transaction,
        bucket: Bucket,
    ) -> Allocation<W> {
        Allocation {
            line,
            username: username.into(),
            key,
            transaction,
            relays: [None, None],
            missing: None,
            token: None,
            bucket,
            permissions: Vec::new(),
            channels: Vec::new(),
        }
    }

    pub(super) fn relay(&self, family: Family) -> Option<&Relayed<W>> {
        self.relays[family as usize - 1].as_ref()
    }

    /// Lets all of these write to it for [`PERMISSION_MS`], each with where it is;
    /// or none of them, where they are too many.
    pub(super) fn permit_all(
        &mut self,
        peers: &[(IpAddr, Reach)],
        now: u64,
    ) -> Result<(), Refusal> {
        self.permissions.retain(|it| it.until_ms > now);
        let before = self.permissions.clone();
        for &(peer, reach) in peers {
            self.permissions.retain(|it| it.peer != peer);
            self.permissions.push(Permission {
                peer,
                until_ms: now + PERMISSION_MS,
                reach,
            });
        }
        if self.permissions.len() > PERMISSIONS_MAX {
            self.permissions = before;
            return Err(Refusal::InsufficientCapacity);
        }
        Ok(())
    }

    /// Binds a channel for [`CHANNEL_MS`], or again (§12.2), and lets its peer write.
    pub(super) fn bind(
        &mut self,
        number: u16,
        peer: SocketAddr,
        reach: Reach,
        now: u64,
    ) -> Result<(), Refusal> {
        self.channels.retain(|it| it.until_ms > now);
        let is_other = |it: &Channel| (it.number == number) != (it.peer == peer);
        if self.channels.iter().any(is_other) {
            return Err(Refusal::BadRequest);
        }
        let at = self.channels.iter().position(|it| it.number == number);
        if at.is_none() && self.channels.len() >= CHANNELS_MAX {
            return Err(Refusal::InsufficientCapacity);
        }
        self.permit_all(&[(peer.ip(), reach)], now)?;
        let channel = Channel {
            number,
            peer,
            until_ms: now + CHANNEL_MS,
            reach,
        };
        match at {
            Some(at) => self.channels[at] = channel,
            None => self.channels.push(channel),
        }
        Ok(())
    }

    /// Whom a channel stands for.
    pub(super) fn behind(&self, number: u16, now: u64) -> Option<Peer> {
        let found = self.channels.iter().find(|it| it.number == number)?;
        (found.until_ms > now).then_some(Peer {
            address: found.peer,
            reach: found.reach,
        })
    }

    /// The channel that stands for a peer.
    pub(super) fn channel_of(&self, peer: SocketAddr, now: u64) -> Option<u16> {
        let mut bound = self.channels.iter();
        let found = bound.find(|it| it.peer == peer && it.until_ms > now)?;
        Some(found.number)
    }

    /// The peer, if it may write here and be written to.
    pub(super) fn permitted(&self, address: SocketAddr, now: u64) -> Option<Peer> {
        let mut permitted = self.permissions.iter();
        let found = permitted.find(|it| it.peer == address.ip() && it.until_ms > now)?;
        Some(Peer {
            address,
            reach: found.reach,
        })
    }

    /// Asks anew about every peer: where it is, or `None` where it may not be reached any more.
    pub(super) fn judge_again(&mut self, judge: impl Fn(IpAddr) -> Option<Reach>) {
        self.permissions.retain_mut(|it| {
            let reach = judge(it.peer);
            it.reach = reach.unwrap_or(it.reach);
            reach.is_some()
        });
        self.channels.retain_mut(|it| {
            let reach = judge(it.peer.ip());
            it.reach = reach.unwrap_or(it.reach);
            reach.is_some()
        });
    }

    /// Its relayed address of this family is gone (§8.1).
    pub(super) fn forget_peers(&mut self, family: Family) {
        self.permissions.retain(|it| Family::of(it.peer) != family);
        self.channels
            .retain(|it| Family::of(it.peer.ip()) != family);
    }

    pub(super) fn forget_old(&mut self, now: u64) {
        self.permissions.retain(|it| it.until_ms > now);
        self.channels.retain(|it| it.until_ms > now);
    }
}
