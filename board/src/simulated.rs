//! A board without a board: the LED is one line of text.

use crate::Pattern;
use household::{Health, Level};
use std::io::{self, Write};

/// Writes what the LED would do and which parts made it so: `led fast-blink: store: the card is full`.
pub fn show(health: &Health, to: &mut impl Write) -> io::Result<()> {
    write!(to, "led {}", Pattern::of(health.level()).name())?;
    for part in health.parts().iter().filter(|part| part.level != Level::Ok) {
        write!(to, ": {}: {}", part.part, part.text)?;
    }
    writeln!(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_part_decides_and_is_named() {
        let mut health = Health::default();
        health.set("listeners", Level::Ok, "all bound");
        let rows = [
            (Level::Ok, "led steady\n"),
            (Level::Warn, "led slow-blink: store: nearly full\n"),
            (Level::Fail, "led fast-blink: store: nearly full\n"),
        ];
        for (level, expected) in rows {
            health.set("store", level, "nearly full");
            let mut line = Vec::new();
            show(&health, &mut line).expect("memory takes it");
            assert_eq!(String::from_utf8_lossy(&line), expected);
        }
    }
}
