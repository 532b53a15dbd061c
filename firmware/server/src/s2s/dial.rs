//! Reaching the server of a domain: one connected socket after another, the best first (RFC 6120 §3.2,
//! RFC 8305, XEP-0495).
//!
//! State: a [`Dialer`] owns the resolver and the table of addresses that are never dialled; a [`Dialing`]
//! owns what is left to try for one domain, and the lookups and attempts under way, which end with it.

mod attempt;
mod fault;
pub mod limits;
mod source;

use super::{
    dane::Tlsa,
    resolve::{Endpoint, Family, NoAnswer, PORT, Resolver},
};
use crate::world::Dice;
use arc_swap::ArcSwap;
use attempt::{Attempts, Candidate, Event, Looked, Rank};
use fault::{Fault, Faults};
use household::{
    Config,
    config::Network,
    denied::{Denied, Kind},
};
use limits::{
    ANSWERING_DIALS_MAX, ATTEMPT_DELAY_MS, ATTEMPT_MS_MAX, DIAL_MS_MAX, DIALS_MAX, REACH_MS_MAX,
    RESOLUTION_DELAY_MS, TURN_MS_MAX,
};
use rustls_pki_types::ServerName;
use std::{
    collections::VecDeque,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until, timeout},
};

/// Dials other servers. A clone is the same one.
#[derive(Clone)]
pub struct Dialer(Arc<Inner>);

struct Inner {
    resolver: Resolver,
    denied: ArcSwap<Denied>,
    around: Mutex<Around>,
    dice: Arc<dyn Dice>,
    patience: Patience,
    turns: Arc<Semaphore>,
    /// Those of calls that only answer.
    answering: Arc<Semaphore>,
    /// From which address of ours packets for another one would go.
    source: fn(SocketAddr) -> Option<IpAddr>,
}

/// What decides which addresses are denied.
struct Around {
    config: Config,
    on_link: Vec<Network>,
}

/// How long is waited for what. The default is that of [`limits`].
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For one attempt to connect.
    pub attempt: Duration,
    /// For all attempts of one dialling.
    pub whole: Duration,
    /// Between the beginnings of two attempts.
    pub stagger: Duration,
    /// For addresses that should come before those that are there.
    pub resolution: Duration,
    /// For a turn.
    pub turn: Duration,
    /// After which no further address is tried.
    pub reach: Duration,
}

/// What is left to try for one domain.
pub struct Dialing {
    inner: Arc<Inner>,
    domain: String,
    /// Places not looked up yet, in order.
    later: VecDeque<Endpoint>,
    attempts: Attempts,
    faults: Faults,
    left: Duration,
    /// Until when addresses are tried.
    until: Instant,
    turns: Arc<Semaphore>,
    turn: Option<OwnedSemaphorePermit>,
}

/// A connection on which nothing was said yet.
#[derive(Debug)]
pub struct Dialed {
    pub tcp: TcpStream,
    pub address: SocketAddr,
    /// TLS from the first byte (XEP-0368), not STARTTLS.
    pub direct: bool,
    /// The host that was dialled, in A-labels: another name for the certificate where `dnssec`.
    pub host: String,
    /// That this host is one of the domain's has a DNSSEC proof (RFC 7673 §4.1).
    pub dnssec: bool,
    /// What the certificate must match (RFC 7673 §4), see [`super::dane::judge`].
    pub tlsa: Vec<Tlsa>,
}

/// Why no server of a domain could be reached, in plain words for the log and for pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// There is none: `remote-server-not-found`.
    NotFound(String),
    /// There may be one, now or later: `remote-server-timeout`.
    Timeout(String),
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Unreachable::NotFound(why) | Unreachable::Timeout(why)) = self;
        f.write_str(why)
    }
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            attempt: Duration::from_millis(ATTEMPT_MS_MAX),
            whole: Duration::from_millis(DIAL_MS_MAX),
            stagger: Duration::from_millis(ATTEMPT_DELAY_MS),
            resolution: Duration::from_millis(RESOLUTION_DELAY_MS),
            turn: Duration::from_millis(TURN_MS_MAX),
            reach: Duration::from_millis(REACH_MS_MAX),
        }
    }
}

impl Dialer {
    /// A dialer for this configuration. Nothing is asked before the first domain is dialled.
    pub fn new(config: &Config, dice: Arc<dyn Dice>) -> Dialer {
        let resolver = Resolver::new(config.resolver.nameservers.clone());
        Dialer::with(config, dice, resolver, Patience::default())
    }

