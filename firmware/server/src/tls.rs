//! TLS: versions 1.2 and 1.3 only (RFC 7590 §3.1), the certificate, what a login can be bound to, and whose
//! certificates are believed.
//!
//! State: one [`Identity`] (certificate, key and the configurations made of them) and one [`Trust`],
//! replaced as a whole when the files change or an authority has given another; connections keep the one they
//! began with. Session tickets belong to an identity too: a session resumed from under another certificate
//! would be bound to that one (`tls-server-end-point`), and no login would succeed.
//!
//! There is one certificate with all names of the house, so whatever name a client asks for (SNI, RFC 6066
//! §3) it is shown that one. Only an authority that looks for a proof is answered by name (`proof.rs`).

mod certificate;
mod channel;
pub(crate) mod proof;
mod self_signed;

pub use certificate::Certificate;
pub use proof::Proof;

use crate::{
    limits::{PEM_BYTES_MAX, ROOTS_MS, TLS_SESSIONS_MAX},
    listen::Protocol,
    s2s::{self, trust::Trust},
    world::Timestamp,
};
use arc_swap::{ArcSwap, ArcSwapOption};
use aws_lc_rs::digest;
use household::{Config, config::TlsMode};
use proof::Proofs;
use rustls::{
    CipherSuite, ClientConfig, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs::Ticketer},
    server::ServerSessionMemoryCache,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tracing::info;
use xmpp::sasl::ChannelBindings;

/// Files as the server sees them (house rule 9).
pub trait Files: Send + Sync {
    /// The whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Makes or replaces a file and the directories above it, durably and at once: never half of it.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// The same for a file that nobody but the own user can read.
    fn write_secret(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// The certificates of the authorities that the machine trusts, wherever it keeps them. A disk that is
    /// not a machine's has none.
    fn authorities(&self) -> io::Result<Vec<CertificateDer<'static>>> {
        Ok(vec![])
    }
}

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Made by us for these names, in `self-signed.pem` and `self-signed.key` of this directory.
    SelfSigned {
        directory: PathBuf,
        names: Vec<String>,
    },
    /// PEM chain and key of somebody else, for this domain.
    Files {
        certificate: PathBuf,
        key: PathBuf,
        domain: String,
    },
    /// Given by an authority ([`Tls::install`]); until then, as `SelfSigned`.
    Issued {
        domain: String,
        directory: PathBuf,
        names: Vec<String>,
    },
}

