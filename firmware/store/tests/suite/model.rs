//! The store against a model: random batches, turns, faults and power cuts. After every start the rows are
//! those after some prefix of the batches, in order, at least as long as what was answered with yes; what was
//! refused may be at its end, but never in its middle.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::disk::{Fault, FileName, SimDisk};
use store::{Durable, Options, Store, Table, Ticket, Urgency, Write};

const LEFT: Table<u8, u64> = Table::new("model.left", 1);
const RIGHT: Table<(u8, String), u64> = Table::new("model.right", 1);
/// Only idle batches touch this, one row each.
const IDLE: Table<u64, u64> = Table::new("model.idle", 1);

#[derive(Clone, Debug)]
enum Change {
    Left(u8, u64),
    Right(u8, u64),
    RemoveLeft(u8),
    EditLeft(u8, u64),
    EditRight(u8, u64),
}

#[derive(Clone, Debug)]
enum Step {
    Queue(Vec<Change>, bool),
    Sweep,
    Turn,
    Settle,
    /// Without this, what is durable waits in memory for a checkpoint.
    Read,
    Pass(u64),
    Fail(FileName, Fault, u64),
    Heal,
    DieAfter(u64),
    Cut(u64),
    Close,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0..6_u8, any::<u64>()).prop_map(|(key, value)| Change::Left(key, value)),
        (0..6_u8, any::<u64>()).prop_map(|(key, value)| Change::Right(key, value)),
        (0..6_u8).prop_map(Change::RemoveLeft),
        (0..6_u8, 1..9_u64).prop_map(|(key, by)| Change::EditLeft(key, by)),
        (0..6_u8, 1..9_u64).prop_map(|(key, by)| Change::EditRight(key, by)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let batch = prop::collection::vec(change(), 1..5);
    let file = prop_oneof![Just(FileName::Journal), Just(FileName::Database)];
    let fault = prop_oneof![Just(Fault::Write), Just(Fault::Sync), Just(Fault::Read)];
    prop_oneof![
        12 => (batch, any::<bool>()).prop_map(|(batch, now)| Step::Queue(batch, now)),
        2 => Just(Step::Sweep),
        6 => Just(Step::Turn),
        6 => Just(Step::Settle),
        4 => Just(Step::Read),
        2 => prop_oneof![Just(1), Just(60), Just(4_000)].prop_map(Step::Pass),
        1 => (file, fault, 0..6_u64).prop_map(|(file, fault, after)| Step::Fail(file, fault, after)),
        1 => Just(Step::Heal),
        1 => (0..12_u64).prop_map(Step::DieAfter),
        1 => any::<u64>().prop_map(Step::Cut),
        1 => Just(Step::Close),
    ]
}

type Rows = (BTreeMap<u8, u64>, BTreeMap<(u8, String), u64>);

fn name(key: u8) -> String {
    "\0".repeat(usize::from(key % 3))
}

impl Change {
    fn write(&self) -> Write {
        match *self {
            Change::Left(key, value) => LEFT.put(&key, &value),
            Change::Right(key, value) => RIGHT.put(&(key, name(key)), &value),
            Change::RemoveLeft(key) => LEFT.remove(&key),
            Change::EditLeft(key, by) => {
                LEFT.edit(&key, move |value| *value = value.wrapping_mul(by))
            }
            Change::EditRight(key, by) => RIGHT.edit(&(key, name(key)), move |value| {
                *value = value.wrapping_add(by);
            }),
        }
    }

    fn apply(&self, (left, right): &mut Rows) {
        match *self {
            Change::Left(key, value) => drop(left.insert(key, value)),
            Change::Right(key, value) => drop(right.insert((key, name(key)), value)),
            Change::RemoveLeft(key) => drop(left.remove(&key)),
            Change::EditLeft(key, by) => {
                left.entry(key)
                    .and_modify(|value| *value = value.wrapping_mul(by));
            }
            Change::EditRight(key, by) => {
                right
                    .entry((key, name(key)))
                    .and_modify(|value| *value = value.wrapping_add(by));
            }
        }
    }
}

fn apply_all(batch: &[Change], rows: &mut Rows) {
    for change in batch {
        change.apply(rows);
    }
}

struct Model {
    disk: SimDisk,
    seconds: Arc<AtomicU64>,
    store: Arc<Store>,
    /// What is certainly there, and what came after it: not settled, or refused since.
    kept: Rows,
    open: Vec<(Ticket, Vec<Change>)>,
    idle: Vec<(Ticket, u64)>,
    idle_kept: Vec<u64>,
}

