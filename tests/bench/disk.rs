//! The disk below a server: an ext4 file system of its own in a file, so that the kernel counts what this
//! server alone writes and flushes, and so that its power can be cut.
//!
//! The kernel lets only root mount; anybody else gets a directory on a disk that is shared with whoever else
//! writes to it. What /proc tells of a process' bytes is no help: whole folios that it touched, a hundred
//! times what is written.

use crate::server::GLANCE;
use anyhow::{Context, Result, ensure};
use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A sector in the kernel's block statistics, whatever the device has (Documentation/block/stat.rst).
const SECTOR_BYTES: u64 = 512;
/// Space of a file system for figures; the file below it is sparse.
const BYTES: u64 = 8 << 30;
/// How long the kernel, or a process that was killed, may hold on to a file system.
const RELEASE_TIME_MAX: Duration = Duration::from_secs(20);
/// Files of a server: one of them has two per account.
const FILES_MAX: &str = "16384";
/// The file system's journal.
const JOURNAL: &str = "size=32";

/// A directory for one server; removed, with the file system in it, at the end.
pub(crate) struct Disk {
    directory: TempDir,
    mounted: bool,
}

impl Disk {
    /// A new one below `parent`, which should be on the disk that is to be measured; with a file system of
    /// its own where this may be.
    pub(crate) fn new(parent: &Path) -> Result<Disk> {
        let mut disk = Disk::shared(parent)?;
        disk.mounted = may_mount();
        if disk.mounted {
            // Said before it is true: what was mounted halfway is unmounted, too.
            make(&disk.directory.path().join("image"), BYTES)?;
            mount(&disk.directory.path().join("image"), &disk.root())?;
        }
        Ok(disk)
    }

    /// A directory on the disk of `parent` itself.
    pub(crate) fn shared(parent: &Path) -> Result<Disk> {
        let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(parent);
        let directory = directory.with_context(|| format!("{}", parent.display()))?;
        let disk = Disk {
            directory,
            mounted: false,
        };
        fs::create_dir(disk.root())?;
        Ok(disk)
    }

    /// Where the server's files are.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    /// Its counters; nothing where others write, too.
    pub(crate) fn device(&self) -> Option<Device> {
        self.mounted.then(|| Device::of(&self.root())).flatten()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = unmount(&self.root());
        }
    }
}

/// Whether file systems can be mounted here: as root, with loop devices.
pub(crate) fn may_mount() -> bool {
    rustix::process::geteuid().is_root() && Path::new("/dev/loop-control").exists()
}

/// Makes a file of so many bytes with an empty file system in it.
pub(crate) fn make(image: &Path, bytes: u64) -> Result<()> {
    File::create_new(image)?.set_len(bytes)?;
    // Everything is written now rather than by the kernel while somebody counts.
    let options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
    let mut make = Command::new("mkfs.ext4");
    make.args(["-q", "-F", "-N", FILES_MAX, "-J", JOURNAL, "-E", options]);
    run(make.arg(image))
}

/// Mounts a file system in a file; its loop device goes away with the mount.
pub(crate) fn mount(image: &Path, directory: &Path) -> Result<()> {
    let mut mount = Command::new("mount");
    run(mount.args(["-o", "loop"]).arg(image).arg(directory))
}

/// Unmounts as soon as nobody uses it any more: the helpers of a server that was killed end a little later
/// than it does.
pub(crate) fn unmount(directory: &Path) -> Result<()> {
    let since = Instant::now();
    loop {
        match run(Command::new("umount").arg(directory)) {
            Err(_) if since.elapsed() < RELEASE_TIME_MAX => thread::sleep(GLANCE),
            end => return end,
        }
    }
}

/// Runs a command to its end; what it complains of is the error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start {name}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{name}: {}: {complaint}",
        output.status
    );
    Ok(())
}

/// The block device that a directory is on. Whoever else writes to it is counted, too.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    directory: PathBuf,
    stat: PathBuf,
}

/// What a device did since it exists.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeviceWork {
    /// Bytes written.
    pub(crate) bytes: u64,
    /// Flushes of its cache: what is left of `fsync` below the file system, which may make two of one.
    pub(crate) flushes: u64,
}

impl Device {
    fn of(directory: &Path) -> Option<Device> {
        let number = fs::metadata(directory).ok()?.dev();
        let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
        let stat = PathBuf::from(format!("/sys/dev/block/{major}:{minor}/stat"));
        let directory = directory.to_owned();
        stat.exists().then_some(Device { directory, stat })
    }

    /// Its counters, once everything written so far has reached it.
    pub(crate) fn work(&self) -> Result<DeviceWork> {
        rustix::fs::syncfs(File::open(&self.directory)?)?;
        let stat = fs::read_to_string(&self.stat)?;
        let fields = stat
            .split_whitespace()
            .map(str::parse::<u64>)
            .collect::<Result<Vec<_>, _>>()?;
        let field = |index: usize| fields.get(index).copied().unwrap_or_default();
        Ok(DeviceWork {
            bytes: field(6) * SECTOR_BYTES,
            flushes: field(15),
        })
    }
}
