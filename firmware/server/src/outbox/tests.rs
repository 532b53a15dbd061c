//! The outbox against what XEP-0198 and XEP-0352 say of it.

use super::*;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use xmpp::{Class, Jid, Kind};

fn entry(name: &str) -> Entry {
    Entry::compose(Kind::Message, None, &[("id", name)], String::new())
}

fn classed(name: &str, class: Class) -> Entry {
    Entry {
        class,
        ..entry(name)
    }
}

fn names(entries: impl IntoIterator<Item = Entry>) -> String {
    let name = |entry: Entry| {
        let head = String::from_utf8_lossy(&entry.head).into_owned();
        head.replace(" id='", "").replace('\'', "")
    };
    entries.into_iter().map(name).collect::<Vec<_>>().join(" ")
}

fn managed(count: u32) -> Outbox {
    let outbox = Outbox::default();
    outbox.manage();
    for number in 0..count {
        outbox.push(entry(&number.to_string()));
    }
    outbox
}

#[test]
fn what_was_not_acknowledged_is_sent_again_in_order() {
    let outbox = managed(3);
    assert_eq!(names(outbox.take().entries), "0 1 2");
    outbox.push(entry("3"));
    assert!(outbox.acknowledge(1).is_ok());
    outbox.detach();
    outbox.push(entry("4"));
    outbox.attach();
    assert_eq!(outbox.rewind(2, |_, _| {}), Ok(vec![]));
    assert_eq!(names(outbox.take().entries), "2 3 4");
    assert_eq!(outbox.acknowledge(5), Ok(vec![]));
    assert!(outbox.unacknowledged().1.is_empty());
}

#[test]
fn a_count_that_is_too_high_changes_nothing() {
    let outbox = managed(2);
    outbox.take();
    assert_eq!(outbox.acknowledge(3), Err(2));
    assert_eq!(outbox.acknowledge(u32::MAX), Err(2));
    assert_eq!(outbox.unacknowledged().1.len(), 2);
    assert_eq!(outbox.rewind(3, |_, _| {}), Err(2));
}

#[test]
fn the_count_wraps() {
    let outbox = Outbox::default();
    outbox.restore(u32::MAX, vec![entry("last"), entry("zero")]);
    assert_eq!(outbox.acknowledge(0), Ok(vec![]));
    assert_eq!(names(outbox.unacknowledged().1), "zero");
    assert!(outbox.acknowledge(1).is_ok());
    assert_eq!(outbox.acknowledge(2), Err(1));
}

/// Each word is something that happens: `m` a message goes out, `p` a presence, `+250` milliseconds pass,
/// `a2` the client acknowledges two more stanzas. Expected is for each word whether the client is asked
/// behind it, or when it will be.
fn check_asking(words: &str, expected: Expect) {
    let (outbox, mut now, mut h) = (Outbox::default(), 5_000, 0);
    outbox.manage();
    let mut said = Vec::new();
    for word in words.split_whitespace() {
        let (what, number) = word.split_at(1);
        match what {
            "m" => outbox.push(entry("message")),
            "p" => outbox.push(Entry {
                kind: xmpp::Kind::Presence,
                ..entry("presence")
            }),
            "+" => now += number.parse::<u64>().unwrap(),
            _ => {
                h += number.parse::<u32>().unwrap();
                outbox.acknowledge(h).unwrap();
            }
        }
        said.push(match outbox.take_for(outbox.epoch(), now).ask {
            Ask::No => "-".to_owned(),
            Ask::Now => "now".to_owned(),
            Ask::At(then) => format!("in {}", then - now),
        });
    }
    expected.assert_eq(&said.join(", "));
}

#[test]
fn a_client_is_asked_at_once_and_then_now_and_then() {
    check_asking("m m m", expect!["now, -, -"]);
    check_asking(
        "m +10 a1 m +10 m",
        expect!["now, -, -, in 990, in 980, in 980"],
    );
    check_asking(
        "m +10 a1 m m m m m a5 m",
        expect!["now, -, -, in 990, in 990, in 990, in 990, now, -, in 1000"],
    );
    check_asking(
        "m +10 a1 m +990 a1 m",
        expect!["now, -, -, in 990, now, -, in 1000"],
    );
    check_asking("m m +10 a1 +990", expect!["now, -, -, in 990, now"]);
    check_asking("m a1 +1000 m", expect!["now, -, -, now"]);
    // The answer told of nothing new.
    check_asking("m +10 a0 +5000 m", expect!["now, -, -, -, now"]);
    // Presence waits for company.
    check_asking("p p p p +5000 p a5 p", expect!["-, -, -, -, -, now, -, -"]);
    check_asking("p m", expect!["-, now"]);
}

