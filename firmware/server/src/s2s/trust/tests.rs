//! Chains made on the spot, and what is thought of them.

use super::*;
use crate::s2s::dane::{Doubt, Published, Tlsa};
use crate::s2s::pki::{
    Authority, DAY_MS, Machine, NOW, below, by_hand, ca_params, dns, issue, params, pem, root,
    self_sign, server, valid, xmpp,
};
use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose as Purpose, GeneralSubtree, IsCa, NameConstraints,
};
use std::sync::atomic::Ordering;

const DOMAIN: &str = "example.org";

/// A machine that trusts `public`, and a house that trusts `private` besides.
struct World {
    public: Authority,
    private: Authority,
    stranger: Authority,
    trust: Trust,
}

impl World {
    fn new() -> World {
        let [public, private, stranger] =
            ["public", "private", "stranger"].map(|name| root(ca_params(name)));
        let trust = trust(&[der(&public)], &[&der(&private)]);
        World {
            public,
            private,
            stranger,
            trust,
        }
    }

    fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), Flaw> {
        self.trust.judge(chain, DOMAIN, NOW)
    }
}

fn trust(system: &[CertificateDer<'static>], extra: &[&CertificateDer<'_>]) -> Trust {
    let files: Arc<dyn Files> = Arc::new(Machine {
        authorities: system.to_vec(),
        file: pem(extra),
        ..Machine::default()
    });
    let path = if extra.is_empty() { "" } else { "extra.pem" };
    Trust::open(&files, Path::new(path)).unwrap()
}

fn der(authority: &Authority) -> CertificateDer<'static> {
    authority.der().clone()
}

fn good() -> CertificateParams {
    server(&[dns(DOMAIN)])
}

fn changed(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = good();
    change(&mut params);
    params
}

#[test]
fn a_leaf_is_good_in_its_time_under_an_authority_for_its_purpose_and_name() {
    let world = World::new();
    let (public, private, stranger) = (&world.public, &world.private, &world.stranger);
    let dated = |first, last| changed(|params| valid(params, first, last));
    let purposes = |all: &[Purpose]| changed(|params| params.extended_key_usages = all.to_vec());
    let named = |names: &[_]| changed(|params| params.subject_alt_names = names.to_vec());
    #[rustfmt::skip]
    let rows = [
        ("public", public, good(), Ok(())),
        ("private", private, good(), Ok(())),
        ("stranger", stranger, good(), Err(Flaw::Untrusted)),
        ("expired", public, dated(NOW - 9 * DAY_MS, NOW - DAY_MS), Err(Flaw::Expired)),
        ("expired, stranger", stranger, dated(NOW - 9 * DAY_MS, NOW - DAY_MS), Err(Flaw::Expired)),
        ("not yet valid", public, dated(NOW + DAY_MS, NOW + 9 * DAY_MS), Err(Flaw::NotYetValid)),
        ("only for servers", public, purposes(&[Purpose::ServerAuth]), Ok(())),
        ("only for clients", public, purposes(&[Purpose::ClientAuth]), Ok(())),
        ("for both", public, purposes(&[Purpose::ServerAuth, Purpose::ClientAuth]), Ok(())),
        ("for anything", public, purposes(&[Purpose::Any]), Ok(())),
        ("for nothing said", public, purposes(&[]), Ok(())),
        ("for programs", public, purposes(&[Purpose::CodeSigning]), Err(Flaw::WrongPurpose)),
        ("wildcard", public, named(&[dns("*.org")]), Ok(())),
        ("wildcard below", public, named(&[dns("*.example.org")]), Err(Flaw::WrongName)),
        ("another name", public, named(&[dns("example.com")]), Err(Flaw::WrongName)),
        ("several names", public, named(&[dns("example.com"), dns(DOMAIN)]), Ok(())),
        ("XMPP's own", public, named(&[xmpp(DOMAIN)]), Ok(())),
        ("no name", public, params(DOMAIN), Err(Flaw::WrongName)),
        ("itself an authority", public, changed(|params| params.is_ca = ca_params("").is_ca),
            Err(Flaw::Untrusted)),
    ];
    for (name, authority, params, expected) in rows {
        let leaf = issue(authority, &params).der;
        assert_eq!(world.judge(&[leaf]), expected, "{name}");
    }
}

