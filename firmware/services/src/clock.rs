//! Whether the time is right. A board without a battery begins in the past, where certificates are not good
//! yet and proofs of the DNS are over; so nobody decides anything about these before this says so.
//!
//! Who knows: the service of the system that asks the network for the time, where it tells. Otherwise the
//! time must not lie before what has been: when this program was made, and when it last ran. That is enough
//! where the system has no such service that we know, or where it has been waited for long enough.
//!
//! State: one row, the last time that was right, and what was found last.

use household::{Finding, Level};
use jiff::Timestamp as Moment;
use server::world::{Clock, Timestamp};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use store::{Store, Table, Urgency};
use tokio::{sync::watch, task::spawn_blocking, time::sleep};
use tracing::{info, warn};

/// One row: milliseconds since 1970, of a moment that was right.
const SAVED: Table<(), u64> = Table::new("clock.saved", 1);

/// Between two looks while it is not right.
const LOOK: Duration = Duration::from_secs(2);
/// Between two looks otherwise: somebody may set it.
const WATCH: Duration = Duration::from_mins(1);
/// Between two writings: a card should not wear out for it.
const SAVE_MS: u64 = 3_600_000;
/// How long is waited for a network that gives the time, milliseconds. Where there is none, a time that was
/// right some hours ago is better than no certificate for ever.
const PATIENCE_MS: u64 = 15 * 60_000;

/// What the system says of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// It has been told the time.
    Told,
    /// It has somebody who asks, and no answer yet.
    Asking,
    /// Nobody says.
    Unknown,
}

/// Whoever knows what the system says.
pub trait System: Send + Sync {
    fn network(&self) -> Network;
}

/// What is known of the time at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    pub now: Timestamp,
    pub network: Network,
    /// When this program was made, milliseconds since 1970.
    pub built: Timestamp,
    /// The last time that was right; 0: never.
    pub saved: Timestamp,
    /// Milliseconds for which this program has been waiting.
    pub waited: u64,
}

/// The service. A clone is the same one.
#[derive(Clone)]
pub struct SaneClock(Arc<Inner>);

struct Inner {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    system: Arc<dyn System>,
    built: Timestamp,
    /// As in the store.
    saved: Mutex<Timestamp>,
    sane: watch::Sender<bool>,
}

impl View {
    /// Whether decisions may be made by this time.
    pub fn is_sane(self) -> bool {
        match self.network {
            // A wrong time that was saved once must not count more than the right one.
            Network::Told => self.now >= self.built,
            Network::Unknown => self.now >= self.floor(),
            Network::Asking => self.now >= self.floor() && self.waited >= PATIENCE_MS,
        }
    }

    fn floor(self) -> Timestamp {
        self.built.max(self.saved)
    }

    /// The same for people.
    pub fn finding(self) -> Finding {
        let now = date(self.now);
        let (level, text, next) = if self.now < self.built {
            let text = format!("it is {now}, which is before this program was made");
            (Level::Fail, text, SET_IT)
        } else {
            match self.network {
                Network::Told => (
                    Level::Ok,
                    format!("it is {now}, and the network says so"),
                    "",
                ),
                _ if self.now < self.saved => {
                    let text = format!(
                        "it is {now}, and this server has already seen {}",
                        date(self.saved)
                    );
                    (Level::Fail, text, SET_IT)
                }
                Network::Unknown => (
                    Level::Ok,
                    format!("it is {now}; nobody says whether the network agrees"),
                    "",
                ),
                Network::Asking => (
                    Level::Warn,
                    format!("it may be {now}: the network has not said what time it is"),
                    "see that this machine reaches the internet, port 123 with UDP included",
                ),
            }
        };
        Finding {
            part: "clock".to_owned(),
            level,
            text,
            next: next.to_owned(),
        }
    }
}

const SET_IT: &str = "connect the machine to the internet, or set its clock";

