//! The board: what a person sees of the server without a screen.

mod led;
pub mod simulated;

pub use led::Pattern;
