//! The start of a stream: RFC 6120 §4.2, §4.7, §4.8, §11.5, §11.6, XML §2.8.

use crate::{HEADER, outcome};
use xmpp::{
    ns,
    stream::{Event, Reader},
};

/// All of these have that outcome. `HEADER` and `STREAM` stand for a good header and the declaration of its
/// prefix.
fn check(expected: &str, rows: &[&str]) {
    for row in rows {
        let stream = row
            .replace("HEADER", HEADER)
            .replace("STREAM", &format!("xmlns:stream='{}'", ns::STREAMS));
        assert_eq!(outcome(&stream), expected, "{row:?}");
    }
}

#[test]
fn a_declaration_may_stand_before_it() {
    check(
        "opened to \"home.example\"",
        &[
            "HEADER",
            " \nHEADER",
            "<?xml version='1.0'?>HEADER",
            "<?xml version=\"1.0\" encoding='utf-8' ?>\r\nHEADER",
            // §11.5: a standalone declaration is to be ignored or refused.
            "<?xml version='1.0' encoding='UTF-8' standalone='no'?>HEADER",
            "<?xml version='1.0' standalone='yes'?>HEADER",
        ],
    );
    check(
        "unsupported-encoding",
        &[
            "<?xml version='1.0' encoding='UTF-16'?>HEADER",
            "<?xml version='1.0' encoding='ISO-8859-1'?>HEADER",
            // UTF-16 without a mark.
            "<\0?\0x\0m\0l\0",
            "\0<\0?\0x\0m\0l",
        ],
    );
    for mark in [b"\xFF\xFE<\0?\0", b"\xFE\xFF\0<\0?"] {
        assert_eq!(outcome(mark), "unsupported-encoding");
    }
    check(
        "not-well-formed",
        &[
            "<?xml version='2.0'?>HEADER",
            "<?xml version='1.'?>HEADER",
            "<?xml encoding='UTF-8'?>HEADER",
            "<?xml encoding='UTF-8' version='1.0'?>HEADER",
            "<?xml version='1.0' version='1.0'?>HEADER",
            "<?xml version='1.0'encoding='UTF-8'?>HEADER",
            "<?xml version='1.0' standalone='maybe'?>HEADER",
            "<?xml version='1.0' other='1'?>HEADER",
            "<?xml version='1.0'>HEADER",
            "<?xml?>HEADER",
            "<?xml >HEADER",
            " <?xml version='1.0'?>HEADER",
            "<?xml version='1.0'?><?xml version='1.0'?>HEADER",
        ],
    );
}

#[test]
fn nothing_else_may_stand_before_it() {
    check(
        "restricted-xml",
        &[
            "<!DOCTYPE x [<!ENTITY a 'b'>]>HEADER",
            "<!-- hello -->HEADER",
            "<?php echo?>HEADER",
            "<?xml-stylesheet href='a'?>HEADER",
        ],
    );
    check(
        "not-well-formed",
        &[
            // §11.6: U+FEFF is a character and no byte order mark.
            "\u{FEFF}HEADER",
            "</stream:stream>",
            "<![CDATA[a]]>HEADER",
            // Other protocols: HTTP, TLS.
            "GET / HTTP/1.1\r\n\r\n",
            "\u{16}\u{3}\u{1}\u{2}",
        ],
    );
}

#[test]
fn it_has_namespaces() {
    // §4.8.2: both styles, and a header that declares no content namespace.
    check(
        "opened to \"nobody\"",
        &[
            "<stream:stream xmlns='jabber:client' STREAM>",
            "<stream xmlns='http://etherx.jabber.org/streams'>",
            "<stream:stream STREAM>",
        ],
    );
    check(
        "invalid-namespace",
        &[
            "<stream:stream xmlns='jabber:server' STREAM>",
            "<stream:stream xmlns='jabber:component:accept' STREAM>",
            "<stream:stream xmlns='urn:other' STREAM>",
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://wrong.namespace.example.org/'>",
            "<stream xmlns='jabber:client' STREAM>",
            "<stream STREAM>",
            "<message xmlns='jabber:client' STREAM>",
            "<html>",
        ],
    );
    check(
        "bad-namespace-prefix",
        &["<foobar:stream xmlns='jabber:client' xmlns:foobar='http://etherx.jabber.org/streams'>"],
    );
    check(
        "bad-format",
        &["<stream:start xmlns='jabber:client' STREAM>"],
    );
    check(
        "not-well-formed",
        &[
            "<stream:stream xmlns='jabber:client'>",
            "<stream:stream xmlns='jabber:client' STREAM to='a' to='b'>",
            "<stream:stream xmlns='jabber:client' STREAM to='a\u{1}'>",
            "<stream:stream xmlns='jabber:client' STREAM to=a>",
        ],
    );
    check(
        "restricted-xml",
        &["<stream:stream xmlns='jabber:client' STREAM to='&nbsp;'>"],
    );
    check("closed", &["<stream:stream xmlns='jabber:client' STREAM/>"]);
}

#[test]
fn it_has_attributes() {
    for (attributes, expected) in [
        ("", "None None None None None"),
        (
            "to='a' from='b' id='c' version='1.0' xml:lang='de'",
            "a b c (1, 0) de",
        ),
        (
            "to='&lt;&#65;&gt;' p:to='b' xmlns:p='p'",
            "<A> None None None None",
        ),
        // §4.7.5: numbers, with leading zeros or without.
        ("version='12.03'", "None None None (12, 3) None"),
        ("version='01.0'", "None None None (1, 0) None"),
        ("version='1'", "None None None None None"),
        ("version='1.'", "None None None None None"),
        ("version='+1.0'", "None None None None None"),
        ("version='1.0.0'", "None None None None None"),
        ("version='99999999999.0'", "None None None None None"),
    ] {
        let mut reader = Reader::new(ns::CLIENT, 1_000);
        reader.push(
            HEADER
                .replace("to='home.example' version='1.0'", attributes)
                .as_bytes(),
        );
        let Ok(Some(Event::Opened(header))) = reader.next() else {
            panic!("{attributes}")
        };
        let text = |value: Option<String>| value.unwrap_or_else(|| "None".into());
        let version = header
            .version
            .map_or("None".into(), |version| format!("{version:?}"));
        let found = [
            text(header.to),
            text(header.from),
            text(header.id),
            version,
            text(header.lang),
        ];
        assert_eq!(found.join(" "), expected, "{attributes}");
        assert!(header.declares_content);
    }
}
