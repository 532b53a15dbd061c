//! Certificates on a disk in memory, and handshakes with ourselves.

use super::*;
use crate::s2s::trust::Flaw;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, ServerConnection,
    pki_types::ServerName,
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

const NOW: Timestamp = 1_790_000_000_000;
const DAY_MS: u64 = 86_400_000;

#[derive(Default)]
struct Disk(Mutex<BTreeMap<PathBuf, Vec<u8>>>);

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files
            .get(path)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().insert(path.into(), bytes.into());
        Ok(())
    }

    fn write_secret(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write(path, bytes)
    }
}

fn self_signed(names: &[&str]) -> Source {
    Source::SelfSigned {
        directory: "tls".into(),
        names: names.iter().map(|name| (*name).into()).collect(),
    }
}

fn open(disk: Arc<Disk>, source: &Source, now: Timestamp) -> Result<Tls, TlsError> {
    Tls::open(disk, source, Path::new(""), now)
}

fn certificate(disk: &Disk) -> Vec<u8> {
    disk.read(Path::new("tls/self-signed.pem")).unwrap()
}

/// Copies the self-signed pair to where an administrator's files are.
fn install(disk: &Disk, names: &[&str]) {
    let other = Disk::default();
    open(Arc::new(Disk::default()), &self_signed(names), NOW).unwrap();
    self_signed::obtain(
        &other,
        Path::new("tls"),
        &names.iter().map(|n| (*n).into()).collect::<Vec<_>>(),
        NOW,
    )
    .unwrap();
    for (from, to) in [
        ("tls/self-signed.pem", "chain.pem"),
        ("tls/self-signed.key", "key.pem"),
    ] {
        disk.write(Path::new(to), &other.read(Path::new(from)).unwrap())
            .unwrap();
    }
}

fn installed() -> Source {
    Source::Files {
        certificate: "chain.pem".into(),
        key: "key.pem".into(),
        domain: "localhost".into(),
    }
}

struct Client {
    alpn: &'static [&'static [u8]],
    version: &'static rustls::SupportedProtocolVersion,
}

fn answer(identity: &Identity, spoken: Option<Protocol>) -> Arc<ServerConfig> {
    spoken.map_or_else(
        || identity.for_strangers(),
        |protocol| identity.for_protocol(protocol),
    )
}

/// A handshake in memory, with the certificate file as the only authority.
fn handshake(
    identity: &Identity,
    spoken: Option<Protocol>,
    pem: &[u8],
    client: &Client,
) -> Result<ServerConnection, String> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(pem).unwrap())
        .unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[client.version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = client.alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut server = ServerConnection::new(answer(identity, spoken)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = vec![];
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut &bytes[..]).unwrap();
        server
            .process_new_packets()
            .map_err(|error| format!("server: {error}"))?;
        let mut bytes = vec![];
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut &bytes[..]).unwrap();
        client
            .process_new_packets()
            .map_err(|error| format!("client: {error}"))?;
    }
    Ok(server)
}

const TLS13: Client = Client {
    alpn: &[b"xmpp-client"],
    version: &rustls::version::TLS13,
};
const TLS12: Client = Client {
    alpn: &[b"xmpp-client"],
    version: &rustls::version::TLS12,
};

#[test]
fn the_self_signed_certificate_is_made_once_and_anew_when_it_no_longer_fits() {
    let disk = Arc::new(Disk::default());
    let source = self_signed(&["localhost", "groupchat.localhost"]);
    let tls = open(disk.clone(), &source, NOW).unwrap();
    let first = certificate(&disk);
    assert!(
        !String::from_utf8_lossy(&first).contains("PRIVATE"),
        "clients get this file"
    );
    assert_eq!(tls.reload(&source, NOW), Ok(false));
    assert_eq!(tls.reload(&source, NOW + 365 * DAY_MS), Ok(false));
    assert_eq!(certificate(&disk), first);
    assert_eq!(
        tls.reload(&self_signed(&["localhost", "rooms.localhost"]), NOW),
        Ok(true)
    );
    let second = certificate(&disk);
    assert_ne!(second, first);
    let close_to_its_end = tls.identity().certificate().expires - DAY_MS;
    assert_eq!(
        tls.reload(
            &self_signed(&["localhost", "rooms.localhost"]),
            close_to_its_end
        ),
        Ok(true)
    );
    assert_ne!(certificate(&disk), second);
}

#[test]
fn nobody_is_invited_to_send_early_data() {
    let disk = Arc::new(Disk::default());
    let tls = open(disk, &self_signed(&["localhost"]), NOW).unwrap();
    for spoken in [None, Some(Protocol::Client), Some(Protocol::Http2)] {
        assert_eq!(answer(&tls.identity(), spoken).max_early_data_size, 0);
    }
}

