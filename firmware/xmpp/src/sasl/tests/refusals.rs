//! What is refused, and with which condition; and that nothing panics.

use proptest::prelude::*;

use super::*;

const MALFORMED: &str = "malformed-request";
const REFUSED: &str = "not-authorized";
const SCRAM: Mechanism = Mechanism::Scram(Hash::Sha1, false);
const PLUS: Mechanism = Mechanism::Scram(Hash::Sha1, true);

/// RFC 5802 §7, one row or more for each rule that a client-first-message can break.
#[test]
fn first_messages() {
    let romeo = "Sha1 keys of romeo";
    let rows = [
        ("n,,n=romeo,r=a", romeo),
        ("y,,n=romeo,r=a", romeo),
        ("n,a=romeo,n=romeo,r=a", romeo),
        (
            "n,,n=romeo,r=!\"#$%&'()*+-./09:;<=>?@AZ[\\]^_`az{|}~",
            romeo,
        ),
        ("n,,n=romeo,r=a,x=y,Z==", romeo),
        ("n,,n=ro=2Cm=3Deo,r=a", "Sha1 keys of ro,m=eo"),
        ("n,,n==3D,r=a", "Sha1 keys of ="),
        // §5.1: the name is prepared; younger characters are allowed in a query.
        ("n,,n=ro\u{AD}me\u{AA},r=a", "Sha1 keys of romea"),
        ("n,,n=🦔,r=a", "Sha1 keys of 🦔"),
        ("n,,n=\u{AD},r=a", REFUSED),
        ("n,,n=\u{627}1,r=a", REFUSED),
        ("n,,n=a\x07,r=a", REFUSED),
        // gs2-header
        ("", MALFORMED),
        (",,n=romeo,r=a", MALFORMED),
        ("n=romeo,r=a", MALFORMED),
        ("n,n=romeo,r=a", MALFORMED),
        ("N,,n=romeo,r=a", MALFORMED),
        ("nn,,n=romeo,r=a", MALFORMED),
        ("n=,,n=romeo,r=a", MALFORMED),
        ("x,,n=romeo,r=a", MALFORMED),
        (" n,,n=romeo,r=a", MALFORMED),
        ("F,n,,n=romeo,r=a", MALFORMED),
        ("p,,n=romeo,r=a", MALFORMED),
        ("p=,,n=romeo,r=a", MALFORMED),
        ("p=tls_exporter,,n=romeo,r=a", MALFORMED),
        // authzid
        ("n,romeo,n=romeo,r=a", MALFORMED),
        ("n,a=,n=romeo,r=a", MALFORMED),
        ("n,A=romeo,n=romeo,r=a", MALFORMED),
        ("n,a=ro=meo,n=romeo,r=a", MALFORMED),
        ("n,a=ro\0meo,n=romeo,r=a", MALFORMED),
        // reserved-mext
        ("n,,m=ext,n=romeo,r=a", MALFORMED),
        ("n,,n=romeo,m=ext,r=a", MALFORMED),
        ("n,,n=romeo,r=a,m=ext", MALFORMED),
        // username
        ("n,,n=,r=a", MALFORMED),
        ("n,,N=romeo,r=a", MALFORMED),
        ("n,,r=a", MALFORMED),
        ("n,,r=a,n=romeo", MALFORMED),
        ("n,,n=romeo=,r=a", MALFORMED),
        ("n,,n=ro=2cmeo,r=a", MALFORMED),
        ("n,,n=ro=3dmeo,r=a", MALFORMED),
        ("n,,n=ro=2Dmeo,r=a", MALFORMED),
        ("n,,n=ro==2Cmeo,r=a", MALFORMED),
        ("n,,n=ro\0meo,r=a", MALFORMED),
        // nonce
        ("n,,n=romeo", MALFORMED),
        ("n,,n=romeo,", MALFORMED),
        ("n,,n=romeo,r=", MALFORMED),
        ("n,,n=romeo,R=a", MALFORMED),
        ("n,,n=romeo,r=a b", MALFORMED),
        ("n,,n=romeo,r=a\x7f", MALFORMED),
        ("n,,n=romeo,r=ä", MALFORMED),
        // extensions
        ("n,,n=romeo,r=a,", MALFORMED),
        ("n,,n=romeo,r=a,x", MALFORMED),
        ("n,,n=romeo,r=a,x=", MALFORMED),
        ("n,,n=romeo,r=a,xy=z", MALFORMED),
        ("n,,n=romeo,r=a,1=z", MALFORMED),
        ("n,,n=romeo,r=a,x=y,,z=a", MALFORMED),
        ("n,,n=romeo,r=a,x=\0", MALFORMED),
        ("n,,n=romeo,r=a,n=juliet", MALFORMED),
        ("n,,n=romeo,r=a,r=b", MALFORMED),
    ];
    for (message, expected) in rows {
        assert_eq!(
            described(unbound(SCRAM).respond(message.as_bytes())),
            expected,
            "{message:?}"
        );
    }
    for not_utf_8 in [&b"n,,n=rom\xe9o,r=a"[..], b"n,,n=romeo,r=a\xff", b"\xff"] {
        assert_eq!(described(unbound(SCRAM).respond(not_utf_8)), MALFORMED);
    }
}

