//! Tokens on connections that can be bound, and what becomes of them when somebody changes the account.

use super::*;
use crate::{
    accounts::{self, NewAccount},
    connection::fixture::{Client, block_on},
    devices,
    server::AccountChange,
};
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use store::{Urgency, Write};

const REFUSED: &str = "<failure><credentials-expired/></failure>";
const BIND2: &str = "<bind xmlns='urn:xmpp:bind:0'/>";

/// A client on a channel with this data.
fn on_channel(world: &World, exporter: u8) -> Client<'_> {
    let mut client = world.connect(Door::DirectTls);
    client.connection.secured(ChannelBindings {
        exporter: Some(vec![exporter; 32]),
        end_point: Some(vec![9; 32]),
    });
    client.say(HEADER);
    client
}

/// The channel data that a client takes for a mechanism.
fn data_of(mechanism: &str, exporter: u8) -> Vec<u8> {
    match &mechanism[mechanism.len() - 4..] {
        "EXPR" => vec![exporter; 32],
        "ENDP" => vec![9; 32],
        _ => Vec::new(),
    }
}

fn with_token(name: &str, token: &str, mechanism: &str, data: &[u8], inline: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    let hash = hmac::sign(&key, &[b"Initiator", data].concat());
    let message = STANDARD.encode([name.as_bytes(), &[0], hash.as_ref()].concat());
    format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'>\
         <initial-response>{message}</initial-response>{AGENT}<fast xmlns='urn:xmpp:fast:0'/>{inline}\
         </authenticate>"
    )
}

fn request(mechanism: &str) -> String {
    format!("{AGENT}<request-token xmlns='urn:xmpp:fast:0' mechanism='{mechanism}'/>")
}

/// The token in an answer.
fn token_in(heard: &str) -> Option<String> {
    let (_, behind) = heard.split_once(" token='")?;
    Some(behind.split_once('\'')?.0.to_owned())
}

/// Signs in on a channel of its own with the password, and asks for a token.
fn token_for(world: &World, mechanism: &str) -> String {
    let heard = on_channel(world, 1).say(&plain2("juliet", "pencil", &request(mechanism)));
    token_in(&heard).unwrap()
}

/// Signs in with an unbound token.
fn sign_in(world: &World, token: &str) -> String {
    on_channel(world, 1).say(&with_token("juliet", token, "HT-SHA-256-NONE", &[], ""))
}

/// What the command line does: a change is made durable, and then the server hears of it.
fn change(
    world: &World,
    name: &str,
    change: AccountChange,
    decide: impl FnOnce(&store::Snapshot) -> Vec<Write>,
) {
    let store = world.server.store();
    let latest = store.queue(Vec::new(), Urgency::Now);
    let writes = decide(&store.snapshot_after(latest).unwrap());
    store.queue(writes, Urgency::Now);
    while store.turn() {}
    block_on(world.server.account_changed(name, change));
    while store.turn() {}
}

#[test]
fn a_token_is_good_on_the_channel_that_it_was_asked_for() {
    for mechanism in ["HT-SHA-256-EXPR", "HT-SHA-256-ENDP", "HT-SHA-256-NONE"] {
        let world = World::new("");
        let token = token_for(&world, mechanism);
        let try_as = |mechanism: &str, data: &[u8]| {
            on_channel(&world, 2).say(&with_token("juliet", &token, mechanism, data, BIND2))
        };
        let right = data_of(mechanism, 2);
        assert!(try_as(mechanism, &right).starts_with("<success><additional-data>"));
        for other in ["HT-SHA-256-EXPR", "HT-SHA-256-ENDP", "HT-SHA-256-NONE"] {
            if other == mechanism {
                continue;
            }
            assert_eq!(
                try_as(other, &data_of(other, 2)),
                REFUSED,
                "§3.4: {mechanism} {other}"
            );
            let wrong = data_of(other, 2);
            assert_eq!(try_as(mechanism, &wrong), REFUSED, "{mechanism} {other}");
        }
    }
}

