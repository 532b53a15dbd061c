//! What goes on: content in `jabber:client` terms, edits and how far they reach, replies, heads.

use crate::{HEADER, describe};
use std::sync::Arc;
use xmpp::{
    Element, Entry, Jid, Kind, Passing, Stanza, StanzaError, ns,
    stanza::Reach,
    stream::{Event, Reader},
};

fn jid(text: &str) -> Jid {
    Jid::parse(text).expect("addresses in tests are good")
}

/// The stanza as it comes on a stream of that content namespace, with more on its header.
fn received(content: &'static str, more: &str, xml: &str) -> Stanza {
    let mut reader = Reader::new(content, 10_000);
    let header = HEADER.replace("'jabber:client'", &format!("'{content}' {more}"));
    reader.push(header.as_bytes());
    reader.push(xml.as_bytes());
    loop {
        match reader.next() {
            Ok(Some(Event::Stanza(stanza))) => break stanza,
            Ok(Some(Event::Opened(_))) => {}
            other => panic!("{xml}: {other:?}"),
        }
    }
}

fn passing(stanza: Stanza) -> Passing {
    Passing::new(
        Arc::new(stanza),
        jid("juliet@home.example/balcony"),
        jid("romeo@far.example"),
    )
}

fn written(entry: &Entry) -> String {
    let mut out = Vec::new();
    entry.write(&mut out);
    String::from_utf8(out).expect("entries are text")
}

fn content(passing: &Passing) -> String {
    String::from_utf8(passing.content().to_vec()).expect("content is text")
}

/// What is between the tags of a message from that kind of stream goes on like that.
fn check(stream: &'static str, rows: &[(&str, &str)]) {
    let more = "xmlns:h='urn:header' xmlns:c='jabber:client' xmlns:s='jabber:server'";
    for (inside, expected) in rows {
        let inside = inside.replace("FORWARDED", "xmlns='urn:xmpp:forward:0'");
        let expected = expected.replace("FORWARDED", "xmlns='urn:xmpp:forward:0'");
        let xml =
            format!("<message xmlns:r='urn:root' xmlns:rc='jabber:client'>{inside}</message>");
        let found = content(&passing(received(stream, more, &xml)));
        assert_eq!(found, expected, "{inside} on {stream}");
        // It stands by itself, and there is nothing more to do about it.
        let again =
            Stanza::parse(&format!("<message>{found}</message>")).expect("it stands by itself");
        assert_eq!(content(&passing(again)), found);
    }
}

#[test]
fn content_that_stands_by_itself_goes_on_as_it_is() {
    let rows = [
        "",
        " \n text &amp; ",
        "<body>a</body>",
        "\n <body xml:lang='de'>a &lt;<![CDATA[<]]></body>\r\n <x xmlns=\"urn:x\" a='\"'/>\n",
        "<x:x xmlns:x='urn:x' x:a='b'><x:y/></x:x>",
        "<x xmlns='urn:x'><body xmlns='jabber:client'/><body xmlns='jabber:server'/></x>",
        "<forwarded FORWARDED><message xmlns='jabber:client'><body/></message></forwarded>",
        "<x xmlns=''><y/></x>",
        "<x xmlns='urn:x' xmlns:r='urn:own'><r:y/></x>",
    ];
    for row in rows {
        check(ns::CLIENT, &[(row, row)]);
        check(ns::SERVER, &[(row, row)]);
        check(ns::COMPONENT, &[(row, row)]);
    }
}

#[test]
fn children_in_a_content_namespace_are_written_plainly() {
    // By prefix (of the child, the stanza, the header) and by their own xmlns; inside of them too.
    let rows = [
        ("<body xmlns='jabber:client'>a</body>", "<body>a</body>"),
        ("<body xmlns='jabber:server'>a</body>", "<body>a</body>"),
        (
            "<x:body xmlns:x='jabber:client'>a</x:body>",
            "<body>a</body>",
        ),
        (
            "<x:body xmlns:x='jabber:component:accept'>a</x:body>",
            "<body>a</body>",
        ),
        ("<rc:body>a</rc:body>", "<body>a</body>"),
        ("<c:body>a</c:body>", "<body>a</body>"),
        ("<s:body>a</s:body>", "<body>a</body>"),
        (
            "<error type='cancel'><s:text/></error>",
            "<error type='cancel'><text/></error>",
        ),
        ("<a><b xmlns='jabber:client'/></a>", "<a><b/></a>"),
        (" <body/> <c:body/> ", " <body/> <body/> "),
    ];
    check(ns::CLIENT, &rows);
    check(ns::SERVER, &rows);
}

