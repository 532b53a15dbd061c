//! What the server has other servers reached by.

use super::{Call, dane::Published};
use rustls_pki_types::CertificateDer;
use tokio::sync::oneshot;

/// Whoever has sockets, or stands for them in the simulated world.
pub trait Outside: Send + Sync {
    /// Calls another server, now or soon, and drives the link. Returns at once.
    fn call(&self, call: Call);

    /// Whether a domain publishes in a signed DNS which certificates are its own (RFC 7673): then only a call
    /// can tell whether somebody has the right one. `None` where nothing can be asked; no answer where none
    /// came.
    fn publishes(&self, domain: &str) -> Option<oneshot::Receiver<bool>> {
        let _ = domain;
        None
    }

    /// Whether a chain of certificates, leaf first, proves that somebody is this domain; else in plain words
    /// why not. `published` is what the DNS proves about whom we called; nothing where they called us.
    fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        domain: &str,
        published: &Published,
    ) -> Result<(), String>;
}
