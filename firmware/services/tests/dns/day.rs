//! A day, by a clock that is not waited for: how often others are asked, and how soon a change is written.

use super::house::{Counting, Hands, NOW, open_store};
use household::{Config, Level};
use services::dns::{
    Dns, Parts,
    authoritative::{Answered, Mute, NameServers},
    limits::{AGAIN_MAX, SEEN_MAX},
    provider::{Asked, Failure, FailureKind, Provider},
    record::{Kept, Record},
    zone::{Outside, Seen},
};
use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, atomic::AtomicU64},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

/// A provider and its name servers, in memory. A clone is the same.
#[derive(Clone, Default)]
struct Zone(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    records: Vec<Kept>,
    requests: usize,
    questions: usize,
    is_down: bool,
    /// The name servers have something else.
    is_elsewhere: bool,
    /// When somebody wrote.
    written: Option<Instant>,
}

impl Zone {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// One request, which takes a second.
    fn asked<'a, T: Send + 'a>(
        &'a self,
        work: impl FnOnce(&mut State) -> T + Send + 'a,
    ) -> Asked<'a, T> {
        Box::pin(async move {
            sleep(Duration::from_secs(1)).await;
            let mut state = self.state();
            state.requests += 1;
            if state.is_down {
                return Err(Failure {
                    kind: FailureKind::Down,
                    text: "nobody answers".to_owned(),
                    next: String::new(),
                    again: None,
                });
            }
            Ok(work(&mut state))
        })
    }
}

impl Provider for Zone {
    fn zone<'a>(&'a self, domain: &'a str) -> Asked<'a, String> {
        self.asked(move |_| domain.to_owned())
    }

    fn records<'a>(&'a self, _: &'a str, _: &'a [String]) -> Asked<'a, Vec<Kept>> {
        self.asked(|state| state.records.clone())
    }

    fn create<'a>(&'a self, _: &'a str, record: &'a Record) -> Asked<'a, Kept> {
        self.asked(move |state| {
            let kept = Kept {
                id: format!("{}", state.requests),
                record: record.clone(),
            };
            state.records.push(kept.clone());
            kept
        })
    }

    fn change<'a>(&'a self, _: &'a str, kept: &'a Kept, to: &'a Record) -> Asked<'a, Kept> {
        self.asked(move |state| {
            state.written = Some(Instant::now());
            let at = state
                .records
                .iter()
                .position(|it| it.id == kept.id)
                .unwrap();
            state.records[at].record = to.clone();
            state.records[at].clone()
        })
    }

    fn remove<'a>(&'a self, _: &'a str, kept: &'a Kept) -> Asked<'a, ()> {
        self.asked(move |state| state.records.retain(|it| it.id != kept.id))
    }
}

impl NameServers for Zone {
    fn look<'a>(&'a self, _: &'a str, records: &'a [Record]) -> Asked<'a, Vec<Answered>> {
        Box::pin(async move {
            sleep(Duration::from_millis(50)).await;
            let mut state = self.state();
            state.questions += 3 * records.len();
            let has = |record: &Record| state.records.iter().any(|it| it.record.says_same(record));
            let says = if state.is_elsewhere {
                Err(Mute::Foreign)
            } else {
                Ok(records.iter().map(has).collect())
            };
            let answered = |host: &str| Answered {
                host: host.to_owned(),
                says: says.clone(),
            };
            Ok(["ns1", "ns2", "ns3"].map(answered).into())
        })
    }

    fn follow(&self, _: &[SocketAddr]) {}
}

fn at(address: [u8; 4]) -> Outside {
    Outside {
        ipv4: Seen::At(address.into()),
        ipv6: Seen::Nowhere,
    }
}

/// A house that keeps its records in this zone.
fn kept(zone: &Zone) -> Dns {
    let (store, writer) = open_store();
    // For as long as the test runs.
    std::mem::forget(writer);
    let provider: Arc<dyn Provider> = Arc::new(zone.clone());
    let parts = Parts {
        store,
        clock: Arc::new(Hands(AtomicU64::new(NOW))),
        dice: Arc::new(Counting(AtomicU64::new(0))),
        providers: Box::new(move |_| Ok(Some(provider.clone()))),
        name_servers: Arc::new(zone.clone()),
    };
    let text = "domain = 'home.example'\n[dns]\nprovider = 'digitalocean'";
    let config = Config::from_texts([(Path::new("hearth.toml"), text)]).unwrap();
    let dns = Dns::new(parts, &config);
    dns.addresses(at([192, 0, 2, 7]));
    let (stop, stopped) = watch::channel(false);
    std::mem::forget(stop);
    tokio::spawn(dns.clone().keep(stopped));
    dns
}

