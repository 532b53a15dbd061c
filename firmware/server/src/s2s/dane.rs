//! DANE (RFC 6698, RFC 7673): whether a certificate is the one that the owner of a host put into the DNS.
//!
//! Owns nothing. [`Tlsa`] records come here only with a DNSSEC proof (see [`super::resolve`]); what is not
//! DANE's, paths and names of certificates, is asked of the caller.

use super::trust::{self, Flaw, Trust};
use crate::world::Timestamp;
use aws_lc_rs::digest;
use rustls_pki_types::CertificateDer;
use std::fmt;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Certificate usages (RFC 7218 §2.1).
const PKIX_TA: u8 = 0;
const PKIX_EE: u8 = 1;
const DANE_TA: u8 = 2;
const DANE_EE: u8 = 3;

/// What the DNS proves about the host that a call went to, and so about its certificate (RFC 7673 §4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// The host, in A-labels, where the way from the domain to it is proven: another name that may be in the
    /// certificate.
    pub host: Option<String>,
    /// What the certificate must match: usable records only.
    pub tlsa: Vec<Tlsa>,
}

/// Why a certificate is not good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    Flaw(Flaw),
    /// It may be good, but is not the one that is published.
    Other,
}

/// A TLSA record (RFC 6698 §2.1), as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tlsa {
    pub usage: u8,
    /// 0: the whole certificate; 1: its SubjectPublicKeyInfo.
    pub selector: u8,
    /// 0: the bytes themselves; 1: their SHA-256; 2: their SHA-512.
    pub matching: u8,
    pub data: Vec<u8>,
}

impl Published {
    /// What a call went by: a host, and the records that came with a proof.
    pub fn new(host: String, mut tlsa: Vec<Tlsa>) -> Published {
        tlsa.retain(Tlsa::is_usable);
        Published {
            host: Some(host),
            tlsa,
        }
    }

    /// Judges a chain by the rules of certificates and by what is published.
    pub fn judge(
        &self,
        trust: &Trust,
        chain: &[CertificateDer<'_>],
        domain: &str,
        now: Timestamp,
    ) -> Result<(), Doubt> {
        let host = self.host.as_deref();
        let names = std::iter::once(domain).chain(host);
        let trusted = match (trust.judge(chain, domain, now), host) {
            (Err(Flaw::WrongName), Some(host)) => trust.judge(chain, host, now),
            (trusted, _) => trusted,
        };
        let anchored = |root: &CertificateDer<'_>| {
            let mut names = names.clone();
            names.any(|name| trust::is_good_below(root, chain, name, now))
        };
        match judge(&self.tlsa, chain, trusted.is_ok(), anchored) {
            Dane::None => trusted.map_err(Doubt::Flaw),
            Dane::Match => Ok(()),
            Dane::Mismatch => Err(Doubt::Other),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::Flaw(flaw) => flaw.fmt(f),
            Doubt::Other => {
                f.write_str("its certificate is not the one that its domain publishes (DANE)")
            }
        }
    }
}

/// What TLSA records say about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dane {
    /// Nothing: there are no usable records, and the certificate is judged as if there were none.
    None,
    /// It is the one. Paths, names and times were asked for where they count, so it is good as it is.
    Match,
    /// It is another one: the connection must not be used (RFC 6698 §4.1).
    Mismatch,
}

