//! Account operations against a simulated disk.

use super::*;
use crate::roster::{self, RosterVersion};
use expect_test::{Expect, expect};
use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};
use store::{Options, Store, Urgency, Value, disk::SimDisk};
use xmpp::sasl::{Hash, Keys};

/// Each byte is one more than the last.
#[derive(Default)]
struct Counting(AtomicU8);

impl Dice for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
    }
}

struct World {
    store: Arc<Store>,
    dice: Counting,
}

impl World {
    fn new() -> World {
        let store = Store::open(Arc::new(SimDisk::new()), Options::default()).unwrap();
        World {
            store,
            dice: Counting::default(),
        }
    }

    fn snapshot(&self) -> Snapshot {
        self.store
            .snapshot_after(self.store.queue(Vec::new(), Urgency::Now))
            .unwrap()
    }

    fn queue(&self, writes: Vec<Write>) {
        self.store.queue(writes, Urgency::Now);
    }

    /// One step: `add alice`, `import alice bob`, `passwd alice pw`, `remove alice`, `sweep`, … and what
    /// came of it.
    fn step(&self, step: &str) -> String {
        let words: Vec<_> = step.split(' ').collect();
        let snapshot = self.snapshot();
        let new = |localpart| NewAccount {
            localpart,
            password: "secret",
            display_name: "",
            admin: false,
        };
        let decided = match words[..] {
            ["add", name] => add(&snapshot, "localhost", &new(name), 7, &self.dice),
            ["import", ref names @ ..] => {
                let accounts: Vec<_> = names.iter().map(|name| new(*name)).collect();
                match import(&snapshot, "localhost", &accounts, 7, &self.dice) {
                    Ok(writes) => Ok(writes),
                    Err((index, refusal)) => return format!("{index}: {refusal}"),
                }
            }
            ["passwd", name, password] => passwd(&snapshot, name, password, &self.dice),
            ["disable", name] => disable(&snapshot, name),
            ["enable", name] => enable(&snapshot, name),
            ["remove", name] => remove(&snapshot, name, 8),
            ["roster", id] => Ok(vec![
                roster::VERSION.put(&id.parse().unwrap(), &RosterVersion::default()),
            ]),
            ["sweep"] => {
                let (name, id) = removed(&snapshot).unwrap()[0].clone();
                let writes = writes_to_remove(&snapshot, id).unwrap();
                Ok(if writes.is_empty() {
                    vec![swept(&name)]
                } else {
                    writes
                })
            }
            _ => panic!("{step}?"),
        };
        match decided {
            Ok(writes) => {
                let tables: BTreeSet<_> = writes.iter().map(Write::table).collect();
                self.queue(writes);
                tables.into_iter().collect::<Vec<_>>().join(" ")
            }
            Err(refusal) => refusal.to_string(),
        }
    }

    fn accounts(&self) -> String {
        let lines = list(&self.snapshot()).unwrap().into_iter().map(|it| {
            let Listed {
                localpart,
                record,
                last_seen_ms,
                bytes,
                ..
            } = it;
            let enabled = if record.enabled { "" } else { " disabled" };
            format!(
                "\n{} {localpart}{enabled} seen={last_seen_ms:?} bytes={bytes}",
                record.id
            )
        });
        lines.collect::<Vec<_>>().concat()
    }
}

fn check(steps: &[&str], expected: Expect) {
    let world = World::new();
    let said: Vec<_> = steps
        .iter()
        .map(|step| format!("{step}: {}\n", world.step(step)))
        .collect();
    expected.assert_eq(&(said.concat() + &world.accounts()));
}