impl SaneClock {
    /// Reads the disk. `built` is when this program was made, in milliseconds since 1970.
    ///
    /// # Errors
    /// The disk's.
    pub fn new(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        system: Arc<dyn System>,
        built: Timestamp,
    ) -> Result<SaneClock, store::Error> {
        let saved = saved(&store)?;
        let inner = Inner {
            store,
            clock,
            system,
            built,
            saved: Mutex::new(saved),
            sane: watch::Sender::new(false),
        };
        inner.look();
        Ok(SaneClock(Arc::new(inner)))
    }

    /// Whether decisions may be made by the time, now and from now on.
    pub fn sane(&self) -> watch::Receiver<bool> {
        self.0.sane.subscribe()
    }

    /// How it is, in plain words.
    pub fn finding(&self) -> Finding {
        self.0.view().finding()
    }

    /// Looks at the clock until `stop` turns true, and saves the time now and then, and in the end.
    pub async fn keep(self, mut stop: watch::Receiver<bool>) {
        let keeping = async {
            loop {
                let is_sane = self.0.look();
                if is_sane && self.0.is_to_be_saved() {
                    self.save().await;
                }
                sleep(if is_sane { WATCH } else { LOOK }).await;
            }
        };
        tokio::select! {
            () = keeping => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        if self.0.look() {
            self.save().await;
        }
    }

    async fn save(&self) {
        let inner = self.0.clone();
        let _ = spawn_blocking(move || inner.save()).await;
    }
}

impl Inner {
    fn view(&self) -> View {
        View {
            now: self.clock.now(),
            network: self.system.network(),
            built: self.built,
            saved: *self.saved.lock().unwrap_or_else(PoisonError::into_inner),
            waited: self.clock.elapsed_ms(),
        }
    }

    /// Tells everybody who waits.
    fn look(&self) -> bool {
        let view = self.view();
        let is_sane = view.is_sane();
        self.sane.send_if_modified(|known| {
            if *known == is_sane {
                return false;
            }
            if is_sane {
                info!("the clock is right: {}", date(view.now));
            } else {
                warn!("{}", view.finding().text);
            }
            *known = is_sane;
            true
        });
        is_sane
    }

    fn is_to_be_saved(&self) -> bool {
        let view = self.view();
        view.now.abs_diff(view.saved) >= SAVE_MS
    }

