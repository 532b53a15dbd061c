//! Limits of the self-check, each with its reason.

/// Milliseconds that one door may take to answer: it is in this house, or nowhere.
pub const KNOCK_MS_MAX: u64 = 3_000;
/// Certificates of a chain that are looked at.
pub const CHAIN_MAX: usize = 10;
