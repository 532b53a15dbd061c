//! Devices and their tokens without a stream: what waits for the disk, what is forgotten, what outlives what.

use super::*;
use crate::{
    fixture::{Fixture, run_beside},
    world::Clock,
};
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};
use store::disk::{Fault, FileName};
use xmpp::sasl::{Hash, ht::Channel};

const DAY_MS: u64 = 86_400_000;
const TOKEN_DAYS: u64 = 30;

fn id(letter: char) -> Id {
    letter.to_string().repeat(16).parse().unwrap()
}

fn key_of(home: &Fixture, localpart: &str, device: Id) -> TokenKey {
    let record = home.server.find_account(localpart).unwrap().unwrap();
    TokenKey::of(b"secret", record.id, device, record.keys.of(Hash::Sha256))
}

fn arrival(id: Id, key: &TokenKey) -> Arrival<'_> {
    Arrival {
        id,
        key,
        software: "Script",
        name: "Desk",
        used: None,
        wants: Some(Channel::None),
    }
}

/// Lets a device sign in while the disk works; the text of its new token.
fn admitted(home: &Fixture, localpart: &str, arrival: &Arrival<'_>) -> Option<String> {
    let admitted = run_beside(home.server.store(), home.server.admit(localpart, arrival));
    admitted.unwrap().map(|issued| issued.token)
}

fn listed(home: &Fixture, localpart: &str) -> Vec<Listed> {
    let store = home.server.store();
    let snapshot = store.snapshot_after(store.queue(Vec::new(), store::Urgency::Now));
    list(&snapshot.unwrap(), localpart, home.hands.now()).unwrap()
}

#[test]
fn a_token_is_given_away_when_it_is_durable_and_not_before() {
    let home = Fixture::new(&["juliet"]);
    let key = key_of(&home, "juliet", id('a'));
    let arrival = arrival(id('a'), &key);
    let mut future = pin!(home.server.admit("juliet", &arrival));
    let mut poll = || {
        future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    };
    assert!(poll().is_pending());
    home.write();
    let Poll::Ready(Ok(Some(issued))) = poll() else {
        panic!("it is durable");
    };
    assert_eq!(issued.token.len(), 43);
    assert_eq!(issued.expires_ms, home.hands.now() + TOKEN_DAYS * DAY_MS);
}

#[test]
fn a_token_that_the_disk_did_not_take_is_not_given_away() {
    let home = Fixture::new(&["juliet"]);
    let key = key_of(&home, "juliet", id('a'));
    home.disk.fail(FileName::Journal, Fault::Write);
    assert_eq!(admitted(&home, "juliet", &arrival(id('a'), &key)), None);
    home.disk.heal();
    home.hands.pass(600_000);
    home.write();
    let text = admitted(&home, "juliet", &arrival(id('a'), &key));
    assert!(text.is_some(), "and when it does, it is");
}

#[test]
fn tokens_differ_by_account_device_password_and_chance() {
    let home = Fixture::new(&["juliet", "romeo"]);
    let record = |name| home.server.find_account(name).unwrap().unwrap();
    let (juliet, romeo) = (record("juliet"), record("romeo"));
    let seed: Seed = [7; 32];
    let text = |secret: &[u8], account, device, password: &accounts::AccountRecord| {
        TokenKey::of(secret, account, device, password.keys.of(Hash::Sha256)).text(&seed)
    };
    let one = text(b"secret", 1, id('a'), &juliet);
    assert_eq!(one, text(b"secret", 1, id('a'), &juliet));
    for other in [
        text(b"Secret", 1, id('a'), &juliet),
        text(b"secret", 2, id('a'), &juliet),
        text(b"secret", 1, id('b'), &juliet),
        text(b"secret", 1, id('a'), &romeo),
    ] {
        assert_ne!(one, other);
    }
    let key = key_of(&home, "juliet", id('a'));
    let (_, first) = key.issue(Channel::None, 0, home.server.dice());
    let (_, second) = key.issue(Channel::None, 0, home.server.dice());
    assert_ne!(first, second);
}