#[test]
fn a_board_without_a_clock_makes_a_certificate_for_today() {
    let disk = Arc::new(Disk::default());
    let tls = open(disk, &self_signed(&["localhost"]), 0).unwrap();
    assert!(tls.identity().certificate().expires > NOW + 10 * 365 * DAY_MS);
}

#[test]
fn the_certificate_file_is_its_own_authority_on_both_versions_and_doors() {
    let disk = Arc::new(Disk::default());
    let tls = open(disk.clone(), &self_signed(&["localhost"]), NOW).unwrap();
    let identity = tls.identity();
    for (client, spoken, alpn) in [
        (TLS13, Some(Protocol::Client), Some(&b"xmpp-client"[..])),
        (TLS12, Some(Protocol::Client), Some(&b"xmpp-client"[..])),
        (TLS13, None, None),
        (TLS12, None, None),
        (Client { alpn: &[], ..TLS13 }, Some(Protocol::Client), None),
    ] {
        let connection = handshake(&identity, spoken, &certificate(&disk), &client).unwrap();
        assert_eq!(connection.alpn_protocol(), alpn);
        let bindings = identity.bindings(&connection);
        let is_13 = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        assert_eq!(
            bindings.exporter.map(|data| data.len()),
            is_13.then_some(32)
        );
        assert_eq!(bindings.end_point.unwrap().len(), 32, "ECDSA with SHA-256");
    }
}

#[test]
fn another_protocol_by_alpn_is_refused() {
    let disk = Arc::new(Disk::default());
    let tls = open(disk.clone(), &self_signed(&["localhost"]), NOW).unwrap();
    let client = Client {
        alpn: &[b"h2"],
        ..TLS13
    };
    let outcome = handshake(
        &tls.identity(),
        Some(Protocol::Client),
        &certificate(&disk),
        &client,
    );
    assert!(
        outcome
            .unwrap_err()
            .starts_with("server: peer doesn't support any known protocol")
    );
}

#[test]
fn a_changed_file_is_taken_and_a_bad_one_is_not() {
    let disk = Arc::new(Disk::default());
    install(&disk, &["localhost"]);
    let tls = open(disk.clone(), &installed(), NOW).unwrap();
    let before = tls.identity();
    assert_eq!(tls.reload(&installed(), NOW), Ok(false));

    let old_key = disk.read(Path::new("key.pem")).unwrap();
    install(&disk, &["localhost"]);
    let new_key = disk.read(Path::new("key.pem")).unwrap();
    disk.write(Path::new("key.pem"), &old_key).unwrap();
    let error = tls.reload(&installed(), NOW).unwrap_err().to_string();
    assert!(
        error.starts_with(
            "tls.certificate = \"chain.pem\", tls.key = \"key.pem\": certificate and key"
        ),
        "{error}"
    );
    assert!(
        Arc::ptr_eq(&before, &tls.identity()),
        "the old certificate stays"
    );

    disk.write(Path::new("key.pem"), &new_key).unwrap();
    assert_eq!(tls.reload(&installed(), NOW), Ok(true));
    assert_ne!(before.end_point, tls.identity().end_point);
}

