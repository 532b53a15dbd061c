//! A short read of everything that was applied at one moment.

use crate::Error;
use redb::{ReadOnlyTable, ReadTransaction, TableDefinition, TableError};

/// All tables as they were when this was taken. Hold it for one question, 2 s at most and never across an
/// `await`: pages freed meanwhile cannot be used again, and the file grows.
pub struct Snapshot {
    transaction: ReadTransaction,
}

pub(crate) type RawTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

impl Snapshot {
    pub(crate) fn new(transaction: ReadTransaction) -> Snapshot {
        Snapshot { transaction }
    }

    /// The table, or `None` while nothing was ever written to it.
    pub(crate) fn table(&self, name: &'static str) -> Result<Option<RawTable>, Error> {
        match self.transaction.open_table(TableDefinition::new(name)) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn row(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.table(table)? {
            None => Ok(None),
            Some(table) => Ok(table.get(key)?.map(|row| row.value().to_vec())),
        }
    }
}