#[test]
fn an_older_connection_gets_nothing_more() {
    let outbox = managed(1);
    let old = outbox.epoch();
    let new = outbox.attach();
    let batch = outbox.take_for(old, 0);
    assert!(batch.entries.is_empty());
    assert_eq!(batch.end.map(|end| end.condition), Some("conflict"));
    assert_eq!(names(outbox.take_for(new, 0).entries), "0");
}

#[test]
fn a_slow_reader_that_can_resume_loses_its_line_first() {
    let outbox = managed(OUTBOX_STANZAS_MAX as u32 + 1);
    assert!(outbox.take().cut);
    outbox.detach();
    for _ in 0..WAITING_STANZAS_MAX - OUTBOX_STANZAS_MAX - 1 {
        outbox.push(entry("more"));
    }
    assert!(!outbox.is_ended());
    outbox.push(entry("too many"));
    assert!(outbox.is_ended());

    let unmanaged = Outbox::default();
    for _ in 0..=OUTBOX_STANZAS_MAX {
        unmanaged.push(entry("x"));
    }
    assert!(unmanaged.take().end.is_some());
}

#[test]
fn while_nobody_looks_only_what_matters_goes_out_and_in_order() {
    let of = |who: &str| Class::Presence(Jid::parse(who).unwrap());
    let writes = || Class::ChatState(Jid::parse("romeo@h/a").unwrap());
    let outbox = managed(0);
    outbox.set_active(false);
    for (name, class) in [
        ("romeo-away", of("romeo@h/a")),
        ("typing", writes()),
        ("receipt", Class::Later),
        ("nurse", of("nurse@h/a")),
        ("romeo-back", of("romeo@h/a")),
        ("paused", writes()),
    ] {
        outbox.push(classed(name, class));
    }
    assert!(outbox.take().entries.is_empty());
    outbox.push(entry("news"));
    assert_eq!(
        names(outbox.take().entries),
        "receipt nurse romeo-back paused news"
    );
    outbox.push(classed("paused", Class::Later));
    assert!(outbox.take().entries.is_empty());
    outbox.set_active(true);
    outbox.push(classed("typing", Class::Later));
    assert_eq!(names(outbox.take().entries), "paused typing");
}

#[derive(Clone, Debug)]
enum Event {
    Push,
    Write,
    /// The client handles so many of what it has, and says so.
    Acknowledge(u8),
    /// The line drops; the client had handled so many more than it said.
    Resume(u8),
    Looks(bool),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => Just(Event::Push),
        3 => Just(Event::Write),
        2 => any::<u8>().prop_map(Event::Acknowledge),
        1 => any::<u8>().prop_map(Event::Resume),
        1 => any::<bool>().prop_map(Event::Looks),
    ];
    proptest::collection::vec(event, 0..200)
}

proptest! {
    /// Nothing is lost, nothing comes twice, and the order is that of the pushes, whatever the line does.
    #[test]
    fn a_client_that_counts_gets_everything_once(events in events(), start: u32) {
        let outbox = Outbox::default();
        outbox.restore(start, Vec::new());
        outbox.attach();
        let (mut pushed, mut got) = (0_u32, Vec::new());
        let mut wire: VecDeque<Entry> = VecDeque::new();
        let handle = |wire: &mut VecDeque<Entry>, got: &mut Vec<Entry>, few: u8| {
            let few = usize::from(few).min(wire.len());
            got.extend(wire.drain(..few));
        };
        for event in events {
            match event {
                Event::Push => {
                    outbox.push(entry(&pushed.to_string()));
                    pushed += 1;
                }
                Event::Write => wire.extend(outbox.take().entries),
                Event::Acknowledge(few) => {
                    handle(&mut wire, &mut got, few);
                    let h = start.wrapping_add(got.len() as u32);
                    prop_assert!(outbox.acknowledge(h).is_ok());
                }
                Event::Resume(few) => {
                    handle(&mut wire, &mut got, few);
                    wire.clear();
                    outbox.detach();
                    outbox.attach();
                    let h = start.wrapping_add(got.len() as u32);
                    let rewound = outbox.rewind(h, |_, _| {});
                    prop_assert!(rewound.is_ok());
                }
                Event::Looks(active) => outbox.set_active(active),
            }
        }
        outbox.set_active(true);
        wire.extend(outbox.take().entries);
        got.extend(wire);
        let wanted: Vec<String> = (0..pushed).map(|number| number.to_string()).collect();
        prop_assert_eq!(names(got), wanted.join(" "));
    }
}
