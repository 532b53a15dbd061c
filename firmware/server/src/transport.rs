//! What carries a stream between a peer and its [`Connection`](crate::connection::Connection).

mod alarms;
pub(crate) mod component;
mod socket;
pub(crate) mod tcp;

#[cfg(test)]
mod tests;
