//! What carries a stream between a peer and its [`Connection`](crate::connection::Connection).

mod alarms;
mod socket;
pub(crate) mod tcp;

#[cfg(test)]
mod tests;
