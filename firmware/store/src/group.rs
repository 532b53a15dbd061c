//! A group's changes: what is left of its writes once edits have run, rows written twice are written once,
//! and rows of retired accounts are dropped. Also their form in the journal.

use crate::codec::to_stored;
use crate::key::encoded;
use crate::queue::Batch;
use crate::table::{Change, Write};
use crate::{Error, Key, Table, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Accounts that were removed: only removals reach their rows. The marks stay, for ids are never used again.
pub(crate) const RETIRED: Table<u32, ()> = Table::new("store.retired", 1);

/// A row's new stored form; `None` once it is removed.
pub(crate) type Row = Option<Vec<u8>>;

/// By key.
pub(crate) type Rows = BTreeMap<Vec<u8>, Row>;

/// Per table and key the new stored form, or `None` for a removal. Applying them twice changes nothing more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    tables: BTreeMap<Cow<'static, str>, Rows>,
}

/// Where edits find rows that the group itself has not changed.
pub(crate) type ReadRow<'a> = dyn Fn(&'static str, &[u8]) -> Result<Option<Vec<u8>>, Error> + 'a;

impl Changes {
    /// Works out what a group changes.
    ///
    /// # Errors
    /// When a row that an edit wants cannot be read.
    pub(crate) fn of(
        group: &mut [Batch],
        retired: &BTreeSet<u32>,
        read: &ReadRow<'_>,
    ) -> Result<Changes, Error> {
        let mut changes = Changes::default();
        for write in group.iter_mut().flat_map(|batch| batch.writes.drain(..)) {
            let adds = !matches!(write.change, Change::Remove);
            if !(write.per_account && adds && changes.is_retired(&write.key, retired)) {
                changes.add(write, read)?;
            }
        }
        Ok(changes)
    }

    /// Whether a key is an account's that was retired before, or earlier in this group.
    fn is_retired(&self, key: &[u8], retired: &BTreeSet<u32>) -> bool {
        let Some(id) = key.first_chunk() else {
            return false;
        };
        retired.contains(&u32::from_be_bytes(*id))
            || self.get(RETIRED.name(), id).is_some_and(Option::is_some)
    }

    /// The accounts that this group retires.
    pub(crate) fn newly_retired(&self) -> impl Iterator<Item = u32> {
        let rows = self.tables.get(RETIRED.name()).into_iter().flatten();
        rows.filter_map(|(key, _)| key.first_chunk().map(|id| u32::from_be_bytes(*id)))
    }

    fn add(&mut self, write: Write, read: &ReadRow<'_>) -> Result<(), Error> {
        let row = match write.change {
            Change::Put(value) => Some(value),
            Change::Remove => None,
            Change::Edit(edit) => {
                let stored = match self.get(write.table, &write.key) {
                    Some(row) => row.clone(),
                    None => read(write.table, &write.key)?,
                };
                let Some(stored) = stored else { return Ok(()) };
                // An edit is a feature's code: whatever it does, the writer goes on.
                match catch_unwind(AssertUnwindSafe(|| edit(&stored))) {
                    Ok(Ok(edited)) => Some(edited),
                    Ok(Err(reason)) => {
                        tracing::error!(
                            table = write.table,
                            reason,
                            "a row that should be edited cannot be read"
                        );
                        return Ok(());
                    }
                    Err(_) => {
                        tracing::error!(
                            table = write.table,
                            "an edit panicked; its row stays as it was"
                        );
                        return Ok(());
                    }
                }
            }
        };
        self.set(Cow::Borrowed(write.table), write.key, row);
        Ok(())
    }

    pub(crate) fn set(&mut self, table: Cow<'static, str>, key: Vec<u8>, row: Option<Vec<u8>>) {
        self.tables.entry(table).or_default().insert(key, row);
    }

    /// Makes `value` the row at `key`.
    pub(crate) fn put<K: Key, V: Value>(&mut self, table: &Table<K, V>, key: &K, value: &V) {
        let stored = to_stored(table.version(), value);
        self.set(Cow::Borrowed(table.name()), encoded(key), Some(stored));
    }

    /// The value that `key` is changed to, when it is.
    ///
    /// # Errors
    /// [`Error::Row`] when it cannot be decoded.
    pub(crate) fn value<K: Key, V: Value>(
        &self,
        table: &Table<K, V>,
        key: &K,
    ) -> Result<Option<V>, Error> {
        let row = self.get(table.name(), &encoded(key));
        row.and_then(Option::as_deref)
            .map(|stored| table.value(stored))
            .transpose()
    }

    /// `later` happened after these.
    pub(crate) fn merge(&mut self, later: Changes) {
        for (table, rows) in later.tables {
            self.tables.entry(table).or_default().extend(rows);
        }
    }

