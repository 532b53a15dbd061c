//! The core with a made-up machine: every error code, and where packets go.

mod allocating;
mod fixture;
mod relaying;
mod requests;
