//! What only the core can show: what waits for the disk and what does not, and that nothing is lost or out
//! of order on the way through it. Everything that a client can see is in `tests/scripts`.

use crate::{fixture::Fixture, session::Session};
use std::sync::Arc;
use store::{disk::Fault, limits::PROBE_SECONDS_MAX};

const ADD: &str = "<iq type='set' id='s'><query xmlns='jabber:iq:roster'>\
     <item jid='x@far.example'/></query></iq>";

fn message(to: &str, body: &str) -> String {
    format!("<message to='{to}' type='chat'><body>{body}</body></message>")
}

/// The bodies of what came, in order.
fn bodies(got: &[String]) -> Vec<String> {
    let body = |xml: &String| {
        Some(
            xml.split_once("<body>")?
                .1
                .split_once("</body>")?
                .0
                .to_owned(),
        )
    };
    got.iter().filter_map(body).collect()
}

/// So many messages for juliet, who is not there: more than her outbox holds at once.
fn fill_what_waits(home: &Fixture, from: &Arc<Session>, count: usize) {
    let padding = "x".repeat(20_000);
    for number in 0..count {
        let body = format!("{number} {padding}");
        home.send(from, &message("juliet@home.example", &body));
    }
    home.write();
}

/// Everything that a session gets, a replay in its turns.
fn got_all(home: &Fixture, session: &Arc<Session>) -> Vec<String> {
    (0..100).flat_map(|_| home.got(session)).collect()
}

/// The number at the beginning of each body.
fn numbers(got: &[String]) -> Vec<usize> {
    let number = |body: &String| body.split(' ').next().unwrap().parse().unwrap();
    bodies(got).iter().map(number).collect()
}

#[test]
fn a_push_leaves_at_once_and_the_result_when_it_is_durable() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    home.send(&juliet, ADD);
    let got = home.got(&juliet);
    assert!(
        got.len() == 1 && got[0].contains("subscription='none'"),
        "{got:?}"
    );
    home.write();
    let got = home.got(&juliet);
    assert!(
        got.len() == 1 && got[0].contains("type='result'"),
        "{got:?}"
    );
}

/// RFC 6121 §2.6: who saw the push may ask for the list by that version.
#[test]
fn a_roster_version_that_the_disk_refused_is_not_given_to_another_list() {
    let home = Fixture::new(&["juliet"]);
    let pushed = |item: &str| {
        let juliet = home.online("juliet", "balcony");
        home.write();
        home.send(
            &juliet,
            &format!(
                "<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='{item}'/></query></iq>"
            ),
        );
        let push = home.got(&juliet).remove(0);
        let (_, version) = push.split_once("ver='").unwrap();
        version.split('\'').next().unwrap().to_owned()
    };
    home.disk.fail(store::disk::FileName::Journal, Fault::Sync);
    let refused = pushed("x@far.example");
    home.write();
    home.disk.heal();
    home.hands.pass(PROBE_SECONDS_MAX * 1_000);
    home.write();
    assert_ne!(pushed("y@far.example"), refused);
}

#[test]
fn a_message_is_delivered_before_it_is_durable() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let (juliet, romeo) = (
        home.online("juliet", "balcony"),
        home.online("romeo", "orchard"),
    );
    home.send(&romeo, &message("juliet@home.example", "now"));
    assert_eq!(bodies(&home.got(&juliet)), ["now"]);
}

#[test]
fn a_disk_that_fails_refuses_what_must_be_kept_and_recovers() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let romeo = home.online("romeo", "orchard");
    home.write();
    home.disk.fail(store::disk::FileName::Journal, Fault::Write);
    home.send(&romeo, ADD);
    home.write();
    let batch = romeo.outbox.take();
    assert!(
        batch.end.is_some(),
        "what the account believed never became true: it is loaded afresh"
    );
    home.leave(&romeo);

    let romeo = home.bind("romeo", "orchard");
    home.send(&romeo, "<presence/>");
    home.got(&romeo);
    home.send(&romeo, &message("juliet@home.example", "lost?"));
    let got = home.got(&romeo);
    assert!(
        got.len() == 1 && got[0].contains("resource-constraint") && got[0].contains("wait"),
        "{got:?}"
    );
    home.send(
        &romeo,
        "<iq type='get' id='p' to='home.example'><ping xmlns='urn:xmpp:ping'/></iq>",
    );
    assert!(
        home.got(&romeo)[0].contains("type='result'"),
        "what needs no disk goes on"
    );

    home.disk.heal();
    home.hands.pass(600_000);
    home.write();
    home.send(&romeo, &message("juliet@home.example", "kept"));
    assert_eq!(home.got(&romeo), [""; 0], "no error: it waits");
    assert_eq!(
        bodies(&home.got(&home.online_with_waiting("juliet"))),
        ["kept"]
    );
}

