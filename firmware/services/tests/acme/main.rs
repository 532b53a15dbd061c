//! Certificates over weeks: what is asked for when, what is done with what comes, and what is never done.
//! Time is moved by the tests; nothing waits.

mod authority;
mod world;

use authority::{DIRECTORY, Gift};
use household::{Config, Level};
use server::world::Clock;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;
use world::{BEGIN, DAY, HOUR, World, Zone};

#[tokio::test(start_paused = true)]
async fn one_certificate_has_all_names_and_a_restart_asks_for_none() {
    let world = World::new();
    let house = world.start();
    assert!(house.is_self_signed(), "until there is another");
    house.good().await;
    let names = ["", "groupchat.", "upload.", "proxy.", "pubsub."];
    let names = names.map(|label| format!("{label}home.example"));
    assert_eq!(world.authority.shape().orders, [(names.to_vec(), false)]);
    let (serial, url) = (house.serial(), house.acme.accounts().borrow()[0].clone());
    assert_eq!(url.url, "https://ca.example/account/1");
    assert_eq!(url.identities, ["ca.example"]);
    assert!(house.files.get("token-0-0").is_none(), "it is taken away");
    house.cut().await;
    for _ in 0..3 {
        let house = world.start();
        assert_eq!(house.serial(), serial, "before anybody can come in");
        assert_eq!(house.acme.accounts().borrow()[0], url);
        house.good().await;
        sleep(HOUR).await;
        house.cut().await;
    }
    assert_eq!((world.orders(), world.authority.shape().accounts), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_third_of_its_life_before_its_end_it_is_renewed() {
    for (days, renewed) in [(90, 60), (45, 30), (6, 4)] {
        let world = World::new();
        world.authority.shape().lifetime = DAY * days;
        let house = world.start();
        house.good().await;
        let first = house.serial();
        world.travel_to(DAY * (renewed - 1) + HOUR * 23).await;
        assert_eq!(world.orders(), 1, "{days} days");
        world.travel_to(DAY * renewed + HOUR).await;
        assert_eq!(world.orders(), 2, "{days} days");
        assert_ne!(house.serial(), first, "served without a restart");
        world.travel_to(DAY * renewed * 10).await;
        assert!((10..=11).contains(&world.orders()), "{}", world.orders());
        let finding = house.good().await;
        assert!(
            finding.starts_with("An authority vouches for groupchat"),
            "{finding}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_advised_renews_in_the_window_and_says_what_is_replaced() {
    let world = World::new();
    world.authority.shape().advice = Some((DAY * 10, DAY * 12));
    let house = world.start();
    house.good().await;
    world.travel_to(DAY * 9 + HOUR * 23).await;
    assert_eq!(world.orders(), 1);
    world.travel_to(DAY * 12 + HOUR).await;
    assert_eq!(world.orders(), 2);
    assert!(
        world.authority.shape().orders[1].1,
        "an order that replaces"
    );
    // A day of nothing but questions.
    let before = world.authority.shape().requests;
    world.travel_to(DAY * 13 + HOUR).await;
    let asked = world.authority.shape().requests - before;
    assert!((6..=12).contains(&asked), "{asked} requests in a day");
}

#[tokio::test(start_paused = true)]
async fn advice_may_move_the_renewal_and_not_ruin_it() {
    for (advice, days, renewed) in [
        // Too late to try again, after the end, no window at all.
        ((44, 45), 40, 30),
        ((400, 500), 40, 30),
        ((20, 10), 40, 30),
        // Its window moved into the past: it is renewed at once, once a day.
        ((0, 0), 40, 30),
        ((35, 36), 37, 35),
    ] {
        let world = World::new();
        world.authority.shape().advice = Some((DAY * advice.0, DAY * advice.1));
        let house = world.start();
        house.good().await;
        world.travel_to(DAY * (renewed - 1) + HOUR * 23).await;
        assert_eq!(world.orders(), 1, "{advice:?}");
        world.travel_to(DAY * days).await;
        assert_eq!(world.orders(), 2, "{advice:?}");
    }
    let world = World::new();
    world.authority.shape().advice = Some((Duration::ZERO, Duration::from_secs(1)));
    let house = world.start();
    house.good().await;
    world.travel_to(DAY * 10).await;
    let orders = world.orders();
    assert!((9..=11).contains(&orders), "{orders} orders in ten days");
}

#[tokio::test(start_paused = true)]
async fn one_way_of_proving_after_the_other_and_nothing_is_left_behind() {
    let http = "http-01";
    for (refuses, blind_to, expected) in [
        (false, vec![], "dns-01"),
        (true, vec![], http),
        (false, vec!["dns-01"], http),
        (true, vec![http], "tls-alpn-01"),
        (false, vec!["dns-01", http], "tls-alpn-01"),
    ] {
        let mut world = World::new();
        let slowness = Arc::new(AtomicU64::new(3));
        let zone = Zone {
            refuses,
            slowness,
            ..Zone::default()
        };
        world.zone = Some(zone.clone());
        world.authority.shape().blind_to = blind_to.iter().copied().collect();
        let house = world.start();
        house.good().await;
        let shape = world.authority.shape();
        let last = shape.looked_at.last().unwrap();
        assert_eq!(last, expected, "{blind_to:?}");
        drop(shape);
        assert_eq!(zone.records(), [], "{blind_to:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_proven_is_said_and_tried_again_ever_less_often() {
    let world = World::new();
    let all = ["http-01", "tls-alpn-01"];
    world.authority.shape().blind_to = all.into_iter().collect();
    let house = world.start();
    let finding = house.finding(Level::Fail, "self-signed").await;
    for part in [
        "home.example could not be proven by http-01: Connection refused; and ",
        "by tls-alpn-01: Connection refused; see that the name leads to this house, and that the router \
         passes port 80 on to listen.http; it is tried again around 2026-09-21 ",
    ] {
        assert!(finding.contains(part), "{finding}");
    }
    world.travel_to(DAY).await;
    let in_a_day = world.orders() / 2;
    assert!((4..=9).contains(&in_a_day), "{in_a_day} attempts in a day");
    world.travel_to(DAY * 8).await;
    let in_a_week = world.orders() / 2 - in_a_day;
    assert!((10..=20).contains(&in_a_week), "{in_a_week} in a week");
    // A restart does not make it impatient.
    house.cut().await;
    let before = world.orders();
    let house = world.start();
    house.finding(Level::Fail, "self-signed").await;
    assert_eq!(world.orders(), before);
    // Whoever has mended something says so.
    world.authority.shape().blind_to.clear();
    house.acme.follow(world.config());
    house.good().await;
    assert_eq!(world.orders(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_too_often_is_left_alone_until_it_says() {
    let world = World::new();
    let until = BEGIN + (HOUR * 30).as_millis() as u64;
    world.authority.shape().limited_until = Some(until);
    let house = world.start();
    let finding = house.finding(Level::Fail, "too often").await;
    assert!(
        finding.ends_with(
            "because ca.example has been asked too often: too many certificates for this set of names; \
             it may be asked again after 2026-09-22 20:13 UTC"
        ),
        "{finding}"
    );
    let asked = world.authority.shape().requests;
    house.acme.follow(world.config());
    world.travel_to(HOUR * 20).await;
    house.cut().await;
    let house = world.start();
    world.travel_to(HOUR * 29).await;
    assert_eq!(
        world.authority.shape().requests,
        asked,
        "also after a restart"
    );
    house.good().await;
    assert!(world.clock.now() >= until);
    assert_eq!(world.orders(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_good_certificate_changes_nothing() {
    for (gift, why) in [
        (Gift::OtherKey, "certificate and key do not go together"),
        (
            Gift::OtherNames,
            "it is not for home.example, groupchat.home.example",
        ),
        (Gift::Garbage, "what the authority gave is no certificate"),
        (Gift::Over, "what the authority gave is over already"),
        (Gift::Endless, "the authority's certificate is too long"),
    ] {
        let world = World::new();
        let house = world.start();
        house.good().await;
        let first = house.serial();
        world.authority.shape().gift = gift;
        world.travel_to(DAY * 30 + HOUR).await;
        let finding = house.finding(Level::Warn, why).await;
        assert!(
            finding.contains("the one in use is good until 2026-"),
            "{finding}"
        );
        assert_eq!(house.serial(), first, "{gift:?}");
        // Its end comes nearer.
        world.travel_to(DAY * 46).await;
        house.finding(Level::Fail, "the one in use ends").await;
        world.authority.shape().gift = Gift::Good;
        house.good().await;
        assert_ne!(house.serial(), first);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_before_the_clock_is_right_or_for_a_house_without_a_name() {
    let world = World::new();
    let house = world.start_at(false);
    house
        .finding(Level::Warn, "before the clock of this machine is right")
        .await;
    sleep(DAY).await;
    assert_eq!(world.authority.shape().requests, 0);
    house.sane.send_replace(true);
    house.good().await;
    for (config, part) in [
        (
            "domain = 'localhost'",
            "no authority gives certificates for localhost",
        ),
        ("tls.mode = 'self-signed'", "no authority is asked"),
    ] {
        let world = World::new();
        let house = world.start();
        let text = format!("{config}\nacme.directory = '{DIRECTORY}'");
        let config = Config::from_texts([(Path::new("x.toml"), &*text)]).unwrap();
        let mut config = config;
        if part.contains("localhost") {
            config.tls.mode = household::config::TlsMode::Acme;
        }
        // Before its first look.
        house.acme.follow(Arc::new(config));
        let mut finding = house.acme.finding();
        let found = finding.wait_for(|it| it.text.contains(part));
        assert!(found.await.is_ok());
        sleep(DAY).await;
        assert_eq!(world.authority.shape().requests, 0, "{part}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_names_are_another_certificate_of_the_same_account() {
    let mut world = World::new();
    let house = world.start();
    house.good().await;
    world.config = "[components]\n'irc.home.example' = 's'".into();
    house.acme.follow(world.config());
    house.finding(Level::Ok, "irc.home.example").await;
    world.config = String::new();
    house.acme.follow(world.config());
    sleep(HOUR).await;
    assert!(!house.good().await.contains("irc.home.example"));
    world.config = "acme.contact = 'alice@home.example'".into();
    house.acme.follow(world.config());
    sleep(HOUR).await;
    let shape = world.authority.shape();
    let sizes: Vec<_> = shape.orders.iter().map(|(names, _)| names.len()).collect();
    assert_eq!(sizes, [5, 6, 5], "another contact is no reason");
    assert_eq!(shape.accounts, 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_away_is_asked_again() {
    let world = World::new();
    world.authority.shape().is_away = true;
    let house = world.start();
    let finding = house
        .finding(Level::Fail, "ca.example cannot be asked")
        .await;
    assert!(
        finding.contains("see that this machine reaches the internet"),
        "{finding}"
    );
    world.travel_to(HOUR * 2).await;
    world.authority.shape().is_away = false;
    house.good().await;
    assert!(world.clock.elapsed_ms() < (HOUR * 4).as_millis() as u64);
}

#[tokio::test(start_paused = true)]
async fn what_is_tried_first_costs_nothing_where_it_counts() {
    let mut world = World::new();
    world.config = "acme.staging_directory = 'https://ca.example/staging'".into();
    let house = world.start();
    house.good().await;
    assert_eq!(world.authority.shape().places, ["staging", "directory"]);
    assert_eq!(
        house.acme.accounts().borrow().len(),
        2,
        "CAA records name both"
    );
    world.travel_to(DAY * 31).await;
    let places = world.authority.shape().places.clone();
    assert_eq!(
        places,
        ["staging", "directory", "directory"],
        "it is known to go"
    );
    // What fails is tried there until it goes.
    let all = ["http-01", "tls-alpn-01"];
    world.authority.shape().blind_to = all.into_iter().collect();
    world.travel_to(DAY * 63).await;
    world.authority.shape().blind_to.clear();
    house.good().await;
    let places = world.authority.shape().places.clone();
    let counted = places.iter().filter(|place| *place == "directory");
    // The first attempt of the renewal did not know yet.
    assert_eq!(counted.count(), 5, "{places:?}");
}

#[tokio::test(start_paused = true)]
async fn an_order_that_a_power_cut_left_is_taken_up() {
    let world = World::new();
    world.authority.shape().is_silent_after_finalizing = true;
    let house = world.start();
    house.finding(Level::Fail, "I have forgotten").await;
    house.cut().await;
    world.authority.shape().is_silent_after_finalizing = false;
    let house = world.start();
    house.good().await;
    assert_eq!(world.orders(), 1);
    assert!(!house.is_self_signed());
}

#[tokio::test(start_paused = true)]
async fn records_of_a_run_that_was_cut_off_are_taken_away() {
    let mut world = World::new();
    let zone = Zone {
        slowness: Arc::new(AtomicU64::new(u64::MAX)),
        ..Zone::default()
    };
    world.zone = Some(zone.clone());
    let house = world.start();
    world.travel_to(Duration::from_mins(1)).await;
    assert_eq!(zone.records().len(), 5, "they are waited for");
    house.cut().await;
    zone.slowness.store(0, Ordering::Relaxed);
    let old = zone.records();
    let house = world.start();
    house.good().await;
    assert_eq!(zone.records(), [], "{old:?}");
}

#[tokio::test(start_paused = true)]
async fn nonces_that_are_not_taken_and_accounts_that_are_forgotten() {
    let world = World::new();
    world.authority.shape().bad_nonces = Some(3);
    let house = world.start();
    house.good().await;
    assert_eq!(world.orders(), 1);
    world.authority.shape().is_forgetful = true;
    world.travel_to(DAY * 30 + Duration::from_mins(10)).await;
    house.good().await;
    let shape = world.authority.shape();
    assert_eq!((shape.orders.len(), shape.is_forgetful), (2, false));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_certificate_is_replaced() {
    let world = World::new();
    let house = world.start();
    house.good().await;
    let first = house.serial();
    house.acme.revoke().await.unwrap();
    sleep(HOUR).await;
    house.good().await;
    assert_eq!(world.authority.shape().revoked, 1);
    assert_ne!(house.serial(), first);
}
