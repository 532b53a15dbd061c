//! The XMPP server: a chain of ordinary calls from a socket to an outbox.
//!
//! Start with [`router`], the path of a stanza. Time, randomness, sockets and files enter through parameters
//! (house rule 9), so the same code runs over a simulated world in the tests.

pub mod accounts;
pub mod bosh;
pub mod bytestreams;
pub mod calls;
pub mod component;
pub mod connection;
pub mod devices;
pub mod family;
pub mod limits;
pub mod listen;
pub mod outbox;
pub mod s2s;
pub mod session;
pub mod tls;
pub mod uploads;
pub mod world;

mod account;
mod archive;
mod books;
mod capabilities;
#[cfg(test)]
mod core_tests;
mod delivery;
mod directory;
mod feature;
mod features;
#[cfg(test)]
mod fixture;
mod identity;
mod negotiation;
mod presence;
mod pubsub;
mod push;
mod reading;
mod registration;
mod room;
mod roster;
mod router;
mod server;
mod throttle;
mod transport;

pub use directory::Readers;
pub use feature::{Spec, specs};
pub use features::reporting::Report;
pub use push::{Outcome, Trial};
pub use room::administration as rooms;
pub use server::{AccountChange, Counts, Parts, Server, StartError};
pub use session::Session;
pub use transport::Visitor;
