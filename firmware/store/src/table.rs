//! Typed tables: what features declare, and the writes and rows they make of them.

use crate::codec::{from_stored, to_stored};
use crate::key::encoded;
use crate::{Error, Key, Snapshot, Value, limits};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

/// A table: `const LIST: Table<AccountId, Blocklist> = Table::new("blocking.list", 1);`
pub struct Table<K, V> {
    name: &'static str,
    version: u8,
    per_account: bool,
    types: PhantomData<fn(K) -> V>,
}

impl<K: Key, V: Value> Table<K, V> {
    /// A table. Its name begins with the module that owns it; `version` goes before each value.
    pub const fn new(name: &'static str, version: u8) -> Table<K, V> {
        assert!(
            !name.is_empty() && name.len() <= limits::TABLE_NAME_BYTES_MAX,
            "a table needs a short name"
        );
        Table {
            name,
            version,
            per_account: false,
            types: PhantomData,
        }
    }

    /// A table whose keys begin with an account's id as a `u32`. Once the account is retired
    /// ([`crate::Store::retire`]) nothing but removals reaches its rows.
    pub const fn per_account(name: &'static str, version: u8) -> Table<K, V> {
        Table {
            per_account: true,
            ..Table::new(name, version)
        }
    }

    /// The table's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The version that its values are written with.
    pub const fn version(&self) -> u8 {
        self.version
    }

    /// The write that makes `value` the row at `key`.
    pub fn put(&self, key: &K, value: &V) -> Write {
        self.write(key, Change::Put(to_stored(self.version, value)))
    }

    /// The write after which there is no row at `key`.
    pub fn remove(&self, key: &K) -> Write {
        self.write(key, Change::Remove)
    }

    /// The write that changes the row at `key` in place, whatever it is when the write's turn comes; nothing
    /// where there is no row. The writer runs `edit` once and puts the *result* into the journal, so a replay
    /// does not depend on it.
    pub fn edit(&self, key: &K, edit: impl FnOnce(&mut V) + Send + 'static) -> Write {
        let version = self.version;
        let run = move |stored: &[u8]| {
            let mut value = from_stored(version, stored)?;
            edit(&mut value);
            Ok(to_stored(version, &value))
        };
        self.write(key, Change::Edit(Box::new(run)))
    }

    fn write(&self, key: &K, change: Change) -> Write {
        Write {
            table: self.name,
            per_account: self.per_account,
            key: encoded(key),
            change,
        }
    }

    /// The row at `key`.
    ///
    /// # Errors
    /// [`Error::Row`] when it cannot be decoded; otherwise the disk's.
    pub fn get(&self, snapshot: &Snapshot, key: &K) -> Result<Option<V>, Error> {
        let Some(table) = snapshot.table(self.name)? else {
            return Ok(None);
        };
        let row = table.get(encoded(key).as_slice())?;
        row.map(|stored| self.value(stored.value())).transpose()
    }

    /// The value of its stored form.
    pub(crate) fn value(&self, stored: &[u8]) -> Result<V, Error> {
        from_stored(self.version, stored).map_err(|reason| self.broken(reason))
    }

    /// The rows whose keys are in `range`, in order; from both ends.
    ///
    /// # Errors
    /// The disk's. Each row can fail by itself.
    pub fn range(
        &self,
        snapshot: &Snapshot,
        range: impl RangeBounds<K>,
    ) -> Result<Rows<K, V>, Error> {
        self.rows(
            snapshot,
            range.start_bound().map(encoded),
            range.end_bound().map(encoded),
        )
    }

    /// The rows whose keys begin with `prefix`: for a table by `(u32, String, u64)` a `u32` or a `(u32,
    /// String)`, and `()` for all rows.
    ///
    /// # Errors
    /// As [`Table::range`].
    pub fn prefix<P: Key>(&self, snapshot: &Snapshot, prefix: &P) -> Result<Rows<K, V>, Error> {
        let first = encoded(prefix);
        let end = after_prefix(&first).map_or(Bound::Unbounded, Bound::Excluded);
        self.rows(snapshot, Bound::Included(first), end)
    }

