//! Registrations without a stream: who makes room for whom, what ends them, and what a test of them tells.

use super::*;
use crate::{
    AccountChange, Outcome,
    account::Account,
    accounts,
    fixture::{Fixture, now},
    limits::{
        PUSH_CALL_INTERVAL_MS, PUSH_FAILURES_MAX, PUSH_FILTER_ADDRESSES_MAX, PUSH_FILTER_BYTES_MAX,
        PUSH_NODE_BYTES_MAX, PUSH_OPTIONS_BYTES_MAX, PUSH_RETRY_MS_MAX,
    },
};

const HARK: &str = "<message to='juliet@home.example' type='chat'><body>Hark</body></message>";

/// Juliet, who is away and has asked a service that nobody reaches to be woken, and romeo, who is there.
fn away_behind_a_deaf_service(home: &Fixture) -> (Arc<Account>, Arc<Session>) {
    let juliet = home.online("juliet", "balcony");
    let romeo = home.online("romeo", "orchard");
    enable_node(home, &juliet, "push.invalid", "n");
    home.leave(&juliet);
    (juliet.account.clone(), romeo)
}

fn enable_node(home: &Fixture, session: &Arc<Session>, service: &str, node: &str) {
    let enable = format!("<enable xmlns='urn:xmpp:push:0' jid='{service}' node='{node}'/>");
    home.send(session, &format!("<iq type='set' id='e'>{enable}</iq>"));
    home.write();
    session.outbox.take();
    home.hands.pass(1);
}

/// In memory, and on disk, where it must be the same.
fn nodes(home: &Fixture, account: u32, session: &Arc<Session>) -> String {
    home.write();
    let state = session.account.lock();
    let known = state.memory.push.0.iter().map(|it| it.node.to_string());
    let mut known: Vec<String> = known.collect();
    known.sort();
    let snapshot = home.server.store().snapshot().unwrap();
    let stored = Pushes::load(&snapshot, account).unwrap();
    let stored: Vec<String> = stored.0.iter().map(|it| it.node.to_string()).collect();
    assert_eq!(stored, known);
    known.join(" ")
}

fn of_device(session: &Arc<Session>, letter: char) -> devices::Id {
    let id: String = std::iter::repeat_n(letter, 16).collect();
    let id: devices::Id = id.parse().unwrap();
    let mut state = session.account.lock();
    state.resource(&session.jid).unwrap().memory.device = Some(id);
    id
}

#[test]
fn a_device_has_two_registrations_and_an_account_not_too_many() {
    let home = Fixture::new(&["juliet"]);
    let balcony = home.online("juliet", "balcony");
    let id = balcony.account.id;
    for node in ["a", "b", "c"] {
        enable_node(&home, &balcony, "push.example", node);
    }
    assert_eq!(nodes(&home, id, &balcony), "b c");
    // The one that is asked for again is as young as any.
    enable_node(&home, &balcony, "push.example", "b");
    enable_node(&home, &balcony, "push.example", "d");
    assert_eq!(nodes(&home, id, &balcony), "b d");
    for n in 0..PUSHES_MAX {
        let other = home.online("juliet", &format!("r{n}"));
        enable_node(&home, &other, "push.example", &format!("n{n:02}"));
        home.leave(&other);
    }
    let left = nodes(&home, id, &balcony);
    assert_eq!(left.split(' ').count(), PUSHES_MAX);
    assert!(left.starts_with("n00 ") && !left.contains('b'), "{left}");
}

