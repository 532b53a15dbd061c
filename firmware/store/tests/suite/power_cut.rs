//! What was acknowledged survives: cuts at every operation of writing, checkpoints and starts, on a simulated
//! disk and by seed. The invariant everywhere: the store holds the state after some prefix of the groups, and
//! that prefix includes every ticket that was answered with yes.

use crate::house::{House, LOG, ROWS, counter, put, rows, settle};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use store::disk::{Disk, FileName};
use store::limits::CHECKPOINT_SECONDS_MAX;
use store::{Durable, Store, Urgency, Write};

#[test]
fn what_is_durable_is_there_after_the_cut() {
    for seed in 0..200 {
        let house = House::new();
        let store = house.open();
        let mut durable = 0;
        for value in 1..=seed % 40 {
            put(&store, 0, value);
            if !(seed + value).is_multiple_of(3) {
                settle(&store);
                durable = value;
            }
        }
        house.disk.power_fails(seed);
        assert_eq!(counter(&house.open()), durable, "seed {seed}");
    }
}

/// Does `work` on a fresh store, with the disk dying at every operation of it in turn, and looks at what is
/// left.
fn cut_at_every_operation(prepare: impl Fn(&Store), work: impl Fn(&House, &Store), seeds: u64) {
    let house = House::new();
    let store = house.open();
    prepare(&store);
    let before = house.disk.operations();
    work(&house, &store);
    let operations = house.disk.operations() - before;
    assert!(operations > 0);
    for cut in 0..operations {
        for seed in 0..seeds {
            let house = House::new();
            let store = house.open();
            prepare(&store);
            let kept = Arc::new(AtomicU64::new(counter(&store)));
            house.disk.dies_after(cut);
            work(&house, &store);
            kept.fetch_max(acknowledged(&store), Ordering::Relaxed);
            house.disk.power_fails(seed * 1_000 + cut);
            let left = counter(&house.open());
            assert!(
                left >= kept.load(Ordering::Relaxed),
                "cut {cut} seed {seed}: {left} of {kept:?}"
            );
            let again = counter(&house.open());
            assert_eq!(left, again, "cut {cut} seed {seed}: a second replay");
        }
    }
}

/// The tests number their writes by their tickets, less the one of opening.
fn acknowledged(store: &Store) -> u64 {
    store.durable().0.saturating_sub(1)
}

#[test]
fn a_cut_at_any_operation_of_writing() {
    let prepare = |store: &Store| {
        for value in 1..=3 {
            put(store, 0, value);
            settle(store);
        }
    };
    let work = |_: &House, store: &Store| {
        // Enough for the journal to run full twice.
        for value in 4..=40 {
            put(store, 0, value);
            settle(store);
        }
    };
    cut_at_every_operation(prepare, work, 4);
}

#[test]
fn a_cut_at_any_operation_of_a_checkpoint() {
    let prepare = |store: &Store| {
        for value in 1..=9 {
            put(store, 0, value);
            let rows = (0..40).map(|row| LOG.put(&(1, value * 100 + row), &"x".repeat(300)));
            store.queue(rows.collect(), Urgency::Soon);
            settle(store);
        }
    };
    let work = |house: &House, store: &Store| {
        house.pass(CHECKPOINT_SECONDS_MAX);
        settle(store);
    };
    // The log's batches have tickets, too.
    let house = House::new();
    let store = house.open();
    prepare(&store);
    let before = house.disk.operations();
    work(&house, &store);
    let operations = house.disk.operations() - before;
    assert!(operations > 3, "a checkpoint writes");
    for cut in 0..operations {
        for seed in 0..20 {
            let house = House::new();
            let store = house.open();
            prepare(&store);
            house.disk.dies_after(cut);
            work(&house, &store);
            house.disk.power_fails(seed);
            let store = house.open();
            assert_eq!(counter(&store), 9, "cut {cut} seed {seed}");
            let log = LOG
                .prefix(&store.snapshot().unwrap(), &1_u8)
                .unwrap()
                .count();
            assert!(log >= 8 * 40, "cut {cut} seed {seed}: {log}");
        }
    }
}

