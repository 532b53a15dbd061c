//! Plays every script in the simulated world and lists all that is wrong at once.
//!
//! `BLESS=1` writes the answers that came into the scripts, for review. `SCRIPT=0199` plays those
//! with that in their names.

use std::{env, fs};
use system_tests::{library, play, simulated::Simulated, world::Problem};

#[test]
fn scripts() {
    let bless = env::var_os("BLESS").is_some();
    let only = env::var("SCRIPT").unwrap_or_default();
    let scripts = library::all().expect("there are scripts");
    let mut failures = Vec::new();
    for path in scripts
        .iter()
        .filter(|path| library::name_of(path).contains(&only))
    {
        let (script, source) = match library::read(path) {
            Ok(read) => read,
            Err(why) => {
                failures.push(why);
                continue;
            }
        };
        let mut world = Simulated::default();
        let played = if bless {
            play::bless(&script, &mut world)
        } else {
            play::play(&script, &mut world)
        };
        if bless && !played.answers.is_empty() {
            fs::write(path, played.answers.apply(&source)).expect("scripts can be written");
        }
        if let Some((line, Problem::Failed(why) | Problem::NotApplicable(why))) = played.problem {
            failures.push(format!("{}:{line}: {why}", script.name));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} scripts\n\n{}",
        failures.len(),
        scripts.len(),
        failures.join("\n\n")
    );
}
