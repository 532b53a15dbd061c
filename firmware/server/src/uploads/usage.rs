//! How much each account has uploaded and was promised.
//!
//! State: in memory, an entry for each account that has asked since the start. What its files take up is read
//! from the disk when it is needed and not known.

use super::{limits::SLOTS_PER_ACCOUNT_MAX, record::UploadId, slot::SlotRefusal};
use crate::world::Timestamp;
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Usage {
    accounts: BTreeMap<u32, Used>,
    /// Counts what makes readings of the disk old.
    changes: u64,
}

#[derive(Default)]
struct Used {
    files: Option<Files>,
    /// The last change of its files.
    changed: u64,
    promises: Vec<Promise>,
}

/// What an account's files are.
#[derive(Clone, Copy, Default)]
pub(super) struct Files {
    pub(super) bytes: u64,
    /// When the next of them is gone.
    pub(super) next_gone_ms: Option<Timestamp>,
}

/// A slot that was given and not used, or is being used.
struct Promise {
    id: UploadId,
    bytes: u64,
    until_ms: Timestamp,
    /// How often its file is on its way, which may take longer than the slot: one that tries again may come
    /// before the one before it is gone.
    uses: u32,
}

impl Usage {
    /// What to say to [`Usage::learn`]; `None` where nothing is to be learnt.
    pub(super) fn unknown(&self, account: u32) -> Option<u64> {
        match self.accounts.get(&account) {
            None => Some(0),
            Some(used) => used.files.is_none().then_some(used.changed),
        }
    }

    /// The disk was read after [`Usage::unknown`] said this; whether nothing has happened since.
    pub(super) fn learn(&mut self, account: u32, unknown: u64, files: Files) -> bool {
        let used = self.accounts.entry(account).or_default();
        let is_news = used.changed == unknown;
        if is_news {
            used.files = Some(files);
        }
        is_news
    }

    /// The files of an account are others than they were.
    pub(super) fn changed(&mut self, account: u32) {
        self.changes += 1;
        let used = self.accounts.entry(account).or_default();
        used.files = None;
        used.changed = self.changes;
    }

    /// A file is there: it is no promise any more.
    pub(super) fn kept(&mut self, account: u32, id: UploadId) {
        self.changed(account);
        if let Some(used) = self.accounts.get_mut(&account) {
            used.promises.retain(|promise| promise.id != id);
        }
    }

    /// Promises room for a file, if there is some now. `None` while nobody knows what the account's files
    /// take up: see [`Usage::unknown`].
    pub(super) fn promise(
        &mut self,
        account: u32,
        file: (UploadId, u64),
        (now, until_ms): (Timestamp, Timestamp),
        quota: u64,
    ) -> Option<Result<(), SlotRefusal>> {
        let used = self.accounts.get_mut(&account)?;
        used.promises
            .retain(|promise| promise.uses > 0 || promise.until_ms > now);
        let (id, bytes) = file;
        let first_over = used.promises.iter().map(|promise| promise.until_ms).min();
        if used.promises.len() >= SLOTS_PER_ACCOUNT_MAX {
            return Some(Err(SlotRefusal::TooMany(first_over.unwrap_or(now))));
        }
        let files = used.files?;
        let promised: u64 = used.promises.iter().map(|promise| promise.bytes).sum();
        let all = files.bytes.saturating_add(promised).saturating_add(bytes);
        if all > quota {
            let retry = first_over.into_iter().chain(files.next_gone_ms).min();
            return Some(Err(SlotRefusal::Full(retry.map(|retry| retry.max(now)))));
        }
        used.promises.push(Promise {
            id,
            bytes,
            until_ms,
            uses: 0,
        });
        Some(Ok(()))
    }

    /// A file that was promised is on its way: until it is there or [`Usage::let_go`] as often, its slot
    /// counts.
    pub(super) fn comes(&mut self, account: u32, id: UploadId) {
        if let Some(promise) = self.find(account, id) {
            promise.uses += 1;
        }
    }

    /// A file does not come any more.
    pub(super) fn let_go(&mut self, account: u32, id: UploadId) {
        if let Some(promise) = self.find(account, id) {
            promise.uses = promise.uses.saturating_sub(1);
        }
    }

    /// Whether room was promised for this file, and it is not there yet.
    pub(super) fn is_promised(&mut self, account: u32, id: UploadId) -> bool {
        self.find(account, id).is_some()
    }

    fn find(&mut self, account: u32, id: UploadId) -> Option<&mut Promise> {
        let promises = &mut self.accounts.get_mut(&account)?.promises;
        promises.iter_mut().find(|promise| promise.id == id)
    }
}
