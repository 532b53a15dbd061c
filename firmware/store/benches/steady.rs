//! What a steady chat costs the disk: `cargo bench -p store --bench steady -- DIRECTORY [WORD=NUMBER…]`.
//!
//! Pairs of people write to one another; each message is what the archive makes of one, two batches from two
//! threads' points of view: payload, entry and index row of the sender, entry and index row of the recipient,
//! and a mark that is `Soon`. Prints bytes and syncs by file and by block device, processor time by thread,
//! and the time from queueing to durable. Figures, never a verdict.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::{self, Write as _, stdout};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};
use store::disk::{DirDisk, FileName};
use store::{Disk, DiskFile, Options, Store, Table, Urgency, Write};

const PAYLOAD: Table<u64, Bytes> = Table::new("archive.payload", 1);
const ENTRY: Table<(u32, u64), Bytes> = Table::per_account("archive.entry", 1);
const INDEX: Table<(u32, String, u64), ()> = Table::per_account("archive.by_contact", 1);
const MARK: Table<(u32, String), u64> = Table::per_account("offline.mark", 1);

/// A message of 400 bytes with both addresses and its ids.
const PAYLOAD_BYTES: usize = 560;
/// Stamp, contact's address, kind and position of the payload.
const ENTRY_BYTES: usize = 38;
/// Messages in a batch while the archive is filled before the measurement.
const PRELOADED_AT_ONCE: u64 = 100;
/// A sector of the kernel's block statistics (Documentation/block/stat.rst).
const SECTOR_BYTES: u64 = 512;

/// What was done to a file.
#[derive(Debug, Default)]
struct Counts {
    writes: AtomicU64,
    bytes: AtomicU64,
    syncs: AtomicU64,
    sync_micros: AtomicU64,
}

impl Counts {
    fn now(&self) -> [u64; 4] {
        [&self.writes, &self.bytes, &self.syncs, &self.sync_micros].map(|count| count.load(Relaxed))
    }
}

/// A directory that counts.
struct Counted {
    inner: DirDisk,
    journal: Arc<Counts>,
    database: Arc<Counts>,
}

#[derive(Debug)]
struct CountedFile(Arc<dyn DiskFile>, Arc<Counts>);

impl Disk for Counted {
    fn open(&self, name: FileName) -> io::Result<Arc<dyn DiskFile>> {
        let counts = match name {
            FileName::Journal => &self.journal,
            FileName::Database => &self.database,
        };
        Ok(Arc::new(CountedFile(
            self.inner.open(name)?,
            counts.clone(),
        )))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.inner.free_bytes()
    }
}

impl DiskFile for CountedFile {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn resize(&self, bytes: u64) -> io::Result<()> {
        self.0.resize(bytes)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, out)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.1.writes.fetch_add(1, Relaxed);
        self.1.bytes.fetch_add(data.len() as u64, Relaxed);
        self.0.write_at(offset, data)
    }

    fn sync(&self) -> io::Result<()> {
        let since = Instant::now();
        let result = self.0.sync();
        self.1.syncs.fetch_add(1, Relaxed);
        self.1
            .sync_micros
            .fetch_add(since.elapsed().as_micros() as u64, Relaxed);
        result
    }
}

/// Bytes written to the block device below a directory, and flushes of it, once everything has reached it.
fn device(directory: &Path) -> io::Result<[u64; 2]> {
    rustix::fs::sync();
    let number = fs::metadata(directory)?.dev();
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat"))?;
    let fields: Vec<u64> = stat
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    let field = |index: usize| fields.get(index).copied().unwrap_or(0);
    Ok([field(6) * SECTOR_BYTES, field(15)])
}

/// Nanoseconds of processor time by the names of this process' threads, and how often each went to sleep.
fn threads() -> io::Result<BTreeMap<String, (u64, u64)>> {
    let mut all = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        let name = fs::read_to_string(path.join("comm"))?.trim().to_owned();
        let spent = fs::read_to_string(path.join("schedstat"))?;
        let spent = spent
            .split_whitespace()
            .next()
            .and_then(|ns| ns.parse().ok())
            .unwrap_or(0);
        let status = fs::read_to_string(path.join("status"))?;
        let slept = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        let slept = slept
            .and_then(|count| count.trim().parse().ok())
            .unwrap_or(0);
        all.insert(name, (spent, slept));
    }
    Ok(all)
}

