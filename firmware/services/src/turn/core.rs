//! The relay without sockets: a packet comes in, and what is to be done with it comes out. Time is handed in.
//!
//! State: the allocations, by number, by the way to their client, and by relayed address; the ports; what
//! strangers were sent; counters.

use super::{
    allocation::{Allocation, Peer, Reach},
    bucket::Bucket,
    credentials::Credentials,
    limits::{TOTAL_BURST, TOTAL_RATE},
    nonce::Nonces,
    ports::Ports,
    strangers::Strangers,
    wire::{Class, Family, Message, Method, Writer, attribute, channel_data, write_channel_data},
    world::{Id, Line, World},
};
use household::{Config, config::Network, denied::Denied};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

pub(super) struct Core<W: World> {
    pub(super) credentials: Credentials,
    pub(super) nonces: Nonces,
    pub(super) ports: Ports<W>,
    pub(super) allocations: HashMap<Id, Allocation<W>>,
    pub(super) by_line: HashMap<W::Line, Id>,
    pub(super) by_relayed: HashMap<SocketAddr, Id>,
    pub(super) next: Id,
    denied: Denied,
    /// Networks that everybody may reach.
    exempt: Vec<Network>,
    total: Bucket,
    strangers: Strangers,
    pub(super) counts: Counts,
}

/// What became of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Went on to a peer or a client, and their bytes.
    pub relayed: u64,
    pub relayed_bytes: u64,
    /// Were no message.
    pub malformed: u64,
    /// Belonged to no allocation.
    pub strange: u64,
    /// Came from or went to somebody without permission, or to an address of ours where nobody is.
    pub forbidden: u64,
    /// Were more than may pass.
    pub over_rate: u64,
    /// Got no answer, because it would have been larger than what strangers get.
    pub unanswered: u64,
}

/// What is done with a packet.
pub(super) enum Fate<'a, W: World> {
    Nothing,
    /// What was written goes back to whoever sent the packet.
    Answer,
    /// What was written goes to a client.
    ToClient(W::Line),
    /// This part of the packet goes to a peer.
    ToPeer {
        relay: W::Relay,
        peer: SocketAddr,
        data: &'a [u8],
    },
}

impl<W: World> Core<W> {
    /// `realm` and `secret` are those with which credentials are made.
    pub(super) fn new(config: &Config, secret: &[u8], world: &W, now: u64) -> Core<W> {
        let mut key = [0; 32];
        world.fill(&mut key);
        Core {
            credentials: Credentials::new(config.domain.clone(), secret),
            nonces: Nonces::new(key),
            ports: Ports::new(config.turn.relay_ports.clone()),
            allocations: HashMap::new(),
            by_line: HashMap::new(),
            by_relayed: HashMap::new(),
            next: 0,
            denied: Denied::to_peers(config, Vec::new()),
            exempt: config.turn.allow_peers.clone(),
            total: Bucket::new(TOTAL_RATE, TOTAL_BURST, now),
            strangers: Strangers::new(),
            counts: Counts::default(),
        }
    }

    /// The configuration, our addresses or the networks around us are others now. Allocations stay; peers
    /// that may not be reached any more are forgotten.
    pub(super) fn follow(&mut self, world: &W, config: &Config, on_link: Vec<Network>) {
        self.ports.follow(config.turn.relay_ports.clone());
        self.denied = Denied::to_peers(config, on_link);
        self.exempt.clone_from(&config.turn.allow_peers);
        let mut allocations = std::mem::take(&mut self.allocations);
        for allocation in allocations.values_mut() {
            allocation.judge_again(|peer| self.judge(world, peer));
        }
        self.allocations = allocations;
    }

    /// Where a peer is; `None` where it may not be reached.
    pub(super) fn judge(&self, world: &W, peer: IpAddr) -> Option<Reach> {
        let external = world.external(Family::of(peer));
        let is_own = external == Some(peer) || self.by_relayed.keys().any(|it| it.ip() == peer);
        if is_own {
            let is_exempt = self.exempt.iter().any(|it| it.contains(peer));
            return Some(if is_exempt {
                Reach::Both
            } else {
                Reach::Inside
            });
        }
        let sides = [world.source_towards(peer), external];
        let near = |own: IpAddr| self.denied.why_from(own, peer).is_some();
        let is_denied = self.denied.why(peer).is_some() || sides.into_iter().flatten().any(near);
        (!is_denied).then_some(Reach::Outside)
    }