#[test]
fn what_the_dns_proves_adds_a_name_and_authorities_or_takes_them_away() {
    let world = World::new();
    let tlsa = |usage, der: &CertificateDer<'_>| Tlsa {
        usage,
        selector: 0,
        matching: 0,
        data: der.to_vec(),
    };
    let host = "xmpp.hosting.example";
    let [public, stranger] = [&world.public, &world.stranger].map(der);
    let issued = |authority, names: &[_]| issue(authority, &server(names)).der;
    let [good, hosted, own, own_hosted, other] = [
        issued(&world.public, &[dns(DOMAIN)]),
        issued(&world.public, &[dns(host)]),
        issued(&world.stranger, &[dns(DOMAIN)]),
        issued(&world.stranger, &[dns(host)]),
        issued(&world.stranger, &[dns("other.example")]),
    ];
    let wrong = |flaw| Err(Doubt::Flaw(flaw));
    let unproven = Published::default();
    let proven = |tlsa| Published::new(host.to_owned(), tlsa);
    #[rustfmt::skip]
    let rows = [
        ("no proof", &hosted, unproven, wrong(Flaw::WrongName)),
        ("the host's name", &hosted, proven(vec![]), Ok(())),
        ("usage 3", &other, proven(vec![tlsa(3, &other)]), Ok(())),
        ("usage 3, another", &good, proven(vec![tlsa(3, &own)]), Err(Doubt::Other)),
        ("usage 2", &own, proven(vec![tlsa(2, &stranger)]), Ok(())),
        ("usage 2, the host's name", &own_hosted, proven(vec![tlsa(2, &stranger)]), Ok(())),
        ("usage 2, no such name", &other, proven(vec![tlsa(2, &stranger)]), Err(Doubt::Other)),
        ("usage 2, another authority", &good, proven(vec![tlsa(2, &stranger)]), Err(Doubt::Other)),
        ("usage 1", &good, proven(vec![tlsa(1, &good)]), Ok(())),
        ("usage 1, not trusted", &own, proven(vec![tlsa(1, &own)]), Err(Doubt::Other)),
        ("one of two", &good, proven(vec![tlsa(2, &stranger), tlsa(2, &public)]), Ok(())),
        ("not understood", &own, proven(vec![tlsa(9, &own)]), wrong(Flaw::Untrusted)),
    ];
    for (name, leaf, published, expected) in rows {
        let judged = published.judge(&world.trust, std::slice::from_ref(leaf), DOMAIN, NOW);
        assert_eq!(judged, expected, "{name}");
    }
}

#[test]
fn time_is_what_the_clock_says_and_the_last_second_counts() {
    let world = World::new();
    let (first, last) = (NOW - DAY_MS, NOW + DAY_MS);
    let leaf = issue(&world.public, &changed(|params| valid(params, first, last))).der;
    for (now, expected) in [
        (0, Err(Flaw::NotYetValid)),
        (first - 1, Err(Flaw::NotYetValid)),
        (first, Ok(())),
        (last, Ok(())),
        (last + 999, Ok(())),
        (last + 1_000, Err(Flaw::Expired)),
        (u64::MAX, Err(Flaw::Expired)),
    ] {
        let chain = [leaf.clone()];
        assert_eq!(world.trust.judge(&chain, DOMAIN, now), expected, "{now}");
    }
}

