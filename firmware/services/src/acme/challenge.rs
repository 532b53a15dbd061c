//! How names are proven (RFC 8555 §8, RFC 8737): what is shown to the authority, where, and how it is taken
//! away again, whatever came of it.
//!
//! State: the files of HTTP-01 that are being shown; what is written into the DNS is remembered in the store
//! before it is written.

use super::{
    books::Books,
    limits::{DNS_MAX, DNS_POLL, DNS_REST},
    record::WRITTEN,
    trouble::Trouble,
    wish::Way,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use server::tls::{Proof, Tls};
use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::time::{Instant, sleep};
use tracing::warn;

/// What a call of a trait object is waited for with.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whoever can write records for DNS-01 (RFC 8555 §8.4).
pub trait Challenges: Send + Sync {
    /// Whether there is somebody to write them, at this moment.
    fn is_ready(&self) -> bool;

    /// Writes a record, beside others of its name. One that is there already is a success.
    fn publish<'a>(&'a self, record: &'a Txt) -> Doing<'a, Result<(), Refused>>;

    /// Takes that record away. One that is not there is a success.
    fn withdraw<'a>(&'a self, record: &'a Txt) -> Doing<'a, Result<(), Refused>>;

    /// Whether every authoritative server of the zone answers with it now. They are asked directly: a
    /// resolver would remember for a while that there was none.
    fn is_everywhere<'a>(&'a self, record: &'a Txt) -> Doing<'a, Result<bool, Refused>>;
}

/// A TXT record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Txt {
    /// The whole name in A-labels, without a dot at its end.
    pub name: String,
    pub value: String,
}

/// Why it could not be done: a clause for people, like "the provider refuses the token".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The files of HTTP-01 (RFC 8555 §8.3), by token. A clone is the same one.
#[derive(Clone, Default)]
pub struct Files(Arc<Mutex<HashMap<String, String>>>);

impl Files {
    /// What is at `/.well-known/acme-challenge/TOKEN`.
    pub fn get(&self, token: &str) -> Option<String> {
        self.files().get(token).cloned()
    }

    fn files(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name that is to be proven.
pub(super) struct Claim {
    /// In A-labels.
    pub(super) name: String,
    pub(super) token: String,
    /// RFC 8555 §8.1.
    pub(super) key_authorization: String,
    /// Its SHA-256.
    pub(super) digest: Vec<u8>,
    /// The same in base64url (RFC 8555 §8.4).
    pub(super) dns_value: String,
}

impl Claim {
    fn record(&self) -> Txt {
        Txt {
            name: format!("_acme-challenge.{}", self.name),
            value: self.dns_value.clone(),
        }
    }
}

/// Where proofs are shown.
pub(super) struct Places {
    pub(super) books: Books,
    pub(super) tls: Arc<Tls>,
    pub(super) files: Files,
    pub(super) dns: Option<Arc<dyn Challenges>>,
}

impl Places {
    /// Whether names can be proven like that at this moment.
    pub(super) fn is_ready(&self, way: Way) -> bool {
        way != Way::Dns || self.dns.as_ref().is_some_and(|dns| dns.is_ready())
    }

    /// Shows all of it; returns when the authority may look.
    pub(super) async fn show(&self, way: Way, claims: &[Claim]) -> Result<(), Trouble> {
        match way {
            Way::Dns => self.show_in_dns(claims).await,
            Way::Http => {
                let all = claims.iter();
                let all = all.map(|it| (it.token.clone(), it.key_authorization.clone()));
                self.files.files().extend(all);
                Ok(())
            }
            Way::Tls => {
                let proofs: Result<Vec<_>, _> = claims.iter().map(proof).collect();
                let proofs = proofs.map_err(|error| Trouble::inside(&error.to_string()))?;
                let shown = self.tls.prove(proofs);
                shown.map_err(|error| Trouble::inside(&error.to_string()))
            }
        }
    }

    /// Takes everything away, also what was left by a run that ended in the middle.
    pub(super) async fn clear(&self) {
        self.files.files().clear();
        if let Err(error) = self.tls.prove(Vec::new()) {
            warn!(%error, "a proof stays to be seen");
        }
        let Some(dns) = self.dns.as_ref().filter(|dns| dns.is_ready()) else {
            return;
        };
        let mut gone = Vec::new();
        for record in self.books.written().await.unwrap_or_default() {
            match dns.withdraw(&record).await {
                Ok(()) => gone.push(WRITTEN.remove(&(record.name, record.value))),
                // It is remembered, and taken away another time.
                Err(error) => warn!(name = record.name, %error, "a record stays in the DNS"),
            }
        }
        // Where that fails, they are taken away once more, which does no harm.
        let _ = self.books.write(gone).await;
    }

    async fn show_in_dns(&self, claims: &[Claim]) -> Result<(), Trouble> {
        let Some(dns) = &self.dns else {
            return Err(Trouble::no_dns());
        };
        let records: Vec<_> = claims.iter().map(Claim::record).collect();
        // First it is remembered: power may be cut before it is taken away.
        let rows = records.iter().cloned();
        let rows = rows.map(|record| WRITTEN.put(&(record.name, record.value), &()));
        self.books.write(rows.collect()).await?;
        for record in &records {
            let written = dns.publish(record).await;
            written.map_err(|error| Trouble::dns(&record.name, &error))?;
        }
        let until = Instant::now() + DNS_MAX;
        sleep(DNS_REST).await;
        for record in &records {
            while !dns
                .is_everywhere(record)
                .await
                .map_err(|error| Trouble::dns(&record.name, &error))?
            {
                if Instant::now() >= until {
                    let slow = Refused("its servers do not all have it yet".to_owned());
                    return Err(Trouble::dns(&record.name, &slow));
                }
                sleep(DNS_POLL).await;
            }
        }
        Ok(())
    }
}

/// RFC 8737 §3: a certificate for the name alone, with the digest in an extension of its own, made by its
/// key.
fn proof(claim: &Claim) -> Result<Proof, rcgen::Error> {
    let mut params = CertificateParams::new(vec![claim.name.clone()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(&claim.digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Proof {
        name: claim.name.clone(),
        certificate: certificate.der().clone(),
        key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
    })
}
