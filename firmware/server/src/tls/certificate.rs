//! What a certificate says of itself (RFC 5280 §4.1): for whom it is, who gave it, from when until when.

use crate::world::Timestamp;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::{collections::BTreeSet, net::IpAddr};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer,
};

/// A certificate as people speak of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Names in A-labels, and addresses, of the subject's alternative names.
    pub names: BTreeSet<String>,
    /// Organisation and name of who gave it, as far as it says.
    pub issuer: String,
    /// Whether it was made by its own subject.
    pub is_self_issued: bool,
    /// Milliseconds since 1970.
    pub begins: Timestamp,
    /// Milliseconds since 1970.
    pub expires: Timestamp,
    /// Of the authority's key (RFC 5280 §4.2.1.1), where it is named.
    pub authority_key: Option<Vec<u8>>,
    /// The bytes of its serial number, as DER has them.
    pub serial: Vec<u8>,
}

impl Certificate {
    /// Reads the first certificate of a PEM file; `None` where there is none that can be read.
    pub fn of_pem(pem: &[u8]) -> Option<Certificate> {
        Certificate::of_der(&CertificateDer::from_pem_slice(pem).ok()?)
    }

    /// Reads a certificate; `None` where these bytes are none.
    pub fn of_der(der: &[u8]) -> Option<Certificate> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let alternative = certificate.subject_alternative_name().ok()?;
        let general = alternative.map(|names| &names.value.general_names);
        let authority_key = certificate.iter_extensions().find_map(|extension| {
            match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(named) => {
                    Some(named.key_identifier.as_ref()?.0.to_vec())
                }
                _ => None,
            }
        });
        let validity = certificate.validity();
        let ms = |seconds: i64| seconds.max(0).unsigned_abs().saturating_mul(1_000);
        Some(Certificate {
            names: general.into_iter().flatten().filter_map(name_of).collect(),
            issuer: issuer(&certificate),
            is_self_issued: certificate.issuer() == certificate.subject(),
            begins: ms(validity.not_before.timestamp()),
            expires: ms(validity.not_after.timestamp()),
            authority_key,
            serial: certificate.raw_serial().to_vec(),
        })
    }

    /// Which of these names it lacks.
    pub fn lacks<'a>(&self, names: &'a [String]) -> Vec<&'a str> {
        let missing = names.iter().filter(|name| !self.names.contains(*name));
        missing.map(String::as_str).collect()
    }
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
            v4.or(v6).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

fn issuer(certificate: &X509Certificate<'_>) -> String {
    let name = certificate.issuer();
    let organisation = name.iter_organization().next();
    let common = name.iter_common_name().next();
    let words = [organisation, common].into_iter().flatten();
    let words: Vec<_> = words.filter_map(|word| word.as_str().ok()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
        SerialNumber, date_time_ymd,
    };

    #[test]
    fn what_a_certificate_says() {
        let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut root = CertificateParams::new(vec![]).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.distinguished_name = DistinguishedName::new();
        let name = &mut root.distinguished_name;
        name.push(DnType::OrganizationName, "Encryption for All");
        name.push(DnType::CommonName, "E7");
        let issuer = Issuer::new(root, root_key);
        let names = ["home.example", "192.0.2.1", "2001:db8::1"].map(str::to_owned);
        let mut leaf = CertificateParams::new(names.to_vec()).unwrap();
        leaf.not_before = date_time_ymd(2026, 1, 1);
        leaf.not_after = date_time_ymd(2026, 2, 15);
        leaf.serial_number = Some(SerialNumber::from_slice(&[0xca, 0xfe]));
        leaf.use_authority_key_identifier_extension = true;
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        let read = Certificate::of_pem(leaf.pem().as_bytes()).unwrap();
        assert_eq!(read.lacks(&names), Vec::<&str>::new());
        assert_eq!(read.lacks(&["a.example".to_owned()]), ["a.example"]);
        assert_eq!(read.issuer, "Encryption for All E7");
        assert!(!read.is_self_issued);
        assert_eq!(read.begins, 1_767_225_600_000);
        assert_eq!(read.expires - read.begins, 45 * 86_400_000);
        assert_eq!(read.serial, [0, 0xca, 0xfe], "a positive number");
        assert_eq!(read.authority_key.unwrap().len(), 20);
    }

    #[test]
    fn what_is_none_is_none() {
        assert_eq!(Certificate::of_der(b"certificate"), None);
        assert_eq!(Certificate::of_pem(b"certificate"), None);
    }
}
