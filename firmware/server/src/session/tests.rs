//! What waiting sessions leave on disk, and what a disk that fails does to them.

use super::{
    Session,
    intake::Intake,
    stored::{self, ENTRY, STATE},
    waiting::Resumed,
};
use crate::{
    fixture::{Fixture, now},
    limits::{BOUNCED_MAX, SESSION_WAIT_MS_MAX, WAITING_STANZAS_MAX},
};
use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use store::{
    Urgency,
    disk::{Fault, FileName},
    limits::{PROBE_SECONDS_MAX, SOON_SECONDS_MAX},
};

const TEMPORARY: &str = "<message to='juliet@home.example' type='chat'><body>Hush</body>\
    <no-permanent-store xmlns='urn:xmpp:hints'/></message>";

/// Available and resumable; with the id that resumes it.
fn resumable(home: &Fixture, localpart: &str, resource: &str) -> (Arc<Session>, String) {
    let session = home.bind(localpart, resource);
    session.outbox.manage();
    session.intake.start();
    home.server.dice().fill(&mut [0]); // whose ids would be the same again after 32 bytes
    let id = session.make_resumable(home.server.dice(), SESSION_WAIT_MS_MAX);
    home.send(&session, "<presence/>");
    (session, id)
}

#[test]
fn where_to_come_back_to_is_told_to_who_came_by_starttls() {
    let home = Fixture::new(&["juliet"]);
    for (resource, by_starttls) in [("balcony", true), ("chamber", false)] {
        let session = home.bind("juliet", resource);
        session.note_door(by_starttls);
        let enable = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
        let enable = xmpp::Element::parse(enable, xmpp::ns::CLIENT).unwrap();
        let answer = now(home.server.nonza(&session, &enable)).unwrap();
        let told = answer.contains("location='home.example:5222'");
        assert_eq!(told, by_starttls, "{answer}");
        assert_eq!(answer.contains("location"), by_starttls);
    }
}

fn lose(home: &Fixture, session: &Arc<Session>) {
    now(home.server.lost(session, session.outbox.epoch()));
}

/// Rows of sessions and of stanzas, once everything is written.
fn rows(home: &Fixture) -> (usize, usize) {
    home.hands.pass(SOON_SECONDS_MAX * 1_000 + 1);
    home.write();
    let snapshot = home.server.store().snapshot().unwrap();
    let states = STATE.prefix(&snapshot, &()).unwrap().count();
    let entries = ENTRY.prefix(&snapshot, &()).unwrap().count();
    (states, entries)
}

fn expire(home: &Fixture) {
    home.hands.pass(SESSION_WAIT_MS_MAX);
    home.tick();
}

/// Runs it to its end while the disk does what it can.
fn finished<T>(home: &Fixture, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..10 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return value;
        }
        home.write();
    }
    panic!("it waits for nothing that could still happen");
}

#[test]
fn sessions_that_expire_together_tell_each_other_and_leave_nothing_on_disk() {
    let home = Fixture::new(&["juliet"]);
    let (one, _) = resumable(&home, "juliet", "balcony");
    let (other, _) = resumable(&home, "juliet", "chamber");
    lose(&home, &one);
    lose(&home, &other);
    assert_eq!(
        rows(&home),
        (2, 4),
        "their own presence, and that of the other"
    );
    expire(&home);
    assert_eq!(rows(&home), (0, 0));
}

#[test]
fn a_stanza_without_a_session_goes_when_its_account_is_loaded() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let romeo = home.online("romeo", "orchard");
    home.send(&romeo, "<message to='romeo@home.example'><body/></message>");
    let entry = romeo.outbox.take().entries.pop_front().unwrap();
    let juliet = now(home.server.load("juliet")).unwrap().unwrap().id;
    home.tick(); // out of memory again
    let stray = stored::entry(juliet, &[7; 32], 3, &entry);
    home.server.store().queue(vec![stray], Urgency::Now);
    assert_eq!(rows(&home), (0, 1));
    home.bind("juliet", "balcony");
    assert_eq!(rows(&home), (0, 0));
}

#[test]
fn a_gap_among_the_stanzas_of_a_session_leaves_none_of_them_behind() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let romeo = home.online("romeo", "orchard");
    let (session, id) = resumable(&home, "juliet", "balcony");
    lose(&home, &session);
    for _ in 0..3 {
        home.send(
            &romeo,
            "<message to='juliet@home.example' type='chat'><body>Hark</body></message>",
        );
    }
    let (_, before) = rows(&home);
    assert!(before > 1, "something waits");
    let first = ENTRY.removals(&home.server.store().snapshot().unwrap(), &(), 1);
    home.server.store().queue(first.unwrap(), Urgency::Now);
    assert_eq!(rows(&home), (1, before - 1));
    home.server.store().close();
    let home = Fixture::on(home.disk.clone());
    home.server.restore_sessions().unwrap();
    let resumed = finished(&home, home.server.resume("juliet", &id, 0));
    assert!(matches!(resumed, Resumed::Yes { .. }));
    assert_eq!(rows(&home), (0, 0));
}

#[test]
fn nobody_waits_for_a_stanza_that_the_disk_did_not_take() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let (romeo, id) = resumable(&home, "romeo", "orchard");
    home.write();
    home.disk.fail(FileName::Journal, Fault::Sync);
    home.send(&romeo, TEMPORARY); // writes in the account of juliet alone
    home.write();
    let store = home.server.store();
    assert_eq!(romeo.intake.handled(store), (1, false));
    assert!(romeo.intake.is_broken(store));
    let mut cx = Context::from_waker(Waker::noop());
    let handled = Intake::poll_handled(&romeo, store, &mut cx);
    assert_eq!(handled, Poll::Ready(1), "the presence, and never the rest");
    lose(&home, &romeo);
    home.disk.heal();
    let resumed = finished(&home, home.server.resume("romeo", &id, 0));
    assert!(matches!(resumed, Resumed::No { h: Some(1) }));
}

