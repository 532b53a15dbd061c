//! What a login can be bound to (RFC 5056): the TLS connection itself, or the certificate it was made with.

use aws_lc_rs::digest;
use rustls::{ProtocolVersion, ServerConnection};
use x509_parser::{
    certificate::X509Certificate,
    oid_registry::{self as oid, Oid},
    prelude::FromDer,
    signature_algorithm::SignatureAlgorithm,
};

/// `tls-exporter` (RFC 9266). Only for TLS 1.3: on 1.2 implementations disagree about an absent context.
pub(super) fn exporter(connection: &ServerConnection) -> Option<Vec<u8>> {
    if connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return None;
    }
    connection
        .export_keying_material(vec![0; 32], b"EXPORTER-Channel-Binding", None)
        .ok()
}

/// `tls-server-end-point` (RFC 5929 §4) of a leaf certificate, where it has one.
pub(super) fn of_leaf(der: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let hash = hash_of(&certificate)?;
    Some(digest::digest(hash, der).as_ref().to_vec())
}

/// The hash of the certificate's signature. MD5 and SHA-1 give way to SHA-256 (RFC 5929 §4.1).
///
/// Ed25519 has no separate hash, and the RFC leaves the binding undefined. Clients over GnuTLS take the one
/// inside the signature (RFC 8032 §5.1), SHA-512, and XEP-0440 §3 wants this binding to be there, so it is
/// that.
fn hash_of(certificate: &X509Certificate<'_>) -> Option<&'static digest::Algorithm> {
    let signature = &certificate.signature_algorithm;
    match SignatureAlgorithm::try_from(signature).ok() {
        // RFC 4055 §3.1: the default of the parameters is SHA-1.
        Some(SignatureAlgorithm::RSASSA_PSS(parameters)) => hash_named(
            parameters
                .hash_algorithm()
                .map_or(&oid::OID_HASH_SHA1, |hash| &hash.algorithm),
        ),
        _ => hash_named(&signature.algorithm),
    }
}

fn hash_named(algorithm: &Oid<'_>) -> Option<&'static digest::Algorithm> {
    let rows: [(&[Oid<'_>], &'static digest::Algorithm); 4] = [
        (
            &[
                oid::OID_PKCS1_MD5WITHRSAENC,
                oid::OID_PKCS1_SHA1WITHRSA,
                oid::OID_SIG_DSA_WITH_SHA1,
                ECDSA_WITH_SHA1,
                oid::OID_HASH_SHA1,
                oid::OID_PKCS1_SHA256WITHRSA,
                oid::OID_SIG_ECDSA_WITH_SHA256,
                oid::OID_NIST_HASH_SHA256,
            ],
            &digest::SHA256,
        ),
        (
            &[oid::OID_PKCS1_SHA224WITHRSA, oid::OID_SIG_ECDSA_WITH_SHA224],
            &digest::SHA224,
        ),
        (
            &[
                oid::OID_PKCS1_SHA384WITHRSA,
                oid::OID_SIG_ECDSA_WITH_SHA384,
                oid::OID_NIST_HASH_SHA384,
            ],
            &digest::SHA384,
        ),
        (
            &[
                oid::OID_PKCS1_SHA512WITHRSA,
                oid::OID_SIG_ECDSA_WITH_SHA512,
                oid::OID_NIST_HASH_SHA512,
                oid::OID_SIG_ED25519,
            ],
            &digest::SHA512,
        ),
    ];
    rows.into_iter()
        .find(|(oids, _)| oids.contains(algorithm))
        .map(|(_, hash)| hash)
}

/// 1.2.840.10045.4.1 (RFC 3279 §2.2.3), which the registry lacks.
const ECDSA_WITH_SHA1: Oid<'static> = x509_parser::der_parser::oid!(1.2.840.10045.4.1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_the_signature_is_the_hash_of_the_binding() {
        use x509_parser::der_parser::oid;
        for (algorithm, expected) in [
            (oid!(1.2.840.113549.1.1.4), Some(&digest::SHA256)),
            (oid!(1.2.840.113549.1.1.5), Some(&digest::SHA256)),
            (oid!(1.2.840.10045.4.1), Some(&digest::SHA256)),
            (oid!(1.2.840.113549.1.1.11), Some(&digest::SHA256)),
            (oid!(1.2.840.10045.4.3.2), Some(&digest::SHA256)),
            (oid!(1.2.840.113549.1.1.12), Some(&digest::SHA384)),
            (oid!(1.2.840.10045.4.3.3), Some(&digest::SHA384)),
            (oid!(1.2.840.113549.1.1.13), Some(&digest::SHA512)),
            (oid!(1.2.840.10045.4.3.4), Some(&digest::SHA512)),
            (oid!(1.3.101.112), Some(&digest::SHA512)),
            (oid!(1.3.101.113), None),
        ] {
            assert_eq!(hash_named(&algorithm), expected, "{algorithm}");
        }
    }
}