#[test]
fn the_chain_may_be_in_any_order_with_more_than_is_needed() {
    let world = World::new();
    let upper = below(&world.public, ca_params("upper"));
    let lower = below(&upper, ca_params("lower"));
    let old = below(&world.public, {
        let mut params = ca_params("old");
        valid(&mut params, NOW - 9 * DAY_MS, NOW - DAY_MS);
        params
    });
    let server_only = below(&world.public, {
        let mut params = ca_params("for servers");
        params.extended_key_usages = vec![Purpose::ServerAuth];
        params
    });
    let no_authority = below(&world.public, params("no authority"));
    let leaf = issue(&lower, &good()).der;
    let [u, l, root, s] = [&upper, &lower, &world.public, &world.stranger].map(der);
    let of = |authority: &Authority, params: &CertificateParams| issue(authority, params).der;
    let for_clients = changed(|params| params.extended_key_usages = vec![Purpose::ClientAuth]);
    let leaf = || leaf.clone();
    // So many places are left for the ones that matter.
    let far = |places| {
        let others = vec![s.clone(); PEER_ISSUERS_MAX - places];
        [vec![leaf()], others, vec![l.clone(), u.clone()]].concat()
    };
    #[rustfmt::skip]
    let rows = [
        ("in order", vec![leaf(), l.clone(), u.clone()], Ok(())),
        ("out of order", vec![leaf(), u.clone(), l.clone()], Ok(())),
        ("with the root", vec![leaf(), l.clone(), u.clone(), root], Ok(())),
        ("with others", vec![leaf(), s.clone(), l.clone(), l.clone(), u.clone()], Ok(())),
        ("with garbage", vec![leaf(), vec![1, 2, 3].into(), l.clone(), u.clone()], Ok(())),
        ("one is missing", vec![leaf(), l.clone()], Err(Flaw::Untrusted)),
        ("both are missing", vec![leaf()], Err(Flaw::Untrusted)),
        ("not the leaf first", vec![l.clone(), leaf(), u.clone()], Err(Flaw::WrongName)),
        ("expired above", vec![of(&old, &good()), der(&old)], Err(Flaw::Expired)),
        ("for servers above", vec![of(&server_only, &good()), der(&server_only)], Ok(())),
        ("for clients below it", vec![of(&server_only, &for_clients), der(&server_only)], Ok(())),
        ("by who may not", vec![of(&no_authority, &good()), der(&no_authority)], Err(Flaw::Untrusted)),
        ("as far as we look", far(2), Ok(())),
        ("farther", far(1), Err(Flaw::Untrusted)),
        ("none", vec![], Err(Flaw::Missing)),
        ("garbage", vec![vec![0x30, 0x80, 1].into()], Err(Flaw::Broken)),
        ("nothing", vec![vec![].into()], Err(Flaw::Broken)),
    ];
    for (name, chain, expected) in rows {
        assert_eq!(world.judge(&chain), expected, "{name}");
    }
}

#[test]
fn a_forged_signature_is_no_signature() {
    let world = World::new();
    // The same name as the one that is trusted, another key.
    let forger = root(ca_params("public"));
    let leaf = issue(&forger, &good()).der;
    assert_eq!(world.judge(&[leaf, der(&forger)]), Err(Flaw::Untrusted));
    let mut bytes = issue(&world.public, &good()).der.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(world.judge(&[bytes.into()]), Err(Flaw::Untrusted));
}

#[test]
fn a_certificate_that_the_house_named_is_good_as_it_is() {
    let plain = self_sign(&good()).der;
    let authority = self_sign(&changed(|params| params.is_ca = ca_params("").is_ca)).der;
    let issued_elsewhere = issue(&root(ca_params("stranger")), &good()).der;
    let by_common_name = self_sign(&params(DOMAIN)).der;
    let mut old = good();
    valid(&mut old, NOW - 9 * DAY_MS, NOW - DAY_MS);
    let old = self_sign(&old).der;
    let other = self_sign(&server(&[dns("example.com")])).der;
    let one = by_hand(DOMAIN).der;
    for (name, leaf, named, unnamed) in [
        ("plain", &plain, Ok(()), Flaw::SelfSigned),
        ("an authority", &authority, Ok(()), Flaw::SelfSigned),
        (
            "issued elsewhere",
            &issued_elsewhere,
            Ok(()),
            Flaw::Untrusted,
        ),
        ("common name", &by_common_name, Ok(()), Flaw::SelfSigned),
        ("version 1", &one, Ok(()), Flaw::SelfSigned),
        ("expired", &old, Err(Flaw::Expired), Flaw::Expired),
        (
            "another name",
            &other,
            Err(Flaw::WrongName),
            Flaw::WrongName,
        ),
    ] {
        let chain = [leaf.clone()];
        let judge = |extra: &[&CertificateDer<'_>]| trust(&[], extra).judge(&chain, DOMAIN, NOW);
        assert_eq!(judge(&[leaf]), named, "{name}");
        assert_eq!(judge(&[]), Err(unnamed), "{name}");
        // Another one with the same names.
        assert_eq!(judge(&[&self_sign(&good()).der]), Err(unnamed), "{name}");
    }
}

#[test]
fn a_named_certificate_is_no_authority_unless_it_says_so() {
    for (is_ca, expected) in [
        (IsCa::NoCa, Err(Flaw::Untrusted)),
        (IsCa::ExplicitNoCa, Err(Flaw::Untrusted)),
        (ca_params("").is_ca, Ok(())),
    ] {
        let mut above = params("friend");
        above.is_ca = is_ca;
        let friend = root(above);
        let leaf = issue(&friend, &good()).der;
        let got = trust(&[], &[&der(&friend)]).judge(&[leaf], DOMAIN, NOW);
        assert_eq!(got, expected, "{is_ca:?}");
    }
}

/// Limits on DNS names say nothing about XmppAddr and SRV-ID, so an authority that has some vouches for none
/// of those.
#[test]
fn who_may_speak_for_some_names_cannot_go_around_it() {
    let world = World::new();
    let limited = below(&world.public, {
        let mut params = ca_params("limited");
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName("example.com".into())],
            excluded_subtrees: vec![],
        });
        params
    });
    for (name, domain, expected) in [
        (dns("chat.example.com"), "chat.example.com", Ok(())),
        (dns(DOMAIN), DOMAIN, Err(Flaw::Untrusted)),
        (xmpp(DOMAIN), DOMAIN, Err(Flaw::WrongName)),
    ] {
        let leaf = issue(&limited, &server(&[name])).der;
        let got = world.trust.judge(&[leaf, der(&limited)], domain, NOW);
        assert_eq!(got, expected, "{domain}");
    }
}

