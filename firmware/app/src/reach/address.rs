//! The address outside and the router at home: runs the two services, and tells whoever needs to know.
//! Changes reach the relay and the connections to other servers; what apps are told (XEP-0215) is a name and
//! stays.
//!
//! State: [`Reach`] owns the tasks and what they read; [`Outlook`] is what others see of it.

use crate::{
    around,
    control::protocol::Listeners,
    doors::Network,
    house::House,
    machine::{MachineClock, MachineDice},
};
use household::{Config, Finding, Level};
use server::s2s::resolve::Resolver;
use services::{
    address::{self, Address, Heard, Outside},
    check::{self, Facts},
    dns::zone as records,
    http::Http,
    links::{self, Links},
    router::{self, Router, Wanted},
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::{sync::watch, task::JoinHandle};

pub(crate) struct Reach {
    config: watch::Sender<Arc<Config>>,
    wanted: watch::Sender<Wanted>,
    resolver: Arc<Resolver>,
    outlook: Outlook,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// What is known of the way in.
#[derive(Clone)]
pub(crate) struct Outlook {
    links: watch::Receiver<Arc<Links>>,
    /// The addresses outside, for records and whoever else follows them.
    pub(crate) address: watch::Receiver<address::Report>,
    router: watch::Receiver<router::Report>,
}

impl Reach {
    /// Starts to look. Nobody is asked whom the configuration does not name.
    pub(crate) fn start(house: &Arc<House>, network: Network, listeners: &Listeners) -> Reach {
        let config = house.server.config();
        let (links, stop) = (
            watch::Sender::new(Arc::default()),
            watch::Sender::new(false),
        );
        let wanted = watch::Sender::new(wanted(&config, listeners));
        let resolver = Arc::new(Resolver::new(config.resolver.nameservers.clone()));
        let configs = watch::Sender::new(config);
        let clock = Arc::new(MachineClock::start());
        // What routers know our mappings by: the same after a restart.
        let secret = house.server.call_secret();
        let secret = secret.as_ref().map_or(&[][..], |secret| secret.as_ref());
        let router = Router::new(wanted.subscribe(), links.subscribe(), clock.clone(), secret);
        let (external, external_of) = watch::channel(None);
        let heard = Heard {
            config: configs.subscribe(),
            links: links.subscribe(),
            router: external_of,
        };
        let believed = configs.subscribe();
        let authorities = move || super::authorities(&believed.borrow());
        let tools = address::Tools {
            clock,
            dice: Arc::new(MachineDice),
            http: Http::new(resolver.clone(), Arc::new(authorities)),
            resolver: resolver.clone(),
        };
        let address = Address::new(heard, tools);
        let outlook = Outlook {
            links: links.subscribe(),
            address: address.report(),
            router: router.report(),
        };
        let tasks = vec![
            tokio::spawn(links::follow(links, stop.subscribe())),
            tokio::spawn(hand_on(outlook.router.clone(), external)),
            tokio::spawn(tell(
                house.clone(),
                network,
                configs.subscribe(),
                outlook.clone(),
            )),
            tokio::spawn(address.keep(stop.subscribe())),
            tokio::spawn(router.keep(stop.subscribe())),
        ];
        Reach {
            config: configs,
            wanted,
            resolver,
            outlook,
            stop,
            tasks,
        }
    }

    /// What is known of the way in, now and from now on.
    pub(crate) fn outlook(&self) -> Outlook {
        self.outlook.clone()
    }

    /// Configuration and listeners are others now.
    pub(crate) fn follow(&self, config: Arc<Config>, listeners: &Listeners) {
        self.resolver.follow(&config.resolver.nameservers);
        self.wanted.send_replace(wanted(&config, listeners));
        self.config.send_replace(config);
    }

    /// Closes what the router opened.
    pub(crate) async fn end(self) {
        self.stop.send_replace(true);
        let mut tasks = self.tasks;
        // The router's is the last one, and the only one that has something left to do.
        if let Some(closing) = tasks.pop() {
            let _ = closing.await;
        }
        tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Outlook {
    fn facts(&self, config: &Config, listeners: &Listeners) -> Facts {
        Facts {
            domain: config.domain.clone(),
            bound: listeners.clone(),
            ports: ports(config, listeners),
            outside: self.address.borrow().outside,
            router: self.router.borrow().clone(),
            links: self.links.borrow().clone(),
        }
    }

    /// `hearth check ports`: what is known of the address and the router, and every port tried.
    pub(crate) async fn check_ports(&self, house: &House, listeners: &Listeners) -> Vec<Finding> {
        let mut findings = self.address.borrow().findings.clone();
        findings.extend(self.router.borrow().findings.clone());
        let facts = self.facts(&house.server.config(), listeners);
        findings.extend(check::ports(&facts, &tools(house)).await);
        findings
    }

    /// `hearth check turn`.
    pub(crate) async fn check_turn(&self, house: &House, listeners: &Listeners) -> Vec<Finding> {
        let facts = self.facts(&house.server.config(), listeners);
        check::turn(&facts, &tools(house)).await
    }
}

fn tools(house: &House) -> check::Tools {
    check::Tools {
        tls: house.tls.identity().dialer(true),
        dice: Arc::new(MachineDice),
    }
}

fn ports(config: &Config, listeners: &Listeners) -> Vec<router::Port> {
    let bound = listeners.iter().flat_map(|(name, addresses)| {
        let addresses = addresses.iter();
        addresses.map(move |address: &SocketAddr| (&**name, address))
    });
    router::ports(config, bound)
}

fn wanted(config: &Config, listeners: &Listeners) -> Wanted {
    Wanted::of(config, ports(config, listeners))
}

/// The router's address outside is what the search for ours hears of it.
async fn hand_on(
    mut router: watch::Receiver<router::Report>,
    external: watch::Sender<Option<std::net::Ipv4Addr>>,
) {
    loop {
        let address = router.borrow_and_update().external;
        external.send_if_modified(|known| std::mem::replace(known, address) != address);
        if router.changed().await.is_err() {
            // Whoever waits for it waits on.
            external.closed().await;
            return;
        }
    }
}

/// Tells everybody of changes: the relay, the connections to other servers, and people.
async fn tell(
    house: Arc<House>,
    network: Network,
    mut config: watch::Receiver<Arc<Config>>,
    outlook: Outlook,
) {
    let Outlook {
        mut links,
        mut address,
        mut router,
    } = outlook;
    let mut known = Outside::default();
    let mut here: Vec<IpAddr> = Vec::new();
    let mut told = None;
    loop {
        // Who reads the configuration again forgets what is around.
        let is_forgotten = config.has_changed().unwrap_or(false);
        config.mark_unchanged();
        let now = staying(&links.borrow_and_update());
        let report = address.borrow_and_update().clone();
        let around = (around::on_link(), report.outside);
        if is_forgotten || told.as_ref() != Some(&around) {
            network.changed(around.0.clone(), report.outside);
            house.names.dns.addresses(records::Outside {
                ipv4: report.outside.ipv4.into(),
                ipv6: report.outside.ipv6.into(),
            });
            told = Some(around);
        }
        let has_left = here.iter().any(|ip| !now.contains(ip));
        let new = report.outside;
        if has_left || is_other(known.ipv4, new.ipv4) || is_other(known.ipv6, new.ipv6) {
            house.server.renew_remotes();
        }
        known = Outside {
            ipv4: new.ipv4.or(known.ipv4),
            ipv6: new.ipv6.or(known.ipv6),
        };
        here = now;
        say(&house, "address", &report.findings);
        say(&house, "router", &router.borrow_and_update().findings);
        let changed = tokio::select! {
            changed = config.changed() => { config.mark_changed(); changed }
            changed = links.changed() => changed,
            changed = address.changed() => changed,
            changed = router.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Whether one address became another; one that is unknown is none.
fn is_other<T: PartialEq>(known: Option<T>, now: Option<T>) -> bool {
    now.is_some() && known.is_some() && now != known
}

/// The addresses that connections may stand on for long.
fn staying(links: &Links) -> Vec<IpAddr> {
    let staying = links.addresses.iter();
    let staying = staying.filter(|it| !it.is_temporary && !it.is_passing && !it.ip.is_loopback());
    staying.map(|it| it.ip).collect()
}

/// The worst of it is the health of this part. A house that asks nobody has none.
fn say(house: &House, part: &'static str, findings: &[Finding]) {
    let config = house.server.config();
    let is_off = config.domain == "localhost"
        || match part {
            "router" => !config.router.enabled,
            _ => config.address.sources.is_empty(),
        };
    if is_off {
        if house.has_said(part) {
            house.say(part, Level::Ok, "nobody is asked".to_owned());
        }
        return;
    }
    let Some(level) = findings.iter().map(|finding| finding.level).max() else {
        return;
    };
    let worst = findings.iter().filter(|finding| finding.level == level);
    let texts: Vec<&str> = worst.map(|finding| &*finding.text).collect();
    // What is missing outside does not stop the house inside.
    house.say(part, level.min(Level::Warn), texts.join("; "));
}
