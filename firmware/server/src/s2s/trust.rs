//! Whether another server is who it says it is: its certificates, judged after the handshake (RFC 6120
//! §13.7.2), so that one without good ones can still be asked to dial back (XEP-0220).
//!
//! State: the authorities. Those of `tls.extra_ca` stay; those of the machine are read when somebody is to
//! be judged (a hundred files, some milliseconds), and forgotten when nobody has been for a while, so that a
//! house which talks to nobody outside holds none of them, and one that does hears of changes to them.

use super::certificate::{Believed, Certificate};
use crate::{
    limits::{PEER_ISSUERS_MAX, ROOTS_IDLE_MS, ROOTS_MS},
    tls::{Files, TlsError},
    world::Timestamp,
};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime, pem::PemObject};
use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tracing::{info, warn};
use webpki::{
    EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage, VerifiedPath,
};

/// Whom we believe when they say whose a certificate is.
pub struct Trust {
    files: Arc<dyn Files>,
    /// The certificates of `tls.extra_ca`.
    extra: Vec<CertificateDer<'static>>,
    known: Mutex<Option<Known>>,
}

/// All authorities, in memory.
struct Known {
    anchors: Arc<[TrustAnchor<'static>]>,
    read: Timestamp,
    used: Timestamp,
}

/// What is wrong with a peer's certificates. The text goes to the log and to the administrator, not to the
/// peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// There are none.
    Missing,
    /// The time of one of them is over.
    Expired,
    /// The time of one of them has not come.
    NotYetValid,
    /// The peer made it itself, and nobody of the house has said that it may.
    SelfSigned,
    /// No authority that we know is at the end of the chain, or something on the way is not right.
    Untrusted,
    /// It is good, but for somebody else.
    WrongName,
    /// It is for something else than servers and clients (RFC 5280 §4.2.1.12).
    WrongPurpose,
    /// It cannot be read.
    Broken,
}

impl Trust {
    /// Reads `tls.extra_ca`; an empty path names none.
    pub fn open(files: &Arc<dyn Files>, extra_ca: &Path) -> Result<Trust, TlsError> {
        let extra = if extra_ca.as_os_str().is_empty() {
            vec![]
        } else {
            let pem = crate::tls::read(&**files, "tls.extra_ca", extra_ca)?;
            certificates(&pem).map_err(|reason| {
                let file = extra_ca.display();
                TlsError::new(format!(
                    "tls.extra_ca = \"{file}\" {reason}: name a PEM file of certificates, or leave it empty"
                ))
            })?
        };
        Ok(Trust {
            files: files.clone(),
            extra,
            known: Mutex::new(None),
        })
    }