/// What an authority has given, as PEM; the key is never shown.
struct Issued {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Why there is no certificate: a sentence for the administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError(String);

/// The certificate in use, and the way to another one; and whose certificates are believed.
pub struct Tls {
    files: Arc<dyn Files>,
    current: ArcSwap<Identity>,
    issued: ArcSwapOption<Issued>,
    proofs: Proofs,
    trust: ArcSwap<Trust>,
}

/// A certificate with its key, ready for handshakes.
pub struct Identity {
    /// For everybody but servers. Nobody is asked for a certificate.
    strangers: Arc<ServerConfig>,
    peers: Peers,
    end_point: Option<Vec<u8>>,
    /// Hash of the files it was read from.
    fingerprint: Vec<u8>,
    certificate: Certificate,
    /// Whether everybody's browser believes it, as it was when last looked at.
    is_publicly_trusted: AtomicBool,
    /// When that was.
    judged: AtomicU64,
}

/// What streams with other servers are secured with.
struct Peers {
    incoming: Arc<ServerConfig>,
    outgoing: Arc<ClientConfig>,
    outgoing_direct: Arc<ClientConfig>,
}

impl Source {
    /// What the configuration says. Until ACME has got a certificate, it is a self-signed one.
    pub fn of(config: &Config) -> Source {
        if config.tls.mode == TlsMode::Files {
            return Source::Files {
                certificate: config.tls.certificate.clone(),
                key: config.tls.key.clone(),
                domain: config.domain.clone(),
            };
        }
        let (directory, names) = (config.data_dir.join("tls"), all_names(config));
        if config.tls.mode == TlsMode::Acme {
            let domain = config.domain.clone();
            return Source::Issued {
                domain,
                directory,
                names,
            };
        }
        Source::SelfSigned { directory, names }
    }
}

/// The domain, then the names of components.
fn all_names(config: &Config) -> Vec<String> {
    let names = &config.names;
    let mut all = vec![config.domain.clone()];
    all.extend(
        [&names.rooms, &names.upload, &names.proxy, &names.pubsub]
            .map(|name| format!("{name}.{}", config.domain)),
    );
    all.extend(config.components.keys().cloned());
    all
}

/// The names that a certificate for this house is to have, as they stand in one (A-labels, RFC 5280 §7.2),
/// the domain first, each once. An address stays as it is.
pub fn names(config: &Config) -> Vec<String> {
    let mut names = Vec::new();
    for name in all_names(config) {
        let name = idna::domain_to_ascii(&name).unwrap_or(name);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

impl Tls {
    /// Reads the certificate, or makes it where it is ours to make, and the file of `tls.extra_ca` (empty:
    /// none).
    pub fn open(
        files: Arc<dyn Files>,
        source: &Source,
        extra_ca: &Path,
        now: Timestamp,
    ) -> Result<Tls, TlsError> {
        let current = ArcSwap::from_pointee(Identity::load(&*files, source, None, now)?);
        let trust = ArcSwap::from_pointee(Trust::open(&files, extra_ca)?);
        Ok(Tls {
            files,
            current,
            issued: ArcSwapOption::empty(),
            proofs: Proofs::default(),
            trust,
        })
    }

    /// Looks whether the file of `tls.extra_ca` changed, as often as [`Tls::reload`]; `true` if others are
    /// believed from now on. After an error those of before are.
    pub fn reload_trust(&self, extra_ca: &Path, now: Timestamp) -> Result<bool, TlsError> {
        let old = self.trust.load();
        old.rest(now);
        let new = Trust::open(&self.files, extra_ca)?;
        let is_new = !new.is_like(&old);
        if is_new {
            self.trust.store(Arc::new(new));
            info!("other certificates of tls.extra_ca are trusted now");
        }
        Ok(is_new)
    }

    /// Looks whether the files changed, every few seconds and on SIGHUP; `true` if there is a new
    /// certificate. After an error the old one stays in use.
    pub fn reload(&self, source: &Source, now: Timestamp) -> Result<bool, TlsError> {
        let issued = self.issued.load();
        let foreign = match (source, &*issued) {
            (
                Source::Files {
                    certificate,
                    key,
                    domain,
                },
                _,
            ) => {
                let pem = read(&*self.files, "tls.certificate", certificate)?;
                let fingerprint = fingerprint(&pem, &read(&*self.files, "tls.key", key)?);
                Some((pem, fingerprint, domain))
            }
            (Source::Issued { domain, .. }, Some(issued)) => {
                let fingerprint = fingerprint(&issued.certificate, &issued.key);
                Some((issued.certificate.clone(), fingerprint, domain))
            }
            _ => None,
        };
        if let Some((pem, fingerprint, domain)) = foreign {
            let current = self.current.load();
            if fingerprint == current.fingerprint {
                // Authorities come and go, and the clock may have been wrong.
                if now.abs_diff(current.judged.load(Ordering::Relaxed)) > ROOTS_MS {
                    current.judge(&*self.files, &pem, domain, now);
                }
                return Ok(false);
            }
        }
        let identity = Identity::load(&*self.files, source, issued.as_deref(), now)?;
        Ok(self.replace(identity))
    }

    fn replace(&self, identity: Identity) -> bool {
        let is_new = identity.fingerprint != self.current.load().fingerprint;
        if is_new {
            self.current.store(Arc::new(identity));
            info!("a new certificate is in use");
        }
        is_new
    }

    /// Uses this chain and key, both PEM, from the next handshake on, wherever `source` wants what an
    /// authority has given; elsewhere it is kept until one does. `true` if it is another one than before.
    ///
    /// # Errors
    /// It cannot be read, is not for `key`, or lacks one of `names` (A-labels): what was in use stays.
    pub fn install(
        &self,
        (certificate, key): (&[u8], &[u8]),
        names: &[String],
        source: &Source,
        now: Timestamp,
    ) -> Result<bool, TlsError> {
        let fault = |reason| TlsError(format!("the authority's certificate: {reason}"));
        let identity = Identity::from_pem(certificate, key).map_err(fault)?;
        let missing = identity.certificate.lacks(names);
        if !missing.is_empty() {
            return Err(fault(format!("it is not for {}", missing.join(", "))));
        }
        self.issued.store(Some(Arc::new(Issued {
            certificate: certificate.to_vec(),
            key: key.to_vec(),
        })));
        let Source::Issued { domain, .. } = source else {
            return Ok(false);
        };
        identity.judge(&*self.files, certificate, domain, now);
        Ok(self.replace(identity))
    }

    /// Shows these to authorities that look for them (RFC 8737), and no others: none with an empty list.
    ///
    /// # Errors
    /// A key that cannot be used: those of before stay.
    pub fn prove(&self, proofs: Vec<Proof>) -> Result<(), TlsError> {
        self.proofs.set(proofs)
    }

    /// What an authority is answered that looks for this name.
    pub(crate) fn proof(&self, name: &str) -> Option<Arc<ServerConfig>> {
        self.proofs.of(name)
    }

    /// The certificate for the next handshake.
    pub fn identity(&self) -> Arc<Identity> {
        self.current.load_full()
    }

    /// Who judges the certificates of others.
    pub fn trust(&self) -> Arc<Trust> {
        self.trust.load_full()
    }
}

impl Identity {
    fn load(
        files: &dyn Files,
        source: &Source,
        issued: Option<&Issued>,
        now: Timestamp,
    ) -> Result<Identity, TlsError> {
        match (source, issued) {
            (
                Source::Files {
                    certificate,
                    key,
                    domain,
                },
                _,
            ) => {
                let pem = (
                    read(files, "tls.certificate", certificate)?,
                    read(files, "tls.key", key)?,
                );
                let identity = Identity::from_pem(&pem.0, &pem.1).map_err(|reason| {
                    let (certificate, key) = (certificate.display(), key.display());
                    TlsError(format!(
                        "tls.certificate = \"{certificate}\", tls.key = \"{key}\": {reason}"
                    ))
                })?;
                identity.judge(files, &pem.0, domain, now);
                Ok(identity)
            }
            (Source::Issued { domain, .. }, Some(issued)) => {
                let identity = Identity::from_pem(&issued.certificate, &issued.key)
                    .map_err(|reason| TlsError(format!("the authority's certificate: {reason}")))?;
                identity.judge(files, &issued.certificate, domain, now);
                Ok(identity)
            }
            (
                Source::SelfSigned { directory, names }
                | Source::Issued {
                    directory, names, ..
                },
                _,
            ) => {
                let (certificate, key) = self_signed::obtain(files, directory, names, now)?;
                Identity::from_pem(&certificate, &key).map_err(|reason| {
                    TlsError(format!(
                        "{}: {reason}",
                        directory.join(self_signed::CERTIFICATE).display()
                    ))
                })
            }
        }
    }

    /// Reads a chain, leaf first, and its key. The error is the end of a sentence.
    fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Identity, String> {
        let chain =
            chain(certificate).map_err(|error| format!("the certificate is not PEM ({error})"))?;
        let leaf = chain
            .first()
            .ok_or("the certificate file holds no certificate")?;
        let known = Certificate::of_der(leaf).ok_or("the first certificate cannot be read")?;
        let end_point = channel::of_leaf(leaf);
        let private = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| "the key file holds no private key in PEM (PKCS #8, PKCS #1 or SEC 1)")?;
        let provider = Arc::new(provider());
        let certified = CertifiedKey::from_der(chain, private, &provider)
            .map_err(|error| format!("certificate and key do not go together ({error})"))?;
        let own = Arc::new(SingleCertAndKey::from(certified));
        let peers = Peers::new(&provider, &own)?;
        Ok(Identity {
            strangers: Arc::new(configuration(&provider, own)?),
            peers,
            end_point,
            fingerprint: fingerprint(certificate, key),
            certificate: known,
            is_publicly_trusted: AtomicBool::new(false),
            judged: AtomicU64::new(0),
        })
    }

    /// Looks whether everybody believes the certificate: the authorities of the machine stand for those of
    /// browsers, `tls.extra_ca` does not.
    fn judge(&self, files: &dyn Files, pem: &[u8], domain: &str, now: Timestamp) {
        let is_good = match (chain(pem), files.authorities()) {
            (Ok(chain), Ok(authorities)) => {
                s2s::trust::is_good_for_browsers(&authorities, &chain, domain, now)
            }
            _ => false,
        };
        self.is_publicly_trusted.store(is_good, Ordering::Relaxed);
        self.judged.store(now, Ordering::Relaxed);
    }

    /// Whether browsers believe it without being told to.
    pub fn is_publicly_trusted(&self) -> bool {
        self.is_publicly_trusted.load(Ordering::Relaxed)
    }

    /// What clients and browsers are answered with that do not say what they speak.
    pub fn for_strangers(&self) -> Arc<ServerConfig> {
        self.strangers.clone()
    }

    /// What a stream that another server opened is secured with. It asks for a certificate, and takes any or
    /// none; [`Trust`] judges it afterwards.
    pub fn for_servers(&self) -> Arc<ServerConfig> {
        self.peers.incoming.clone()
    }

    /// What is answered where this is spoken from the first byte. Who names other protocols alone gets the
    /// alert of RFC 7301 §3.2.
    pub fn for_protocol(&self, protocol: Protocol) -> Arc<ServerConfig> {
        let mut config = match protocol {
            Protocol::Server => ServerConfig::clone(&self.peers.incoming),
            Protocol::Client | Protocol::Http2 | Protocol::Http1 | Protocol::Turn => {
                ServerConfig::clone(&self.strangers)
            }
        };
        config.alpn_protocols = vec![protocol.alpn().to_vec()];
        Arc::new(config)
    }

    /// What a stream to another server is secured with, likewise. It shows our certificate to who asks.
    pub fn dialer(&self, direct: bool) -> Arc<ClientConfig> {
        if direct {
            self.peers.outgoing_direct.clone()
        } else {
            self.peers.outgoing.clone()
        }
    }

    /// What a login on this finished connection can be bound to.
    pub fn bindings(&self, connection: &rustls::ServerConnection) -> ChannelBindings {
        ChannelBindings {
            exporter: channel::exporter(connection),
            end_point: self.end_point.clone(),
        }
    }

    /// What the certificate says.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

impl Peers {
    fn new(provider: &Arc<CryptoProvider>, own: &Arc<SingleCertAndKey>) -> Result<Peers, String> {
        let mut incoming = s2s::tls::server(provider, own)?;
        incoming.ignore_client_order = !has_aes_instructions();
        let outgoing = s2s::tls::client(provider, own)?;
        let mut outgoing_direct = outgoing.clone();
        outgoing_direct.alpn_protocols = vec![Protocol::Server.alpn().to_vec()];
        Ok(Peers {
            incoming: Arc::new(incoming),
            outgoing: Arc::new(outgoing),
            outgoing_direct: Arc::new(outgoing_direct),
        })
    }
}

impl TlsError {
    /// A sentence that names the key, the value and the way out.
    pub(crate) fn new(text: String) -> TlsError {
        TlsError(text)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

fn configuration(
    provider: &Arc<CryptoProvider>,
    own: Arc<SingleCertAndKey>,
) -> Result<ServerConfig, String> {
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_cert_resolver(own);
    // Without it a TLS 1.2 session could be joined with another one (RFC 7627), and bindings would not hold.
    config.require_ems = true;
    config.ignore_client_order = !has_aes_instructions();
    config.session_storage = ServerSessionMemoryCache::new(TLS_SESSIONS_MAX);
    config.ticketer = Ticketer::new().map_err(|error| error.to_string())?;
    // A client opens one connection at a time, so it needs one ticket for its next.
    config.send_tls13_tickets = 1;
    // Early data can be sent again by whoever saw it (RFC 8446 §8), and a login is in it (XEP-0388 §3).
    config.max_early_data_size = 0;
    Ok(config)
}

/// Where AES is computed in software, ChaCha20 is several times as fast, and takes the same time for every
/// key.
fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    if !has_aes_instructions() {
        provider
            .cipher_suites
            .sort_by_key(|suite| !is_chacha(suite.suite()));
    }
    provider
}

fn is_chacha(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    )
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn has_aes_instructions() -> bool {
    std::arch::is_x86_feature_detected!("aes")
}

#[cfg(target_arch = "aarch64")]
fn has_aes_instructions() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes_instructions() -> bool {
    false
}

/// `key` is the setting that names the file.
pub(crate) fn read(files: &dyn Files, key: &str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let file = path.display();
    let bytes = files.read(path).map_err(|error| {
        TlsError(format!(
            "{key} = \"{file}\" cannot be read ({error}): name a PEM file that Hearth may read"
        ))
    })?;
    if bytes.len() > PEM_BYTES_MAX {
        let text =
            format!("{key} = \"{file}\" is too large for a certificate or key: name another file");
        return Err(TlsError(text));
    }
    Ok(bytes)
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, rustls_pki_types::pem::Error> {
    CertificateDer::pem_slice_iter(pem).collect()
}

fn fingerprint(certificate: &[u8], key: &[u8]) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&(certificate.len() as u64).to_be_bytes());
    context.update(certificate);
    context.update(key);
    context.finish().as_ref().to_vec()
}

#[cfg(test)]
mod tests;
