//! Keeps the house reachable. Each service is a module of its own, and none knows another.

pub mod acme;
pub mod address;
pub mod check;
pub mod clock;
pub mod dns;
pub mod http;
pub mod limits;
pub mod links;
pub mod router;
pub mod turn;
