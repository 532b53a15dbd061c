//! Messages in Hearth's own archive, written by its own code in this process: through sockets a million
//! would take minutes.

use crate::{client::Account, in_memory::InMemory};
use anyhow::Result;
use server::world::{Clock, Timestamp};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};
use store::{Options, Store, disk::DirDisk};

/// Messages between two turns of the store's writer.
const GROUP: usize = 1000;

/// The two people of each pair exchange so many messages, one after the other, until now. Their server is
/// not running.
pub(crate) fn converse(
    data: &Path,
    domain: &str,
    pairs: &[[Account; 2]],
    messages: usize,
) -> Result<()> {
    for pair in pairs {
        let store = Store::open(Arc::new(DirDisk::new(data)?), Options::default())?;
        let names = pair.each_ref().map(|account| account.localpart.as_str());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let begin = now.as_millis() as u64 - 1000 * messages as u64;
        let clock = Arc::new(Passing(AtomicU64::new(begin)));
        let mut two = InMemory::over(store.clone(), clock.clone(), domain, names, "");
        for message in 1..=messages {
            clock.0.fetch_add(1000, Ordering::Relaxed);
            two.pass();
            if message % GROUP == 0 {
                two.settle();
            }
        }
        two.settle();
    }
    Ok(())
}

/// A second per message, milliseconds since 1970.
struct Passing(AtomicU64);

impl Clock for Passing {
    fn now(&self) -> Timestamp {
        self.0.load(Ordering::Relaxed)
    }

    fn elapsed_ms(&self) -> u64 {
        0
    }
}
