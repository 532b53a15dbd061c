//! The certificate made at the first start, so that a server without a name of its own speaks TLS.
//!
//! `self-signed.pem` holds the certificate alone: clients take the file as the authority to trust. The key is
//! beside it. It has no extension that says what its key may sign, so that every TLS library accepts it as
//! its own issuer.

use super::{Certificate, Files, TlsError};
use crate::world::Timestamp;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd,
};
use std::{collections::BTreeSet, io, net::IpAddr, path::Path, time::Duration};
use tracing::{info, warn};

pub(super) const CERTIFICATE: &str = "self-signed.pem";
const KEY: &str = "self-signed.key";

/// How long a certificate is good for: nobody wants to tell ten devices about a new one.
const VALID_MS: u64 = 20 * 365 * DAY_MS;
/// How long before its end it is made anew.
const RENEW_MS: u64 = 30 * DAY_MS;
const DAY_MS: u64 = 86_400_000;
/// 2026-01-01. A board without a clock starts in 1970; its certificate must be good today all the same.
const WRITTEN: Timestamp = 1_767_225_600_000;

/// Certificate and key as PEM: those on disk if they fit, else new ones.
pub(super) fn obtain(
    files: &dyn Files,
    directory: &Path,
    names: &[String],
    now: Timestamp,
) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
    let names = alternative_names(names);
    let now = now.max(WRITTEN);
    let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
    match (
        super::read(files, "data_dir", &certificate),
        super::read(files, "data_dir", &key),
    ) {
        (Ok(certificate), Ok(key)) if fits(&certificate, &names, now) => {
            return Ok((certificate, key));
        }
        (Ok(_), _) => info!(
            "the self-signed certificate is made anew: its names, its end or its key do not fit"
        ),
        (Err(_), _) => info!("a self-signed certificate is made"),
    }
    let (certificate_pem, key_pem) = make(&names, now).map_err(|error| {
        TlsError(format!(
            "no self-signed certificate can be made for {names:?}: {error}"
        ))
    })?;
    // The certificate last: what is not there yet is made again, both of it.
    files
        .write_secret(&key, key_pem.as_bytes())
        .map_err(|error| unwritten(&key, &error))?;
    files
        .write(&certificate, certificate_pem.as_bytes())
        .map_err(|error| unwritten(&certificate, &error))?;
    Ok((certificate_pem.into_bytes(), key_pem.into_bytes()))
}

fn unwritten(path: &Path, error: &io::Error) -> TlsError {
    TlsError(format!("{} cannot be written: {error}", path.display()))
}

fn make(names: &BTreeSet<String>, now: Timestamp) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "Hearth, self-signed");
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_millis(WRITTEN);
    params.not_after = epoch + Duration::from_millis(now + VALID_MS);
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// The names as they stand in a certificate: A-labels (RFC 5280 §7.2), and for `localhost` also its
/// addresses.
fn alternative_names(names: &[String]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for name in names {
        match idna::domain_to_ascii(name.trim_matches(['[', ']'])) {
            Ok(ascii) => all.insert(ascii),
            Err(_) => name
                .parse::<IpAddr>()
                .is_ok_and(|address| all.insert(address.to_string())),
        };
    }
    if all.contains("localhost") {
        all.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
    }
    all
}

fn fits(pem: &[u8], names: &BTreeSet<String>, now: Timestamp) -> bool {
    let Some(known) = Certificate::of_pem(pem) else {
        warn!("the self-signed certificate cannot be read");
        return false;
    };
    known.names == *names && known.expires > now + RENEW_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_their_ascii_form_and_localhost_has_addresses() {
        for (names, expected) in [
            (
                &["localhost", "groupchat.localhost"][..],
                "127.0.0.1 ::1 groupchat.localhost localhost",
            ),
            (&["bücher.example"][..], "xn--bcher-kva.example"),
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["[2001:db8::1]"][..], "2001:db8::1"),
        ] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let all: Vec<String> = alternative_names(&names).into_iter().collect();
            assert_eq!(all.join(" "), expected);
        }
    }
}