#[test]
fn what_is_stored_is_not_the_token() {
    let home = Fixture::new(&["juliet"]);
    let key = key_of(&home, "juliet", id('a'));
    let text = admitted(&home, "juliet", &arrival(id('a'), &key)).unwrap();
    let snapshot = home.server.store().snapshot().unwrap();
    let account = home.server.find_account("juliet").unwrap().unwrap().id;
    let device = find(&snapshot, account, id('a')).unwrap().unwrap();
    let seed = device.new.as_ref().map(|token| token.seed).unwrap();
    assert_ne!(text.as_bytes(), seed.as_slice());
    assert_eq!(key.text(&seed), text);
}

#[test]
fn the_device_that_was_away_for_longest_gives_up_its_place() {
    let home = Fixture::new(&["juliet"]);
    let letters: Vec<char> = ALPHABET.iter().map(|letter| char::from(*letter)).collect();
    assert_eq!(letters.len(), DEVICES_MAX, "one more makes too many");
    let sign_in = |device| {
        let key = key_of(&home, "juliet", device);
        admitted(&home, "juliet", &arrival(device, &key));
        home.hands.pass(1_000);
    };
    let connected = home.bind("juliet", "balcony");
    for letter in &letters {
        sign_in(id(*letter));
    }
    home.server.note_device(&connected, id(letters[0]));
    sign_in("abababababababab".parse().unwrap());
    let known = listed(&home, "juliet");
    assert_eq!(known.len(), DEVICES_MAX);
    assert_eq!(
        known[0].id.as_str(),
        "abababababababab",
        "the last one first"
    );
    let is_known = |id| known.iter().any(|listed| listed.id == id);
    assert!(is_known(id(letters[0])), "it is connected");
    assert!(!is_known(id(letters[1])));
    home.hands.pass(91 * DAY_MS);
    sign_in("cdcdcdcdcdcdcdcd".parse().unwrap());
    assert_eq!(
        listed(&home, "juliet").len(),
        2,
        "whoever stays away for three months is forgotten, but for those connected"
    );
}

#[test]
fn a_device_is_seen_until_its_session_is_gone() {
    let home = Fixture::new(&["juliet"]);
    let key = key_of(&home, "juliet", id('a'));
    admitted(&home, "juliet", &arrival(id('a'), &key));
    let session = home.bind("juliet", "balcony");
    home.server.note_device(&session, id('a'));
    assert_eq!(home.server.connected_devices("juliet"), [id('a')]);
    assert_eq!(home.server.connected_devices("nobody"), []);
    let first_seen = home.hands.now();
    home.hands.pass(5_000);
    home.leave(&session);
    assert_eq!(home.server.connected_devices("juliet"), []);
    let known = &listed(&home, "juliet")[0];
    assert_eq!(
        (known.first_seen_ms, known.last_seen_ms),
        (first_seen, first_seen + 5_000)
    );
}

#[test]
fn a_removed_account_leaves_no_device() {
    let home = Fixture::new(&["juliet"]);
    let key = key_of(&home, "juliet", id('a'));
    admitted(&home, "juliet", &arrival(id('a'), &key));
    home.remove("juliet");
    let rows = KNOWN.prefix(&home.server.store().snapshot().unwrap(), &());
    assert_eq!(rows.unwrap().count(), 0);
}

#[test]
fn names_are_one_line_of_harmless_characters() {
    for (told, kept) in [
        ("Kiva's Phone", "Kiva's Phone"),
        ("  two\n lines\t", "two lines"),
        ("\u{1b}[31mred\u{7}", "[31mred"),
        ("\u{202e}enohp\u{2066}", "enohp"),
        ("Téléphone 📱", "Téléphone 📱"),
        ("\u{7f}", ""),
        ("", ""),
    ] {
        assert_eq!(&*clean(told), kept, "{told:?}");
    }
    assert_eq!(
        clean(&"é".repeat(100)).chars().count(),
        DEVICE_NAME_CHARS_MAX
    );
}

#[test]
fn ids_are_read_as_they_are_printed() {
    let id = Id::of(b"secret", "juliet", "d4565fa7-4d72-4749-b3d3-740edbf87770");
    assert_eq!(id.to_string().parse(), Ok(id));
    for no_id in ["", "abc", "AAAAAAAAAAAAAAAA", "aaaaaaaaaaaaaaa0", "ééééé"] {
        assert_eq!(no_id.parse::<Id>(), Err(()), "{no_id}");
    }
}
