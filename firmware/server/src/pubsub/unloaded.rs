//! Nodes of somebody who is away cost no memory.

use crate::{account::Account, fixture::Fixture};
use std::sync::{Arc, Weak};

/// As many nodes as nobody has: of a usual account it is about ten.
const NODES: usize = 200;
/// What may wait for company does not wait longer than this.
const HOUR_MS: u64 = 3_600_000;

/// Juliet's account, with so many nodes of one item each; she has left.
fn away_with_nodes(home: &Fixture) -> Weak<Account> {
    let juliet = home.online("juliet", "balcony");
    for number in 0..NODES {
        let item = "<item id='1'><x xmlns='urn:example:n'/></item>";
        home.send(
            &juliet,
            &format!(
                "<iq type='set' id='p'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
                 <publish node='urn:example:{number}'>{item}</publish></pubsub></iq>"
            ),
        );
        home.write();
        let got = home.got(&juliet).concat();
        assert!(got.contains("type='result'"), "{got}");
    }
    let account = Arc::downgrade(&juliet.account);
    home.leave(&juliet);
    drop(juliet);
    rest(home);
    account
}

/// Housekeeping, once everything decided is on the disk and readers see it there; without a reader that is at
/// the store's next checkpoint.
fn rest(home: &Fixture) {
    home.hands.pass(HOUR_MS);
    home.write();
    drop(home.server.store().snapshot().unwrap());
    home.tick();
}

#[test]
fn an_account_with_many_nodes_costs_no_memory_while_nobody_of_it_is_online() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let account = away_with_nodes(&home);
    assert!(home.server.directory().get("juliet").is_none());
    assert_eq!(account.strong_count(), 0, "nobody holds it");

    // Somebody asks: it is there for that, with everything, and no longer.
    let romeo = home.online("romeo", "orchard");
    let query = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
    home.send(
        &romeo,
        &format!("<iq type='get' id='d' to='juliet@home.example'>{query}</iq>"),
    );
    home.write();
    assert!(home.got(&romeo).concat().contains("type='result'"));
    let account = {
        let account = home.server.directory().get("juliet");
        let account = account.expect("it was asked a moment ago");
        assert_eq!(account.lock().memory.nodes.iter().count(), NODES);
        Arc::downgrade(&account)
    };
    rest(&home);
    assert!(home.server.directory().get("juliet").is_none());
    assert_eq!(account.strong_count(), 0);
}
