//! The same store on a real file system, with its thread.

use std::sync::Arc;
use std::sync::mpsc;
use store::disk::DirDisk;
use store::{Durable, Error, Options, Store, Table, Urgency};

const ROWS: Table<(u8, u64), String> = Table::new("test.rows", 1);

fn open(path: &std::path::Path) -> Arc<Store> {
    Store::open(Arc::new(DirDisk::new(path).unwrap()), options()).unwrap()
}

/// A build machine may have less room than a household.
fn options() -> Options {
    Options {
        free_bytes_min: 0,
        ..Options::default()
    }
}

fn count(store: &Store) -> usize {
    ROWS.prefix(&store.snapshot().unwrap(), &())
        .unwrap()
        .map(Result::unwrap)
        .count()
}

#[test]
fn many_threads_write_and_everything_is_there_after_a_stop_and_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let store = open(&path);
    let writer = store.start_writer().unwrap();
    let (answers, answered) = mpsc::channel();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let (store, answers) = (&store, answers.clone());
            scope.spawn(move || {
                for row in 0..250 {
                    let urgency = [Urgency::Now, Urgency::Soon, Urgency::Idle][row as usize % 3];
                    let ticket =
                        store.queue(vec![ROWS.put(&(thread, row), &"x".repeat(100))], urgency);
                    let answers = answers.clone();
                    store.when_durable(
                        ticket,
                        Box::new(move |durable| answers.send(durable).unwrap()),
                    );
                    if row % 50 == 0 {
                        let snapshot = store.snapshot_after(ticket).unwrap();
                        assert!(ROWS.get(&snapshot, &(thread, row)).unwrap().is_some());
                    }
                }
            });
        }
    });
    writer.stop();
    drop(answers);
    let answers: Vec<Durable> = answered.iter().collect();
    assert_eq!(
        (
            answers.len(),
            answers
                .iter()
                .filter(|durable| **durable == Durable::No)
                .count()
        ),
        (1_000, 0)
    );
    drop(store);
    let store = open(&path);
    assert_eq!((count(&store), store.start_count()), (1_000, 2));
}

#[test]
fn a_directory_is_used_once_at_a_time_and_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let disk = Arc::new(DirDisk::new(&path).unwrap());
    let error = DirDisk::new(&path).unwrap_err();
    assert!(matches!(error, Error::InUse(_)));
    assert!(
        error.to_string().starts_with("another Hearth is using "),
        "{error}"
    );
    let store = Store::open(disk, options()).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    for file in std::fs::read_dir(&path).unwrap() {
        assert_eq!(
            file.unwrap().metadata().unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    drop(store);
    assert!(DirDisk::new(&path).is_ok(), "given back");
}

#[test]
fn what_is_no_database_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hearth.redb");
    std::fs::write(&file, "my shopping list").unwrap();
    let disk = Arc::new(DirDisk::new(directory.path()).unwrap());
    assert!(Store::open(disk, options()).is_err());
    assert_eq!(std::fs::read(&file).unwrap(), b"my shopping list");
}

#[test]
fn a_copy_taken_while_it_runs_is_a_store() {
    // What a killed process leaves: the files as they are.
    let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(directory.path());
    for row in 0..100 {
        store.queue(vec![ROWS.put(&(1, row), &"x".to_owned())], Urgency::Now);
        while store.turn() {}
    }
    for name in ["hearth.redb", "journal"] {
        std::fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
    }
    assert_eq!(count(&open(copy.path())), 100);
}
