//! Addresses as tables: RFC 7622 §3.5 and what deployed servers do.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&described(text));
}

fn described(text: &str) -> String {
    match Jid::parse(text) {
        Ok(jid) => {
            let part = |name, part: Option<&str>| {
                part.map_or(String::new(), |part| format!("{name}={part} "))
            };
            let described = [
                part("local", jid.localpart()),
                part("domain", Some(jid.domainpart())),
                part("resource", jid.resourcepart()),
            ];
            described.concat().trim_end_matches(' ').into()
        }
        Err(error) => format!("{error:?}"),
    }
}

/// RFC 7622 §3.5, table 1.
#[test]
fn legal_addresses_of_the_rfc() {
    check(
        "juliet@example.com",
        expect!["local=juliet domain=example.com"],
    );
    check(
        "juliet@example.com/foo",
        expect!["local=juliet domain=example.com resource=foo"],
    );
    check(
        "juliet@example.com/foo bar",
        expect!["local=juliet domain=example.com resource=foo bar"],
    );
    check(
        "juliet@example.com/foo@bar",
        expect!["local=juliet domain=example.com resource=foo@bar"],
    );
    check(
        r"foo\20bar@example.com",
        expect![r"local=foo\20bar domain=example.com"],
    );
    check(
        "fussball@example.com",
        expect!["local=fussball domain=example.com"],
    );
    // Example 7 is another account than example 6 for PRECIS; nodeprep folds ß to ss, and so does the
    // network.
    check(
        "fu\u{DF}ball@example.com",
        expect!["local=fussball domain=example.com"],
    );
    check("\u{3C0}@example.com", expect!["local=π domain=example.com"]);
    check(
        "\u{3A3}@example.com/foo",
        expect!["local=σ domain=example.com resource=foo"],
    );
    check(
        "\u{3C3}@example.com/foo",
        expect!["local=σ domain=example.com resource=foo"],
    );
    // Example 11 is another account than 9 and 10 for PRECIS; nodeprep folds the final sigma as well.
    check(
        "\u{3C2}@example.com/foo",
        expect!["local=σ domain=example.com resource=foo"],
    );
    check(
        "king@example.com/\u{265A}",
        expect!["local=king domain=example.com resource=♚"],
    );
    check("example.com", expect!["domain=example.com"]);
    check(
        "example.com/foobar",
        expect!["domain=example.com resource=foobar"],
    );
    check(
        "a.example.com/b@example.net",
        expect!["domain=a.example.com resource=b@example.net"],
    );
}

/// RFC 7622 §3.5, table 2.
#[test]
fn illegal_addresses_of_the_rfc() {
    check("\"juliet\"@example.com", expect!["Forbidden"]);
    check("foo bar@example.com", expect!["Forbidden"]);
    // Example 18: legal in resourceprep, and in OpaqueString as well (RFC 8265 §4.2.2 says nothing of a
    // leading space).
    expect!["local=juliet domain=example.com resource= foo"]
        .assert_eq(&described("juliet@example.com/ foo"));
    check("@example.com/", expect!["Empty"]);
    // Example 20: nodeprep maps compatibility characters where PRECIS refuses them.
    check(
        "henry\u{2163}@example.com",
        expect!["local=henryiv domain=example.com"],
    );
    // Example 21: nodeprep knows no rule against symbols of its time. Younger ones are refused as unassigned.
    check(
        "\u{265A}@example.com",
        expect!["local=♚ domain=example.com"],
    );
    check("🦔@example.com", expect!["Forbidden"]);
    check("juliet@", expect!["Empty"]);
    check("/foobar", expect!["Empty"]);
}

#[test]
fn the_first_slash_then_the_first_at_sign_part_an_address() {
    check("a/b@c", expect!["domain=a resource=b@c"]);
    check("a@b/c@d/e", expect!["local=a domain=b resource=c@d/e"]);
    check("a@b//", expect!["local=a domain=b resource=/"]);
    check("a@b@c", expect!["Forbidden"]);
    check("", expect!["Empty"]);
    check("@", expect!["Empty"]);
    check("@b", expect!["Empty"]);
    check("a@/c", expect!["Empty"]);
    check("a@b/", expect!["Empty"]);
    check("b/", expect!["Empty"]);
    // Characters that become separators only by normalising part nothing (§3.1).
    check("a\u{FF20}b", expect!["Forbidden"]);
    check("a\u{FF20}b@c", expect!["Forbidden"]);
    check("a\u{2100}@c", expect!["Forbidden"]);
    check("b/c\u{FF0F}d\u{FF20}", expect!["domain=b resource=c/d@"]);
}