/// Judges a chain as the server presented it, its own certificate first.
///
/// `trusted` is whether it is good without DANE: path to a root of ours, name and time. `anchored` answers
/// the same for a path to the given certificate instead of a root, the name being that of the domain or of
/// the host that was dialled (RFC 7673 §4); it is asked only for records of usage DANE-TA.
pub fn judge(
    records: &[Tlsa],
    chain: &[CertificateDer<'_>],
    trusted: bool,
    anchored: impl Fn(&CertificateDer<'_>) -> bool,
) -> Dane {
    let mut dane = Dane::None;
    for record in records.iter().filter(|record| record.is_usable()) {
        let Some((own, issuers)) = chain.split_first() else {
            return Dane::Mismatch;
        };
        let good = match record.usage {
            // Name and time of the certificate do not count (RFC 7673 §4.2).
            DANE_EE => record.matches(own),
            PKIX_EE => trusted && record.matches(own),
            DANE_TA => {
                let mut named = issuers.iter().filter(|issuer| record.matches(issuer));
                // The issuer may be in the record alone (RFC 7671 §5.2.3).
                let enclosed = (record.selector, record.matching) == (0, 0)
                    && anchored(&CertificateDer::from(record.data.as_slice()));
                enclosed || named.any(&anchored)
            }
            _ => {
                let mut named = issuers
                    .iter()
                    .filter(|issuer| record.matches(issuer))
                    .peekable();
                if named.peek().is_none() {
                    continue; // servers leave out the root, which may be the one that is meant
                }
                trusted && named.any(&anchored) // and not only shown beside the path
            }
        };
        if good {
            return Dane::Match;
        }
        dane = Dane::Mismatch;
    }
    dane
}

impl Tlsa {
    /// Whether we know all of it and its data can match anything (RFC 6698 §4.1).
    fn is_usable(&self) -> bool {
        let data = match self.matching {
            0 => self.selector != 0 || key_info(&self.data).is_some(),
            1 => self.data.len() == digest::SHA256_OUTPUT_LEN,
            2 => self.data.len() == digest::SHA512_OUTPUT_LEN,
            _ => false,
        };
        let known = matches!(self.usage, PKIX_TA | PKIX_EE | DANE_TA | DANE_EE);
        known && self.selector <= 1 && data && !self.data.is_empty()
    }

    fn matches(&self, certificate: &CertificateDer<'_>) -> bool {
        let selected = match self.selector {
            0 => Some(certificate.as_ref()),
            _ => key_info(certificate),
        };
        selected.is_some_and(|bytes| match self.matching {
            0 => bytes == self.data,
            1 => digest::digest(&digest::SHA256, bytes).as_ref() == self.data,
            _ => digest::digest(&digest::SHA512, bytes).as_ref() == self.data,
        })
    }
}

/// The SubjectPublicKeyInfo of a certificate, in DER. `None` where the bytes are no certificate.
fn key_info(certificate: &[u8]) -> Option<&[u8]> {
    let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
    rest.is_empty()
        .then_some(parsed.tbs_certificate.subject_pki.raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    /// A certificate for `xmpp.far.example` and the one it was issued by.
    fn chain() -> Vec<CertificateDer<'static>> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["authority.example".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let own = CertificateParams::new(vec!["xmpp.far.example".to_owned()]).unwrap();
        let own = own
            .signed_by(&KeyPair::generate().unwrap(), &issuer)
            .unwrap();
        vec![own.der().clone(), authority.der().clone()]
    }

    /// A record for this certificate.
    fn record(usage: u8, selector: u8, matching: u8, certificate: &[u8]) -> Tlsa {
        let bytes = match selector {
            0 => certificate,
            _ => key_info(certificate).unwrap(),
        };
        let data = match matching {
            0 => bytes.to_vec(),
            1 => digest::digest(&digest::SHA256, bytes).as_ref().to_vec(),
            _ => digest::digest(&digest::SHA512, bytes).as_ref().to_vec(),
        };
        Tlsa {
            usage,
            selector,
            matching,
            data,
        }
    }

    #[test]
    fn usages_selectors_and_matching_types() {
        let (chain, other) = (chain(), chain());
        for selector in 0..=1 {
            for matching in 0..=2 {
                for (usage, of, trusted, anchored, expected) in [
                    (DANE_EE, &chain[0], false, false, Dane::Match),
                    (DANE_EE, &other[0], true, true, Dane::Mismatch),
                    (DANE_EE, &chain[1], true, true, Dane::Mismatch),
                    (PKIX_EE, &chain[0], true, false, Dane::Match),
                    (PKIX_EE, &chain[0], false, true, Dane::Mismatch),
                    (PKIX_EE, &other[0], true, true, Dane::Mismatch),
                    (DANE_TA, &chain[1], false, true, Dane::Match),
                    (DANE_TA, &chain[1], true, false, Dane::Mismatch),
                    (PKIX_TA, &chain[1], true, true, Dane::Match),
                    (PKIX_TA, &chain[1], true, false, Dane::Mismatch),
                    (PKIX_TA, &chain[1], false, true, Dane::Mismatch),
                    (PKIX_TA, &other[1], true, true, Dane::None),
                ] {
                    let records = [record(usage, selector, matching, of)];
                    let found = judge(&records, &chain, trusted, |_| anchored);
                    assert_eq!(found, expected, "{usage} {selector} {matching} {trusted}");
                }
            }
        }
    }

    #[test]
    fn an_issuer_in_the_record_alone_is_an_anchor() {
        let chain = chain();
        let records = [record(DANE_TA, 0, 0, &chain[1])];
        let is_it = |anchor: &CertificateDer<'_>| *anchor == chain[1];
        assert_eq!(judge(&records, &chain[..1], false, is_it), Dane::Match);
        let hashed = [record(DANE_TA, 0, 1, &chain[1])];
        assert_eq!(judge(&hashed, &chain[..1], true, is_it), Dane::Mismatch);
    }

    #[test]
    fn one_match_is_enough_and_the_unusable_do_not_count() {
        let (chain, other) = (chain(), chain());
        let right = record(DANE_EE, 1, 1, &chain[0]);
        let wrong = record(DANE_EE, 1, 1, &other[0]);
        let with = |change: fn(&mut Tlsa)| {
            let mut record = wrong.clone();
            change(&mut record);
            record
        };
        let unusable = [
            with(|it| it.usage = 4),
            with(|it| it.usage = 255),
            with(|it| it.selector = 2),
            with(|it| it.matching = 3),
            with(|it| it.matching = 2),
            with(|it| it.data.truncate(31)),
            with(|it| it.data.clear()),
            with(|it| (it.selector, it.matching) = (0, 0)),
        ];
        for record in &unusable {
            let found = judge(std::slice::from_ref(record), &chain, false, |_| false);
            assert_eq!(found, Dane::None, "{record:?}");
        }
        let [first, ..] = unusable;
        for (records, expected) in [
            (vec![], Dane::None),
            (vec![wrong.clone(), right.clone()], Dane::Match),
            (vec![right, first.clone()], Dane::Match),
            (vec![first, wrong], Dane::Mismatch),
        ] {
            assert_eq!(judge(&records, &chain, false, |_| false), expected);
        }
    }

    #[test]
    fn no_certificate_at_all_is_another_one() {
        let right = record(DANE_EE, 1, 1, &chain()[0]);
        assert_eq!(judge(&[right], &[], true, |_| true), Dane::Mismatch);
        assert_eq!(judge(&[], &[], true, |_| true), Dane::None);
    }
}
