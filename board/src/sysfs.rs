//! LEDs that the kernel knows (its LED class, `/sys/class/leds`): those on the board, and those that
//! `dtoverlay=gpio-led` made of pins. Whether an LED is lit by a high or a low level is the kernel's
//! business here.
//!
//! State: for each LED what it did before, which it does again when it is dropped.

use crate::{
    kernel::{self, Kernel},
    lamp::Lamp,
    led::Place,
};
use std::{io, path::PathBuf};

/// Under which names the LEDs of a Raspberry Pi are known, the newest first: `ACT` and `PWR` since 5.15,
/// `led0` and `led1` before (Pi 3), `default-on` where the kernel did not know the red one's name. A Zero 2
/// W has no red one.
const NAMES: &[(Place, &[&str])] = &[
    (Place::Health, &["health", "ACT", "led0"]),
    (Place::Power, &["PWR", "led1", "default-on"]),
    (Place::Internet, &["internet"]),
    (Place::Chat, &["chat"]),
];

/// An LED of the kernel's.
#[derive(Debug)]
pub struct SysfsLamp {
    folder: PathBuf,
    /// What is written to light it: as bright as it can.
    full: String,
    /// Trigger and brightness as they were.
    before: (Option<String>, String),
}

/// The LEDs of that place which the kernel has, under any of their names; a board and a LED outside may
/// both be there.
pub fn find(kernel: &Kernel, place: Place) -> Vec<PathBuf> {
    let names = NAMES
        .iter()
        .find(|(of, _)| *of == place)
        .map_or(&[][..], |(_, names)| names);
    let folders = names
        .iter()
        .map(|name| kernel.path("sys/class/leds").join(name));
    let mut found: Vec<_> = folders
        .filter(|folder| folder.join("brightness").exists())
        .collect();
    // One board's LED under an old and a new name is one LED.
    let on_board = |folder: &PathBuf| !folder.ends_with(place.name());
    let first = found.iter().find(|folder| on_board(folder)).cloned();
    found.retain(|folder| !on_board(folder) || Some(folder) == first.as_ref());
    found
}

impl SysfsLamp {
    /// Takes the LED from its trigger, and darkens it.
    pub fn take(folder: PathBuf) -> io::Result<SysfsLamp> {
        let full = kernel::read(&folder.join("max_brightness")).unwrap_or_else(|_| "1".to_owned());
        let triggers = kernel::read(&folder.join("trigger")).unwrap_or_default();
        let brightness = kernel::read(&folder.join("brightness"))?;
        let mut lamp = SysfsLamp {
            before: (chosen(&triggers).map(str::to_owned), brightness),
            folder,
            full,
        };
        if lamp.before.0.is_some() {
            lamp.write("trigger", "none")?;
        }
        lamp.light(false)?;
        Ok(lamp)
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        kernel::write(&self.folder.join(file), text)
    }
}

/// The word in brackets: `none [mmc0] timer` has `mmc0`.
fn chosen(triggers: &str) -> Option<&str> {
    triggers
        .split_whitespace()
        .find_map(|word| word.strip_prefix('[')?.strip_suffix(']'))
}

impl Lamp for SysfsLamp {
    fn light(&mut self, lit: bool) -> io::Result<()> {
        // A brightness of 0 takes the LED from any trigger that somebody gave it meanwhile.
        self.write("brightness", if lit { &self.full } else { "0" })
    }
}

impl Drop for SysfsLamp {
    fn drop(&mut self) {
        let (trigger, brightness) = &self.before;
        // Brightness first: writing it may clear a trigger, and never the other way round.
        let _ = self.write("brightness", brightness);
        if let Some(trigger) = trigger {
            let _ = self.write("trigger", trigger);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    /// A tree like the kernel's: name, trigger, brightness, full brightness.
    fn tree(leds: &[(&str, &str, &str, &str)]) -> (tempfile::TempDir, Kernel) {
        let root = tempfile::tempdir().unwrap();
        for (name, trigger, brightness, full) in leds {
            let folder = root.path().join("sys/class/leds").join(name);
            fs::create_dir_all(&folder).unwrap();
            for (file, text) in [
                ("trigger", trigger),
                ("brightness", brightness),
                ("max_brightness", full),
            ] {
                fs::write(folder.join(file), format!("{text}\n")).unwrap();
            }
        }
        let kernel = Kernel::at(root.path());
        (root, kernel)
    }

    fn text(folder: &Path, file: &str) -> String {
        fs::read_to_string(folder.join(file))
            .unwrap()
            .trim_end()
            .to_owned()
    }

    #[test]
    fn an_led_is_taken_lit_and_given_back() {
        let (_root, kernel) = tree(&[("ACT", "none [mmc0] timer heartbeat", "0", "255")]);
        let folder = find(&kernel, Place::Health).remove(0);
        let mut lamp = SysfsLamp::take(folder.clone()).unwrap();
        assert_eq!(
            (text(&folder, "trigger"), text(&folder, "brightness")),
            ("none".into(), "0".into())
        );
        lamp.light(true).unwrap();
        assert_eq!(text(&folder, "brightness"), "255");
        lamp.light(false).unwrap();
        assert_eq!(text(&folder, "brightness"), "0");
        drop(lamp);
        assert_eq!(
            (text(&folder, "trigger"), text(&folder, "brightness")),
            ("mmc0".into(), "0".into())
        );
    }

    #[test]
    fn boards_have_their_names() {
        let led = |name| (name, "[default-on]", "1", "1");
        for (leds, health, power) in [
            (&["ACT", "PWR"][..], &["ACT"][..], &["PWR"][..]),
            (&["ACT"], &["ACT"], &[]),
            (&["led0", "led1"], &["led0"], &["led1"]),
            (&["ACT", "led0", "PWR", "default-on"], &["ACT"], &["PWR"]),
            (&["ACT", "health", "mmc0::"], &["health", "ACT"], &[]),
            (&["input3::capslock"], &[], &[]),
        ] {
            let (_root, kernel) = tree(&leds.iter().copied().map(led).collect::<Vec<_>>());
            for (place, expected) in [(Place::Health, health), (Place::Power, power)] {
                let found = find(&kernel, place);
                let names: Vec<_> = found
                    .iter()
                    .filter_map(|it| it.file_name()?.to_str())
                    .collect();
                assert_eq!(names, expected, "{place:?} of {leds:?}");
            }
        }
    }

    #[test]
    fn one_that_cannot_be_written_is_refused() {
        let (root, kernel) = tree(&[("ACT", "[none]", "0", "1")]);
        let folder = find(&kernel, Place::Health).remove(0);
        fs::remove_file(folder.join("brightness")).unwrap();
        assert!(SysfsLamp::take(folder).is_err());
        drop(root);
    }
}