/// RFC 5802 §6.
#[test]
fn channel_binding_flags() {
    let romeo = "Sha1 keys of romeo";
    let rows = [
        (unbound(SCRAM), "n", romeo),
        (unbound(SCRAM), "y", romeo),
        (unbound(SCRAM), "p=tls-exporter", MALFORMED),
        (offered(SCRAM), "n", romeo),
        // The client did not see the -PLUS mechanisms that we offered.
        (offered(SCRAM), "y", REFUSED),
        (offered(SCRAM), "p=tls-exporter", MALFORMED),
        (offered(PLUS), "n", MALFORMED),
        (offered(PLUS), "y", MALFORMED),
        (offered(PLUS), "p=tls-exporter", romeo),
        (offered(PLUS), "p=tls-server-end-point", romeo),
        (offered(PLUS), "p=tls-unique", REFUSED),
        (offered(PLUS), "p=TLS-Exporter", REFUSED),
        (offered(PLUS), "p=x", REFUSED),
        (unbound(PLUS), "p=tls-exporter", REFUSED),
        (unbound(PLUS), "p=tls-server-end-point", REFUSED),
    ];
    for (mut exchange, flag, expected) in rows {
        let message = format!("{flag},,n=romeo,r=a");
        assert_eq!(
            described(exchange.respond(message.as_bytes())),
            expected,
            "{flag} {exchange:?}"
        );
    }
}

