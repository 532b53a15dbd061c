//! How a session opens, waits, pauses and ends (§7 to §10, §13, §15 to §17).

use super::{super::limits::ANSWER_SHORT_BYTES_MAX, *};

const NOT_FOUND: &str = "<body type='terminate' condition='item-not-found'/>";

/// §7.2, XEP-0206 §4.
#[test]
fn the_first_answer_says_what_was_agreed_on() {
    for (asked, expected) in [
        (
            "ver='1.6' wait='60' hold='1' ack='1'",
            "ver='1.6' wait='55' hold='1' requests='2' polling='5' inactivity='60' maxpause='300' ack='10'",
        ),
        (
            "ver='1.11' wait='20' hold='9'",
            "ver='1.11' wait='20' hold='2' requests='3' polling='5' inactivity='60' maxpause='300'",
        ),
        (
            "ver='2.0' wait='0' hold='1'",
            "ver='1.11' wait='0' hold='0' requests='1' polling='5' inactivity='120' maxpause='300'",
        ),
        (
            "ver='1.2' hold='0'",
            "ver='1.2' wait='55' hold='0' requests='1' polling='5' inactivity='120' maxpause='300'",
        ),
        (
            "ver='1.10'",
            "ver='1.10' wait='55' hold='1' requests='2' polling='5' inactivity='60' maxpause='300'",
        ),
    ] {
        let mut talk = Talk::open(asked);
        talk.settle();
        talk.expect(10, "nothing");
        talk.stream("<?xml version='1.0'?><stream:stream id='ServerStreamID'><stream:features/>");
        let body = format!(
            "<body xmlns:stream='http://etherx.jabber.org/streams' sid='SomeSID' {expected} \
             from='localhost' secure='true' authid='ServerStreamID' xmpp:version='1.0' \
             xmpp:restartlogic='true'>\
             <stream:features xmlns:stream='http://etherx.jabber.org/streams'/></body>"
        );
        talk.expect(10, &body);
    }
}

/// XEP-0206 §3, §5: the headers that the stream gets.
#[test]
fn a_session_and_a_restart_are_headers() {
    let ns = "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
    let mut talk = Talk::usual("xml:lang='hu' from='juliet@localhost' xmpp:version='1.0'");
    let header =
        "<stream:stream to='localhost' from='juliet@localhost' version='1.0' xml:lang='hu'";
    assert_eq!(talk.heard, format!("{header} {ns}"));
    talk.heard.clear();
    talk.say(11, "xmpp:restart='true' xml:lang='de'", "<ignored/>");
    assert_eq!(
        talk.heard,
        format!("<stream:stream to='localhost' version='1.0' xml:lang='de' {ns}")
    );
    talk.heard.clear();
    talk.say(12, "xmpp:restart='1' to='far.example'", "");
    assert_eq!(
        talk.heard,
        format!("<stream:stream to='far.example' version='1.0' xml:lang='hu' {ns}")
    );
}

/// §7.1: responses have the type that was asked for.
#[test]
fn answers_have_the_type_that_was_asked_for() {
    for (asked, expected) in [
        ("", "text/xml; charset=utf-8"),
        ("content='text/html'", "text/html"),
    ] {
        let mut talk = Talk::open(asked);
        talk.stream("<a/>");
        let answer = talk.open.get_mut(&10).unwrap().try_recv().unwrap();
        assert_eq!(&*answer.content_type, expected);
    }
}

/// §8: at the latest when `wait` is over, and no more than `hold` of them.
#[test]
fn a_request_is_held_for_a_while() {
    let mut talk = Talk::usual("");
    talk.say(11, "", "");
    talk.pass(49_999);
    talk.expect(11, "nothing");
    talk.pass(1);
    talk.expect(11, "<body/>");
    talk.say(12, "", "<a/>");
    talk.send(13, "", "<b/>");
    talk.expect(12, "nothing");
    // The stream has taken it, and had nothing to say.
    talk.settle();
    talk.expect(12, "<body/>");
    talk.expect(13, "nothing");
    talk.stream("<c/><d/>");
    talk.expect(13, "<body><c/><d/></body>");
}

/// A long answer is several.
#[test]
fn what_is_too_much_for_one_answer_waits_for_the_next() {
    let mut talk = Talk::usual("");
    let long = format!("<a>{}</a>", "x".repeat(40_000));
    talk.stream(&long.repeat(3));
    for rid in 11..14 {
        talk.say(rid, "", "<b/>");
        assert_eq!(talk.answer(rid).unwrap(), format!("<body>{long}</body>"));
    }
    talk.say(14, "", "<b/>");
    talk.expect(14, "nothing");
}

