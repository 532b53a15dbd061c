//! What comes between header and end (RFC 6120 §4.4, §4.8, §11.7), in whatever pieces.

use crate::{HEADER, after_header, check, outcome, read};
use proptest::prelude::*;
use xmpp::{
    ns,
    stream::{Event, Reader},
};

#[test]
fn a_conversation() {
    let stream = [
        "<?xml version='1.0'?>",
        HEADER,
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGE=</auth>\n",
        "<message type='chat' to='a@b'><body>Hi &amp; bye</body></message>  ",
        "<iq/>",
        "<a xmlns='urn:xmpp:sm:3' h='1'/>",
        "</stream:stream>",
        "<ignored/>",
    ];
    let expected = [
        "opened to \"home.example\"",
        "nonza <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGE=</auth>",
        "message chat jabber:client|body=\"Hi & bye\"",
        "iq ",
        "nonza <a xmlns='urn:xmpp:sm:3' h='1'/>",
        "closed",
    ];
    assert_eq!(read(ns::CLIENT, [stream.concat().as_bytes()]), expected);
}

#[test]
fn stanzas_are_in_the_content_namespace() {
    for (xml, expected) in [
        ("<message xmlns='jabber:client'/>", "message "),
        (
            "<message xmlns=\"jabber:client\" type=\"a'b\"/>",
            "message a'b",
        ),
        ("<presence></presence>", "presence "),
        ("<iq\t\r\n/>", "iq "),
        ("<iq></iq \n>", "iq "),
        // §4.8.3: another content namespace; §4.8.5: a prefix for the right one.
        ("<message xmlns='jabber:server'/>", "invalid-namespace"),
        ("<pubsub xmlns='jabber:server'/>", "invalid-namespace"),
        (
            "<foo:message xmlns:foo='jabber:server'/>",
            "invalid-namespace",
        ),
        (
            "<foo:message xmlns:foo='jabber:client'><foo:body>foo</foo:body></foo:message>",
            "bad-namespace-prefix",
        ),
        // §4.8.4, §4.9.3.24: no stanzas; whether they are served is not for the reader to say.
        (
            "<pubsub xmlns='jabber:client'/>",
            "nonza <pubsub xmlns='jabber:client'/>",
        ),
        (
            "<message xmlns='urn:other'/>",
            "nonza <message xmlns='urn:other'/>",
        ),
        ("<message xmlns=''/>", "nonza <message/>"),
        (
            "<stream:error/>",
            "nonza <error xmlns='http://etherx.jabber.org/streams'/>",
        ),
    ] {
        assert_eq!(after_header(xml), expected, "{xml}");
    }
}

#[test]
fn the_header_may_leave_namespaces_to_the_elements() {
    for (xml, expected) in [
        (
            "<message xmlns='jabber:client'><body>a</body></message>",
            "message  jabber:client|body=\"a\"",
        ),
        (
            "<message/>",
            "nonza <message xmlns='http://etherx.jabber.org/streams'/>",
        ),
        ("</stream>", "closed"),
        ("</stream:stream>", "not-well-formed"),
    ] {
        assert_eq!(
            outcome(format!("<stream xmlns='{}'>{xml}", ns::STREAMS)),
            expected,
            "{xml}"
        );
    }
}

#[test]
fn only_white_space_between_elements() {
    check("opened to \"home.example\"", &["", " ", "\r\n\t "]);
    check(
        "bad-format",
        &["hello", "&amp;", "&#32;", "<![CDATA[ ]]>", "\u{FEFF}"],
    );
    check("not-well-formed", &["\0", "\u{1}", "<?xml version='1.0'?>"]);
    check("restricted-xml", &["<!-- -->", "<!DOCTYPE a>", "<?a?>"]);
    check(
        "closed",
        &[
            "</stream:stream>",
            "</stream:stream \n>",
            "</stream:stream>more",
        ],
    );
    check(
        "not-well-formed",
        &["</stream>", "</foo:stream>", "</stream:stream a=''>"],
    );
    assert_eq!(after_header(b"\xFF"), "unsupported-encoding");
}

#[test]
fn nonzas_are_trees() {
    let xml =
        "<p:a xmlns:p='urn:p' p:x='1' xml:lang='en' y='&#10;2'>t<p:b/><![CDATA[<&]]>&lt;</p:a>";
    let tree = "<a xmlns='urn:p' xmlns:n0='urn:p' n0:x='1' xml:lang='en' y='&#10;2'>t<b/>&lt;&amp;&lt;</a>";
    check(&format!("nonza {tree}"), &[xml, tree]);
}

