//! Rooms beside a disk that fails, and people who do not mind others.

use super::{Said, record::OCCUPANT};
use crate::{
    fixture::{Fixture, now},
    limits::{LEAVING_MAX, ROOM_CHANGES_MAX_AT_ONCE},
    session::Session,
};
use std::sync::Arc;
use store::{
    disk::{Fault, FileName},
    limits::{PROBE_SECONDS_MAX, SOON_SECONDS_MAX},
};
use xmpp::Jid;

const HALL: &str = "hall@groupchat.home.example";
const HARK: &str =
    "<message to='hall@groupchat.home.example' type='groupchat'><body>Hark</body></message>";

fn enter(home: &Fixture, session: &Arc<Session>, nick: &str) {
    let join = format!(
        "<presence to='{HALL}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    );
    home.send(session, &join);
    home.write();
    session.outbox.take();
}

/// Both are in a room that everybody may enter.
fn hall(home: &Fixture) -> (Arc<Session>, Arc<Session>) {
    let (juliet, romeo) = (home.online("juliet", "a"), home.online("romeo", "a"));
    enter(home, &juliet, "Juliet");
    home.send(
        &juliet,
        &format!(
            "<iq type='set' id='o' to='{HALL}'><query xmlns='http://jabber.org/protocol/muc#owner'>\
             <x xmlns='jabber:x:data' type='submit'/></query></iq>"
        ),
    );
    home.write();
    enter(home, &romeo, "Romeo");
    juliet.outbox.take();
    (juliet, romeo)
}

/// How many of the stanzas that wait for it have that in them.
fn heard(home: &Fixture, session: &Arc<Session>, what: &str) -> usize {
    let got = home.got(session);
    got.iter().filter(|stanza| stanza.contains(what)).count()
}

/// Those that nobody waits for included.
fn rows(home: &Fixture) -> usize {
    home.hands.pass(SOON_SECONDS_MAX * 1_000);
    home.write();
    let snapshot = home.server.store().snapshot().unwrap();
    OCCUPANT.prefix(&snapshot, &()).unwrap().count()
}

fn heal(home: &Fixture) {
    home.disk.heal();
    home.hands.pass(PROBE_SECONDS_MAX * 1_000);
    home.write();
    assert!(home.server.store().health().writable);
}

#[test]
fn a_room_whose_writes_the_disk_refused_has_its_people_still() {
    let home = Fixture::new(&["juliet", "romeo", "nurse"]);
    let (juliet, romeo) = hall(&home);
    let before = now(home.server.load(HALL)).unwrap().unwrap();
    home.disk.fail(FileName::Journal, Fault::Sync);
    home.send(&romeo, HARK);
    home.write();
    heal(&home);
    assert_eq!(heard(&home, &juliet, "Hark"), 1, "delivered, and not kept");
    let nurse = home.online("nurse", "a");
    enter(&home, &nurse, "Nurse");
    let after = now(home.server.load(HALL)).unwrap().unwrap();
    assert!(!Arc::ptr_eq(&before, &after), "it was loaded afresh");
    assert_eq!(
        heard(&home, &juliet, "hall@groupchat.home.example/Nurse"),
        1
    );
    home.send(&juliet, HARK);
    for session in [&juliet, &nurse] {
        assert_eq!(heard(&home, session, "Hark"), 1);
    }
    assert_eq!(heard(&home, &romeo, "Hark"), 2, "his own first");
    assert_eq!(rows(&home), 3);
}

/// Whose session ended while the room was not in memory has left it.
#[test]
fn who_is_gone_when_a_room_is_loaded_afresh_is_told_of() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let (juliet, romeo) = hall(&home);
    let room = now(home.server.load(HALL)).unwrap().unwrap();
    assert_eq!(rows(&home), 2);
    home.server.directory().forget(&room);
    home.leave(&romeo);
    assert_eq!(heard(&home, &juliet, "type='unavailable'"), 1);
    assert_eq!(rows(&home), 1);
    let jid = Jid::parse("hall@groupchat.home.example/Juliet").unwrap();
    assert!(home.server.is_seated(&jid, &juliet.jid));
    home.leave(&juliet);
    assert_eq!(rows(&home), 0);
    assert!(home.server.in_memory(&jid).is_none(), "it was temporary");
}