#[test]
fn prefixes_from_outside_are_declared_again() {
    let rows = [
        ("<h:x><h:y/></h:x>", "<x xmlns='urn:header'><y/></x>"),
        ("<r:x/>", "<x xmlns='urn:root'/>"),
        (
            "<x xmlns='urn:x'><r:y/></x>",
            "<x xmlns='urn:x'><y xmlns='urn:root'/></x>",
        ),
        ("<body r:a='b'/>", "<body xmlns:n0='urn:root' n0:a='b'/>"),
        (
            "<body h:a='&lt;' r:a='2'/>",
            "<body xmlns:n0='urn:header' n0:a='&lt;' xmlns:n1='urn:root' n1:a='2'/>",
        ),
        (
            "<h:x xml:lang='de'>a&amp;b<![CDATA[<]]></h:x>",
            "<x xmlns='urn:header' xml:lang='de'>a&amp;b<![CDATA[<]]></x>",
        ),
    ];
    check(ns::CLIENT, &rows);
    check(ns::SERVER, &rows);
}

#[test]
fn what_foreign_elements_inherit_is_said() {
    let rows = [
        (
            "<x:x xmlns:x='urn:x'><body/></x:x>",
            "<x xmlns='urn:x'><body xmlns='jabber:client'/></x>",
        ),
        (
            "<h:x><body><h:y/></body></h:x>",
            "<x xmlns='urn:header'><body xmlns='jabber:client'><y xmlns='urn:header'/></body></x>",
        ),
        (
            "<x xmlns='urn:x'><c:body/></x>",
            "<x xmlns='urn:x'><body xmlns='jabber:client'/></x>",
        ),
        // XEP-0297: always jabber:client.
        (
            "<f:forwarded xmlns:f='urn:xmpp:forward:0'><message/></f:forwarded>",
            "<forwarded FORWARDED><message xmlns='jabber:client'/></forwarded>",
        ),
        (
            "<forwarded FORWARDED><message xmlns='jabber:server'><body/></message></forwarded>",
            "<forwarded FORWARDED><message xmlns='jabber:client'><body/></message></forwarded>",
        ),
        (
            "<forwarded FORWARDED><s:message><s:body/></s:message></forwarded>",
            "<forwarded FORWARDED><message xmlns='jabber:client'><body/></message></forwarded>",
        ),
        (
            "<x xmlns='urn:x'><forwarded FORWARDED><message xmlns='jabber:server'/></forwarded></x>",
            "<x xmlns='urn:x'><forwarded FORWARDED><message xmlns='jabber:client'/></forwarded></x>",
        ),
    ];
    check(ns::CLIENT, &rows);
    check(ns::SERVER, &rows);
}

#[test]
fn children_read_the_same_on_every_stream() {
    for stream in [ns::CLIENT, ns::SERVER, ns::COMPONENT] {
        let stanza = received(
            stream,
            "xmlns:h='urn:header'",
            "<iq type='get' id='1'>\n<body> a </body><h:x a='&lt;'/></iq>",
        );
        assert_eq!(
            describe(&Event::Stanza(stanza)),
            "iq get jabber:client|body=\" a \" urn:header|x=\"\""
        );
    }
    let xml = "<message><x xmlns='urn:x' a='&#65;\n' xml:lang='de' p:a='no' xmlns:p='p'>1<y>2</y>3</x>\
        <x/></message>";
    let stanza = received(ns::CLIENT, "", xml);
    let child = stanza.child("urn:x", "x").expect("it is there");
    assert_eq!(
        (
            child.attr("a").as_deref(),
            child.attr("xml:lang").as_deref()
        ),
        (Some("A "), Some("de"))
    );
    assert_eq!(
        (child.attr("b"), child.index(), child.text()),
        (None, 0, "13".into())
    );
    assert_eq!(
        child.element(),
        Element::parse(&child.to_xml(), ns::CLIENT).expect("it stands by itself")
    );
    assert!(stanza.child("urn:y", "x").is_none());
    assert_eq!(
        stanza
            .child(ns::CLIENT, "x")
            .map(xmpp::stanza::Child::index),
        Some(1)
    );
}

