//! What scripts cannot say of bookmarks: what is on the disk, how many commits, and what does not fit.

use super::*;
use crate::{
    fixture::Fixture,
    limits::{BOOKMARKS_BYTES_MAX, BOOKMARKS_MAX},
    session::Session,
};
use std::sync::Arc;
use store::Urgency;

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";

fn item(id: &str, inside: &str) -> String {
    format!("<item id='{id}'><conference xmlns='{NATIVE}'>{inside}</conference></item>")
}

fn publish_xml(node: &str, items: &str) -> String {
    format!(
        "<iq type='set' id='p'><pubsub xmlns='{PUBSUB}'>\
         <publish node='{node}'>{items}</publish></pubsub></iq>"
    )
}

fn private_xml(inside: &str) -> String {
    format!(
        "<iq type='set' id='p'><query xmlns='jabber:iq:private'>\
         <storage xmlns='{OLD}'>{inside}</storage></query></iq>"
    )
}

fn ask(home: &Fixture, juliet: &Arc<Session>, xml: &str) -> String {
    home.send(juliet, xml);
    home.write();
    home.got(juliet).concat()
}

fn items(home: &Fixture, juliet: &Arc<Session>, node: &str) -> String {
    let get = format!(
        "<iq type='get' id='g'><pubsub xmlns='{PUBSUB}'><items node='{node}'/></pubsub></iq>"
    );
    ask(home, juliet, &get)
}

fn rooms(count: usize) -> String {
    let rooms = (0..count).map(|n| format!("<conference jid='r{n}@rooms.example'/>"));
    rooms.collect::<Vec<_>>().concat()
}

#[test]
fn a_change_is_one_commit_in_every_place() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    home.write();
    home.got(&juliet);
    for change in [
        private_xml(&rooms(20)),
        publish_xml(NATIVE, &item("a@rooms.example", "<nick>J</nick>")),
        publish_xml(
            OLD,
            &format!(
                "<item id='x'><storage xmlns='{OLD}'>{}</storage></item>",
                rooms(3)
            ),
        ),
    ] {
        home.send(&juliet, &change);
        assert!(
            home.got(&juliet).is_empty(),
            "the result waits for the disk"
        );
        assert!(home.server.store().turn());
        assert!(home.got(&juliet).concat().contains("type='result'"));
        assert!(!home.server.store().turn(), "nothing is left to write");
    }
}

#[test]
fn there_are_so_many_and_no_more_and_nothing_is_half_done() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    let list =
        |rooms: &str| format!("<item id='x'><storage xmlns='{OLD}'>{rooms}</storage></item>");
    assert!(ask(&home, &juliet, &private_xml(&rooms(BOOKMARKS_MAX))).contains("type='result'"));
    let batch = item("new@rooms.example", "") + &item("newer@rooms.example", "");
    let long = format!("<url url='{}'/>", "u".repeat(BOOKMARKS_BYTES_MAX));
    for (refused, why) in [
        (
            private_xml(&rooms(BOOKMARKS_MAX + 1)),
            "resource-constraint",
        ),
        (private_xml(&long), "resource-constraint"),
        (
            publish_xml(OLD, &list(&rooms(BOOKMARKS_MAX + 1))),
            "not-allowed",
        ),
        (publish_xml(OLD, &list(&long)), "not-allowed"),
        (publish_xml(NATIVE, &batch), "not-allowed"),
    ] {
        let got = ask(&home, &juliet, &refused);
        assert!(got.contains(why), "{got}");
    }
    let memory = |f: fn(&Bookmarks) -> usize| {
        home.server
            .at(&juliet.account, 0, |cx| f(&cx.state.memory.bookmarks))
    };
    assert_eq!(memory(Bookmarks::len), BOOKMARKS_MAX);
    // Another room in the place of one is no more rooms.
    let again = publish_xml(NATIVE, &item("r0@rooms.example", "<nick>J</nick>"));
    assert!(ask(&home, &juliet, &again).contains("type='result'"));
}