/// §9.1: what we have; §9.2: what the client has.
#[test]
fn both_sides_say_what_they_have() {
    let mut talk = Talk::usual("ack='1'");
    talk.say(11, "ack='10'", "<a/>");
    talk.say(12, "ack='10'", "<b/>");
    talk.expect(11, "<body ack='12'/>");
    talk.stream("<c/>");
    talk.expect(12, "<body><c/></body>");
    talk.pass(2_999);
    talk.say(13, "ack='11'", "<d/>");
    talk.expect(13, "nothing");
    talk.pass(3_001);
    talk.say(14, "ack='11'", "<e/>");
    talk.expect(13, "<body ack='14' report='12' time='6000'/>");
    talk.say(12, "ack='10'", "<b/>");
    talk.expect(12, "<body><c/></body>");
    // What it has is forgotten.
    talk.say(15, "ack='13'", "<e/>");
    talk.send(12, "ack='10'", "<b/>");
    talk.expect(12, NOT_FOUND);
}

/// §9.2, §14.3: what the client has is not kept, nor what is long for much longer than it is on its way.
#[test]
fn a_session_that_waits_keeps_little() {
    let long = format!("<a>{}</a>", "x".repeat(ANSWER_SHORT_BYTES_MAX));
    for (attributes, said, kept) in [
        ("", "", &[11, 12][..]),
        ("ack='1'", "", &[]),
        ("ack='1'", "ack='11'", &[12]),
        ("ack='1'", "ack='10'", &[11, 12]),
    ] {
        for (answer, is_short) in [("<a/>", true), (&*long, false)] {
            let mut talk = Talk::usual(attributes);
            let ack = if attributes.is_empty() {
                ""
            } else {
                "ack='10'"
            };
            for rid in [11, 12] {
                talk.say(rid, ack, "<b/>");
                talk.stream(answer);
            }
            talk.say(13, said, "");
            let found = talk.session.answered.iter().map(|it| it.rid);
            let found: Vec<u64> = found.filter(|rid| *rid > 10).collect();
            let is_forgotten = attributes.is_empty() && !is_short;
            let kept = if is_forgotten { &[12][..] } else { kept };
            assert_eq!(found, kept, "{attributes} {said}");
        }
    }
}

/// §10: without a request for too long; a pause is longer or shorter, once.
#[test]
fn silence_ends_the_session() {
    for (attributes, pause, ms) in [
        ("", "", 60_000),
        ("", "pause='300'", 300_000),
        ("", "pause='5'", 5_000),
        ("hold='0' wait='1'", "", 120_000),
    ] {
        let terms = if attributes.is_empty() {
            "hold='1' wait='50'"
        } else {
            attributes
        };
        let mut talk = Talk::open(&format!("ver='1.6' {terms}"));
        talk.stream("<features/>");
        if !pause.is_empty() {
            talk.say(11, "", "<a/>");
            talk.say(12, pause, "");
            talk.expect(11, "<body/>");
            talk.expect(12, "<body/>");
        }
        assert_eq!(talk.session.deadline(talk.now), ms);
        talk.pass(ms - 1);
        assert!(!talk.session.is_over, "{attributes} {pause}");
        talk.pass(1);
        assert!(talk.session.is_over, "{attributes} {pause}");
        talk.send(13, "", "");
        talk.expect(13, NOT_FOUND);
    }
    let mut talk = Talk::usual("");
    talk.say(11, "pause='300'", "");
    talk.say(12, "", "");
    talk.lose(12);
    assert_eq!(talk.session.deadline(talk.now), 60_000, "back to normal");
    // Longer than was offered: no pause.
    talk.say(13, "pause='301'", "");
    talk.expect(13, "nothing");
}

/// §10: what waits is not told to somebody who is about to leave.
#[test]
fn a_pause_is_answered_without_payloads() {
    let mut talk = Talk::usual("");
    talk.stream("<a/>");
    talk.say(11, "pause='60'", "");
    talk.expect(11, "<body/>");
    talk.pass(59_000);
    talk.say(12, "", "");
    talk.expect(12, "<body><a/></body>");
}

/// §13: what is inside comes first, and the oldest request is told.
#[test]
fn the_client_says_goodbye() {
    let mut talk = Talk::usual("");
    talk.heard.clear();
    talk.say(11, "", "");
    talk.say(12, "type='terminate'", "<presence type='unavailable'/>");
    assert_eq!(talk.heard, "<presence type='unavailable'/></stream:stream>");
    talk.expect(11, "nothing");
    talk.stream("</stream:stream>");
    talk.expect(11, "<body type='terminate'/>");
    talk.expect(12, "<body/>");
    talk.send(13, "", "");
    talk.expect(13, NOT_FOUND);
    assert!(talk.session.answered.is_empty() && talk.session.output.is_empty());
}

