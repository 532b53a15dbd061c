//! Other servers: finding and reaching them.

pub mod dane;
pub mod dial;
pub mod resolve;
