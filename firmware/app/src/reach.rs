//! Keeps the house reachable from outside: what runs beside the server for that, and who hears of what.

pub(crate) mod address;
