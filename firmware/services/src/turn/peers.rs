//! Who may write to an allocation: permissions and channels (RFC 8656 §10.2, §12.2).

use super::{
    core::Core,
    limits::PERMISSIONS_MAX,
    refusal::Refusal,
    request::Asked,
    wire::{Family, attribute},
    world::{Id, World},
};
use std::net::SocketAddr;

impl<W: World> Core<W> {
    /// All addresses of the request, or none of them.
    pub(super) fn create_permission(
        &mut self,
        asked: &Asked<'_, W>,
        id: Id,
    ) -> Result<(), Refusal> {
        let all = asked.message.attributes();
        let mut peers = Vec::new();
        for (_, value) in all.filter(|(kind, _)| *kind == attribute::XOR_PEER_ADDRESS) {
            if peers.len() == PERMISSIONS_MAX {
                return Err(Refusal::InsufficientCapacity);
            }
            let peer = asked.message.address(value).ok_or(Refusal::BadRequest)?;
            peers.push((peer.ip(), self.reachable(asked, id, peer)?));
        }
        let allocation = self.allocations.get_mut(&id);
        let allocation = allocation.ok_or(Refusal::AllocationMismatch)?;
        if peers.is_empty() {
            return Err(Refusal::BadRequest);
        }
        allocation.permit_all(&peers, asked.now)
    }

    pub(super) fn bind_channel(&mut self, asked: &Asked<'_, W>, id: Id) -> Result<(), Refusal> {
        let message = asked.message;
        let number = match message.attribute(attribute::CHANNEL_NUMBER) {
            Some(&[high, low, _, _]) => u16::from_be_bytes([high, low]),
            _ => return Err(Refusal::BadRequest),
        };
        let peer = message.attribute(attribute::XOR_PEER_ADDRESS);
        let peer = peer.and_then(|value| message.address(value));
        let peer = peer.ok_or(Refusal::BadRequest)?;
        if !(0x4000..=0x4fff).contains(&number) || peer.port() == 0 {
            return Err(Refusal::BadRequest);
        }
        let is_own = self.reachable(asked, id, peer)?;
        // A channel stands for one place; at an address of ours somebody must be there.
        if is_own && !self.by_relayed.contains_key(&peer) {
            return Err(Refusal::Forbidden);
        }
        let allocation = self.allocations.get_mut(&id);
        let allocation = allocation.ok_or(Refusal::AllocationMismatch)?;
        allocation.bind(number, peer, is_own, asked.now)
    }

    /// Whether the peer is at one of our own addresses; refuses whom this allocation cannot or may not reach.
    fn reachable(&self, asked: &Asked<'_, W>, id: Id, peer: SocketAddr) -> Result<bool, Refusal> {
        let allocation = self.allocations.get(&id);
        let allocation = allocation.ok_or(Refusal::AllocationMismatch)?;
        if allocation.relay(Family::of(peer.ip())).is_none() {
            return Err(Refusal::PeerAddressFamilyMismatch);
        }
        self.judge(asked.world, peer.ip()).ok_or(Refusal::Forbidden)
    }
}
