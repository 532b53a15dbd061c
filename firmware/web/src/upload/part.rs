//! A file while it comes. Everything here waits for the card: for threads that may.

use super::hands::Held;
use crate::limits::SYNC_BYTES;
use rustix::fs::statvfs;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// A file of which something is still to come. Where it is dropped, it goes.
pub(super) struct Part {
    file: File,
    /// `ID.part`.
    path: PathBuf,
    /// Bytes since the card was last waited for.
    unsynced: u64,
    /// Whether it has its name.
    is_whole: bool,
    held: Held,
}

impl Part {
    /// Begins the file that is to lie at `whole`. `needed` bytes must be free, or this is
    /// [`io::ErrorKind::StorageFull`].
    pub(super) fn begin(whole: &Path, needed: u64, held: Held) -> io::Result<Part> {
        let directory = whole.parent().unwrap_or(Path::new("."));
        make(directory)?;
        if free(directory)? < needed {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let path = whole.with_extension("part");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            // What a power cut left of an earlier attempt.
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Part {
            file,
            path,
            unsynced: 0,
            is_whole: false,
            held,
        })
    }

    /// Appends. From time to time this waits for the card, so that the client is not ahead of it by more than
    /// what the end can wait for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.held.wrote(bytes.len() as u64);
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// The file is whole, and stays whatever happens. It is still in hand: its row is to come.
    pub(super) fn finish(mut self, whole: &Path) -> io::Result<Part> {
        self.file.sync_all()?;
        fs::rename(&self.path, whole)?;
        self.is_whole = true;
        let directory = whole.parent().unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()?;
        Ok(self)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_whole {
            // Where that fails, it is found with the strays.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a directory that may be there, on the card with its name.
fn make(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let above = directory.ancestors().skip(1).take(2);
    above
        .map(File::open)
        .try_for_each(|above| above?.sync_all())
}

/// Bytes that the server may still use.
fn free(directory: &Path) -> io::Result<u64> {
    let stat = statvfs(directory)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