/// XEP-0509: everything in the first packet after the handshake, before our features are on their way.
#[test]
fn both_doors_take_a_login_that_comes_with_the_header() {
    let world = World::new("");
    let token = token_for(&world, "HT-SHA-256-EXPR");
    let mut versions = Vec::new();
    for door in [Door::StartTls, Door::DirectTls] {
        let mut client = world.connect(door);
        if door == Door::StartTls {
            let starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
            assert!(
                client
                    .say(&format!("{HEADER}{starttls}"))
                    .ends_with("<proceed/>[TLS]")
            );
        }
        client.connection.secured(ChannelBindings {
            exporter: Some(vec![1; 32]),
            end_point: Some(vec![9; 32]),
        });
        let login = with_token("juliet", &token, "HT-SHA-256-EXPR", &[1; 32], BIND2);
        let heard = client.say_raw(&format!("{HEADER}{login}"));
        let (before, after) = heard.split_once("<success ").unwrap();
        assert!(
            before.contains("<stream:features>") && after.contains("<bound "),
            "{heard}"
        );
        let (_, version) = before.split_once("<config-version ").unwrap();
        versions.push(version.to_owned());
    }
    assert_eq!(versions[0], versions[1], "the same on all ports");
}

#[test]
fn a_proof_for_one_channel_is_none_for_another() {
    let world = World::new("");
    let token = token_for(&world, "HT-SHA-256-EXPR");
    let overheard = with_token("juliet", &token, "HT-SHA-256-EXPR", &[1; 32], "");
    assert_eq!(on_channel(&world, 2).say(&overheard), REFUSED);
    assert!(
        on_channel(&world, 1)
            .say(&overheard)
            .starts_with("<success>")
    );
}

#[test]
fn a_mechanism_that_is_not_on_offer_is_neither_taken_nor_given_a_token_for() {
    let world = World::new("");
    let token = token_for(&world, "HT-SHA-256-EXPR");
    let mut client = world.connect(Door::Secured);
    client.say(HEADER);
    assert_eq!(
        client.say(&with_token("juliet", &token, "HT-SHA-256-EXPR", &[], "")),
        "<failure><invalid-mechanism/></failure>"
    );
    let heard = client.say(&plain2("juliet", "pencil", &request("HT-SHA-256-EXPR")));
    assert!(
        heard.starts_with("<success>") && token_in(&heard).is_none(),
        "{heard}"
    );
    let heard = on_channel(&world, 1).say(&plain2("juliet", "pencil", &request("SCRAM-SHA-1")));
    assert!(
        heard.starts_with("<success>") && token_in(&heard).is_none(),
        "{heard}"
    );
}

#[test]
fn who_does_not_say_which_installation_it_is_gets_no_token() {
    let world = World::new("");
    let asks = request("HT-SHA-256-NONE").replace(AGENT, "<user-agent id='phone'/>");
    let heard = on_channel(&world, 1).say(&plain2("juliet", "pencil", &asks));
    assert!(
        heard.starts_with("<success>") && token_in(&heard).is_none(),
        "{heard}"
    );
}

#[test]
fn no_token_outlives_a_change_of_password() {
    let world = World::new("");
    for with_session in [false, true] {
        let password = if with_session { "crayon" } else { "pencil" };
        let mut client = on_channel(&world, 1);
        let asks = [request("HT-SHA-256-NONE"), BIND2.to_owned()].concat();
        let token = token_in(&client.say(&plain2("juliet", password, &asks))).unwrap();
        if !with_session {
            block_on(client.connection.leave());
        }
        let store = world.server.store();
        let snapshot = store.snapshot().unwrap();
        let writes = accounts::passwd(&snapshot, "juliet", "crayon", world.server.dice()).unwrap();
        store.queue(writes, Urgency::Now);
        drop(snapshot);
        // At once, before anybody who has the account in memory hears of it.
        assert_eq!(sign_in(&world, &token), REFUSED);
        block_on(
            world
                .server
                .account_changed("juliet", AccountChange::PasswordChanged),
        );
        assert_eq!(sign_in(&world, &token), REFUSED);
        let known = devices::list(&store.snapshot().unwrap(), "juliet", 0).unwrap();
        assert!(!known[0].token && !known[0].password);
    }
}

