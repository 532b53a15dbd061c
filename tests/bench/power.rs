//! A disk whose power can be cut under a running server, with real file systems of the kernel.
//!
//! There are two of ext4, one in a file on the other: the server's, and below it one that stands for the
//! drive. What the upper one flushes, the lower one's `fsync` makes durable, as a drive does with its cache.
//! A cut is ext4's own emergency stop (FS_IOC_SHUTDOWN without writing the journal, ioctl_xfs_goingdown(2)):
//! from that moment nothing goes below any more, and what had not gone is lost. Stopping the upper one loses
//! what the file system had not given to the drive; stopping the lower one loses also what the drive was
//! given and had not flushed. Neither tears a sector, nor does a drive here lie about its flushes.
//!
//! The other way is to copy what the drive has, while the server goes on: the lower file system holds its
//! breath meanwhile (fsfreeze(8)), so that a copy is the state of one moment, with the upper one mounted and
//! at work. What a copy has is what a power cut at that moment leaves, the drive's cache included.

use crate::disk::{make, mount, run, unmount};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::{TempDir, TempPath};

/// Space of the server's file system, and of the one below it.
const UPPER_BYTES: u64 = 1 << 30;
const LOWER_BYTES: u64 = UPPER_BYTES + (1 << 28);

/// What a cut takes away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// What the drive had not been given.
    KeepsCache,
    /// And what it had not flushed.
    LosesCache,
}

/// The disk; removed at the end.
pub(crate) struct Power {
    directory: TempDir,
}

impl Power {
    /// A new one below `parent`; only root may, see [`crate::disk::may_mount`].
    pub(crate) fn new(parent: &Path) -> Result<Power> {
        let directory = tempfile::Builder::new()
            .prefix("bench-power-")
            .tempdir_in(parent)?;
        let power = Power { directory };
        fs::create_dir(power.lower())?;
        fs::create_dir(power.root())?;
        make(&power.lower_image(), LOWER_BYTES)?;
        mount(&power.lower_image(), &power.lower())?;
        make(&power.upper_image(), UPPER_BYTES)?;
        mount(&power.upper_image(), &power.root())?;
        Ok(power)
    }

    /// Where the server's files are.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("upper")
    }

    fn lower(&self) -> PathBuf {
        self.directory.path().join("lower")
    }

    fn lower_image(&self) -> PathBuf {
        self.directory.path().join("lower.image")
    }

    fn upper_image(&self) -> PathBuf {
        self.lower().join("upper.image")
    }

    /// Written and not synced: proof that something was lost.
    fn marker(&self) -> PathBuf {
        self.root().join("not-synced")
    }

    /// A copy of what the drive has at this moment, to be mounted later.
    pub(crate) fn copy(&self) -> Result<Copied> {
        let copy = tempfile::Builder::new()
            .prefix("copy-")
            .suffix(".image")
            .tempfile_in(self.directory.path())?;
        let held = Held::new(self.lower())?;
        let mut cp = Command::new("cp");
        cp.arg("--sparse=always").arg(self.upper_image());
        let copied = run(cp.arg(copy.path()));
        held.release()?;
        copied?;
        Ok(Copied(copy.into_temp_path()))
    }

    /// Puts a copy where the server's file system was, which replays its journal. Nobody may use that one any
    /// more.
    pub(crate) fn insert(&self, copy: &Copied) -> Result<()> {
        unmount(&self.root())?;
        mount(&copy.0, &self.root())
    }

    /// Puts the server's own file system back.
    pub(crate) fn reinsert(&self) -> Result<()> {
        unmount(&self.root())?;
        mount(&self.upper_image(), &self.root())
    }

    /// Somebody with a hand at the switch.
    pub(crate) fn switch(&self, cut: Cut) -> Result<Switch> {
        let stopped = match cut {
            Cut::KeepsCache => self.root(),
            Cut::LosesCache => self.lower(),
        };
        let mut process = Command::new("/usr/bin/python3")
            .args(["-c", SWITCH])
            .args([stopped, self.marker()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start python3")?;
        let stdout = process.stdout.take().context("stdout is a pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "ready\n", "nobody is at the switch");
        Ok(Switch(process))
    }

    /// The power is back: both file systems are mounted again, which replays their journals. Nobody may use
    /// them any more.
    pub(crate) fn restore(&self) -> Result<()> {
        unmount(&self.root())?;
        unmount(&self.lower())?;
        mount(&self.lower_image(), &self.lower())?;
        mount(&self.upper_image(), &self.root())?;
        let marker = fs::read(self.marker()).unwrap_or_default();
        ensure!(marker.is_empty(), "the power was not really cut");
        Ok(())
    }
}

impl Drop for Power {
    fn drop(&mut self) {
        let _ = unmount(&self.root());
        let _ = unmount(&self.lower());
    }
}

/// An image of the server's file system as it was at some moment under load.
pub(crate) struct Copied(TempPath);

/// A file system that nothing is written to, until this is dropped.
struct Held(Option<PathBuf>);

impl Held {
    fn new(directory: PathBuf) -> Result<Held> {
        run(Command::new("fsfreeze").arg("--freeze").arg(&directory))?;
        Ok(Held(Some(directory)))
    }

    fn release(mut self) -> Result<()> {
        self.let_go()
    }

    fn let_go(&mut self) -> Result<()> {
        self.0.take().map_or(Ok(()), |directory| {
            run(Command::new("fsfreeze").arg("--unfreeze").arg(directory))
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.let_go();
    }
}

/// A process that waits for a word to cut the power.
pub(crate) struct Switch(Child);

impl Switch {
    /// Cuts it.
    pub(crate) fn cut(mut self) -> Result<()> {
        self.0
            .stdin
            .take()
            .context("stdin is a pipe")?
            .write_all(b"\n")?;
        let status = self.0.wait()?;
        ensure!(status.success(), "the power was not cut: {status}");
        Ok(())
    }
}

/// FS_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH, in Python because no safe function of Rust's makes an
/// ioctl of one's own.
const SWITCH: &str = r"
import fcntl, os, struct, sys
place = os.open(sys.argv[1], os.O_RDONLY)
print('ready', flush=True)
sys.stdin.readline()
with open(sys.argv[2], 'wb') as marker:
    marker.write(b'lost')
fcntl.ioctl(place, 0x8004587d, struct.pack('I', 2))
";
