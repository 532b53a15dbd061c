//! The specification as scripts, and the two worlds they are played in: one simulated in process,
//! where time stands still until a script says otherwise, and one of real sockets to any server.
//!
//! Stories that nobody wrote are in [`simulation`].
//!
//! Reading order: [`script`] (what a script says) → [`play`] (doing it) → [`world`] (where it is done).

mod addresses;
mod answers;
mod client;
mod clock;
mod component;
pub mod dns;
mod filling;
pub mod library;
pub mod matching;
pub mod play;
mod scram;
pub mod script;
pub mod simulated;
pub mod simulation;
pub mod sockets;
mod token;
pub mod wire;
pub mod world;