#[test]
fn no_token_outlives_its_account_or_its_being_disabled() {
    let world = World::new("");
    let token = token_for(&world, "HT-SHA-256-NONE");
    change(&world, "juliet", AccountChange::Disabled, |snapshot| {
        accounts::disable(snapshot, "juliet").unwrap()
    });
    assert_eq!(sign_in(&world, &token), REFUSED);
    change(&world, "juliet", AccountChange::Enabled, |snapshot| {
        accounts::enable(snapshot, "juliet").unwrap()
    });
    assert_eq!(sign_in(&world, &token), REFUSED);

    let token = token_for(&world, "HT-SHA-256-NONE");
    change(&world, "juliet", AccountChange::Removed, |snapshot| {
        accounts::remove(snapshot, "juliet", 0).unwrap()
    });
    assert_eq!(sign_in(&world, &token), REFUSED);
    let store = world.server.store();
    let (_, id) = accounts::removed(&store.snapshot().unwrap()).unwrap()[0];
    change(&world, "juliet", AccountChange::Removed, |snapshot| {
        let mut writes = accounts::writes_to_remove(snapshot, id).unwrap();
        writes.push(accounts::swept("juliet"));
        writes
    });
    let again = NewAccount {
        localpart: "juliet",
        password: "pencil",
        display_name: "",
        admin: false,
    };
    change(&world, "juliet", AccountChange::Added, |snapshot| {
        accounts::add(snapshot, "localhost", &again, 0, world.server.dice()).unwrap()
    });
    assert_eq!(sign_in(&world, &token), REFUSED);
}

#[test]
fn a_device_that_is_signed_out_loses_its_session_and_its_token() {
    let world = World::new("");
    let mut client = on_channel(&world, 1);
    let asks = [request("HT-SHA-256-NONE"), BIND2.to_owned()].concat();
    let token = token_in(&client.say(&plain2("juliet", "pencil", &asks))).unwrap();
    // Bound in the old way, and from the same device.
    let mut other = on_channel(&world, 1);
    other.say(&plain2("juliet", "pencil", AGENT));
    other.say(BIND);
    let mut unknown = on_channel(&world, 1);
    unknown.say(&plain2("juliet", "pencil", BIND2));

    let id = world.server.connected_devices("juliet")[0];
    assert_eq!(world.server.connected_devices("juliet"), [id, id]);
    change(&world, "juliet", AccountChange::SignedOut(id), |snapshot| {
        devices::sign_out(snapshot, "juliet", id).unwrap()
    });
    for client in [&mut client, &mut other] {
        assert!(client.hear().starts_with("<stream:error><not-authorized/"));
    }
    assert_eq!(unknown.hear(), "", "it is another device");
    assert_eq!(sign_in(&world, &token), REFUSED);
    let snapshot = world.server.store().snapshot().unwrap();
    assert!(
        devices::sign_out(&snapshot, "juliet", id).is_err(),
        "once is enough"
    );
}

#[test]
fn tokens_that_fail_slow_down_like_passwords_and_good_ones_do_not() {
    let world = World::new("");
    let token = token_for(&world, "HT-SHA-256-NONE");
    for _ in 0..10 {
        assert_eq!(sign_in(&world, "wrong"), REFUSED);
    }
    assert_eq!(sign_in(&world, "wrong"), "[waits]");
    assert!(sign_in(&world, &token).starts_with("<success>"));
    let other = with_token("nobody", "wrong", "HT-SHA-256-NONE", &[], "");
    for _ in 0..10 {
        assert_eq!(on_channel(&world, 1).say(&other), REFUSED);
    }
    assert_eq!(
        on_channel(&world, 1).say(&other),
        "[waits]",
        "a name nobody has is one, too"
    );
}
