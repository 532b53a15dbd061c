//! What the store needs of a disk: two files, and how much room is left. The real one is [`DirDisk`];
//! [`SimDisk`] forgets, tears and fails as told, for tests.

mod dir;
mod sim;

pub use dir::DirDisk;
pub use sim::{Fault, SimDisk};

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

/// The files of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileName {
    /// redb's file.
    Database,
    /// What was acknowledged since redb's last checkpoint.
    Journal,
}

/// Where a store lives. Whoever holds one is the only user of these files.
pub trait Disk: Send + Sync {
    /// Opens a file, empty when it did not exist. Once it was synced, the file itself stays, too.
    ///
    /// # Errors
    /// The disk's.
    fn open(&self, name: FileName) -> io::Result<Arc<dyn DiskFile>>;

    /// Bytes that may still be written to new places.
    ///
    /// # Errors
    /// The disk's.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// An open file. Every method may fail with the disk's error.
pub trait DiskFile: Debug + Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// The disk's, as for all of these.
    fn size(&self) -> io::Result<u64>;

    /// Cuts it, or extends it with zeros that may take no room until they are written.
    ///
    /// # Errors
    /// The disk's.
    fn resize(&self, bytes: u64) -> io::Result<()>;

    /// Fills `out` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before; the disk's.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes all of `data` at `offset`. After an error any part of it may have been written.
    ///
    /// # Errors
    /// The disk's.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Returns once everything written before is on the medium. After an error nothing is known about
    /// anything written since the last success, and a later success does not change that.
    ///
    /// # Errors
    /// The disk's.
    fn sync(&self) -> io::Result<()>;
}
