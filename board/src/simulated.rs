//! A board without a board: LEDs are text. Owns nothing.

use crate::led::{Place, Situation, shown};
use household::Level;
use std::io::{self, Write};

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
