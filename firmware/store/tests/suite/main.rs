//! The store from outside, mostly on disks that misbehave.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

mod failing_disk;
mod finder;
mod house;
mod migrations;
mod model;
mod power_cut;
mod real_files;
mod sequence;
mod sim_disk;
