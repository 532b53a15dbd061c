//! What the machine gives to code that may not ask for it: the time, the dice, the disk (house rule 9).

use household::{Config, Finding, Level};
use rustix::fs::statvfs;
use server::{
    Readers,
    tls::Files,
    world::{Clock, Dice, Timestamp},
};
use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Instant, SystemTime},
};
use store::{Options, Store, disk::DirDisk};

/// Milliseconds since 1970; 0 before that.
pub(crate) fn now_ms() -> Timestamp {
    SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_millis() as Timestamp)
}

/// The machine's clocks.
pub(crate) struct MachineClock(Instant);

impl MachineClock {
    /// A clock that starts now.
    pub(crate) fn start() -> MachineClock {
        MachineClock(Instant::now())
    }
}

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        now_ms()
    }

    fn elapsed_ms(&self) -> u64 {
        self.0.elapsed().as_millis() as u64
    }
}

/// The operating system's randomness, through the crypto provider.
pub(crate) struct MachineDice;

impl Dice for MachineDice {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes)
            .expect("the provider ends the process before it has no randomness");
    }
}

/// Jobs that read the card, on the threads that may block.
pub(crate) struct MachineReaders;

impl Readers for MachineReaders {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        tokio::task::spawn_blocking(job);
    }
}

/// The file system, for certificates and keys.
pub(crate) struct MachineFiles;

impl Files for MachineFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        replace(path, bytes, 0o644)
    }

    fn write_secret(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        replace(path, bytes, 0o600)
    }
}

/// Under another name first, and onto the card, so that there is never half a file.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(directory)?.sync_all()
}

/// Opens the store in the data directory; nobody else has it then.
pub(crate) fn open_store(data_dir: &Path) -> Result<Arc<Store>, OpenError> {
    let open = || Store::open(Arc::new(DirDisk::new(data_dir)?), Options::default());
    open().map_err(|error| OpenError {
        data_dir: data_dir.to_owned(),
        error,
    })
}

/// Why there is no store: one sentence, with the directory.
#[derive(Debug)]
pub(crate) struct OpenError {
    data_dir: PathBuf,
    pub(crate) error: store::Error,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data_dir = self.data_dir.display();
        match &self.error {
            // Says where it is.
            store::Error::InUse(_) => self.error.fmt(f),
            store::Error::Io(error) => {
                write!(
                    f,
                    "cannot use data_dir = \"{data_dir}\": {error}; make it writable, or choose another"
                )
            }
            error => write!(f, "cannot use data_dir = \"{data_dir}\": {error}"),
        }
    }
}

impl std::error::Error for OpenError {}

/// What `check storage` finds once the store is open.
pub(crate) fn check_store(store: &Store, config: &Config) -> Vec<Finding> {
    let data_dir = &config.data_dir;
    let place = data_dir.display();
    let health = store.health();
    let mut findings = vec![match health.error {
        None if health.writable => {
            finding(Level::Ok, format!("{place} can be read and written"), "")
        }
        error => {
            let what = error.unwrap_or_else(|| "it takes no writes".to_owned());
            finding(
                Level::Fail,
                format!("{place}: {what}"),
                "make space, or replace the card",
            )
        }
    }];
    findings.extend(check_space(data_dir, config.upload.keep_free));
    findings.extend(check_mode(data_dir));
    findings
}

fn finding(level: Level, text: String, next: &str) -> Finding {
    Finding {
        part: "storage".to_owned(),
        level,
        text,
        next: next.to_owned(),
    }
}

fn check_space(data_dir: &Path, keep_free: u64) -> Option<Finding> {
    let stat = statvfs(data_dir).ok()?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let text = format!("{} MB are free", free / 1_000_000);
    Some(if free < store::limits::FREE_BYTES_MIN {
        finding(
            Level::Fail,
            text,
            "make space: nothing is stored below 17 MB",
        )
    } else if free < keep_free {
        finding(
            Level::Warn,
            text,
            "make space soon: upload.keep_free asks for more",
        )
    } else {
        finding(Level::Ok, text, "")
    })
}

/// Only the server's user has business in there.
fn check_mode(data_dir: &Path) -> Option<Finding> {
    let mode = fs::metadata(data_dir).ok()?.permissions().mode();
    let text = format!(
        "{} is open to other users of this machine",
        data_dir.display()
    );
    (mode & 0o077 != 0).then(|| finding(Level::Warn, text, "close it with chmod 700"))
}
