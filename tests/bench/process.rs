//! What the kernel knows of a server: processor time and resident size; and of the block device below it.

use anyhow::{Context, Result};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// Ticks a second of the times in /proc: USER_HZ, part of Linux' interface to user space (proc(5)).
const USER_HZ: u64 = 100;
/// A sector in the kernel's block statistics, whatever the device has (Documentation/block/stat.rst).
const SECTOR_BYTES: u64 = 512;
/// How often a server is looked at while it comes to rest, and how many looks without work count as rest.
const GLANCE: Duration = Duration::from_millis(100);
const GLANCES_AT_REST: u32 = 5;
/// A server that works longer than this on nothing will not come to rest.
const GLANCES_MAX: u32 = 300;

/// A running process, seen from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
}

impl Process {
    /// Processor time used so far by all its threads, in steps of 10 ms.
    pub(crate) fn cpu(self) -> Result<Duration> {
        let stat = self.read("stat")?;
        // The second field is the name in brackets and may hold anything; utime and stime are the 14th and
        // the 15th.
        let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks = ticks.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 1000 / USER_HZ))
    }

    /// Bytes resident in memory.
    pub(crate) fn resident(self) -> Result<u64> {
        Ok(1024 * self.number("status", "VmRSS:")?)
    }

    /// Returns once it has stopped working.
    pub(crate) async fn rest(self) -> Result<()> {
        let mut cpu = self.cpu()?;
        let mut at_rest = 0;
        for _ in 0..GLANCES_MAX {
            tokio::time::sleep(GLANCE).await;
            let now = self.cpu()?;
            at_rest = if now == cpu { at_rest + 1 } else { 0 };
            cpu = now;
            if at_rest == GLANCES_AT_REST {
                break;
            }
        }
        Ok(())
    }

    fn number(self, file: &str, key: &str) -> Result<u64> {
        let text = self.read(file)?;
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let number = line.and_then(|line| line.split_whitespace().next());
        let number = number.with_context(|| format!("no {key} in /proc/{}/{file}", self.pid))?;
        Ok(number.parse()?)
    }

    fn read(self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).with_context(|| format!("{path}: has the server ended?"))
    }
}

/// The block device that a directory is on. Whoever else writes to it is counted, too; the bytes that /proc
/// tells of the process alone are those of the whole folios it touched, a hundred times what is written.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    stat: PathBuf,
}

/// What a device did since the machine started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeviceWork {
    /// Bytes written.
    pub(crate) bytes: u64,
    /// Flushes of its cache: what is left of `fsync` below the file system.
    pub(crate) flushes: u64,
}

impl Device {
    /// `None` where the directory is in memory or on another machine.
    pub(crate) fn of(directory: &Path) -> Option<Device> {
        let number = fs::metadata(directory).ok()?.dev();
        let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
        let stat = PathBuf::from(format!("/sys/dev/block/{major}:{minor}/stat"));
        stat.exists().then_some(Device { stat })
    }

    /// Its counters, once everything written so far has reached it.
    pub(crate) fn work(&self) -> Result<DeviceWork> {
        rustix::fs::sync();
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