    /// The same with another resolver and another patience.
    pub fn with(
        config: &Config,
        dice: Arc<dyn Dice>,
        resolver: Resolver,
        patience: Patience,
    ) -> Dialer {
        Dialer(Arc::new(Inner {
            resolver,
            denied: ArcSwap::from_pointee(Denied::to_servers(config, Vec::new())),
            around: Mutex::new(Around {
                config: config.clone(),
                on_link: Vec::new(),
            }),
            dice,
            patience,
            turns: Arc::new(Semaphore::new(DIALS_MAX)),
            answering: Arc::new(Semaphore::new(ANSWERING_DIALS_MAX)),
            source: source::towards,
        }))
    }

    /// The network is another one now: forgets the answers of name servers, and denies these networks, which
    /// are on our links or were delegated to the house.
    pub fn network_changed(&self, on_link: Vec<Network>) {
        self.look_around(|around| around.on_link = on_link);
        self.0.resolver.forget();
    }

    /// The configuration is another one now.
    pub fn follow(&self, config: &Config) {
        self.look_around(|around| around.config = config.clone());
        self.0.resolver.follow(&config.resolver.nameservers);
    }

    fn look_around(&self, change: impl FnOnce(&mut Around)) {
        let around = &mut *self.0.around.lock().unwrap_or_else(PoisonError::into_inner);
        change(around);
        let denied = Denied::to_servers(&around.config, around.on_link.clone());
        self.0.denied.store(Arc::new(denied));
    }

    /// Finds out where the server of a domain is. Waits while [`DIALS_MAX`] others are being dialled.
    pub async fn begin(&self, domain: &str) -> Result<Dialing, Unreachable> {
        self.start(domain, &self.0.turns).await
    }

    /// The same for nothing but an answer to somebody there: of these fewer are dialled at a time, apart from
    /// the others, since strangers decide how many there are.
    pub async fn begin_to_answer(&self, domain: &str) -> Result<Dialing, Unreachable> {
        self.start(domain, &self.0.answering).await
    }

    /// Whether certificates of a domain's server are in a signed DNS, for one of its places at least (RFC
    /// 7673 §3.3). `None` where nobody knows now.
    pub async fn publishes(&self, domain: &str) -> Option<bool> {
        let inner = self.0.clone();
        if literal(domain).is_some() {
            return Some(false);
        }
        let _turn = inner.turn(&inner.answering).await?;
        let endpoints = match inner.resolver.endpoints(domain, &*inner.dice).await {
            Ok(endpoints) => endpoints,
            Err(NoAnswer::Nothing) => return Some(false),
            Err(_) => return None,
        };
        for endpoint in endpoints.iter().filter(|endpoint| endpoint.secure) {
            match inner.resolver.host(&endpoint.host, endpoint.port).await {
                Ok(host) if host.tlsa.is_empty() => {}
                Ok(_) => return Some(true),
                Err(NoAnswer::Nothing) => {}
                Err(_) => return None,
            }
        }
        Some(false)
    }

    async fn start(&self, domain: &str, turns: &Arc<Semaphore>) -> Result<Dialing, Unreachable> {
        let inner = self.0.clone();
        let faults = Faults::new(domain);
        if tls_name(domain).is_none() {
            return Err(Unreachable::NotFound(format!(
                "{domain} is not a name that a certificate can have"
            )));
        }
        let Some(turn) = inner.turn(turns).await else {
            return Err(faults.with(Fault::NoTurn).why());
        };
        let until = Instant::now() + inner.patience.reach;
        let endpoints = match literal(domain) {
            Some(address) => Ok(vec![Endpoint {
                host: address.to_string(),
                port: PORT,
                direct: false,
                priority: 0,
                secure: false,
            }]),
            None => inner.resolver.endpoints(domain, &*inner.dice).await,
        };
        match endpoints {
            Ok(endpoints) => Ok(Dialing {
                domain: domain.to_owned(),
                later: endpoints.into(),
                attempts: Attempts::default(),
                faults,
                left: inner.patience.whole,
                until,
                turns: turns.clone(),
                turn: Some(turn),
                inner,
            }),
            Err(NoAnswer::Nothing) => Err(Unreachable::NotFound(format!(
                "{domain} is no server for others: its name servers say so"
            ))),
            Err(other) => Err(faults.with(Fault::no_answer(domain, other)).why()),
        }
    }
}