#[test]
fn a_cut_at_any_operation_of_the_first_start() {
    let house = House::new();
    house.open();
    let operations = house.disk.operations();
    for cut in 0..operations {
        for seed in 0..10 {
            let house = House::new();
            house.disk.dies_after(cut);
            let _ = house.try_open();
            house.disk.power_fails(seed);
            let store = house
                .try_open()
                .unwrap_or_else(|error| panic!("cut {cut} seed {seed}: {error}"));
            put(&store, 0, 7);
            settle(&store);
            house.disk.power_fails(seed);
            assert_eq!(counter(&house.open()), 7);
        }
    }
}

#[test]
fn a_cut_at_any_operation_of_a_start_that_replays() {
    let filled = || {
        let house = House::new();
        let store = house.open();
        for value in 1..=5 {
            put(&store, 0, value);
            settle(&store);
        }
        house.disk.power_fails(1);
        house
    };
    let house = filled();
    let before = house.disk.operations();
    house.open();
    let operations = house.disk.operations() - before;
    for cut in 0..operations {
        for seed in 0..10 {
            let house = filled();
            house.disk.dies_after(cut);
            let _ = house.try_open();
            house.disk.power_fails(seed);
            assert_eq!(counter(&house.open()), 5, "cut {cut} seed {seed}");
        }
    }
}

#[test]
fn a_clean_stop_leaves_nothing_behind_and_refuses_what_comes_later() {
    let house = House::new();
    let store = house.open();
    store.queue(vec![ROWS.put(&0, &5)], Urgency::Soon);
    store.queue(vec![ROWS.put(&1, &6)], Urgency::Idle);
    store.close();
    assert_eq!(store.is_durable(put(&store, 0, 9)), Some(Durable::No));
    assert!(store.snapshot().is_err());
    house.disk.power_fails(0);
    assert_eq!(rows(&house.open()), BTreeMap::from([(0, 5), (1, 6)]));
}

#[test]
fn a_store_that_is_only_dropped_keeps_what_was_durable() {
    let house = House::new();
    let store = house.open();
    put(&store, 0, 5);
    settle(&store);
    put(&store, 0, 6);
    drop(store);
    assert_eq!(counter(&house.open()), 5);
}

#[test]
fn starts_are_counted_across_everything() {
    let house = House::new();
    for start in 1..=6 {
        assert_eq!(house.open().start_count(), start);
        if start % 2 == 0 {
            house.disk.power_fails(u64::from(start));
        }
    }
}

#[test]
fn a_batch_larger_than_the_journal_is_still_all_or_nothing() {
    let house = House::new();
    let store = house.open();
    let batch: Vec<Write> = (0..64)
        .map(|row| LOG.put(&(2, row), &"x".repeat(4_000)))
        .collect();
    let ticket = store.queue(batch, Urgency::Now);
    settle(&store);
    assert_eq!(store.is_durable(ticket), Some(Durable::Yes));
    house.disk.power_fails(3);
    let store = house.open();
    assert_eq!(
        LOG.prefix(&store.snapshot().unwrap(), &2_u8)
            .unwrap()
            .count(),
        64
    );
}

#[test]
fn an_old_journal_beside_a_new_database_is_not_replayed() {
    let orphaned = || {
        let house = House::new();
        let store = house.open();
        put(&store, 0, 5);
        settle(&store);
        house.disk.power_fails(0);
        // Somebody deleted the database file but not the journal.
        let file = house.disk.open(FileName::Database).unwrap();
        file.resize(0).unwrap();
        file.sync().unwrap();
        house
    };
    for cut in 0..40 {
        let house = orphaned();
        house.disk.dies_after(cut);
        let _ = house.try_open();
        house.disk.power_fails(cut);
        let store = house.open();
        assert_eq!(counter(&store), 0, "cut {cut}");
        put(&store, 1, 6);
        settle(&store);
        house.disk.power_fails(0);
        assert_eq!(rows(&house.open()), BTreeMap::from([(1, 6)]));
    }
}

#[test]
fn the_same_story_leaves_the_same_bytes() {
    let story = || {
        let house = House::new();
        let store = house.open();
        for value in 0..300_u64 {
            let rows = (0..value % 5).map(|row| LOG.put(&(row as u8, value), &"x".repeat(200)));
            store.queue(rows.collect(), Urgency::Soon);
            put(&store, (value % 7) as u8, value);
            settle(&store);
            house.pass(value % 40);
        }
        house.disk.power_fails(9);
        let file = house.disk.open(FileName::Database).unwrap();
        let mut bytes = vec![0; file.size().unwrap() as usize];
        file.read_at(0, &mut bytes).unwrap();
        bytes
    };
    assert!(story() == story());
}
