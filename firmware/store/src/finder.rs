//! Reading rows by key where one lies near the other.

use crate::key::encoded;
use crate::limits::FINDER_STEPS_MAX;
use crate::snapshot::RawTable;
use crate::{Error, Key, Snapshot, Table, Value};
use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

type RawRange = redb::Range<'static, &'static [u8], &'static [u8]>;
type Guard = redb::AccessGuard<'static, &'static [u8]>;

/// Finds rows of one table. Whoever asks for keys in one direction gets a row that lies near the one before
/// for a step, where [`Table::get`] goes all the way from the root. Any other order works, too.
pub struct Finder<'t, K, V> {
    table: &'t Table<K, V>,
    raw: Option<Arc<RawTable>>,
    backwards: bool,
    rows: Option<RawRange>,
    /// A row that was stepped on and not asked for yet.
    ahead: Option<(Guard, Guard)>,
    /// The key that was asked for last.
    last: Vec<u8>,
}

impl<'t, K: Key, V: Value> Finder<'t, K, V> {
    /// `backwards` where each key will come before the last one.
    ///
    /// # Errors
    /// The disk's.
    pub fn new(
        table: &'t Table<K, V>,
        snapshot: &Snapshot,
        backwards: bool,
    ) -> Result<Finder<'t, K, V>, Error> {
        Ok(Finder {
            raw: snapshot.table(table.name())?,
            table,
            backwards,
            rows: None,
            ahead: None,
            last: Vec::new(),
        })
    }

    /// The row at `key`.
    ///
    /// # Errors
    /// As [`Table::get`].
    pub fn get(&mut self, key: &K) -> Result<Option<V>, Error> {
        let wanted = encoded(key);
        if self.rows.is_none() || self.order(&self.last, &wanted) != Ordering::Less {
            self.seek(&wanted)?;
        }
        self.last.clone_from(&wanted);
        for _ in 0..FINDER_STEPS_MAX {
            match self.step(&wanted)? {
                None => return Ok(None),
                Some((Ordering::Equal, value)) => return self.table.value(value.value()).map(Some),
                Some(_) => {}
            }
        }
        self.seek(&wanted)?;
        match self.step(&wanted)? {
            Some((Ordering::Equal, value)) => self.table.value(value.value()).map(Some),
            _ => Ok(None),
        }
    }

    /// How two keys follow one another in this direction.
    fn order(&self, a: &[u8], b: &[u8]) -> Ordering {
        if self.backwards { b.cmp(a) } else { a.cmp(b) }
    }

    /// Begins at `wanted`, whether there is such a row or not.
    fn seek(&mut self, wanted: &[u8]) -> Result<(), Error> {
        let here = Bound::Included(wanted);
        let bounds = if self.backwards {
            (Bound::Unbounded, here)
        } else {
            (here, Bound::Unbounded)
        };
        let range = |raw: &Arc<RawTable>| raw.range::<&[u8]>(bounds);
        self.rows = self.raw.as_ref().map(range).transpose()?;
        self.ahead = None;
        Ok(())
    }

    /// The next row that is not behind `wanted`, and where it is; `None` when there is none.
    fn step(&mut self, wanted: &[u8]) -> Result<Option<(Ordering, Guard)>, Error> {
        let next = match (self.ahead.take(), &mut self.rows) {
            (Some(row), _) => Some(Ok(row)),
            (None, Some(rows)) if self.backwards => rows.next_back(),
            (None, Some(rows)) => rows.next(),
            (None, None) => None,
        };
        let Some((key, value)) = next.transpose()? else {
            return Ok(None);
        };
        let order = self.order(key.value(), wanted);
        if order == Ordering::Greater {
            self.ahead = Some((key, value));
            return Ok(None);
        }
        Ok(Some((order, value)))
    }
}
