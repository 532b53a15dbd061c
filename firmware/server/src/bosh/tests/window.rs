//! Which requests are taken, in which order, and what those get that come again (§11, §12, §14).

use super::{super::limits::INPUT_BYTES_MAX, *};
use xmpp::limits::STANZA_BYTES_MAX;

const NOT_FOUND: &str = "<body type='terminate' condition='item-not-found'/>";
const VIOLATION: &str = "<body type='terminate' condition='policy-violation'/>";
const OTHER: &str = "<body type='terminate' condition='other-request'/>";
const AGAIN: &str = "<body type='error'/>";

/// §14.2: whatever order they come in, the stream has theirs.
#[test]
fn requests_are_taken_in_order() {
    let mut talk = Talk::usual("");
    talk.heard.clear();
    talk.say(12, "", "<b/>");
    assert_eq!(talk.heard, "");
    talk.expect(12, "nothing");
    talk.say(11, "", "<a/>");
    assert_eq!(talk.heard, "<a/><b/>");
    talk.expect(11, "<body/>");
    talk.expect(12, "nothing");
    talk.stream("<c/>");
    talk.expect(12, "<body><c/></body>");
}

/// §14.2: beyond the window; §11: one more may say goodbye or pause; §14.3: and what is forgotten.
#[test]
fn the_window_is_as_wide_as_there_may_be_requests() {
    for (hold, rid, attributes, expected) in [
        (1, 11, "", "nothing"),
        (1, 12, "", "nothing"),
        (1, 13, "", NOT_FOUND),
        (1, 13, "pause='5'", "nothing"),
        (1, 13, "type='terminate'", "nothing"),
        (1, 14, "type='terminate'", NOT_FOUND),
        (1, 9_007_199_254_740_991, "", NOT_FOUND),
        (2, 13, "", "nothing"),
        (2, 14, "", NOT_FOUND),
        (1, 9, "", NOT_FOUND),
        (1, 1, "", NOT_FOUND),
    ] {
        let mut talk = Talk::open(&format!("ver='1.6' wait='50' hold='{hold}'"));
        talk.stream("<features/>");
        talk.say(rid, attributes, "<a/>");
        talk.expect(rid, expected);
        assert_eq!(
            talk.session.is_over,
            expected == NOT_FOUND,
            "{rid} {attributes}"
        );
    }
}

/// §11: more at a time than agreed on, or an empty one that makes it as many, too soon.
#[test]
fn too_many_requests_at_a_time_end_the_session() {
    for (ms, attributes, inside, expected) in [
        (0, "", "<a/>", "nothing"),
        (0, "", "", VIOLATION),
        (4_999, "", "", VIOLATION),
        (5_000, "", "", "nothing"),
        (0, "pause='5'", "", "<body/>"),
        (0, "xmpp:restart='true'", "", "nothing"),
    ] {
        let mut talk = Talk::usual("");
        talk.say(11, "", "");
        talk.pass(ms);
        talk.say(12, attributes, inside);
        talk.expect(12, expected);
        talk.expect(
            11,
            if expected == VIOLATION {
                OTHER
            } else {
                "<body/>"
            },
        );
    }
    let mut talk = Talk::usual("");
    talk.say(11, "", "<a/>");
    talk.send(13, "", "<c/>");
    talk.send(12, "", "<b/>");
    talk.expect(12, VIOLATION);
    talk.expect(13, OTHER);
}

/// A page that is loaded again leaves requests behind whose connections broke: they do not count.
#[test]
fn broken_requests_are_none_of_those_at_a_time() {
    for (attributes, inside) in [("", ""), ("", "<b/>"), ("pause='5'", "")] {
        let mut talk = Talk::usual("");
        talk.say(11, "", "<a/>");
        talk.lose(11);
        talk.say(12, attributes, inside);
        assert!(!talk.session.is_over, "{attributes} {inside}");
        talk.send(11, "", "<a/>");
        talk.expect(11, "<body/>");
    }
}

/// What the stream has not taken is answered later, whatever its author would like (§8, §10, §11).
#[test]
fn what_was_not_taken_is_not_answered() {
    for (attributes, ms) in [("", 50_000), ("pause='5'", 0)] {
        let mut talk = Talk::usual("");
        talk.send(11, attributes, "<a/>");
        talk.pass(ms);
        talk.expect(11, "nothing");
        assert!(talk.session.deadline(talk.now) > talk.now);
        talk.settle();
        talk.expect(11, "<body/>");
        assert!(talk.heard.ends_with("<a/>"));
    }
    // The stream waits for its client to take something: that is not held back.
    let mut talk = Talk::usual("");
    talk.stream("<b/>");
    talk.send(11, "", "<a/>");
    talk.expect(11, "<body><b/></body>");
}

