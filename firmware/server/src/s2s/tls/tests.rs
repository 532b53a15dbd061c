//! Handshakes in memory: with ourselves, and with others that show nothing, or show it badly.

use super::*;
use crate::s2s::pki::{Made, by_hand, dns, self_sign, server as server_params};
use rustls::{
    ClientConnection, ConnectionCommon, ProtocolVersion, ServerConnection,
    SupportedProtocolVersion,
    crypto::aws_lc_rs::default_provider,
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use rustls_pki_types::PrivateKeyDer;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

fn identity(made: &Made, copies: usize) -> Arc<SingleCertAndKey> {
    certified(vec![made.der.clone(); copies], &made.key.serialize_der())
}

fn certified(chain: Vec<CertificateDer<'static>>, key: &[u8]) -> Arc<SingleCertAndKey> {
    let key = PrivateKeyDer::try_from(key.to_vec()).unwrap();
    let key = provider().key_provider.load_private_key(key).unwrap();
    Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)))
}

fn made(name: &str) -> Made {
    self_sign(&server_params(&[dns(name)]))
}

struct Met {
    client: ClientConnection,
    server: ServerConnection,
}

fn meet(client: ClientConfig, server: ServerConfig) -> Result<Met, String> {
    meet_again(&Arc::new(client), &Arc::new(server))
}

fn meet_again(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Result<Met, String> {
    let name = ServerName::try_from("example.org").unwrap();
    let mut client = ClientConnection::new(client.clone(), name).unwrap();
    let mut server = ServerConnection::new(server.clone()).unwrap();
    // Twice more than the handshake: tickets come after it.
    let mut rest = 2;
    while rest > 0 {
        if !client.is_handshaking() && !server.is_handshaking() {
            rest -= 1;
        }
        carry(&mut client, &mut server).map_err(|error| format!("server: {error}"))?;
        carry(&mut server, &mut client).map_err(|error| format!("client: {error}"))?;
    }
    Ok(Met { client, server })
}

/// All that one has to say, to the other.
fn carry<A, B>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
) -> Result<(), rustls::Error> {
    let mut bytes = vec![];
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}

/// Somebody else's client, which shows a certificate only if it has one.
fn other_client(
    version: &'static SupportedProtocolVersion,
    own: Option<Arc<SingleCertAndKey>>,
) -> ClientConfig {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody::of(&provider)));
    match own {
        Some(own) => builder.with_client_cert_resolver(own),
        None => builder.with_no_client_auth(),
    }
}

fn other_server(
    version: &'static SupportedProtocolVersion,
    own: Arc<SingleCertAndKey>,
) -> ServerConfig {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(own)
}

#[test]
fn two_servers_see_each_other_s_certificates() {
    let (here, there) = (made("here.example"), made("there.example"));
    let client = Arc::new(client(&provider(), &identity(&here, 3)).unwrap());
    let server = Arc::new(server(&provider(), &identity(&there, 1)).unwrap());
    // The second time, too: nothing is resumed.
    for _ in 0..2 {
        let met = meet_again(&client, &server).unwrap();
        assert_eq!(
            met.client.peer_certificates(),
            Some(&[there.der.clone()][..])
        );
        assert_eq!(
            met.server.peer_certificates(),
            Some(&vec![here.der.clone(); 3][..])
        );
        assert_eq!(
            met.client.protocol_version(),
            Some(ProtocolVersion::TLSv1_3)
        );
        assert_eq!(
            met.client.handshake_kind(),
            Some(rustls::HandshakeKind::Full)
        );
        assert_eq!(met.client.tls13_tickets_received(), 0);
    }
}

#[test]
fn others_come_with_either_version_and_with_or_without_a_certificate() {
    let (here, there) = (made("here.example"), made("there.example"));
    for version in [&TLS12, &TLS13] {
        for own in [None, Some(identity(&there, 1))] {
            let shown = own.is_some();
            let client = other_client(version, own);
            let server = server(&provider(), &identity(&here, 1)).unwrap();
            let met = meet(client, server).unwrap();
            assert_eq!(met.server.protocol_version(), Some(version.version));
            assert_eq!(met.server.peer_certificates().is_some(), shown);
        }
        let client = client(&provider(), &identity(&here, 1)).unwrap();
        let met = meet(client, other_server(version, identity(&there, 1))).unwrap();
        assert_eq!(
            met.client.peer_certificates(),
            Some(&[there.der.clone()][..])
        );
    }
}

/// Nobody trusts it, unless the house named it; but its owner can dial back.
#[test]
fn a_certificate_of_version_1_is_seen() {
    let (here, there) = (made("here.example"), by_hand("there.example"));
    for version in [&TLS12, &TLS13] {
        let client = other_client(version, Some(identity(&there, 1)));
        let met = meet(client, server(&provider(), &identity(&here, 1)).unwrap()).unwrap();
        assert_eq!(
            met.server.peer_certificates(),
            Some(&[there.der.clone()][..])
        );
    }
}

#[test]
fn a_certificate_without_its_key_is_refused() {
    let (here, there) = (made("here.example"), made("there.example"));
    // The right certificate, the key of another.
    let thief = || certified(vec![there.der.clone()], &here.key.serialize_der());
    for version in [&TLS12, &TLS13] {
        let door = server(&provider(), &identity(&here, 1)).unwrap();
        let error = meet(other_client(version, Some(thief())), door).map(|_| ());
        assert_eq!(
            error,
            Err("server: invalid peer certificate: BadSignature".to_owned())
        );
        let dialer = client(&provider(), &identity(&here, 1)).unwrap();
        let error = meet(dialer, other_server(version, thief())).map(|_| ());
        assert_eq!(
            error,
            Err("client: invalid peer certificate: BadSignature".to_owned())
        );
    }
}

#[test]
fn what_is_no_certificate_or_too_much_is_refused() {
    let (here, there) = (made("here.example"), made("there.example"));
    let broken = |der: &[u8]| certified(vec![der.to_vec().into()], &there.key.serialize_der());
    let filled = |bytes: usize| {
        let rest = vec![0; bytes - there.der.len()].into();
        certified(vec![there.der.clone(), rest], &there.key.serialize_der())
    };
    let large = PEER_CERTIFICATES_BYTES_MAX;
    for (name, own, expected) in [
        ("many", identity(&there, 40), None),
        ("large", filled(large), None),
        (
            "too large",
            filled(large + 1),
            Some("ApplicationVerificationFailure"),
        ),
        ("garbage", broken(b"garbage"), Some("BadEncoding")),
        ("half of it", broken(&there.der[..100]), Some("BadEncoding")),
    ] {
        let door = server(&provider(), &identity(&here, 1)).unwrap();
        let came = meet(other_client(&TLS13, Some(own.clone())), door).map(|_| ());
        let dialer = client(&provider(), &identity(&here, 1)).unwrap();
        let went = meet(dialer, other_server(&TLS13, own)).map(|_| ());
        for (side, got) in [("server", came), ("client", went)] {
            let expected = match expected {
                None => Ok(()),
                Some(reason) => Err(format!("{side}: invalid peer certificate: {reason}")),
            };
            assert_eq!(got, expected, "{name}");
        }
    }
}
