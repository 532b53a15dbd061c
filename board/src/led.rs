//! What the LEDs say of which state of the server. One table; the first row that is true of an LED is shown.

use crate::{button::Hold, rhythm::Rhythm};
use household::{Health, Level};

/// An LED by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Everything: the green one on the board (ACT), and the first one outside.
    Health,
    /// Whether somebody has to act: the red one on the board (PWR), which only says power otherwise.
    Power,
    /// The way out: address, names, certificate, router.
    Internet,
    /// The messages.
    Chat,
}

/// What is going on besides health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The doors are not open yet.
    pub starting: bool,
    /// An update is being written or loaded.
    pub updating: bool,
    /// A new version is on trial: it is kept only if it does well.
    pub trial: bool,
    /// Who comes now may claim the server.
    pub claimable: bool,
    /// Messages wait for another server.
    pub waiting: bool,
}

/// Everything that LEDs are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Situation {
    pub health: Health,
    pub moment: Moment,
    /// How long the button is held, where it is.
    pub held: Option<Hold>,
}

/// When a row is true.
#[derive(Clone, Copy, Debug)]
enum When {
    Held(Hold),
    Moment(fn(&Moment) -> bool),
    /// One of these parts is as bad as that, or worse.
    Part(&'static [&'static str], Level),
    /// Any part that the LED is about is as bad as that, or worse.
    Any(Level),
    Else,
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// What the server calls it, in the log and in `hearth status`.
    pub name: &'static str,
    when: When,
    /// On which LEDs.
    on: &'static [Place],
    pub rhythm: Rhythm,
    /// What it means, for people.
    pub means: &'static str,
    /// What to do, and why it stands where it stands.
    pub advice: &'static str,
}

/// Parts of the health that are about the way out; the LED `internet` is about nothing else.
const OUTSIDE: &[&str] = &[
    "address",
    "dns",
    "certificate",
    "router",
    "outside",
    "ports",
    "resolver",
    "turn",
    "mdns",
];

const FINGER: &[Place] = &[Place::Health];
const HEALTH: &[Place] = &[Place::Health];
const CHAT: &[Place] = &[Place::Chat];
const STORE: &[Place] = &[Place::Health, Place::Power, Place::Chat];
const LAMPS: &[Place] = &[Place::Health, Place::Internet, Place::Chat];
const ALL: &[Place] = &[Place::Health, Place::Power, Place::Internet, Place::Chat];

/// In the order of priority: who touches the box comes first, then what must not be disturbed, then trouble
/// by how much it matters, then what passes by itself.
pub const TABLE: &[Row] = &[
    row(
        "held-claim",
        When::Held(Hold::ClaimWindow),
        FINGER,
        &[100, 650],
        "let go now: the claim window opens",
        "A finger waits for an answer, so this comes before everything.",
    ),
    row(
        "held-admin",
        When::Held(Hold::AdminReset),
        FINGER,
        &[100, 150, 100, 600],
        "let go now: the administrator is chosen anew",
        "Only for a button that is held while the box starts.",
    ),
    row(
        "held-factory",
        When::Held(Hold::FactoryReset),
        FINGER,
        &[100, 150, 100, 150, 100, 600],
        "let go now: everything is removed but the backups",
        "Hold on for another ten seconds to leave everything as it is.",
    ),
    steady(
        "held-nothing",
        When::Held(Hold::Nothing),
        FINGER,
        Rhythm::Dark,
        "let go: nothing happens",
        "The way out for who changed their mind, and for a stuck button.",
    ),
    row(
        "updating",
        When::Moment(|it| it.updating),
        LAMPS,
        &[100, 100],
        "an update is under way: do not unplug",
        "Nothing else matters to who stands there with the plug in hand.",
    ),
    row(
        "disk",
        When::Part(&["store"], Level::Fail),
        STORE,
        &[800, 250, 200, 1_000],
        "nothing can be stored: the card is full or broken",
        "Make space, or replace the card and restore. Before other trouble, for messages are refused.",
    ),
    row(
        "act",
        When::Any(Level::Fail),
        ALL,
        &[800, 250, 200, 250, 200, 1_000],
        "something does not work: somebody has to act",
        "`hearth status` and the administration page say what and how.",
    ),
    row(
        "claim",
        When::Moment(|it| it.claimable),
        HEALTH,
        &[200, 250, 200, 700],
        "the claim window is open",
        "Open the administration page within two minutes. Trouble is shown before, for it may be why.",
    ),
    row(
        "starting",
        When::Moment(|it| it.starting),
        HEALTH,
        &[1_000, 1_000],
        "starting",
        "Wait a minute. Parts that have not reported yet are no trouble.",
    ),
    row(
        "trial",
        When::Moment(|it| it.trial),
        HEALTH,
        &[800, 250, 800, 250, 200, 1_000],
        "a new version is on trial",
        "Leave it plugged in: it is kept once it did well for some minutes, else the old one comes back.",
    ),
    row(
        "clock",
        When::Part(&["clock"], Level::Warn),
        HEALTH,
        &[100, 1_900],
        "the time is not known yet",
        "Check the network cable: a time server is asked. Until then no certificate can be judged, so \
         what else is amiss outside may only be a consequence.",
    ),
    row(
        "waiting",
        When::Moment(|it| it.waiting),
        CHAT,
        &[200, 250, 200, 1_400],
        "messages wait for another server",
        "They are sent by themselves once it answers.",
    ),
    row(
        "degraded",
        When::Any(Level::Warn),
        LAMPS,
        &[2_700, 300],
        "it works, and somebody should look when there is time",
        "Names, certificate or the way in from outside: `hearth status` says which.",
    ),
    steady(
        "good",
        When::Else,
        ALL,
        Rhythm::Lit,
        "all is well",
        "Nothing to do.",
    ),
];