#[test]
fn accounts_come_and_go() {
    check(
        &["add bob", "add alice", "disable bob", "roster 1"],
        expect![[r"
            add bob: account.book account.record
            add alice: account.book account.record
            disable bob: account.record
            roster 1: roster.version

            2 alice seen=None bytes=0
            1 bob disabled seen=None bytes=6"]],
    );
    check(
        &["add alice", "disable alice", "enable alice", "enable bob"],
        expect![[r"
            add alice: account.book account.record
            disable alice: account.record
            enable alice: account.record
            enable bob: there is no such account

            1 alice seen=None bytes=0"]],
    );
    check(
        &["add alice", "add alice", "passwd bob pw", "remove bob"],
        expect![[r"
            add alice: account.book account.record
            add alice: there is such an account already
            passwd bob pw: there is no such account
            remove bob: there is no such account

            1 alice seen=None bytes=0"]],
    );
}

#[test]
fn an_import_is_all_or_nothing() {
    check(
        &["import alice bob carol"],
        expect![[r"
        import alice bob carol: account.book account.record

        1 alice seen=None bytes=0
        2 bob seen=None bytes=0
        3 carol seen=None bytes=0"]],
    );
    check(
        &["add bob", "import alice bob"],
        expect![[r"
        add bob: account.book account.record
        import alice bob: 1: there is such an account already

        1 bob seen=None bytes=0"]],
    );
    check(
        &["import alice bob alice"],
        expect![[r"
        import alice bob alice: 2: the same account is in the file twice
    "]],
    );
}

#[test]
fn a_removed_name_rests_until_swept_and_its_id_never_comes_back() {
    check(
        &[
            "add alice",
            "roster 1",
            "remove alice",
            "add alice",
            "sweep",
            "add alice",
            "sweep",
            "add alice",
        ],
        expect![[r"
            add alice: account.book account.record
            roster 1: roster.version
            remove alice: account.former account.record account.removed
            add alice: what a removed account of this name left is still being removed; try later
            sweep: roster.version
            add alice: what a removed account of this name left is still being removed; try later
            sweep: account.removed
            add alice: account.book account.record

            2 alice seen=None bytes=0"]],
    );
}

#[test]
fn keys_are_of_the_password_and_change_with_it_alone() {
    let world = World::new();
    let keys = || find(&world.snapshot(), "alice").unwrap().unwrap().keys;
    world.step("add alice");
    let first = keys();
    for hash in [Hash::Sha1, Hash::Sha256, Hash::Sha512] {
        assert!(first.of(hash).verify(hash, "secret"));
        assert!(!first.of(hash).verify(hash, "Secret"));
    }
    let salts: BTreeSet<_> = [&first.sha1, &first.sha256, &first.sha512]
        .map(|keys| &keys.salt)
        .into();
    assert_eq!(salts.len(), 3, "each hash has its own salt");
    world.step("disable alice");
    assert!(keys() == first);
    world.step("passwd alice other");
    assert!(
        keys().sha256.salt != first.sha256.salt
            && keys().of(Hash::Sha1).verify(Hash::Sha1, "other")
    );
    assert_eq!(
        world.step("passwd alice \u{7}"),
        Refusal::BadPassword.to_string()
    );
}

#[test]
fn the_secret_is_made_once() {
    let world = World::new();
    let (first, write) = secret(&world.snapshot(), &world.dice).unwrap();
    world.queue(write.into_iter().collect());
    let (second, write) = secret(&world.snapshot(), &world.dice).unwrap();
    assert!(first == second && write.is_none());
}

#[test]
fn the_domain_is_that_of_the_first_account() {
    let world = World::new();
    assert_eq!(domain(&world.snapshot()).unwrap(), None);
    world.step("add alice");
    assert_eq!(
        domain(&world.snapshot()).unwrap().as_deref(),
        Some("localhost")
    );
}

/// Bytes of stored values are part of the file format.
#[test]
fn stored_bytes() {
    let keys = |byte| Keys {
        salt: vec![byte],
        iterations: 10_000,
        stored_key: vec![2],
        server_key: vec![3],
    };
    let record = AccountRecord {
        id: 1,
        enabled: true,
        admin: false,
        display_name: "A".to_owned(),
        created_ms: 300,
        keys: AccountKeys {
            sha1: keys(7),
            sha256: keys(8),
            sha512: keys(9),
        },
    };
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    assert_eq!(bytes[..8], [1, 1, 0, 1, b'A', 0xac, 2, 1]);
    assert_eq!(bytes.len(), 7 + 3 * 8);
    let mut book = Vec::new();
    BookRecord {
        domain: "a.b".to_owned(),
        next_id: 200,
    }
    .encode(&mut book);
    assert_eq!(book, [3, b'a', b'.', b'b', 0xc8, 1]);
}
