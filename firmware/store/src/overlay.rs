//! The database file for reading and memory for writing: what redb runs on while the file cannot be written.

use crate::disk::DiskFile;
use crate::limits::OVERLAY_BYTES_MAX;
use crate::shared::locked;
use redb::StorageBackend;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

const PAGE: usize = 4_096;

/// The file for reading, memory for writing.
pub(crate) struct Overlay {
    base: Arc<dyn DiskFile>,
    size: Mutex<u64>,
    pages: Mutex<BTreeMap<u64, Box<[u8; PAGE]>>>,
    read_failed: Arc<AtomicBool>,
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// Splits a range of bytes at page borders: page, where in it, how many.
fn pieces(mut offset: u64, mut length: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    std::iter::from_fn(move || {
        let within = offset as usize % PAGE;
        let bytes = length.min(PAGE - within);
        let piece = (offset / PAGE as u64, within, bytes);
        offset += bytes as u64;
        length -= bytes;
        (bytes > 0).then_some(piece)
    })
}

impl Overlay {
    /// An overlay on `base`, which begins with `header`; `read_failed` is set when `base` cannot be read.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn new(
        base: Arc<dyn DiskFile>,
        header: &[u8],
        read_failed: Arc<AtomicBool>,
    ) -> io::Result<Overlay> {
        // Without a header there was no database when the file was last synced.
        let size = if header.is_empty() { 0 } else { base.size()? };
        let overlay = Overlay {
            base,
            size: Mutex::new(size),
            pages: Mutex::default(),
            read_failed,
        };
        overlay.write(0, header)?;
        Ok(overlay)
    }

    /// A page of the file; zeros behind its end.
    fn base_page(&self, page: u64) -> io::Result<Box<[u8; PAGE]>> {
        let mut data = Box::new([0; PAGE]);
        let start = page * PAGE as u64;
        let bytes = self.base.size()?.saturating_sub(start).min(PAGE as u64) as usize;
        if bytes == 0 {
            return Ok(data);
        }
        let read = self.base.read_at(start, &mut data[..bytes]);
        read.inspect_err(|_| self.read_failed.store(true, Ordering::Release))?;
        Ok(data)
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(*locked(&self.size))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset + out.len() as u64 > self.len()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let pages = locked(&self.pages);
        let mut done = 0;
        for (page, within, bytes) in pieces(offset, out.len()) {
            let out = &mut out[done..done + bytes];
            match pages.get(&page) {
                Some(data) => out.copy_from_slice(&data[within..within + bytes]),
                None => out.copy_from_slice(&self.base_page(page)?[within..within + bytes]),
            }
            done += bytes;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        // What lies behind a new end must read as zeros should the end move back.
        let mut pages = locked(&self.pages);
        let mut size = locked(&self.size);
        let end = (*size).min(self.base.size()?);
        let mut page = len.div_ceil(PAGE as u64);
        while page * (PAGE as u64) < end {
            pages.insert(page, Box::new([0; PAGE]));
            page += 1;
        }
        *size = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut pages = locked(&self.pages);
        if pages.len() * PAGE > OVERLAY_BYTES_MAX {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let mut done = 0;
        for (page, within, bytes) in pieces(offset, data.len()) {
            let data = &data[done..done + bytes];
            let mut target = match pages.remove(&page) {
                Some(target) => target,
                None => self.base_page(page)?,
            };
            target[within..within + bytes].copy_from_slice(data);
            pages.insert(page, target);
            done += bytes;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, FileName, SimDisk};

    #[test]
    fn what_is_written_is_read_and_the_file_stays_as_it_was() {
        let disk = SimDisk::new();
        let file = disk.open(FileName::Database).unwrap();
        file.write_at(0, &vec![1; 3 * PAGE]).unwrap();
        let overlay = Overlay::new(file.clone(), b"header", Arc::default()).unwrap();
        let read = |offset, bytes| {
            let mut out = vec![0; bytes];
            overlay.read(offset, &mut out).map(|()| out)
        };
        assert_eq!(read(0, 8).unwrap(), b"header\x01\x01");
        overlay.write(PAGE as u64 - 2, &[2; 4]).unwrap();
        assert_eq!(read(PAGE as u64 - 3, 6).unwrap(), [1, 2, 2, 2, 2, 1]);
        overlay.set_len(PAGE as u64).unwrap();
        assert!(read(PAGE as u64, 1).is_err());
        overlay.set_len(5 * PAGE as u64).unwrap();
        assert_eq!(
            read(PAGE as u64 - 2, 4).unwrap(),
            [2, 2, 0, 0],
            "zeros where it was cut"
        );
        assert_eq!(read(5 * PAGE as u64 - 2, 2).unwrap(), [0, 0]);
        let mut kept = vec![0; 3 * PAGE];
        file.read_at(0, &mut kept).unwrap();
        assert_eq!(kept, vec![1; 3 * PAGE]);
    }
}