/// The two batches of a message and its mark.
fn message(number: u64, pairs: u32) -> [Vec<Write>; 3] {
    let pair = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as u32 % pairs;
    let turned = u32::from(number.is_multiple_of(3));
    let (from, to) = (2 * pair + turned, 2 * pair + 1 - turned);
    let (position, second) = ((1 << 40) + 2 * number, (1 << 40) + 2 * number + 1);
    let name = |account: u32| format!("person{account}@example.org");
    let text = |bytes: usize| Bytes::from(vec![number as u8; bytes]);
    [
        vec![
            PAYLOAD.put(&position, &text(PAYLOAD_BYTES)),
            ENTRY.put(&(from, position), &text(ENTRY_BYTES)),
            INDEX.put(&(from, name(to), position), &()),
        ],
        vec![
            ENTRY.put(&(to, second), &text(ENTRY_BYTES)),
            INDEX.put(&(to, name(from), second), &()),
        ],
        vec![MARK.put(&(to, "phone".to_owned()), &second)],
    ]
}

struct Plan {
    pairs: u32,
    rate: u64,
    seconds: u64,
    /// Messages that are there before.
    preload: u64,
    /// 1: the process ends without a checkpoint, and the next start is timed.
    crash: u64,
}

fn plan(words: impl Iterator<Item = String>) -> Plan {
    let words: BTreeMap<String, u64> = words
        .filter_map(|word| {
            let (name, number) = word.split_once('=')?;
            Some((name.to_owned(), number.parse().ok()?))
        })
        .collect();
    let number = |name: &str, default: u64| words.get(name).copied().unwrap_or(default);
    Plan {
        pairs: number("pairs", 100) as u32,
        rate: number("rate", 200),
        seconds: number("seconds", 20),
        preload: number("preload", 20_000),
        crash: number("crash", 0),
    }
}

fn preload(store: &Store, plan: &Plan) {
    for first in (0..plan.preload).step_by(PRELOADED_AT_ONCE as usize) {
        let last = (first + PRELOADED_AT_ONCE).min(plan.preload);
        let writes = (first..last)
            .flat_map(|number| message(number, plan.pairs))
            .flatten();
        store.queue(writes.collect(), Urgency::Now);
        while store.turn() {}
    }
}

/// Queues the messages at their times; returns the milliseconds until each was durable, sorted.
fn talk(store: &Store, plan: &Plan) -> (Vec<f64>, Vec<f64>) {
    let latencies = Arc::new(Mutex::new(Vec::new()));
    let mut queueing = Vec::new();
    let epoch = Instant::now();
    let count = (plan.rate * plan.seconds).max(plan.seconds / 5).max(1);
    let every = Duration::from_secs(plan.seconds) / count as u32;
    for index in 0..count {
        thread::sleep((every * index as u32).saturating_sub(epoch.elapsed()));
        let [sent, received, mark] = message(plan.preload + index, plan.pairs);
        let since = Instant::now();
        store.queue(sent, Urgency::Now);
        let ticket = store.queue(received, Urgency::Now);
        store.queue(mark, Urgency::Soon);
        queueing.push(since.elapsed().as_secs_f64() * 1e3);
        let latencies = latencies.clone();
        let note = move |_| {
            let mut latencies = latencies.lock().unwrap_or_else(PoisonError::into_inner);
            latencies.push(since.elapsed().as_secs_f64() * 1e3);
        };
        store.when_durable(ticket, Box::new(note));
    }
    thread::sleep(Duration::from_millis(200));
    let mut latencies =
        std::mem::take(&mut *latencies.lock().unwrap_or_else(PoisonError::into_inner));
    latencies.sort_by(f64::total_cmp);
    queueing.sort_by(f64::total_cmp);
    (latencies, queueing)
}

