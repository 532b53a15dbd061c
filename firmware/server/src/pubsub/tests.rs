//! What scripts cannot say of nodes: what is on the disk, what is in one commit, and what does not fit.

use super::*;
use crate::{
    account::Account,
    fixture::Fixture,
    limits::{PUBSUB_ITEM_BYTES_MAX, PUBSUB_ITEMS_MAX, PUBSUB_SWEEP_ITEMS},
    presence,
    session::Session,
};
use std::{collections::BTreeSet, sync::Arc};
use xmpp::{Kind, Passing, Stanza};

fn publish_xml(node: &str, id: &str, payload: &str) -> String {
    format!(
        "<iq type='set' id='p'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
         <publish node='{node}'><item id='{id}'><x xmlns='urn:example:n'>{payload}</x></item></publish>\
         </pubsub></iq>"
    )
}

fn published(home: &Fixture, juliet: &Arc<Session>, node: &str, id: &str, payload: &str) -> String {
    home.send(juliet, &publish_xml(node, id, payload));
    home.write();
    home.got(juliet).concat()
}

/// Rows of all tables of nodes.
fn rows(home: &Fixture, account: &Account) -> [usize; 5] {
    let snapshot = home.server.store().snapshot().unwrap();
    let id = account.id;
    [
        NODE.prefix(&snapshot, &id).unwrap().count(),
        ITEM.prefix(&snapshot, &id).unwrap().count(),
        ID.prefix(&snapshot, &id).unwrap().count(),
        AFFILIATION.prefix(&snapshot, &id).unwrap().count(),
        SUBSCRIPTION.prefix(&snapshot, &id).unwrap().count(),
    ]
}

fn configure_many(home: &Fixture, juliet: &Arc<Session>) {
    let form = "<x xmlns='jabber:x:data' type='submit'><field var='pubsub#max_items'>\
         <value>max</value></field></x>";
    home.send(
        juliet,
        &format!(
            "<iq type='set' id='c'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
             <create node='n'/><configure>{form}</configure></pubsub></iq>"
        ),
    );
    home.write();
    assert!(home.got(juliet).concat().contains("type='result'"));
}

#[test]
fn a_publication_is_one_commit_and_leaves_nothing_of_what_it_replaced() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    for n in 0..5 {
        home.send(&juliet, &publish_xml("n", &format!("i{}", n % 2), "1"));
        assert!(
            home.got(&juliet).is_empty(),
            "the result waits for the disk"
        );
        assert!(home.server.store().turn());
        assert!(
            home.got(&juliet).concat().contains("type='result'"),
            "after one commit"
        );
    }
    home.write();
    assert_eq!(rows(&home, &juliet.account), [1, 1, 1, 0, 0]);
}

#[test]
fn ten_thousand_items_are_published_found_and_swept() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    configure_many(&home, &juliet);
    for n in 0..PUBSUB_ITEMS_MAX + 5 {
        home.send(&juliet, &publish_xml("n", &format!("i{n}"), "1"));
        if n % 1_000 == 0 {
            home.write();
            home.got(&juliet);
        }
    }
    home.write();
    home.got(&juliet);
    assert_eq!(rows(&home, &juliet.account)[1..3], [PUBSUB_ITEMS_MAX; 2]);
    home.send(
        &juliet,
        "<iq type='get' id='g'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'/>\
         <set xmlns='http://jabber.org/protocol/rsm'><max>2</max><after>i5000</after></set></pubsub></iq>",
    );
    let got = home.got(&juliet).concat();
    assert!(
        got.contains("id='i5001'") && got.contains("id='i5002'") && !got.contains("id='i5003'")
    );
    assert!(got.contains("<first index='4996'>i5001</first>"), "{got}");

    // The node is gone at once, its rows when nothing else is to be written.
    home.send(
        &juliet,
        "<iq type='set' id='d'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>\
         <delete node='n'/></pubsub></iq>",
    );
    home.write();
    assert_eq!(rows(&home, &juliet.account), [0; 5]);
}

fn set(home: &Fixture, juliet: &Arc<Session>, ns: &str, inside: &str) {
    home.send(
        juliet,
        &format!(
            "<iq type='set' id='s'><pubsub xmlns='http://jabber.org/protocol/pubsub{ns}'>{inside}\
             </pubsub></iq>"
        ),
    );
}