#[test]
fn many_waiting_messages_come_in_order_and_new_ones_behind_them() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let romeo = home.online("romeo", "orchard");
    fill_what_waits(&home, &romeo, 100);
    let juliet = home.online_with_waiting("juliet");
    home.send(&romeo, &message("juliet@home.example", "100 new"));
    let got = got_all(&home, &juliet);
    assert_eq!(numbers(&got), (0..=100).collect::<Vec<_>>());
}

const CARBONS: &str = "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>";

#[test]
fn copies_come_in_their_turn_behind_what_waited() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let romeo = home.online("romeo", "orchard");
    fill_what_waits(&home, &romeo, 50);
    let chamber = home.bind("juliet", "chamber");
    let balcony = home.online_with_waiting("juliet");
    home.send(&balcony, CARBONS);
    home.send(&chamber, &message("romeo@home.example", "50 sent"));
    home.send(
        &romeo,
        &message("juliet@home.example/chamber", "51 received"),
    );
    home.send(&chamber, &message("romeo@home.example", "52 sent"));
    home.write();
    let got = got_all(&home, &balcony);
    assert_eq!(numbers(&got), (0..=52).collect::<Vec<_>>());
    let copies = got
        .iter()
        .filter(|xml| xml.contains("><sent xmlns='urn:xmpp:carbons:2'>"));
    assert_eq!(copies.count(), 2);
}

#[test]
fn a_message_is_given_when_a_socket_took_its_copy() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let romeo = home.online("romeo", "orchard");
    for taken in [true, false] {
        let (chamber, balcony) = (
            home.online("juliet", "chamber"),
            home.online("juliet", "balcony"),
        );
        home.send(&balcony, CARBONS);
        home.send(&romeo, &message("juliet@home.example/chamber", "hark"));
        if taken {
            assert_eq!(bodies(&home.got(&balcony)), ["hark"]);
        }
        home.leave(&chamber);
        home.leave(&balcony);
        let garden = home.bind("juliet", "garden");
        home.send(&garden, "<presence/>");
        let waited = bodies(&home.got(&garden));
        assert_eq!(waited.is_empty(), taken, "{waited:?}");
        home.leave(&garden);
    }
}

#[test]
fn what_a_socket_did_not_take_waits_for_the_next_session() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let (juliet, romeo) = (
        home.online("juliet", "balcony"),
        home.online("romeo", "orchard"),
    );
    home.send(&romeo, &message("juliet@home.example", "taken"));
    assert_eq!(bodies(&home.got(&juliet)), ["taken"]);
    home.send(&romeo, &message("juliet@home.example", "in the air"));
    home.leave(&juliet);
    let juliet = home.online_with_waiting("juliet");
    assert_eq!(bodies(&home.got(&juliet)), ["in the air"]);
}

#[test]
fn an_account_leaves_memory_and_comes_back_with_everything() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let (juliet, romeo) = (
        home.online("juliet", "balcony"),
        home.online("romeo", "orchard"),
    );
    home.send(&juliet, ADD);
    home.leave(&juliet);
    drop(juliet);
    home.send(&romeo, &message("juliet@home.example", "wait"));
    assert_eq!(home.server.counts().accounts_in_memory, 2);
    home.tick();
    assert_eq!(
        home.server.counts().accounts_in_memory,
        2,
        "its last writes are not applied yet"
    );
    home.write();
    home.tick();
    assert_eq!(home.server.counts().accounts_in_memory, 1);
    let juliet = home.bind("juliet", "balcony");
    home.send(
        &juliet,
        "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>",
    );
    home.send(&juliet, "<presence/>");
    let got = home.got(&juliet);
    assert!(got[0].contains("x@far.example"), "{got:?}");
    assert_eq!(bodies(&got), ["wait"]);
}

