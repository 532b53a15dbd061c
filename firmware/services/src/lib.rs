//! Keeps the house reachable. Each service is a module of its own, and none knows another.

pub mod dns;
pub mod acme;
pub mod clock;
pub mod http;
pub mod limits;
pub mod turn;