fn configure(home: &Fixture, juliet: &Arc<Session>, var: &str, value: &str) {
    let form = format!(
        "<configure node='n'><x xmlns='jabber:x:data' type='submit'><field var='pubsub#{var}'>\
         <value>{value}</value></field></x></configure>"
    );
    set(home, juliet, "#owner", &form);
}

/// Ids of the items of the node `n`, as they are answered.
fn ids(home: &Fixture, juliet: &Arc<Session>) -> Vec<String> {
    home.got(juliet);
    home.send(
        juliet,
        "<iq type='get' id='g'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n'/>\
         </pubsub></iq>",
    );
    let got = home.got(juliet).concat();
    let items = got.split("<item id='").skip(1);
    items
        .map(|item| item.split('\'').next().unwrap_or_default().to_owned())
        .collect()
}

/// A node of 250 items, and a retraction of all of them.
fn many_items(home: &Fixture, juliet: &Arc<Session>) -> String {
    configure_many(home, juliet);
    let mut retraction = String::from("<retract node='n'>");
    for n in 0..crate::limits::PUBSUB_IDS_MAX {
        home.send(juliet, &publish_xml("n", &format!("i{n}"), "1"));
        retraction.push_str(&format!("<item id='i{n}'/>"));
    }
    home.write();
    home.got(juliet);
    retraction + "</retract>"
}

#[test]
fn what_is_swept_later_takes_nothing_along_that_came_after_it() {
    for by_configuration in [true, false] {
        let home = Fixture::new(&["juliet"]);
        let juliet = home.online("juliet", "balcony");
        let retraction = many_items(&home, &juliet);
        if by_configuration {
            configure(&home, &juliet, "persist_items", "0");
            configure(&home, &juliet, "persist_items", "1");
        } else {
            set(&home, &juliet, "", &retraction);
        }
        home.send(&juliet, &publish_xml("n", "new", "1"));
        home.write();
        assert_eq!(ids(&home, &juliet), ["new"], "{by_configuration}");
        assert_eq!(rows(&home, &juliet.account)[1..3], [1, 1]);
    }
}

#[test]
fn a_power_cut_brings_nothing_back_that_was_removed() {
    for (what, left) in [("persist_items", 0), ("max_items", 7), ("", 0)] {
        let home = Fixture::new(&["juliet"]);
        let juliet = home.online("juliet", "balcony");
        let retraction = many_items(&home, &juliet);
        if what.is_empty() {
            set(&home, &juliet, "", &retraction);
        } else {
            configure(&home, &juliet, what, &left.to_string());
        }
        while home.got(&juliet).is_empty() {
            assert!(home.server.store().turn());
        }
        let disk = home.disk.clone();
        drop((juliet, home));
        let home = Fixture::on(disk);
        let juliet = home.online("juliet", "balcony");
        home.write();
        assert_eq!(ids(&home, &juliet).len(), left, "{what}");
        assert_eq!(rows(&home, &juliet.account)[1..3], [left; 2], "{what}");
    }
}

#[test]
fn an_interrupted_deletion_is_finished_by_the_next_load() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    published(&home, &juliet, "n", "a", "1");
    let account = juliet.account.id;
    // As if the power had failed between the node's end and the sweep of its items.
    let lost = vec![
        NODE.remove(&(account, "n".to_owned())),
        AFFILIATION.put(&(account, 7, "r@h".to_owned()), &Affiliation::Member),
        SUBSCRIPTION.put(
            &(account, 7, "r@h".to_owned()),
            &Subscription {
                pending: false,
                deliver: true,
            },
        ),
    ];
    home.server.store().queue(lost, Urgency::Now);
    home.write();
    let disk = home.disk.clone();
    drop((juliet, home));
    let home = Fixture::on(disk);
    let juliet = home.online("juliet", "balcony");
    home.write();
    assert_eq!(rows(&home, &juliet.account), [0; 5]);
}

