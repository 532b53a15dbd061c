//! Scripts of what happens to a board and what it does: tests/scripts/*.panel, against a clock that stands
//! still until everybody waits.
//!
//! A line is a comment (`#`), something that happens (`12.5 > press`) or something the board does
//! (`12.5 health lit`). Happenings: `press`, `release`, `PART LEVEL`, `moment NAME`, `moment over`,
//! `address A`, `end`. Times are seconds from the start. A script fails on anything it does not say;
//! `BLESS=1` writes what was seen.

use board::{
    button::Hold,
    lamp::Lamp,
    led::{Moment, Place, Situation},
    panel::Panel,
};
use household::Level;
use std::{
    fs, io,
    net::Ipv4Addr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

/// What was seen, with its time in milliseconds.
#[derive(Clone)]
struct Seen(Instant, Arc<Mutex<Vec<(u64, String)>>>);

impl Seen {
    fn note(&self, what: String) {
        let ms = self.0.elapsed().as_millis() as u64;
        // tokio's timers are due with the first millisecond that is over: 10 ms are as exact as eyes are.
        self.1
            .lock()
            .expect("nobody panics with it")
            .push(((ms + 5) / 10 * 10, what));
    }
}

struct Noted(Seen, Place);

impl Lamp for Noted {
    fn light(&mut self, lit: bool) -> io::Result<()> {
        let state = if lit { "lit" } else { "dark" };
        self.0.note(format!("{} {state}", self.1.name()));
        Ok(())
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.note(format!("{} given back", self.1.name()));
    }
}

/// What a script may do to the board.
struct Hands {
    situation: watch::Sender<Situation>,
    contact: watch::Sender<bool>,
    address: Arc<Mutex<Option<Ipv4Addr>>>,
}

impl Hands {
    fn happens(&self, what: &str) {
        let words: Vec<_> = what.split(' ').collect();
        let moment = |name: &str| Moment {
            starting: name == "starting",
            updating: name == "updating",
            trial: name == "trial",
            claimable: name == "claimable",
            waiting: name == "waiting",
        };
        match words[..] {
            ["press"] => drop(self.contact.send_replace(true)),
            ["release"] => drop(self.contact.send_replace(false)),
            ["address", address] => {
                *self.address.lock().expect("nobody panics with it") = address.parse().ok();
            }
            ["moment", name] => self.situation.send_modify(|it| it.moment = moment(name)),
            [part, level] => {
                let part = ["store", "dns", "clock"]
                    .into_iter()
                    .find(|it| *it == part)
                    .expect("a part that scripts know");
                let levels = [Level::Ok, Level::Warn, Level::Fail];
                let level = levels
                    .into_iter()
                    .find(|it| it.word() == level)
                    .expect("a level");
                self.situation
                    .send_modify(|it| it.health.set(part, level, ""));
            }
            _ => panic!("nobody knows what this is: {what}"),
        }
    }
}

fn seconds(text: &str) -> Duration {
    Duration::from_millis((text.parse::<f64>().expect("a time") * 1_000.0).round() as u64)
}

/// Plays the script's happenings; what happened and what was seen, in lines like the script's.
async fn play(script: &str) -> String {
    let seen = Seen(Instant::now(), Arc::default());
    let (situation, watched) = watch::channel(Situation::default());
    let (contact, pressed) = watch::channel(false);
    let (order, mut orders) = mpsc::channel(4);
    let address: Arc<Mutex<Option<Ipv4Addr>>> = Arc::default();
    let asked = address.clone();
    let lamp = |place| Box::new(Noted(seen.clone(), place)) as Box<dyn Lamp>;
    let panel = Panel::default()
        .with_lamp(Place::Health, lamp(Place::Health))
        .with_lamp(Place::Chat, lamp(Place::Chat))
        .with_button(pressed, Box::new(()));
    let run = panel.run(
        watched,
        move || *asked.lock().expect("nobody panics with it"),
        order,
    );
    let happen = async {
        let hands = Hands {
            situation,
            contact,
            address,
        };
        for line in script.lines().filter(|line| !line.starts_with('#')) {
            let Some((at, what)) = line.split_once(" > ") else {
                continue;
            };
            sleep_until(seen.0 + seconds(at)).await;
            seen.note(format!("> {what}"));
            if what == "end" {
                return;
            }
            hands.happens(what);
        }
        panic!("a script ends with `end`");
    };
    let told = async {
        while let Some(hold) = orders.recv().await {
            let hold: Hold = hold;
            seen.note(format!("order {hold:?}"));
        }
    };
    tokio::join!(run, happen, told);
    let mut lines = seen.1.lock().expect("nobody panics with it");
    // What happens comes before what follows from it; LEDs beside each other change at once.
    lines.sort_by_key(|(ms, what)| (*ms, what.split(' ').next().map(str::to_owned)));
    let shown =
        |(ms, what): &(u64, String)| format!("{}.{:02} {what}\n", ms / 1_000, ms % 1_000 / 10);
    lines.iter().map(shown).collect()
}

#[test]
fn scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the scripts")
        .map(|entry| entry.expect("a readable entry").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 4, "some scripts are gone");
    let mut wrong = Vec::new();
    for path in paths {
        let script = fs::read_to_string(&path).expect("UTF-8");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let seen = runtime.block_on(play(&script));
        let head: String = script
            .lines()
            .filter(|line| line.starts_with('#'))
            .flat_map(|line| [line, "\n"])
            .collect();
        let expected = head + &seen;
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &expected).expect("the script can be written");
        } else if script != expected {
            wrong.push(format!("{}:\n{expected}", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "what was seen is another thing:\n{}",
        wrong.join("\n")
    );
}
