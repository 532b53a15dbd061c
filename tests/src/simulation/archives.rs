//! What devices saw of the archives (XEP-0313), and what must hold of them in the end.

use super::ledger::{Message, Number};
use std::collections::{BTreeMap, BTreeSet};

/// A message in an archive.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) message: Message,
    pub(super) is_sent: bool,
}

/// What one query gave.
#[derive(Debug)]
struct Page {
    account: usize,
    after: Option<String>,
    ids: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Archives {
    /// By session: its account, and the ids of what came to it without delay, in that order.
    live: BTreeMap<Number, (usize, Vec<String>)>,
    pages: Vec<Page>,
    /// By account, once the story is over.
    whole: BTreeMap<usize, Vec<Row>>,
}

impl Archives {
    pub(super) fn came(&mut self, account: usize, session: Number, id: &str) {
        let (_, ids) = self.live.entry(session).or_insert((account, Vec::new()));
        ids.push(id.to_owned());
    }

    pub(super) fn found(&mut self, account: usize, after: Option<String>, rows: &[Row]) {
        let ids = rows.iter().map(|row| row.id.clone()).collect();
        self.pages.push(Page {
            account,
            after,
            ids,
        });
    }

    pub(super) fn is_whole(&mut self, account: usize, rows: Vec<Row>) {
        self.whole.insert(account, rows);
    }

    /// Messages in all of them.
    pub(super) fn rows(&self) -> usize {
        self.whole.values().map(Vec::len).sum()
    }

    /// How often a message is in an archive.
    pub(super) fn times(&self, account: usize, message: Message, is_sent: bool) -> usize {
        let rows = self.whole.get(&account).into_iter().flatten();
        let it = rows.filter(|row| row.message == message && row.is_sent == is_sent);
        it.count()
    }

    pub(super) fn accounts(&self) -> impl Iterator<Item = usize> {
        self.whole.keys().copied()
    }

    /// The archive of an account in its order.
    pub(super) fn of(&self, account: usize) -> impl Iterator<Item = &Row> {
        self.whole.get(&account).into_iter().flatten()
    }

    /// Ids are there once, live messages came in the order of the archive, and every page was a piece of it.
    /// `may_be_hidden`: what was refused may turn up once a power cut made the disk speak the truth.
    pub(super) fn are_consistent(
        &self,
        may_be_hidden: impl Fn(Message) -> bool,
    ) -> Result<(), String> {
        for (account, rows) in &self.whole {
            let ids: BTreeSet<&String> = rows.iter().map(|row| &row.id).collect();
            if ids.len() < rows.len() {
                return Err(format!("an id is twice in the archive of {account}"));
            }
        }
        for (session, (account, ids)) in &self.live {
            let places: Vec<usize> = ids
                .iter()
                .filter_map(|id| self.place(*account, id))
                .collect();
            if !places.is_sorted_by(|one, next| one < next) {
                return Err(format!(
                    "session {session} got messages in the order {places:?} of the archive"
                ));
            }
        }
        self.pages
            .iter()
            .try_for_each(|page| self.is_a_piece(page, &may_be_hidden))
    }

    fn place(&self, account: usize, id: &str) -> Option<usize> {
        self.of(account).position(|row| row.id == id)
    }

    fn is_a_piece(
        &self,
        page: &Page,
        may_be_hidden: &impl Fn(Message) -> bool,
    ) -> Result<(), String> {
        let mut rows = self.of(page.account);
        if let Some(after) = &page.after
            && !rows.any(|row| row.id == *after)
        {
            return Err(format!("{after} was in the archive of {}", page.account));
        }
        let mut ids = page.ids.iter().peekable();
        while let Some(id) = ids.peek() {
            match rows.next() {
                Some(row) if row.id == **id => _ = ids.next(),
                Some(row) if may_be_hidden(row.message) => {}
                Some(row) => {
                    return Err(format!(
                        "a page of the archive of {} has {id}, and not m{} before it",
                        page.account, row.message
                    ));
                }
                None => {
                    let account = page.account;
                    return Err(format!("{id} was in a page of the archive of {account}"));
                }
            }
        }
        Ok(())
    }
}
