//! From an empty zone to a house that is found, and how it stays so.

use super::{
    double::Double,
    house::{House, ZONE},
};
use expect_test::expect;
use serde_json::json;
use services::dns::{
    plan::Step,
    zone::{Issuer, Seen},
};

#[tokio::test]
async fn an_empty_zone_is_filled_and_every_name_server_has_it() {
    let house = House::new().await;
    house.seen_at("192.0.2.7", "2001:db8::7");
    house.dns.issuers(Seen::At(vec![Issuer {
        domain: "ca.example".to_owned(),
        account: "https://ca.example/acct/7".to_owned(),
    }]));
    let planned = house.dns.plan(false).await.unwrap().unwrap();
    assert_eq!(planned.zone, ZONE);
    assert!(
        planned
            .plan
            .steps
            .iter()
            .all(|step| matches!(step, Step::Create(_)))
    );
    assert!(
        !house
            .double
            .heard()
            .iter()
            .any(|line| !line.starts_with("GET ")),
        "a plan writes nothing"
    );
    assert!(!house.is_seen().await);
    house.apply(false).await.unwrap();
    assert!(house.is_seen().await);
    let shown = house.double.shown(ZONE);
    let (marker, shown) = shown.split_first().unwrap();
    assert!(marker.starts_with("TXT _hearth-owner hearth="), "{marker}");
    expect![[r"
        AAAA @ 2001:db8::7
        A @ 192.0.2.7
        CNAME groupchat home.example
        CNAME upload home.example
        CNAME proxy home.example
        CNAME pubsub home.example
        SRV _xmpps-client._tcp 8443 home.example
        SRV _xmpps-client._tcp 5223 home.example
        SRV _xmpp-client._tcp 5222 home.example
        SRV _xmpps-server._tcp 5270 home.example
        SRV _xmpp-server._tcp 5269 home.example
        SRV _xmpps-server._tcp.groupchat 5270 home.example
        SRV _xmpp-server._tcp.groupchat 5269 home.example
        SRV _stun._udp 3478 home.example
        SRV _turn._udp 3478 home.example
        SRV _turns._tcp 5349 home.example
        CAA @ ca.example; accounturi=https://ca.example/acct/7"]]
    .assert_eq(&shown.join("\n"));
    // And now there is nothing to do.
    assert_eq!(house.apply(false).await, Ok(vec![]));
}

#[tokio::test]
async fn a_new_address_is_one_patch_of_the_record_that_is_there() {
    let house = House::new().await;
    house.seen_at("192.0.2.7", "2001:db8::7");
    house.apply(false).await.unwrap();
    house.double.heard();
    house.seen_at("192.0.2.8", "2001:db8::7");
    house.apply(false).await.unwrap();
    assert!(house.is_seen().await);
    let heard = house.double.heard();
    let writes: Vec<&String> = heard
        .iter()
        .filter(|line| !line.starts_with("GET "))
        .collect();
    assert_eq!(writes.len(), 1);
    assert!(
        writes[0].starts_with("PATCH /v2/domains/home.example/records/"),
        "{writes:?}"
    );
    assert_eq!(heard.len(), 2, "one look, one change");
    // Who is reached by one family alone has no address of the other.
    house.seen_at("", "2001:db8::7");
    house.apply(false).await.unwrap();
    assert!(
        !house
            .double
            .shown(ZONE)
            .iter()
            .any(|line| line.starts_with("A @"))
    );
}

#[tokio::test]
async fn a_zone_of_many_pages_is_read_whole() {
    let double = Double::new(ZONE);
    for number in 0..450 {
        double.add(
            ZONE,
            "A",
            &format!("host{number}"),
            json!({ "data": "192.0.2.1", "ttl": 60 }),
        );
    }
    let house = House::at(double, "", 0).await;
    house.seen_at("192.0.2.7", "");
    house.apply(false).await.unwrap();
    house.double.heard();
    assert_eq!(house.apply(false).await, Ok(vec![]));
    let heard = house.double.heard();
    let pages: Vec<&str> = heard
        .iter()
        .filter_map(|line| line.split("page=").nth(2))
        .collect();
    assert_eq!(
        pages,
        ["1", "2", "3"],
        "and no link of an answer was followed"
    );
}

#[tokio::test]
async fn a_web_site_at_the_domain_is_left_alone_until_somebody_says_so() {
    let double = Double::new(ZONE);
    let site = double.add(
        ZONE,
        "A",
        "@",
        json!({ "data": "198.51.100.1", "ttl": 3_600 }),
    );
    double.add(
        ZONE,
        "MX",
        "@",
        json!({ "data": "mail.example", "ttl": 60, "priority": 10 }),
    );
    let house = House::at(double, "", 0).await;
    house.seen_at("192.0.2.7", "");
    let before = house.double.shown(ZONE);
    let done = house.dns.apply(false).await.unwrap().unwrap();
    assert!(done.plan.is_held && done.taken == 0);
    assert_eq!(done.plan.conflicts[0].there[0].id, site.to_string());
    assert_eq!(house.double.shown(ZONE), before);
    house.apply(true).await.unwrap();
    assert!(house.is_seen().await);
    let shown = house.double.shown(ZONE);
    assert!(
        shown.contains(&"A @ 192.0.2.7".to_owned())
            && shown.contains(&"MX @ mail.example".to_owned())
    );
    assert_eq!(house.apply(false).await, Ok(vec![]), "it is ours now");
}

#[tokio::test]
async fn what_somebody_removed_by_hand_comes_back_and_what_is_off_goes() {
    let house = House::new().await;
    house.seen_at("192.0.2.7", "");
    house.apply(false).await.unwrap();
    house.remove_by_hand("CNAME");
    assert_eq!(house.apply(false).await.unwrap().len(), 4);
    house.configure("[names]\nrooms = 'talk'\n[listen]\nstun = []");
    house.apply(false).await.unwrap();
    let shown = house.double.shown(ZONE).join("\n");
    assert!(
        shown.contains("CNAME talk") && !shown.contains("groupchat") && !shown.contains("_stun")
    );
    assert_eq!(house.apply(false).await, Ok(vec![]));
}

#[tokio::test]
async fn a_domain_below_its_zone() {
    let house = House::at(Double::new(ZONE), "domain = 'chat.home.example'", 0).await;
    house.seen_at("192.0.2.7", "");
    house.apply(false).await.unwrap();
    let shown = house.double.shown(ZONE);
    for line in [
        "A chat 192.0.2.7",
        "CNAME groupchat.chat chat.home.example",
        "SRV _xmpp-client._tcp.chat 5222 chat.home.example",
    ] {
        assert!(shown.contains(&line.to_owned()), "{line}: {shown:?}");
    }
    assert!(house.is_seen().await);
    let heard = house.double.heard();
    assert_eq!(
        heard[..2],
        [
            "GET /v2/domains/chat.home.example",
            "GET /v2/domains/home.example"
        ]
    );
}

#[tokio::test]
async fn two_houses_do_not_write_over_each_other() {
    let house = House::new().await;
    house.seen_at("192.0.2.7", "");
    house.apply(false).await.unwrap();
    let other = House::at(house.double.clone(), "", 5).await;
    other.seen_at("192.0.2.99", "");
    let done = other.dns.apply(false).await.unwrap().unwrap();
    assert!(done.plan.is_held && done.taken == 0);
    assert!(house.is_seen().await);
    // With a word, it moves there, and the first one notices.
    other.apply(true).await.unwrap();
    assert!(other.is_seen().await);
    assert!(house.dns.plan(false).await.unwrap().unwrap().plan.is_held);
}

#[tokio::test]
async fn nothing_is_sent_for_a_domain_that_is_nobodys() {
    for text in [
        "domain = 'localhost'",
        "domain = 'house.local'",
        "domain = 'home.example'\n[dns]\nprovider = ''\napi_base = 'http://127.0.0.1:PORT'",
    ] {
        let house = House::new().await;
        house.configure(text);
        house.seen_at("192.0.2.7", "");
        assert_eq!(house.dns.apply(false).await, Ok(None), "{text}");
        assert_eq!(house.dns.plan(true).await, Ok(None));
        assert_eq!(house.dns.status().await, Ok(None));
        assert!(house.double.heard().is_empty());
    }
}

#[tokio::test]
async fn a_domain_in_letters_of_any_language_is_written_as_name_servers_know_it() {
    let house = House::new().await;
    house.configure("domain = 'bücher.example'");
    let names: Vec<String> = house.dns.records().into_iter().map(|it| it.name).collect();
    assert!(
        names.contains(&"groupchat.xn--bcher-kva.example".to_owned()),
        "{names:?}"
    );
    assert!(names.iter().all(|name| name.is_ascii()));
}