    /// Removals of up to `max` rows whose keys begin with `prefix`, for a sweep; empty when there are none
    /// left.
    ///
    /// # Errors
    /// The disk's.
    pub fn removals<P: Key>(
        &self,
        snapshot: &Snapshot,
        prefix: &P,
        max: usize,
    ) -> Result<Vec<Write>, Error> {
        let rows = self.prefix(snapshot, prefix)?;
        let keys = rows
            .raw
            .into_iter()
            .flatten()
            .take(max)
            .map(|row| Ok(row?.0.value().to_vec()));
        let remove = |key| Write {
            table: self.name,
            per_account: self.per_account,
            key,
            change: Change::Remove,
        };
        keys.map(|key: Result<_, redb::StorageError>| Ok(remove(key?)))
            .collect()
    }

    fn rows(
        &self,
        snapshot: &Snapshot,
        start: Bound<Vec<u8>>,
        end: Bound<Vec<u8>>,
    ) -> Result<Rows<K, V>, Error> {
        let raw = match snapshot.table(self.name)? {
            Some(table) if !is_empty(&start, &end) => Some(table.range::<&[u8]>((
                start.as_ref().map(Vec::as_slice),
                end.as_ref().map(Vec::as_slice),
            ))?),
            _ => None,
        };
        Ok(Rows {
            raw,
            table: Table { ..*self },
        })
    }

    fn broken(&self, reason: &'static str) -> Error {
        Error::Row {
            table: self.name,
            reason,
        }
    }
}

/// redb wants its bounds in order; callers compute theirs from what peers ask for.
fn is_empty(start: &Bound<Vec<u8>>, end: &Bound<Vec<u8>>) -> bool {
    match (start, end) {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Included(end) | Bound::Excluded(end),
        ) => start >= end,
        _ => false,
    }
}

/// The smallest key after all those that begin with `prefix`.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut after = prefix[..=last].to_vec();
    after[last] += 1;
    Some(after)
}

/// Rows of a table, in order, from both ends. Keeps its snapshot alive.
pub struct Rows<K, V> {
    raw: Option<redb::Range<'static, &'static [u8], &'static [u8]>>,
    table: Table<K, V>,
}

type RawRow<'a> = (
    redb::AccessGuard<'a, &'static [u8]>,
    redb::AccessGuard<'a, &'static [u8]>,
);

impl<K: Key, V: Value> Rows<K, V> {
    fn decode(&self, row: Result<RawRow<'_>, redb::StorageError>) -> Result<(K, V), Error> {
        let (key, value) = row?;
        let mut rest = key.value();
        let key = K::decode(&mut rest).map_err(|_| self.table.broken("its key is malformed"))?;
        Ok((key, self.table.value(value.value())?))
    }
}

impl<K: Key, V: Value> Iterator for Rows<K, V> {
    type Item = Result<(K, V), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.raw.as_mut()?.next()?;
        Some(self.decode(row))
    }
}

impl<K: Key, V: Value> DoubleEndedIterator for Rows<K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let row = self.raw.as_mut()?.next_back()?;
        Some(self.decode(row))
    }
}

/// One change of one row, to be queued.
pub struct Write {
    pub(crate) table: &'static str,
    pub(crate) per_account: bool,
    pub(crate) key: Vec<u8>,
    pub(crate) change: Change,
}

impl Write {
    /// The same once more, for a disk that may not have taken it; nothing for what is no removal.
    pub fn removal_again(&self) -> Option<Write> {
        let is_removal = matches!(self.change, Change::Remove);
        is_removal.then(|| Write {
            key: self.key.clone(),
            change: Change::Remove,
            ..*self
        })
    }
}

pub(crate) enum Change {
    Put(Vec<u8>),
    Remove,
    /// From the stored form of a row to its new one, or why the row cannot be read.
    Edit(Edit),
}

pub(crate) type Edit = Box<dyn FnOnce(&[u8]) -> Result<Vec<u8>, &'static str> + Send>;

impl Write {
    /// The table it changes.
    pub fn table(&self) -> &'static str {
        self.table
    }

    /// What it adds to the backlog. What an edit makes is not known yet.
    pub(crate) fn bytes(&self) -> usize {
        let value = match &self.change {
            Change::Put(value) => value.len(),
            Change::Remove | Change::Edit(_) => 0,
        };
        self.table.len() + self.key.len() + value + 16
    }
}

/// Without the value: message bodies never reach a log.
impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = match self.change {
            Change::Put(_) => "put",
            Change::Remove => "remove",
            Change::Edit(_) => "edit",
        };
        write!(f, "{change} {} {:02x?}", self.table, self.key)
    }
}
