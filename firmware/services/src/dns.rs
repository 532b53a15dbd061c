//! The records of this house in the DNS.

pub mod digitalocean;
pub mod limits;
pub mod plan;
pub mod provider;
pub mod record;
pub mod token;
pub mod zone;
