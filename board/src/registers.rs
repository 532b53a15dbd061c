//! Pins by the Raspberry Pi's registers, through rppal: where its own kernel has `/dev/gpiomem`. Owns
//! nothing.

use crate::lamp::{Lamp, Pins};
use rppal::gpio::{Gpio, OutputPin, Trigger};
use std::{any::Any, io};
use tokio::sync::watch;

/// The registers, mapped.
#[derive(Debug)]
pub struct Registers(Gpio);

impl Registers {
    /// Those of this machine.
    ///
    /// # Errors
    /// One sentence, where it is no Raspberry Pi or its kernel does not let us.
    pub fn open() -> io::Result<Registers> {
        Gpio::new().map(Registers).map_err(io::Error::other)
    }
}

impl Pins for Registers {
    fn name(&self) -> &'static str {
        "the GPIO registers"
    }

    fn lamp(&self, pin: u8) -> io::Result<Box<dyn Lamp>> {
        let pin = self.0.get(pin).map_err(io::Error::other)?;
        Ok(Box::new(Output(pin.into_output_low())))
    }

    fn button(&self, pin: u8, pressed: watch::Sender<bool>) -> io::Result<Box<dyn Any + Send>> {
        let pin = self.0.get(pin).map_err(io::Error::other)?;
        let mut input = pin.into_input_pullup();
        pressed.send_replace(input.is_low());
        let tell = move |event: rppal::gpio::Event| {
            pressed.send_replace(event.trigger == Trigger::FallingEdge);
        };
        input
            .set_async_interrupt(Trigger::Both, None, tell)
            .map_err(io::Error::other)?;
        Ok(Box::new(input))
    }
}

/// A pin that is an output; what it was before comes back when it is dropped.
struct Output(OutputPin);

impl Lamp for Output {
    fn light(&mut self, lit: bool) -> io::Result<()> {
        self.0.write(lit.into());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_registers_is_an_error_with_words() {
        if let Err(error) = Registers::open() {
            assert!(!error.to_string().is_empty());
        }
    }
}
