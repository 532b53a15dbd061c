//! Streams with other servers (RFC 6120 §4, "server-to-server").

pub mod trust;

mod certificate;
#[cfg(test)]
mod pki;
pub(crate) mod tls;