fn at(sorted: &[f64], part: f64) -> f64 {
    let index = (sorted.len() as f64 * part) as usize;
    sorted
        .get(index.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// Everything that is counted, at one moment.
struct Seen {
    device: [u64; 2],
    threads: BTreeMap<String, (u64, u64)>,
    files: [[u64; 4]; 2],
}

/// A store in a directory, and what it did there.
struct Place<'a> {
    directory: &'a Path,
    path: PathBuf,
    files: [Arc<Counts>; 2],
}

impl Place<'_> {
    fn open(&self) -> Result<Arc<Store>, store::Error> {
        let [journal, database] = self.files.clone();
        let disk = Counted {
            inner: DirDisk::new(&self.path)?,
            journal,
            database,
        };
        Store::open(Arc::new(disk), Options::default())
    }

    fn look(&self) -> io::Result<Seen> {
        Ok(Seen {
            device: device(self.directory)?,
            threads: threads()?,
            files: self.files.each_ref().map(|counts| counts.now()),
        })
    }

    /// The milliseconds of a start after a crash that left these files.
    fn recover(&self, left: [(&str, Vec<u8>); 2]) -> Result<f64, store::Error> {
        let copy = self.directory.join("crashed");
        fs::create_dir_all(&copy)?;
        for (name, bytes) in left {
            fs::write(copy.join(name), bytes)?;
        }
        rustix::fs::sync();
        let since = Instant::now();
        let store = Store::open(Arc::new(DirDisk::new(&copy)?), Options::default())?;
        let milliseconds = since.elapsed().as_secs_f64() * 1e3;
        store.close();
        fs::remove_dir_all(&copy)?;
        Ok(milliseconds)
    }
}

/// What happened between two moments, for each of so many messages.
fn report(before: &Seen, now: &Seen, messages: f64) -> io::Result<()> {
    let mut out = stdout();
    for (index, name) in ["journal", "database"].into_iter().enumerate() {
        let [writes, bytes, syncs, micros]: [f64; 4] =
            std::array::from_fn(|at| (now.files[index][at] - before.files[index][at]) as f64);
        writeln!(
            out,
            "  {name}: {:.0} bytes in {:.2} writes, {:.3} syncs of {:.2} ms",
            bytes / messages,
            writes / messages,
            syncs / messages,
            micros / syncs.max(1.0) / 1e3
        )?;
    }
    for (name, (spent, slept)) in &now.threads {
        let (spent_before, slept_before) = before.threads.get(name).copied().unwrap_or_default();
        writeln!(
            out,
            "  thread {name}: {:.1} µs, {:.2} sleeps",
            (spent - spent_before) as f64 / 1e3 / messages,
            (slept - slept_before) as f64 / messages
        )?;
    }
    Ok(())
}

fn report_device(when: &str, before: &Seen, now: [u64; 2], messages: f64) -> io::Result<()> {
    writeln!(
        stdout(),
        "  device, {when} the last checkpoint: {:.0} bytes, {:.3} flushes",
        (now[0] - before.device[0]) as f64 / messages,
        (now[1] - before.device[1]) as f64 / messages
    )
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = env::args().skip(1).filter(|word| word != "--bench");
    let mut out = stdout();
    let Some(directory) = words.next() else {
        return Ok(writeln!(out, "which directory?")?);
    };
    let plan = plan(words);
    let place = Place {
        directory: Path::new(&directory),
        path: Path::new(&directory).join("steady"),
        files: Default::default(),
    };
    if !place.path.exists() {
        let store = place.open()?;
        preload(&store, &plan);
        store.close();
    }
    let since = Instant::now();
    let store = place.open()?;
    let opened = since.elapsed().as_secs_f64() * 1e3;
    let size = fs::metadata(place.path.join("hearth.redb"))?.len() >> 20;
    writeln!(out, "opened a file of {size} MiB in {opened:.1} ms")?;
    let writer = store.start_writer()?;
    let before = place.look()?;
    let (latencies, queueing) = talk(&store, &plan);
    let now = place.look()?;
    let read = |name| Ok::<_, io::Error>((name, fs::read(place.path.join(name))?));
    let left = [read("hearth.redb")?, read("journal")?];
    let since = Instant::now();
    drop(store.snapshot()?);
    let waited = since.elapsed().as_secs_f64() * 1e3;
    writer.stop();
    let stopped = device(place.directory)?;
    if plan.crash == 1 {
        writeln!(
            out,
            "after a crash opened in {:.1} ms",
            place.recover(left)?
        )?;
    }
    let messages = latencies.len() as f64;
    writeln!(
        out,
        "a reader at the end waits {waited:.1} ms; each of {messages} messages:"
    )?;
    report(&before, &now, messages)?;
    report_device("before", &before, now.device, messages)?;
    report_device("with", &before, stopped, messages)?;
    writeln!(
        out,
        "durable after p50 {:.2} p99 {:.2} ms; queueing p50 {:.3} p99 {:.3} max {:.3} ms",
        at(&latencies, 0.5),
        at(&latencies, 0.99),
        at(&queueing, 0.5),
        at(&queueing, 0.99),
        at(&queueing, 1.0)
    )?;
    Ok(())
}