/// An attempt of RFC 5802 §5 before its last message.
fn challenged(known: bool) -> Exchange {
    let nonce = "3rfcNHYJY1ZVvWVs7j".into();
    let opened = scram::Opened::new(Hash::Sha1, None, &Offer::default(), nonce);
    let mut exchange = Exchange {
        state: State::Scram(opened),
    };
    exchange
        .respond(b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL")
        .unwrap();
    let keys = Keys::derive(Hash::Sha1, "pencil", decoded("QSXCR+Q6sek8bf92"), 4096).unwrap();
    exchange.keys(keys, known).unwrap();
    exchange
}

const BOUND: &str = "c=biws";
const BOTH: &str = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j";
const PROOF: &str = "p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";

/// RFC 5802 §7, one row or more for each rule that a client-final-message can break.
#[test]
fn final_messages() {
    let granted = described(challenged(true).respond(format!("{BOUND},{BOTH},{PROOF}").as_bytes()));
    assert!(granted.starts_with("user, v="), "{granted}");
    let rows: &[(&[&str], &str)] = &[
        // The proof signs the extension, too: changed in transit.
        (&[BOUND, BOTH, "x=y", PROOF], REFUSED),
        (&[BOUND, BOTH, "p=AAX8v3Bz2T0CJGbJQyF0X+HI4Ts="], REFUSED),
        // Too short, too long, empty.
        (&[BOUND, BOTH, "p=v0X8v3Bz2T0CJGbJQyF0X+HI4Q=="], REFUSED),
        (&[BOUND, BOTH, "p=v0X8v3Bz2T0CJGbJQyF0X+HI4TsA"], REFUSED),
        (&[BOUND, BOTH, "p="], REFUSED),
        // §5.1: another nonce, only the client's share, the shares with something behind.
        (&[BOUND, "r=fyko+d2lbbFgONRv9qkxdawL", PROOF], REFUSED),
        (
            &[BOUND, "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7", PROOF],
            REFUSED,
        ),
        (
            &[
                BOUND,
                "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7jj",
                PROOF,
            ],
            REFUSED,
        ),
        // §6: "y,,", "p=tls-exporter,,", "n,a=user,", data where there is none, nothing.
        (&["c=eSws", BOTH, PROOF], REFUSED),
        (&["c=cD10bHMtZXhwb3J0ZXIsLA==", BOTH, PROOF], REFUSED),
        (&["c=bixhPXVzZXIs", BOTH, PROOF], REFUSED),
        (&["c=biwsAA==", BOTH, PROOF], REFUSED),
        (&["c=", BOTH, PROOF], REFUSED),
        // channel-binding, nonce, extensions, proof
        (&[""], MALFORMED),
        (&[BOTH, PROOF], MALFORMED),
        (&[BOUND, PROOF], MALFORMED),
        (&[BOUND, BOTH], MALFORMED),
        (&[BOTH, BOUND, PROOF], MALFORMED),
        (&[PROOF, BOUND, BOTH], MALFORMED),
        (&["C=biws", BOTH, PROOF], MALFORMED),
        (&["c=biw", BOTH, PROOF], MALFORMED),
        (&["c=bi-s", BOTH, PROOF], MALFORMED),
        (&["c=n,,", BOTH, PROOF], MALFORMED),
        (&["m=ext", BOUND, BOTH, PROOF], MALFORMED),
        (&[BOUND, "m=ext", BOTH, PROOF], MALFORMED),
        (&[BOUND, BOTH, "m=ext", PROOF], MALFORMED),
        (&[BOUND, "r=", PROOF], MALFORMED),
        (&[BOUND, "r=ä", PROOF], MALFORMED),
        (&[BOUND, BOTH, "x", PROOF], MALFORMED),
        (&[BOUND, BOTH, "", PROOF], MALFORMED),
        (&[BOUND, BOTH, PROOF, PROOF], MALFORMED),
        (&[BOUND, BOTH, PROOF, "x=y"], MALFORMED),
        (&[BOUND, BOTH, PROOF, ""], MALFORMED),
        (&[BOUND, BOTH, "p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts"], MALFORMED),
        (&[BOUND, BOTH, "p=v0X8v3Bz2T0CJGbJQyF0X+HI4Tt="], MALFORMED),
        (&[BOUND, BOTH, "p=v0X8v3Bz2T0C JGbJQyF0X+HI4Ts="], MALFORMED),
    ];
    for (attributes, expected) in rows {
        let message = attributes.join(",");
        assert_eq!(
            described(challenged(true).respond(message.as_bytes())),
            *expected,
            "{message}"
        );
    }
    assert_eq!(described(challenged(true).respond(b"\xff")), MALFORMED);
}

/// RFC 4616 §2.
#[test]
fn plain_messages() {
    let rows: &[(&[u8], &str)] = &[
        (b"\0tim\0secret", "Sha256 keys of tim"),
        (b"tim\0tim\0 ", "Sha256 keys of tim"),
        (b"", MALFORMED),
        (b"tim", MALFORMED),
        (b"tim\0secret", MALFORMED),
        (b"\0\0secret", MALFORMED),
        (b"\0tim\0", MALFORMED),
        (b"\0tim\0sec\0ret", MALFORMED),
        (b"\0tim\0secret\0", MALFORMED),
        (b"\0t\xefm\0secret", MALFORMED),
        (b"\0tim\0\xc0\x80", MALFORMED),
        // Names that preparation refuses or takes away.
        (b"\0t\x01m\0secret", REFUSED),
        ("\0\u{AD}\0secret".as_bytes(), REFUSED),
    ];
    for (message, expected) in rows {
        let result = offered(Mechanism::Plain).respond(message);
        assert_eq!(described(result), *expected, "{}", message.escape_ascii());
    }
}

#[test]
fn messages_have_a_limit() {
    for mechanism in Mechanism::ALL {
        let long = vec![b'a'; MESSAGE_BYTES_MAX + 1];
        assert_eq!(described(offered(*mechanism).respond(&long)), MALFORMED);
    }
    let fits = format!(
        "n,,n=romeo,r={}",
        "a".repeat(MESSAGE_BYTES_MAX - "n,,n=romeo,r=".len())
    );
    assert!(unbound(SCRAM).respond(fits.as_bytes()).is_ok());
}

/// An unknown name goes the way of a known one to the same end, whatever it proves.
#[test]
fn an_unknown_account_looks_like_a_wrong_password() {
    let message = format!("{BOUND},{BOTH},{PROOF}");
    assert_eq!(
        described(challenged(false).respond(message.as_bytes())),
        REFUSED
    );

    let mut exchange = offered(Mechanism::Plain);
    exchange.respond(b"\0tim\0secret").unwrap();
    let keys = Keys::derive(Hash::Sha256, "secret", vec![7; SALT_BYTES], 1).unwrap();
    assert_eq!(described(exchange.keys(keys, false)), REFUSED);

    for hash in Hash::ALL {
        let real = Keys::derive(hash, "secret", vec![7; SALT_BYTES], 10).unwrap();
        let fake = Keys::fake(hash, b"seed", "tim", 10);
        let sizes = |keys: &Keys| {
            (
                keys.salt.len(),
                keys.iterations,
                keys.stored_key.len(),
                keys.server_key.len(),
            )
        };
        assert_eq!(sizes(&fake), sizes(&real));
        assert_eq!(fake, Keys::fake(hash, b"seed", "tim", 10));
        assert_ne!(fake.salt, Keys::fake(hash, b"seed", "tom", 10).salt);
        assert_ne!(fake.salt, Keys::fake(hash, b"other", "tim", 10).salt);
        assert!(!fake.stored_key.starts_with(&fake.salt));
    }
    assert_ne!(
        Keys::fake(Hash::Sha256, b"seed", "tim", 10).salt,
        Keys::fake(Hash::Sha512, b"seed", "tim", 10).salt
    );
}

#[test]
fn passwords() {
    let derive = |password| Keys::derive(Hash::Sha256, password, vec![7; SALT_BYTES], 1);
    for refused in ["", "\u{AD}", "a\tb", "\u{627}1", "\u{FFFD}", "🦔"] {
        assert_eq!(derive(refused), None, "{refused:?}");
    }
    assert_eq!(
        Keys::derive(Hash::Sha256, "secret", vec![7; SALT_BYTES], 0),
        None
    );
    assert_eq!(derive("\u{2168}"), derive("IX"));
    let keys = derive("a b").unwrap();
    let rows = [
        ("a b", true),
        ("a\u{A0}b", true),
        ("a  b", false),
        ("A b", false),
        ("", false),
        ("\t", false),
    ];
    for (password, expected) in rows {
        assert_eq!(
            keys.verify(Hash::Sha256, password),
            expected,
            "{password:?}"
        );
    }
    assert!(!keys.verify(Hash::Sha512, "a b"));
    let empty = Keys {
        salt: vec![],
        iterations: 0,
        stored_key: vec![],
        server_key: vec![],
    };
    assert!(!empty.verify(Hash::Sha256, "a b"));
}

/// Speaking out of turn ends the attempt; nothing brings it back.
#[test]
fn turns() {
    let keys = || Keys::derive(Hash::Sha1, "secret", vec![7; SALT_BYTES], 1).unwrap();
    let first = b"n,,n=romeo,r=a";

    let mut early_keys = unbound(SCRAM);
    assert_eq!(
        described(early_keys.keys(keys(), true)),
        "temporary-auth-failure"
    );
    assert_eq!(described(early_keys.respond(first)), MALFORMED);

    let mut twice = unbound(SCRAM);
    twice.respond(first).unwrap();
    assert_eq!(described(twice.respond(first)), MALFORMED);
    assert_eq!(
        described(twice.keys(keys(), true)),
        "temporary-auth-failure"
    );

    let mut refused = challenged(true);
    refused
        .respond(format!("{BOUND},{BOTH},p=").as_bytes())
        .unwrap_err();
    let valid = format!("{BOUND},{BOTH},{PROOF}");
    assert_eq!(described(refused.respond(valid.as_bytes())), MALFORMED);

    let mut granted = challenged(true);
    granted.respond(valid.as_bytes()).unwrap();
    assert_eq!(described(granted.respond(valid.as_bytes())), MALFORMED);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
        for mechanism in Mechanism::ALL {
            let _ = offered(*mechanism).respond(&bytes);
        }
    }

    #[test]
    fn no_likely_message_panics(
        first in "[nyp]?(=tls-exporter)?,(a=[a-c=,2C]{0,4})?,(n=)?\\PC{0,6},r=[ -~]{0,4}(,[a-z]=[^,]?){0,2}",
        last in "c=(biws|[A-Za-z0-9+/]{0,8}=?),r=[ -~]{0,40}(,[a-z]=[^,]?){0,2},p=[A-Za-z0-9+/]{0,28}=?",
    ) {
        let _ = offered(PLUS).respond(first.as_bytes());
        let mut exchange = unbound(SCRAM);
        if exchange.respond(first.as_bytes()).is_ok() {
            exchange.keys(Keys::fake(Hash::Sha1, b"seed", "romeo", 1), false).unwrap();
            prop_assert!(exchange.respond(last.as_bytes()).is_err());
        }
    }
}
