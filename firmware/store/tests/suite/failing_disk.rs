//! Disks that fail or are full: what was acknowledged stays, reads go on, writes are refused at once, and it
//! ends by itself.

use crate::house::{House, LOG, ROWS, counter, put, rows, settle};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use store::disk::{Fault, FileName};
use store::limits::CHECKPOINT_SECONDS_MAX;
use store::{Durable, Options, Store, Ticket, Urgency};

/// What `when_durable` answers, in the order of the answers.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<Vec<(u64, Durable)>>>);

impl Answers {
    fn ask(&self, store: &Store, ticket: Ticket) {
        let answers = self.0.clone();
        store.when_durable(
            ticket,
            Box::new(move |durable| answers.lock().unwrap().push((ticket.0, durable))),
        );
    }

    fn given(&self) -> Vec<Durable> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .map(|(_, durable)| *durable)
            .collect()
    }
}

#[test]
fn a_disk_that_fails_refuses_reads_on_and_recovers() {
    use Fault::*;
    use FileName::*;
    for (file, fault) in [
        (Journal, Write),
        (Journal, Sync),
        (Database, Write),
        (Database, Sync),
    ] {
        for seed in 0..40 {
            let house = House::new();
            house.disk.power_fails(seed);
            let store = house.open();
            let answers = Answers::default();
            for value in 1..=3 {
                put(&store, 0, value);
                settle(&store);
            }
            house.disk.fail(file, fault);
            answers.ask(&store, put(&store, 0, 4));
            answers.ask(&store, put(&store, 1, 1));
            settle(&store);
            // A fault of the database file shows at the next checkpoint.
            house.pass(CHECKPOINT_SECONDS_MAX);
            settle(&store);
            assert!(!store.health().writable, "{file:?} {fault:?}");
            let expected = if file == Journal {
                Durable::No
            } else {
                Durable::Yes
            };
            assert_eq!(answers.given(), [expected; 2]);
            let seen = if file == Journal { 3 } else { 4 };
            assert_eq!(
                counter(&store),
                seen,
                "{file:?} {fault:?} seed {seed}: reads go on"
            );
            // Refused at once, without a turn.
            assert_eq!(store.is_durable(put(&store, 0, 5)), Some(Durable::No));
            for _ in 0..10 {
                house.pass(60);
                settle(&store);
                assert_eq!(counter(&store), seen);
            }
            if seed % 2 == 0 {
                // Either the power fails meanwhile…
                house.disk.heal();
                house.disk.power_fails(seed);
                let left = counter(&house.open());
                assert!(
                    (3..=4).contains(&left) && left >= seen,
                    "{file:?} {fault:?} seed {seed}: {left}"
                );
                continue;
            }
            // …or the disk comes back.
            house.disk.heal();
            house.pass(60);
            settle(&store);
            assert!(store.health().writable);
            assert_eq!(
                store.is_durable(store.queue(vec![], Urgency::Now)),
                Some(Durable::Yes)
            );
            assert_eq!(counter(&store), seen);
            put(&store, 0, 6);
            settle(&store);
            house.disk.power_fails(seed);
            assert_eq!(counter(&house.open()), 6, "{file:?} {fault:?} seed {seed}");
        }
    }
}

#[test]
fn a_disk_that_fails_in_the_middle_of_a_checkpoint_again_and_again() {
    for after in 0..6 {
        for seed in 0..60 {
            let house = House::new();
            house.disk.power_fails(seed);
            let store = house.open();
            let mut kept = 0;
            for value in 1..=24 {
                match value % 8 {
                    2 => house
                        .disk
                        .fail_after(FileName::Database, Fault::Sync, after),
                    0 => house.disk.heal(),
                    _ => {}
                }
                let ticket = put(&store, 0, value);
                settle(&store);
                if store.is_durable(ticket) == Some(Durable::Yes) {
                    kept = value;
                }
                house.pass(CHECKPOINT_SECONDS_MAX);
                settle(&store);
                assert_eq!(
                    counter(&store),
                    kept,
                    "after {after} seed {seed} value {value}"
                );
            }
            house.pass(60);
            settle(&store);
            assert!(
                store.health().writable,
                "after {after} seed {seed}: {:?}",
                store.health()
            );
            house.disk.power_fails(seed);
            assert_eq!(counter(&house.open()), kept);
        }
    }
}

