//! The table of LEDs, held to what it promises.

use super::*;

const PLACES: [Place; 4] = Place::ALL;

fn situation(parts: &[(&'static str, Level)], moment: Moment, held: Option<Hold>) -> Situation {
    let mut health = Health::default();
    for (part, level) in parts {
        health.set(part, *level, "");
    }
    Situation {
        health,
        moment,
        held,
    }
}

fn all(situation: &Situation) -> String {
    PLACES.map(|place| shown(place, situation).name).join(" ")
}

#[test]
fn every_state_of_health_has_its_sign() {
    use Level::{Fail, Ok, Warn};
    // Health, power, internet, chat.
    for (parts, expected) in [
        (&[][..], "good good good good"),
        (&[("store", Ok), ("dns", Ok)], "good good good good"),
        (&[("dns", Warn)], "degraded good degraded good"),
        (&[("certificate", Warn)], "degraded good degraded good"),
        (&[("outside", Warn)], "degraded good degraded good"),
        (&[("power", Warn)], "degraded good good good"),
        (&[("store", Warn)], "degraded good good degraded"),
        (&[("clock", Warn)], "clock good good good"),
        (
            &[("clock", Warn), ("dns", Warn)],
            "clock good degraded good",
        ),
        (&[("clock", Warn), ("dns", Fail)], "act act act good"),
        (&[("clock", Fail)], "act act good good"),
        (&[("dns", Fail)], "act act act good"),
        (&[("listeners", Fail)], "act act good act"),
        (&[("temperature", Fail)], "act act good good"),
        (&[("store", Fail)], "disk disk good disk"),
        (&[("dns", Fail), ("store", Fail)], "disk disk act disk"),
        (&[("something-new", Fail)], "act act good good"),
    ] {
        let situation = situation(parts, Moment::default(), None);
        assert_eq!(all(&situation), expected, "{parts:?}");
    }
}

type Case = (
    &'static [(&'static str, Level)],
    Moment,
    Option<Hold>,
    &'static str,
);

const NONE: Moment = Moment {
    starting: false,
    updating: false,
    trial: false,
    claimable: false,
    waiting: false,
};
const EVERY: Moment = Moment {
    starting: true,
    updating: true,
    trial: true,
    claimable: true,
    waiting: true,
};
const SETTLED: Moment = Moment {
    updating: false,
    ..EVERY
};
const TRIAL: Moment = Moment {
    trial: true,
    ..NONE
};
const FIRST_TRIAL: Moment = Moment {
    starting: true,
    ..TRIAL
};
const WAITING: Moment = Moment {
    waiting: true,
    ..NONE
};
const FAIL: &[(&str, Level)] = &[("store", Level::Fail)];
const WARN: &[(&str, Level)] = &[("dns", Level::Warn)];

const CASES: [Case; 11] = [
    (
        FAIL,
        EVERY,
        Some(Hold::FactoryReset),
        "held-factory disk updating updating",
    ),
    (FAIL, EVERY, None, "updating disk updating updating"),
    (FAIL, SETTLED, None, "disk disk good disk"),
    (WARN, SETTLED, None, "claim good degraded waiting"),
    (WARN, FIRST_TRIAL, None, "starting good degraded good"),
    (WARN, TRIAL, None, "trial good degraded good"),
    (&[], WAITING, None, "good good good waiting"),
    (
        &[],
        NONE,
        Some(Hold::ClaimWindow),
        "held-claim good good good",
    ),
    (
        &[],
        NONE,
        Some(Hold::AdminReset),
        "held-admin good good good",
    ),
    (
        &[],
        NONE,
        Some(Hold::Nothing),
        "held-nothing good good good",
    ),
    // So short a press says nothing before it ends.
    (
        WARN,
        NONE,
        Some(Hold::Address),
        "degraded good degraded good",
    ),
];

#[test]
fn moments_and_fingers_come_in_their_order() {
    for (parts, moment, held, expected) in CASES {
        let situation = situation(parts, moment, held);
        assert_eq!(all(&situation), expected, "{moment:?} {held:?}");
    }
}

#[test]
fn signs_of_an_led_differ_in_rhythm() {
    for place in PLACES {
        let rows: Vec<_> = TABLE.iter().filter(|row| row.is_on(place)).collect();
        for (at, row) in rows.iter().enumerate() {
            for other in &rows[..at] {
                let (one, two) = (row.rhythm.spelled(), other.rhythm.spelled());
                let in_hand = |row: &Row| row.name.starts_with("held-");
                // Who holds the button knows what is answered.
                let alike = one == two
                    && in_hand(row) == in_hand(other)
                    && row.rhythm.round_ms().min(other.rhythm.round_ms()) != 0;
                assert!(!alike, "{}: {} and {}", place.name(), row.name, other.name);
            }
        }
    }
}

#[test]
fn every_row_is_seen_and_every_cycle_can_be_played() {
    let last = TABLE.last().expect("a table");
    assert!(PLACES.iter().all(|place| last.is_on(*place)));
    assert!(matches!(last.when, When::Else));
    for row in TABLE {
        assert!(!row.on.is_empty() && !row.means.is_empty() && !row.advice.is_empty());
        if let Rhythm::Cycle(times) = &row.rhythm {
            assert!(times.len() >= 2 && times.len() % 2 == 0, "{}", row.name);
            assert!(times.iter().all(|ms| *ms >= 100), "{}", row.name);
        }
    }
}

/// The kernel's firmware flashes 3, 4, 7, 8 or more equal ones when it cannot boot: none of ours may be taken
/// for these.
#[test]
fn no_sign_looks_like_the_firmware_in_need() {
    for row in TABLE.iter().filter(|row| !row.name.starts_with("held-")) {
        let spelled = row.rhythm.spelled();
        let flashes = spelled.matches("short").count();
        assert!(
            spelled.contains("long") || flashes < 3,
            "{}: {spelled}",
            row.name
        );
    }
}

/// `BLESS=1` writes it anew.
#[test]
fn the_manual_has_the_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&path).expect("the manual");
    let (before, rest) = text
        .split_once("<!-- table -->\n")
        .expect("where it begins");
    let (_, after) = rest.split_once("<!-- end -->").expect("where it ends");
    let expected = format!("{before}<!-- table -->\n{}<!-- end -->{after}", manual());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &expected).expect("the manual can be written");
        return;
    }
    assert!(
        text == expected,
        "the table in board/README.md is another one now; BLESS=1 writes it"
    );
}