const fn row(
    name: &'static str,
    when: When,
    on: &'static [Place],
    times: &'static [u16],
    means: &'static str,
    advice: &'static str,
) -> Row {
    steady(name, when, on, Rhythm::cycle(times), means, advice)
}

const fn steady(
    name: &'static str,
    when: When,
    on: &'static [Place],
    rhythm: Rhythm,
    means: &'static str,
    advice: &'static str,
) -> Row {
    Row {
        name,
        when,
        on,
        rhythm,
        means,
        advice,
    }
}

/// What an LED shows of a situation.
pub fn shown(place: Place, situation: &Situation) -> &'static Row {
    TABLE
        .iter()
        .find(|row| row.on.contains(&place) && row.when.holds(place, situation))
        .unwrap_or(&TABLE[TABLE.len() - 1])
}

impl When {
    fn holds(self, place: Place, situation: &Situation) -> bool {
        let parts = situation.health.parts().iter();
        match self {
            When::Held(hold) => situation.held == Some(hold),
            When::Moment(is) => is(&situation.moment),
            When::Part(names, level) => parts
                .filter(|part| names.contains(&&*part.part))
                .any(|part| part.level >= level),
            When::Any(level) => parts
                .filter(|part| place.is_about(&part.part))
                .any(|part| part.level >= level),
            When::Else => true,
        }
    }
}

impl Place {
    /// All of them.
    pub const ALL: [Place; 4] = [Place::Health, Place::Power, Place::Internet, Place::Chat];

    /// Whether the LED is about that part.
    fn is_about(self, part: &str) -> bool {
        match self {
            Place::Health | Place::Power => true,
            Place::Internet => OUTSIDE.contains(&part),
            Place::Chat => matches!(part, "store" | "listeners"),
        }
    }

    /// Its name in the configuration and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Place::Health => "health",
            Place::Power => "power",
            Place::Internet => "internet",
            Place::Chat => "chat",
        }
    }
}

impl Row {
    /// Whether that LED can show it.
    pub fn is_on(&self, place: Place) -> bool {
        self.on.contains(&place)
    }
}

/// The table for the manual, in Markdown.
pub fn manual() -> String {
    let mut text =
        "| sign | LEDs | rhythm | it means | what to do, and why it stands here |\n".to_owned();
    text.push_str("|---|---|---|---|---|\n");
    for row in TABLE {
        let on: Vec<_> = row.on.iter().map(|place| place.name()).collect();
        let times = match &row.rhythm {
            Rhythm::Cycle(times) => {
                let times: Vec<_> = times.iter().map(ToString::to_string).collect();
                format!("{}: {} ms", row.rhythm.spelled(), times.join(", "))
            }
            steady => steady.spelled(),
        };
        let (name, means, advice) = (row.name, row.means, row.advice);
        let on = on.join(", ");
        text.push_str(&format!(
            "| `{name}` | {on} | {times} | {means} | {advice} |\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests;
