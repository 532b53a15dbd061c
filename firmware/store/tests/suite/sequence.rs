//! Numbers that are never given out twice, and accounts that are gone for good.

use crate::house::{House, settle};
use store::disk::{Fault, FileName};
use store::{Store, Table, Urgency};

#[test]
fn a_sequence_never_repeats() {
    let house = House::new();
    let mut last = (1 << 40) - 1;
    for start in 0..12_u64 {
        let store = house.open();
        let sequence = store.sequence("test.position").unwrap();
        for _ in 0..=start * 700 {
            let number = sequence.next().expect("the disk works");
            assert!(number > last);
            last = number;
            if number.is_multiple_of(100) {
                settle(&store);
            }
        }
        house.disk.power_fails(start);
    }
}

#[test]
fn a_sequence_gives_out_only_what_is_reserved() {
    let house = House::new();
    let store = house.open();
    let sequence = store.sequence("test.position").unwrap();
    assert_eq!(sequence.next(), Some(1 << 40));
    house.disk.fail(FileName::Journal, Fault::Sync);
    let given = std::iter::from_fn(|| {
        settle(&store);
        sequence.next()
    });
    assert_eq!(given.count(), 65_535, "the rest of the block");
    house.disk.heal();
    house.pass(60);
    settle(&store);
    assert_eq!(sequence.next(), None, "asked for now");
    settle(&store);
    assert_eq!(sequence.next(), Some((1 << 40) + 65_536));
}

#[test]
fn a_retired_account_loses_what_is_queued_later_also_after_a_cut() {
    const NAMES: Table<u32, String> = Table::per_account("test.names", 1);
    let house = House::new();
    let store = house.open();
    let write = |store: &Store, id: u32| {
        store.queue(vec![NAMES.put(&id, &"x".to_owned())], Urgency::Now);
        settle(store);
    };
    write(&store, 7);
    write(&store, 8);
    store.retire(7);
    write(&store, 7);
    house.disk.power_fails(2);
    let store = house.open();
    let sweep = NAMES
        .removals(&store.snapshot().unwrap(), &7_u32, 500)
        .unwrap();
    assert_eq!(sweep.len(), 1);
    store.queue(sweep, Urgency::Idle);
    write(&store, 7);
    write(&store, 8);
    settle(&store);
    let ids = |store: &Store| -> Vec<u32> {
        NAMES
            .range(&store.snapshot().unwrap(), ..)
            .unwrap()
            .map(|row| row.unwrap().0)
            .collect()
    };
    assert_eq!(ids(&store), [8]);
}