/// A row of somebody who left, which the disk did not take out, is nobody's, also while that session is
/// refused under another nickname.
#[test]
fn who_was_refused_at_the_door_has_not_the_old_seat() {
    let home = Fixture::new(&["juliet", "romeo"]);
    for (asked, is_there) in [("Juliet", false), ("Ro  meo", true)] {
        let (juliet, romeo) = hall(&home);
        let room = now(home.server.load(HALL)).unwrap().unwrap();
        assert_eq!(rows(&home), 2);
        let key = (room.id, romeo.jid.as_str().to_owned());
        let snapshot = home.server.store().snapshot().unwrap();
        let mut row = OCCUPANT.get(&snapshot, &key).unwrap().unwrap();
        row.nick = "Ro meo".to_owned();
        home.send(
            &romeo,
            &format!("<presence to='{HALL}/Romeo' type='unavailable'/>"),
        );
        enter(&home, &romeo, asked);
        home.server.directory().forget(&room);
        home.server.directory().left_behind().take(HALL);
        let store = home.server.store();
        store.queue(vec![OCCUPANT.put(&key, &row)], store::Urgency::Now);
        home.write();
        home.send(&juliet, HARK);
        let jid = Jid::parse(HALL).unwrap().with_resource("Romeo").unwrap();
        assert_eq!(home.server.is_seated(&jid, &romeo.jid), is_there, "{asked}");
        home.leave(&juliet);
        home.leave(&romeo);
    }
}

/// What a disk did not take while nobody relied on it is there when it works again.
#[test]
fn who_came_while_the_disk_was_full_is_there_after_a_restart() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let (_, romeo) = hall(&home);
    assert_eq!(rows(&home), 2);
    home.disk.fail(FileName::Journal, Fault::Sync);
    home.leave(&romeo);
    let romeo = home.online("romeo", "b");
    enter(&home, &romeo, "Montague");
    heal(&home);
    assert_eq!(rows(&home), 2);
    let snapshot = home.server.store().snapshot().unwrap();
    let rows = OCCUPANT.prefix(&snapshot, &()).unwrap();
    let nicks: Vec<String> = rows.map(|row| row.unwrap().1.nick).collect();
    assert_eq!(nicks, ["Juliet", "Montague"]);
}

/// XEP-0045 §14.6.
#[test]
fn rapid_changes_of_presence_reach_nobody() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let (juliet, romeo) = hall(&home);
    for number in 0..500 {
        home.send(
            &romeo,
            &format!("<presence to='{HALL}/Romeo'><status>{number}</status></presence>"),
        );
        home.send(&romeo, &format!("<presence to='{HALL}/Romeo{number}'/>"));
    }
    let told = juliet.outbox.take().entries.len() as u64;
    assert!(told <= 2 * ROOM_CHANGES_MAX_AT_ONCE, "{told}");
    assert!(heard(&home, &romeo, "policy-violation") > 900);
    home.send(&romeo, HARK);
    assert_eq!(heard(&home, &juliet, "Hark"), 1, "he may speak");
}

/// DESIGN §5: who fills the queue of a room while somebody else works it off is not read.
#[test]
fn who_floods_a_room_is_not_read_until_it_is_done() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let (juliet, romeo) = hall(&home);
    let room = now(home.server.load(HALL)).unwrap().unwrap();
    home.send(&juliet, HARK);
    home.write();
    assert!(!home.server.is_congested(&juliet));
    // Somebody else is at it, and slow.
    home.server.at(&room, 0, |cx| {
        let said = xmpp::Stanza::parse(HARK).unwrap();
        let said = xmpp::Passing::new(said.into(), cx.jid().clone(), romeo.jid.clone());
        (0..=LEAVING_MAX).for_each(|_| cx.route(said.clone()));
    });
    assert!(room.begin_draining());
    home.send(&juliet, HARK);
    home.write();
    assert!(home.server.is_congested(&juliet));
    assert!(
        !home.server.is_congested(&romeo),
        "who only listens is read"
    );
    while room.leaving() > 1 {
        room.next_leaving();
        assert!(home.server.is_congested(&juliet), "until it is all done");
    }
    while room.next_leaving().is_some() {}
    assert!(!home.server.is_congested(&juliet));
}

#[test]
fn what_a_damaged_disk_says_of_somebody_is_told_to_nobody() {
    for (kept, told) in [
        ("", ""),
        ("<show>away</show>", "<show>away</show>"),
        ("<show>away", ""),
        ("</presence><presence>", ""),
        ("<p:x/>", ""),
    ] {
        assert_eq!(Said::kept("de", kept).content(), told, "{kept}");
    }
}
