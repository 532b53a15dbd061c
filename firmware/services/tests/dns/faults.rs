//! What may go wrong at a provider: what is said about it, that nothing is lost, and that the next round
//! finishes what was begun.

use super::{
    double::{Double, Fault},
    house::{House, ZONE},
};
use http::Method;
use serde_json::json;
use services::dns::provider::{Failure, FailureKind};
use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

/// One fault with the next request of this method, in a house that has something to do by it.
async fn check(method: Method, fault: Fault, kind: FailureKind, part: &str) {
    let house = House::new().await;
    house.seen_at("192.0.2.7", "2001:db8::7");
    house.apply(false).await.unwrap();
    match method {
        Method::PATCH => house.seen_at("192.0.2.8", "2001:db8::7"),
        Method::POST => house.remove_by_hand("SRV"),
        _ => house.remove_by_hand("CNAME"),
    }
    house.double.fail(method.clone(), fault);
    let failure = house.apply(false).await.expect_err("a fault");
    assert_eq!(failure.kind, kind, "{method} {fault:?}: {failure}");
    assert!(failure.to_string().contains(part), "{failure}");
    if let Fault::Busy(seconds) = fault {
        assert_eq!(failure.again, Some(Duration::from_secs(seconds)));
    }
    house.apply(false).await.unwrap();
    assert!(house.is_seen().await, "{method} {fault:?}");
    assert_eq!(house.apply(false).await, Ok(vec![]));
    let shown = house.double.shown(ZONE);
    let once: BTreeSet<&String> = shown.iter().collect();
    assert_eq!(once.len(), shown.len(), "nothing is there twice: {shown:?}");
    assert!(!house.double.state().is_zone_gone);
}

#[tokio::test]
async fn each_fault_is_said_and_the_next_round_finishes() {
    use FailureKind as Kind;
    use Fault::*;
    let (get, post, patch) = (Method::GET, Method::POST, Method::PATCH);
    let other = "something else than its API";
    check(
        get.clone(),
        Status(500),
        Kind::Down,
        "out of order: Server Error",
    )
    .await;
    check(get.clone(), Status(302), Kind::Nonsense, "status 302").await;
    check(get.clone(), Html, Kind::Nonsense, other).await;
    check(get.clone(), Huge, Kind::Nonsense, "too long").await;
    check(get.clone(), OtherJson, Kind::Nonsense, other).await;
    check(get, Busy(30), Kind::Busy, "too many requests").await;
    check(post.clone(), Status(503), Kind::Down, "out of order").await;
    check(post.clone(), DoneAndGone, Kind::Down, "Gateway Timeout").await;
    check(post.clone(), Busy(7), Kind::Busy, "too many requests").await;
    check(post, Html, Kind::Nonsense, other).await;
    check(
        patch.clone(),
        OtherId,
        Kind::Nonsense,
        "changed another record",
    )
    .await;
    check(
        patch,
        Status(404),
        Kind::Gone,
        "is not at DigitalOcean any more",
    )
    .await;
}

#[tokio::test]
async fn a_token_that_lacks_a_scope_is_told_which() {
    for (scope, text) in [
        ("read", "does not let this token read records"),
        ("create", "domain:create is missing"),
        ("update", "domain:update is missing"),
        ("delete", "domain:delete is missing"),
    ] {
        let house = House::new().await;
        house.seen_at("192.0.2.7", "2001:db8::7");
        house.apply(false).await.unwrap();
        house.remove_by_hand("CNAME");
        house.double.state().scopes.remove(scope);
        house.seen_at(
            "192.0.2.8",
            if scope == "delete" { "" } else { "2001:db8::7" },
        );
        let failure = house.apply(false).await.expect_err("no scope");
        assert_eq!(failure.kind, FailureKind::Scope, "{scope}");
        assert!(failure.to_string().contains(text), "{failure}");
    }
}

