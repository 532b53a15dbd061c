//! The card image. It begins with knowing its inputs: `cargo run -p image` prints what an image is made of.

use anyhow::{Context, Result};
use std::io::{self, Write};

/// One input a line: kind, name, version (or `-`), where on the card it goes.
const INPUTS: &str = include_str!("../inputs.lock");

struct Input<'a> {
    kind: &'a str,
    name: &'a str,
    version: &'a str,
    place: &'a str,
}

fn main() -> Result<()> {
    let mut out = io::stdout().lock();
    for input in inputs(INPUTS)? {
        let Input {
            kind,
            name,
            version,
            place,
        } = input;
        writeln!(out, "{kind:<9} {name:<24} {version:<10} → {place}")?;
    }
    Ok(())
}

fn inputs(text: &str) -> Result<Vec<Input<'_>>> {
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            input(line).with_context(|| {
                format!(
                    "inputs.lock line {} needs kind, name, version, place",
                    number + 1
                )
            })
        })
        .collect()
}

fn input(line: &str) -> Option<Input<'_>> {
    let mut words = line.split_whitespace();
    let input = Input {
        kind: words.next()?,
        name: words.next()?,
        version: words.next()?,
        place: words.next()?,
    };
    words.next().is_none().then_some(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_lock_is_an_input() {
        assert!(
            inputs(INPUTS)
                .expect("the lock is well-formed")
                .iter()
                .any(|input| input.name == "hearth")
        );
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let error = inputs("# comment\nbinary hearth")
            .err()
            .expect("two words are missing");
        assert_eq!(
            error.to_string(),
            "inputs.lock line 2 needs kind, name, version, place"
        );
    }
}