#[test]
fn a_full_disk_refuses_and_recovers_when_there_is_space() {
    let house = House::new();
    let store = house.open();
    put(&store, 0, 1);
    settle(&store);
    house
        .disk
        .set_capacity(Some(house.disk.used_bytes() + (80 << 10)));
    let mut written = 1;
    while store.health().writable {
        assert!(written < 10_000, "the disk never runs full");
        let ticket = store.queue(
            vec![
                ROWS.put(&0, &(written + 1)),
                LOG.put(&(0, written), &"x".repeat(2_000)),
            ],
            Urgency::Now,
        );
        settle(&store);
        if store.is_durable(ticket) == Some(Durable::Yes) {
            written += 1;
        }
    }
    let error = store.health().error.unwrap();
    assert_eq!(
        error,
        "Nothing can be stored: the disk is full, or nearly; free some space."
    );
    assert_eq!(counter(&store), written);
    house.pass(600);
    settle(&store);
    assert!(!store.health().writable);
    // A start on a full disk: everything can be read.
    drop(store);
    let store = house.open();
    assert_eq!((counter(&store), store.health().writable), (written, false));
    house.disk.set_capacity(None);
    house.pass(600);
    settle(&store);
    assert!(store.health().writable);
    put(&store, 0, 77);
    settle(&store);
    house.disk.power_fails(1);
    assert_eq!(counter(&house.open()), 77);
}

#[test]
fn a_disk_that_is_full_without_warning_loses_nothing() {
    for room in 0..24 {
        let house = House::new();
        let options = Options {
            free_bytes_min: 0,
            ..house.options()
        };
        let open = || Store::open(Arc::new(house.disk.clone()), options.clone()).unwrap();
        let store = open();
        house
            .disk
            .set_capacity(Some(house.disk.used_bytes() + room * 4_096));
        let mut written = 0;
        for value in 1..=200 {
            let ticket = store.queue(
                vec![
                    ROWS.put(&0, &value),
                    LOG.put(&(0, value), &"x".repeat(2_000)),
                ],
                Urgency::Now,
            );
            settle(&store);
            if store.is_durable(ticket) == Some(Durable::Yes) {
                written = value;
            }
            assert_eq!(counter(&store), written, "room {room}");
        }
        assert!(!store.health().writable, "room {room}");
        house.disk.power_fails(room);
        let store = open();
        assert_eq!(counter(&store), written, "room {room}");
        house.disk.set_capacity(None);
        house.pass(60);
        settle(&store);
        put(&store, 0, 1_000);
        settle(&store);
        assert_eq!(counter(&store), 1_000);
    }
}

/// What is durable waits in memory for whoever reads first, and it is their thread that finds the file
/// broken.
#[test]
fn a_reader_who_cannot_give_redb_what_waits_loses_nothing() {
    for after in 0..8 {
        for seed in 0..20 {
            let house = House::new();
            let options = Options {
                cache_bytes: 0,
                ..house.options()
            };
            let store = Store::open(Arc::new(house.disk.clone()), options).unwrap();
            house
                .disk
                .fail_after(FileName::Database, Fault::Write, after);
            let mut tickets = Vec::new();
            for value in 1..=5 {
                let row = LOG.put(&(0, value), &"x".repeat(500));
                tickets.push(store.queue(vec![ROWS.put(&0, &value), row], Urgency::Now));
                settle(&store);
            }
            // Nothing has touched the file yet.
            assert!(store.health().writable);
            assert!(
                tickets
                    .iter()
                    .all(|ticket| store.is_durable(*ticket) == Some(Durable::Yes))
            );
            let read = store
                .snapshot()
                .and_then(|snapshot| ROWS.get(&snapshot, &0));
            assert!(matches!(read, Err(_) | Ok(Some(5))), "{read:?}");
            settle(&store);
            assert_eq!(counter(&store), 5, "after {after}: from the journal again");
            if seed % 2 == 0 {
                house.disk.heal();
                house.pass(60);
                settle(&store);
                put(&store, 0, 6);
                settle(&store);
                assert_eq!((counter(&store), store.health().writable), (6, true));
            }
            let kept = counter(&store);
            house.disk.heal();
            house.disk.power_fails(seed);
            assert_eq!(counter(&house.open()), kept, "after {after} seed {seed}");
        }
    }
}

/// Who may wait is given what was acknowledged, also as the first one to read from a file that takes nothing.
#[test]
fn a_reader_who_waits_does_not_notice_that_the_disk_is_full() {
    // The thread may notice at any moment of the read: before it, between its steps, after it.
    for threaded in std::iter::once(false).chain([true; 50]) {
        let house = House::new();
        let options = Options {
            cache_bytes: 0,
            ..house.options()
        };
        let store = Store::open(Arc::new(house.disk.clone()), options).unwrap();
        let row = LOG.put(&(0, 0), &"x".repeat(500));
        store.queue(vec![ROWS.put(&0, &5), row], Urgency::Now);
        settle(&store);
        house.disk.fail(FileName::Database, Fault::Write);
        let writer = threaded.then(|| store.start_writer().unwrap());
        let read = |ticket| {
            ROWS.get(&store.snapshot_after(ticket).unwrap(), &0)
                .unwrap()
        };
        assert_eq!(read(Ticket::NONE), Some(5));
        house.disk.heal();
        house.pass(60);
        drop(writer);
    }
}

