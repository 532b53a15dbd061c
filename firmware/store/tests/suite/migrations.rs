//! Migrations in chunks, cut off and taken up again; and data that is too new.

use std::sync::Arc;
use store::disk::SimDisk;
use store::migrate::{self, Chunk, FORMAT, Step};
use store::{Error, Options, Snapshot, Store, Table, Urgency};

const OLD: Table<u32, u64> = Table::new("test.old", 1);
/// What the next release reads instead.
const NEW: Table<u32, String> = Table::new("test.new", 1);

const COPY: Step = Step {
    name: "test.copy",
    chunk: copy,
};

/// Ten rows at a time; the position is the last one, big-endian.
fn copy(snapshot: &Snapshot, position: &[u8]) -> Result<Chunk, Error> {
    let first = position
        .try_into()
        .map_or(0, |last| u32::from_be_bytes(last) + 1);
    let rows: Vec<(u32, u64)> = OLD
        .range(snapshot, first..)?
        .take(10)
        .collect::<Result<_, _>>()?;
    let next = rows.last().map(|(key, _)| key.to_be_bytes().to_vec());
    Ok(Chunk {
        writes: rows
            .iter()
            .map(|(key, value)| NEW.put(key, &value.to_string()))
            .collect(),
        next,
    })
}

fn open(disk: &SimDisk) -> Arc<Store> {
    let options = Options {
        journal_bytes: 16 * 4_096,
        ..Options::default()
    };
    Store::open(Arc::new(disk.clone()), options).unwrap()
}

fn filled() -> SimDisk {
    let disk = SimDisk::new();
    let store = open(&disk);
    store.queue(
        (0..95).map(|row| OLD.put(&row, &u64::from(row))).collect(),
        Urgency::Now,
    );
    while store.turn() {}
    store.close();
    disk
}

fn copied(store: &Store) -> usize {
    NEW.prefix(&store.snapshot().unwrap(), &()).unwrap().count()
}

#[test]
fn a_step_runs_once_and_leaves_the_old_rows() {
    let disk = filled();
    let store = open(&disk);
    migrate::run(&store, &[COPY]).unwrap();
    assert_eq!(copied(&store), 95);
    assert_eq!(
        OLD.prefix(&store.snapshot().unwrap(), &()).unwrap().count(),
        95
    );
    store.queue(vec![NEW.remove(&3)], Urgency::Now);
    while store.turn() {}
    drop(store);
    let store = open(&disk);
    migrate::run(&store, &[COPY]).unwrap();
    assert_eq!(copied(&store), 94, "not run again");
}

#[test]
fn a_step_that_is_cut_off_goes_on_where_it_was() {
    for cut in 0..40 {
        let disk = filled();
        let store = open(&disk);
        disk.dies_after(cut);
        let _ = migrate::run(&store, &[COPY]);
        disk.power_fails(cut);
        let store = open(&disk);
        migrate::run(&store, &[COPY]).unwrap();
        assert_eq!(copied(&store), 95, "cut {cut}");
    }
}

#[test]
fn data_of_a_newer_format_is_refused_with_a_sentence() {
    let disk = filled();
    for (format, is_read) in [(FORMAT, true), (FORMAT + 1, false)] {
        let store = open(&disk);
        store.queue(vec![migrate::require_format(format)], Urgency::Now);
        while store.turn() {}
        drop(store);
        let again = Store::open(Arc::new(disk.clone()), Options::default());
        assert_eq!(again.is_ok(), is_read);
        if let Err(error) = again {
            let sentence = "this data was written by a newer Hearth (data format 2, this one reads up to 1): \
                            install that version again";
            assert_eq!(error.to_string(), sentence);
        }
    }
}
