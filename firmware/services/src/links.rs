//! The links of this machine as its kernel has them: which addresses are ours, which way leads out, and that
//! something about it changed. Shared ground of the services, like HTTP. State: none but the socket that
//! [`Changes`] hears the kernel on.

mod netlink;

pub use netlink::{Changes, read};

use crate::limits::{LINK_LOOK_MS, LINK_SETTLE_MS};
use household::denied;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, time::sleep};
use tracing::{debug, warn};

/// An address of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAddress {
    pub ip: IpAddr,
    /// The number of its interface.
    pub interface: u32,
    /// For a day or so, and for nobody to call us by (RFC 8981).
    pub is_temporary: bool,
    /// No longer to be used (RFC 4862 §5.5.4), or never has been: a neighbour may have it.
    pub is_passing: bool,
}

/// A route to everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WayOut {
    pub is_v6: bool,
    /// Who passes packets on; `None` where the link itself does, as with PPP.
    pub gateway: Option<IpAddr>,
    pub interface: u32,
    /// The smallest one is taken.
    pub metric: u32,
}

/// What there is at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    pub addresses: Vec<LinkAddress>,
    pub ways_out: Vec<WayOut>,
}

impl Links {
    /// The route that packets to everywhere take.
    pub fn way_out(&self, is_v6: bool) -> Option<&WayOut> {
        let mut ways: Vec<&WayOut> = self.ways_out.iter().collect();
        ways.retain(|way| way.is_v6 == is_v6);
        ways.into_iter().min_by_key(|way| way.metric)
    }

    /// Our addresses on the link that leads out and that the whole world could call: public ones, and of IPv6
    /// those that stay.
    pub fn public(&self, is_v6: bool) -> impl Iterator<Item = IpAddr> {
        let out = self.way_out(is_v6).map(|way| way.interface);
        let here = move |it: &&LinkAddress| {
            Some(it.interface) == out
                && it.ip.is_ipv6() == is_v6
                && !it.is_temporary
                && !it.is_passing
                && denied::kind(it.ip).is_none()
        };
        self.addresses.iter().filter(here).map(|it| it.ip)
    }

    /// The router at home: the way out, where it is on a network of this house and not somebody else's. Of
    /// IPv6 it goes by an address of its link alone.
    pub fn router(&self, is_v6: bool) -> Option<(IpAddr, u32)> {
        let way = self.way_out(is_v6)?;
        let gateway = way.gateway?;
        let is_home = match gateway {
            IpAddr::V4(gateway) => gateway.is_private(),
            IpAddr::V6(gateway) => gateway.is_unicast_link_local(),
        };
        is_home.then_some((gateway, way.interface))
    }

    /// The address that the router knows this machine by.
    pub fn towards_router(&self) -> Option<Ipv4Addr> {
        let (_, interface) = self.router(false)?;
        let mut here = self.addresses.iter();
        let own = here.find(|it| it.interface == interface && it.ip.is_ipv4() && !it.is_passing)?;
        match own.ip {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        }
    }

    /// The IPv6 address that the world calls us by: the one that it was, while it is there, else the first.
    pub fn public_v6(&self, before: Option<Ipv6Addr>) -> Option<Ipv6Addr> {
        let all = || {
            self.public(true).filter_map(|ip| match ip {
                IpAddr::V6(ip) => Some(ip),
                IpAddr::V4(_) => None,
            })
        };
        before
            .filter(|old| all().any(|ip| ip == *old))
            .or_else(|| all().min())
    }

    /// The same of IPv4.
    pub fn public_v4(&self, before: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let all = || {
            self.public(false).filter_map(|ip| match ip {
                IpAddr::V4(ip) => Some(ip),
                IpAddr::V6(_) => None,
            })
        };
        before
            .filter(|old| all().any(|ip| ip == *old))
            .or_else(|| all().min())
    }
}

/// Reads the links again whenever the kernel tells that something changed, until `stop` turns true.
pub async fn follow(links: watch::Sender<Arc<Links>>, mut stop: watch::Receiver<bool>) {
    let following = async {
        let mut changes = Changes::hear();
        if let Err(error) = &changes {
            warn!(%error, "changes of the network are not told: it is looked at again and again");
        }
        loop {
            match read() {
                Ok(now) => {
                    links.send_if_modified(|known| {
                        let is_news = **known != now;
                        *known = Arc::new(now);
                        is_news
                    });
                }
                // Said once: whoever may not hear may not read either.
                Err(error) => debug!(%error, "the addresses of this machine cannot be read"),
            }
            match &mut changes {
                Ok(told) => {
                    if told.next().await.is_err() {
                        changes = Changes::hear();
                    }
                    // An interface that comes up changes ten times within a second.
                    sleep(Duration::from_millis(LINK_SETTLE_MS)).await;
                }
                Err(_) => {
                    sleep(Duration::from_millis(LINK_LOOK_MS)).await;
                    changes = Changes::hear();
                }
            }
        }
    };
    tokio::select! {
        () = following => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(ip: &str, interface: u32) -> LinkAddress {
        LinkAddress {
            ip: ip.parse().unwrap(),
            interface,
            is_temporary: false,
            is_passing: false,
        }
    }

    fn way(gateway: Option<&str>, is_v6: bool, interface: u32, metric: u32) -> WayOut {
        WayOut {
            is_v6,
            gateway: gateway.map(|it| it.parse().unwrap()),
            interface,
            metric,
        }
    }

    #[test]
    fn only_what_stays_and_leads_out_is_public() {
        let temporary = LinkAddress {
            is_temporary: true,
            ..address("2a02::1", 2)
        };
        let deprecated = LinkAddress {
            is_passing: true,
            ..address("2a02::2", 2)
        };
        let links = Links {
            addresses: vec![
                temporary,
                deprecated,
                address("fd00::1", 2),
                address("fe80::1", 2),
                address("2a02::9", 2),
                address("2a02::8", 2),
                address("2a03::3", 3),
                address("192.168.1.7", 2),
                address("9.9.9.9", 3),
            ],
            ways_out: vec![
                way(Some("fe80::ff"), true, 2, 100),
                way(Some("fe80::fe"), true, 3, 200),
                way(Some("192.168.1.1"), false, 2, 0),
            ],
        };
        assert_eq!(links.public_v6(None), "2a02::8".parse().ok());
        let before = "2a02::9".parse().ok();
        assert_eq!(
            links.public_v6(before),
            before,
            "it stays while it is there"
        );
        assert_eq!(
            links.public_v6("2a02::1".parse().ok()),
            "2a02::8".parse().ok()
        );
        assert_eq!(links.public_v4(None), None);
        assert_eq!(links.towards_router(), "192.168.1.7".parse().ok());
        assert_eq!(links.router(true).unwrap().0.to_string(), "fe80::ff");
    }

    #[test]
    fn a_router_is_at_home_or_none() {
        for (gateway, is_home) in [
            (Some("192.168.1.1"), true),
            (Some("10.0.0.1"), true),
            (Some("172.31.0.1"), true),
            (Some("100.64.0.1"), false),
            (Some("9.9.9.1"), false),
            (Some("169.254.1.1"), false),
            (None, false),
        ] {
            let links = Links {
                ways_out: vec![way(gateway, false, 2, 0)],
                ..Links::default()
            };
            assert_eq!(links.router(false).is_some(), is_home, "{gateway:?}");
        }
        let links = Links {
            ways_out: vec![way(Some("2a02::1"), true, 2, 0)],
            ..Links::default()
        };
        assert_eq!(links.router(true), None);
    }
}