    /// The row, when it is changed.
    pub(crate) fn get(&self, table: &str, key: &[u8]) -> Option<&Row> {
        self.tables.get(table)?.get(key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// How many rows change.
    pub(crate) fn len(&self) -> usize {
        self.tables.values().map(BTreeMap::len).sum()
    }

    /// Each table with its changed rows, both in order.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (&str, &Rows)> {
        self.tables.iter().map(|(name, rows)| (&**name, rows))
    }

    /// Appends the journal's form: per table its name, the number of rows and these; lengths are `u32`,
    /// little-endian. The previous release replays this after a rollback, so it only ever changes together
    /// with the magic number.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for (name, rows) in &self.tables {
            put_bytes(name.as_bytes(), out);
            out.extend_from_slice(&(rows.len() as u32).to_le_bytes());
            for (key, row) in rows {
                put_bytes(key, out);
                match row {
                    None => out.push(0),
                    Some(value) => {
                        out.push(1);
                        put_bytes(value, out);
                    }
                }
            }
        }
    }

    /// Reads what [`Changes::encode`] wrote; `None` when it is something else.
    pub(crate) fn decode(mut input: &[u8]) -> Option<Changes> {
        let mut changes = Changes::default();
        while !input.is_empty() {
            let name = String::from_utf8(take_bytes(&mut input)?.to_vec()).ok()?;
            let rows = changes.tables.entry(Cow::Owned(name)).or_default();
            for _ in 0..take_u32(&mut input)? {
                let key = take_bytes(&mut input)?.to_vec();
                let (kind, rest) = input.split_first()?;
                input = rest;
                let row = match kind {
                    0 => None,
                    1 => Some(take_bytes(&mut input)?.to_vec()),
                    _ => return None,
                };
                rows.insert(key, row);
            }
        }
        Some(changes)
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn take_u32(input: &mut &[u8]) -> Option<u32> {
    let (head, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(u32::from_le_bytes(*head))
}

fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_u32(input)? as usize;
    let (head, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Urgency;
    use crate::queue::Queue;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use std::time::Duration;

    const NAMES: Table<u32, String> = Table::per_account("test.names", 1);

    /// Row 1 is "old", row 9 is damaged, account 7 is retired.
    fn check(writes: Vec<Write>, expected: Expect) {
        let mut queue = Queue::default();
        queue.push(writes, Urgency::Now, Duration::ZERO);
        let mut group = queue.take(Duration::ZERO).unwrap();
        let read = |_: &'static str, key: &[u8]| match key {
            [0, 0, 0, 1] => Ok(Some(b"\x01\x03old".to_vec())),
            [0, 0, 0, 9] => Ok(Some(b"\x01\x09old".to_vec())),
            _ => Ok(None),
        };
        let changes = Changes::of(&mut group, &BTreeSet::from([7]), &read).unwrap();
        let rows = changes.tables().flat_map(|(_, rows)| rows);
        let text = rows.map(|(key, row)| match row {
            None => format!("{}-", key[3]),
            Some(row) => format!(
                "{}={}",
                key[3],
                String::from_utf8_lossy(row.get(2..).unwrap_or_default())
            ),
        });
        expected.assert_eq(&text.collect::<Vec<_>>().join(" "));
    }

    fn name(id: u32, name: &str) -> Write {
        NAMES.put(&id, &name.to_owned())
    }

    fn add(id: u32, more: &'static str) -> Write {
        NAMES.edit(&id, move |name| name.push_str(more))
    }

    #[test]
    fn the_last_write_of_a_row_counts() {
        check(
            vec![name(2, "a"), name(1, "x"), name(2, "b")],
            expect!["1=x 2=b"],
        );
        check(vec![name(2, "a"), NAMES.remove(&2)], expect!["2-"]);
    }

    #[test]
    fn edits_see_what_came_before_them() {
        check(vec![add(1, "er")], expect!["1=older"]);
        check(vec![add(1, "er"), add(1, "!")], expect!["1=older!"]);
        check(vec![name(1, "new"), add(1, "er")], expect!["1=newer"]);
        check(vec![NAMES.remove(&1), add(1, "er")], expect!["1-"]);
        check(vec![add(3, "er")], expect![""]);
        check(vec![add(9, "er"), name(2, "a")], expect!["2=a"]);
    }

    #[test]
    fn an_edit_that_panics_changes_nothing() {
        check(
            vec![
                NAMES.edit(&1, |_| panic!("an edit of this test")),
                name(2, "a"),
            ],
            expect!["2=a"],
        );
    }

    #[test]
    fn a_retired_account_only_loses_rows() {
        check(
            vec![name(7, "late"), NAMES.remove(&7), name(8, "a")],
            expect!["7- 8=a"],
        );
    }

    #[test]
    fn retiring_counts_from_its_place_in_the_group() {
        check(
            vec![name(8, "early"), RETIRED.put(&8, &()), name(8, "late")],
            expect!["8= 8=early"],
        );
    }

    proptest! {
        #[test]
        fn the_journals_form_is_read_back(rows: Vec<(u8, Vec<u8>, Option<Vec<u8>>)>, cut in 0_usize..64) {
            let mut changes = Changes::default();
            for (table, key, row) in rows {
                changes.set(Cow::Owned(format!("t{}", table % 3)), key, row);
            }
            let mut bytes = Vec::new();
            changes.encode(&mut bytes);
            prop_assert_eq!(Changes::decode(&bytes), Some(changes));
            bytes.truncate(cut);
            let _ = Changes::decode(&bytes);
        }

        #[test]
        fn decoding_never_panics(bytes: Vec<u8>) {
            let _ = Changes::decode(&bytes);
        }
    }
}
