//! Pins by the kernel's GPIO character device: on any kernel, and on every Pi. Owns nothing.

use crate::{
    kernel::Kernel,
    lamp::{Lamp, Pins},
};
use gpiocdev::{
    Chip, Request,
    line::{Bias, EdgeDetection, Value},
};
use std::{any::Any, io, path::PathBuf, thread::Builder};
use tokio::sync::watch;

/// Labels of the chip whose lines are the pins of the header, by their BCM numbers: Pi 3 and Zero 2 W, Pi
/// 4, Pi 5.
const LABELS: &[&str] = &[
    "pinctrl-bcm2835",
    "pinctrl-bcm2711",
    "pinctrl-rp1",
    "brcm,bcm2835-gpio",
    "raspberrypi,rp1-gpio",
];

/// The chip with the header's pins.
#[derive(Debug)]
pub struct CharacterDevice(PathBuf);

impl CharacterDevice {
    /// The first chip that has them.
    ///
    /// # Errors
    /// One sentence, where there is none.
    pub fn find(kernel: &Kernel) -> io::Result<CharacterDevice> {
        let is_chip = |path: &PathBuf| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("gpiochip"))
        };
        let mut unlike = 0;
        for path in kernel.folders("dev").into_iter().filter(is_chip) {
            let info = Chip::from_path(&path).and_then(|chip| chip.info());
            match info {
                Ok(info) if LABELS.contains(&info.label.as_str()) => {
                    return Ok(CharacterDevice(path));
                }
                Ok(_) => unlike += 1,
                Err(error) => return Err(wrong(&path, &error)),
            }
        }
        Err(io::Error::other(match unlike {
            0 => "there is no /dev/gpiochip0",
            _ => "none of the chips has the pins of a Raspberry Pi's header",
        }))
    }
}

fn wrong(path: &std::path::Path, error: &gpiocdev::Error) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

impl Pins for CharacterDevice {
    fn name(&self) -> &'static str {
        "the GPIO character device"
    }

    fn lamp(&self, pin: u8) -> io::Result<Box<dyn Lamp>> {
        let request = Request::builder()
            .on_chip(&self.0)
            .with_consumer("hearth")
            .with_line(pin.into())
            .as_output(Value::Inactive)
            .request()
            .map_err(|error| wrong(&self.0, &error))?;
        Ok(Box::new(Line(request)))
    }

    fn button(&self, pin: u8, pressed: watch::Sender<bool>) -> io::Result<Box<dyn Any + Send>> {
        let request = Request::builder()
            .on_chip(&self.0)
            .with_consumer("hearth")
            .with_line(pin.into())
            .as_input()
            .as_active_low()
            .with_bias(Bias::PullUp)
            .with_edge_detection(EdgeDetection::BothEdges)
            .request()
            .map_err(|error| wrong(&self.0, &error))?;
        let watching = Builder::new().name("button".to_owned());
        Ok(Box::new(
            watching.spawn(move || watch_edges(&request, &pressed))?,
        ))
    }
}

/// A line that is an output; the kernel makes it an input again when it is closed.
struct Line(Request);

impl Lamp for Line {
    fn light(&mut self, lit: bool) -> io::Result<()> {
        let value = if lit { Value::Active } else { Value::Inactive };
        self.0.set_lone_value(value).map_err(io::Error::other)
    }
}

/// Tells the level now and after every edge, until nobody wants to know or the line fails. Sleeps in the
/// kernel meanwhile: a file of the line's in tokio's hands would take unsafe code.
fn watch_edges(request: &Request, pressed: &watch::Sender<bool>) {
    while let Ok(value) = request.lone_value() {
        // The event itself says no more than that there was an edge.
        if pressed.send(value == Value::Active).is_err() || request.read_edge_event().is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_pins_says_so() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("dev")).unwrap();
        let error = CharacterDevice::find(&Kernel::at(root.path())).unwrap_err();
        assert_eq!(error.to_string(), "there is no /dev/gpiochip0");
        std::fs::write(root.path().join("dev/gpiochip0"), "").unwrap();
        let error = CharacterDevice::find(&Kernel::at(root.path())).unwrap_err();
        assert!(error.to_string().contains("gpiochip0: "), "{error}");
    }
}
