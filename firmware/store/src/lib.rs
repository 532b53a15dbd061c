//! redb behind typed tables, with a journal in front of it (DESIGN §9). Nothing else in Hearth touches redb.
//!
//! A feature declares a [`Table`], makes [`Write`]s of it and queues them; [`Store`] gathers what is queued
//! into groups and writes each to the journal with one sync. redb is given what is durable when somebody
//! takes a [`Snapshot`], or at the next checkpoint.
//!
//! ```text
//! Table::put → Write → Store::queue → queue.rs ──▶ engine.rs ──▶ journal.rs   one append, one sync: durable
//!                       (Ticket)      two lanes     │  group.rs    └──▶ when_durable callbacks
//!                                                   └─▶ shared.rs ──▶ database.rs  redb: when somebody reads
//! ```

mod codec;
mod database;
pub mod disk;
mod engine;
mod error;
mod finder;
mod group;
mod journal;
mod key;
pub mod limits;
pub mod migrate;
mod options;
mod overlay;
mod pace;
mod queue;
mod sequence;
mod shared;
mod snapshot;
mod table;
mod tickets;
mod writer;

pub use codec::{Record, Value};
pub use disk::{Disk, DiskFile};
pub use error::Error;
pub use finder::Finder;
pub use key::Key;
pub use options::{Clock, Health, Options, Urgency};
pub use sequence::Sequence;
pub use snapshot::Snapshot;
pub use table::{Rows, Table, Write};
pub use tickets::{Durable, Ticket};
pub use writer::{Store, WriterThread};
