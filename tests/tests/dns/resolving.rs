//! From a domain to places (RFC 6120 §3.2, XEP-0368).

use super::{IMPATIENT, PATIENT, Zeros, resolver, shown};
use hickory_resolver::proto::rr::RecordType;
use server::s2s::resolve::{Family, NoAnswer};
use system_tests::dns::NameServer;

const ZONE: &str = "
_xmpp-server._tcp.both.example   SRV 10 0 5269 a.both.example
_xmpp-server._tcp.both.example   SRV 5  0 5269 first.both.example
_xmpps-server._tcp.both.example  SRV 10 0 5270 a.both.example
_xmpp-server._tcp.none.example   SRV 0 0 0 .
none.example                     A 127.0.0.1
_xmpps-server._tcp.dot.example   SRV 0 0 0 .
_xmpp-server._tcp.dot.example    SRV 0 0 5269 a.dot.example
_xmpps-server._tcp.only.example  SRV 0 0 0 .
only.example                     A 127.0.0.1
plain.example                    A 127.0.0.1
_xmpp-server._tcp.alias.example  CNAME _xmpp-server._tcp.both.example
_xmpps-server._tcp.twice.example CNAME _xmpp-server._tcp.alias.example
_xmpp-server._tcp.loop.example   CNAME _xmpp-server._tcp.loop.example
_xmpp-server._tcp.xn--bcher-kva.example SRV 0 0 5269 A.XN--BCHER-KVA.example
sick.example                     SERVFAIL
half.example                     SERVFAIL SRV
half.example                     A 127.0.0.1
_xmpp-server._tcp.part.example   SRV 0 0 5269 a.part.example
_xmpps-server._tcp.part.example  SERVFAIL
silent.example                   SILENT
";

#[tokio::test]
async fn every_kind_of_domain() {
    let names = NameServer::start(ZONE).await.unwrap();
    let resolver = resolver(&names, PATIENT);
    let long = format!("{}.example", ["a"; 120].join("."));
    for (domain, expected) in [
        (
            "both.example",
            "first.both.example:5269 +a.both.example:5270 a.both.example:5269",
        ),
        ("none.example", "Nothing"),
        ("dot.example", "a.dot.example:5269"),
        ("only.example", "Nothing"),
        ("plain.example", "plain.example:5269"),
        ("missing.example", "missing.example:5269"),
        (
            "alias.example",
            "first.both.example:5269 a.both.example:5269",
        ),
        (
            "twice.example",
            "+first.both.example:5269 +a.both.example:5269",
        ),
        ("loop.example", "loop.example:5269"),
        ("bücher.example", "a.xn--bcher-kva.example:5269"),
        // RFC 6120 §3.2.1 step 9: no answer about SRV, so the domain itself.
        ("half.example", "half.example:5269"),
        ("part.example", "a.part.example:5269"),
        ("localhost", "localhost:5269"),
        ("", "Nothing"),
        (&long, &format!("{long}:5269")),
    ] {
        let found = resolver.endpoints(domain, &Zeros).await;
        assert_eq!(shown(found), expected, "{domain}");
    }
    let asked = names.asked("_xmpp-server._tcp.localhost", RecordType::SRV);
    assert_eq!(asked.unwrap(), 0, "RFC 6761 §6.3");
}

#[tokio::test]
async fn addresses_of_a_host() {
    let names = NameServer::start(
        "
        two.example  A 127.0.0.1
        two.example  A 127.0.0.2
        two.example  AAAA ::1
        many.example A 127.0.0.1
        many.example A 127.0.0.2
        many.example A 127.0.0.3
        many.example A 127.0.0.4
        many.example A 127.0.0.5
        alias.example CNAME two.example
        loop.example  CNAME loop.example
        sick.example  SERVFAIL
        ",
    )
    .await
    .unwrap();
    let resolver = resolver(&names, PATIENT);
    for (host, family, expected) in [
        ("two.example", Family::V4, "127.0.0.1 127.0.0.2"),
        ("two.example", Family::V6, "::1"),
        (
            "many.example",
            Family::V4,
            "127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4",
        ),
        ("many.example", Family::V6, ""),
        ("alias.example", Family::V4, "127.0.0.1 127.0.0.2"),
        ("missing.example", Family::V4, ""),
        ("localhost", Family::V4, "127.0.0.1"),
        ("localhost", Family::V6, "::1"),
        ("sick.example", Family::V4, "failed"),
    ] {
        let found = match resolver.addresses(host, family).await {
            Ok(mut addresses) => {
                addresses.sort();
                let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                texts.join(" ")
            }
            Err(NoAnswer::Failed(_)) => "failed".to_owned(),
            Err(other) => format!("{other:?}"),
        };
        assert_eq!(found, expected, "{host} {family:?}");
    }
}

#[tokio::test]
async fn silence_ends() {
    let names = NameServer::start(ZONE).await.unwrap();
    let resolver = resolver(&names, IMPATIENT);
    let silence = "Failed(\"no name server answers\")";
    let found = resolver.endpoints("silent.example", &Zeros).await;
    assert_eq!(shown(found), silence);
    let found = resolver.addresses("silent.example", Family::V4).await;
    assert_eq!(format!("{:?}", found.unwrap_err()), silence);
}

#[tokio::test]
async fn answers_are_kept_until_the_network_changes() {
    let names = NameServer::start(ZONE).await.unwrap();
    let resolver = resolver(&names, PATIENT);
    let direct = "_xmpps-server._tcp.part.example";
    let kept = [
        ("_xmpp-server._tcp.both.example", RecordType::SRV),
        ("_xmpp-server._tcp.missing.example", RecordType::SRV),
    ];
    let ask = async || {
        for domain in ["both.example", "missing.example"] {
            resolver.endpoints(domain, &Zeros).await.unwrap();
        }
    };
    ask().await;
    names.replace("").unwrap();
    ask().await;
    for (name, kind) in kept {
        assert_eq!(names.asked(name, kind).unwrap(), 1, "{name}");
    }
    resolver.forget();
    ask().await;
    for (name, kind) in kept {
        assert_eq!(names.asked(name, kind).unwrap(), 2, "{name}");
    }
    assert_eq!(names.asked(direct, RecordType::SRV).unwrap(), 0);
}

#[tokio::test]
async fn silent_name_servers_are_looked_for_anew_but_not_each_time() {
    let names = NameServer::start(ZONE).await.unwrap();
    let resolver = resolver(&names, IMPATIENT);
    let asked = || {
        names
            .asked("_xmpp-server._tcp.both.example", RecordType::SRV)
            .unwrap()
    };
    for expected in [1, 2, 2] {
        resolver.endpoints("both.example", &Zeros).await.unwrap();
        assert_eq!(asked(), expected);
        let silent = resolver.addresses("silent.example", Family::V4).await;
        assert!(matches!(silent, Err(NoAnswer::Failed(_))));
    }
}

#[tokio::test]
async fn others_are_asked_when_the_configuration_says_so() {
    let one = NameServer::start("_xmpp-server._tcp.far.example SRV 0 0 1 one.example");
    let two = NameServer::start("_xmpp-server._tcp.far.example SRV 0 0 2 two.example");
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    let resolver = resolver(&one, PATIENT);
    for (names, expected) in [(&one, "one.example:1"), (&two, "two.example:2")] {
        resolver.follow(&[names.address()]);
        let found = resolver.endpoints("far.example", &Zeros).await;
        assert_eq!(shown(found), expected);
    }
}
