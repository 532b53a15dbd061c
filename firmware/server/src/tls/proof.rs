//! Certificates that show an authority that a name is ours (RFC 8737, TLS-ALPN-01). Nobody else sees them:
//! they are shown to who names `acme-tls/1` and nothing else, and there is nothing behind the handshake.
//!
//! State: one configuration for each name that is being proven, for as long as that takes.

use super::TlsError;
use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs::default_provider,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::{collections::BTreeMap, sync::Arc};

/// The protocol that an authority names (RFC 8737 §6.2).
pub(crate) const ALPN: &[u8] = b"acme-tls/1";

/// A name that is to be proven, and the certificate made for that (RFC 8737 §3).
pub struct Proof {
    /// In A-labels, as an authority writes it into its ClientHello.
    pub name: String,
    pub certificate: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
}

/// What is being proven.
#[derive(Default)]
pub(super) struct Proofs(ArcSwap<BTreeMap<String, Arc<ServerConfig>>>);

impl Proofs {
    /// These and no others from now on.
    pub(super) fn set(&self, proofs: Vec<Proof>) -> Result<(), TlsError> {
        let mut all = BTreeMap::new();
        for proof in proofs {
            let name = proof.name.clone();
            let config = configuration(proof).map_err(|error| {
                TlsError::new(format!("no proof can be shown for {name}: {error}"))
            })?;
            all.insert(name, Arc::new(config));
        }
        self.0.store(Arc::new(all));
        Ok(())
    }

    /// What is answered to who looks for this name; `None` where it is not being proven.
    pub(super) fn of(&self, name: &str) -> Option<Arc<ServerConfig>> {
        self.0.load().get(&name.to_ascii_lowercase()).cloned()
    }
}

fn configuration(proof: Proof) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(default_provider());
    // Not `CertifiedKey::from_der`: it reads the certificate, and does not know what an authority looks for
    // in it, which is critical (RFC 8737 §3).
    let key = provider.key_provider.load_private_key(proof.key)?;
    let certified = CertifiedKey::new(vec![proof.certificate], key);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(config)
}
