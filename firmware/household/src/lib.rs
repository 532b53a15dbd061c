//! What the household decided and how its server is doing: plain types that every crate may see.
//!
//! Depends on nothing of ours, so that a page or an LED can know the configuration and the health of the
//! house without knowing an account, a stanza or a table (house rule 11).

pub mod config;
pub mod denied;
mod health;

pub use config::{Config, ConfigError};
pub use health::{Dropped, Finding, Health, Level, Numbers, Part, Relayed};