#[test]
fn heads_are_stamped() {
    let head = " from='juliet@home.example/balcony'";
    let lang = "xml:lang='de'";
    for (more, attributes, expected) in [
        ("", "", ""),
        (
            "",
            "id='a' type='chat' xml:lang='en'",
            " id='a' type='chat' xml:lang='en'",
        ),
        // §8.1.2.1: whatever it says.
        ("", "from='somebody@else' to='nobody'", ""),
        // §8.1.5: the stream's language, where the stanza has none.
        (lang, "", " xml:lang='de'"),
        (lang, "xml:lang='en'", " xml:lang='en'"),
        (lang, "xml:lang=''", " xml:lang=''"),
        ("xml:lang=\"&apos;'/>\"", "", ""),
        // As they are written; unknown ones too, but not with a prefix.
        (
            "",
            "id=\"it's &lt;\" x='1' y='\"' p:z='2' xmlns:p='p' xmlns='jabber:client'",
            " id=\"it's &lt;\" x='1' y='\"'",
        ),
    ] {
        let stanza = received(ns::CLIENT, more, &format!("<message {attributes}/>"));
        let found = written(&passing(stanza).entry());
        assert_eq!(
            found,
            format!("<message{head}{expected} to='romeo@far.example'/>"),
            "{attributes}"
        );
    }
    let stanza = received(
        ns::CLIENT,
        lang,
        "<iq id='&#65;' to='a@b' from='c@d/&apos;'/>",
    );
    assert_eq!(
        (stanza.id().as_deref(), stanza.lang().as_deref()),
        (Some("A"), Some("de"))
    );
    assert_eq!(stanza.to(), Ok(Some(jid("a@b"))));
    assert_eq!(stanza.from(), Ok(Some(jid("c@d/'"))));
    assert!(received(ns::CLIENT, "", "<iq to='@'/>").to().is_err());
    assert_eq!(received(ns::CLIENT, "", "<iq/>").to(), Ok(None));
}

#[test]
fn edits_reach_so_far() {
    let stanza = received(ns::CLIENT, "", "<message>\n<a/>\n<b/>\n<c/>\n</message>");
    let mut passing = passing(stanza);
    passing.leave_behind(0, Reach::Everybody);
    passing.leave_behind(1, Reach::ThisAccount);
    passing.add("<e xmlns='e'/>".into(), Reach::Everybody);
    passing.add("<f xmlns='f'/>".into(), Reach::ThisAccount);
    let sibling = passing.clone();
    passing.leave_behind(2, Reach::ThisResource);
    passing.add("<g xmlns='g'/>".into(), Reach::ThisResource);
    assert_eq!(
        content(&passing),
        "\n\n\n\n<e xmlns='e'/><f xmlns='f'/><g xmlns='g'/>"
    );
    assert_eq!(
        content(&sibling),
        "\n\n\n<c/>\n<e xmlns='e'/><f xmlns='f'/>",
        "a clone keeps its own edits"
    );
    assert!((0..3).all(|child| passing.is_left_behind(child)));
    passing.next_resource();
    assert_eq!(content(&passing), content(&sibling));
    assert!(!passing.is_left_behind(2));
    passing.leave_account();
    assert_eq!(content(&passing), "\n\n<b/>\n<c/>\n<e xmlns='e'/>");
    assert_eq!(
        [0, 1, 2].map(|child| passing.is_left_behind(child)),
        [true, false, false]
    );
    assert_eq!(
        content(&sibling),
        "\n\n\n<c/>\n<e xmlns='e'/><f xmlns='f'/>"
    );
}

#[test]
fn content_is_built_once() {
    let mut passing = passing(received(ns::CLIENT, "", "<message><a/></message>"));
    let same = |one: &Passing, other: &Passing| one.content().as_ptr() == other.content().as_ptr();
    assert!(same(&passing, &passing.clone()));
    passing.add("<b/>".into(), Reach::ThisAccount);
    let clone = passing.clone();
    assert!(same(&passing, &clone));
    passing.next_resource();
    assert!(
        same(&passing, &clone),
        "nothing was for this resource alone"
    );
    passing.leave_account();
    assert_eq!(content(&passing), "<a/>");
    let leaning = self::passing(received(
        ns::CLIENT,
        "xmlns:h='urn:h'",
        "<message><h:a/></message>",
    ));
    assert!(same(&leaning, &leaning.clone()));
}

#[test]
fn whole_stanzas_for_the_archive() {
    let passing = passing(received(
        ns::SERVER,
        "",
        "<message id='1'><body>a</body></message>",
    ));
    let head =
        "xmlns='jabber:client' from='juliet@home.example/balcony' id='1' to='romeo@far.example'";
    assert_eq!(
        passing.to_xml(),
        format!("<message {head}><body>a</body></message>")
    );
    assert_eq!(
        written(&passing.entry_to(&jid("a@b/c'd"))),
        "<message from='juliet@home.example/balcony' id='1' to='a@b/c&apos;d'><body>a</body></message>"
    );
}