#[test]
fn a_private_node_is_closed_again_by_whoever_publishes_next() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    let node = "urn:xmpp:mds:displayed:0";
    published(&home, &juliet, node, "a@h", "1");
    let access = |home: &Fixture, account: &Account| {
        let snapshot = home.server.store().snapshot().unwrap();
        let row = NODE.get(&snapshot, &(account.id, node.to_owned())).unwrap();
        let config = row.unwrap().config;
        (config.access, config.persist_items, config.max_items)
    };
    let usual = access(&home, &juliet.account);
    let again = |cx: &mut Cx<'_>| cx.publish(node, "b@h", "<x xmlns='urn:example:n'/>".into(), &[]);
    for by_client in [true, false] {
        // As another server may have left it.
        home.server.at(&juliet.account, 0, |cx| {
            let open = Config::of_new(Face::Service, node);
            let open = Config {
                max_items: Some(1),
                ..open
            };
            let known = cx.state.memory.nodes.get_mut(node).unwrap();
            known.set_config(Face::Personal, open);
            let row = known.record(Face::Personal);
            cx.write(NODE.put(&(cx.id(), node.to_owned()), &row));
        });
        home.write();
        assert_ne!(access(&home, &juliet.account), usual);
        if by_client {
            published(&home, &juliet, node, "b@h", "1");
        } else {
            home.server.at(&juliet.account, 0, again).unwrap();
            home.write();
        }
        assert_eq!(access(&home, &juliet.account), usual, "{by_client}");
    }
    assert_eq!(rows(&home, &juliet.account)[1], 2, "nothing was evicted");
}

#[test]
fn nothing_is_left_of_an_account() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let juliet = home.online("juliet", "balcony");
    published(&home, &juliet, "n", "a", "1");
    let account = juliet.account.clone();
    home.leave(&juliet);
    home.remove("juliet");
    assert_eq!(rows(&home, &account), [0; 5]);
}

#[test]
fn what_is_too_much_is_refused_and_changes_nothing() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    let long = "x".repeat(PUBSUB_ITEM_BYTES_MAX);
    assert!(published(&home, &juliet, "n", "a", &long).contains("<payload-too-big "));
    assert_eq!(
        rows(&home, &juliet.account),
        [0; 5],
        "no node is made for it"
    );
    let name = "n".repeat(2_000);
    assert!(published(&home, &juliet, &name, "a", "1").contains("<not-acceptable "));
    home.server.at(&juliet.account, 0, |cx| {
        for n in 0..crate::limits::PUBSUB_NODES_MAX {
            let visitor = Visitor::account(cx);
            create(cx, &visitor, &format!("n{n}"), &[]).unwrap();
        }
    });
    assert!(published(&home, &juliet, "one more", "a", "1").contains("<not-allowed "));
    assert!(published(&home, &juliet, "n7", "a", "1").contains("type='result'"));
}

#[test]
fn what_takes_no_more_room_than_before_is_kept_where_there_is_none() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    configure_many(&home, &juliet);
    let payload = "x".repeat(PUBSUB_ITEM_BYTES_MAX - 100);
    for n in 0..=crate::limits::PUBSUB_BYTES_MAX / PUBSUB_ITEM_BYTES_MAX as u64 {
        let got = published(&home, &juliet, "n", &format!("i{n}"), &payload);
        if got.contains("type='error'") {
            break;
        }
    }
    assert!(published(&home, &juliet, "n", "one more", &payload).contains("<not-allowed "));
    assert!(published(&home, &juliet, "n", "i0", &payload).contains("type='result'"));
    assert!(published(&home, &juliet, "n", "i1", "1").contains("type='result'"));
}

#[test]
fn one_large_item_keeps_no_other_from_being_sent() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    for (node, bytes) in [("a", PUBSUB_ITEM_BYTES_MAX - 100), ("b", 1), ("c", 1)] {
        let got = published(&home, &juliet, node, "i", &"x".repeat(bytes));
        assert!(got.contains("type='result'"), "{node}");
    }
    let sent = |last: LastItems| {
        let messages = last.read(&home.server.store().snapshot().unwrap()).unwrap();
        let node = |message: &Passing| {
            let ns = "http://jabber.org/protocol/pubsub#event";
            let event = message.stanza.child(ns, "event").unwrap().element();
            let items = event.child(ns, "items").unwrap();
            items.attr("node").unwrap().to_owned()
        };
        // XEP-0060 §12.4: what becomes of one can be told from what becomes of another.
        let ids = messages.iter().filter_map(|message| message.stanza.id());
        let ids: BTreeSet<_> = ids.collect();
        assert_eq!(ids.len(), messages.len());
        messages.iter().map(node).collect::<String>()
    };
    let wanted = crate::capabilities::Capabilities::from_bytes(b"a\0b\0c");
    let (login, subscription) = home.server.at(&juliet.account, 0, |cx| {
        let login = last_items(cx, &juliet.jid, &wanted);
        (login, last_item_for(cx, &juliet.jid, "a"))
    });
    assert_eq!(sent(login), "bc");
    assert_eq!(sent(subscription), "a");
}

