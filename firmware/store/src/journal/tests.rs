//! The journal alone: torn, repeated, swapped and foreign records.

use super::*;
use crate::disk::{Disk, FileName, SimDisk};
use std::borrow::Cow;

const CAPACITY: u64 = 16 * BLOCK as u64;

fn open(disk: &SimDisk) -> Journal {
    Journal::new(disk.open(FileName::Journal).unwrap(), CAPACITY)
}

fn changes(key: u8, bytes: usize) -> Changes {
    let mut changes = Changes::default();
    changes.set(Cow::Borrowed("t"), vec![key], Some(vec![key; bytes]));
    changes
}

fn append(journal: &mut Journal, key: u8, bytes: usize) {
    let mut payload = Vec::new();
    changes(key, bytes).encode(&mut payload);
    journal.append(&payload).unwrap();
}

/// The keys found by a replay of `generation`.
fn replayed(disk: &SimDisk, generation: u64) -> Vec<u8> {
    let all = open(disk).replay(generation).unwrap();
    all.tables()
        .flat_map(|(_, rows)| rows.keys())
        .map(|key| key[0])
        .collect()
}

#[test]
fn records_come_back_in_their_generation_only() {
    let disk = SimDisk::new();
    let mut journal = open(&disk);
    journal.preallocate().unwrap();
    journal.restart(3);
    append(&mut journal, 1, 10);
    append(&mut journal, 2, 9_000);
    append(&mut journal, 3, 0);
    assert_eq!(replayed(&disk, 3), [1, 2, 3]);
    assert_eq!(replayed(&disk, 2), [] as [u8; 0]);
    assert_eq!(replayed(&disk, 4), [] as [u8; 0]);
    journal.restart(4);
    append(&mut journal, 4, 10);
    assert_eq!(
        replayed(&disk, 4),
        [4],
        "the rest of generation 3 lies behind it"
    );
    assert_eq!(replayed(&disk, 3), [] as [u8; 0]);
}

#[test]
fn a_tail_torn_at_any_byte_ends_the_journal() {
    let disk = SimDisk::new();
    let mut journal = open(&disk);
    journal.restart(1);
    append(&mut journal, 1, 10);
    let start = journal.end;
    append(&mut journal, 2, 5_000);
    let file = disk.open(FileName::Journal).unwrap();
    let mut whole = vec![0; (journal.end - start) as usize];
    file.read_at(start, &mut whole).unwrap();
    let payload = HEADER + 5_000;
    for cut in 0..payload {
        // What was there before: zeros, or the leavings of another generation.
        for old in [0_u8, 0xa5] {
            let mut torn = whole.clone();
            torn[cut..].fill(old);
            file.write_at(start, &torn).unwrap();
            let expected: &[u8] = if torn[..payload] == whole[..payload] {
                &[1, 2]
            } else {
                &[1]
            };
            assert_eq!(replayed(&disk, 1), expected, "cut at {cut} over {old}");
        }
    }
}

#[test]
fn repeated_and_swapped_records_are_not_taken() {
    let disk = SimDisk::new();
    let mut journal = open(&disk);
    journal.restart(1);
    for key in 1..=3 {
        append(&mut journal, key, 10);
    }
    let file = disk.open(FileName::Journal).unwrap();
    let mut blocks = vec![0; 3 * BLOCK];
    file.read_at(0, &mut blocks).unwrap();
    let rows: [([usize; 3], &[u8]); 4] = [
        ([0, 1, 2], &[1, 2, 3]),
        ([0, 0, 1], &[1]),
        ([0, 2, 1], &[1]),
        ([1, 0, 2], &[]),
    ];
    for (order, expected) in rows {
        for (place, block) in order.into_iter().enumerate() {
            file.write_at((place * BLOCK) as u64, &blocks[block * BLOCK..][..BLOCK])
                .unwrap();
        }
        assert_eq!(replayed(&disk, 1), expected, "{order:?}");
    }
}

#[test]
fn a_record_of_another_history_does_not_continue_this_one() {
    // The same generation and index, but a different predecessor.
    let (disk, other) = (SimDisk::new(), SimDisk::new());
    let (mut journal, mut twin) = (open(&disk), open(&other));
    for journal in [&mut journal, &mut twin] {
        journal.restart(1);
    }
    append(&mut journal, 1, 10);
    append(&mut twin, 9, 10);
    append(&mut twin, 2, 10);
    let mut block = vec![0; BLOCK];
    other
        .open(FileName::Journal)
        .unwrap()
        .read_at(BLOCK as u64, &mut block)
        .unwrap();
    disk.open(FileName::Journal)
        .unwrap()
        .write_at(BLOCK as u64, &block)
        .unwrap();
    assert_eq!(replayed(&disk, 1), [1]);
}

#[test]
fn what_was_accepted_is_read_again_without_what_was_not() {
    let disk = SimDisk::new();
    let mut journal = open(&disk);
    journal.restart(1);
    append(&mut journal, 1, 10);
    let (end, index, crc) = (journal.end, journal.index, journal.crc);
    append(&mut journal, 2, 10);
    (journal.end, journal.index, journal.crc) = (end, index, crc);
    assert_eq!(journal.replay_accepted().unwrap(), changes(1, 10));
    disk.open(FileName::Journal)
        .unwrap()
        .write_at(0, &[0; 40])
        .unwrap();
    assert!(matches!(journal.replay_accepted(), Err(Error::Damaged(_))));
}

#[test]
fn a_record_that_does_not_fit_is_known_beforehand() {
    let mut journal = open(&SimDisk::new());
    let all = CAPACITY as usize - HEADER;
    assert!(journal.has_room(all) && !journal.has_room(all + 1));
    append(&mut journal, 1, 10);
    assert!(!journal.has_room(all) && journal.has_room(all - BLOCK));
}
