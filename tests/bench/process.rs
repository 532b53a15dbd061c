//! What the kernel knows of a server: processor time and resident size of its process and of the processes
//! that this one started.

use anyhow::{Context, Result};
use std::{fs, time::Duration};

/// Ticks a second of the times in /proc: USER_HZ, part of Linux' interface to user space (proc(5)).
const USER_HZ: u64 = 100;
/// How often a server is looked at while it comes to rest, and how many looks without work count as rest.
const GLANCE: Duration = Duration::from_millis(100);
const GLANCES_AT_REST: u32 = 5;
/// A server that works longer than this on nothing will not come to rest.
const GLANCES_MAX: u32 = 300;
/// Ticks between two looks that a server may use though it is at rest: some run timers.
const TICKS_AT_REST: u64 = 1;

/// A running process, seen from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
}

/// What matters of /proc/PID/stat.
struct Stat {
    parent: u32,
    /// User and system time of all threads, and of children that have ended.
    ticks: u64,
}

impl Process {
    /// Processor time used so far by all threads of the process and of what it started, in steps of 10 ms.
    pub(crate) fn cpu(self) -> Result<Duration> {
        Ok(Duration::from_millis(self.ticks()? * 1000 / USER_HZ))
    }

    fn ticks(self) -> Result<u64> {
        let mut ticks = stat(self.pid)?.ticks;
        for helper in self.helpers()? {
            // It may have ended; then its parent has its time.
            ticks += stat(helper).map_or(0, |stat| stat.ticks);
        }
        Ok(ticks)
    }

    /// Bytes resident in memory. Pages that two of its processes share count twice; those are few.
    pub(crate) fn resident(self) -> Result<u64> {
        let mut bytes = resident(self.pid)?;
        for helper in self.helpers()? {
            bytes += resident(helper).unwrap_or_default();
        }
        Ok(bytes)
    }

    /// Returns once it has stopped working.
    pub(crate) async fn rest(self) -> Result<()> {
        let mut ticks = self.ticks()?;
        let mut at_rest = 0;
        for _ in 0..GLANCES_MAX {
            tokio::time::sleep(GLANCE).await;
            let now = self.ticks()?;
            at_rest = if now <= ticks + TICKS_AT_REST {
                at_rest + 1
            } else {
                0
            };
            ticks = now;
            if at_rest == GLANCES_AT_REST {
                break;
            }
        }
        Ok(())
    }

    /// The processes below this one, at any depth.
    pub(crate) fn helpers(self) -> Result<Vec<u32>> {
        let mut others: Vec<(u32, u32)> = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let pid = name.to_str().and_then(|name| name.parse().ok());
            if let Some((pid, Ok(stat))) = pid.map(|pid| (pid, stat(pid))) {
                others.push((pid, stat.parent));
            }
        }
        let mut family = vec![self.pid];
        let mut index = 0;
        while let Some(&parent) = family.get(index) {
            let children = others.iter().filter(|(_, of)| *of == parent);
            family.extend(children.map(|(pid, _)| *pid));
            index += 1;
        }
        Ok(family.split_off(1))
    }
}

fn stat(pid: u32) -> Result<Stat> {
    let text = read(pid, "stat")?;
    // The second field is the name in brackets and may hold anything; the fourth is the parent, utime,
    // stime, cutime and cstime are the 14th to the 17th.
    let (_, fields) = text.rsplit_once(')').context("no name in stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |index: usize| -> Result<u64> {
        Ok(fields.get(index).context("stat is short")?.parse::<u64>()?)
    };
    Ok(Stat {
        parent: number(1)? as u32,
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
    })
}

fn resident(pid: u32) -> Result<u64> {
    // Added up over the page tables; the figures in `status` lag behind by what each core has not told yet.
    let text = read(pid, "smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    let kibibytes: u64 = number.context("no Rss: in smaps_rollup")?.parse()?;
    Ok(1024 * kibibytes)
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| format!("{path}: has the server ended?"))
}
