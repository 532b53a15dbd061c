//! The records of a house at a provider that behaves like DigitalOcean, and what name servers make of them.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

mod challenges;
mod day;
mod double;
mod faults;
mod house;
mod records;
mod served;