/// Whoever breaks one connection after the other gets no more into memory than others.
#[test]
fn what_was_not_taken_has_an_end() {
    let long = format!("<a>{}</a>", "x".repeat(STANZA_BYTES_MAX - 7));
    for (is_known, taken) in [(true, INPUT_BYTES_MAX / STANZA_BYTES_MAX), (false, 0)] {
        let mut talk = Talk::usual("");
        talk.session.is_known = is_known;
        let last = 11 + taken as u64;
        for rid in 11..last {
            talk.send(rid, "", &long);
            assert!(!talk.session.is_over, "{rid}");
            talk.lose(rid);
        }
        talk.send(last, "", &long);
        talk.expect(last, VIOLATION);
        assert_eq!(talk.session.untaken(), 0, "nothing of it is kept");
    }
    let mut talk = Talk::usual("");
    talk.session.is_known = true;
    for rid in 11..100 {
        talk.say(rid, "", &long);
        talk.lose(rid);
    }
    assert!(!talk.session.is_over, "it was taken each time");
}

/// §12: two empty requests in a row, whose first found nothing.
#[test]
fn polling_too_often_ends_the_session() {
    for (ms, found, inside, expected) in [
        (4_999, "", "", VIOLATION),
        (5_000, "", "", "<body/>"),
        (100, "<c/>", "", "<body/>"),
        (100, "", "<a/>", "<body/>"),
    ] {
        for terms in ["wait='0' hold='1'", "wait='50' hold='0'"] {
            let mut talk = Talk::open(&format!("ver='1.6' {terms}"));
            talk.stream("<features/>");
            let opened = talk.answer(10).unwrap();
            assert!(opened.contains("requests='1'"), "{opened}");
            if !found.is_empty() {
                talk.session.say(framing::cut(found.as_bytes()).unwrap(), 0);
            }
            talk.say(11, "", "");
            let first = if found.is_empty() {
                "<body/>".into()
            } else {
                format!("<body>{found}</body>")
            };
            talk.expect(11, &first);
            talk.pass(ms);
            talk.say(12, "", inside);
            talk.expect(12, expected);
        }
    }
}

/// §14.3: the very same answer, as long as it is kept.
#[test]
fn a_lost_answer_comes_again() {
    let mut talk = Talk::usual("");
    talk.say(11, "", "<a/>");
    talk.stream("<b/>");
    talk.expect(11, "<body><b/></body>");
    talk.say(12, "", "");
    talk.say(11, "", "<a/>");
    talk.expect(11, "<body><b/></body>");
    assert_eq!(
        talk.heard.matches("<a/>").count(),
        1,
        "it is not done again"
    );
    talk.stream("<c/>");
    talk.expect(12, "<body><c/></body>");
    talk.say(13, "", "<d/>");
    talk.stream("<e/>");
    talk.expect(13, "<body><e/></body>");
    talk.say(14, "", "");
    talk.send(11, "", "<a/>");
    talk.expect(11, NOT_FOUND);
    talk.expect(14, OTHER);
    talk.send(13, "", "<d/>");
    talk.expect(13, NOT_FOUND);
}

/// §14.3: a request that waits on another connection now.
#[test]
fn a_request_on_a_new_connection_takes_over() {
    let mut talk = Talk::usual("");
    talk.say(11, "", "");
    let mut before = talk.open.remove(&11).unwrap();
    talk.say(11, "", "");
    assert!(before.try_recv().unwrap().body.contains("type='error'"));
    talk.expect(11, "nothing");
    talk.lose(11);
    talk.stream("<a/>");
    assert_eq!(talk.session.output.len(), 1, "nobody is there");
    talk.say(11, "", "");
    talk.expect(11, "<body><a/></body>");
}

/// What a broken connection would have got goes to the request behind it.
#[test]
fn a_broken_connection_takes_nothing_along() {
    let mut talk = Talk::usual("");
    talk.say(11, "", "");
    talk.lose(11);
    talk.stream("<a/>");
    talk.say(12, "", "<b/>");
    talk.expect(12, "<body><a/></body>");
    talk.say(13, "", "<c/>");
    talk.say(11, "", "");
    talk.expect(11, "<body/>");
}

/// §14.3: a limit on the repetitions, §15: and only of what was asked.
#[test]
fn a_request_may_not_come_again_for_ever() {
    for is_answered in [true, false] {
        let mut talk = Talk::usual("");
        talk.say(11, "", "<a/>");
        if is_answered {
            talk.stream("<b/>");
        }
        for _ in 0..super::super::limits::REPEATS_MAX {
            talk.say(11, "", "<a/>");
            assert!(!talk.session.is_over);
        }
        talk.send(11, "", "<a/>");
        talk.expect(11, VIOLATION);
    }
}

/// §17.3: what should have come before it never does.
#[test]
fn a_gap_is_told_after_a_while() {
    let mut talk = Talk::usual("");
    talk.say(12, "", "<b/>");
    talk.pass(49_999);
    talk.expect(12, "nothing");
    talk.pass(1);
    talk.expect(12, AGAIN);
    talk.say(11, "", "<a/>");
    talk.say(12, "", "<b/>");
    talk.expect(11, "<body/>");
    assert!(talk.heard.ends_with("<a/><b/>"), "{}", talk.heard);
}
