//! DNSSEC: what is proven, what is not, and what is forged (RFC 7673 §3).

use super::{PATIENT, Zeros, dialer, resolver, shown};
use hickory_resolver::proto::rr::RecordType;
use server::s2s::{
    dial::Unreachable,
    resolve::{NoAnswer, Resolver},
};
use system_tests::dns::NameServer;
use tokio::net::TcpListener;

const ZONE: &str = "
_xmpp-server._tcp.far.example    SRV 0 0 5269 xmpp.far.example
xmpp.far.example                 A 127.0.0.1
_5269._tcp.xmpp.far.example      TLSA 3 1 1 00ff
_5269._tcp.xmpp.far.example      TLSA 2 0 0 abcdef
_xmpps-server._tcp.bare.example  SRV 0 0 5270 bare.example
bare.example                     AAAA ::1
_xmpp-server._tcp.alias.example  CNAME _xmpp-server._tcp.far.example
plain.example                    UNSIGNED
_xmpp-server._tcp.plain.example  SRV 0 0 5269 xmpp.plain.example
xmpp.plain.example               A 127.0.0.1
_5269._tcp.xmpp.plain.example    TLSA 3 1 1 00ff
false.example                    FORGED
_xmpp-server._tcp.false.example  SRV 0 0 5269 xmpp.false.example
xmpp.false.example               A 127.0.0.1
mixed.example                    FORGED TLSA
_xmpp-server._tcp.mixed.example  SRV 0 0 5269 mixed.example
mixed.example                    A 127.0.0.1
_5269._tcp.mixed.example         TLSA 3 1 1 00ff
six.example                      A 127.0.0.1
six.example                      FORGED AAAA
six.example                      AAAA 64:ff9b::127.0.0.1
six.example                      AAAA 64:ff9b::127.0.0.2
six.example                      AAAA 2a01::127.0.0.1
lie.example                      A 127.0.0.1
lie.example                      FORGED AAAA
lie.example                      AAAA ::1
_xmpp-server._tcp.away.example   SRV 0 0 5269 xmpp.plain.example
_xmpp-server._tcp.trap.example   SRV 0 0 5269 xmpp.false.example
";

#[tokio::test]
async fn services() {
    let names = NameServer::start_signed(ZONE).await.unwrap();
    let proving = resolver(&names, PATIENT);
    // Other keys of the root: as with name servers that pass no proofs, or a clock that is wrong.
    let believing = Resolver::new(vec![names.address()]);
    for (domain, proven, believed) in [
        (
            "far.example",
            "xmpp.far.example:5269!",
            "xmpp.far.example:5269",
        ),
        ("bare.example", "+bare.example:5270!", "+bare.example:5270"),
        (
            "alias.example",
            "xmpp.far.example:5269!",
            "xmpp.far.example:5269",
        ),
        (
            "plain.example",
            "xmpp.plain.example:5269",
            "xmpp.plain.example:5269",
        ),
        ("false.example", "Forged", "xmpp.false.example:5269"),
        (
            "missing.example",
            "missing.example:5269",
            "missing.example:5269",
        ),
    ] {
        let found = proving.endpoints(domain, &Zeros).await;
        assert_eq!(shown(found), proven, "{domain}");
        let found = believing.endpoints(domain, &Zeros).await;
        assert_eq!(shown(found), believed, "{domain}");
    }
}

#[tokio::test]
async fn what_is_kept_back_is_not_taken_for_nothing() {
    // RFC 7673 §3.1, RFC 7672 §2.1: an answer that is lost, or that nothing follows without a proof, is no
    // reason to dial the domain itself, where nothing is proven any more.
    const LOST: &str = "
        _xmpp-server._tcp.lost.example   SERVFAIL
        lost.example                     A 127.0.0.1
        _xmpps-server._tcp.cut.example   FORGED
        cut.example                      A 127.0.0.1
        _xmpp-server._tcp.alias.example  SERVFAIL CNAME
        alias.example                    A 127.0.0.1
        _xmpps-server._tcp.half.example  SERVFAIL
        _xmpp-server._tcp.half.example   SRV 0 0 5269 half.example
        _xmpps-server._tcp.twin.example  FORGED
        _xmpp-server._tcp.twin.example   SRV 0 0 5269 twin.example
        plain.example                    SERVFAIL SRV
        plain.example                    UNSIGNED
        plain.example                    A 127.0.0.1
        none.example                     A 127.0.0.1
    ";
    let names = NameServer::start_signed(LOST).await.unwrap();
    let failed = "Failed(\"the name servers cannot tell: Server Failure\")";
    let proving = resolver(&names, PATIENT);
    for (domain, expected) in [
        ("lost.example", failed),
        ("cut.example", "Forged"),
        ("alias.example", failed),
        // The other service is proven, and enough.
        ("half.example", "half.example:5269!"),
        ("twin.example", "twin.example:5269!"),
        // Proven to prove nothing: as without proofs (RFC 6120 §3.2.1 step 9).
        ("plain.example", "plain.example:5269"),
        ("none.example", "none.example:5269"),
    ] {
        let found = proving.endpoints(domain, &Zeros).await;
        assert_eq!(shown(found), expected, "{domain}");
    }
}

