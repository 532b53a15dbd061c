//! The address under which the world calls this house: found by itself, and followed.
//!
//! Asked are this machine's own interfaces, the router, STUN servers and echoes on the web, as `[address]`
//! says, one family apart from the other. `judge.rs` weighs what they say, `schedule.rs` decides when they
//! are asked; both know neither sockets nor clocks. With the domain `localhost`, or without sources, nothing
//! is sent. State: [`Address`] owns what was found, which everybody else reads.

mod asking;
mod echo;
mod judge;
pub mod limits;
mod looking;
mod schedule;
mod settings;
pub(crate) mod stun;
mod words;

use crate::{http::Http, links::Links};
use household::{Config, Finding};
use looking::Looking;
use server::{
    s2s::resolve::Resolver,
    world::{Clock, Dice},
};
use settings::Settings;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, time::sleep};
use tracing::info;

/// The addresses that others should call; `None` where there is none, or none is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    pub ipv4: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
}

impl Outside {
    /// What the configuration says without anybody being asked.
    pub fn of(config: &Config) -> Outside {
        Outside {
            ipv4: config.public.ipv4,
            ipv6: config.public.ipv6,
        }
    }
}

/// What is known of our addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub outside: Outside,
    /// One or none for each family, for people.
    pub findings: Vec<Finding>,
}

/// What the search is told by others, as it changes.
#[derive(Clone)]
pub struct Heard {
    pub config: watch::Receiver<Arc<Config>>,
    pub links: watch::Receiver<Arc<Links>>,
    /// The address that the router at home has outside, where it tells.
    pub router: watch::Receiver<Option<Ipv4Addr>>,
}

/// What the search asks with.
#[derive(Clone)]
pub struct Tools {
    pub clock: Arc<dyn Clock>,
    pub dice: Arc<dyn Dice>,
    pub http: Http,
    pub resolver: Arc<Resolver>,
}

/// Finds our addresses.
pub struct Address {
    heard: Heard,
    tools: Tools,
    known: watch::Sender<[(Option<IpAddr>, Option<Finding>); 2]>,
    report: watch::Sender<Report>,
}

impl Address {
    /// Nothing is asked before [`Address::keep`].
    pub fn new(heard: Heard, tools: Tools) -> Address {
        let outside = Outside::of(&heard.config.borrow());
        Address {
            heard,
            tools,
            known: watch::Sender::new(Default::default()),
            report: watch::Sender::new(Report {
                outside,
                findings: Vec::new(),
            }),
        }
    }

    /// What is known, now and from now on.
    pub fn report(&self) -> watch::Receiver<Report> {
        self.report.subscribe()
    }

    /// Looks for both addresses and follows them until `stop` turns true.
    pub async fn keep(self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            ((), ()) = async { tokio::join!(self.follow(false), self.follow(true)) } => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    async fn follow(&self, is_v6: bool) {
        let mut heard = self.heard.clone();
        let mut looking = Looking::new(is_v6);
        let mut settings = Settings::default();
        loop {
            let config = heard.config.borrow_and_update().clone();
            let links = heard.links.borrow_and_update().clone();
            let router = *heard.router.borrow_and_update();
            let new = Settings::of(&config, is_v6);
            let now = self.tools.clock.elapsed_ms();
            if new != settings {
                settings = new;
                looking = Looking::new(is_v6);
            }
            looking.see(&links, &settings, router, now);
            if settings.is_looking() {
                asking::ask(&mut looking, &settings, &self.tools).await;
            }
            self.publish(&looking, &settings);
            let now = self.tools.clock.elapsed_ms();
            let pause = Duration::from_millis(looking.at_ms().saturating_sub(now));
            let changed = tokio::select! {
                changed = heard.config.changed() => changed,
                changed = heard.router.changed() => changed,
                changed = heard.links.changed() => changed,
                () = sleep(pause), if settings.is_looking() => Ok(()),
            };
            if changed.is_err() {
                return; // whoever told is gone, and so is the house
            }
        }
    }

    fn publish(&self, looking: &Looking, settings: &Settings) {
        let finding = settings.finding(looking.is_v6, &looking.judge);
        let address = settings.given.or(looking.judge.address());
        self.known
            .send_modify(|known| known[usize::from(looking.is_v6)] = (address, finding));
        let known = self.known.borrow();
        let [v4, v6] = &*known;
        let outside = Outside {
            ipv4: v4.0.and_then(|ip| match ip {
                IpAddr::V4(ip) => Some(ip),
                IpAddr::V6(_) => None,
            }),
            ipv6: v6.0.and_then(|ip| match ip {
                IpAddr::V6(ip) => Some(ip),
                IpAddr::V4(_) => None,
            }),
        };
        let findings = [v4, v6].into_iter().filter_map(|it| it.1.clone()).collect();
        let new = Report { outside, findings };
        self.report.send_if_modified(|old| {
            if old.outside != new.outside {
                info!(ipv4 = ?outside.ipv4, ipv6 = ?outside.ipv6, "the address of this house");
            }
            let is_other = *old != new;
            *old = new;
            is_other
        });
    }
}
