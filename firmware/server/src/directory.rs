//! The accounts in memory: load, evict, forget. Read-mostly; outlives a router.
//!
//! An account not in memory is offline: presence for it ends here, messages and subscriptions load it
//! (DESIGN §5). It leaves memory only when nobody else holds it and everything it wrote is applied, so a
//! load never reads old rows.

use crate::{account::Account, accounts, features::PerAccount, roster::Roster, server::Server};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};
use store::Store;
use tokio::sync::oneshot;
use xmpp::{Jid, StreamError};

type Loaded = Result<Option<Arc<Account>>, Arc<store::Error>>;

/// Runs jobs that read the disk, off the threads that route (the reader pool; inline in the simulated world).
pub trait Readers: Send + Sync {
    /// Runs the job, now or soon.
    fn run(&self, job: Box<dyn FnOnce() + Send>);
}

#[derive(Default)]
pub(crate) struct Directory {
    accounts: RwLock<HashMap<Box<str>, Arc<Account>>>,
    /// Who waits for which load: the first one reads, the others share what it found.
    loading: Mutex<HashMap<Box<str>, Vec<oneshot::Sender<Loaded>>>>,
}

impl Directory {
    /// The account, if it is in memory.
    pub(crate) fn get(&self, localpart: &str) -> Option<Arc<Account>> {
        self.read().get(localpart).cloned()
    }

    /// Every account in memory.
    pub(crate) fn all(&self) -> Vec<Arc<Account>> {
        self.read().values().cloned().collect()
    }

    /// Takes an account out of memory, whoever holds it; its sessions end. Whoever needs it loads it afresh.
    pub(crate) fn forget(&self, jid: &Jid) {
        let localpart = jid.localpart().unwrap_or_default();
        let gone = self
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(localpart);
        let Some(account) = gone else { return };
        // Not through `Server::at`: this runs while a panic unwinds through it, with the lock still held
        // elsewhere.
        let sessions = account.sessions();
        for session in sessions {
            session.outbox.end(StreamError::INTERNAL);
        }
    }

    /// Drops accounts that nobody uses and whose writes are applied. Called now and then.
    pub(crate) fn evict(&self, store: &Store) {
        let mut accounts = self
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // Under the write lock nobody can get a new handle, so a count of one means that only this map
        // holds it.
        accounts.retain(|_, account| {
            Arc::strong_count(account) > 1
                || account.leaving() > 0
                || account.ticket() > store.applied()
        });
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<Box<str>, Arc<Account>>> {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, localpart: &str, account: Arc<Account>) -> Arc<Account> {
        let mut accounts = self
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        accounts.entry(localpart.into()).or_insert(account).clone()
    }
}

impl Server {
    /// The account, loaded if it is not in memory. `None` where there is none or it is disabled.
    pub(crate) async fn load(self: &Arc<Self>, localpart: &str) -> Loaded {
        if let Some(account) = self.directory().get(localpart) {
            return Ok(Some(account));
        }
        let (sender, receiver) = oneshot::channel();
        let first = {
            let mut loading = self
                .directory()
                .loading
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let waiting = loading.entry(localpart.into()).or_default();
            waiting.push(sender);
            waiting.len() == 1
        };
        if first {
            let (server, localpart) = (self.clone(), localpart.to_owned());
            self.readers()
                .run(Box::new(move || server.load_and_tell(&localpart)));
        }
        receiver.await.unwrap_or(Ok(None))
    }

    fn load_and_tell(self: &Arc<Self>, localpart: &str) {
        let loaded = self.read_account(localpart).map_err(Arc::new);
        let mut loading = self
            .directory()
            .loading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for waiting in loading.remove(localpart).unwrap_or_default() {
            let _ = waiting.send(loaded.clone());
        }
    }

    fn read_account(&self, localpart: &str) -> Result<Option<Arc<Account>>, store::Error> {
        if let Some(account) = self.directory().get(localpart) {
            return Ok(Some(account));
        }
        // Behind everything queued so far: rows of this account may still wait for the card.
        let latest = self.store().queue(Vec::new(), store::Urgency::Now);
        let snapshot = self.store().snapshot_after(latest)?;
        let Some(record) = accounts::find(&snapshot, localpart)?.filter(|record| record.enabled)
        else {
            return Ok(None);
        };
        let Ok(jid) = Jid::parse(&format!("{localpart}@{}", self.domain())) else {
            return Ok(None);
        };
        let roster = Roster::load(&snapshot, record.id)?;
        let memory = PerAccount::load(&snapshot, record.id)?;
        let account = Arc::new(Account::new(record.id, jid, roster, memory));
        Ok(Some(self.directory().put(localpart, account)))
    }
}
