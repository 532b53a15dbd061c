//! The journal: what was acknowledged since redb's last checkpoint, one record a group.
//!
//! A record is `magic, crc, generation, index, length` and the payload, from a block's start, padded to a
//! block. The *generation* is that of the checkpoint it follows; redb's file says which one that is, in the
//! transaction of the checkpoint itself. So a checkpoint restarts the journal without writing to it: records
//! of an older generation are simply no longer valid, whatever a power cut leaves behind. Within a generation
//! the index counts from 0 and the checksum of each record covers the one before it; the first record that
//! does not fit ends the journal. Nothing acknowledged shares a block with something written later, and after
//! a failed append the generation gets no further record: only a checkpoint, with a new generation, goes on.

use crate::Error;
use crate::disk::DiskFile;
use crate::group::Changes;
use crate::limits::{GROUP_BYTES_MAX, JOURNAL_BLOCK_BYTES as BLOCK};
use std::sync::Arc;

/// Hearth journal, format 1.
const MAGIC: [u8; 4] = *b"HJ\x00\x01";
const HEADER: usize = 28;

pub(crate) struct Journal {
    file: Arc<dyn DiskFile>,
    /// Bytes that the file is to have.
    capacity: u64,
    generation: u64,
    /// The next record: where it goes, its number, and the checksum before it.
    end: u64,
    index: u64,
    crc: u32,
}

struct Header {
    crc: u32,
    generation: u64,
    index: u64,
    length: usize,
}

impl Header {
    fn parse(block: &[u8]) -> Option<Header> {
        let rest = block.get(..HEADER)?.strip_prefix(&MAGIC)?;
        let (crc, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let (length, _) = rest.split_first_chunk()?;
        Some(Header {
            crc: u32::from_le_bytes(*crc),
            generation: u64::from_le_bytes(*generation),
            index: u64::from_le_bytes(*index),
            length: u32::from_le_bytes(*length) as usize,
        })
    }
}

/// The checksum covers everything but itself, and what came before the record.
fn checksum(before: u32, record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&before.to_le_bytes());
    hasher.update(&record[MAGIC.len() + 4..]);
    hasher.finalize()
}