#[test]
fn items_asked_for_by_id_come_all_or_not_at_all() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    configure_many(&home, &juliet);
    let payload = "x".repeat(PUBSUB_ITEM_BYTES_MAX / 2);
    for id in ["a", "b", "c"] {
        assert!(published(&home, &juliet, "n", id, &payload).contains("type='result'"));
    }
    let got = |items: &str| {
        let ns = "http://jabber.org/protocol/pubsub";
        home.send(
            &juliet,
            &format!(
                "<iq type='get' id='g'><pubsub xmlns='{ns}'><items node='n'>{items}</items></pubsub></iq>"
            ),
        );
        home.got(&juliet).concat()
    };
    let two = got("<item id='a'/><item id='c'/>");
    assert!(two.contains("<item id='a'>") && two.contains("<item id='c'>"));
    let three = got("<item id='a'/><item id='b'/><item id='c'/>");
    assert!(three.contains("<policy-violation "), "{three:.200}");
}

#[test]
fn many_nodes_are_small_in_memory_and_none_of_them_is_kept_without_its_account() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    for n in 0..200 {
        published(&home, &juliet, &format!("n{n}"), "a", "1");
    }
    home.server.at(&juliet.account, 0, |cx| {
        let nodes = &cx.state.memory.nodes;
        let bytes: usize = nodes
            .list
            .iter()
            .map(|node| size_of_val(node) + node.name.len() + 32)
            .sum();
        assert!(bytes < 200 * 180, "{bytes}");
    });
    home.leave(&juliet);
    drop(juliet);
    home.hands.pass(600_000);
    home.write();
    home.tick();
    assert_eq!(home.server.counts().accounts_in_memory, 0);
}

#[test]
fn a_feature_publishes_for_the_account_and_is_not_told_of_it() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    let payload = "<x xmlns='urn:example:n'/>";
    let published = home.server.at(&juliet.account, 0, |cx| {
        let options = [("pubsub#access_model", "open")];
        cx.publish("n", "a", payload.to_owned(), &options)?;
        cx.publish("n", "b", payload.to_owned(), &[])?;
        cx.retract("n", "a")
            .and(Ok(()))
            .or_else(|refusal| match refusal {
                Refusal::NoItem => Ok(()), // the second took its place
                refusal => Err(refusal),
            })?;
        cx.publish(
            "n",
            "c",
            payload.to_owned(),
            &[("pubsub#access_model", "whitelist")],
        )
    });
    assert_eq!(published, Err(Refusal::Precondition));
    home.write();
    assert_eq!(rows(&home, &juliet.account), [1, 1, 1, 0, 0]);
}

#[test]
fn contacts_elsewhere_hear_of_news_at_the_resources_that_ask_for_them() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    home.send(
        &juliet,
        "<presence to='romeo@far.example' type='subscribed'/>",
    );
    let romeo = Jid::parse("romeo@far.example").unwrap();
    home.server.at(&juliet.account, 0, |cx| {
        let mut item = crate::roster::Item::default();
        (item.listed, item.subscription.from) = (true, true);
        cx.state.roster.put(&romeo, item);
    });
    let arrive = |resource: &str, xml: &str| {
        let stanza = Arc::new(Stanza::parse(xml).unwrap());
        let from = romeo.with_resource(resource).unwrap();
        home.server.at(&juliet.account, 0, |cx| {
            let to = cx.jid().clone();
            presence::arrive(cx, Passing::new(stanza, from, to));
            leaving(cx)
        })
    };
    let caps = "<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:b' \
         ver='VrOdOxxqE9T6ToJEyYeP3me8GTI='/></presence>";
    let asked = arrive("orchard", caps);
    let [question] = &asked[..] else {
        panic!("{asked:?}")
    };
    assert_eq!(
        (question.stanza.kind, question.to.as_str()),
        (Kind::Iq, "romeo@far.example/orchard")
    );
    let id = question.stanza.id().unwrap().into_owned();
    let answer = format!(
        "<iq type='result' id='{id}'><query xmlns='http://jabber.org/protocol/disco#info'>\
         <identity category='client' type='pc' name='Balcony'/>\
         <feature var='http://jabber.org/protocol/tune+notify'/></query></iq>"
    );
    home.server.at(&juliet.account, 0, |cx| {
        let (from, to) = (question.to.clone(), question.from.clone());
        let stanza = Arc::new(Stanza::parse(&answer).unwrap());
        crate::features::answered_us(cx, &Passing::new(stanza, from, to));
        leaving(cx)
    });
    // The same kind of client again: known. One that says nothing of itself hears nothing.
    assert_eq!(arrive("balcony", caps).len(), 0);
    arrive("garden", "<presence/>");
    arrive("balcony", "<presence type='unavailable'/>");
    let told = home.server.at(&juliet.account, 0, |cx| {
        let payload = "<tune xmlns='http://jabber.org/protocol/tune'/>".to_owned();
        cx.publish("http://jabber.org/protocol/tune", "now", payload, &[])
            .unwrap();
        leaving(cx)
    });
    let told: Vec<&str> = told.iter().map(|passing| passing.to.as_str()).collect();
    assert_eq!(told, ["romeo@far.example/orchard"]);
}