impl Inner {
    /// `None` when it does not come in time.
    async fn turn(&self, turns: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let turn = timeout(self.patience.turn, turns.clone().acquire_owned());
        turn.await.ok()?.ok()
    }

    /// Why an address is not dialled: by the table, and by what is around this machine now.
    fn denies(&self, address: SocketAddr) -> Option<Kind> {
        let denied = self.denied.load();
        match (self.source)(address) {
            Some(own) => denied.why_from(own, address.ip()),
            None => denied.why(address.ip()),
        }
    }
}

impl Dialing {
    /// The next socket that connected; `None` when all failed, or none may be tried any more. For a caller
    /// that could not use the one before; of the time for attempts the caller takes nothing.
    pub async fn next(&mut self) -> Option<Dialed> {
        if self.turn.is_none() {
            self.turn = self.inner.turn(&self.turns).await;
            if self.turn.is_none() {
                self.faults.add(Fault::NoTurn);
                return None;
            }
        }
        let began = Instant::now();
        let left = self.left.min(self.until.saturating_duration_since(began));
        let dialed = timeout(left, self.connect()).await;
        self.left = self.left.saturating_sub(began.elapsed());
        if dialed.is_err() {
            self.faults.add(Fault::NoTime);
        }
        // What was under way may be tried again, from the start: no socket waits for a caller.
        self.attempts.withdraw();
        self.turn = None;
        dialed.ok().flatten()
    }

    /// Why there is no further socket.
    pub fn why(self) -> Unreachable {
        self.faults.why()
    }

    /// The domain being dialled.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    async fn connect(&mut self) -> Option<Dialed> {
        let patience = self.inner.patience;
        // When the next attempt may begin.
        let mut pace = Instant::now();
        loop {
            // What needs no lookup may be over at once: denied.
            while self.attempts.are_over() {
                if !self.look_up_next() {
                    return None;
                }
            }
            let start = self.attempts.start(pace, patience.resolution);
            tokio::select! {
                biased;
                event = self.attempts.event() => match event {
                    Event::Connected(candidate, tcp) => return Some(candidate.dialed(tcp)),
                    // RFC 8305 §5: a failure lets the next one begin at once.
                    Event::Failed(candidate, error) => {
                        self.faults.add(candidate.fault(&error));
                        pace = Instant::now();
                    }
                    Event::Looked(looked) => self.learn(looked),
                    Event::Nothing => {}
                },
                () = sleep_until(start.unwrap_or(pace)), if start.is_some() => {
                    self.attempts.begin(patience.attempt);
                    pace = Instant::now() + patience.stagger;
                }
            }
        }
    }

    /// Looks up all places of the next priority (XEP-0495 §4.1 and §4.2). False when there are none.
    fn look_up_next(&mut self) -> bool {
        let Some(priority) = self.later.front().map(|endpoint| endpoint.priority) else {
            return false;
        };
        while let Some(endpoint) = self.later.pop_front_if(|it| it.priority == priority) {
            let endpoint = Arc::new(endpoint);
            if let Ok(address) = endpoint.host.parse() {
                // Nobody needs to be asked about an address.
                let looked = self.attempts.known(endpoint, address);
                self.learn(looked);
            } else {
                self.attempts.look_up(&self.inner, &endpoint);
            }
        }
        true
    }

    fn learn(&mut self, looked: Looked) {
        let host = &looked.endpoint.host;
        match looked.outcome {
            Err(NoAnswer::Nothing) => self.faults.add(Fault::NoAddress(host.clone())),
            Err(other) => self.faults.add(Fault::no_answer(host, other)),
            Ok(known) if known.addresses.is_empty() => {
                self.faults.add(Fault::NoAddress(host.clone()));
            }
            Ok(known) => {
                for (place, family, address) in placed(&known.addresses) {
                    // Judged here, where it came out of the DNS, and dialled as it is: a name that points
                    // somewhere else the next time gains nothing.
                    let at = SocketAddr::new(address, looked.endpoint.port);
                    if let Some(kind) = self.inner.denies(at) {
                        self.faults.add(Fault::Denied(host.clone(), address, kind));
                        continue;
                    }
                    let rank = Rank {
                        endpoint: looked.number,
                        place,
                        family,
                    };
                    self.attempts.add(
                        rank,
                        Candidate {
                            address: at,
                            endpoint: looked.endpoint.clone(),
                            tlsa: known.tlsa.clone(),
                        },
                    );
                }
            }
        }
    }
}

