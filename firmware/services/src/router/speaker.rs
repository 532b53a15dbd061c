//! Whichever protocol the router speaks, behind one face. Owns the one that was found.

use super::{
    datagram::Datagrams,
    nat_pmp::NatPmp,
    pcp::Pcp,
    port::{Lease, Port, Refusal},
    upnp::{Firewall, Gateway},
};
use crate::links::Links;
use std::net::{IpAddr, Ipv4Addr};

pub(super) enum Speaker {
    Pcp(Box<Pcp>),
    NatPmp(NatPmp),
    Gateway(Gateway),
    Firewall(Firewall),
}

/// The protocols, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pcp,
    NatPmp,
    Upnp,
}

pub(super) const KINDS_V4: [Kind; 3] = [Kind::Pcp, Kind::NatPmp, Kind::Upnp];
pub(super) const KINDS_V6: [Kind; 2] = [Kind::Pcp, Kind::Upnp];

/// What a look at the router, or a port that it opened, tells beside.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) external: Option<Ipv4Addr>,
    /// It has started again and forgotten what it opened.
    pub(super) is_lost: bool,
}

impl Speaker {
    /// Tries to find somebody who speaks this.
    pub(super) async fn find(
        kind: Kind,
        is_v6: bool,
        links: &Links,
        secret: &[u8],
    ) -> Option<Speaker> {
        let near = links.towards_router();
        match (kind, is_v6) {
            (Kind::Pcp, _) => {
                let (router, interface) = links.router(is_v6)?;
                let own = if is_v6 {
                    links.public_v6(None)?.into()
                } else {
                    IpAddr::V4(near?)
                };
                let datagrams = Datagrams::open(own, router, interface).await.ok()?;
                Some(Speaker::Pcp(Box::new(Pcp::new(datagrams, own, secret))))
            }
            (Kind::NatPmp, _) => {
                let (router, interface) = links.router(false)?;
                let own = IpAddr::V4(near?);
                let datagrams = Datagrams::open(own, router, interface).await.ok()?;
                Some(Speaker::NatPmp(NatPmp::new(datagrams)))
            }
            (Kind::Upnp, _) => {
                let (IpAddr::V4(router), _) = links.router(false)? else {
                    return None;
                };
                if !is_v6 {
                    return Some(Speaker::Gateway(Gateway::find(router, near?).await?));
                }
                let own = links.public_v6(None)?;
                let firewall = Firewall::find(router, near?, own).await?;
                Some(Speaker::Firewall(firewall))
            }
        }
    }

    /// For people.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Speaker::Pcp(_) => "PCP",
            Speaker::NatPmp(_) => "NAT-PMP",
            Speaker::Gateway(_) | Speaker::Firewall(_) => "UPnP",
        }
    }

    /// Opens a port, or keeps it open.
    pub(super) async fn map(
        &mut self,
        port: &Port,
        seconds: u32,
        now_s: u64,
    ) -> (Result<Lease, Refusal>, Told) {
        let nothing = Told::default();
        match self {
            Speaker::Pcp(pcp) => {
                let said = pcp.map(port, seconds, now_s).await;
                if matches!(said.outcome, Err(Refusal::Taken(_))) {
                    // What it gave instead is of no use to anybody.
                    pcp.map(port, 0, now_s).await;
                }
                let external = match said.external {
                    Some(IpAddr::V4(address)) => Some(address),
                    _ => None,
                };
                let is_lost = said.is_lost;
                (said.outcome, Told { external, is_lost })
            }
            Speaker::NatPmp(pmp) => {
                let (outcome, is_lost) = pmp.map(port, seconds, now_s).await;
                if matches!(outcome, Err(Refusal::Taken(_))) {
                    let _ = pmp.map(port, 0, now_s).await;
                }
                let told = Told { is_lost, ..nothing };
                (outcome, told)
            }
            Speaker::Gateway(gateway) => (gateway.map(port, seconds).await, nothing),
            Speaker::Firewall(firewall) => (firewall.map(port, seconds).await, nothing),
        }
    }

    /// Closes a port. What cannot be closed ends by itself.
    pub(super) async fn unmap(&mut self, port: &Port, now_s: u64) {
        let _ = match self {
            Speaker::Pcp(pcp) => pcp.map(port, 0, now_s).await.outcome.map(|_| ()),
            Speaker::NatPmp(pmp) => pmp.map(port, 0, now_s).await.0.map(|_| ()),
            Speaker::Gateway(gateway) => gateway.unmap(port).await,
            Speaker::Firewall(firewall) => firewall.unmap(port).await,
        };
    }

    /// Looks whether the router is as it was; `first` is a port that it opened for `seconds`.
    pub(super) async fn look(
        &mut self,
        first: Option<&Port>,
        seconds: u32,
        now_s: u64,
    ) -> Result<Told, Refusal> {
        match self {
            // §11.6: nothing but a mapping tells the address.
            Speaker::Pcp(_) => match first {
                Some(port) => {
                    let (outcome, told) = self.map(port, seconds, now_s).await;
                    outcome.map(|_| told)
                }
                None => Ok(Told::default()),
            },
            Speaker::NatPmp(pmp) => {
                let (external, is_lost) = pmp.look(now_s).await?;
                let external = Some(external);
                Ok(Told { external, is_lost })
            }
            Speaker::Gateway(gateway) => {
                let external = Some(gateway.external().await?);
                let is_lost = match first {
                    Some(port) => !gateway.has(port).await,
                    None => false,
                };
                Ok(Told { external, is_lost })
            }
            Speaker::Firewall(firewall) => match first {
                Some(port) => firewall.map(port, seconds).await.map(|_| Told::default()),
                None => Ok(Told::default()),
            },
        }
    }
}