#[test]
fn the_power_takes_nothing_that_was_confirmed() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let romeo = home.online("romeo", "orchard");
    home.send(&romeo, &message("juliet@home.example", "before"));
    home.send(&romeo, ADD);
    home.write();
    assert!(
        home.got(&romeo)
            .iter()
            .any(|xml| xml.contains("type='result'"))
    );
    home.disk.power_fails(7);
    let home = Fixture::on(home.disk.clone());
    let romeo = home.bind("romeo", "orchard");
    home.send(
        &romeo,
        "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>",
    );
    assert!(home.got(&romeo)[0].contains("x@far.example"));
    assert_eq!(
        bodies(&home.got(&home.online_with_waiting("juliet"))),
        ["before"]
    );
}

#[test]
fn a_message_kept_only_until_delivered_leaves_nothing_behind() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let romeo = home.online("romeo", "orchard");
    home.send(
        &romeo,
        "<message to='juliet@home.example' type='chat'><body>hush</body>\
         <no-permanent-store xmlns='urn:xmpp:hints'/></message>",
    );
    home.write();
    let juliet = home.online_with_waiting("juliet");
    assert_eq!(bodies(&home.got(&juliet)), ["hush"]);
    home.send(&juliet, ADD); // a group that takes the rest along
    home.write();
    let snapshot = home.server.store().snapshot().unwrap();
    assert_eq!(
        crate::archive::PAYLOAD
            .prefix(&snapshot, &())
            .unwrap()
            .count(),
        0
    );
    assert_eq!(
        crate::archive::ENTRY
            .prefix(&snapshot, &())
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn a_removed_account_takes_its_messages_along_but_not_those_of_others() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let (juliet, romeo) = (
        home.online("juliet", "balcony"),
        home.online("romeo", "orchard"),
    );
    home.send(&romeo, &message("juliet@home.example", "hers"));
    home.send(&romeo, &message("nurse@far.example", "his alone"));
    home.got(&juliet);
    home.write();
    let rows = |home: &Fixture| {
        let snapshot = home.server.store().snapshot().unwrap();
        let entries = crate::archive::ENTRY
            .prefix(&snapshot, &())
            .unwrap()
            .count();
        (
            entries,
            crate::archive::PAYLOAD
                .prefix(&snapshot, &())
                .unwrap()
                .count(),
        )
    };
    assert_eq!(rows(&home), (3, 2));
    home.remove("romeo");
    assert_eq!(rows(&home), (1, 1), "what Juliet got stays hers");
    home.remove("juliet");
    assert_eq!(rows(&home), (0, 0));
}

#[test]
fn waiting_messages_larger_than_an_outbox_come_all_the_same() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let romeo = home.online("romeo", "orchard");
    let padding = "x".repeat(250_000);
    for number in 0..20 {
        home.send(
            &romeo,
            &message("juliet@home.example", &format!("{number} {padding}")),
        );
    }
    home.write();
    let juliet = home.online_with_waiting("juliet");
    let mut got = Vec::new();
    for _ in 0..20 {
        got.extend(home.got(&juliet));
    }
    let numbers: Vec<String> = bodies(&got)
        .iter()
        .map(|body| body.split(' ').next().unwrap().to_owned())
        .collect();
    let expected: Vec<String> = (0..20).map(|number: u32| number.to_string()).collect();
    assert_eq!(numbers, expected);
    assert!(juliet.outbox.take().end.is_none());
}

#[test]
fn waiting_messages_come_though_something_large_waits_before_them() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let romeo = home.online("romeo", "orchard");
    home.send(&romeo, &message("juliet@home.example", "waiting"));
    let juliet = home.bind("juliet", "balcony");
    let padding = "x".repeat(200_000);
    for _ in 0..2 {
        home.send(
            &romeo,
            &format!(
                "<message to='juliet@home.example/balcony' type='headline'><body>{padding}</body></message>"
            ),
        );
    }
    home.send(&juliet, "<presence/>");
    home.send(&romeo, &message("juliet@home.example", "new"));
    let mut got = home.got(&juliet);
    got.extend(home.got(&juliet));
    assert_eq!(bodies(&got)[2..], ["waiting", "new"]);
}

