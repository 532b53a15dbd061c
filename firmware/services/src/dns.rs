//! The records of this house in the DNS: a loop from what they should be to what they are.
//!
//! `zone.rs` has the one table of what should be there, `plan.rs` compares, a `Provider` writes, and
//! `authoritative.rs` asks what the world sees. State: what is wished for, told from outside; what is known
//! of the zone, behind a lock that makes rounds take turns; and `books.rs`, the list of what is ours.

pub mod authoritative;
mod books;
mod challenge;
mod choose;
pub mod digitalocean;
mod exchange;
mod hickory;
mod keep;
pub mod limits;
pub mod plan;
pub mod provider;
pub mod record;
mod report;
pub mod rfc2136;
mod round;
pub mod token;
pub mod zone;

pub use choose::{Chooser, chooser};
pub use report::Seeing;
pub use round::{Done, Planned};

use self::{
    authoritative::NameServers,
    books::Books,
    provider::{Failure, FailureKind, Provider},
    record::Record,
    zone::{Issuer, Outside, Ports, Seen, Wanted, desired},
};
use hickory_resolver::proto::rr::Name;
use household::{Config, Finding};
use server::world::{Clock, Dice, Timestamp};
use std::{net::IpAddr, sync::Arc};
use store::Store;
use tokio::sync::{Mutex, watch};

/// The start of 2026, before which no clock of a machine that runs this can be right.
const CLOCK_MIN: Timestamp = 1_767_225_600_000;

/// What the service is handed.
pub struct Parts {
    pub store: Arc<Store>,
    pub clock: Arc<dyn Clock>,
    pub dice: Arc<dyn Dice>,
    /// Whose API keeps the records.
    pub providers: Chooser,
    pub name_servers: Arc<dyn NameServers>,
}

/// The records of the house. A clone is the same service.
#[derive(Clone)]
pub struct Dns(Arc<Inner>);

struct Inner {
    parts: Parts,
    books: Books,
    wishes: watch::Sender<Wishes>,
    /// `None` where nobody keeps the records.
    health: watch::Sender<Option<Finding>>,
    /// Whoever reads and writes the zone holds it: two rounds at once would make everything twice.
    turn: Mutex<Turn>,
}

/// What others tell, and what follows from it.
#[derive(Clone, Debug, PartialEq)]
struct Wishes {
    config: Arc<Config>,
    ports: Ports,
    outside: Outside,
    issuers: Seen<Vec<Issuer>>,
}

/// What is remembered from round to round.
#[derive(Default)]
struct Turn {
    /// The domain, its provider, and the zone it is in.
    zone: Option<(String, String, String)>,
}

/// A provider's zone, found.
struct Place {
    provider: Arc<dyn Provider>,
    zone: String,
}

impl Dns {
    /// Nothing is asked before [`Dns::keep`] runs or a command comes.
    pub fn new(parts: Parts, config: &Config) -> Dns {
        let config = published(config);
        parts.name_servers.follow(&config.resolver.nameservers);
        let wishes = Wishes {
            ports: Ports::of(&config),
            config: Arc::new(config),
            outside: Outside::default(),
            issuers: Seen::Unknown,
        };
        Dns(Arc::new(Inner {
            books: Books::new(parts.store.clone()),
            parts,
            wishes: watch::Sender::new(wishes),
            health: watch::Sender::new(None),
            turn: Mutex::default(),
        }))
    }

    /// The configuration is another now, or a file that it names was replaced.
    pub fn follow(&self, config: &Config) {
        let config = published(config);
        self.0
            .parts
            .name_servers
            .follow(&config.resolver.nameservers);
        // Always a change: what was refused is tried again.
        self.0.wishes.send_modify(|wishes| {
            wishes.ports = Ports::of(&config);
            wishes.config = Arc::new(config);
        });
    }

    /// The house is seen under these addresses now.
    pub fn addresses(&self, outside: Outside) {
        self.wish(|wishes| wishes.outside = outside);
    }

