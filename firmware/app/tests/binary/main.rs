//! The real binary, run the way people and scripts run it (RUNNING.md).

mod commands;
mod common;
mod devices;
mod family;
mod rooms;
mod serving;
