//! The simulated disk itself: that it forgets, tears and fails as it says.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use store::disk::{Disk, DiskFile, Fault, FileName, SimDisk};

const SECTOR: usize = 512;

fn journal(disk: &SimDisk) -> Arc<dyn DiskFile> {
    disk.open(FileName::Journal).unwrap()
}

fn read(disk: &SimDisk, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    journal(disk).read_at(0, &mut out).unwrap();
    out
}

#[test]
fn what_was_synced_stays_and_what_was_not_is_left_to_chance() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..64 {
        let disk = SimDisk::new();
        let file = journal(&disk);
        file.write_at(0, &[1; 2 * SECTOR]).unwrap();
        file.sync().unwrap();
        file.write_at(0, &[2; SECTOR]).unwrap();
        disk.power_fails(seed);
        assert!(file.size().is_err(), "a handle from before is dead");
        let left = read(&disk, 2 * SECTOR);
        assert_eq!(left[SECTOR..], [1; SECTOR]);
        outcomes.insert((left[0], left[SECTOR - 1]));
    }
    assert_eq!(outcomes, BTreeSet::from([(1, 1), (2, 1), (2, 2)]));
}

#[test]
fn a_seed_is_a_story() {
    let story = |seed| {
        let disk = SimDisk::new();
        journal(&disk).write_at(0, &vec![7; 64 * SECTOR]).unwrap();
        disk.power_fails(seed);
        let size = journal(&disk).size().unwrap() as usize;
        read(&disk, size)
    };
    assert_eq!(story(3), story(3));
    assert!((0..16).any(|seed| story(seed) != story(3)));
}

#[test]
fn a_failed_sync_is_not_mended_by_the_next_one() {
    let lost = (0..32).any(|seed| {
        let disk = SimDisk::new();
        disk.power_fails(seed);
        let file = journal(&disk);
        file.write_at(0, &[1; SECTOR]).unwrap();
        disk.fail(FileName::Journal, Fault::Sync);
        assert!(file.sync().is_err());
        disk.heal();
        file.sync().unwrap();
        disk.power_fails(seed);
        read(&disk, SECTOR) != [1; SECTOR]
    });
    assert!(lost);
}

#[test]
fn a_full_disk_takes_what_overwrites() {
    let disk = SimDisk::new();
    let file = journal(&disk);
    file.write_at(0, &[1; 4_096]).unwrap();
    disk.set_capacity(Some(4_096));
    assert_eq!(disk.free_bytes().unwrap(), 0);
    file.write_at(0, &[2; 4_096]).unwrap();
    let error = file.write_at(4_096, &[1]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}
