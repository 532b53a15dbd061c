//! What keeps the house reachable from outside: the services of `services`, with the machine's clock, dice
//! and files. Each is a module of its own, as there, and none knows another.

pub(crate) mod acme;
pub(crate) mod address;
pub(crate) mod dns;
mod proofs;

use crate::machine::MachineFiles;
use household::Config;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use server::tls::Files;

/// The authorities of the machine and of `tls.extra_ca`, read when somebody is to be believed. What cannot be
/// read is none: health says so of the file already.
fn authorities(config: &Config) -> Vec<CertificateDer<'static>> {
    let mut all = MachineFiles.authorities().unwrap_or_default();
    let extra = &config.tls.extra_ca;
    if !extra.as_os_str().is_empty() {
        let pem = MachineFiles.read(extra).unwrap_or_default();
        all.extend(CertificateDer::pem_slice_iter(&pem).flatten());
    }
    all
}
