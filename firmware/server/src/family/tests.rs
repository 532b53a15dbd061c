//! A household as people see it: what their apps are told when something is switched, and who comes and goes.

use super::Refusal;
use crate::{
    Session,
    accounts::{self, NewAccount},
    fixture::{Fixture, run_beside},
    server::AccountChange,
};
use std::sync::Arc;
use store::{Snapshot, Write};
use xmpp::Jid;

fn run<T>(home: &Fixture, work: impl Future<Output = T>) -> T {
    let done = run_beside(home.server.store(), work);
    home.write();
    done
}

/// Done by the administrator.
fn change(
    home: &Fixture,
    localpart: &str,
    change: AccountChange,
    decide: impl FnOnce(&Snapshot) -> Result<Vec<Write>, accounts::Refusal>,
) {
    let server = &home.server;
    server.change_account(localpart, change, decide).unwrap();
    run(home, server.follow_changes());
}

fn add(home: &Fixture, localpart: &str, display_name: &str) {
    change(home, localpart, AccountChange::Added, |snapshot| {
        let account = NewAccount {
            localpart,
            password: "pencil",
            display_name,
            admin: false,
        };
        accounts::add(snapshot, "home.example", &account, 0, home.server.dice())
    });
}

fn remove(home: &Fixture, localpart: &str) {
    change(home, localpart, AccountChange::Removed, |snapshot| {
        accounts::remove(snapshot, localpart, 0)
    });
}

/// Amy and Bob, with names.
fn household() -> Fixture {
    let home = Fixture::new(&[]);
    add(&home, "amy", "Amy");
    add(&home, "bob", "Bob");
    home
}

fn contacts_on(home: &Fixture) {
    run(home, home.server.family_group_on("Family")).unwrap();
}

fn contacts_off(home: &Fixture) {
    run(home, home.server.family_group_off()).unwrap();
}

/// What somebody's roster says: `contact subscription name groups`, in order.
fn roster(home: &Fixture, localpart: &str) -> Vec<String> {
    let account = run(home, home.server.load(localpart)).unwrap().unwrap();
    let state = account.lock();
    let items = state.roster.iter().filter(|(_, item)| item.listed);
    let line = |(jid, item): (&Jid, &crate::roster::Item)| {
        let groups = item.groups().join(",");
        let name = jid.localpart().unwrap();
        format!("{name} {} {} {groups}", item.subscription.name(), item.name)
    };
    items.map(line).collect()
}

fn set(home: &Fixture, session: &Arc<Session>, item: &str) {
    let query = format!("<query xmlns='jabber:iq:roster'>{item}</query>");
    home.send(session, &format!("<iq type='set' id='s'>{query}</iq>"));
    home.write();
    home.got(session);
}

#[test]
fn everybody_sees_everybody_at_once() {
    let home = household();
    let [amy, bob] = ["amy", "bob"].map(|name| home.online(name, "x"));
    contacts_on(&home);
    for (session, other, name) in [(&amy, "bob", "Bob"), (&bob, "amy", "Amy")] {
        let got = home.got(session);
        assert_eq!(got.len(), 2, "{got:?}");
        let item = format!(
            "<item jid='{other}@home.example' name='{name}' subscription='both'><group>Family</group></item>"
        );
        assert!(got[0].contains(&item), "{got:?}");
        let presence = format!("<presence from='{other}@home.example/x'");
        assert!(got[1].starts_with(&presence), "{got:?}");
    }
    // Once is enough.
    run(&home, home.server.keep_family());
    assert_eq!(home.got(&amy), Vec::<String>::new());
    home.send(&bob, "<presence><show>away</show></presence>");
    assert!(home.got(&amy).concat().contains("away"));
    contacts_off(&home);
    for session in [&amy, &bob] {
        let got = home.got(session).concat();
        assert!(got.contains("type='unavailable'"), "{got}");
        assert!(got.contains("subscription='remove'"), "{got}");
    }
    assert_eq!(roster(&home, "amy"), Vec::<String>::new());
}

#[test]
fn whoever_comes_is_a_contact_and_whoever_goes_is_none() {
    let home = household();
    contacts_on(&home);
    add(&home, "cleo", "");
    assert_eq!(
        roster(&home, "amy"),
        ["bob both Bob Family", "cleo both  Family"]
    );
    assert_eq!(
        roster(&home, "cleo"),
        ["amy both Amy Family", "bob both Bob Family"]
    );
    let amy = home.online("amy", "x");
    // Renamed or not: who is gone is gone, without a word that they did not want to be seen.
    set(&home, &amy, "<item jid='cleo@home.example' name='C'/>");
    remove(&home, "cleo");
    assert_eq!(roster(&home, "amy"), ["bob both Bob Family"]);
    let got = home.got(&amy).concat();
    assert!(
        got.contains("jid='cleo@home.example' subscription='remove'"),
        "{got}"
    );
    assert!(!got.contains("unsubscribe"), "{got}");
    assert_eq!(roster(&home, "bob"), ["amy both Amy Family"]);
}