#[test]
fn a_session_whose_resource_was_taken_says_nothing_more() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let romeo = home.online("romeo", "orchard");
    let old = home.online("juliet", "balcony");
    let new = home.online("juliet", "balcony");
    home.send(&old, "<presence><priority>-1</priority></presence>");
    home.send(&old, &message("romeo@home.example", "from the dead"));
    assert_eq!(home.got(&romeo), [""; 0]);
    home.send(&romeo, &message("juliet@home.example", "for the living"));
    assert_eq!(bodies(&home.got(&new)), ["for the living"]);
}

#[test]
fn an_account_that_left_the_directory_takes_and_writes_nothing() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let (juliet, romeo) = (
        home.online("juliet", "balcony"),
        home.online("romeo", "orchard"),
    );
    home.write();
    home.server.directory().forget(&juliet.account);
    home.send(&juliet, ADD);
    home.send(&juliet, &message("romeo@home.example", "from nobody"));
    assert_eq!(home.got(&romeo), [""; 0]);
    home.send(&romeo, &message("juliet@home.example", "to the new one"));
    home.leave(&juliet);
    let juliet = home.bind("juliet", "balcony");
    home.send(
        &juliet,
        "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>",
    );
    home.send(&juliet, "<presence/>");
    let got = home.got(&juliet);
    assert!(!got[0].contains("x@far.example"), "{got:?}");
    assert_eq!(bodies(&got), ["to the new one"]);
}

#[test]
fn a_roster_is_full_when_its_texts_are_too_long_together() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    let groups: Vec<String> = (0..50)
        .map(|number| format!("<group>{number}{}</group>", "&amp;".repeat(1_000)))
        .collect();
    let groups = groups.concat();
    let set = |number: u32, content: &str| {
        let item = format!("<item jid='x{number}@far.example'>{content}</item>");
        let xml =
            format!("<iq type='set' id='s'><query xmlns='jabber:iq:roster'>{item}</query></iq>");
        home.send(&juliet, &xml);
        home.write();
        home.got(&juliet).concat()
    };
    let kept = (0..20).take_while(|number| set(*number, &groups).contains("type='result'"));
    assert_eq!(kept.count(), 11);
    assert!(set(12, &groups).contains("resource-constraint"));
    assert!(
        set(0, &groups).contains("type='result'"),
        "one that is there can be changed"
    );
    home.send(
        &juliet,
        "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>",
    );
    let batch = juliet.outbox.take();
    assert!(
        batch.end.is_none() && batch.entries.len() == 1,
        "the whole of it can be read"
    );
}

#[test]
fn a_failed_write_that_is_made_again_anyway_ends_no_session() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let (juliet, romeo) = (
        home.online("juliet", "balcony"),
        home.online("romeo", "orchard"),
    );
    home.send(&romeo, &message("juliet@home.example", "taken"));
    home.write();
    assert_eq!(bodies(&home.got(&juliet)), ["taken"]); // her mark is queued now
    home.disk.fail(store::disk::FileName::Journal, Fault::Write);
    home.send(&romeo, ADD);
    home.write();
    assert!(romeo.outbox.take().end.is_some());
    assert!(juliet.outbox.take().end.is_none());
}

/// XEP-0313 with XEP-0198: the acknowledgements of a client that asks for everything at once are behind its
/// queries.
#[test]
fn many_archive_pages_at_once_do_not_cost_the_connection() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let juliet = home.online("juliet", "balcony");
    juliet.outbox.manage();
    for number in 0..250 {
        home.send(&juliet, &message("romeo@home.example", &number.to_string()));
    }
    home.write();
    let page = || {
        home.send(
            &juliet,
            "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'>\
             <set xmlns='http://jabber.org/protocol/rsm'><max>250</max></set></query></iq>",
        );
        home.got(&juliet)
    };
    let all: Vec<_> = (0..40).map(|_| page()).collect();
    let is_whole = |page: &&Vec<String>| page.len() == 251;
    let whole = all.iter().take_while(is_whole).count();
    assert!(whole > 8, "{whole} pages");
    for refused in &all[whole..] {
        let [answer] = &refused[..] else {
            panic!("{} stanzas", refused.len())
        };
        assert!(
            answer.contains("<error type='wait'><resource-constraint"),
            "{answer}"
        );
    }
    let sent: usize = all.iter().map(Vec::len).sum();
    juliet.outbox.acknowledge(sent as u32).unwrap();
    assert_eq!(page().len(), 251);
}
