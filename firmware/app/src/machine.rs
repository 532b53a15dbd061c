//! What the machine gives to code that may not ask for it: the time, the dice, the disk (house rule 9).

use crate::limits;
use household::{Config, Finding, Level};
use rustix::fs::{Access, access, statvfs};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::CertificateDer;
use server::{
    Readers,
    tls::Files,
    world::{Clock, Dice, Timestamp},
};
use services::clock::{self, Network};
use std::{
    env, fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
        process::CommandExt,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Instant, SystemTime},
};
use store::{Options, Store, disk::DirDisk};

/// Milliseconds since 1970; 0 before that.
pub(crate) fn now_ms() -> Timestamp {
    SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_millis() as Timestamp)
}

/// glibc gives every thread a heap of its own, and none gives anything back: two for all are half a
/// megabyte less at rest and more under load. It reads this from the environment, before `main`; so the
/// program starts itself again, once, under the same process id. Where that is not possible it goes on as
/// it is.
pub(crate) fn share_heaps() {
    const VARIABLE: &str = "MALLOC_ARENA_MAX";
    if !cfg!(target_env = "gnu") || env::var_os(VARIABLE).is_some() {
        return;
    }
    let mut arguments = env::args_os();
    let (Ok(program), Some(name)) = (env::current_exe(), arguments.next()) else {
        return;
    };
    let error = Command::new(program)
        .arg0(name)
        .args(arguments)
        .env(VARIABLE, "2")
        .exec();
    tracing::debug!(%error, "the heaps stay apart");
}

/// A socket is a file to the system, and what it allows by default (1 024) is less than our own limits on
/// connections. Raised as far as the administrator lets us; where that is not at all, accepting pauses.
pub(crate) fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit on open files cannot be raised");
    }
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

/// What the system's service for the time says of itself (systemd-timesyncd.service(8)).
pub(crate) struct MachineTime;

impl clock::System for MachineTime {
    fn network(&self) -> Network {
        let service = Path::new("/run/systemd/timesync");
        if service.join("synchronized").exists() {
            Network::Told
        } else if service.exists() {
            Network::Asking
        } else {
            Network::Unknown
        }
    }
}

/// When this program was made, milliseconds since 1970.
pub(crate) fn built_ms() -> Timestamp {
    let seconds: u64 = env!("HEARTH_BUILT").parse().unwrap_or(0);
    seconds * 1_000
}

/// The operating system's randomness, through the crypto provider.
pub(crate) struct MachineDice;

impl Dice for MachineDice {
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes)
            .expect("the provider ends the process before it has no randomness");
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// Jobs that read the card, on threads of their own: few, for each has a stack and what the allocator keeps
/// for it. They end with the server.
pub(crate) struct MachineReaders(mpsc::Sender<Job>);

impl MachineReaders {
    pub(crate) fn start() -> io::Result<MachineReaders> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..limits::READERS {
            let waiting = waiting.clone();
            let read = move || {
                // The lock is held while waiting for a job, not while doing it.
                let next = || {
                    waiting
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .recv()
                };
                while let Ok(job) = next() {
                    // Who asked hears nothing, and says so; the next one is served.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            };
            thread::Builder::new()
                .name("reader".to_owned())
                .spawn(read)?;
        }
        Ok(MachineReaders(jobs))
    }
}

impl Readers for MachineReaders {
    fn run(&self, job: Job) {
        // Refused only when all of them are gone, and then nobody reads anything.
        let _ = self.0.send(job);
    }
}

/// The file system, for certificates and keys. The machine's authorities are where OpenSSL looks for them,
/// too, `SSL_CERT_FILE` and `SSL_CERT_DIR` included.
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

    fn authorities(&self) -> io::Result<Vec<CertificateDer<'static>>> {
        let mut found = rustls_native_certs::load_native_certs();
        match found.errors.pop() {
            Some(error) if found.certs.is_empty() => Err(io::Error::other(error)),
            // One bad file among a hundred is no reason to believe nobody.
            _ => Ok(found.certs),
        }
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
                let fix = match error.kind() {
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                        "make it writable"
                    }
                    io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                        "make it a directory"
                    }
                    _ => "mend it",
                };
                write!(
                    f,
                    "cannot use data_dir = \"{data_dir}\": {error}; {fix}, or choose another"
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

/// What `check storage` finds before the first start: whether the data directory can be made.
pub(crate) fn check_place(data_dir: &Path) -> Finding {
    let place = data_dir.display();
    let above = data_dir
        .ancestors()
        .skip(1)
        .find(|above| above.exists())
        .unwrap_or(Path::new("."));
    match access(above, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) if above.is_dir() => finding(
            Level::Ok,
            format!("{place} will be made at the first start"),
            "",
        ),
        _ => finding(
            Level::Fail,
            format!("{place} cannot be made in {}", above.display()),
            "make that writable for the server's user, or choose another data_dir",
        ),
    }
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
