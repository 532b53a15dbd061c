//! Exchanges as whole conversations: vectors of the RFCs, and refusals.

mod refusals;
mod vectors;

use super::*;

const NONCE: [u8; 24] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
];
const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";

fn decoded(text: &str) -> Vec<u8> {
    ::base64::Engine::decode(&::base64::prelude::BASE64_STANDARD, text).unwrap()
}

/// An attempt where everything is offered and can be bound.
fn offered(mechanism: Mechanism) -> Exchange {
    let bindings = ChannelBindings {
        exporter: Some((32..64).collect()),
        end_point: Some((0..32).collect()),
    };
    let mechanisms = Mechanism::ALL
        .iter()
        .map(|mechanism| mechanism.name())
        .collect();
    let offer = Offer {
        mechanisms,
        bindings: bindings.names(),
    };
    Exchange::new(mechanism, &offer, &bindings, NONCE)
}

/// An attempt on a channel that cannot be bound, where no -PLUS mechanism was offered.
fn unbound(mechanism: Mechanism) -> Exchange {
    Exchange::new(
        mechanism,
        &Offer::default(),
        &ChannelBindings::default(),
        NONCE,
    )
}

fn described(result: Result<Step, SaslFailure>) -> String {
    match result {
        Ok(Step::Challenge(data)) => String::from_utf8(data).unwrap(),
        Ok(Step::Lookup { username, hash }) => format!("{hash:?} keys of {username}"),
        Ok(Step::Claimed(claim)) => format!("token of {}", claim.username),
        Ok(Step::Success {
            username,
            authzid,
            data,
        }) => {
            let authzid = authzid.map_or(String::new(), |authzid| format!(" as {authzid}"));
            let data = data.map_or(String::new(), |data| {
                format!(", {}", String::from_utf8(data).unwrap())
            });
            format!("{username}{authzid}{data}")
        }
        Err(failure) => failure.condition.into(),
    }
}

#[test]
fn mechanisms_have_their_registered_names() {
    let names: Vec<&str> = Mechanism::ALL
        .iter()
        .map(|mechanism| mechanism.name())
        .collect();
    expect_test::expect![[
        "SCRAM-SHA-512-PLUS SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-512 SCRAM-SHA-256 SCRAM-SHA-1 PLAIN"
    ]]
    .assert_eq(&names.join(" "));
    for mechanism in Mechanism::ALL {
        assert_eq!(Mechanism::parse(mechanism.name()), Some(*mechanism));
    }
    for mechanism in Mechanism::TOKENS {
        assert_eq!(Mechanism::parse(mechanism.name()), Some(*mechanism));
        assert!(!Mechanism::ALL.contains(mechanism), "for passwords only");
    }
    for unknown in [
        "",
        "HT-SHA-256-UNIQ",
        "scram-sha-1",
        "SCRAM-SHA-256-PLUS-PLUS",
        "DIGEST-MD5",
        "EXTERNAL",
        "PLAIN ",
    ] {
        assert_eq!(Mechanism::parse(unknown), None);
    }
}

/// RFC 6120 §6.3.8.
#[test]
fn an_authorization_identity_must_be_oneself() {
    let account = Jid::parse("juliet@example.com").unwrap();
    for oneself in [
        "juliet@example.com",
        "juliet",
        "Juliet",
        "JULIET@Example.com.",
    ] {
        assert!(may_act_as(&account, oneself), "{oneself}");
    }
    let others = [
        "",
        "romeo",
        "romeo@example.com",
        "juliet@example.org",
        "juliet@example.com/balcony",
        "example.com",
        "juliet@",
        "@example.com",
        "juliet@example.com@example.com",
    ];
    for other in others {
        assert!(!may_act_as(&account, other), "{other}");
    }
}

#[test]
fn debugging_shows_no_key() {
    let keys = Keys::derive(Hash::Sha256, "pencil", vec![1; SALT_BYTES], 4096).unwrap();
    assert_eq!(format!("{keys:?}"), "Keys { iterations: 4096, .. }");
    let mut exchange = offered(Mechanism::Plain);
    assert_eq!(
        format!("{exchange:?}"),
        "Exchange(waits for the first message)"
    );
    exchange.respond(b"\0romeo\0pencil").unwrap();
    assert_eq!(format!("{exchange:?}"), "Exchange(waits for keys)");
    let mut exchange = offered(Mechanism::Token(ht::Channel::None));
    exchange.respond(b"romeo\0\xff").unwrap();
    assert_eq!(format!("{exchange:?}"), "Exchange(is over)");
    assert_eq!(
        exchange.respond(b"romeo\0\xff"),
        Err(SaslFailure::MALFORMED_REQUEST)
    );
    let mut exchange = offered(Mechanism::Scram(Hash::Sha256, false));
    exchange.respond(b"n,,n=romeo,r=abc").unwrap();
    exchange.keys(keys, true).unwrap();
    assert_eq!(format!("{exchange:?}"), "Exchange(waits for the proof)");
}
