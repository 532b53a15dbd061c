//! A rhythm, and what plays it on an LED.
//!
//! State: none beyond the playing itself. A rhythm that does not change sets no timer and wakes nobody.

use crate::lamp::Lamp;
use embassy_time::{Duration, Instant, Timer};
use std::{borrow::Cow, io};
use tokio::sync::watch;

/// What an LED does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rhythm {
    Lit,
    Dark,
    /// Milliseconds, lit and dark by turns and again from the start; lit first. Each is more than 0, and
    /// there are as many lit ones as dark ones.
    Cycle(Cow<'static, [u16]>),
}

/// Milliseconds from which a flash is a long one to the eye.
const LONG_MS: u16 = 500;
/// Milliseconds from which the dark between two flashes parts two groups of them.
const PAUSE_MS: u16 = 600;

impl Rhythm {
    /// A cycle whose times are known beforehand.
    pub const fn cycle(times: &'static [u16]) -> Rhythm {
        Rhythm::Cycle(Cow::Borrowed(times))
    }

    /// Milliseconds of one round; 0 where nothing changes.
    pub fn round_ms(&self) -> u64 {
        match self {
            Rhythm::Lit | Rhythm::Dark => 0,
            Rhythm::Cycle(times) => times.iter().copied().map(u64::from).sum(),
        }
    }

    /// The same for people: `long, short, short, pause`. Two rhythms that read alike look alike.
    pub fn spelled(&self) -> String {
        let Rhythm::Cycle(times) = self else {
            return if *self == Rhythm::Lit { "lit" } else { "dark" }.to_owned();
        };
        let mut words = Vec::new();
        for pair in times.chunks(2) {
            words.push(match pair[0] {
                lit if lit >= 4 * LONG_MS => "lit",
                lit if lit >= LONG_MS => "long",
                _ => "short",
            });
            match pair.get(1) {
                Some(dark) if *dark >= 2 * PAUSE_MS => words.push("long pause"),
                Some(dark) if *dark >= PAUSE_MS => words.push("pause"),
                _ => {}
            }
        }
        words.join(", ")
    }
}

/// Plays what is shown until nobody will show anything any more.
///
/// # Errors
/// Those of the LED, which is left alone from then on.
pub async fn play(mut lamp: Box<dyn Lamp>, mut shown: watch::Receiver<Rhythm>) -> io::Result<()> {
    loop {
        let rhythm = shown.borrow_and_update().clone();
        tokio::select! {
            biased;
            change = shown.changed() => if change.is_err() { return Ok(()) },
            error = beat(&mut *lamp, &rhythm) => return Err(error),
        }
    }
}

/// Ends only when the LED fails.
async fn beat(lamp: &mut dyn Lamp, rhythm: &Rhythm) -> io::Error {
    let steady = match rhythm {
        Rhythm::Lit => lamp.light(true),
        Rhythm::Dark => lamp.light(false),
        Rhythm::Cycle(times) => return cycle(lamp, times).await,
    };
    match steady {
        Ok(()) => std::future::pending().await,
        Err(error) => error,
    }
}

async fn cycle(lamp: &mut dyn Lamp, times: &[u16]) -> io::Error {
    let mut next = Instant::now();
    loop {
        for (place, ms) in times.iter().enumerate() {
            if let Err(error) = lamp.light(place % 2 == 0) {
                return error;
            }
            next += Duration::from_millis((*ms).into());
            Timer::at(next).await;
        }
        if times.is_empty() {
            return io::Error::other("a rhythm without times");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Noted(Arc<Mutex<Vec<(u64, bool)>>>);

    impl Lamp for Noted {
        fn light(&mut self, lit: bool) -> io::Result<()> {
            let mut noted = self.0.lock().unwrap();
            noted.push((Instant::now().as_millis(), lit));
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_lamp_is_lit_once_a_day_and_a_cycle_keeps_its_times() {
        let noted = Noted::default();
        let (show, shown) = watch::channel(Rhythm::Lit);
        let play = play(Box::new(noted.clone()), shown);
        let told = async {
            Timer::after_secs(86_400).await;
            show.send_replace(Rhythm::cycle(&[100, 200]));
            Timer::after_millis(950).await;
            drop(show);
        };
        clock::keep(async { tokio::join!(play, told) })
            .await
            .0
            .unwrap();
        let noted = noted.0.lock().unwrap();
        let begun = noted[1].0;
        let after: Vec<_> = noted[1..]
            .iter()
            .map(|(at, lit)| (at - begun, *lit))
            .collect();
        assert!(noted[0].1);
        assert!(begun - noted[0].0 >= 86_399_000);
        let on = |at| (at, true);
        let off = |at| (at, false);
        let expected = [
            on(0),
            off(100),
            on(300),
            off(400),
            on(600),
            off(700),
            on(900),
        ];
        // A timer is due with the first millisecond of tokio's after its time.
        for ((at, lit), (due, is)) in after.iter().zip(expected) {
            assert!(at.abs_diff(due) <= 2 && *lit == is, "{after:?}");
        }
        assert_eq!(after.len(), expected.len());
    }

    #[test]
    fn rhythms_are_spelled() {
        for (rhythm, spelled) in [
            (Rhythm::Lit, "lit"),
            (Rhythm::Dark, "dark"),
            (Rhythm::cycle(&[600, 200, 200, 800]), "long, short, pause"),
            (Rhythm::cycle(&[100, 1_900]), "short, long pause"),
            (Rhythm::cycle(&[2_700, 300]), "lit"),
        ] {
            assert_eq!(rhythm.spelled(), spelled);
        }
    }
}