#[tokio::test]
async fn a_right_that_is_missing_is_told_before_anything_is_written() {
    for scope in ["create", "update", "delete"] {
        let house = House::new().await;
        house.seen_at("192.0.2.7", "");
        house.double.state().scopes.remove(scope);
        for _ in 0..2 {
            let failure = house.apply(false).await.expect_err("no scope");
            let part = format!("domain:{scope} is missing");
            assert!(failure.to_string().contains(&part), "{failure}");
            // What could not be removed is there once.
            assert_eq!(
                house.double.shown(ZONE).len(),
                usize::from(scope != "create")
            );
        }
        house.double.state().scopes.insert(scope);
        house.apply(false).await.unwrap();
        assert!(house.is_seen().await);
        let shown = house.double.shown(ZONE);
        assert!(
            !shown.iter().any(|line| line.contains("_hearth-test")),
            "{shown:?}"
        );
    }
}

async fn refused(text: &str) -> Failure {
    let house = House::new().await;
    house.configure(text);
    house.seen_at("192.0.2.7", "");
    let failure = house.apply(false).await.expect_err("it cannot work");
    assert!(house.double.shown(ZONE).is_empty());
    failure
}

#[tokio::test]
async fn what_is_set_up_wrongly() {
    let at = "api_base = 'http://127.0.0.1:PORT'\ntoken_file =";
    for (text, kind, part) in [
        (
            format!("[dns]\nprovider = 'digitalocean'\n{at} '/old-token'"),
            FailureKind::Token,
            "does not take the token: Unable to authenticate you; it may have run out",
        ),
        (
            format!("[dns]\nprovider = 'digitalocean'\n{at} '/gone'"),
            FailureKind::Setup,
            "dns.token_file /gone cannot be read",
        ),
        (
            format!("[dns]\nprovider = 'digitalocean'\n{at} ''"),
            FailureKind::Setup,
            "dns.token_file is empty",
        ),
        (
            format!("[dns]\nprovider = 'someone'\n{at} '/token'"),
            FailureKind::Setup,
            "dns.provider = \"someone\" is not in this build",
        ),
        (
            "[dns]\nprovider = 'digitalocean'\ntoken_file = '/token'\n\
             api_base = 'http://elsewhere.example'"
                .into(),
            FailureKind::Setup,
            "correct dns.api_base",
        ),
        (
            "[dns]\nprovider = 'digitalocean'\ntoken_file = '/token'\napi_base = 'no address'"
                .into(),
            FailureKind::Setup,
            "dns.api_base = \"no address\" is no address",
        ),
        (
            "domain = 'other.example'".into(),
            FailureKind::Zone,
            "has no zone for other.example",
        ),
    ] {
        let failure = refused(&text).await;
        assert_eq!(failure.kind, kind, "{text}: {failure}");
        let said = failure.to_string();
        assert!(said.contains(part), "{said}");
        assert!(!said.contains("dop_v1"), "no secret is told");
    }
}

#[tokio::test]
async fn a_clock_in_1970_asks_nobody() {
    let house = House::new().await;
    house.hands.0.store(1_000, Ordering::Relaxed);
    let failure = house.apply(false).await.expect_err("no time");
    assert!(failure.text.contains("clock"), "{failure}");
    assert!(house.double.heard().is_empty());
}

#[tokio::test]
async fn one_record_that_is_refused_keeps_no_other_back() {
    let double = Double::new(ZONE);
    double.add(ZONE, "TXT", "upload", json!({ "data": "taken", "ttl": 60 }));
    let house = House::at(double, "", 0).await;
    house.seen_at("192.0.2.7", "");
    let done = house.dns.apply(false).await.unwrap().unwrap();
    assert!(!done.plan.is_held);
    assert_eq!(done.plan.conflicts.len(), 1);
    // Ours but for one, and theirs.
    assert_eq!(house.double.shown(ZONE).len(), 16);
    // What the provider alone knows to be wrong.
    house.double.fail(Method::POST, Fault::Status(422));
    house.remove_by_hand("SRV");
    let failure = house.apply(false).await.expect_err("one was refused");
    assert_eq!(failure.kind, FailureKind::Refused);
    let services = |house: &House| {
        house
            .double
            .shown(ZONE)
            .iter()
            .filter(|line| line.starts_with("SRV"))
            .count()
    };
    assert_eq!(services(&house), 9);
    house.apply(false).await.unwrap();
    assert_eq!(services(&house), 10);
}
