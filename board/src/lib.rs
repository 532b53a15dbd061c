//! The board: what a person sees of the server without a screen, and the button they have.
//!
//! `led` is the table from state to sign, `rhythm` plays it, `button` tells how long a finger stayed,
//! `clock` gives both their time. What LEDs and buttons hang on is behind the traits of `lamp`.

pub mod address;
pub mod button;
pub mod chip;
pub mod clock;
pub mod kernel;
pub mod lamp;
pub mod led;
pub mod limits;
pub mod panel;
pub mod registers;
pub mod rhythm;
pub mod simulated;
pub mod sysfs;
pub mod thermal;
pub mod watchdog;