#[test]
fn what_is_asked_for_has_limits() {
    let home = Fixture::new(&["juliet"]);
    let balcony = home.online("juliet", "balcony");
    let answer = |node: &str, inside: &str| {
        let enable = format!(
            "<enable xmlns='urn:xmpp:push:0' jid='push.example' node='{node}'>{inside}</enable>"
        );
        home.send(&balcony, &format!("<iq type='set' id='e'>{enable}</iq>"));
        home.write();
        let got = home.got(&balcony).concat();
        let refused = got.contains("type='error'") && got.contains("<policy-violation ");
        assert!(refused || got.contains("type='result'"), "{got}");
        refused
    };
    let form = |bytes: usize| {
        let type_ = "<field var='FORM_TYPE'>\
             <value>http://jabber.org/protocol/pubsub#publish-options</value></field>";
        let secret = "s".repeat(bytes);
        format!(
            "<x xmlns='jabber:x:data' type='submit'>{type_}\
             <field var='secret'><value>{secret}</value></field></x>"
        )
    };
    let muted = |people: usize| {
        let item = |n: usize| format!("<item jid='{n:010}@far.example'/>");
        let items: String = (0..people).map(item).collect();
        format!("<muted xmlns='tigase:push:filter:muted:0'>{items}</muted>")
    };
    assert!(!answer(&"n".repeat(PUSH_NODE_BYTES_MAX), &form(3_800)));
    assert!(answer(&"n".repeat(PUSH_NODE_BYTES_MAX + 1), ""));
    assert!(answer("n", &form(PUSH_OPTIONS_BYTES_MAX)));
    let each = "0000000000@far.example".len();
    assert!(!answer("n", &muted(PUSH_FILTER_BYTES_MAX / each)));
    assert!(answer("n", &muted(PUSH_FILTER_BYTES_MAX / each + 1)));
    let short = |rooms: usize| {
        let rooms = "<room jid='r' allow='always'/>".repeat(rooms);
        format!("<groupchat xmlns='tigase:push:filter:groupchat:0'>{rooms}</groupchat>")
    };
    assert!(!answer("n", &short(PUSH_FILTER_ADDRESSES_MAX)));
    assert!(answer("n", &short(PUSH_FILTER_ADDRESSES_MAX + 1)));
}

#[test]
fn a_device_that_loses_its_access_is_told_nothing() {
    let home = Fixture::new(&["juliet"]);
    let (phone, tablet) = (
        home.online("juliet", "phone"),
        home.online("juliet", "tablet"),
    );
    let lost = of_device(&phone, 'a');
    of_device(&tablet, 'b');
    let id = phone.account.id;
    enable_node(&home, &phone, "push.example", "phone");
    enable_node(&home, &tablet, "push.example", "tablet");
    let writes = {
        let snapshot = home.server.store().snapshot().unwrap();
        removals_of_device(&snapshot, id, lost).unwrap()
    };
    assert_eq!(writes.len(), 2, "also where the account is not in memory");
    now(home
        .server
        .account_changed("juliet", AccountChange::SignedOut(lost)));
    assert_eq!(nodes(&home, id, &tablet), "tablet");
    // Whoever changes the password goes on, with a device that is known or without.
    let laptop = home.online("juliet", "laptop");
    enable_node(&home, &laptop, "push.example", "laptop");
    let changed = |change| {
        let snapshot = home.server.store().snapshot().unwrap();
        let writes = accounts::passwd(&snapshot, "juliet", "a new one", home.server.dice());
        drop(snapshot);
        home.server
            .store()
            .queue(writes.unwrap(), store::Urgency::Now);
        home.write();
        now(home.server.account_changed("juliet", change));
    };
    changed(AccountChange::OwnPasswordChanged {
        session: laptop.number,
    });
    assert_eq!(nodes(&home, id, &laptop), "laptop");
    of_device(&laptop, 'b');
    enable_node(&home, &laptop, "push.example", "laptop");
    changed(AccountChange::OwnPasswordChanged {
        session: laptop.number,
    });
    assert_eq!(nodes(&home, id, &laptop), "laptop");
    changed(AccountChange::PasswordChanged);
    assert_eq!(nodes(&home, id, &laptop), "");
}

#[test]
fn who_signs_in_again_is_not_woken_for_what_the_old_line_swallowed() {
    let home = Fixture::new(&["juliet", "romeo", "push"]);
    let (romeo, push) = (home.online("romeo", "orchard"), home.online("push", "app"));
    home.send(&push, "<presence to='juliet@home.example'/>");
    let old = home.online("juliet", "balcony");
    old.outbox.manage();
    enable_node(&home, &old, "push@home.example/app", "n");
    home.send(&romeo, HARK);
    old.outbox.take();
    home.got(&push);
    home.online("juliet", "balcony");
    home.hands.pass(60_000);
    home.tick();
    assert_eq!(home.got(&push), Vec::<String>::new());
}

#[test]
fn a_removed_account_leaves_nothing() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let (juliet, romeo) = (
        home.online("juliet", "balcony"),
        home.online("romeo", "orchard"),
    );
    enable_node(&home, &juliet, "push.invalid", "n");
    let id = juliet.account.id;
    home.leave(&juliet);
    home.send(&romeo, HARK);
    home.write();
    let rows = || {
        let snapshot = home.server.store().snapshot().unwrap();
        let registrations = REGISTRATION.prefix(&snapshot, &id).unwrap().count();
        (
            registrations,
            PROGRESS.prefix(&snapshot, &id).unwrap().count(),
        )
    };
    assert_eq!(rows(), (1, 1));
    home.remove("juliet");
    assert_eq!(rows(), (0, 0));
}