    fn save(&self) {
        let view = self.view();
        // What only may be right is not held against a clock that is.
        if view.network == Network::Asking {
            return;
        }
        let write = vec![SAVED.put(&(), &view.now)];
        let ticket = self.store.queue(write, Urgency::Now);
        if self.store.snapshot_after(ticket).is_ok() {
            *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = view.now;
        }
    }
}

/// The last time that was right, of a store, in milliseconds since 1970; 0: never.
///
/// # Errors
/// The disk's.
pub fn saved(store: &Store) -> Result<Timestamp, store::Error> {
    Ok(SAVED.get(&store.snapshot()?, &())?.unwrap_or(0))
}

fn date(ms: Timestamp) -> String {
    let moment = i64::try_from(ms)
        .ok()
        .and_then(|ms| Moment::from_millisecond(ms).ok());
    moment.map_or_else(
        || "no time at all".to_owned(),
        |moment| moment.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use store::{Options, disk::SimDisk};
    use tokio::time::Instant;

    const DAY: u64 = 86_400_000;
    const BUILT: Timestamp = 20_000 * DAY;

    #[test]
    fn when_the_time_is_right() {
        use Network::{Asking, Told, Unknown};
        for (network, now, saved, waited, expected) in [
            (Told, BUILT, 0, 0, true),
            (Told, BUILT - 1, 0, 0, false),
            (Told, 0, 0, PATIENCE_MS, false),
            (Told, BUILT + DAY, BUILT + 50 * DAY, 0, true),
            (Unknown, BUILT, 0, 0, true),
            (Unknown, BUILT - 1, 0, DAY, false),
            (Unknown, BUILT + DAY, BUILT + 2 * DAY, DAY, false),
            (Unknown, BUILT + 2 * DAY, BUILT + 2 * DAY, 0, true),
            (Asking, BUILT + DAY, BUILT, 0, false),
            (Asking, BUILT + DAY, BUILT, PATIENCE_MS, true),
            (Asking, BUILT + DAY, BUILT + 2 * DAY, DAY, false),
            (Asking, 0, 0, DAY, false),
        ] {
            let view = View {
                now,
                network,
                built: BUILT,
                saved,
                waited,
            };
            assert_eq!(view.is_sane(), expected, "{view:?}");
            let is_failing = view.finding().level == Level::Fail;
            assert!(!(expected && is_failing), "{view:?}");
        }
    }

    #[test]
    fn what_people_read() {
        let view = View {
            now: BUILT + DAY,
            network: Network::Told,
            built: BUILT,
            saved: BUILT + 2 * DAY,
            waited: 0,
        };
        for (view, expected) in [
            (
                view,
                "ok: it is 2024-10-05 00:00 UTC, and the network says so; ",
            ),
            (
                View { now: 0, ..view },
                "fail: it is 1970-01-01 00:00 UTC, which is before this program was made; \
                 connect the machine to the internet, or set its clock",
            ),
            (
                View {
                    network: Network::Unknown,
                    ..view
                },
                "fail: it is 2024-10-05 00:00 UTC, and this server has already seen 2024-10-06 00:00 UTC; \
                 connect the machine to the internet, or set its clock",
            ),
            (
                View {
                    network: Network::Asking,
                    saved: 0,
                    ..view
                },
                "warn: it may be 2024-10-05 00:00 UTC: the network has not said what time it is; \
                 see that this machine reaches the internet, port 123 with UDP included",
            ),
        ] {
            let Finding {
                level, text, next, ..
            } = view.finding();
            assert_eq!(format!("{}: {text}; {next}", level.word()), expected);
        }
    }

    /// A board that begins in 1970 and is told the time later.
    struct Board {
        start: Instant,
        begin: AtomicU64,
        told_after: u64,
    }

    impl Clock for Board {
        fn now(&self) -> Timestamp {
            self.begin.load(Ordering::Relaxed) + self.elapsed_ms()
        }

        fn elapsed_ms(&self) -> u64 {
            self.start.elapsed().as_millis() as u64
        }
    }

    impl System for Board {
        fn network(&self) -> Network {
            if self.elapsed_ms() < self.told_after {
                return Network::Asking;
            }
            self.begin.store(BUILT + 10 * DAY, Ordering::Relaxed);
            Network::Told
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_board_without_a_battery_waits_and_remembers() {
        let store = Store::open(Arc::new(SimDisk::new()), Options::default()).unwrap();
        let board = |begin, told_after| {
            Arc::new(Board {
                start: Instant::now(),
                begin: AtomicU64::new(begin),
                told_after,
            })
        };
        let start = |board: Arc<Board>| {
            let clock = SaneClock::new(store.clone(), board.clone(), board, BUILT).unwrap();
            let (stop, stopped) = watch::channel(false);
            let keeping = tokio::spawn(clock.clone().keep(stopped));
            (clock.sane(), stop, keeping)
        };
        let first = board(0, 60_000);
        let (mut sane, stop, keeping) = start(first.clone());
        assert!(!*sane.borrow());
        sane.wait_for(|sane| *sane).await.unwrap();
        assert!((60_000..70_000).contains(&first.elapsed_ms()));
        sleep(LOOK).await;
        assert!(saved(&store).unwrap() >= BUILT + 10 * DAY, "at once");
        sleep(Duration::from_mins(90)).await;
        let hourly = saved(&store).unwrap() - BUILT - 10 * DAY;
        assert!((SAVE_MS..SAVE_MS + 120_000).contains(&hourly), "{hourly}");
        stop.send_replace(true);
        keeping.await.unwrap();
        let last = saved(&store).unwrap();
        assert_eq!(last, first.now(), "in the end");
        // The next time nobody tells, and the clock of the board has stopped meanwhile.
        let (sane, _stop, _keeping) = start(board(last - DAY, u64::MAX));
        sleep(Duration::from_hours(2)).await;
        assert!(!*sane.borrow());
        let (mut sane, _stop, _keeping) = start(board(last, u64::MAX));
        let begin = Instant::now();
        sane.wait_for(|sane| *sane).await.unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(PATIENCE_MS));
    }
}