#[test]
fn what_people_change_stays() {
    let home = household();
    add(&home, "cleo", "Cleo");
    contacts_on(&home);
    let amy = home.online("amy", "x");
    set(&home, &amy, "<item jid='bob@home.example' name='Bobby'/>");
    set(
        &home,
        &amy,
        "<item jid='cleo@home.example' subscription='remove'/>",
    );
    run(&home, home.server.keep_family());
    assert_eq!(roster(&home, "amy"), ["bob both Bobby "]);
    assert_eq!(
        roster(&home, "cleo"),
        ["amy none Amy Family", "bob both Bob Family"]
    );
    contacts_off(&home);
    assert_eq!(roster(&home, "amy"), ["bob both Bobby "]);
    assert_eq!(
        roster(&home, "bob"),
        ["amy both Amy Family"],
        "or amy would see without being seen"
    );
    assert_eq!(roster(&home, "cleo"), ["amy none Amy Family"]);
}

#[test]
fn a_disabled_account_is_among_the_contacts_when_it_is_back() {
    let home = household();
    change(&home, "bob", AccountChange::Disabled, |snapshot| {
        accounts::disable(snapshot, "bob")
    });
    contacts_on(&home);
    assert_eq!(roster(&home, "amy"), ["bob both Bob Family"]);
    change(&home, "bob", AccountChange::Enabled, |snapshot| {
        accounts::enable(snapshot, "bob")
    });
    assert_eq!(roster(&home, "bob"), ["amy both Amy Family"]);
    change(&home, "bob", AccountChange::Disabled, |snapshot| {
        accounts::disable(snapshot, "bob")
    });
    contacts_off(&home);
    assert_eq!(roster(&home, "amy"), Vec::<String>::new());
    change(&home, "bob", AccountChange::Enabled, |snapshot| {
        accounts::enable(snapshot, "bob")
    });
    assert_eq!(roster(&home, "bob"), Vec::<String>::new());
}

#[test]
fn what_a_command_alone_decides_is_done_at_the_start() {
    let home = household();
    let store = home.server.store();
    let note = |writes: Vec<Write>| {
        store.queue(writes, store::Urgency::Now);
        home.write();
    };
    note(super::group_on(&store.snapshot().unwrap(), "House").unwrap());
    let (snapshot, config) = (store.snapshot().unwrap(), home.server.config());
    note(super::room_on((store, &snapshot), &config, (None, "House"), 0).unwrap());
    drop(snapshot);
    let disk = home.disk.clone();
    drop(home);
    let home = Fixture::on(disk);
    run(&home, home.server.keep_family());
    assert_eq!(roster(&home, "amy"), ["bob both Bob House"]);
    assert!(bookmark(&home, "amy").contains("name='House'"));
}

#[test]
fn a_household_has_its_limit() {
    let home = household();
    for number in 2..=crate::limits::FAMILY_ACCOUNTS_MAX {
        let snapshot = home.server.store().snapshot().unwrap();
        let record = accounts::find(&snapshot, "amy").unwrap().unwrap();
        let id = u32::try_from(number + 10).unwrap();
        let record = accounts::AccountRecord { id, ..record };
        let write = accounts::put_record(&format!("n{number}"), &record);
        home.server.store().queue(vec![write], store::Urgency::Now);
        home.write();
    }
    let refused = run(&home, home.server.family_group_on("Family"));
    assert!(matches!(refused, Err(Refusal::TooMany)));
    let refused = run(&home, home.server.family_room_on(None, "Family"));
    assert!(matches!(refused, Err(Refusal::TooMany)));
    assert!(home.server.list_rooms().is_empty());
}

// --- The room ---

const BOOKMARKS: &str = "urn:xmpp:bookmarks:1";

fn room_on(home: &Fixture) {
    run(home, home.server.family_room_on(None, "Family")).unwrap();
}

fn room() -> Jid {
    Jid::parse("family@groupchat.home.example").unwrap()
}

/// Somebody's bookmark of the room, as XML; empty for none.
fn bookmark(home: &Fixture, localpart: &str) -> String {
    let account = run(home, home.server.load(localpart)).unwrap().unwrap();
    let state = account.lock();
    let mut xml = String::new();
    if let Some(bookmark) = state.memory.bookmarks.room(&room()) {
        bookmark.write(&mut xml, "");
    }
    xml
}

/// A session whose app asks to hear of bookmarks.
fn listening(home: &Fixture, localpart: &str) -> Arc<Session> {
    let session = home.online(localpart, "x");
    let caps = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/>";
    home.send(&session, &format!("<presence>{caps}</presence>"));
    let asked = home.got(&session).concat();
    let id = asked
        .split("id='")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap()
        .to_owned();
    let info = format!(
        "<query xmlns='http://jabber.org/protocol/disco#info' node='n#v'>\
         <feature var='{BOOKMARKS}+notify'/></query>"
    );
    home.send(
        &session,
        &format!("<iq type='result' id='{id}' to='{localpart}@home.example'>{info}</iq>"),
    );
    home.got(&session);
    session
}