#[test]
fn localparts() {
    for c in "\"&'/:<>@ \t\x7f\u{A0}\u{E000}\u{200E}\u{1F600}\u{0378}".chars() {
        let error = Jid::from_parts(Some(&format!("a{c}b")), "c", None).unwrap_err();
        assert_eq!(error, JidError::Forbidden, "{c:?}");
    }
    check(
        "!#$%()*+,-.;=?[\\]^_`{|}~@b",
        expect!["local=!#$%()*+,-.;=?[\\]^_`{|}~ domain=b"],
    );
    check("Juliet@b", expect!["local=juliet domain=b"]);
    check("JÜRGEN@b", expect!["local=jürgen domain=b"]);
    check("ju\u{308}rgen@b", expect!["local=jürgen domain=b"]);
    check("\u{FF41}lice@b", expect!["local=alice domain=b"]);
    check("al\u{AD}ice@b", expect!["local=alice domain=b"]);
    check("\u{AD}@b", expect!["Empty"]);
    // U+1D2C, younger than the tables, would become a capital A that nothing folds.
    check("\u{1D2C}@b", expect!["Forbidden"]);
    // RFC 3454 §6.
    check("שלום@b", expect!["local=שלום domain=b"]);
    check("שלוםa@b", expect!["Forbidden"]);
}

#[test]
fn domainparts() {
    check("EXAMPLE.Com", expect!["domain=example.com"]);
    check("a@example.com.", expect!["local=a domain=example.com"]);
    check("example.com./r", expect!["domain=example.com resource=r"]);
    check("example.com..", expect!["Forbidden"]);
    check("example..com", expect!["Forbidden"]);
    check(".example.com", expect!["Forbidden"]);
    check(".", expect!["Empty"]);
    check("localhost", expect!["domain=localhost"]);
    // §3.2.1: an A-label and its U-label in any spelling are one domain.
    check("xn--bcher-kva.example", expect!["domain=bücher.example"]);
    check("XN--BCHER-KVA.example", expect!["domain=bücher.example"]);
    check("BÜCHER.example", expect!["domain=bücher.example"]);
    check("bu\u{308}cher.example.", expect!["domain=bücher.example"]);
    check(
        "bücher\u{3002}example\u{FF61}",
        expect!["domain=bücher.example"],
    );
    check("\u{FF45}xample.com", expect!["domain=example.com"]);
    // IDNA2008 keeps what IDNA2003 folded.
    check("straße.example", expect!["domain=straße.example"]);
    check("xn--strae-oqa.example", expect!["domain=straße.example"]);
    for refused in [
        "xn--",
        "xn--a",
        "xn--example-",
        "xn--\u{FC}",
        "a_b",
        "-a",
        "a-",
        "ab--c",
        "a b",
        "a:b",
        "a&b",
    ] {
        assert_eq!(Jid::parse(refused), Err(JidError::Forbidden), "{refused}");
    }
    // An address in numbers.
    check("a@192.0.2.1", expect!["local=a domain=192.0.2.1"]);
    check(
        "a@[2001:DB8:0:0::1]/r",
        expect!["local=a domain=[2001:db8::1] resource=r"],
    );
    check("[::1]", expect!["domain=[::1]"]);
    check("[0:0::1]", expect!["domain=[::1]"]);
    check("[::ffff:192.0.2.1]", expect!["domain=[::ffff:192.0.2.1]"]);
    for refused in [
        "::1",
        "[]",
        "[::1",
        "::1]",
        "[192.0.2.1]",
        "[::1].",
        "[fe80::1%25eth0]",
        "[v1.a]",
        "[::1]:5222",
    ] {
        assert_eq!(Jid::parse(refused), Err(JidError::Forbidden), "{refused}");
    }
}

