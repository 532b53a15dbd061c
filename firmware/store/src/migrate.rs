//! Changes of the stored form: expand first, contract later (DESIGN §9).
//!
//! An update may be rolled back with minutes of acknowledged messages in between, so the release before must
//! read and write what this one leaves. A change therefore has two halves. The *expanding* half is a
//! [`Step`]: it copies into tables beside, in chunks, and remembers how far it came in the same batch as what
//! it wrote; it runs at start, takes up where it was cut off, and runs once. The *contracting* half comes a
//! release later: it removes what nobody reads any more and raises the format ([`require_format`]), and an
//! older Hearth refuses the data from then on instead of misreading it.

use crate::engine::META;
use crate::table::Write;
use crate::{Durable, Error, Snapshot, Store, Table, Urgency};
use bytes::Bytes;

/// The newest form of the data that this program reads. 1 is the form of the first release.
pub const FORMAT: u32 = 1;

/// In the store's own facts: the form that the data needs a program to know.
pub(crate) const FORMAT_NEEDED: &str = "format";

/// How far each step came: its own position, or nothing at all once it is done.
const POSITIONS: Table<String, Bytes> = Table::new("store.migration", 1);

/// One expanding change.
#[derive(Clone, Copy)]
pub struct Step {
    /// Its name, never used again for another: what was done is remembered by it.
    pub name: &'static str,
    /// Makes the next chunk, from the position the one before ended at (empty at first).
    pub chunk: fn(&Snapshot, &[u8]) -> Result<Chunk, Error>,
}

/// Part of a step, small enough for one group.
#[derive(Debug)]
pub struct Chunk {
    /// What it changes.
    pub writes: Vec<Write>,
    /// Where the next chunk begins; never empty. `None` after the last.
    pub next: Option<Vec<u8>>,
}

/// Runs the steps that are not done yet, in order. For the start, before anybody reads.
///
/// # Errors
/// The steps' and the disk's. What was done until then is kept.
pub fn run(store: &Store, steps: &[Step]) -> Result<(), Error> {
    for step in steps {
        while let Some(position) = position(&store.snapshot()?, step.name)? {
            let chunk = (step.chunk)(&store.snapshot()?, &position)?;
            let position = chunk.next.unwrap_or_default();
            let mut writes = chunk.writes;
            // An empty position is the mark of a step that is done.
            writes.push(POSITIONS.put(&step.name.to_owned(), &Bytes::from(position)));
            let ticket = store.queue(writes, Urgency::Now);
            store.snapshot_after(ticket)?;
            if store.is_durable(ticket) != Some(Durable::Yes) {
                return Err(Error::Unavailable);
            }
        }
    }
    Ok(())
}

/// Where a step goes on; `None` when it is done.
fn position(snapshot: &Snapshot, step: &str) -> Result<Option<Bytes>, Error> {
    match POSITIONS.get(snapshot, &step.to_owned())? {
        None => Ok(Some(Bytes::new())),
        Some(position) if position.is_empty() => Ok(None),
        Some(position) => Ok(Some(position)),
    }
}

/// The write of a contracting change: programs that do not know `format` refuse this data from now on.
pub fn require_format(format: u32) -> Write {
    META.put(&FORMAT_NEEDED.to_owned(), &u64::from(format))
}

/// Refuses data that a newer program has contracted, going by its [`FORMAT_NEEDED`].
pub(crate) fn check_format(found: Option<u64>) -> Result<(), Error> {
    let found = found.unwrap_or(1) as u32;
    if found > FORMAT {
        Err(Error::TooNew {
            found,
            known: FORMAT,
        })
    } else {
        Ok(())
    }
}