#[test]
fn the_authorities_of_the_machine_are_read_when_needed_and_then_forgotten() {
    let public = root(ca_params("public"));
    let machine = Arc::new(Machine {
        authorities: vec![der(&public)],
        ..Machine::default()
    });
    let files: Arc<dyn Files> = machine.clone();
    let trust = Trust::open(&files, Path::new("")).unwrap();
    let chain = [issue(&public, &good()).der];
    let asked = || machine.asked.load(Ordering::Relaxed);
    assert_eq!(asked(), 0, "not at the start");
    assert_eq!(trust.judge(&[], DOMAIN, NOW), Err(Flaw::Missing));
    assert_eq!(asked(), 0, "nothing to judge");
    let mut now = NOW;
    for (wait, rest, expected) in [
        (0, false, 1),
        (ROOTS_IDLE_MS, true, 1),
        (ROOTS_IDLE_MS, true, 1),
        (ROOTS_IDLE_MS + 1, true, 2),
        (ROOTS_IDLE_MS + 1, false, 2),
    ] {
        now += wait;
        if rest {
            trust.rest(now);
        }
        assert_eq!(trust.judge(&chain, DOMAIN, now), Ok(()));
        assert_eq!(asked(), expected, "{}", now - NOW);
    }
    // In use all the time, and yet an update of the system takes effect.
    while now < NOW + ROOTS_MS + 3 * ROOTS_IDLE_MS {
        now += ROOTS_IDLE_MS;
        trust.rest(now);
        assert_eq!(trust.judge(&chain, DOMAIN, now), Ok(()));
    }
    assert_eq!(asked(), 3);
}

#[test]
fn extra_authorities_that_cannot_be_used_are_refused_in_a_sentence() {
    let made = self_sign(&good());
    let mut cut = made.der.to_vec();
    cut.truncate(40);
    for (file, expected) in [
        (b"hello".to_vec(), "holds no certificate"),
        (vec![], "holds no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA".to_vec(), "is not PEM"),
        (
            made.key.serialize_pem().into_bytes(),
            "holds no certificate",
        ),
        (
            pem(&[&made.der, &cut.into()]),
            "cannot be understood from certificate 2 on",
        ),
    ] {
        let machine: Arc<dyn Files> = Arc::new(Machine {
            file,
            ..Machine::default()
        });
        let error = Trust::open(&machine, Path::new("extra.pem")).map(|_| ());
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("tls.extra_ca = \"extra.pem\" "), "{text}");
        assert!(text.contains(expected), "{text}");
        assert!(
            text.contains(": name a PEM file of certificates, or leave it empty"),
            "{text}"
        );
    }
}

/// Every order of these could be a path, and none is.
#[test]
fn a_chain_that_is_made_to_be_slow_is_judged_soon() {
    let world = World::new();
    let alike = || der(&root(ca_params("alike")));
    let last = root(ca_params("alike"));
    let mut chain = vec![issue(&last, &good()).der];
    chain.extend((0..PEER_ISSUERS_MAX).map(|_| alike()));
    assert_eq!(world.judge(&chain), Err(Flaw::Untrusted));
}