#[test]
fn old_lists_are_brought_together_once() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    let account = juliet.account.id;
    ask(
        &home,
        &juliet,
        &publish_xml(NATIVE, &item("a@rooms.example", "<nick>J</nick>")),
    );
    // As it is where nobody ever converted anything: an item, and a list in private storage.
    let elements = [Element::parse(
        "<storage xmlns='storage:bookmarks'><conference jid='a@rooms.example' name='A'/>\
         <conference jid='b@rooms.example'/><url url='http://x.example/'/></storage>",
        "",
    )
    .unwrap()];
    home.server.at(&juliet.account, 0, |cx| {
        private::put(cx, &elements).unwrap();
    });
    home.server
        .store()
        .queue(vec![OLD_ONLY.remove(&account)], Urgency::Now);
    home.write();
    let disk = home.disk.clone();
    drop((juliet, home));

    let home = Fixture::on(disk);
    let juliet = home.online("juliet", "balcony");
    let native = items(&home, &juliet, NATIVE);
    assert!(
        native.contains(
            "<item id='a@rooms.example'><conference xmlns='urn:xmpp:bookmarks:1'><nick>J"
        )
    );
    assert!(native.contains("<item id='b@rooms.example'>"), "{native}");
    let list = "<conference jid='a@rooms.example'><nick>J</nick></conference>\
         <conference jid='b@rooms.example'></conference><url url='http://x.example/'/>";
    assert!(items(&home, &juliet, OLD).contains(list));
    let private = "<iq type='get' id='g'>\
         <query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query></iq>";
    assert!(ask(&home, &juliet, private).contains(list));

    // What goes later does not come back from an old list.
    assert!(ask(&home, &juliet, &private_xml("")).contains("type='result'"));
    let disk = home.disk.clone();
    drop((juliet, home));
    let home = Fixture::on(disk);
    let juliet = home.online("juliet", "balcony");
    assert!(!items(&home, &juliet, NATIVE).contains("conference"));
    assert!(!ask(&home, &juliet, private).contains("conference"));
}

#[test]
fn a_list_changes_only_what_it_speaks_of() {
    let known = "<conference xmlns='urn:xmpp:bookmarks:1' name='A' autojoin='1' x='y'>\
         <nick>J</nick><extensions><e xmlns='urn:example:n'>1</e></extensions>\
         <f xmlns='urn:example:f'/></conference>";
    let mut bookmarks = Bookmarks::default();
    bookmarks.put("a@rooms.example", known);
    for (room, expected) in [
        (
            "<conference jid='a@rooms.example' name='A' autojoin='true'><nick>J</nick></conference>",
            None,
        ),
        (
            "<conference jid='a@rooms.example' name='A' autojoin='1'>\
             <nick>J</nick><x xmlns='urn:example:n'/></conference>",
            None,
        ),
        (
            "<conference jid='a@rooms.example' autojoin='0'><password>&lt;</password></conference>",
            Some(
                "<conference xmlns='urn:xmpp:bookmarks:1' x='y'><password>&lt;</password><extensions>\
                 <e xmlns='urn:example:n'>1</e></extensions><f xmlns='urn:example:f'/></conference>",
            ),
        ),
    ] {
        let list = format!("<storage xmlns='storage:bookmarks'>{room}</storage>");
        let (next, changes) = bookmarks.after(&Element::parse(&list, "").unwrap());
        let published = changes.published.first().map(|(_, payload)| &**payload);
        assert_eq!(published, expected, "{room}");
        assert!(changes.retracted.is_empty());
        // What is kept for lists says the same once more, so that nothing goes round in circles.
        let list = Element::parse(&next.list(), "").unwrap();
        let (again, changes) = next.after(&list);
        assert!(changes.published.is_empty() && changes.retracted.is_empty());
        assert_eq!(again.list(), next.list());
    }
}

#[test]
fn a_room_that_is_spelled_twice_is_one_room_in_lists() {
    let payload =
        |nick: &str| format!("<conference xmlns='{NATIVE}'><nick>{nick}</nick></conference>");
    let mut bookmarks = Bookmarks::default();
    bookmarks.put("Room@rooms.example", &payload("old"));
    bookmarks.put("room@rooms.example", &payload("new"));
    let shown = "<storage xmlns='storage:bookmarks'><conference jid='room@rooms.example'><nick>new</nick>\
         </conference></storage>";
    assert_eq!(bookmarks.list(), shown);
    let (same, changes) = bookmarks.after(&Element::parse(shown, "").unwrap());
    assert!(changes.published.is_empty() && changes.retracted.is_empty());
    assert_eq!(same.len(), 2);
    let (none, changes) = bookmarks.after(&Element::new(OLD, "storage"));
    assert_eq!(changes.retracted.len(), 2);
    assert!(none.is_empty());
    let room = bookmarks.room(&xmpp::Jid::parse("ROOM@rooms.example").unwrap());
    assert!(room.is_some_and(|room| room.child(NATIVE, "nick").unwrap().text() == "new"));
}