/// What would leave the account now, errands left out.
fn leaving(cx: &mut Cx<'_>) -> Vec<Passing> {
    let leaving = cx.state.take_leaving();
    let stanzas = leaving
        .into_iter()
        .filter(|leaving| leaving.errand.is_none());
    stanzas.map(|leaving| leaving.passing).collect()
}

#[test]
fn news_for_twenty_contacts_with_two_devices_each_are_one_commit() {
    let names: Vec<String> = (0..20).map(|n| format!("c{n}")).collect();
    let mut accounts = vec!["juliet"];
    accounts.extend(names.iter().map(String::as_str));
    let home = Fixture::new(&accounts);
    let juliet = home.online("juliet", "balcony");
    let mut devices = Vec::new();
    for name in &names {
        let contact = Jid::parse(&format!("{name}@home.example")).unwrap();
        home.server.at(&juliet.account, 0, |cx| {
            let mut item = crate::roster::Item::default();
            (item.listed, item.subscription.from) = (true, true);
            cx.state.roster.put(&contact, item);
        });
        for resource in ["phone", "laptop"] {
            let device = home.online(name, resource);
            home.server.at(&device.account, 0, |cx| {
                let resource = cx.state.resource(&device.jid).unwrap();
                let wanted = crate::capabilities::Announced::restore(b"k\nn");
                resource.memory.capabilities = wanted;
            });
            devices.push(device);
        }
    }
    home.write();
    for device in &devices {
        device.outbox.take(); // the other one's presence
    }
    for _ in 0..3 {
        home.send(&juliet, &publish_xml("n", "a", "1"));
        assert!(home.server.store().turn());
        assert!(!home.server.store().turn(), "one commit");
        for device in &devices {
            assert_eq!(home.got(device).len(), 1, "{}", device.jid);
        }
    }
}

#[test]
fn what_a_smaller_node_lost_does_not_come_back_when_the_last_item_goes() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    configure_many(&home, &juliet);
    // More than go together with what made them go.
    for n in 0..=PUBSUB_SWEEP_ITEMS + 1 {
        published(&home, &juliet, "n", &n.to_string(), "1");
    }
    let last = (PUBSUB_SWEEP_ITEMS + 1).to_string();
    home.server.at(&juliet.account, 0, |cx| {
        let visitor = Visitor::account(cx);
        let one = [("pubsub#max_items".to_owned(), vec!["1".to_owned()])];
        manage::configure(cx, &visitor, "n", &one).unwrap();
    });
    home.server
        .at(&juliet.account, 0, |cx| cx.retract("n", &last).unwrap());
    // Whenever the power fails.
    while home.server.store().turn() {
        let snapshot = home.server.store().snapshot().unwrap();
        let nodes = Nodes::load(&snapshot, juliet.account.id).unwrap();
        let node = nodes.get("n").unwrap();
        let is_there = nodes.find(node, &last).is_some();
        assert!(is_there || node.items.len() == 0, "{}", node.items.len());
    }
    assert_eq!(rows(&home, &juliet.account), [1, 0, 0, 0, 0]);
}