#[test]
fn refusals_swap_addresses() {
    let error = StanzaError::FORBIDDEN
        .with_text("Not <you>")
        .with_detail("<x xmlns='urn:x'/>");
    let inside = "<error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
        <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>Not &lt;you&gt;</text>\
        <x xmlns='urn:x'/></error>";
    for (kind, id, expected) in [
        ("message", "", "type='error'"),
        ("presence", "id='&lt;'", "type='error' id='&lt;'"),
        ("iq", "id='1' type='set'", "type='error' id='1'"),
        // §8.3.1, rule 3.
        ("iq", "", "type='error' id=''"),
    ] {
        let refused = passing(received(
            ns::CLIENT,
            "",
            &format!("<{kind} {id}><body/></{kind}>"),
        ))
        .refused(error);
        assert_eq!(
            (refused.from.as_str(), refused.to.as_str()),
            ("romeo@far.example", "juliet@home.example/balcony")
        );
        let attributes = refused.stanza.id().map_or("type='error'".into(), |id| {
            format!("type='error' id='{}'", xmpp::compose::escaped(&id))
        });
        assert_eq!(attributes, expected);
        assert_eq!(
            (refused.stanza.type_(), content(&refused)),
            ("error", inside.into())
        );
    }
    let request = passing(received(ns::CLIENT, "", "<iq id='1' type='set'><x/></iq>"));
    let refused = request.refused_with("<y xmlns='urn:y'/>", error);
    assert_eq!(content(&refused), format!("<y xmlns='urn:y'/>{inside}"));
}

#[test]
fn what_goes_to_many_goes_to_each() {
    let stanza = received(ns::CLIENT, "", "<message id='1'><body>b</body></message>");
    let mut one = passing(stanza);
    one.for_many();
    let to = |to: &str| one.addressed_to(Jid::parse(to).unwrap());
    let mut other_sender = to("c@d/f");
    other_sender.from = Jid::parse("nurse@far.example").unwrap();
    let mut marked = to("c@d/g");
    marked.add("<mark/>".into(), Reach::Everybody);
    let from = one.from.as_str();
    for (copy, from, to, content) in [
        (to("a@b"), from, "a@b", "<body>b</body>"),
        (to("c@d/e"), from, "c@d/e", "<body>b</body>"),
        (other_sender, "nurse@far.example", "c@d/f", "<body>b</body>"),
        (marked, from, "c@d/g", "<body>b</body><mark/>"),
        (to("h@i"), from, "h@i", "<body>b</body>"),
    ] {
        assert_eq!(
            written(&copy.entry()),
            format!("<message from='{from}' id='1' to='{to}'>{content}</message>")
        );
    }
}

#[test]
fn what_needs_no_judging_is_the_same_stanza() {
    let content = "<show>away</show><x xmlns='urn:x'><y/></x>";
    for attributes in [
        &[][..],
        &[("type", "unavailable")],
        &[("id", "a'\n<"), ("type", "x"), ("xml:lang", "de")],
        &[("to", "a@b"), ("from", "c@d"), ("other", "1")],
    ] {
        for content in ["", content] {
            let judged = Stanza::compose(Kind::Presence, attributes, content);
            let stanza = Stanza::compose_judged(Kind::Presence, attributes, content);
            assert_eq!(stanza.len(), judged.len());
            assert_eq!(stanza.id(), judged.id());
            assert_eq!(stanza.lang(), judged.lang());
            assert_eq!(stanza.type_(), judged.type_());
            assert_eq!(stanza.to(), judged.to());
            assert_eq!(stanza.from(), judged.from());
            let has_show = stanza.child(ns::CLIENT, "show").is_some();
            assert_eq!(has_show, !content.is_empty());
            assert_eq!(stanza.children().count(), judged.children().count());
            let (stanza, judged) = (passing(stanza), passing(judged));
            assert_eq!(stanza.to_xml(), judged.to_xml());
            assert_eq!(written(&stanza.entry()), written(&judged.entry()));
        }
    }
}

#[test]
fn stanzas_of_our_own() {
    let stanza = Stanza::compose(
        Kind::Iq,
        &[("type", "result"), ("id", "a'\n<")],
        "<query xmlns='urn:x'/>",
    );
    assert_eq!(
        (stanza.id().as_deref(), stanza.type_()),
        (Some("a'\n<"), "result")
    );
    assert!(stanza.child("urn:x", "query").is_some());
    assert_eq!(
        Stanza::compose(Kind::Presence, &[], "").len(),
        "<presence/>".len()
    );
    let entry = Entry::compose(Kind::Message, None, &[("from", "a@b")], "<body/>".into());
    assert_eq!(written(&entry), "<message from='a@b'><body/></message>");
    for (xml, error) in [
        ("<pubsub/>", "unsupported-stanza-type"),
        ("<message/><message/>", "not-well-formed"),
        ("<message>", "not-well-formed"),
        ("text", "not-well-formed"),
        ("", "not-well-formed"),
        ("<message xmlns='jabber:server'/>", "invalid-namespace"),
    ] {
        assert_eq!(
            Stanza::parse(xml).err().map(|error| error.condition),
            Some(error),
            "{xml}"
        );
    }
    assert!(Stanza::parse(" <message xmlns='jabber:client'/>\n").is_ok());
}
