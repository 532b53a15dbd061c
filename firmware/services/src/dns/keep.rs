//! When to look and when to write: at once when something changed, soon again when something failed, and
//! seldom otherwise. What the last round and the last look had to say is the health of the part.

use super::{
    Dns, Inner,
    limits::{
        AGAIN_FIRST, AGAIN_MAX, AGAIN_SAID_MAX, HELD_LOOK, LOOK, LOOK_OUTSIDE, SEEN_FIRST, SEEN_MAX,
    },
    plan::Conflict,
    provider::Failure,
    report::{Seeing, failed, finding, left},
    round::Done,
};
use household::{Finding, Level};
use server::world::Dice;
use std::time::Duration;
use tokio::{
    select,
    sync::watch,
    time::{Instant, sleep_until},
};

impl Dns {
    /// Keeps the records as they should be, until it is dropped or `stop` turns true.
    pub async fn keep(self, mut stop: watch::Receiver<bool>) {
        select! {
            () = keep(&self.0) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

async fn keep(dns: &Inner) {
    let mut wishes = dns.wishes.subscribe();
    let mut pace = Pace::new();
    loop {
        wishes.mark_unchanged();
        if pace.round <= Instant::now() {
            let done = dns.apply(false).await;
            pace.after_round(done, &*dns.parts.dice);
        } else if pace.look.is_some_and(|look| look <= Instant::now()) {
            let seeing = dns.see().await;
            pace.after_look(seeing, &*dns.parts.dice);
        }
        let health = pace.health();
        dns.health.send_if_modified(|known| {
            let is_news = *known != health;
            *known = health;
            is_news
        });
        select! {
            () = sleep_until(pace.next()) => {}
            changed = wishes.changed() => match changed {
                Ok(()) => pace.round = Instant::now(),
                Err(_) => return,
            }
        }
    }
}

/// What is due when.
struct Pace {
    /// The next look at the provider's records.
    round: Instant,
    /// The next look at what the authoritative name servers answer, where there is something to see.
    look: Option<Instant>,
    /// Until the next attempt after a failure, or after a write, to see that it stayed.
    again: Duration,
    look_again: Duration,
    /// Since when the name servers do not answer with what is written.
    unseen: Option<Instant>,
    /// What the last round left to be said, and the last look.
    trouble: Option<Finding>,
    seen: Option<Finding>,
}

impl Pace {
    fn new() -> Pace {
        Pace {
            round: Instant::now(),
            look: None,
            again: AGAIN_FIRST,
            look_again: SEEN_FIRST,
            unseen: None,
            trouble: None,
            seen: None,
        }
    }

    fn next(&self) -> Instant {
        self.look.map_or(self.round, |look| look.min(self.round))
    }

    fn health(&self) -> Option<Finding> {
        self.trouble.clone().or_else(|| self.seen.clone())
    }

    fn after_round(&mut self, done: Result<Option<Done>, Failure>, dice: &dyn Dice) {
        let now = Instant::now();
        match done {
            Ok(None) => {
                (self.trouble, self.seen, self.look, self.unseen) = (None, None, None, None);
                self.rest(now + LOOK);
            }
            Ok(Some(done)) => {
                self.trouble = left(&done);
                if done.taken > 0 || self.look.is_none() {
                    // What was written is looked for at once.
                    (self.look, self.look_again, self.unseen) = (Some(now), SEEN_FIRST, None);
                }
                let in_the_way = |conflict: &Conflict| conflict.is_in_the_way;
                if done.taken > 0 || done.failure.is_some() {
                    let said = done.failure.as_ref().and_then(|failure| failure.again);
                    self.soon(now, said, dice);
                } else if done.plan.conflicts.iter().any(in_the_way) {
                    self.rest(now + jittered(HELD_LOOK, dice));
                } else {
                    self.rest(now + jittered(LOOK, dice));
                }
            }
            Err(failure) => {
                self.trouble = Some(failed(&failure));
                self.soon(now, failure.again, dice);
            }
        }
    }

    /// Again, later each time.
    fn soon(&mut self, now: Instant, said: Option<Duration>, dice: &dyn Dice) {
        let wait = jittered(self.again, dice);
        let said = said.unwrap_or_default().min(AGAIN_SAID_MAX);
        self.round = now + wait.max(said);
        self.again = (self.again * 2).min(AGAIN_MAX);
    }

    fn rest(&mut self, until: Instant) {
        self.round = until;
        self.again = AGAIN_FIRST;
    }

    fn after_look(&mut self, seeing: Result<Option<Seeing>, Failure>, dice: &dyn Dice) {
        let now = Instant::now();
        let found = match seeing {
            Ok(None) => {
                self.look = None;
                return;
            }
            Ok(Some(seeing)) if seeing.is_right() => {
                (self.unseen, self.look_again) = (None, SEEN_FIRST);
                self.look = Some(now + jittered(LOOK_OUTSIDE, dice));
                self.seen = Some(seeing.finding());
                return;
            }
            Ok(Some(seeing)) => seeing.finding(),
            Err(failure) => failed(&failure),
        };
        let since = *self.unseen.get_or_insert(now);
        self.look = Some(now + jittered(self.look_again, dice));
        self.look_again = (self.look_again * 2).min(LOOK);
        self.seen = Some(if now - since < SEEN_MAX {
            let text =
                "the records are written, and not every name server of the domain has them yet";
            finding(Level::Ok, text, "it is asked again")
        } else {
            found
        });
    }
}

/// A tenth more or less, so that houses that lost the same provider do not come back together.
fn jittered(time: Duration, dice: &dyn Dice) -> Duration {
    let mut byte = [0];
    dice.fill(&mut byte);
    time.mul_f64(0.9 + f64::from(byte[0]) / 1_275.0)
}