/// §13: more waits than usually goes into an answer, and nobody will ask for the rest.
#[test]
fn the_goodbye_says_all_that_waits() {
    let mut talk = Talk::usual("");
    let long = format!("<a>{}</a>", "x".repeat(40_000));
    talk.stream(&long.repeat(3));
    talk.say(11, "type='terminate'", "<b/>");
    talk.expect(11, "nothing");
    assert!(talk.session.untold() > 120_000);
    talk.stream("<c/></stream:stream>");
    let all = long.repeat(3);
    talk.expect(11, &format!("<body type='terminate'>{all}<c/></body>"));
    assert!(talk.session.is_told);
}

/// Whoever is told nothing at the end has received nothing.
#[test]
fn who_is_gone_is_told_nothing() {
    let mut talk = Talk::usual("");
    talk.stream("<a/>");
    talk.pass(60_000);
    assert!(talk.session.is_over && !talk.session.is_told);
}

/// XEP-0206 §6, and §17.2: why the stream ended.
#[test]
fn the_stream_ends() {
    let error = |name: &str| {
        format!(
            "<message/><stream:error><{name} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>\
             </stream:stream>"
        )
    };
    let streams = "xmlns:stream='http://etherx.jabber.org/streams'";
    let conflict = format!(
        "<body {streams} type='terminate' condition='remote-stream-error'><message/><stream:error {streams}>\
         <conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></body>"
    );
    let stop = "<body type='terminate' condition='system-shutdown'><message/></body>";
    for (said, expected) in [
        (error("conflict"), conflict.as_str()),
        (error("system-shutdown"), stop),
        (
            "<message/></stream:stream>".into(),
            "<body type='terminate'><message/></body>",
        ),
    ] {
        let mut talk = Talk::usual("");
        talk.say(11, "", "");
        talk.stream(&said);
        talk.expect(11, expected);
        assert!(talk.session.is_over);
        // Nobody was there: who comes next is told.
        let mut talk = Talk::usual("");
        talk.stream(&said);
        talk.say(11, "", "");
        talk.expect(11, expected);
    }
}

/// §15: the keys of the specification's algorithm.
#[test]
fn keys_follow_one_another() {
    let mut keys = vec!["seed".to_owned()];
    for _ in 0..6 {
        let hash = aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
            keys[keys.len() - 1].as_bytes(),
        );
        keys.push(
            hash.as_ref()
                .iter()
                .fold(String::new(), |out, byte| out + &format!("{byte:02x}")),
        );
    }
    let key = |number: usize| format!("key='{}'", keys[number]);
    let new = format!("{} newkey='{}'", key(4), keys[2].to_uppercase());
    let lower = |number: usize| key(number).replace("key=", "newkey=");
    for (second, third, expected) in [
        (key(4), key(3), "nothing"),
        (key(4), key(2), NOT_FOUND),
        (key(4), String::new(), NOT_FOUND),
        (key(3), key(3), NOT_FOUND),
        (String::new(), key(3), NOT_FOUND),
        (new.clone(), key(1), "nothing"),
        (new, key(3), NOT_FOUND),
        (lower(3), key(2), NOT_FOUND),
    ] {
        let mut talk = Talk::usual(&format!("newkey='{}'", keys[5]));
        talk.say(11, &second, "<a/>");
        if talk.session.is_over {
            talk.expect(11, NOT_FOUND);
            assert!(!talk.heard.contains("<a/>"), "it is not processed");
            continue;
        }
        talk.say(12, &third, "<b/>");
        talk.expect(12, expected);
        assert_eq!(talk.heard.contains("<b/>"), expected == "nothing");
        // Whoever repeats a request repeats its key.
        if expected == "nothing" {
            talk.send(11, &key(1), "<a/>");
            talk.expect(11, NOT_FOUND);
        }
    }
}

/// §16: there is one stream, and it has no name.
#[test]
fn there_is_one_stream_in_a_session() {
    for (attributes, inside, expected) in [
        ("to='localhost'", "", "nothing"),
        ("stream='second'", "", "nothing"),
        ("stream='second'", "<a/>", NOT_FOUND),
    ] {
        let mut talk = Talk::usual("");
        talk.heard.clear();
        talk.say(11, attributes, inside);
        assert_eq!(talk.heard, "");
        talk.expect(11, expected);
    }
}

/// §17.1: who sent no version knows nothing but the status.
#[test]
fn clients_of_long_ago_get_a_status() {
    for (version, expected) in [("", "404 "), ("ver='1.0'", "")] {
        let mut talk = Talk::open(&format!("hold='1' wait='50' {version}"));
        talk.stream("<features/>");
        talk.send(99, "", "");
        talk.expect(99, &format!("{expected}{NOT_FOUND}"));
    }
}