#[test]
fn what_is_wrong_with_the_files_is_said() {
    let too_large = vec![b'x'; PEM_BYTES_MAX + 1];
    let cases: [(&str, &[u8], &str); 5] = [
        (
            "chain.pem",
            b"",
            "the certificate file holds no certificate",
        ),
        (
            "chain.pem",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "cannot be read",
        ),
        (
            "chain.pem",
            b"-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----\n",
            "is not PEM",
        ),
        ("key.pem", b"password", "the key file holds no private key"),
        ("key.pem", &too_large, "is too large"),
    ];
    for (file, bytes, expected) in cases {
        let disk = Arc::new(Disk::default());
        install(&disk, &["localhost"]);
        disk.write(Path::new(file), bytes).unwrap();
        let error = open(disk, &installed(), NOW).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let missing = open(Arc::new(Disk::default()), &installed(), NOW)
        .err()
        .unwrap();
    assert_eq!(
        missing.to_string(),
        "tls.certificate = \"chain.pem\" cannot be read (entity not found): \
         name a PEM file that Hearth may read"
    );
}

#[test]
fn chacha_comes_first_where_aes_is_slow() {
    let suites = provider().cipher_suites;
    if !has_aes_instructions() {
        assert!(is_chacha(suites[0].suite()));
    }
    assert!(suites.iter().any(|suite| is_chacha(suite.suite())));
}

#[test]
fn extra_authorities_are_read_at_the_start_and_when_their_file_changes() {
    let disk = Arc::new(Disk::default());
    let source = self_signed(&["localhost"]);
    let extra = Path::new("extra.pem");
    let error = Tls::open(disk.clone(), &source, extra, NOW).map(|_| ());
    assert_eq!(
        error.unwrap_err().to_string(),
        "tls.extra_ca = \"extra.pem\" cannot be read (entity not found): name a PEM file that Hearth may read"
    );
    let tls = open(disk.clone(), &source, NOW).unwrap();
    let own = CertificateDer::from_pem_slice(&certificate(&disk)).unwrap();
    let judge = || {
        tls.trust()
            .judge(std::slice::from_ref(&own), "localhost", NOW)
    };
    assert_eq!(judge(), Err(Flaw::SelfSigned));
    disk.write(extra, &certificate(&disk)).unwrap();
    assert_eq!(tls.reload_trust(extra, NOW), Ok(true));
    assert_eq!(tls.reload_trust(extra, NOW), Ok(false));
    assert_eq!(judge(), Ok(()));
    disk.write(extra, b"-----BEGIN CERTIFICATE-----\nAAAA")
        .unwrap();
    assert!(tls.reload_trust(extra, NOW).is_err());
    assert_eq!(judge(), Ok(()), "those of before are believed");
    assert_eq!(tls.reload_trust(Path::new(""), NOW), Ok(true));
    assert_eq!(judge(), Err(Flaw::SelfSigned));
}

/// A machine that trusts the installed certificate, as if an authority's were its own.
struct Machine(Arc<Disk>, bool);

impl Files for Machine {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.read(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.0.write(path, bytes)
    }

    fn write_secret(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.0.write(path, bytes)
    }

    fn authorities(&self) -> io::Result<Vec<CertificateDer<'static>>> {
        let pem = self.0.read(Path::new("root.pem"))?;
        Ok(if self.1 { chain(&pem).unwrap() } else { vec![] })
    }
}

#[test]
fn browsers_believe_what_the_machine_does_and_not_what_the_house_adds() {
    let disk = Arc::new(Disk::default());
    issue(&disk, "localhost");
    let open = |machine, source: &Source, extra: &str| {
        let files = Arc::new(Machine(disk.clone(), machine));
        Tls::open(files, source, Path::new(extra), NOW).unwrap()
    };
    for (machine, source, extra, expected) in [
        (true, installed(), "", true),
        (false, installed(), "", false),
        (false, installed(), "root.pem", false),
        (true, self_signed(&["localhost"]), "", false),
    ] {
        let tls = open(machine, &source, extra);
        let found = tls.identity().is_publicly_trusted();
        assert_eq!(found, expected, "{machine} {source:?} {extra}");
    }
    issue(&disk, "other.example");
    let of_another = open(true, &installed(), "");
    assert!(!of_another.identity().is_publicly_trusted());
}

#[test]
fn what_browsers_believe_is_looked_at_again_when_a_day_has_passed() {
    let disk = Arc::new(Disk::default());
    issue(&disk, "localhost");
    let files = Arc::new(Machine(disk.clone(), true));
    // A board without a clock.
    let tls = Tls::open(files, &installed(), Path::new(""), 0).unwrap();
    assert!(!tls.identity().is_publicly_trusted());
    assert_eq!(tls.reload(&installed(), NOW), Ok(false));
    assert!(tls.identity().is_publicly_trusted());
    disk.write(Path::new("root.pem"), b"").unwrap();
    assert_eq!(tls.reload(&installed(), NOW + DAY_MS), Ok(false));
    assert!(tls.identity().is_publicly_trusted());
    assert_eq!(tls.reload(&installed(), NOW + DAY_MS + 1), Ok(false));
    assert!(!tls.identity().is_publicly_trusted());
}

fn given(names: &[&str]) -> Source {
    Source::Issued {
        domain: "localhost".into(),
        directory: "tls".into(),
        names: names.iter().map(|name| (*name).into()).collect(),
    }
}

