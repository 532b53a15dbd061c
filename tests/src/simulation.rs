//! Stories that nobody wrote (DESIGN §13.3): devices of several accounts on bad lines, and a server whose
//! disk forgets, runs full and fails. Everything follows from a seed.
//!
//! What must hold in every one of them: a message whose sender was told that it is handled reaches its
//! recipient, and both archives, once and in order; in one session nothing comes twice and nothing
//! overtakes; counts only grow, and after a resumption stand where they have to; a request has one answer;
//! who is blocked is not heard; names given to contacts stay, and a version of the list names one list for
//! ever; tokens open; everybody in a room agrees on who is there and on what was said (`rooms`); in the end
//! nothing is left over. Reading order: `story` (what may happen) → `device` (what a client does) → `ledger`
//! (what must hold).

mod archives;
mod blocks;
mod catching_up;
mod chance;
mod contacts;
mod device;
mod doings;
mod ending;
mod heard;
mod ledger;
mod line;
mod login;
mod rooms;
mod session;
mod story;

pub use story::{Told, tell};