#[tokio::test]
async fn a_router_that_passes_half_of_the_proofs() {
    // Those of records, but not those of what does not exist: nothing is proven then, and everybody reached.
    let zone = format!("{ZONE}. FORGED SRV\nnone.example A 127.0.0.1");
    let names = NameServer::start_signed(&zone).await.unwrap();
    let resolver = resolver(&names, PATIENT);
    for (domain, expected) in [
        ("far.example", "xmpp.far.example:5269"),
        ("none.example", "none.example:5269"),
    ] {
        let found = resolver.endpoints(domain, &Zeros).await;
        assert_eq!(shown(found), expected, "{domain}");
    }
}

#[tokio::test]
async fn whether_proofs_come_through_is_asked_once() {
    let names = NameServer::start_signed(ZONE).await.unwrap();
    let resolver = resolver(&names, PATIENT);
    for domain in ["far.example", "bare.example", "far.example"] {
        resolver.endpoints(domain, &Zeros).await.unwrap();
    }
    for kind in [RecordType::SOA, RecordType::SRV] {
        assert_eq!(names.asked(".", kind).unwrap(), 1, "{kind}");
    }
}

#[tokio::test]
async fn hosts() {
    let names = NameServer::start_signed(ZONE).await.unwrap();
    let resolver = resolver(&names, PATIENT);
    for (host, expected) in [
        (
            "xmpp.far.example",
            "[127.0.0.1] true 3 1 1 [0, 255], 2 0 0 [171, 205, 239]",
        ),
        ("bare.example", "[::1] true "),
        ("xmpp.plain.example", "[127.0.0.1] false "),
        ("xmpp.false.example", "Forged"),
        ("mixed.example", "Forged"),
        // RFC 6147: through a translator, whose answer nobody signs, to what is proven.
        ("six.example", "[64:ff9b::7f00:1, 127.0.0.1] true "),
        ("lie.example", "Forged"),
        ("missing.example", "[] false "),
    ] {
        let found = match resolver.host(host, 5269).await {
            Ok(host) => {
                let show = |it: &server::s2s::dane::Tlsa| {
                    format!("{} {} {} {:?}", it.usage, it.selector, it.matching, it.data)
                };
                let tlsa: Vec<String> = host.tlsa.iter().map(show).collect();
                format!("{:?} {} {}", host.addresses, host.secure, tlsa.join(", "))
            }
            Err(NoAnswer::Forged) => "Forged".to_owned(),
            Err(other) => format!("{other:?}"),
        };
        assert_eq!(found, expected, "{host}");
    }
}

#[tokio::test]
async fn a_socket_carries_its_proofs() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let zone = ZONE.replace("5269", &port.to_string());
    let names = NameServer::start_signed(&zone).await.unwrap();
    let dialer = dialer(&names);
    for (domain, dnssec, tlsa) in [
        ("far.example", true, 2),
        ("plain.example", false, 0),
        // The name of the host is proven, but what it has is not (RFC 7673 §3.2 and §4.1).
        ("away.example", true, 0),
    ] {
        let dialed = dialer.begin(domain).await.unwrap().next().await.unwrap();
        assert_eq!(
            (dialed.dnssec, dialed.tlsa.len()),
            (dnssec, tlsa),
            "{domain}"
        );
    }
    for (domain, name) in [
        ("false.example", "false.example"),
        ("mixed.example", "mixed.example"),
        ("trap.example", "xmpp.false.example"),
    ] {
        let why = match dialer.begin(domain).await {
            Err(why) => why,
            Ok(mut dialing) => {
                assert!(dialing.next().await.is_none(), "{domain}");
                dialing.why()
            }
        };
        let expected = format!(
            "{domain}: what the name servers say about {name} contradicts its DNSSEC signatures"
        );
        assert_eq!(why, Unreachable::Timeout(expected));
    }
}
