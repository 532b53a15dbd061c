//! What scripts cannot say of bookmarks: what is on the disk, how many commits, and what does not fit.

use super::*;
use crate::{
    fixture::Fixture,
    limits::{BOOKMARKS_BYTES_MAX, BOOKMARKS_MAX},
    session::Session,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
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
    // Whoever says the same once more under the other spelling has the last word.
    assert!(bookmarks.take_changed());
    bookmarks.put("room@rooms.example", &payload("new"));
    assert!(!bookmarks.take_changed());
    bookmarks.put("Room@rooms.example", &payload("old"));
    assert!(bookmarks.take_changed() && bookmarks.list().contains("old"));
}

type Shown = BTreeMap<String, String>;

/// What a place says of each address.
fn shown<'a>(rooms: impl Iterator<Item = (Option<&'a str>, &'a Element)>) -> Shown {
    let said = |(jid, room): (Option<&str>, &Element)| {
        let jid = list::room_address(jid?)?;
        let text = |name| room.child(&room.ns, name).map(Element::text);
        let (name, autojoin) = (room.attr("name"), room.attr("autojoin"));
        let said = format!(
            "{} {:?} {:?} {}",
            name.unwrap_or_default(),
            text("nick").unwrap_or_default(),
            text("password").unwrap_or_default(),
            matches!(autojoin, Some("1" | "true"))
        );
        Some((jid.as_str().to_owned(), said))
    };
    rooms.filter_map(said).collect()
}

/// The elements of this name in an answer.
fn found(xml: &str, ns: &str, name: &str) -> Vec<Element> {
    let mut open = VecDeque::from([Element::parse(xml, "jabber:client").unwrap()]);
    let mut found = Vec::new();
    while let Some(element) = open.pop_front() {
        if element.is(ns, name) {
            found.push(element);
        } else {
            open.extend(element.elements().cloned());
        }
    }
    found
}

fn assert_agreement(home: &Fixture, juliet: &Arc<Session>, said: &[String]) {
    let native = found(&items(home, juliet, NATIVE), PUBSUB, "item");
    let native = native
        .iter()
        .map(|item| (item.attr("id"), item.elements().next().unwrap()));
    let native = shown(native);
    let private = "<iq type='get' id='g'>\
         <query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query></iq>";
    for list in [items(home, juliet, OLD), ask(home, juliet, private)] {
        let rooms = found(&list, OLD, "conference");
        let rooms = shown(rooms.iter().map(|room| (room.attr("jid"), room)));
        assert_eq!(rooms, native, "{said:#?}");
    }
}

/// One of the things that clients do, by chance; nothing for none.
fn deed(any: &mut impl FnMut(usize) -> usize) -> String {
    const IDS: [&str; 5] = [
        "a@rooms.example",
        "A@rooms.example",
        "b@Rooms.example",
        "b@rooms.example",
        "rooms.example",
    ];
    const ATTRIBUTES: [&str; 4] = [
        "",
        " name='x'",
        " name='&apos;&#10;y' a='1'",
        " autojoin='1'",
    ];
    const INSIDE: [&str; 4] = [
        "",
        "<nick/><nick>K</nick>",
        "<password> &lt;</password><nick>J</nick>",
        "<url xmlns='u'/><nick xmlns='n'>N</nick>",
    ];
    let mut room = |ns: &str| {
        let (id, attributes, inside) = (IDS[any(5)], ATTRIBUTES[any(4)], INSIDE[any(4)]);
        let jid = if ns == OLD {
            format!(" jid='{id}'")
        } else {
            String::new()
        };
        (
            id,
            format!("<conference xmlns='{ns}'{jid}{attributes}>{inside}</conference>"),
        )
    };
    let native = [(); 2].map(|()| room(NATIVE));
    let native = native.map(|(id, payload)| (id, format!("<item id='{id}'>{payload}</item>")));
    let list = room(OLD).1 + &room(OLD).1 + "<url url='http://x'/><conference jid='@'/>";
    let of_list = format!("<item id='q'><storage xmlns='{OLD}'>{list}</storage></item>");
    let owner = |deed: String| {
        format!("<iq type='set' id='p'><pubsub xmlns='{PUBSUB}#owner'>{deed}</pubsub></iq>")
    };
    let retract = |node: &str, id: &str| {
        let item = format!("<retract node='{node}'><item id='{id}'/></retract>");
        format!("<iq type='set' id='p'><pubsub xmlns='{PUBSUB}'>{item}</pubsub></iq>")
    };
    match any(10) {
        0 | 1 => publish_xml(NATIVE, &native[0].1),
        2 => publish_xml(NATIVE, &(native[0].1.clone() + &native[1].1)),
        3 | 4 => private_xml(&list),
        5 => publish_xml(OLD, &of_list),
        6 => retract(NATIVE, native[0].0),
        7 => retract(OLD, CURRENT),
        8 => owner(format!(
            "<{} node='{}'/>",
            ["purge", "delete"][any(2)],
            [NATIVE, OLD][any(2)]
        )),
        _ => String::new(),
    }
}

#[test]
fn the_places_agree_whatever_clients_do_and_over_restarts() {
    for seed in 0..40_u64 {
        let mut chance = seed;
        let mut any = |bound: usize| {
            let next = chance.wrapping_mul(6_364_136_223_846_793_005);
            chance = next.wrapping_add(1_442_695_040_888_963_407);
            (chance >> 33) as usize % bound
        };
        let mut home = Fixture::new(&["juliet"]);
        let mut juliet = home.online("juliet", "balcony");
        let mut said = vec![format!("seed {seed}")];
        for _ in 0..30 {
            let deed = deed(&mut any);
            if deed.is_empty() {
                let disk = home.disk.clone();
                drop((juliet, home));
                home = Fixture::on(disk);
                juliet = home.online("juliet", "balcony");
            } else {
                ask(&home, &juliet, &deed);
            }
            said.push(deed);
            assert_agreement(&home, &juliet, &said);
        }
    }
}