    /// Whether these certificates, leaf first, are good for this domain at this moment.
    ///
    /// `domain` is a domainpart in normal form (RFC 7622 §3.2). It may be for servers, for clients or for
    /// nothing in particular: both ends of a stream are servers, and public authorities issue nothing for
    /// clients any more. A certificate that stands in `tls.extra_ca` itself is good as it is.
    ///
    /// The first judgement after a while reads the machine's authorities from the disk.
    pub fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        domain: &str,
        now: Timestamp,
    ) -> Result<(), Flaw> {
        let shown = Shown::read(chain, now)?;
        // First what costs little: names can be made up faster than paths are checked.
        shown.is_for(domain, Believed::Everything)?;
        let believed = if self.extra.contains(shown.leaf) {
            Believed::Everything
        } else {
            shown.issued(&self.anchors(now), now)?
        };
        shown.is_for(domain, believed)
    }

    /// Forgets the machine's authorities if they have not been needed for a while, or are old. For those who
    /// look after the house from time to time.
    pub fn rest(&self, now: Timestamp) {
        let mut known = self.known();
        if known.as_ref().is_some_and(|known| {
            now.abs_diff(known.used) > ROOTS_IDLE_MS || now.abs_diff(known.read) > ROOTS_MS
        }) {
            *known = None;
        }
    }

    /// The certificates of `tls.extra_ca` are the same.
    pub(crate) fn is_like(&self, other: &Trust) -> bool {
        self.extra == other.extra
    }

    fn anchors(&self, now: Timestamp) -> Arc<[TrustAnchor<'static>]> {
        let mut known = self.known();
        let known = known.get_or_insert_with(|| Known {
            anchors: self.read_anchors(),
            read: now,
            used: now,
        });
        known.used = now;
        known.anchors.clone()
    }

    fn read_anchors(&self) -> Arc<[TrustAnchor<'static>]> {
        let system = self.files.authorities().unwrap_or_else(|error| {
            warn!(%error, "the authorities of this machine cannot be read");
            vec![]
        });
        let extra = self.extra.iter().filter(|der| {
            Certificate::read(der).is_some_and(|certificate| certificate.is_authority())
        });
        let anchors: Arc<[_]> = extra.chain(&system).filter_map(anchor).collect();
        info!(authorities = anchors.len(), "read whom to trust");
        anchors
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether these certificates, leaf first, are good for this name below that authority, whom somebody else
/// than the house trusts: for what a domain publishes itself (RFC 6698 §2.1.1, usage 2).
pub(super) fn is_good_below(
    root: &CertificateDer<'_>,
    chain: &[CertificateDer<'_>],
    name: &str,
    now: Timestamp,
) -> bool {
    let Some(root) = anchor(root) else {
        return false;
    };
    let judge = || {
        let shown = Shown::read(chain, now)?;
        shown.is_for(name, shown.issued(&[root], now)?)
    };
    judge().is_ok()
}

/// Whether browsers believe that these certificates, leaf first, are those of this domain's web.
pub(crate) fn is_good_for_browsers(
    authorities: &[CertificateDer<'_>],
    chain: &[CertificateDer<'_>],
    domain: &str,
    now: Timestamp,
) -> bool {
    let judge = || {
        let shown = Shown::read(chain, now)?;
        shown.is_for(domain, Believed::Dns)?;
        let anchors: Vec<_> = authorities.iter().filter_map(anchor).collect();
        shown.issued(&anchors, now).map(|_| ())
    };
    judge().is_ok()
}

fn anchor(der: &CertificateDer<'_>) -> Option<TrustAnchor<'static>> {
    let anchor = webpki::anchor_from_trusted_cert(der).ok()?;
    Some(anchor.to_owned())
}

/// The error is the predicate of a sentence about the file.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is not PEM ({error})"))?;
    if all.is_empty() {
        return Err("holds no certificate".to_owned());
    }
    if let Some(bad) = all.iter().position(|der| Certificate::read(der).is_none()) {
        return Err(format!(
            "cannot be understood from certificate {} on",
            bad + 1
        ));
    }
    Ok(all)
}

/// A chain that somebody showed, in the time of its leaf.
struct Shown<'a> {
    leaf: &'a CertificateDer<'a>,
    others: &'a [CertificateDer<'a>],
    certificate: Certificate<'a>,
}

impl<'a> Shown<'a> {
    fn read(chain: &'a [CertificateDer<'a>], now: Timestamp) -> Result<Shown<'a>, Flaw> {
        let (leaf, others) = chain.split_first().ok_or(Flaw::Missing)?;
        let certificate = Certificate::read(leaf).ok_or(Flaw::Broken)?;
        let (first, last) = certificate.validity();
        if now > last {
            return Err(Flaw::Expired);
        }
        if now < first {
            return Err(Flaw::NotYetValid);
        }
        Ok(Shown {
            leaf,
            others: &others[..others.len().min(PEER_ISSUERS_MAX)],
            certificate,
        })
    }

    fn issued(&self, anchors: &[TrustAnchor<'static>], now: Timestamp) -> Result<Believed, Flaw> {
        issued(self.leaf, self.others, anchors, now)
            .map_err(|error| explain(&error, &self.certificate))
    }

    fn is_for(&self, name: &str, believed: Believed) -> Result<(), Flaw> {
        if self.certificate.names(name, believed) {
            Ok(())
        } else {
            Err(Flaw::WrongName)
        }
    }
}

/// A path from the leaf to an authority (RFC 5280 §6.1), and what names may be believed at its end.
fn issued(
    leaf: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    anchors: &[TrustAnchor<'static>],
    now: Timestamp,
) -> Result<Believed, Error> {
    let leaf = EndEntityCert::try_from(leaf)?;
    let path = leaf.verify_for_usage(
        default_provider().signature_verification_algorithms.all,
        anchors,
        others,
        UnixTime::since_unix_epoch(Duration::from_millis(now)),
        Servers,
        None,
        None,
    )?;
    Ok(if limits_names(&path) {
        Believed::Dns
    } else {
        Believed::All
    })
}

fn limits_names(path: &VerifiedPath<'_>) -> bool {
    path.anchor().name_constraints.is_some()
        || path.intermediate_certificates().any(|certificate| {
            Certificate::read(&certificate.der())
                .is_none_or(|certificate| certificate.limits_names())
        })
}

/// Both ends of a stream between servers: for servers, for clients, or for nothing in particular.
struct Servers;

impl ExtendedKeyUsageValidator for Servers {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        let mut none = true;
        for purpose in purposes {
            none = false;
            let purpose = purpose?.to_decoded_oid();
            let good = [
                KeyUsage::SERVER_AUTH_REPR,
                KeyUsage::CLIENT_AUTH_REPR,
                ANY_PURPOSE,
            ];
            if good.contains(&purpose.as_slice()) {
                return Ok(());
            }
        }
        if none {
            Ok(())
        } else {
            Err(Error::EmptyEkuExtension)
        }
    }
}

/// `anyExtendedKeyUsage` (RFC 5280 §4.2.1.12).
const ANY_PURPOSE: &[usize] = &[2, 5, 29, 37, 0];

fn explain(error: &Error, leaf: &Certificate<'_>) -> Flaw {
    match error {
        Error::CertExpired { .. } => Flaw::Expired,
        Error::CertNotValidYet { .. } => Flaw::NotYetValid,
        Error::EmptyEkuExtension => Flaw::WrongPurpose,
        _ if leaf.is_self_issued() => Flaw::SelfSigned,
        _ => Flaw::Untrusted,
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flaw::Missing => "it showed no certificate",
            Flaw::Expired => "its certificate, or one above it, has expired",
            Flaw::NotYetValid => "its certificate, or one above it, is not valid yet",
            Flaw::SelfSigned => "it made its certificate itself",
            Flaw::Untrusted => "no authority known here vouches for its certificate",
            Flaw::WrongName => "its certificate is for another name",
            Flaw::WrongPurpose => "its certificate is for another purpose",
            Flaw::Broken => "its certificate cannot be read",
        })
    }
}

impl std::error::Error for Flaw {}

#[cfg(test)]
mod tests;
