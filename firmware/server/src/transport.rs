//! What carries a stream between a peer and its [`Connection`](crate::connection::Connection), or another
//! server and its [`Link`](crate::s2s::Link).

mod alarms;
mod driven;
pub(crate) mod frames;
mod line;
pub(crate) mod socket;
pub(crate) mod tcp;

pub(crate) use driven::{Driven, Handshake};
pub use frames::Visitor;
pub(crate) use line::{Ahead, Line};

#[cfg(test)]
pub(crate) mod tests;
