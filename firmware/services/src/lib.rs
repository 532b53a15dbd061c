//! Keeps the house reachable. Each service is a module of its own, and none knows another.

pub mod turn;