#[test]
fn an_edit_sees_what_waits_in_memory() {
    let house = House::new();
    let store = house.open();
    put(&store, 0, 5);
    settle(&store);
    for _ in 0..3 {
        store.queue(vec![ROWS.edit(&0, |value| *value += 1)], Urgency::Now);
        settle(&store);
    }
    store.queue(vec![ROWS.remove(&0)], Urgency::Now);
    settle(&store);
    store.queue(vec![ROWS.edit(&0, |value| *value += 1)], Urgency::Now);
    put(&store, 1, 9);
    settle(&store);
    assert_eq!(rows(&store), BTreeMap::from([(1, 9)]));
    house.disk.power_fails(0);
    assert_eq!(rows(&house.open()), BTreeMap::from([(1, 9)]));
}

#[test]
fn a_failed_read_is_survived() {
    let house = House::new();
    let options = Options {
        cache_bytes: 0,
        ..house.options()
    };
    let store = Store::open(Arc::new(house.disk.clone()), options).unwrap();
    for value in 1..=3 {
        put(&store, 0, value);
        settle(&store);
    }
    house.disk.fail(FileName::Database, Fault::Read);
    assert!(
        store
            .snapshot()
            .and_then(|snapshot| ROWS.get(&snapshot, &0))
            .is_err()
    );
    house.disk.heal();
    settle(&store);
    assert_eq!(counter(&store), 3);
    put(&store, 0, 4);
    settle(&store);
    assert_eq!((counter(&store), store.health().writable), (4, true));
}

#[test]
fn a_failed_read_is_survived_while_nothing_can_be_written_either() {
    for (file, fault) in [
        (FileName::Journal, Fault::Sync),
        (FileName::Database, Fault::Sync),
    ] {
        let house = House::new();
        let options = Options {
            cache_bytes: 0,
            ..house.options()
        };
        let store = Store::open(Arc::new(house.disk.clone()), options).unwrap();
        // Rows that are in the file, and nowhere else.
        store.queue(
            (0..50)
                .map(|row| LOG.put(&(0, row), &"x".repeat(500)))
                .collect(),
            Urgency::Now,
        );
        settle(&store);
        house.pass(CHECKPOINT_SECONDS_MAX);
        settle(&store);
        let log = || -> Result<usize, store::Error> {
            Ok(LOG
                .prefix(&store.snapshot()?, &())?
                .collect::<Result<Vec<_>, _>>()?
                .len())
        };
        house.disk.fail(file, fault);
        put(&store, 0, 2);
        settle(&store);
        house.pass(CHECKPOINT_SECONDS_MAX);
        settle(&store);
        assert!(!store.health().writable);
        let seen = counter(&store);
        house.disk.fail(FileName::Database, Fault::Read);
        assert!(log().is_err());
        house.disk.heal();
        house.disk.fail(file, fault);
        settle(&store);
        assert_eq!(log().unwrap(), 50, "{file:?}");
        house.pass(60);
        settle(&store);
        assert_eq!(log().unwrap(), 50, "{file:?}");
        assert_eq!(
            (counter(&store), store.health().writable),
            (seen, false),
            "{file:?}"
        );
        house.disk.heal();
        house.pass(60);
        settle(&store);
        assert_eq!(
            (counter(&store), store.health().writable),
            (seen, true),
            "{file:?}"
        );
    }
}

#[test]
fn reads_go_on_wherever_a_try_to_recover_fails() {
    for after in 0..12 {
        let house = House::new();
        let options = Options {
            cache_bytes: 0,
            ..house.options()
        };
        let store = Store::open(Arc::new(house.disk.clone()), options).unwrap();
        store.queue(
            (0..50)
                .map(|row| LOG.put(&(0, row), &"x".repeat(500)))
                .collect(),
            Urgency::Now,
        );
        settle(&store);
        house.pass(CHECKPOINT_SECONDS_MAX);
        settle(&store);
        house.disk.fail(FileName::Database, Fault::Write);
        put(&store, 0, 1);
        settle(&store);
        house.pass(CHECKPOINT_SECONDS_MAX);
        settle(&store);
        for fault in [Fault::Write, Fault::Sync] {
            house.disk.heal();
            house.disk.fail_after(FileName::Database, fault, after);
            house.pass(60);
            settle(&store);
            let rows = LOG.prefix(&store.snapshot().unwrap(), &()).unwrap();
            assert_eq!(
                rows.filter_map(Result::ok).count(),
                50,
                "after {after} {fault:?}"
            );
            assert_eq!(counter(&store), 1);
        }
    }
}

#[test]
fn health_is_announced_once_for_each_change() {
    let house = House::new();
    let store = house.open();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    store.watch_health(move |health| hears.lock().unwrap().push(health.writable));
    house.disk.fail(FileName::Journal, Fault::Write);
    put(&store, 0, 1);
    settle(&store);
    for _ in 0..5 {
        house.pass(60);
        settle(&store);
    }
    house.disk.heal();
    house.pass(60);
    settle(&store);
    assert_eq!(*heard.lock().unwrap(), [false, true]);
}
