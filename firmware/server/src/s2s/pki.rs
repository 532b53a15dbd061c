//! Authorities and certificates for tests, made on the spot.

use crate::{tls::Files, world::Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType, SigningKey, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use std::{
    io,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use x509_parser::{certificate::X509Certificate, der_parser::asn1_rs::Any, prelude::FromDer};

/// The moment at which tests judge: 2026-09-21.
pub(crate) const NOW: Timestamp = 1_790_000_000_000;
pub(crate) const DAY_MS: u64 = 86_400_000;

/// A certificate and its key.
pub(crate) struct Made {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) key: KeyPair,
}

/// What a certificate is to be: valid for a month around [`NOW`], without names.
pub(crate) fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    valid(&mut params, NOW - 15 * DAY_MS, NOW + 15 * DAY_MS);
    params
}

pub(crate) fn valid(params: &mut CertificateParams, first: Timestamp, last: Timestamp) {
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_millis(first);
    params.not_after = epoch + Duration::from_millis(last);
}

/// The same for a server with these names.
pub(crate) fn server(names: &[SanType]) -> CertificateParams {
    let mut params = params("a server");
    params.subject_alt_names = names.to_vec();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

pub(crate) fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

pub(crate) fn xmpp(address: &str) -> SanType {
    SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 5], address.into()))
}

pub(crate) fn ca_params(common_name: &str) -> CertificateParams {
    let mut params = params(common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// An authority that vouches for itself, or that another one vouches for.
pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn root(params: CertificateParams) -> Authority {
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

pub(crate) fn below(parent: &Authority, params: CertificateParams) -> Authority {
    CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), parent).unwrap()
}

pub(crate) fn issue(authority: &Authority, params: &CertificateParams) -> Made {
    let key = KeyPair::generate().unwrap();
    let der = params.signed_by(&key, authority).unwrap().der().clone();
    Made { der, key }
}

pub(crate) fn self_sign(params: &CertificateParams) -> Made {
    let key = KeyPair::generate().unwrap();
    let der = params.self_signed(&key).unwrap().der().clone();
    Made { der, key }
}

pub(crate) fn pem(certificates: &[&CertificateDer<'_>]) -> Vec<u8> {
    let blocks = certificates.iter().map(|der| {
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    });
    blocks.collect::<String>().into_bytes()
}

/// A machine that trusts these authorities and has one file, whatever it is called.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    pub(crate) file: Vec<u8>,
    /// How often it was asked for its authorities.
    pub(crate) asked: AtomicUsize,
}

impl Files for Machine {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.file.clone())
    }

    fn write(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn write_secret(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write(path, bytes)
    }

    fn authorities(&self) -> io::Result<Vec<CertificateDer<'static>>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(self.authorities.clone())
    }
}

/// A certificate of version 1, which has no extensions: what `openssl x509 -req` long made by itself.
pub(crate) fn by_hand(common_name: &str) -> Made {
    let made = self_sign(&params(common_name));
    let (_, third) = X509Certificate::from_der(&made.der).unwrap();
    let tbs = &third.tbs_certificate;
    let key = tbs.subject_pki.raw;
    // SEQUENCE { [0] version, …, key, [3] extensions }; the version is five bytes.
    let (_, content) = Any::from_der(tbs.as_ref()).unwrap();
    let is_key = |part: &[u8]| part == key;
    let end = content.data.windows(key.len()).position(is_key).unwrap() + key.len();
    let first = sequence(&content.data[5..end]);
    let mut signature = vec![0];
    signature.extend(made.key.sign(&first).unwrap());
    let mut all = first;
    all.extend(sequence(&[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2])); // ecdsa-with-SHA256
    all.extend([3, u8::try_from(signature.len()).unwrap()]);
    all.extend(signature);
    let der = sequence(&all).into();
    Made { der, ..made }
}

fn sequence(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let mut all = match length {
        ..128 => vec![0x30],
        128..256 => vec![0x30, 0x81],
        256.. => vec![0x30, 0x82, length.to_be_bytes()[0]],
    };
    all.push(length.to_be_bytes()[1]);
    all.extend_from_slice(content);
    all
}