#[test]
fn a_push_service_that_fails_for_a_day_is_given_up_and_not_before() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let (account, romeo) = away_behind_a_deaf_service(&home);
    home.send(&romeo, HARK);
    let failures = || {
        let state = account.lock();
        state.memory.push.0.first().map(|it| it.progress.failures)
    };
    assert_eq!(failures(), Some(1), "there is no way to other servers");
    // A busy evening is not a day.
    for _ in 0..100 {
        home.send(&romeo, HARK);
    }
    assert_eq!(failures(), Some(1));
    let mut hours = 0;
    while failures().is_some() {
        home.hands.pass(PUSH_RETRY_MS_MAX);
        home.tick();
        hours += 1;
        assert!(hours < 30 && failures().is_none_or(|failures| failures < PUSH_FAILURES_MAX));
    }
    assert!(hours > 12, "given up after {hours} hours");
    home.write();
    let snapshot = home.server.store().snapshot().unwrap();
    assert!(Pushes::load(&snapshot, account.id).unwrap().is_empty());
    // Whoever asks again is not forgotten with it, should the disk fail for a moment.
    let juliet = home.online("juliet", "balcony");
    enable_node(&home, &juliet, "push.invalid", "n");
    home.server
        .at(&juliet.account, 0, crate::account::write_anew);
    home.hands.pass(600_000); // nobody waits for it
    assert_eq!(nodes(&home, account.id, &juliet), "n");
}

#[test]
fn a_test_tells_what_each_push_service_says() {
    let home = Fixture::new(&["juliet", "push"]);
    let juliet = home.online("juliet", "balcony");
    let tried = |localpart: &str| now(home.server.try_push(localpart));
    assert!(tried("nobody").is_none());
    assert!(tried("juliet").is_some_and(|trials| trials.is_empty()));
    enable_node(&home, &juliet, "push.invalid", "n");
    let mut trial = tried("juliet").unwrap().remove(0);
    assert_eq!(
        (&*trial.service, &*trial.device),
        ("push.invalid", "balcony")
    );
    let refused = Outcome::Refused {
        condition: "remote-server-not-found".into(),
        is_forgotten: false,
    };
    assert_eq!(trial.outcome.try_recv(), Ok(refused));

    let push = home.online("push", "app");
    let directed = "<presence to='juliet@home.example'/>";
    home.send(&push, directed); // whom it may be asked by
    enable_node(&home, &juliet, "push@home.example/app", "m");
    let mut trial = tried("juliet").unwrap().remove(1);
    let asked = home.got(&push).concat();
    assert!(
        asked.contains("urn:xmpp:push:0") && trial.outcome.try_recv().is_err(),
        "{asked}"
    );
    let id = asked
        .split("id='")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap();
    home.send(
        &push,
        &format!("<iq type='result' id='{id}' to='juliet@home.example'/>"),
    );
    assert_eq!(trial.outcome.try_recv(), Ok(Outcome::Taken));
}

#[test]
fn what_the_disk_refused_is_written_anew() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let (account, romeo) = away_behind_a_deaf_service(&home);
    home.send(&romeo, HARK);
    let unread = || {
        home.write();
        let snapshot = home.server.store().snapshot().unwrap();
        let key = (account.id, "push.invalid".to_owned(), "n".to_owned());
        PROGRESS.get(&snapshot, &key).unwrap().map(|it| it.unread)
    };
    assert_eq!(unread(), Some(1));
    let key = (account.id, "push.invalid".to_owned(), "n".to_owned());
    let lost = vec![PROGRESS.remove(&key)];
    home.server.store().queue(lost, store::Urgency::Now);
    assert_eq!(unread(), None);
    home.server.at(&account, 0, crate::account::write_anew);
    home.hands.pass(600_000); // nobody waits for it
    assert_eq!(unread(), Some(1));
}

#[test]
fn whoever_calls_and_calls_again_does_not_end_a_registration() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let (account, romeo) = away_behind_a_deaf_service(&home);
    for n in 0..2 * PUSH_FAILURES_MAX {
        let propose = format!("<propose xmlns='urn:xmpp:jingle-message:0' id='c{n}'/>");
        home.send(
            &romeo,
            &format!("<message to='juliet@home.example' type='chat'>{propose}</message>"),
        );
        now(home.server.try_push("juliet"));
        home.hands.pass(PUSH_CALL_INTERVAL_MS);
    }
    let state = account.lock();
    let failures = state.memory.push.0.first().map(|it| it.progress.failures);
    assert!(
        failures.is_some_and(|it| (1..5).contains(&it)),
        "{failures:?} in minutes"
    );
}
