//! A short read of everything that was applied at one moment.

use crate::Error;
use redb::{ReadOnlyTable, ReadTransaction, TableDefinition, TableError};
use std::{cell::RefCell, sync::Arc};

/// All tables as they were when this was taken. Hold it for one question, 2 s at most and never across an
/// `await`: pages freed meanwhile cannot be used again, and the file grows.
pub struct Snapshot {
    transaction: ReadTransaction,
    /// Those that were asked for: to find a table costs as much as to find a row in it.
    tables: RefCell<Vec<Found>>,
}

struct Found {
    name: &'static str,
    table: Option<Arc<RawTable>>,
}

pub(crate) type RawTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

impl Snapshot {
    pub(crate) fn new(transaction: ReadTransaction) -> Snapshot {
        Snapshot {
            transaction,
            tables: RefCell::default(),
        }
    }

    /// The table, or `None` while nothing was ever written to it.
    pub(crate) fn table(&self, name: &'static str) -> Result<Option<Arc<RawTable>>, Error> {
        let mut tables = self.tables.borrow_mut();
        if let Some(found) = tables.iter().find(|found| found.name == name) {
            return Ok(found.table.clone());
        }
        let table = match self.transaction.open_table(TableDefinition::new(name)) {
            Ok(table) => Some(Arc::new(table)),
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(error.into()),
        };
        tables.push(Found {
            name,
            table: table.clone(),
        });
        Ok(table)
    }

    pub(crate) fn row(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.table(table)? {
            None => Ok(None),
            Some(table) => Ok(table.get(key)?.map(|row| row.value().to_vec())),
        }
    }
}
