//! A file while it comes. Everything here waits for the card: for threads that may.

use super::hands::Held;
use crate::limits::SYNC_BYTES;
use rustix::fs::statvfs;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::Notify;

/// A file of which something is still to come. Where it is dropped, it goes.
pub(super) struct Part {
    file: Option<File>,
    /// `ID.part`.
    path: PathBuf,
    /// Bytes that must stay free whatever comes.
    keep_free: u64,
    /// Bytes since the card was last waited for.
    unsynced: u64,
    /// Whether it has its name.
    is_whole: bool,
    held: Option<Held>,
}

impl Part {
    /// Begins the file that is to lie at `whole`. `promised` bytes must be free besides those that stay
    /// free, or this is [`io::ErrorKind::StorageFull`].
    pub(super) fn begin(
        whole: &Path,
        (promised, keep_free): (u64, u64),
        held: Held,
    ) -> io::Result<Part> {
        let directory = whole.parent().unwrap_or(Path::new("."));
        make(directory, &held)?;
        if free(directory)? < promised.saturating_add(keep_free) {
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
            file: Some(file),
            path,
            keep_free,
            unsynced: 0,
            is_whole: false,
            held: Some(held),
        })
    }

    /// Appends. From time to time this waits for the card, so that the client is not ahead of it by more than
    /// what the end can wait for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Err(io::ErrorKind::NotFound.into());
        };
        file.write_all(bytes)?;
        if let Some(held) = &self.held {
            held.wrote(bytes.len() as u64);
        }
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_BYTES {
            file.sync_data()?;
            self.unsynced = 0;
            // Others write, too.
            if free(&self.path)? < self.keep_free {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        Ok(())
    }

    fn open(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or(io::ErrorKind::NotFound.into())
    }

    /// Tells when somebody else wants to put the file.
    pub(super) fn cut(&self) -> Arc<Notify> {
        self.held.as_ref().map(Held::cut).unwrap_or_default()
    }

    /// The file is whole, and stays whatever happens. It is still in hand: its row is to come.
    pub(super) fn finish(mut self, whole: &Path) -> io::Result<Part> {
        self.open()?.sync_all()?;
        fs::rename(&self.path, whole)?;
        self.is_whole = true;
        let directory = whole.parent().unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()?;
        Ok(self)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.is_whole {
            return;
        }
        // Whoever drops it may be in a hurry, and 100 MB take a card a while.
        let (file, path) = (self.file.take(), std::mem::take(&mut self.path));
        if let Some(held) = self.held.take() {
            held.and_then(move || {
                // Where that fails, it is found with the strays.
                let _ = fs::remove_file(path);
                drop(file);
            });
        }
    }
}

/// Makes a directory that may be there, on the card with its name. Somebody else may have made it a
/// moment ago, and not have got further.
fn make(directory: &Path, held: &Held) -> io::Result<()> {
    if held.knows(directory) && directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let above = directory.ancestors().skip(1).take(2);
    above
        .map(File::open)
        .try_for_each(|above| above?.sync_all())?;
    held.learn(directory);
    Ok(())
}

/// Bytes that the server may still use where this is or will be.
pub(super) fn free(path: &Path) -> io::Result<u64> {
    let there = path.ancestors().find(|path| path.exists());
    let stat = statvfs(there.unwrap_or(Path::new("/")))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