    /// Whoever may make certificates is known now.
    pub fn issuers(&self, issuers: Seen<Vec<Issuer>>) {
        self.wish(|wishes| wishes.issuers = issuers);
    }

    fn wish(&self, change: impl FnOnce(&mut Wishes)) {
        self.0.wishes.send_if_modified(|wishes| {
            let before = wishes.clone();
            change(wishes);
            *wishes != before
        });
    }

    /// Whether somebody is to keep the records.
    pub fn is_kept(&self) -> bool {
        let provider = (self.0.parts.providers)(&self.0.config());
        provider.is_ok_and(|provider| provider.is_some())
    }

    /// How it is going, now and from now on; `None` where nobody keeps the records.
    pub fn health(&self) -> watch::Receiver<Option<Finding>> {
        self.0.health.subscribe()
    }

    /// The records that should be there, whoever keeps them; none for a domain of this network alone.
    pub fn records(&self) -> Vec<Record> {
        if choose::is_public(&self.0.config().domain) {
            self.0.wanted().records
        } else {
            Vec::new()
        }
    }

    /// What would be done, without doing it. `None` where nobody keeps the records.
    pub async fn plan(&self, adopts: bool) -> Result<Option<Planned>, Failure> {
        self.0.plan(adopts).await
    }

    /// Does it now. With `adopts`, what others wrote in our place is written over.
    pub async fn apply(&self, adopts: bool) -> Result<Option<Done>, Failure> {
        let done = self.0.apply(adopts).await;
        // The loop looks at what came of it.
        self.0.wishes.send_modify(|_| {});
        done
    }

    /// What the authoritative name servers answer. `None` where nobody keeps the records.
    pub async fn status(&self) -> Result<Option<Seeing>, Failure> {
        self.0.see().await
    }
}

impl Inner {
    async fn see(&self) -> Result<Option<Seeing>, Failure> {
        let Some(zone) = self.zone_alone().await? else {
            return Ok(None);
        };
        let wanted = self.wanted().records;
        let answers = self.parts.name_servers.look(&zone, &wanted).await?;
        Ok(Some(Seeing { wanted, answers }))
    }

    fn wanted(&self) -> Wanted {
        let wishes = self.wishes.borrow();
        desired(
            &wishes.config,
            wishes.ports,
            wishes.outside,
            &wishes.issuers,
        )
    }

    fn config(&self) -> Arc<Config> {
        self.wishes.borrow().config.clone()
    }

    /// The provider and the zone, asked for once. `None` where nobody keeps the records.
    async fn place(&self, turn: &mut Turn) -> Result<Option<Place>, Failure> {
        let config = self.config();
        let Some(provider) = (self.parts.providers)(&config)? else {
            return Ok(None);
        };
        if self.parts.clock.now() < CLOCK_MIN {
            let text = "the clock of this machine is wrong: it says a year before 2026";
            let next =
                "let it reach a time server; until then no provider can be told from a false one";
            return Err(Failure::new(FailureKind::Setup, text, next));
        }
        let domain = config.domain.as_str();
        let known = turn
            .zone
            .as_ref()
            .filter(|(of, at, _)| of == domain && *at == config.dns.provider);
        let zone = if let Some((_, _, zone)) = known {
            zone.clone()
        } else {
            let zone = provider.zone(domain).await?;
            turn.zone = Some((domain.to_owned(), config.dns.provider.clone(), zone.clone()));
            zone
        };
        Ok(Some(Place { provider, zone }))
    }

    /// The zone, where somebody keeps it.
    async fn zone_alone(&self) -> Result<Option<String>, Failure> {
        let place = self.place(&mut *self.turn.lock().await).await?;
        Ok(place.map(|place| place.zone))
    }
}

/// The configuration with the domain as name servers know it (RFC 5890).
fn published(config: &Config) -> Config {
    let mut config = config.clone();
    if config.domain.parse::<IpAddr>().is_err()
        && let Ok(name) = Name::from_utf8(&config.domain)
    {
        config.domain = record::whole(&name.to_ascii());
    }
    config
}
