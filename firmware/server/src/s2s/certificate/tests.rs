//! Names as they stand in certificates, against domains.

use super::*;
use crate::s2s::pki::{dns, params, self_sign, server, xmpp};
use rcgen::{CertificateParams, CustomExtension, SanType};

fn names(params: &CertificateParams, domain: &str, believed: Believed) -> bool {
    let made = self_sign(params);
    let certificate = Certificate::read(&made.der).unwrap();
    certificate.names(domain, believed)
}

/// A subjectAltName with one SRVName: rcgen writes no IA5String into an otherName.
fn srv(name: &str) -> CertificateParams {
    let mut params = params("a server");
    params.custom_extensions = vec![other_name(7, 0x16, name)];
    params
}

fn other_name(id: u8, tag: u8, text: &str) -> CustomExtension {
    let element = |tag: u8, content: &[u8]| {
        let mut all = vec![tag, u8::try_from(content.len()).unwrap()];
        all.extend_from_slice(content);
        all
    };
    let value = element(0xa0, &element(tag, text.as_bytes()));
    let mut name = element(6, &[0x2b, 6, 1, 5, 5, 7, 8, id]);
    name.extend(value);
    let extension = element(0x30, &element(0xa0, &name));
    CustomExtension::from_oid_content(&[2, 5, 29, 17], extension)
}

#[test]
fn a_certificate_names_the_domains_of_its_dns_ids() {
    for (name, domain, expected) in [
        ("example.org", "example.org", true),
        ("EXAMPLE.org", "example.org", true),
        ("example.org.", "example.org", true),
        ("example.org", "chat.example.org", false),
        ("chat.example.org", "example.org", false),
        ("localhost", "localhost", true),
        // RFC 9525 §6.3: one label, the left-most, as a whole.
        ("*.example.org", "chat.example.org", true),
        ("*.example.org", "xn--bcher-kva.example.org", true),
        ("*.example.org", "bücher.example.org", true),
        ("*.example.org", "a.chat.example.org", false),
        ("*.example.org", "example.org", false),
        ("*.example.org", ".example.org", false),
        ("c*.example.org", "chat.example.org", false),
        ("*t.example.org", "chat.example.org", false),
        ("chat.*.org", "chat.example.org", false),
        ("*.*.org", "chat.example.org", false),
        ("*", "localhost", false),
        ("*.", "localhost", false),
        // Nobody is called so, whatever the certificate says.
        ("*.example.org", "*.example.org", false),
        ("exa mple.org", "exa mple.org", false),
        ("", "", false),
        // RFC 5280 §7.2: A-labels stand in certificates, U-labels in addresses.
        ("xn--bcher-kva.example", "bücher.example", true),
        ("XN--BCHER-KVA.example", "bücher.example", true),
        ("*.xn--bcher-kva.example", "chat.bücher.example", true),
        ("xn--bcher-kva.example", "bucher.example", false),
        // RFC 9525 §6.4: the name of an address is not the address.
        ("192.0.2.1", "192.0.2.1", false),
    ] {
        let params = server(&[dns(name)]);
        for believed in [Believed::All, Believed::Dns, Believed::Everything] {
            let got = names(&params, domain, believed);
            assert_eq!(got, expected, "{name:?} for {domain:?}, {believed:?}");
        }
    }
}

#[test]
fn an_srv_id_is_for_servers() {
    for (name, domain, expected) in [
        ("_xmpp-server.example.org", "example.org", true),
        ("_XMPP-Server.example.org", "example.org", true),
        ("_xmpp-server.*.example.org", "chat.example.org", true),
        ("_xmpp-server.xn--bcher-kva.example", "bücher.example", true),
        ("_xmpp-server.example.org", "example.com", false),
        ("_xmpp-client.example.org", "example.org", false),
        ("_imap.example.org", "example.org", false),
        ("_xmpp-server.", "", false),
        ("example.org", "example.org", false),
        ("_xmpp-serverß.example.org", "example.org", false),
    ] {
        let params = srv(name);
        let got = names(&params, domain, Believed::All);
        assert_eq!(got, expected, "{name:?} for {domain:?}");
        assert!(!names(&params, domain, Believed::Dns), "{name:?}");
    }
    let mut utf8 = params("a server");
    utf8.custom_extensions = vec![other_name(7, 0x0c, "_xmpp-server.example.org")];
    assert!(!names(&utf8, "example.org", Believed::All), "RFC 4985 §2");
}

#[test]
fn an_xmpp_address_is_a_domain() {
    for (name, domain, expected) in [
        ("example.org", "example.org", true),
        ("Example.org", "example.org", true),
        ("bücher.example", "bücher.example", true),
        ("xn--bcher-kva.example", "bücher.example", true),
        ("[2001:db8::1]", "[2001:db8::1]", true),
        ("192.0.2.1", "192.0.2.1", true),
        ("*.example.org", "chat.example.org", false),
        ("juliet@example.org", "example.org", false),
        ("example.org/orchard", "example.org", false),
        ("", "", false),
    ] {
        let params = server(&[xmpp(name)]);
        let got = names(&params, domain, Believed::All);
        assert_eq!(got, expected, "{name:?} for {domain:?}");
        assert!(!names(&params, domain, Believed::Dns), "{name:?}");
    }
}

#[test]
fn an_address_has_names_of_its_own_kind() {
    for (name, domain, expected) in [
        ("192.0.2.1", "192.0.2.1", true),
        ("2001:db8::1", "[2001:db8::1]", true),
        ("192.0.2.1", "192.0.2.2", false),
        ("192.0.2.1", "example.org", false),
    ] {
        let params = server(&[SanType::IpAddress(name.parse().unwrap())]);
        let got = names(&params, domain, Believed::Dns);
        assert_eq!(got, expected, "{name:?} for {domain:?}");
    }
}

#[test]
fn a_common_name_counts_only_where_somebody_looked_and_nothing_else_is_said() {
    let alone = params("example.org");
    let mut beside = alone.clone();
    beside.subject_alt_names = vec![dns("example.com")];
    for (params, believed, expected) in [
        (&alone, Believed::Everything, true),
        (&alone, Believed::All, false),
        (&alone, Believed::Dns, false),
        (&beside, Believed::Everything, false),
        (&beside, Believed::All, false),
    ] {
        assert_eq!(names(params, "example.org", believed), expected);
    }
    assert!(!names(&alone, "example.com", Believed::Everything));
}

#[test]
fn one_certificate_is_read_and_nothing_behind_it() {
    let made = self_sign(&params("a server"));
    let mut longer = made.der.to_vec();
    longer.push(0);
    assert!(Certificate::read(&made.der).is_some());
    assert!(Certificate::read(&longer).is_none());
    for length in 0..made.der.len() {
        assert!(Certificate::read(&made.der[..length]).is_none());
    }
}
