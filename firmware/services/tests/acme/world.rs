//! A house, its disk, its zone and its clock, for as long as a test needs them.

use crate::authority::{Authority, DIRECTORY};
use household::{Config, Level};
use server::{
    tls::{Files as Disk, Source, Tls},
    world::{Clock, Dice, Timestamp},
};
use services::acme::{Acme, Challenges, Doing, Files, Parts, Refused, Txt};
use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use store::{Options, Store, disk::SimDisk};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep},
};

pub(crate) const BEGIN: Timestamp = 1_790_000_000_000;
pub(crate) const HOUR: Duration = Duration::from_hours(1);
pub(crate) const DAY: Duration = Duration::from_hours(24);

/// The clock goes with the time of the test.
pub(crate) struct Travel(Instant);

impl Clock for Travel {
    fn now(&self) -> Timestamp {
        BEGIN + self.elapsed_ms()
    }

    fn elapsed_ms(&self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }
}

pub(crate) struct Counting(AtomicU64);

impl Dice for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        let number = count.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        for (byte, random) in bytes.iter_mut().zip(number.iter().cycle()) {
            *byte = *random;
        }
    }
}

/// A disk that has nothing and takes everything.
pub(crate) struct Nothing;

impl Disk for Nothing {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn write(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn write_secret(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// A zone, and a provider that may refuse.
#[derive(Clone, Default)]
pub(crate) struct Zone {
    pub(crate) records: Arc<Mutex<Vec<Txt>>>,
    pub(crate) refuses: bool,
    /// Its servers have what is written after so many questions.
    pub(crate) slowness: Arc<AtomicU64>,
}

impl Zone {
    pub(crate) fn records(&self) -> Vec<Txt> {
        self.records
            .lock()
            .expect("no test panics in there")
            .clone()
    }
}

impl Challenges for Zone {
    fn is_ready(&self) -> bool {
        true
    }

    fn publish<'a>(&'a self, record: &'a Txt) -> Doing<'a, Result<(), Refused>> {
        Box::pin(async move {
            if self.refuses {
                return Err(Refused("the provider refuses the token".into()));
            }
            self.records
                .lock()
                .expect("no test panics in there")
                .push(record.clone());
            Ok(())
        })
    }

    fn withdraw<'a>(&'a self, record: &'a Txt) -> Doing<'a, Result<(), Refused>> {
        Box::pin(async move {
            self.records
                .lock()
                .expect("no test panics in there")
                .retain(|it| it != record);
            Ok(())
        })
    }

    fn is_everywhere<'a>(&'a self, record: &'a Txt) -> Doing<'a, Result<bool, Refused>> {
        Box::pin(async move {
            let left = self.slowness.load(Ordering::Relaxed);
            self.slowness
                .store(left.saturating_sub(1), Ordering::Relaxed);
            Ok(left == 0 && self.records().contains(record))
        })
    }
}

/// One run of the service.
pub(crate) struct House {
    pub(crate) acme: Acme,
    tls: Arc<Tls>,
    pub(crate) files: Files,
    keeping: JoinHandle<()>,
    pub(crate) sane: watch::Sender<bool>,
    _stop: watch::Sender<bool>,
}

impl Drop for House {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) clock: Arc<Travel>,
    disk: SimDisk,
    pub(crate) zone: Option<Zone>,
    pub(crate) config: String,
}

impl World {
    pub(crate) fn new() -> World {
        let clock = Arc::new(Travel(Instant::now()));
        World {
            authority: Authority::new(clock.clone()),
            clock,
            disk: SimDisk::new(),
            zone: None,
            config: String::new(),
        }
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        let text = format!(
            "domain = 'home.example'\ntls.mode = 'acme'\nacme.directory = '{DIRECTORY}'\n{}",
            self.config
        );
        Arc::new(Config::from_texts([(Path::new("x.toml"), &*text)]).expect("as the test has it"))
    }

    pub(crate) fn start(&self) -> House {
        self.start_at(true)
    }

    pub(crate) fn start_at(&self, is_sane: bool) -> House {
        let config = self.config();
        let source = Source::of(&config);
        let tls = Tls::open(Arc::new(Nothing), &source, Path::new(""), self.clock.now())
            .expect("as the test has it");
        let tls = Arc::new(tls);
        let files = Files::default();
        let seen = (files.clone(), self.zone.clone());
        self.authority.shape().look = Box::new(move |kind, name, token| match kind {
            "http-01" => seen.0.get(token).is_some_and(|it| it.starts_with(token)),
            "dns-01" => seen.1.as_ref().is_some_and(|zone| {
                let name = format!("_acme-challenge.{name}");
                zone.records().iter().any(|record| record.name == name)
            }),
            _ => true,
        });
        let acme = Acme::new(Parts {
            config,
            store: Store::open(Arc::new(self.disk.clone()), Options::default())
                .expect("as the test has it"),
            tls: tls.clone(),
            clock: self.clock.clone(),
            dice: Arc::new(Counting(AtomicU64::new(1))),
            outside: Arc::new(self.authority.clone()),
            files: files.clone(),
            dns: self.zone.clone().map(|zone| Arc::new(zone) as _),
        });
        acme.restore();
        let (sane, is_sane) = watch::channel(is_sane);
        let (stop, stopped) = watch::channel(false);
        House {
            keeping: tokio::spawn(acme.clone().keep(is_sane, stopped)),
            acme,
            tls,
            files,
            sane,
            _stop: stop,
        }
    }

    pub(crate) fn orders(&self) -> usize {
        self.authority.shape().orders.len()
    }

    pub(crate) async fn travel_to(&self, age: Duration) {
        let passed = Duration::from_millis(self.clock.elapsed_ms());
        sleep(age.checked_sub(passed).expect("not backwards")).await;
    }
}

impl House {
    /// The power is cut: nobody holds the disk any more.
    pub(crate) async fn cut(mut self) {
        self.keeping.abort();
        let _ = (&mut self.keeping).await;
    }

    /// Until there is such a finding; its text and what to do.
    pub(crate) async fn finding(&self, level: Level, part: &str) -> String {
        let mut finding = self.acme.finding();
        let wanted = |it: &household::Finding| it.level == level && it.text.contains(part);
        let found = tokio::time::timeout(DAY, finding.wait_for(wanted)).await;
        match found {
            Ok(Ok(found)) => format!("{}; {}", found.text, found.next),
            _ => panic!("{:?}", *self.acme.finding().borrow()),
        }
    }

    pub(crate) async fn good(&self) -> String {
        self.finding(Level::Ok, "vouches").await
    }

    pub(crate) fn serial(&self) -> Vec<u8> {
        self.tls.identity().certificate().serial.clone()
    }

    pub(crate) fn is_self_signed(&self) -> bool {
        self.tls.identity().certificate().is_self_issued
    }
}