#[test]
fn a_session_is_not_resumed_that_would_be_back_after_a_restart() {
    let home = Fixture::new(&["juliet"]);
    let (session, id) = resumable(&home, "juliet", "balcony");
    lose(&home, &session);
    assert_eq!(rows(&home).0, 1);
    home.disk.fail(FileName::Journal, Fault::Sync);
    let resumed = finished(&home, home.server.resume("juliet", &id, 0));
    assert!(matches!(resumed, Resumed::No { h: Some(1) }));
}

#[test]
fn an_answer_that_came_when_the_line_was_gone_outlives_a_restart() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let romeo = home.online("romeo", "orchard");
    let (session, id) = resumable(&home, "juliet", "balcony");
    home.write();
    session.outbox.take();
    let block = "<iq type='set' id='b1'><block xmlns='urn:xmpp:blocking'>\
        <item jid='tybalt@far.example'/></block></iq>";
    home.send(&session, block);
    lose(&home, &session);
    home.send(&romeo, TEMPORARY);
    home.write(); // only now the answer may leave
    now(home.server.stopped());
    home.write();
    home.server.store().close();
    let home = Fixture::on(home.disk.clone());
    home.server.restore_sessions().unwrap();
    let resumed = finished(&home, home.server.resume("juliet", &id, 1));
    let Resumed::Yes { session, h, .. } = resumed else {
        panic!("it waited");
    };
    let got = home.got(&session).concat();
    assert!(
        h == 2 && got.contains("id='b1'") && got.contains("Hush"),
        "{h} {got}"
    );
    home.hands.pass(SESSION_WAIT_MS_MAX);
    assert_eq!(rows(&home), (0, 0));
}

#[test]
fn more_than_may_wait_goes_back_to_its_senders() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let romeo = home.online("romeo", "orchard");
    let (session, _) = resumable(&home, "juliet", "balcony");
    lose(&home, &session);
    let note = "<message to='juliet@home.example/balcony' id='m'><body>1</body>\
        <no-store xmlns='urn:xmpp:hints'/></message>";
    for _ in 0..WAITING_STANZAS_MAX {
        home.send(&romeo, note); // its own presence waits, too
    }
    assert!(session.outbox.is_ended());
    let ping =
        "<iq type='get' id='p' to='juliet@home.example/balcony'><x xmlns='urn:example:x'/></iq>";
    home.send(&romeo, ping);
    home.send(&romeo, note);
    let at_once = home.got(&romeo);
    assert_eq!(at_once.len(), 2, "the session does not take them any more");
    home.tick();
    assert_eq!(home.got(&romeo).len(), BOUNCED_MAX);
    assert_eq!(rows(&home), (0, 0));
}

#[test]
fn a_session_whose_connection_stays_silent_at_the_end_is_stored_or_told_of() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let romeo = home.online("romeo", "orchard");
    let greeting = "<presence to='juliet@home.example/balcony'/>";
    let (session, id) = resumable(&home, "juliet", "balcony");
    home.send(&romeo, greeting);
    session.outbox.take();
    now(home.server.stopped()); // nobody called for either of them
    home.write();
    home.server.store().close();
    let home = Fixture::on(home.disk.clone());
    home.server.restore_sessions().unwrap();
    let resumed = finished(&home, home.server.resume("juliet", &id, 2));
    let Resumed::Yes { session, .. } = resumed else {
        panic!("it waited");
    };
    let got = home.got(&session).concat();
    assert!(
        got.contains("type='unavailable'") && got.contains("orchard"),
        "{got}"
    );
}

/// The disk takes writes again, and the store has found out.
fn heal(home: &Fixture) {
    home.disk.heal();
    home.hands.pass(PROBE_SECONDS_MAX * 1_000);
    home.write();
    assert!(home.server.store().health().writable);
}

#[test]
fn what_a_disk_refused_of_sessions_is_written_when_it_works_again() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let (waits, _) = resumable(&home, "juliet", "balcony");
    let (over, _) = resumable(&home, "romeo", "orchard");
    lose(&home, &over);
    assert_eq!(rows(&home).0, 1);
    home.disk.fail(FileName::Journal, Fault::Sync);
    lose(&home, &waits);
    now(home.server.leave(&over));
    assert_eq!(rows(&home).0, 1, "nothing changed on disk");
    home.tick();
    heal(&home);
    assert_eq!(rows(&home).0, 1, "the other one");
    let snapshot = home.server.store().snapshot().unwrap();
    let states: Vec<_> = STATE.prefix(&snapshot, &()).unwrap().collect();
    let juliet = now(home.server.load("juliet")).unwrap().unwrap().id;
    assert!(matches!(&states[..], [Ok(((account, _), _))] if *account == juliet));
}

/// With the count that it would come back with, its client would take for handled what is lost.
#[test]
fn a_session_whose_counts_the_disk_broke_is_not_kept() {
    for drops_first in [false, true] {
        let home = Fixture::new(&["juliet", "romeo"]);
        let (romeo, _) = resumable(&home, "romeo", "orchard");
        home.write();
        home.disk.fail(FileName::Journal, Fault::Sync);
        home.send(&romeo, TEMPORARY);
        if drops_first {
            lose(&home, &romeo);
        }
        home.write();
        heal(&home);
        if !drops_first {
            lose(&home, &romeo);
        }
        assert_eq!(rows(&home), (0, 0), "{drops_first}");
    }
}
