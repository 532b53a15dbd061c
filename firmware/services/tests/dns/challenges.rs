//! Answers to a certificate authority's challenges.

use super::house::{House, NOW, ZONE};
use http::Method;
use serde_json::json;
use std::sync::atomic::Ordering;

const NAME: &str = "_acme-challenge.home.example";

#[tokio::test]
async fn a_text_comes_is_seen_everywhere_and_goes() {
    let house = House::new().await;
    house.seen_at("192.0.2.7", "");
    house.apply(false).await.unwrap();
    house.double.heard();
    house.double.add(
        ZONE,
        "TXT",
        "_acme-challenge",
        json!({ "data": "foreign", "ttl": 30 }),
    );
    assert!(!house.dns.txt_everywhere(NAME, "one").await);
    house.dns.publish_txt(NAME, "one").await.unwrap();
    // The answer to the first attempt may have been lost.
    house.dns.publish_txt(NAME, "one").await.unwrap();
    house.dns.publish_txt(NAME, "two").await.unwrap();
    for value in ["one", "two", "foreign"] {
        assert!(house.dns.txt_everywhere(NAME, value).await, "{value}");
    }
    // The loop does not take it for something that is not wanted any more.
    assert_eq!(house.apply(false).await, Ok(vec![]));
    house.dns.withdraw_txt(NAME, "one").await.unwrap();
    house.dns.withdraw_txt(NAME, "foreign").await.unwrap();
    house.dns.withdraw_txt(NAME, "never there").await.unwrap();
    let texts = |house: &House| {
        let shown = house.double.shown(ZONE);
        let texts = shown
            .into_iter()
            .filter_map(|line| line.strip_prefix("TXT _acme-challenge ").map(str::to_owned));
        texts.collect::<Vec<_>>()
    };
    assert_eq!(texts(&house), ["foreign", "two"]);
    // What nobody withdrew goes by itself.
    house.hands.0.store(NOW + 3 * 3_600_000, Ordering::Relaxed);
    house.apply(false).await.unwrap();
    assert_eq!(texts(&house), ["foreign"]);
    assert!(
        !house
            .double
            .heard()
            .iter()
            .any(|line| line.starts_with(Method::PATCH.as_str()))
    );
}

#[tokio::test]
async fn without_a_provider_it_is_said() {
    let house = House::new().await;
    house.configure("domain = 'localhost'");
    let failure = house
        .dns
        .publish_txt(NAME, "one")
        .await
        .expect_err("nobody");
    assert!(
        failure.to_string().contains("choose another challenge"),
        "{failure}"
    );
    assert!(!house.dns.txt_everywhere(NAME, "one").await);
}

#[tokio::test]
async fn an_answer_that_is_too_long_for_a_datagram_is_fetched_whole() {
    let house = House::new().await;
    for number in 0..20 {
        let text = format!("{number} {}", "left by others ".repeat(10));
        house.double.add(
            ZONE,
            "TXT",
            "_acme-challenge",
            json!({ "data": text, "ttl": 30 }),
        );
    }
    house.dns.publish_txt(NAME, "ours").await.unwrap();
    assert!(house.dns.txt_everywhere(NAME, "ours").await);
    assert!(!house.dns.txt_everywhere(NAME, "another").await);
}
