//! Temperature and supply voltage of the board, as parts of the health.
//!
//! State: what was said last, so that a value at the edge of a threshold does not make the LED flicker.

use crate::kernel::{self, Kernel};
use household::Level;

/// Thousandths of a degree from which a part is as bad as that, and below which it is not any more. A Pi
/// slows down at 80 and harder at 85 (Pi 3 B+: from 60 a bit).
const HEAT: &[(Level, i32, i32)] = &[(Level::Fail, 84_000, 80_000), (Level::Warn, 78_000, 72_000)];

/// Readings without under-voltage after which the supply is believed again: a weak one fails whenever the
/// card or the network is busy, and five quiet minutes are no proof below that.
const QUIET_READINGS: u32 = 10;

/// What the kernel says at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Thousandths of a degree Celsius; `None` = there is no sensor.
    pub heat: Option<i32>,
    /// Whether the voltage is too low, now or since the last reading; `None` = nobody measures it.
    pub under_voltage: Option<bool>,
}

impl Reading {
    /// Reads the processor's sensor and the supply's.
    pub fn of(kernel: &Kernel) -> Reading {
        Reading {
            heat: heat(kernel),
            under_voltage: alarm(kernel).or_else(|| throttled(kernel)),
        }
    }
}

fn heat(kernel: &Kernel) -> Option<i32> {
    let zones = kernel.folders("sys/class/thermal");
    let is_processor = |kind: &str| kind == "cpu-thermal" || kind == "cpu_thermal";
    let zone = zones
        .iter()
        .find(|zone| kernel::read(&zone.join("type")).is_ok_and(|kind| is_processor(&kind)))?;
    kernel::read(&zone.join("temp")).ok()?.parse().ok()
}

/// The driver `rpi_volt`, which asks the firmware every two seconds.
fn alarm(kernel: &Kernel) -> Option<bool> {
    let sensors = kernel.folders("sys/class/hwmon");
    let supply = sensors
        .iter()
        .find(|sensor| kernel::read(&sensor.join("name")).is_ok_and(|name| name == "rpi_volt"))?;
    Some(kernel::read(&supply.join("in0_lcrit_alarm")).ok()? != "0")
}

/// The firmware's own word on the vendor's kernel, in hexadecimal: bit 0 is under-voltage now. Bit 16,
/// since the start, would never go away again.
fn throttled(kernel: &Kernel) -> Option<bool> {
    let path = kernel.path("sys/devices/platform/soc/soc:firmware/get_throttled");
    let text = kernel::read(&path).ok()?;
    let bits = u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()?;
    Some(bits & 1 != 0)
}

/// What is to be said of heat and voltage.
#[derive(Debug)]
pub struct Thermal {
    heat: Level,
    /// Readings since the last under-voltage; `None` = there was none.
    quiet: Option<u32>,
}

/// A part of the health: name, level, sentence with what to do.
pub type Word = (&'static str, Level, String);

impl Default for Thermal {
    fn default() -> Thermal {
        Thermal {
            heat: Level::Ok,
            quiet: None,
        }
    }
}

impl Thermal {
    /// Takes note of a reading; nothing is said of what nobody measures.
    pub fn note(&mut self, reading: Reading) -> Vec<Word> {
        let heat = reading.heat.map(|heat| self.heat(heat));
        let power = reading.under_voltage.map(|low| self.power(low));
        heat.into_iter().chain(power).collect()
    }

    fn heat(&mut self, heat: i32) -> Word {
        let before = self.heat;
        let holds = |(level, from, until): &&(Level, i32, i32)| {
            heat >= if before >= *level { *until } else { *from }
        };
        self.heat = HEAT
            .iter()
            .find(holds)
            .map_or(Level::Ok, |(level, _, _)| *level);
        // Without the number, which would be news with every reading.
        let text = match self.heat {
            Level::Ok => "the processor is cool enough",
            Level::Warn => {
                "the processor is hot and slows down soon: give the box some air, or a heat sink"
            }
            Level::Fail => {
                "the processor is too hot and slowed down: take it out of the sun or the \
                            cupboard, and give it a heat sink or a fan"
            }
        };
        ("temperature", self.heat, text.to_owned())
    }

    fn power(&mut self, low: bool) -> Word {
        self.quiet = match (low, self.quiet) {
            (true, _) => Some(0),
            (false, Some(quiet)) if quiet + 1 < QUIET_READINGS => Some(quiet + 1),
            (false, _) => None,
        };
        let (level, text) = match self.quiet {
            None => (Level::Ok, "the power supply is strong enough"),
            Some(_) => (
                Level::Warn,
                "the voltage fell too low, which can spoil the card: use the official power supply \
                 and a short cable",
            ),
        };
        ("power", level, text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn heat_has_to_fall_before_it_is_forgotten() {
        use Level::{Fail, Ok, Warn};
        let mut thermal = Thermal::default();
        for (heat, expected) in [
            (45, Ok),
            (77, Ok),
            (78, Warn),
            (77, Warn),
            (72, Warn),
            (71, Ok),
            (77, Ok),
            (85, Fail),
            (83, Fail),
            (80, Fail),
            (79, Warn),
            (83, Warn),
            (84, Fail),
            (40, Ok),
        ] {
            let reading = Reading {
                heat: Some(heat * 1_000),
                ..Reading::default()
            };
            let words = thermal.note(reading);
            assert_eq!(words.len(), 1);
            assert_eq!(
                (words[0].0, words[0].1),
                ("temperature", expected),
                "{heat}"
            );
        }
    }

    #[test]
    fn a_weak_supply_is_believed_after_a_while_of_quiet() {
        let mut thermal = Thermal::default();
        let mut say = |low| {
            let reading = Reading {
                under_voltage: Some(low),
                ..Reading::default()
            };
            thermal.note(reading)[0].1
        };
        assert_eq!(say(false), Level::Ok);
        assert_eq!(say(true), Level::Warn);
        for _ in 1..QUIET_READINGS {
            assert_eq!(say(false), Level::Warn);
        }
        assert_eq!(say(false), Level::Ok);
        assert_eq!(say(false), Level::Ok);
    }

    #[test]
    fn what_kernels_say_is_read() {
        let zone = ("sys/class/thermal/thermal_zone0/type", "cpu-thermal");
        let temp = |text| ("sys/class/thermal/thermal_zone0/temp", text);
        let volt = ("sys/class/hwmon/hwmon1/name", "rpi_volt");
        let alarm = |text| ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", text);
        let word = |text| ("sys/devices/platform/soc/soc:firmware/get_throttled", text);
        for (files, heat, under_voltage) in [
            (&[][..], None, None),
            (&[zone, temp("48312")], Some(48_312), None),
            (&[zone, temp("-1000")], Some(-1_000), None),
            (&[zone, temp("warm")], None, None),
            (
                &[
                    ("sys/class/thermal/thermal_zone0/type", "acpitz"),
                    temp("99000"),
                ],
                None,
                None,
            ),
            (&[volt, alarm("0")], None, Some(false)),
            (&[volt, alarm("1")], None, Some(true)),
            (&[volt, alarm("0"), word("50005")], None, Some(false)),
            (&[word("0")], None, Some(false)),
            (&[word("0x50005")], None, Some(true)),
            (&[word("50000")], None, Some(false)),
            (&[word("what")], None, None),
        ] {
            let root = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, format!("{text}\n")).unwrap();
            }
            let reading = Reading::of(&Kernel::at(root.path()));
            assert_eq!(
                reading,
                Reading {
                    heat,
                    under_voltage
                },
                "{files:?}"
            );
        }
    }
}