#[test]
fn everybody_is_a_member_and_has_a_bookmark() {
    let home = household();
    room_on(&home);
    let shown = run(&home, home.server.show_room("family")).unwrap();
    let people: Vec<_> = shown
        .people
        .iter()
        .map(|(jid, what)| format!("{jid} {what}"))
        .collect();
    assert_eq!(
        people,
        ["amy@home.example member", "bob@home.example member"]
    );
    assert!(shown.listed.members_only && shown.listed.persistent && shown.archive && !shown.public);
    let expected = "<conference xmlns='urn:xmpp:bookmarks:1' name='Family' autojoin='true'>\
                    <nick>Amy</nick></conference>";
    assert_eq!(bookmark(&home, "amy"), expected);
    // Older apps find it, too (XEP-0048).
    let amy = home.online("amy", "x");
    let ask = "<iq type='get' id='p'><query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/>\
               </query></iq>";
    home.send(&amy, ask);
    let got = home.got(&amy).concat();
    assert!(
        got.contains("<conference jid='family@groupchat.home.example' name='Family'"),
        "{got}"
    );
    // The nickname is hers.
    let bob = home.online("bob", "x");
    let enter = "<presence to='family@groupchat.home.example/Amy'>\
                 <x xmlns='http://jabber.org/protocol/muc'/></presence>";
    home.send(&bob, enter);
    assert!(home.got(&bob).concat().contains("conflict"));
    home.send(&amy, enter);
    let got = home.got(&amy).concat();
    assert!(
        got.contains("affiliation='member'") && got.contains("<status code='100'/>"),
        "{got}"
    );
}

#[test]
fn who_comes_is_told_and_who_goes_is_nothing_to_the_room() {
    let home = household();
    room_on(&home);
    add(&home, "cleo", "Amy");
    assert!(bookmark(&home, "cleo").contains("<nick>Amy (cleo)</nick>"));
    remove(&home, "cleo");
    let shown = run(&home, home.server.show_room("family")).unwrap();
    assert_eq!(shown.people.len(), 2, "{:?}", shown.people);
}

#[test]
fn devices_hear_of_the_bookmark_when_it_is_made() {
    let home = household();
    let amy = listening(&home, "amy");
    room_on(&home);
    let got = home.got(&amy).concat();
    assert!(
        got.contains(&format!("<items node='{BOOKMARKS}'>")),
        "{got}"
    );
    assert!(got.contains("<nick>Amy</nick>"), "{got}");
    run(&home, home.server.family_room_off()).unwrap();
    let got = home.got(&amy).concat();
    assert!(
        got.contains("<retract id='family@groupchat.home.example'/>"),
        "{got}"
    );
}

#[test]
fn a_bookmark_that_somebody_removed_does_not_come_again() {
    let home = household();
    room_on(&home);
    let amy = home.online("amy", "x");
    let retract = format!(
        "<iq type='set' id='t'><pubsub xmlns='http://jabber.org/protocol/pubsub'><retract node='{BOOKMARKS}'>\
         <item id='{}'/></retract></pubsub></iq>",
        room()
    );
    home.send(&amy, &retract);
    assert_eq!(bookmark(&home, "amy"), "");
    run(&home, home.server.keep_family());
    add(&home, "cleo", "");
    assert_eq!(bookmark(&home, "amy"), "");
    // Who switches it off and on means it anew.
    run(&home, home.server.family_room_off()).unwrap();
    assert_eq!(bookmark(&home, "cleo"), "");
    room_on(&home);
    assert!(bookmark(&home, "amy").contains("autojoin='true'"));
}

#[test]
fn a_bookmark_that_somebody_changed_stays() {
    let home = household();
    room_on(&home);
    let amy = home.online("amy", "x");
    let publish = format!(
        "<iq type='set' id='t'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{BOOKMARKS}'>\
         <item id='{}'><conference xmlns='{BOOKMARKS}' name='Us'/></item></publish></pubsub></iq>",
        room()
    );
    home.send(&amy, &publish);
    run(&home, home.server.keep_family());
    run(&home, home.server.family_room_off()).unwrap();
    assert!(bookmark(&home, "amy").contains("name='Us'"));
    assert_eq!(bookmark(&home, "bob"), "");
    room_on(&home);
    assert!(bookmark(&home, "amy").contains("name='Us'"));
}

#[test]
fn a_destroyed_room_is_switched_off() {
    let home = household();
    room_on(&home);
    assert!(home.server.family().unwrap().room_on);
    run(&home, home.server.destroy_room("family")).unwrap();
    assert!(!home.server.family().unwrap().room_on);
    run(&home, home.server.keep_family());
    assert_eq!(bookmark(&home, "amy"), "");
    assert_eq!(home.server.family().unwrap().room, None);
    run(&home, home.server.family_room_on(Some("us"), "Us")).unwrap();
    assert_eq!(home.server.list_rooms().len(), 1);
    let elsewhere = run(&home, home.server.family_room_on(Some("we"), "Us"));
    assert!(matches!(elsewhere, Err(Refusal::Elsewhere(_))));
}
