//! Whom a link believes by certificate: what was shown, what this house insists on, and what the DNS proves.

use super::{
    super::{dane::Published, policy},
    Link, Side,
};
use xmpp::Jid;

impl Link {
    /// Whether whoever speaks for a domain showed a certificate for it.
    pub(super) fn has_certificate_for(&self, domain: &Jid) -> Result<(), String> {
        if self.chain.is_empty() {
            return Err("it showed no certificate".to_owned());
        }
        let nothing = Published::default();
        let published = match &self.side {
            Side::Calling(calling) if self.theirs.as_ref() == Some(domain) => &calling.published,
            _ => &nothing,
        };
        self.server.judge(&self.chain, domain.as_str(), published)
    }

    /// The same, where this house insists on it, or the domain itself by what it published (RFC 6698 §4.1).
    pub(super) fn is_trusted(&self, domain: &Jid) -> Result<(), String> {
        if self.insists_on_certificate(domain) {
            self.has_certificate_for(domain)
        } else {
            Ok(())
        }
    }

    pub(super) fn insists_on_certificate(&self, domain: &Jid) -> bool {
        matches!(&self.side, Side::Calling(calling) if !calling.published.tlsa.is_empty())
            || policy::needs_certificate(&self.server.config(), domain.as_str())
    }
}