#[test]
fn what_an_authority_gives_replaces_the_self_signed_one_and_stays() {
    let disk = Arc::new(Disk::default());
    let source = given(&["localhost"]);
    issue(&disk, "localhost");
    let machine = Arc::new(Machine(disk.clone(), true));
    let tls = Tls::open(machine, &source, Path::new(""), NOW).unwrap();
    let before = tls.identity();
    assert!(before.certificate().is_self_issued);
    let file = |path| disk.read(Path::new(path)).unwrap();
    let (chain, key) = (file("chain.pem"), file("key.pem"));
    let names = |names: &[&str]| -> Vec<String> { names.iter().map(|n| (*n).into()).collect() };
    let both = names(&["localhost", "groupchat.localhost"]);
    for (pair, wanted, expected) in [
        (
            (&chain, &key),
            &both,
            "the authority's certificate: it is not for groupchat.localhost",
        ),
        (
            (&chain, &file("tls/self-signed.key")),
            &names(&["localhost"]),
            "the authority's certificate: certificate and key do not go together",
        ),
        (
            (&vec![], &key),
            &both,
            "the authority's certificate: the certificate file holds no certificate",
        ),
    ] {
        let refused = tls.install((pair.0, pair.1), wanted, &source, NOW);
        let text = refused.unwrap_err().to_string();
        assert!(text.starts_with(expected), "{text}");
        assert!(
            Arc::ptr_eq(&before, &tls.identity()),
            "the old one stays: {text}"
        );
    }
    let wanted = names(&["localhost"]);
    assert_eq!(tls.install((&chain, &key), &wanted, &source, NOW), Ok(true));
    assert_eq!(
        tls.install((&chain, &key), &wanted, &source, NOW),
        Ok(false)
    );
    assert!(tls.identity().is_publicly_trusted());
    assert_eq!(tls.reload(&source, NOW + DAY_MS), Ok(false));
    assert!(!tls.identity().certificate().is_self_issued);
    // Another mode has its own, and this one is there when its mode comes back.
    assert_eq!(tls.reload(&self_signed(&["localhost"]), NOW), Ok(true));
    assert!(tls.identity().certificate().is_self_issued);
    assert_eq!(tls.reload(&source, NOW), Ok(true));
    assert!(!tls.identity().certificate().is_self_issued);
}

#[test]
fn what_is_given_while_files_are_wanted_waits() {
    let disk = Arc::new(Disk::default());
    install(&disk, &["localhost"]);
    let tls = open(disk.clone(), &installed(), NOW).unwrap();
    let before = tls.identity();
    issue(&disk, "localhost");
    let file = |path| disk.read(Path::new(path)).unwrap();
    let (chain, key) = (file("chain.pem"), file("key.pem"));
    assert_eq!(
        tls.install((&chain, &key), &[], &installed(), NOW),
        Ok(false)
    );
    assert!(Arc::ptr_eq(&before, &tls.identity()));
}

#[test]
fn names_of_a_house_are_ascii_and_come_once() {
    let mut config = Config::default();
    "bücher.example".clone_into(&mut config.domain);
    "rooms".clone_into(&mut config.names.pubsub);
    "rooms".clone_into(&mut config.names.rooms);
    let expected = ["", "rooms.", "upload.", "proxy."];
    let expected = expected.map(|label| format!("{label}xn--bcher-kva.example"));
    assert_eq!(names(&config), expected);
}

#[test]
fn a_proof_is_for_its_name_and_as_long_as_it_is_wanted() {
    let tls = open(Arc::default(), &self_signed(&["localhost"]), NOW).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.custom_extensions = vec![rcgen::CustomExtension::new_acme_identifier(&[7; 32])];
    let made = params.self_signed(&key).unwrap();
    let proof = || Proof {
        name: "localhost".into(),
        certificate: made.der().clone(),
        key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    };
    assert!(tls.proof("localhost").is_none());
    tls.prove(vec![proof()]).unwrap();
    let config = tls.proof("LOCALHOST").expect("names have no case");
    assert_eq!(config.alpn_protocols, [proof::ALPN]);
    assert!(tls.proof("other.example").is_none());
    let wrong = Proof {
        key: PrivateKeyDer::Pkcs8(vec![7; 32].into()),
        ..proof()
    };
    let refused = tls.prove(vec![wrong]).unwrap_err().to_string();
    assert!(refused.starts_with("no proof can be shown for localhost: "));
    assert!(tls.proof("localhost").is_some(), "those of before stay");
    tls.prove(vec![]).unwrap();
    assert!(tls.proof("localhost").is_none());
}

/// Puts an authority into `root.pem`, and a certificate of it for this name to where an administrator's is.
fn issue(disk: &Disk, name: &str) {
    let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut root = CertificateParams::new(vec![]).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name
        .push(rcgen::DnType::CommonName, "An authority");
    let authority = root.self_signed(&root_key).unwrap();
    let issuer = Issuer::new(root, root_key);
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    for (path, pem) in [
        ("root.pem", authority.pem()),
        ("chain.pem", leaf.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        disk.write(Path::new(path), pem.as_bytes()).unwrap();
    }
}
