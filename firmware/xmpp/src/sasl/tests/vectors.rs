//! Whole attempts, with the values that specifications print or that another implementation computed.

use super::*;

/// One attempt as it is on the wire, after base64. What the server says is expected.
struct Vector<'a> {
    mechanism: &'a str,
    password: &'a str,
    salt: &'a str,
    iterations: u32,
    server_nonce: &'a str,
    offer: Offer,
    bindings: ChannelBindings,
    lookup: &'a str,
    messages: [&'a str; 3],
    success: &'a str,
}

impl Default for Vector<'_> {
    fn default() -> Self {
        Vector {
            mechanism: "",
            password: "pencil",
            salt: SALT,
            iterations: 4096,
            // The numbers 0 to 23 in base64.
            server_nonce: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
            offer: Offer::default(),
            bindings: ChannelBindings::default(),
            lookup: "",
            messages: [""; 3],
            success: "",
        }
    }
}

fn check(vector: &Vector<'_>) {
    let Some(Mechanism::Scram(hash, plus)) = Mechanism::parse(vector.mechanism) else {
        panic!("{} is no SCRAM", vector.mechanism);
    };
    let bindings = plus.then(|| vector.bindings.clone());
    let opened = scram::Opened::new(hash, bindings, &vector.offer, vector.server_nonce.into());
    let mut exchange = Exchange {
        state: State::Scram(opened),
    };
    let [client_first, server_first, client_final] = vector.messages;
    let keys = Keys::derive(
        hash,
        vector.password,
        decoded(vector.salt),
        vector.iterations,
    )
    .unwrap();

    assert_eq!(
        described(exchange.respond(client_first.as_bytes())),
        vector.lookup
    );
    assert_eq!(described(exchange.keys(keys, true)), server_first);
    assert_eq!(
        described(exchange.respond(client_final.as_bytes())),
        vector.success
    );
}

