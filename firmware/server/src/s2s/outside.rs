//! What the server has other servers reached by.

use super::{Call, dane::Published};
use rustls_pki_types::CertificateDer;

/// Whoever has sockets, or stands for them in the simulated world.
pub trait Outside: Send + Sync {
    /// Calls another server, now or soon, and drives the link. Returns at once.
    fn call(&self, call: Call);

    /// Whether a chain of certificates, leaf first, proves that somebody is this domain; else in plain words
    /// why not. `published` is what the DNS proves about whom we called; nothing where they called us.
    fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        domain: &str,
        published: &Published,
    ) -> Result<(), String>;
}
