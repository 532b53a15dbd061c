//! What can go wrong between a table and the disk. The text is for the log and for the person who runs the
//! machine; peers never see it (DESIGN §10).

use std::fmt;
use std::io;
use std::path::PathBuf;

/// An error of the store.
#[derive(Debug)]
pub enum Error {
    /// Another process has this directory open.
    InUse(PathBuf),
    /// A newer Hearth has changed the data in a way this one cannot read.
    TooNew {
        /// The format the data needs.
        found: u32,
        /// The newest format this program reads.
        known: u32,
    },
    /// The disk has no room, or less than [`crate::limits::FREE_BYTES_MIN`].
    Full,
    /// The disk failed.
    Io(io::Error),
    /// Data that was read makes no sense; the text says which.
    Damaged(String),
    /// A row of a table cannot be decoded: wrong version or damaged.
    Row {
        /// The table.
        table: &'static str,
        /// What is wrong with the row.
        reason: &'static str,
    },
    /// The database cannot be read until the disk has recovered.
    Unavailable,
    /// The store has been closed.
    Closed,
}

impl Error {
    /// The full disk is told apart because people can do something about it.
    pub(crate) fn from_io(error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full,
            // redb's word for a file that is none of its own; no wait mends that.
            io::ErrorKind::InvalidData => Error::Damaged(error.to_string()),
            _ => Error::Io(error),
        }
    }

    /// Whether waiting can help: the disk may get space, or its cable back.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Error::Full | Error::Io(_) | Error::Unavailable)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::InUse(path) => write!(
                f,
                "another Hearth is using {}: stop it first, or choose another data_dir",
                path.display()
            ),
            Error::TooNew { found, known } => write!(
                f,
                "this data was written by a newer Hearth (data format {found}, this one reads up to \
                 {known}): install that version again"
            ),
            Error::Full => f.write_str("the disk is full, or nearly; free some space"),
            Error::Io(error) => write!(f, "the disk reports an error ({error})"),
            Error::Damaged(what) => write!(f, "the stored data is damaged: {what}"),
            Error::Row { table, reason } => {
                write!(f, "a row of table {table} cannot be read: {reason}")
            }
            Error::Unavailable => {
                f.write_str("the database cannot be read until the disk works again")
            }
            Error::Closed => f.write_str("the store is closed"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::from_io(error)
    }
}

impl From<redb::Error> for Error {
    fn from(error: redb::Error) -> Error {
        match error {
            redb::Error::Io(error) => Error::from_io(error),
            redb::Error::PreviousIo => Error::Unavailable,
            redb::Error::DatabaseClosed => Error::Closed,
            other => Error::Damaged(other.to_string()),
        }
    }
}

/// redb has an error type per operation; all of them turn into `redb::Error`.
macro_rules! from_redb {
    ($($name:ident),*) => {$(
        impl From<redb::$name> for Error {
            fn from(error: redb::$name) -> Error {
                redb::Error::from(error).into()
            }
        }
    )*};
}
from_redb!(
    StorageError,
    TableError,
    TransactionError,
    CommitError,
    DatabaseError,
    SetDurabilityError
);
