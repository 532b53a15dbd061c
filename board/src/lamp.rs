//! What drives an LED and reads a button, whatever they hang on. Owns nothing.

use std::{any::Any, io};
use tokio::sync::watch;

/// One LED. Dropping it gives it back to whom it belonged before.
pub trait Lamp: Send {
    /// Lights it, or darkens it.
    fn light(&mut self, lit: bool) -> io::Result<()>;
}

/// Pins by their BCM numbers, as the board's back end for GPIO has them.
pub trait Pins {
    /// The back end, for people.
    fn name(&self) -> &'static str;

    /// Takes a pin as an output, dark to begin with.
    fn lamp(&self, pin: u8) -> io::Result<Box<dyn Lamp>>;

    /// Takes a pin as an input with a pull-up: a button between it and ground. Tells whether it is pressed,
    /// now and with every change, until what is returned is dropped.
    fn button(&self, pin: u8, pressed: watch::Sender<bool>) -> io::Result<Box<dyn Any + Send>>;
}

/// An LED between the pin and 3.3 V is lit by darkening it.
pub struct Inverted(pub Box<dyn Lamp>);

impl Lamp for Inverted {
    fn light(&mut self, lit: bool) -> io::Result<()> {
        self.0.light(!lit)
    }
}