    /// A packet of a client: a datagram, or one message of a stream.
    pub(super) fn hear_client<'a>(
        &mut self,
        world: &W,
        now: u64,
        line: &W::Line,
        bytes: &'a [u8],
        out: &mut Vec<u8>,
    ) -> Fate<'a, W> {
        if let Some(0x40..=0x7f) = bytes.first() {
            let Some((channel, data)) = channel_data(bytes) else {
                self.counts.malformed += 1;
                return Fate::Nothing;
            };
            let peer = |allocation: &Allocation<W>| allocation.behind(channel, now);
            return self.pass_to_peer(now, line, data, peer, out);
        }
        let Some(message) = Message::read(bytes) else {
            self.counts.malformed += 1;
            return Fate::Nothing;
        };
        match (message.class, message.method) {
            (
                Class::Request,
                Method::Binding
                | Method::Allocate
                | Method::Refresh
                | Method::CreatePermission
                | Method::ChannelBind,
            ) => {
                let is_known = self.answer(world, now, line, &message, out);
                let (came, goes) = (bytes.len(), out.len());
                let may_get = is_known
                    || line.is_stream()
                    || self.strangers.may_get(line.client().ip(), came, goes, now);
                if may_get {
                    return Fate::Answer;
                }
                self.counts.unanswered += 1;
                Fate::Nothing
            }
            (Class::Indication, Method::Send) => self.send(now, line, &message, out),
            // It keeps a way open.
            (Class::Indication, Method::Binding) => Fate::Nothing,
            // A method that is not spoken here, one that is no request, or an answer to nobody's question
            // (RFC 8489 §6.3).
            _ => {
                self.counts.malformed += 1;
                Fate::Nothing
            }
        }
    }

    /// A Send indication (RFC 8656 §11.2).
    fn send<'a>(
        &mut self,
        now: u64,
        line: &W::Line,
        message: &Message<'a>,
        out: &mut Vec<u8>,
    ) -> Fate<'a, W> {
        let (mut peer, mut data, mut is_whole) = (None, None, true);
        for (kind, value) in message.attributes() {
            match kind {
                attribute::XOR_PEER_ADDRESS => peer = peer.or(Some(message.address(value))),
                attribute::DATA => data = data.or(Some(value)),
                _ => is_whole &= kind >= attribute::OPTIONAL || super::request::is_known(kind),
            }
        }
        let (Some(peer), Some(data), true) = (peer.flatten(), data, is_whole) else {
            self.counts.malformed += 1;
            return Fate::Nothing;
        };
        let permitted = |allocation: &Allocation<W>| allocation.permitted(peer, now);
        self.pass_to_peer(now, line, data, permitted, out)
    }

    fn pass_to_peer<'a>(
        &mut self,
        now: u64,
        line: &W::Line,
        data: &'a [u8],
        peer: impl FnOnce(&Allocation<W>) -> Option<Peer>,
        out: &mut Vec<u8>,
    ) -> Fate<'a, W> {
        let found = self.by_line.get(line);
        let Some(allocation) = found.and_then(|id| self.allocations.get_mut(id)) else {
            self.counts.strange += 1;
            return Fate::Nothing;
        };
        let Some(peer) = peer(allocation) else {
            self.counts.forbidden += 1;
            return Fate::Nothing;
        };
        let Some(relay) = allocation.relay(Family::of(peer.address.ip())) else {
            self.counts.forbidden += 1;
            return Fate::Nothing;
        };
        let (relay, from) = (relay.socket.clone(), relay.address);
        if !(allocation.bucket.take(data.len(), now) && self.total.take(data.len(), now)) {
            self.counts.over_rate += 1;
            return Fate::Nothing;
        }
        let is_inside = match peer.reach {
            Reach::Outside => false,
            Reach::Inside => true,
            Reach::Both => self.by_relayed.contains_key(&peer.address),
        };
        if is_inside {
            return self.inside(now, from, peer.address, data, out);
        }
        self.counts.relayed += 1;
        self.counts.relayed_bytes += data.len() as u64;
        Fate::ToPeer {
            relay,
            peer: peer.address,
            data,
        }
    }

    /// From one relayed address to another one: two phones behind the same relay. It never leaves the
    /// process; where no relayed address is, there is nobody.
    fn inside<'a>(
        &mut self,
        now: u64,
        from: SocketAddr,
        to: SocketAddr,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Fate<'a, W> {
        let permitted = self.by_relayed.get(&to).copied().filter(|id| {
            let allocation = self.allocations.get(id);
            allocation.is_some_and(|it| it.permitted(from, now).is_some())
        });
        match permitted {
            Some(id) => self.pass_to_client(now, id, from, data, out),
            None => {
                self.counts.forbidden += 1;
                Fate::Nothing
            }
        }
    }

    /// A datagram from a peer (RFC 8656 §11.3).
    pub(super) fn hear_peer<'a>(
        &mut self,
        now: u64,
        id: Id,
        from: SocketAddr,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Fate<'a, W> {
        let allocation = self.allocations.get(&id);
        // What comes over a socket under our own address is somebody else's lie.
        match allocation.and_then(|it| it.permitted(from, now)) {
            Some(peer) if peer.reach != Reach::Inside => {
                self.pass_to_client(now, id, from, data, out)
            }
            _ => {
                self.counts.forbidden += 1;
                Fate::Nothing
            }
        }
    }

    /// Writes the message in which data goes to a client.
    fn pass_to_client<'a>(
        &mut self,
        now: u64,
        id: Id,
        from: SocketAddr,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Fate<'a, W> {
        let Some(allocation) = self.allocations.get_mut(&id) else {
            return Fate::Nothing;
        };
        if !(allocation.bucket.take(data.len(), now) && self.total.take(data.len(), now)) {
            self.counts.over_rate += 1;
            return Fate::Nothing;
        }
        match allocation.channel_of(from, now) {
            Some(channel) => {
                write_channel_data(out, channel, data, allocation.line.is_stream());
            }
            None => {
                // Nobody answers it: it need only differ from the others.
                let mut transaction = [0; 12];
                transaction[4..].copy_from_slice(&self.counts.relayed.to_be_bytes());
                Writer::begin(out, Class::Indication, Method::Data, transaction)
                    .put_address(attribute::XOR_PEER_ADDRESS, from)
                    .put(attribute::DATA, data);
            }
        }
        self.counts.relayed += 1;
        self.counts.relayed_bytes += data.len() as u64;
        Fate::ToClient(allocation.line.clone())
    }

    /// Ends what is over, or whose owner may not relay any more. Returns whether anything is left to look at.
    pub(super) fn tick(&mut self, world: &W, now: u64) -> bool {
        let ids: Vec<Id> = self.allocations.keys().copied().collect();
        for id in ids {
            let allocation = self.allocations.get(&id);
            let is_unwanted = allocation.is_some_and(|it| !world.may_relay(&it.username));
            for family in [Family::V4, Family::V6] {
                let allocation = self.allocations.get(&id);
                let relay = allocation.and_then(|it| it.relay(family));
                if relay.is_some_and(|relay| is_unwanted || relay.until_ms <= now) {
                    self.end(id, family);
                }
            }
            if let Some(allocation) = self.allocations.get_mut(&id) {
                allocation.forget_old(now);
            }
        }
        self.ports.tick(now);
        !self.allocations.is_empty() || self.ports.has_held()
    }

    /// The client's connection is gone, and its allocation with it.
    pub(super) fn gone(&mut self, line: &W::Line) {
        if let Some(&id) = self.by_line.get(line) {
            self.end(id, Family::V4);
            self.end(id, Family::V6);
        }
    }

    /// So are all of these.
    pub(super) fn gone_if(&mut self, is_gone: impl Fn(&W::Line) -> bool) {
        let lines: Vec<_> = self
            .by_line
            .keys()
            .filter(|line| is_gone(line))
            .cloned()
            .collect();
        for line in &lines {
            self.gone(line);
        }
    }

    pub(super) fn has_allocation(&self, line: &W::Line) -> bool {
        self.by_line.contains_key(line)
    }

    /// Gives up a relayed address; without any the allocation is over.
    pub(super) fn end(&mut self, id: Id, family: Family) {
        let Some(allocation) = self.allocations.get_mut(&id) else {
            return;
        };
        if let Some(relay) = allocation.relays[family as usize - 1].take() {
            self.by_relayed.remove(&relay.address);
            self.ports.give_back(relay.address);
            allocation.forget_peers(family);
        }
        if allocation.relays.iter().all(Option::is_none) {
            self.by_line.remove(&allocation.line);
            self.allocations.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;