/// The addresses of one host with their numbers within their families, which take turns by these (RFC 8305
/// §4).
fn placed(addresses: &[IpAddr]) -> impl Iterator<Item = (usize, Family, IpAddr)> {
    let (mut v6, mut v4) = (0.., 0..);
    addresses.iter().filter_map(move |address| {
        let (family, places) = match address {
            IpAddr::V6(_) => (Family::V6, &mut v6),
            IpAddr::V4(_) => (Family::V4, &mut v4),
        };
        Some((places.next()?, family, *address))
    })
}

/// What TLS calls a domain: its name in A-labels, or the address that it is (RFC 6066 §3). `None` for what
/// can be neither, and so has no certificate.
pub(crate) fn tls_name(domain: &str) -> Option<ServerName<'static>> {
    if let Some(address) = literal(domain) {
        return Some(address.into());
    }
    let ascii = idna::domain_to_ascii(domain).ok()?;
    ServerName::try_from(ascii).ok()
}

/// The address that a domain may be (RFC 7622 §3.2): IPv4, or IPv6 in brackets.
fn literal(domain: &str) -> Option<IpAddr> {
    let v6 = domain.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    match v6 {
        Some(v6) => v6.parse().ok().map(IpAddr::V6),
        None => domain.parse().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    struct Zeros;

    impl Dice for Zeros {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    fn dialer(source: fn(SocketAddr) -> Option<IpAddr>) -> Dialer {
        let toml = "domain = 'home.example'";
        let config = Config::from_texts([(Path::new("hearth.toml"), toml)]).unwrap();
        let mut dialer = Dialer::new(&config, Arc::new(Zeros));
        Arc::get_mut(&mut dialer.0).unwrap().source = source;
        dialer
    }

    #[tokio::test]
    async fn who_can_have_no_certificate_is_not_dialled() {
        let long = format!("{}.example", "a".repeat(64));
        for (domain, expected) in [
            ("far.example", Some("far.example")),
            ("bücher.example", Some("xn--bcher-kva.example")),
            ("[2a01::1]", Some("2a01::1")),
            ("8.8.8.8", Some("8.8.8.8")),
            ("[2a01::1", None),
            ("far..example", None),
            (&long, None),
        ] {
            let name = tls_name(domain).map(|name| name.to_str().into_owned());
            assert_eq!(name.as_deref(), expected, "{domain}");
            if expected.is_none() {
                let why = format!("{domain} is not a name that a certificate can have");
                let refused = dialer(|_| None).begin(domain).await.err();
                assert_eq!(refused, Some(Unreachable::NotFound(why)));
            }
        }
    }

    #[test]
    fn families_take_turns() {
        for (addresses, expected) in [
            (
                "2::1 2::2 2::3 8.0.0.1 8.0.0.2",
                "2::1 8.0.0.1 2::2 8.0.0.2 2::3",
            ),
            ("8.0.0.1 8.0.0.2 2::1", "2::1 8.0.0.1 8.0.0.2"),
            ("8.0.0.1", "8.0.0.1"),
        ] {
            let addresses: Vec<IpAddr> =
                addresses.split(' ').map(|it| it.parse().unwrap()).collect();
            let mut placed: Vec<_> = placed(&addresses).collect();
            placed.sort();
            let texts: Vec<String> = placed.iter().map(|(.., it)| it.to_string()).collect();
            assert_eq!(texts.join(" "), expected);
        }
    }

    #[tokio::test]
    async fn what_is_beside_us_is_in_the_house() {
        let dialer = dialer(|to| {
            Some(match to {
                SocketAddr::V4(_) => [9, 9, 9, 9].into(),
                SocketAddr::V6(_) => [0x2a02, 0, 0, 0x5600, 0, 0, 0, 9].into(),
            })
        });
        dialer.network_changed(vec![Network {
            address: [9, 9, 9, 0].into(),
            prefix: 24,
        }]);
        for (domain, host) in [
            ("9.9.9.9", "9.9.9.9"),
            ("9.9.9.20", "9.9.9.20"),
            ("[2a02:0:0:5601::1]", "2a02:0:0:5601::1"),
        ] {
            let mut dialing = dialer.begin(domain).await.unwrap();
            assert!(dialing.next().await.is_none(), "{domain}");
            let why = format!(
                "{domain}: {host} has {host}, an address in this house's own network, which is never dialled"
            );
            assert_eq!(dialing.why(), Unreachable::NotFound(why));
        }
    }
}
