//! A disk in memory that does what real ones do: forgets and tears what was not synced when the power fails,
//! runs full, returns errors, and after a failed sync pretends that all is well (which real ones do, too).
//! Everything that is left to chance follows from a seed.

use super::{Disk, DiskFile, FileName};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SECTOR: usize = 512;
const PAGE: u64 = 4_096;

/// Operations that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Reading.
    Read,
    /// Writing and resizing; part of what is written may arrive.
    Write,
    /// Syncing; part of what is to be synced may arrive, and is taken for synced from then on.
    Sync,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<FileName, FileState>,
    /// What fails, after so many more of its kind have succeeded.
    faults: BTreeMap<(FileName, Fault), u64>,
    capacity: Option<u64>,
    /// How often the power failed; handles from before are dead.
    boots: u64,
    /// Writes, resizes and syncs so far, and the count at which the power fails.
    operations: u64,
    cut_at: Option<u64>,
    chance: u64,
}

#[derive(Debug, Default)]
struct FileState {
    /// What reads see.
    cache: Vec<u8>,
    /// What a power cut leaves, but for chance.
    medium: Vec<u8>,
    /// What was done since the last sync.
    pending: Vec<Pending>,
    /// Pages that take room.
    allocated: BTreeSet<u64>,
}

#[derive(Debug)]
enum Pending {
    Write(u64, Vec<u8>),
    Resize(u64),
}

impl Default for SimDisk {
    fn default() -> SimDisk {
        SimDisk::new()
    }
}

impl SimDisk {
    /// An empty disk without limits.
    pub fn new() -> SimDisk {
        SimDisk(Arc::default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the power: of what was not synced, `seed` decides what is there afterwards, sector by sector.
    /// Files that are open stay dead; [`Disk::open`] opens what is left.
    pub fn power_fails(&self, seed: u64) {
        let state = &mut *self.state();
        state.chance = seed;
        state.cut_at = None;
        state.boots += 1;
        for file in state.files.values_mut() {
            for pending in std::mem::take(&mut file.pending) {
                pending.arrive_by_chance(&mut file.medium, &mut state.chance);
            }
            file.cache = file.medium.clone();
            let pages = (file.medium.len() as u64).div_ceil(PAGE);
            file.allocated.retain(|&page| page < pages);
        }
    }

    /// Lets the disk die after so many more writes, resizes and syncs: the next one and all after it fail,
    /// until [`SimDisk::power_fails`] is called.
    pub fn dies_after(&self, operations: u64) {
        let mut state = self.state();
        state.cut_at = Some(state.operations + operations);
    }

    /// Writes, resizes and syncs so far.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Bytes that the disk can hold from now on; `None`: any number.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Bytes that are used.
    pub fn used_bytes(&self) -> u64 {
        self.state().used()
    }

    /// Makes operations on a file fail until [`SimDisk::heal`].
    pub fn fail(&self, file: FileName, fault: Fault) {
        self.fail_after(file, fault, 0);
    }

    /// The same, after so many more of these operations have succeeded.
    pub fn fail_after(&self, file: FileName, fault: Fault, successes: u64) {
        self.state().faults.insert((file, fault), successes);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.state().faults.clear();
    }
}

impl Disk for SimDisk {
    fn open(&self, name: FileName) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.files.entry(name).or_default();
        let boot = state.boots;
        Ok(Arc::new(SimFile {
            disk: self.clone(),
            name,
            boot,
        }))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = self.state();
        Ok(state
            .capacity
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used())))
    }
}

impl State {
    fn used(&self) -> u64 {
        self.files
            .values()
            .map(|file| file.allocated.len() as u64 * PAGE)
            .sum()
    }

    /// Counts an operation; fails when the disk is dead.
    fn operate(&mut self, boot: u64) -> io::Result<()> {
        self.alive(boot)?;
        self.operations += 1;
        Ok(())
    }

    fn alive(&self, boot: u64) -> io::Result<()> {
        let dead = boot != self.boots || self.cut_at.is_some_and(|cut| self.operations >= cut);
        if dead {
            Err(io::Error::other("the power is off"))
        } else {
            Ok(())
        }
    }

