//! A board without a board: LEDs are text.
//!
//! State: which of them are lit, for the one line that shows all.

use crate::{
    lamp::Lamp,
    led::{Place, Situation, shown},
};
use household::Level;
use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

/// A line of a terminal with an LED for each place; it is written over with every change.
#[derive(Clone)]
pub struct Terminal(Arc<Mutex<Line>>);

struct Line {
    lit: [bool; Place::ALL.len()],
    to: Box<dyn Write + Send>,
}

impl Terminal {
    /// A line there, dark to begin with.
    pub fn new(to: Box<dyn Write + Send>) -> Terminal {
        let lit = Default::default();
        Terminal(Arc::new(Mutex::new(Line { lit, to })))
    }

    /// Its LED for that.
    pub fn lamp(&self, place: Place) -> TerminalLamp {
        let at = Place::ALL.iter().position(|it| *it == place);
        TerminalLamp {
            terminal: self.clone(),
            at: at.unwrap_or_default(),
        }
    }
}

/// One LED of the line.
pub struct TerminalLamp {
    terminal: Terminal,
    at: usize,
}

impl Lamp for TerminalLamp {
    fn light(&mut self, lit: bool) -> io::Result<()> {
        let mut line = self
            .terminal
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        line.lit[self.at] = lit;
        let leds = Place::ALL
            .iter()
            .zip(line.lit)
            .map(|(place, lit)| format!("{} {}", if lit { '●' } else { '○' }, place.name()));
        let text = leds.collect::<Vec<_>>().join("  ");
        write!(line.to, "\r{text}")?;
        line.to.flush()
    }
}

/// Writes what the LED would say and which parts made it so: `led disk: store: the card is full`.
pub fn show(situation: &Situation, to: &mut impl Write) -> io::Result<()> {
    write!(to, "led {}", shown(Place::Health, situation).name)?;
    for part in situation
        .health
        .parts()
        .iter()
        .filter(|part| part.level != Level::Ok)
    {
        write!(to, ": {}: {}", part.part, part.text)?;
    }
    writeln!(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_is_named_with_what_made_it_so() {
        let mut situation = Situation::default();
        situation.health.set("listeners", Level::Ok, "all bound");
        let rows = [
            (Level::Ok, "led good\n"),
            (Level::Warn, "led degraded: store: nearly full\n"),
            (Level::Fail, "led disk: store: nearly full\n"),
        ];
        for (level, expected) in rows {
            situation.health.set("store", level, "nearly full");
            let mut line = Vec::new();
            show(&situation, &mut line).expect("memory takes it");
            assert_eq!(String::from_utf8_lossy(&line), expected);
        }
    }
}
