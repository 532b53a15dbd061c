//! The real binary, run the way people and scripts run it (RUNNING.md).

mod bytestreams;
mod commands;
mod common;
mod devices;
mod dns;
mod family;
mod ports;
mod reach;
mod rooms;
mod serving;