impl Journal {
    pub(crate) fn new(file: Arc<dyn DiskFile>, capacity: u64) -> Journal {
        Journal {
            file,
            capacity,
            generation: 0,
            end: 0,
            index: 0,
            crc: 0,
        }
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether a record with this many bytes of payload fits behind the last one.
    pub(crate) fn has_room(&self, payload: usize) -> bool {
        self.end + padded(payload) <= self.capacity
    }

    /// Appends a group and syncs. After an error the journal must be restarted before the next append.
    ///
    /// # Errors
    /// The disk's; then the record may or may not be found by a later start.
    pub(crate) fn append(&mut self, changes: &[u8]) -> Result<(), Error> {
        let mut record = Vec::with_capacity(padded(changes.len()) as usize);
        record.extend_from_slice(&MAGIC);
        record.extend_from_slice(&[0; 4]);
        record.extend_from_slice(&self.generation.to_le_bytes());
        record.extend_from_slice(&self.index.to_le_bytes());
        record.extend_from_slice(&(changes.len() as u32).to_le_bytes());
        record.extend_from_slice(changes);
        let crc = checksum(self.crc, &record);
        record[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&crc.to_le_bytes());
        record.resize(padded(changes.len()) as usize, 0);
        self.file.write_at(self.end, &record)?;
        self.file.sync()?;
        self.end += record.len() as u64;
        self.index += 1;
        self.crc = crc;
        Ok(())
    }

    /// A checkpoint has made everything here superfluous: begins `generation`, which must be new.
    pub(crate) fn restart(&mut self, generation: u64) {
        (self.generation, self.end, self.index, self.crc) = (generation, 0, 0, 0);
    }

    /// Fills the file up to its size with zeros, so that appending never needs new space.
    ///
    /// # Errors
    /// The disk's; what is in the journal stays.
    pub(crate) fn preallocate(&self) -> Result<(), Error> {
        // Block by block: from larger writes some file systems make larger units of caching, and count, if
        // not write, a whole one for each record later.
        let zeros = [0; BLOCK];
        let mut size = self.file.size()?;
        if size >= self.capacity {
            return Ok(());
        }
        while size < self.capacity {
            let bytes = zeros.len().min((self.capacity - size) as usize);
            self.file.write_at(size, &zeros[..bytes])?;
            size += bytes as u64;
        }
        self.file.sync()?;
        Ok(())
    }

    /// Reads all records of `generation` and places the end behind the last of them.
    ///
    /// # Errors
    /// The disk's; [`Error::Damaged`] for a record that is whole but of an unknown form.
    pub(crate) fn replay(&mut self, generation: u64) -> Result<Changes, Error> {
        self.restart(generation);
        let size = self.file.size()?;
        let mut all = Changes::default();
        while let Some((payload, crc)) = self.read(size)? {
            let Some(changes) = Changes::decode(&payload) else {
                return Err(Error::Damaged(
                    "the journal holds a record of an unknown form".to_owned(),
                ));
            };
            all.merge(changes);
            self.end += padded(payload.len());
            self.index += 1;
            self.crc = crc;
        }
        self.warn_of_lost_records(size)?;
        Ok(all)
    }

    /// Reads again what [`Journal::append`] and an earlier replay have accepted, and nothing behind it.
    ///
    /// # Errors
    /// The disk's; [`Error::Damaged`] when something is missing.
    pub(crate) fn replay_accepted(&self) -> Result<Changes, Error> {
        let mut again = Journal::new(self.file.clone(), self.capacity);
        again.restart(self.generation);
        let mut all = Changes::default();
        while again.index < self.index {
            let read = again
                .read(self.end)?
                .and_then(|(payload, crc)| Some((Changes::decode(&payload)?, payload, crc)));
            let Some((changes, payload, crc)) = read else {
                return Err(Error::Damaged(
                    "the journal lost what was written to it".to_owned(),
                ));
            };
            all.merge(changes);
            again.end += padded(payload.len());
            again.index += 1;
            again.crc = crc;
        }
        Ok(all)
    }

    /// The first record's generation, whatever it is.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn first_generation(&self) -> Result<Option<u64>, Error> {
        Ok(self
            .header_at(0, self.file.size()?)?
            .map(|header| header.generation))
    }

    /// The record at the end, when there is a valid one in the first `size` bytes.
    fn read(&self, size: u64) -> Result<Option<(Vec<u8>, u32)>, Error> {
        let Some(header) = self.header_at(self.end, size)? else {
            return Ok(None);
        };
        let expected = header.generation == self.generation && header.index == self.index;
        if !expected || self.end + padded(header.length) > size {
            return Ok(None);
        }
        let mut record = vec![0; HEADER + header.length];
        self.file.read_at(self.end, &mut record)?;
        if checksum(self.crc, &record) != header.crc {
            return Ok(None);
        }
        Ok(Some((record.split_off(HEADER), header.crc)))
    }

    fn header_at(&self, offset: u64, size: u64) -> Result<Option<Header>, Error> {
        if offset + BLOCK as u64 > size {
            return Ok(None);
        }
        let mut header = [0; HEADER];
        self.file.read_at(offset, &mut header)?;
        Ok(Header::parse(&header))
    }

    /// Tells the log when the medium has lost what it had promised to keep. A later record of this generation
    /// behind the end: a synced one cannot be read any more, for appends stop after the first that fails. A
    /// later generation: the checkpoint before it is gone from the database.
    fn warn_of_lost_records(&self, size: u64) -> Result<(), Error> {
        let size = size.min(self.end.saturating_add(2 * GROUP_BYTES_MAX as u64));
        for offset in (self.end..size).step_by(BLOCK) {
            let Some(found) = self.header_at(offset, size)? else {
                continue;
            };
            let later = (found.generation, found.index) > (self.generation, self.index);
            if later && (found.generation == self.generation || offset == 0) {
                tracing::error!(
                    "the disk lost what was written in the minutes before the stop; replace the card"
                );
                break;
            }
        }
        Ok(())
    }
}

/// The space a record with this much payload takes.
fn padded(payload: usize) -> u64 {
    (HEADER + payload).next_multiple_of(BLOCK) as u64
}

#[cfg(test)]
mod tests;