    fn check(&mut self, file: FileName, fault: Fault) -> io::Result<()> {
        match self.faults.get_mut(&(file, fault)) {
            None => Ok(()),
            Some(0) => Err(io::Error::from_raw_os_error(5)),
            Some(successes) => {
                *successes -= 1;
                Ok(())
            }
        }
    }

    fn file(&mut self, name: FileName) -> &mut FileState {
        self.files.entry(name).or_default()
    }

    /// Writes as much as there is room for.
    fn write(&mut self, name: FileName, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut done = 0;
        while done < data.len() {
            let at = offset + done as u64;
            let bytes = (data.len() - done).min((PAGE - at % PAGE) as usize);
            let free = self
                .capacity
                .is_none_or(|capacity| self.used() + PAGE <= capacity);
            let file = self.file(name);
            if !free && !file.allocated.contains(&(at / PAGE)) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            file.allocated.insert(at / PAGE);
            let piece = data[done..done + bytes].to_vec();
            put(&mut file.cache, at, &piece);
            file.pending.push(Pending::Write(at, piece));
            done += bytes;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    name: FileName,
    boot: u64,
}

impl DiskFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.alive(self.boot)?;
        Ok(state.file(self.name).cache.len() as u64)
    }

    fn resize(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate(self.boot)?;
        state.check(self.name, Fault::Write)?;
        let file = state.file(self.name);
        file.cache.resize(bytes as usize, 0);
        file.pending.push(Pending::Resize(bytes));
        file.allocated.retain(|&page| page < bytes.div_ceil(PAGE));
        Ok(())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.alive(self.boot)?;
        state.check(self.name, Fault::Read)?;
        let data = state
            .file(self.name)
            .cache
            .get(offset as usize..)
            .and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(data.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate(self.boot)?;
        if let Err(error) = state.check(self.name, Fault::Write) {
            let part = chance(&mut state.chance) as usize % (data.len() + 1);
            state.write(self.name, offset, &data[..part])?;
            return Err(error);
        }
        state.write(self.name, offset, data)
    }

    fn sync(&self) -> io::Result<()> {
        let state = &mut *self.disk.state();
        state.operate(self.boot)?;
        let result = state.check(self.name, Fault::Sync);
        let file = state.files.entry(self.name).or_default();
        let pending = std::mem::take(&mut file.pending);
        if result.is_ok() {
            for pending in &pending {
                pending.arrive(&mut file.medium);
            }
            return Ok(());
        }
        // Whatever does not arrive now is not tried again: the next sync does not know of it. Only the size
        // is kept elsewhere. Pages that were not written may also be dropped from memory.
        for pending in &pending {
            pending.arrive_by_chance(&mut file.medium, &mut state.chance);
        }
        let size = file.cache.len();
        if chance(&mut state.chance).is_multiple_of(2) {
            file.cache = file.medium.clone();
            file.cache.resize(size, 0);
        }
        file.pending.push(Pending::Resize(size as u64));
        result
    }
}

impl Pending {
    fn arrive(&self, medium: &mut Vec<u8>) {
        match self {
            Pending::Resize(bytes) => medium.resize(*bytes as usize, 0),
            Pending::Write(offset, data) => put(medium, *offset, data),
        }
    }

    fn arrive_by_chance(&self, medium: &mut Vec<u8>, state: &mut u64) {
        match self {
            Pending::Resize(_) if chance(state).is_multiple_of(2) => self.arrive(medium),
            Pending::Resize(_) => {}
            Pending::Write(offset, data) => {
                // One cut in four loses or keeps the write whole, so that both are common.
                let mode = chance(state) % 8;
                for (sector, bytes) in data.chunks(SECTOR).enumerate() {
                    let at = offset + (sector * SECTOR) as u64;
                    match (mode, chance(state) % 8) {
                        (0, _) => put(medium, at, bytes),
                        (1, _) => {}
                        // Torn in the middle of a sector.
                        (_, 0) => put(medium, at, &bytes[..chance(state) as usize % bytes.len()]),
                        (_, 1..=4) => put(medium, at, bytes),
                        _ => {}
                    }
                }
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let end = offset as usize + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset as usize..end].copy_from_slice(data);
}

/// The next number of a sequence that the seed fixes (splitmix64).
fn chance(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut number = *state;
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