fn options(seconds: &Arc<AtomicU64>) -> Options {
    let seconds = seconds.clone();
    let clock = Arc::new(move || Duration::from_secs(seconds.load(Ordering::Relaxed)));
    // The smallest cache makes redb write pages before their checkpoint.
    Options {
        journal_bytes: 8 * 4_096,
        free_bytes_min: 0,
        cache_bytes: 16 << 10,
        clock,
    }
}

impl Model {
    fn new() -> Model {
        let (disk, seconds) = (SimDisk::new(), Arc::default());
        let store = Store::open(Arc::new(disk.clone()), options(&seconds)).unwrap();
        let (kept, open, idle, idle_kept) = Default::default();
        Model {
            disk,
            seconds,
            store,
            kept,
            open,
            idle,
            idle_kept,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Queue(batch, now) => {
                let urgency = if *now { Urgency::Now } else { Urgency::Soon };
                let ticket = self
                    .store
                    .queue(batch.iter().map(Change::write).collect(), urgency);
                self.open.push((ticket, batch.clone()));
            }
            Step::Sweep => {
                let row = self.idle.len() as u64 + self.idle_kept.len() as u64 * 1_000;
                let ticket = self.store.queue(vec![IDLE.put(&row, &row)], Urgency::Idle);
                self.idle.push((ticket, row));
            }
            Step::Turn => drop(self.store.turn()),
            Step::Settle => while self.store.turn() {},
            Step::Read => {
                self.note_settled();
                self.read();
            }
            Step::Pass(seconds) => drop(self.seconds.fetch_add(*seconds, Ordering::Relaxed)),
            Step::Fail(file, fault, after) => self.disk.fail_after(*file, *fault, *after),
            Step::Heal => self.disk.heal(),
            Step::DieAfter(operations) => self.disk.dies_after(*operations),
            Step::Cut(seed) => self.cut(*seed),
            Step::Close => {
                self.store.close();
                self.cut(0);
            }
        }
        self.note_settled();
    }

    /// Moves what is durable into `kept`, and drops what was refused and can not turn up any more: a store
    /// that has recovered has left that behind.
    fn note_settled(&mut self) {
        if self.store.health().writable {
            self.open
                .retain(|(ticket, _)| self.store.is_durable(*ticket) != Some(Durable::No));
        }
        let durable = |(ticket, _): &(Ticket, Vec<Change>)| {
            self.store.is_durable(*ticket) == Some(Durable::Yes)
        };
        if let Some(last) = self.open.iter().rposition(durable) {
            for (ticket, batch) in self.open.drain(..=last) {
                match self.store.is_durable(ticket) {
                    Some(Durable::Yes) => apply_all(&batch, &mut self.kept),
                    Some(Durable::No) => {}
                    None => panic!("{ticket:?} is open though a later one is settled"),
                }
            }
        }
        self.idle
            .retain(|(ticket, row)| match self.store.is_durable(*ticket) {
                None => true,
                Some(Durable::No) => true,
                Some(Durable::Yes) => {
                    self.idle_kept.push(*row);
                    false
                }
            });
    }

    /// While a store works, readers see what is durable and nothing else.
    fn read(&self) {
        if self
            .open
            .iter()
            .all(|(ticket, _)| self.store.is_durable(*ticket) == Some(Durable::No))
            && let Some(rows) = self.rows()
        {
            assert_eq!(rows, self.kept);
        }
    }

    fn rows(&self) -> Option<Rows> {
        let snapshot = self.store.snapshot().ok()?;
        let left = LEFT
            .range(&snapshot, ..)
            .ok()?
            .collect::<Result<_, _>>()
            .ok()?;
        let right = RIGHT
            .prefix(&snapshot, &())
            .ok()?
            .collect::<Result<_, _>>()
            .ok()?;
        Some((left, right))
    }

    fn cut(&mut self, seed: u64) {
        self.note_settled();
        self.disk.heal();
        self.disk.power_fails(seed);
        self.store = Store::open(Arc::new(self.disk.clone()), options(&self.seconds))
            .expect("it opens after a cut");
        assert!(self.store.health().writable);
        let found = self.rows().expect("a healthy disk can be read");
        let mut states = vec![self.kept.clone()];
        for (_, batch) in self.open.drain(..) {
            let mut next = states.last().cloned().unwrap_or_default();
            apply_all(&batch, &mut next);
            states.push(next);
        }
        assert!(states.contains(&found), "{found:?} is none of {states:?}");
        self.kept = found;
        let snapshot = self.store.snapshot().unwrap();
        for row in &self.idle_kept {
            assert_eq!(IDLE.get(&snapshot, row).unwrap(), Some(*row));
        }
        self.idle.clear();
    }
}

proptest! {
    #[test]
    fn durable_batches_survive_in_order(steps in prop::collection::vec(step(), 1..60)) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
        }
        model.cut(7);
    }
}
