//! redb over the database file: opening, applying changes, checkpoints, and what to do when the file fails.
//!
//! redb never overwrites what its last synced commit refers to, but for the header at the start of the file,
//! and with two-phase commits (which `quick_repair` implies) the header names a commit only after that was
//! synced. So after any failure the way back is to open again, which writes the whole header anew and syncs
//! it or fails, and to replay the journal. Until that works, redb runs on an *overlay*: it reads the file, as
//! of the last successful sync, and writes to memory, so that readers see everything acknowledged. What the
//! page cache shows after a failed sync is not to be trusted: it may differ from the medium, and change when
//! memory gets scarce.

use crate::Error;
use crate::disk::DiskFile;
use crate::group::Changes;
use crate::overlay::Overlay;
use crate::shared::locked;
use redb::{Database, Durability, StorageBackend, TableDefinition};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What redb keeps at the start of its file: magic number, flags and two commit slots.
const HEADER_BYTES: usize = 320;
const MAGIC: &[u8; 9] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// The database file and its header as of the last successful sync.
#[derive(Debug)]
pub(crate) struct DatabaseFile {
    file: Arc<dyn DiskFile>,
    header: Mutex<Header>,
    /// A read failed, after which an open redb refuses to read or write anything more.
    read_failed: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Header {
    written: Vec<u8>,
    synced: Vec<u8>,
}

impl DatabaseFile {
    /// # Errors
    /// The disk's.
    pub(crate) fn new(
        file: Arc<dyn DiskFile>,
        read_failed: Arc<AtomicBool>,
    ) -> io::Result<Arc<DatabaseFile>> {
        if creation_was_cut_off(&*file)? {
            file.resize(0)?;
        }
        let mut header = vec![0; file.size()?.min(HEADER_BYTES as u64) as usize];
        file.read_at(0, &mut header)?;
        let header = Mutex::new(Header {
            written: header.clone(),
            synced: header,
        });
        Ok(Arc::new(DatabaseFile {
            file,
            header,
            read_failed,
        }))
    }

    /// Opens redb on the file, or makes a new database in an empty one.
    ///
    /// # Errors
    /// The disk's; [`Error::Damaged`] when the file is not a database any more.
    pub(crate) fn open(self: &Arc<Self>, cache_bytes: usize) -> Result<Database, Error> {
        Ok(Database::builder()
            .set_cache_size(cache_bytes)
            .create_with_backend(Through(self.clone()))?)
    }

    /// Opens redb as of the last successful sync, without writing to the file.
    ///
    /// # Errors
    /// As [`DatabaseFile::open`].
    pub(crate) fn open_overlay(self: &Arc<Self>, cache_bytes: usize) -> Result<Database, Error> {
        let synced = locked(&self.header).synced.clone();
        let overlay = Overlay::new(self.file.clone(), &synced, self.read_failed.clone())?;
        Ok(Database::builder()
            .set_cache_size(cache_bytes)
            .create_with_backend(overlay)?)
    }
}

/// Whether the power failed while redb made a new file: it writes its magic number last. Only believed when
/// there is nothing else in the file.
fn creation_was_cut_off(file: &dyn DiskFile) -> io::Result<bool> {
    let size = file.size()?;
    let mut header = vec![0; size.min(HEADER_BYTES as u64) as usize];
    file.read_at(0, &mut header)?;
    let written = header
        .iter()
        .zip(MAGIC)
        .take_while(|(found, magic)| found == magic)
        .count();
    let rest = header.get(written..MAGIC.len());
    if rest.is_none_or(|rest| rest.is_empty() || rest.iter().any(|&byte| byte != 0)) {
        return Ok(false);
    }
    let mut chunk = vec![0; 64 << 10];
    let mut offset = header.len() as u64;
    while offset < size {
        let bytes = chunk.len().min((size - offset) as usize);
        file.read_at(offset, &mut chunk[..bytes])?;
        if chunk[..bytes].iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        offset += bytes as u64;
    }
    Ok(size > 0)
}

/// The file, with an eye on the header.
#[derive(Debug)]
struct Through(Arc<DatabaseFile>);

impl StorageBackend for Through {
    fn len(&self) -> io::Result<u64> {
        self.0.file.size()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0
            .file
            .read_at(offset, out)
            .inspect_err(|_| self.0.read_failed.store(true, Ordering::Release))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.file.resize(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.file.sync()?;
        let mut header = locked(&self.0.header);
        let Header { written, synced } = &mut *header;
        synced.clone_from(written);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.file.write_at(offset, data)?;
        if offset == 0 {
            locked(&self.0.header).written = data[..data.len().min(HEADER_BYTES)].to_vec();
        }
        Ok(())
    }
}

/// Makes `changes` what readers see, without a sync.
///
/// # Errors
/// The disk's; then the database must be opened again.
pub(crate) fn apply(database: &Database, changes: &Changes) -> Result<(), Error> {
    commit(database, changes, Durability::None)
}

/// Makes `changes` and everything applied before durable in the file.
///
/// # Errors
/// The disk's; then the database must be opened again.
pub(crate) fn checkpoint(database: &Database, changes: &Changes) -> Result<(), Error> {
    commit(database, changes, Durability::Immediate)
}

fn commit(database: &Database, changes: &Changes, durability: Durability) -> Result<(), Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(durability)?;
    // Saves the allocator's state with the commit: the start after a power cut takes milliseconds, not
    // minutes.
    transaction.set_quick_repair(matches!(durability, Durability::Immediate));
    for (name, rows) in changes.tables() {
        let mut table = transaction.open_table(TableDefinition::<&[u8], &[u8]>::new(name))?;
        for (key, row) in rows {
            match row {
                Some(value) => table.insert(key.as_slice(), value.as_slice())?,
                None => table.remove(key.as_slice())?,
            };
        }
    }
    transaction.commit()?;
    Ok(())
}
