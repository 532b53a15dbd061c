//! A directory of a real file system.

use super::{Disk, DiskFile, FileName};
use crate::Error;
use rustix::fs::{FlockOperation, flock, statvfs};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory, locked for as long as this exists.
#[derive(Debug)]
pub struct DirDisk {
    path: PathBuf,
    // The lock is the open file's; the kernel takes it back when the process dies, however it dies.
    _lock: File,
}

impl DirDisk {
    /// Makes the directory where there is none (readable by its owner only), and locks it.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process, or another store of this one, has it.
    pub fn new(path: impl AsRef<Path>) -> Result<DirDisk, Error> {
        let path = path.as_ref().to_path_buf();
        make_directory(&std::path::absolute(&path)?)?;
        let lock = private_file(&path.join("lock"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(DirDisk { path, _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::InUse(path)),
            Err(errno) => Err(Error::Io(errno.into())),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes a directory and those above it that are missing, each durable as an entry of its parent.
fn make_directory(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|directory| !directory.exists())
        .collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for parent in missing.iter().filter_map(|directory| directory.parent()) {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

impl Disk for DirDisk {
    fn open(&self, name: FileName) -> io::Result<Arc<dyn DiskFile>> {
        let file = private_file(&self.path.join(match name {
            FileName::Database => "hearth.redb",
            FileName::Journal => "journal",
        }))?;
        // The entry of a new file is in the directory, which has a sync of its own.
        File::open(&self.path)?.sync_all()?;
        Ok(Arc::new(DirFile(file)))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = statvfs(&self.path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

#[derive(Debug)]
struct DirFile(File);

impl DiskFile for DirFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn resize(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
