//! What keeps the house reachable from outside: the services of `services`, with the machine's clock, dice
//! and files. Each is a module of its own, as there, and none knows another.

pub(crate) mod acme;
pub(crate) mod address;
pub(crate) mod dns;
pub(crate) mod proofs;
