//! The limits of `limits.rs`: the last that is served, the first that is not.

use crate::{HEADER, after_header, refusal};
use std::fmt::Write;
use xmpp::{
    limits, ns,
    stream::{Event, Reader},
};

/// Numbered attributes.
fn attributes(count: usize, prefix: &str) -> String {
    (0..count).fold(String::new(), |mut out, n| {
        let _ = write!(out, " {prefix}a{n}='u'");
        out
    })
}

/// How many events these are.
fn read(header: &str, element: &str) -> Result<usize, String> {
    let mut reader = Reader::new(ns::CLIENT, 10_000);
    reader.push(header.as_bytes());
    reader.push(element.as_bytes());
    let mut count = 0;
    while reader.next().map_err(refusal)?.is_some() {
        count += 1;
    }
    Ok(count)
}

#[test]
fn of_an_element() {
    let deep = |depth: usize| "<a>".repeat(depth - 1) + &"</a>".repeat(depth - 1);
    let named = |length: usize| "a".repeat(length);
    let spaces = |count: usize| {
        let (outer, inner) = (attributes(60, "xmlns:"), attributes(count - 60, "xmlns:"));
        format!("<a{outer}><a{inner}/></a>")
    };
    let (depth, attributes_max, name) = (
        limits::DEPTH_MAX,
        limits::ATTRIBUTES_MAX,
        limits::NAME_BYTES_MAX,
    );
    for (good, bad, text) in [
        (
            deep(depth),
            deep(depth + 1),
            "elements are nested too deeply",
        ),
        (
            format!("<a{}/>", attributes(attributes_max, "")),
            format!("<a{}/>", attributes(attributes_max + 1, "")),
            "an element has too many attributes",
        ),
        (
            format!("<{}/>", named(name)),
            format!("<{}/>", named(name + 1)),
            "a name is too long",
        ),
        (
            format!("<a {}=''/>", named(name)),
            format!("<a {}=''/>", named(name + 1)),
            "a name is too long",
        ),
        (
            format!("<a xmlns='{}'/>", named(limits::NAMESPACE_BYTES_MAX)),
            format!("<a xmlns='{}'/>", named(limits::NAMESPACE_BYTES_MAX + 1)),
            "a name is too long",
        ),
        (
            "<a/>".repeat(limits::CHILDREN_MAX),
            "<a/>".repeat(limits::CHILDREN_MAX + 1),
            "the stanza has too many children",
        ),
        (
            spaces(120),
            format!("<a{}>{}</a>", attributes(9, "xmlns:"), spaces(120)),
            "too many namespaces are declared",
        ),
    ] {
        assert_eq!(
            read(HEADER, &format!("<message>{good}</message>")),
            Ok(2),
            "{good}"
        );
        let refused = read(HEADER, &format!("<message>{bad}</message>"));
        assert_eq!(refused, Err(format!("policy-violation: {text}")), "{bad}");
    }
}

#[test]
fn of_a_header() {
    let header = |count| HEADER.replace(" to=", &format!("{} to=", attributes(count, "xmlns:")));
    // The prefix `stream` is one of them.
    assert_eq!(read(&header(limits::STREAM_PREFIXES_MAX - 1), ""), Ok(1));
    let refused = Err("policy-violation: the stream header declares too many prefixes".to_owned());
    assert_eq!(read(&header(limits::STREAM_PREFIXES_MAX), ""), refused);
}

#[test]
fn of_size() {
    let body = |length: usize| {
        format!(
            "<message><body>{}</body></message>",
            "a".repeat(length - 32)
        )
    };
    assert!(after_header(body(1_000)).starts_with("message"));
    let long = "a".repeat(1_000);
    for xml in [
        body(1_001),
        format!("<message a='{long}"),
        format!("<{long}"),
    ] {
        assert_eq!(
            after_header(&xml),
            "policy-violation: the element is too large"
        );
    }
}

#[test]
fn of_a_tree() {
    let mut reader = Reader::new(ns::CLIENT, 2 * limits::NONZA_BYTES_MAX);
    reader.push(HEADER.as_bytes());
    reader.next().expect("the header is good");
    let nonza = |length: usize| format!("<a>{}</a>", " ".repeat(length - 7));
    reader.push(nonza(limits::NONZA_BYTES_MAX).as_bytes());
    assert!(matches!(reader.next(), Ok(Some(Event::Nonza(_)))));
    reader.push(nonza(limits::NONZA_BYTES_MAX + 1).as_bytes());
    assert_eq!(
        reader.next().map_err(|error| error.condition).err(),
        Some("policy-violation")
    );
}

/// A prefix of one letter stands for a long name; written out at every element it must not become a flood.
#[test]
fn of_what_is_written_anew() {
    let long = "u".repeat(limits::NAMESPACE_BYTES_MAX);
    let message = |count: usize| {
        format!(
            "<message xmlns:p='{long}'><x xmlns='urn:x'>{}</x></message>",
            "<p:a/>".repeat(count)
        )
    };
    assert_eq!(read(HEADER, &message(30)), Ok(2));
    assert_eq!(
        read(HEADER, &message(60)),
        Err("policy-violation: the element is too large".into())
    );
}

#[test]
fn an_endless_stanza_is_refused_before_it_is_held() {
    let mut reader = Reader::new(ns::CLIENT, 1_000);
    reader.push(HEADER.as_bytes());
    reader.push(b"<message>");
    reader.next().expect("the header is good");
    let error = loop {
        match reader.next() {
            Ok(event) => assert!(event.is_none() && reader.buffered() <= 1_000),
            Err(error) => break error,
        }
        reader.push(&[b'a'; 100]);
    };
    assert_eq!(error.condition, "policy-violation");
    assert_eq!(reader.buffered(), 0);
    reader.push(b"</message>");
    assert!(
        matches!(reader.next(), Ok(None)),
        "after an error nothing more comes"
    );
}

#[test]
fn it_grows_with_authentication() {
    let mut reader = Reader::new(ns::CLIENT, 200);
    reader.push(HEADER.as_bytes());
    reader.next().expect("the header is good");
    reader.allow(2_000);
    reader.push(format!("<message>{}</message>", "a".repeat(1_000)).as_bytes());
    assert!(matches!(reader.next(), Ok(Some(Event::Stanza(_)))));
}
