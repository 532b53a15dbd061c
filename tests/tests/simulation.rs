//! Tells stories that nobody wrote, and says which of them should not have gone as they went.
//!
//! `SEED=7` tells one and all that happened in it; `SEEDS=0..5000` tells that many.

use std::{
    env,
    fmt::Write as _,
    io::{self, Write as _},
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};
use system_tests::simulation::{Told, tell};

/// Told with every change: some seconds.
const EVERY_TIME: Range<u64> = 0..40;

/// Failures that are shown before giving up.
const SHOWN: usize = 10;

#[test]
fn stories() {
    let seeds = seeds();
    let alone = seeds.end - seeds.start == 1;
    let (mut failures, mut failed) = (String::new(), 0);
    let (mut messages, mut rooms) = ([0; 3], [0; 2]);
    let stories = seeds.end - seeds.start;
    for seed in seeds {
        let (told, wrong) = story(seed);
        if let (true, Some(told)) = (alone, &told) {
            say(&told.log.join("\n"));
        }
        let rooms_of = told.as_ref().map_or([0; 2], |told| told.rooms);
        for (sum, number) in messages.iter_mut().zip(told.map_or([0; 3], |t| t.messages)) {
            *sum += number;
        }
        for (sum, number) in rooms.iter_mut().zip(rooms_of) {
            *sum += number;
        }
        if let Some(wrong) = wrong {
            if seeds_are_asked_for() {
                say(&format!("SEED={seed}: {wrong}")); // a long run need not be waited for
            }
            let _ = writeln!(failures, "SEED={seed}: {wrong}");
            failed += 1;
            if failed == SHOWN {
                break;
            }
        }
    }
    let ([sent, promised, came], [entered, heard]) = (messages, rooms);
    if seeds_are_asked_for() {
        say(&format!(
            "{stories} stories, {sent} messages, {promised} acknowledged, {came} of them came; people came \
             into rooms {entered} times and heard {heard} messages"
        ));
    }
    assert!(failures.is_empty(), "\n{failures}");
    // A simulation in which nothing arrives would prove nothing.
    assert!(came * 2 > promised && promised * 4 > sent || alone);
    assert!(heard > entered && entered as u64 > stories || alone);
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in EVERY_TIME.take(5) {
        let (one, other) = (story(seed).0, story(seed).0);
        assert_eq!(one.map(|t| t.log), other.map(|t| t.log), "SEED={seed}");
    }
}

/// Tells it; and what was wrong with it.
fn story(seed: u64) -> (Option<Told>, Option<String>) {
    match catch_unwind(AssertUnwindSafe(|| tell(seed))) {
        Ok(told) => {
            let wrong = told.outcome.clone().err();
            (Some(told), wrong)
        }
        Err(_) => (None, Some("a panic".into())),
    }
}

fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

fn seeds_are_asked_for() -> bool {
    env::var_os("SEED").is_some() || env::var_os("SEEDS").is_some()
}

fn seeds() -> Range<u64> {
    let number = |text: &str| text.trim().parse::<u64>().expect("a number of a story");
    if let Ok(seed) = env::var("SEED") {
        let seed = number(&seed);
        return seed..seed + 1;
    }
    match env::var("SEEDS") {
        Ok(seeds) => {
            let (first, end) = seeds.split_once("..").expect("SEEDS=first..end");
            number(first)..number(end)
        }
        Err(_) => EVERY_TIME,
    }
}
