//! How a store is run, how soon a batch is to be written, and how the disk is.

use crate::limits;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How soon a batch shall be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// With the next group.
    Now,
    /// With the next group that something else starts, or after [`limits::SOON_SECONDS_MAX`]: last activity,
    /// offline marks.
    Soon,
    /// When nothing else waits: retention, sweeps. Later batches overtake it unless they touch the same rows.
    Idle,
}

/// Time since some fixed moment; never goes back.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// How a store is run.
#[derive(Clone)]
pub struct Options {
    /// redb's page cache, in bytes.
    pub cache_bytes: usize,
    /// Size of the journal file, in bytes.
    pub journal_bytes: u64,
    /// Free space below which nothing is accepted, in bytes.
    pub free_bytes_min: u64,
    /// The clock for checkpoints and for trying a failed disk again.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Options {
        let start = Instant::now();
        Options {
            cache_bytes: limits::CACHE_BYTES,
            journal_bytes: limits::JOURNAL_BYTES,
            free_bytes_min: limits::FREE_BYTES_MIN,
            clock: Arc::new(move || start.elapsed()),
        }
    }
}

/// How the disk is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether writes are taken.
    pub writable: bool,
    /// Why not, as a sentence for the person who runs the machine.
    pub error: Option<String>,
}

impl Default for Health {
    fn default() -> Health {
        Health {
            writable: true,
            error: None,
        }
    }
}
