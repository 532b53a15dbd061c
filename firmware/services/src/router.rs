//! The router at home: asks it for open ports, keeps them open while this house runs and closes them after,
//! and hears its address outside. PCP, then NAT-PMP, then UPnP; over IPv6 holes in its firewall, where it
//! can.
//!
//! Only the gateway of this machine's own default route is spoken to, and only where it is on a network of
//! this house. State: [`Router`] owns a [`Line`] for each family and tells others what came of it.

mod datagram;
pub mod limits;
mod line;
mod nat_pmp;
mod pcp;
mod port;
mod speaker;
mod upnp;
mod words;

pub use port::{Port, Protocol, Wanted, ports};

use crate::links::Links;
use household::Finding;
use limits::CLOSE_MS_MAX;
use line::Line;
use server::world::Clock;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// What the router does for us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Its address outside, where it tells.
    pub external: Option<Ipv4Addr>,
    /// What it speaks; `None` where it opens no ports.
    pub protocol: Option<&'static str>,
    /// Ports that it lets in over IPv4 and over IPv6.
    pub open: Vec<Port>,
    pub open_v6: Vec<Port>,
    /// For people; empty where nobody asked it for anything.
    pub findings: Vec<Finding>,
}

/// Asks the router.
pub struct Router {
    wanted: watch::Receiver<Wanted>,
    links: watch::Receiver<Arc<Links>>,
    clock: Arc<dyn Clock>,
    /// What makes the numbers of our mappings, the same after a restart.
    secret: Vec<u8>,
    report: watch::Sender<Report>,
}

impl Router {
    /// Nobody is asked before [`Router::keep`].
    pub fn new(
        wanted: watch::Receiver<Wanted>,
        links: watch::Receiver<Arc<Links>>,
        clock: Arc<dyn Clock>,
        secret: &[u8],
    ) -> Router {
        Router {
            wanted,
            links,
            clock,
            secret: secret.to_vec(),
            report: watch::Sender::default(),
        }
    }

    /// What it does, now and from now on.
    pub fn report(&self) -> watch::Receiver<Report> {
        self.report.subscribe()
    }

    /// Opens what is wanted and keeps it open, until `stop` turns true; then closes it.
    pub async fn keep(mut self, mut stop: watch::Receiver<bool>) {
        let mut lines = [Line::new(false), Line::new(true)];
        tokio::select! {
            () = self.work(&mut lines) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        let now = self.clock.elapsed_ms();
        let [v4, v6] = &mut lines;
        let closing = async { tokio::join!(v4.close(now), v6.close(now)) };
        // What is not closed in time ends by itself.
        let _ = timeout(Duration::from_millis(CLOSE_MS_MAX), closing).await;
    }

    async fn work(&mut self, lines: &mut [Line; 2]) {
        let mut around = None;
        let mut wished = Wanted::default();
        loop {
            let wanted = self.wanted.borrow_and_update().clone();
            let links = self.links.borrow_and_update().clone();
            let now = Some(Around::of(&links));
            if now != around {
                around = now;
                lines.iter_mut().for_each(Line::begin_again);
            }
            if wanted != wished {
                wished = wanted.clone();
                lines.iter_mut().for_each(Line::ask_again);
            }
            let clock = &*self.clock;
            let mut due = u64::MAX;
            for at in 0..lines.len() {
                let line = &mut lines[at];
                if is_idle(line.is_v6, &wanted, &links) {
                    line.close(clock.elapsed_ms()).await;
                } else {
                    line.work(&wanted, &links, &self.secret, clock).await;
                    due = due.min(line.due_ms());
                }
                self.publish(lines, &wanted, &links);
            }
            let pause = Duration::from_millis(due.saturating_sub(clock.elapsed_ms()));
            let told = tokio::select! {
                told = self.wanted.changed() => told,
                told = self.links.changed() => told,
                () = sleep(pause), if due != u64::MAX => Ok(()),
            };
            if told.is_err() {
                return; // whoever told is gone, and so is the house
            }
        }
    }

    fn publish(&self, lines: &[Line; 2], wanted: &Wanted, links: &Links) {
        let [v4, v6] = lines;
        let ports = |line: &Line| line.open.iter().map(|held| held.port.clone()).collect();
        let report = Report {
            external: v4.external,
            protocol: v4.protocol().or(v6.protocol()),
            open: ports(v4),
            open_v6: ports(v6),
            findings: words::findings(v4, v6, wanted, links),
        };
        self.report.send_if_modified(|old| {
            let is_news = *old != report;
            *old = report;
            is_news
        });
    }
}

/// Whether there is nobody to ask, or nothing to ask for, over this family.
fn is_idle(is_v6: bool, wanted: &Wanted, links: &Links) -> bool {
    let is_pointless = if is_v6 {
        links.public_v6(None).is_none()
    } else {
        links.towards_router().is_none()
    };
    let asks = !wanted.ports.is_empty() || wanted.asks_address && !is_v6;
    !asks || is_pointless || links.router(is_v6).is_none()
}

/// What of the links makes another router of it.
#[derive(PartialEq, Eq)]
struct Around {
    routers: [Option<(IpAddr, u32)>; 2],
    own: (Option<Ipv4Addr>, Option<Ipv6Addr>),
}

impl Around {
    fn of(links: &Links) -> Around {
        Around {
            routers: [false, true].map(|is_v6| links.router(is_v6)),
            own: (links.towards_router(), links.public_v6(None)),
        }
    }
}