#[test]
fn resourceparts() {
    check("b/Home Office", expect!["domain=b resource=Home Office"]);
    check("b/\"&'/:<>@", expect![[r#"domain=b resource="&'/:<>@"#]]);
    check("b/a\u{301}", expect!["domain=b resource=á"]);
    // Nicknames: any emoji and scripts younger than the tables.
    check("room@b/🦔", expect!["local=room domain=b resource=🦔"]);
    check(
        "room@b/Zoë 🫠",
        expect!["local=room domain=b resource=Zoë 🫠"],
    );
    check(
        "room@b/\u{1E922}",
        expect!["local=room domain=b resource=𞤢"],
    );
    // The joiner and the variation selector are mapped to nothing (table B.1), by every server alike.
    check("b/👩\u{200D}💻\u{FE0F}", expect!["domain=b resource=👩💻"]);
    for c in "\0\t\n\x7f\u{85}\u{200E}\u{E000}\u{FFFD}\u{FFFF}\u{E0041}".chars() {
        assert_eq!(
            Jid::parse(&format!("b/a{c}")),
            Err(JidError::Forbidden),
            "{c:?}"
        );
    }
    check("b/שלום", expect!["domain=b resource=שלום"]);
    check("b/שלום a", expect!["Forbidden"]);
    check("b/\u{AD}", expect!["Empty"]);
}

/// §3.1: 1 to 1 023 bytes a part, counted after preparation; 3 071 in all.
#[test]
fn lengths() {
    let (fits, over) = ("a".repeat(1023), "a".repeat(1024));
    let longest = Jid::parse(&format!("{fits}@{fits}/{fits}")).unwrap();
    assert_eq!(longest.as_str().len(), Jid::BYTES_MAX);
    assert_eq!(longest.resourcepart(), Some(&*fits));
    for text in [
        over.clone(),
        format!("{over}@b"),
        format!("a@{over}"),
        format!("a@b/{over}"),
    ] {
        assert_eq!(Jid::parse(&text), Err(JidError::TooLong));
    }
    assert_eq!(longest.with_resource(&over), Err(JidError::TooLong));
    // Two bytes a character before and after; three before and one after; three before and 33 after.
    assert_eq!(
        Jid::parse(&format!("b/{}", "ä".repeat(512))),
        Err(JidError::TooLong)
    );
    assert!(Jid::parse(&format!("b/{}", "ä".repeat(511))).is_ok());
    assert!(Jid::parse(&format!("{}@b", "\u{FF41}".repeat(1023))).is_ok());
    assert_eq!(
        Jid::parse(&format!("b/{}", "\u{FDFA}".repeat(100))),
        Err(JidError::TooLong)
    );
    assert_eq!(Jid::parse(&"a".repeat(1_000_000)), Err(JidError::TooLong));
}

#[test]
fn parts_are_taken_apart_and_put_together() {
    let full = Jid::parse("Juliet@Example.com/Balcony").unwrap();
    assert_eq!(full.as_str(), "juliet@example.com/Balcony");
    assert_eq!(full.bare_str(), "juliet@example.com");
    assert!(!full.is_bare());
    assert_eq!(full.bare(), Jid::parse("juliet@example.com").unwrap());
    assert!(full.bare().is_bare());
    assert_eq!(full.domain(), Jid::parse("example.com").unwrap());
    assert_eq!(full.domain().domain(), full.domain());
    let moved = full.with_resource("Garden").unwrap();
    assert_eq!(
        (moved.bare(), moved.resourcepart()),
        (full.bare(), Some("Garden"))
    );
    assert_eq!(full.bare().with_resource("Balcony").unwrap(), full);
    assert_eq!(full.with_resource(""), Err(JidError::Empty));
    assert_eq!(
        full.domain().with_resource("a@b").unwrap(),
        Jid::parse("example.com/a@b").unwrap()
    );

    assert_eq!(
        Jid::from_parts(Some("Juliet"), "Example.com.", Some("Balcony")).unwrap(),
        full
    );
    assert_eq!(
        Jid::from_parts(None, "example.com", None).unwrap(),
        full.domain()
    );
    assert_eq!(
        Jid::from_parts(Some("juliet"), "example.com/x", None),
        Err(JidError::Forbidden)
    );
    assert_eq!(
        Jid::from_parts(Some(""), "example.com", None),
        Err(JidError::Empty)
    );
}

#[test]
fn an_address_is_looked_up_by_its_text() {
    let full = Jid::parse("juliet@example.com/balcony").unwrap();
    let sessions = std::collections::HashMap::from([(full.bare(), 1)]);
    assert_eq!(sessions.get(full.bare_str()), Some(&1));
}

proptest! {
    #[test]
    fn any_text_is_refused_or_has_one_normal_form(text in any::<String>()) {
        has_one_normal_form(&text);
    }

    #[test]
    fn likely_text_is_refused_or_has_one_normal_form(
        local in "([a-zA-Zäßσ\u{130}☃\u{AD}.-]{1,6}@)?",
        domain in "(xn--)?[a-zA-Zäßſ0-9.\u{3002}-]{1,8}",
        resource in "(/\\PC{0,6})?",
    ) {
        has_one_normal_form(&format!("{local}{domain}{resource}"));
    }
}

fn has_one_normal_form(text: &str) {
    if let Ok(jid) = Jid::parse(text) {
        let again = Jid::parse(&jid.to_string()).expect("a normal form is an address");
        assert_eq!(again, jid, "{text:?}");
        let parts = |jid: &Jid| {
            [jid.localpart(), Some(jid.domainpart()), jid.resourcepart()]
                .map(|part| part.map(String::from))
        };
        assert_eq!(parts(&again), parts(&jid), "{text:?}");
        let [local, domain, resource] = parts(&jid);
        assert_eq!(
            Jid::from_parts(
                local.as_deref(),
                &domain.expect("always"),
                resource.as_deref()
            ),
            Ok(jid)
        );
    }
}