#[test]
fn idle_it_holds_nothing() {
    let size = std::mem::size_of::<Reader>();
    assert!(size <= 200, "{size}");
    let mut reader = Reader::new(ns::CLIENT, 1_000);
    reader.push(HEADER.as_bytes());
    reader.push(b"<message/> \n");
    reader.next().expect("the header is good");
    reader.next().expect("the message is good");
    assert!(matches!(reader.next(), Ok(None)));
    assert_eq!(reader.buffered(), 0);
    reader.push(b" <presence/> <iq");
    assert!(matches!(reader.next(), Ok(Some(Event::Stanza(_)))));
    assert!(matches!(reader.next(), Ok(None)));
    assert_eq!(reader.buffered(), 3);
    reader.clear();
    reader.push(b"<iq/>");
    assert!(matches!(reader.next(), Ok(Some(Event::Stanza(_)))));
}

#[test]
fn restarts_with_what_was_pipelined() {
    let mut reader = Reader::new(ns::CLIENT, 1_000);
    reader.push(HEADER.as_bytes());
    reader.push(b"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>\n<?xml version='1.0'?>");
    reader.push(HEADER.replace("home", "other").as_bytes());
    reader.push(b"<iq/>");
    assert!(matches!(reader.next(), Ok(Some(Event::Opened(_)))));
    assert!(matches!(reader.next(), Ok(Some(Event::Nonza(_)))));
    reader.restart();
    let Ok(Some(Event::Opened(header))) = reader.next() else {
        panic!("no second header")
    };
    assert_eq!(header.to.as_deref(), Some("other.example"));
    assert!(matches!(reader.next(), Ok(Some(Event::Stanza(_)))));
}

#[test]
fn white_space_before_a_restarted_stream_is_of_the_old_one_whenever_it_comes() {
    for late in [
        "",
        "\n",
        " ",
        "<?xml version='1.0'?>",
        "\n<?xml version='1.0'?>\n",
    ] {
        for early in ["", "\n"] {
            let mut reader = Reader::new(ns::CLIENT, 1_000);
            reader.push(HEADER.as_bytes());
            reader.push(b"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
            reader.push(early.as_bytes());
            assert!(matches!(reader.next(), Ok(Some(Event::Opened(_)))));
            assert!(matches!(reader.next(), Ok(Some(Event::Nonza(_)))));
            reader.restart();
            for piece in late.as_bytes() {
                reader.push(&[*piece]);
                assert!(matches!(reader.next(), Ok(None)), "{early:?} {late:?}");
            }
            reader.push(HEADER.as_bytes());
            assert!(
                matches!(reader.next(), Ok(Some(Event::Opened(_)))),
                "{early:?} {late:?}"
            );
        }
    }
}

#[test]
fn the_log_shows_heads_only() {
    let mut reader = Reader::new(ns::CLIENT, 1_000);
    reader.push(HEADER.as_bytes());
    reader.push(
        b"<message id='m1'><body>secret</body></message><auth xmlns='urn:x'>secret</auth><secret",
    );
    let events: Vec<_> = (0..3).map(|_| reader.next()).collect();
    let log = format!("{events:?} {reader:?}");
    assert!(
        log.contains("m1") && log.contains("auth") && !log.contains("secret"),
        "{log}"
    );
}

/// Streams that hold everything the framer knows: each is cut in all ways.
const STREAMS: [&str; 6] = [
    "<m/><message><body>é</body></message> <iq a='>' b=\"'\"/>\
        <presence><a><![CDATA[]]]></a>]]></a></presence>",
    "<message><a b='/>'>text</a ><![CDATA[x]]></message></stream:stream>",
    "<message><a></b></message>",
    "<message><!-- --></message>",
    "<iq><?xml version='1.0'?></iq>",
    "<iq/>&",
];

proptest! {
    #[test]
    fn pieces_do_not_matter(stream in 0..STREAMS.len(), cuts in prop::collection::vec(0..400usize, 0..20)) {
        let declaration = "<?xml version='1.0' encoding='UTF-8'?> ";
        let bytes = [declaration, HEADER, STREAMS[stream]].concat().into_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let starts = std::iter::once(0).chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([bytes.len()]);
        let pieces: Vec<&[u8]> = starts.zip(ends).map(|(start, end)| &bytes[start..end]).collect();
        prop_assert_eq!(read(ns::CLIENT, pieces), read(ns::CLIENT, [bytes.as_slice()]));
    }
}

#[test]
fn a_byte_at_a_time() {
    for stream in STREAMS {
        let bytes = [HEADER, stream].concat().into_bytes();
        assert_eq!(
            read(ns::CLIENT, bytes.chunks(1)),
            read(ns::CLIENT, [bytes.as_slice()]),
            "{stream}"
        );
    }
}