async fn pass(time: Duration) {
    sleep(time).await;
}

fn said(dns: &Dns) -> (Level, String) {
    let health = dns.health().borrow().clone().expect("somebody keeps them");
    (health.level, health.text)
}

#[tokio::test(start_paused = true)]
async fn a_day_without_changes_costs_less_than_a_hundred_requests() {
    let zone = Zone::default();
    let dns = kept(&zone);
    pass(Duration::from_hours(1)).await;
    assert_eq!(said(&dns).0, Level::Ok, "{:?}", said(&dns));
    assert!(
        said(&dns).1.starts_with("all 15 records are published"),
        "{:?}",
        said(&dns)
    );
    {
        let mut state = zone.state();
        (state.requests, state.questions) = (0, 0);
    }
    pass(Duration::from_hours(24)).await;
    let state = zone.state();
    let all = state.requests + state.questions;
    assert!(
        state.requests >= 3 && state.questions >= 45,
        "it is looked at all the same"
    );
    assert!(
        all < 100,
        "{} requests, {} questions",
        state.requests,
        state.questions
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_address_is_written_within_seconds() {
    let zone = Zone::default();
    let dns = kept(&zone);
    for (hours, last) in [(1, 8), (5, 9), (30, 10)] {
        pass(Duration::from_hours(hours)).await;
        let since = Instant::now();
        dns.addresses(at([192, 0, 2, last]));
        pass(Duration::from_secs(30)).await;
        let written = zone.state().written.expect("it is written");
        assert!(
            written > since && written - since < Duration::from_secs(5),
            "{last}"
        );
        assert_eq!(said(&dns).0, Level::Ok);
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_down_is_asked_for_ever_and_ever_more_seldom() {
    let zone = Zone::default();
    zone.state().is_down = true;
    let dns = kept(&zone);
    pass(Duration::from_hours(24)).await;
    assert_eq!(said(&dns), (Level::Warn, "nobody answers".to_owned()));
    let requests = zone.state().requests;
    assert!((80..130).contains(&requests), "{requests}");
    zone.state().is_down = false;
    pass(AGAIN_MAX + Duration::from_mins(5)).await;
    assert_eq!(said(&dns).0, Level::Ok, "{:?}", said(&dns));
    assert_eq!(zone.state().records.len(), 16);
}

#[tokio::test(start_paused = true)]
async fn a_domain_that_others_serve_is_said_and_asked_seldom() {
    let zone = Zone::default();
    zone.state().is_elsewhere = true;
    let dns = kept(&zone);
    pass(SEEN_MAX / 2).await;
    assert_eq!(
        said(&dns).0,
        Level::Ok,
        "it takes its time: {:?}",
        said(&dns)
    );
    pass(SEEN_MAX * 4).await;
    let (level, text) = said(&dns);
    assert_eq!(level, Level::Fail);
    assert!(
        text.contains("the domain is served by ns1, ns2, ns3"),
        "{text}"
    );
    zone.state().questions = 0;
    pass(Duration::from_hours(24)).await;
    assert!(
        zone.state().questions < 10 * 45,
        "{}",
        zone.state().questions
    );
    zone.state().is_elsewhere = false;
    pass(Duration::from_hours(7)).await;
    assert_eq!(said(&dns).0, Level::Ok);
}

#[tokio::test(start_paused = true)]
async fn two_that_fight_over_a_record_do_not_do_so_by_the_second() {
    let zone = Zone::default();
    let _dns = kept(&zone);
    pass(Duration::from_mins(10)).await;
    zone.state().requests = 0;
    for _ in 0..24 * 60 {
        // Somebody else sets another time each minute.
        for kept in &mut zone.state().records {
            kept.record.ttl = 7;
        }
        pass(Duration::from_mins(1)).await;
    }
    assert!(
        zone.state().requests < 24 * 4 * 18,
        "{}",
        zone.state().requests
    );
}
