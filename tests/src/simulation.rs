//! Stories that nobody wrote (DESIGN §13.3): devices of several accounts on bad lines, and a server whose
//! disk forgets, runs full and fails. Everything follows from a seed.
//!
//! What must hold in every one of them: a message whose sender was told that it is handled reaches its
//! recipient; in one session nothing comes twice and nothing overtakes; counts only grow, and after a
//! resumption stand where they have to; in the end nothing is left over. Reading order: `story` (what may
//! happen) → `device` (what a client does) → `ledger` (what must hold).

mod chance;
mod device;
mod ledger;
mod line;
mod session;
mod story;

pub use story::{Told, tell};