/// RFC 5802 §5.
#[test]
fn scram_sha_1_of_the_rfc() {
    check(&Vector {
        mechanism: "SCRAM-SHA-1",
        salt: "QSXCR+Q6sek8bf92",
        server_nonce: "3rfcNHYJY1ZVvWVs7j",
        lookup: "Sha1 keys of user",
        messages: [
            "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        ],
        success: "user, v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ..Vector::default()
    });
}

/// RFC 7677 §3.
#[test]
fn scram_sha_256_of_the_rfc() {
    check(&Vector {
        mechanism: "SCRAM-SHA-256",
        server_nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        lookup: "Sha256 keys of user",
        messages: [
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        ],
        success: "user, v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ..Vector::default()
    });
}

/// XEP-0474 §6.3: `h` over sorted lists, though the features were sent in another order.
#[test]
fn scram_sha_1_plus_with_downgrade_protection_of_the_xep() {
    check(&Vector {
        mechanism: "SCRAM-SHA-1-PLUS",
        salt: "QSXCR+Q6sek8bf92",
        server_nonce: "a09117a6-ac50-4f2f-93f1-93799c2bddf6",
        offer: Offer {
            mechanisms: vec!["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"],
            bindings: vec!["tls-server-end-point", "tls-exporter"],
        },
        bindings: ChannelBindings {
            exporter: Some(b"THIS IS FAKE CB DATA".to_vec()),
            end_point: None,
        },
        lookup: "Sha1 keys of user",
        messages: [
            "p=tls-exporter,,n=user,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6",
            "r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6,\
             s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08=",
            "c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,\
             r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6,\
             x=19C6532F-1CF4-4A27-A18D-DC9CEA41BBB3,p=M/SIDjT+dfcxUh89jZEypRvFxB4=",
        ],
        success: "user, v=MQrMPvv7yv4x4Cq4W4Ih25EqS2c=",
        ..Vector::default()
    });
}

// The others were computed from RFC 5802 §3 with Python's hashlib and hmac:
//
//     salted = pbkdf2_hmac(name, password, b64decode(salt), iterations)
//     client_key, server_key = hmac(salted, b"Client Key"), hmac(salted, b"Server Key")
//     auth = client_first_bare + b"," + server_first + b"," + client_final_without_proof
//     proof = xor(client_key, hmac(hash(client_key), auth)); v = hmac(server_key, auth)

#[test]
fn scram_sha_512() {
    check(&Vector {
        mechanism: "SCRAM-SHA-512",
        iterations: 10_000,
        lookup: "Sha512 keys of user",
        messages: [
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqOAAECAwQFBgcICQoLDA0ODxAREhMUFRYX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=10000",
            "c=biws,r=rOprNGfwEbeRWgbNEkqOAAECAwQFBgcICQoLDA0ODxAREhMUFRYX,\
             p=LGUcBlUaNbfcHIga6q6EMQ48jLFntkqqY7XELQ7/G2qjcN4bYWki6KMpgV5a1G9etqJ8aRdS7T3gVrJWODSpKg==",
        ],
        success: "user, \
                  v=I8g8/riy1KozYZRhfh3Z9ZsnVhvgJOPEyHqILYHkeKETRFcm1ldHn1OjGThQW5aFjgkx+tkd/BCk5ar+gaazYA==",
        ..Vector::default()
    });
}

/// An authorization identity, both escapes in a name, and a password that SASLprep changes (RFC 4013 §3).
#[test]
fn scram_sha_256_plus_with_the_end_point() {
    check(&Vector {
        mechanism: "SCRAM-SHA-256-PLUS",
        password: "I\u{AD}X",
        bindings: ChannelBindings {
            exporter: None,
            end_point: Some((0..32).collect()),
        },
        lookup: "Sha256 keys of r,om=eo",
        messages: [
            "p=tls-server-end-point,a=romeo@example.org,n=r=2Com=3Deo,r=abc",
            "r=abcAAECAwQFBgcICQoLDA0ODxAREhMUFRYX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCxhPXJvbWVvQGV4YW1wbGUub3JnLA\
             ABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f,\
             r=abcAAECAwQFBgcICQoLDA0ODxAREhMUFRYX,p=gNzGvR/rWFrxEgvkXAlY9ctFVj0IeUfVHbTaOrFkzgY=",
        ],
        success: "r,om=eo as romeo@example.org, v=4EPS5u6mrQoQ3dL6rtuP+vCzoM2wAenHyREPac+/IjM=",
        ..Vector::default()
    });
}

/// Extensions we do not know are ignored and still part of what is signed (§5.1).
#[test]
fn scram_sha_256_plus_with_unknown_extensions() {
    check(&Vector {
        mechanism: "SCRAM-SHA-256-PLUS",
        password: "\u{2168}",
        bindings: ChannelBindings {
            exporter: None,
            end_point: Some((0..32).collect()),
        },
        lookup: "Sha256 keys of romeo",
        messages: [
            "p=tls-server-end-point,a=ro=2Cmeo,n=romeo,r=abc",
            "r=abcAAECAwQFBgcICQoLDA0ODxAREhMUFRYX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCxhPXJvPTJDbWVvLAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f,\
             r=abcAAECAwQFBgcICQoLDA0ODxAREhMUFRYX,x=y,z=a=b,p=PdoWJVqTVaCtd9iXdDDLNGl/8hCFC07MSPauY8qPF2c=",
        ],
        success: "romeo as ro,meo, v=fSCoeFKwbQNqIXeZ1FnvR4i7fhnUeN56LJjSxBrxMOk=",
        ..Vector::default()
    });
}

#[test]
fn scram_sha_512_plus_with_the_exporter() {
    check(&Vector {
        mechanism: "SCRAM-SHA-512-PLUS",
        password: "IX",
        bindings: ChannelBindings {
            exporter: Some((32..64).collect()),
            end_point: None,
        },
        lookup: "Sha512 keys of romeo",
        messages: [
            "p=tls-exporter,,n=romeo,r=abc",
            "r=abcAAECAwQFBgcICQoLDA0ODxAREhMUFRYX,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=cD10bHMtZXhwb3J0ZXIsLCAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4/,\
             r=abcAAECAwQFBgcICQoLDA0ODxAREhMUFRYX,\
             p=YXgUZBovxA2OlwWHEaCPV9kaSGLNNEbE0LldX2ta+ISrT3tYjljGli1gls6p1GfwUt1duGsCxAe0OOnEwy93Eg==",
        ],
        success: "romeo, \
                  v=VgvDMDL00e/l0Lnz/lxn6XrelHNnjQLAEjvg6wPhGrVfi8p3z32X75bIecGl51RJ/oU23zd1n5NWHWiUY+k0Pw==",
        ..Vector::default()
    });
}

/// RFC 4616 §2 and §4.
#[test]
fn plain() {
    let password = "tanstaaftanstaaf";
    let long = "ä".repeat(127) + "b";
    let rows = [
        (
            "\0tim\0tanstaaftanstaaf".to_string(),
            password,
            "tim".to_string(),
        ),
        ("Ursel\0tim\0IX".into(), "I\u{AD}X", "tim as Ursel".into()),
        ("\0t\u{AD}im\0\u{2168}".into(), "IX", "tim".into()),
        // 255 bytes each.
        (
            format!("{long}\0{long}\0{long}"),
            &long,
            format!("{long} as {long}"),
        ),
        (
            "\0tim\0tanstaaftanstaaf ".into(),
            password,
            "not-authorized".into(),
        ),
        (
            "\0tim\0Tanstaaftanstaaf".into(),
            password,
            "not-authorized".into(),
        ),
    ];
    for (message, password, expected) in rows {
        let mut exchange = offered(Mechanism::Plain);
        let Ok(Step::Lookup { hash, .. }) = exchange.respond(message.as_bytes()) else {
            panic!("{message:?} is refused");
        };
        let keys = Keys::derive(hash, password, vec![7; SALT_BYTES], 1).unwrap();
        assert_eq!(
            described(exchange.keys(keys, true)),
            expected,
            "{message:?}"
        );
    }
}
