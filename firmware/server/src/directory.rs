//! The accounts in memory: load, evict, forget. Read-mostly; outlives a router.
//!
//! An account not in memory is offline: presence for it ends here, messages and subscriptions load it
//! (DESIGN §5). It leaves memory only when nobody else holds it and everything it wrote is applied, so a
//! load never reads old rows.

use crate::{
    account::Account,
    accounts,
    features::{self, PerAccount},
    pubsub,
    room::seats::LeftBehind,
    roster::Roster,
    server::Server,
    session::{lost::Lost, stored},
};
use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, RwLock},
};
use store::{Snapshot, Store};
use tokio::sync::oneshot;
use xmpp::{Jid, StreamError};

/// Under which the publish-subscribe service is among the accounts: no localpart is empty.
pub(crate) const SERVICE: &str = "";

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
    /// Addresses of accounts and contacts, each kept once however many rosters it is in.
    addresses: Mutex<HashSet<Jid>>,
    left_behind: LeftBehind,
    lost: Lost,
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
    pub(crate) fn forget(&self, account: &Account) {
        let mut accounts = self
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let known = accounts.get(account.key());
        if known.is_some_and(|known| std::ptr::eq(&raw const **known, account)) {
            accounts.remove(account.key());
        }
        // Not through `Server::at`: this runs while a panic unwinds through it. Before anybody can load it.
        let (sessions, occupants) = account.retire(&self.lost);
        if !occupants.is_empty() {
            self.left_behind.note(account.key(), occupants);
        }
        drop(accounts);
        for session in sessions {
            session.outbox.end(StreamError::INTERNAL);
        }
    }

    /// The one copy of this address.
    fn shared(&self, jid: Jid) -> Jid {
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = addresses.get(&jid) {
            return known.clone();
        }
        addresses.insert(jid.clone());
        jid
    }

    /// Drops accounts that nobody uses and whose writes are applied. Called now and then. While the disk
    /// takes nothing they stay: what it refused is known to them alone.
    pub(crate) fn evict(&self, store: &Store) {
        if !store.health().writable {
            return;
        }
        let mut accounts = self
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // Under the write lock nobody can get a new handle, so a count of one means that only this map
        // holds it.
        accounts.retain(|_, account| {
            Arc::strong_count(account) > 1
                || account.is_occupied()
                || account.leaving() > 0
                || account.is_busy()
                || account.ticket() > store.applied()
        });
        drop(accounts);
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        addresses.retain(Jid::is_shared);
    }

    /// Who is in rooms that are to be loaded afresh.
    pub(crate) fn left_behind(&self) -> &LeftBehind {
        &self.left_behind
    }

    /// Sessions that went with their accounts.
    pub(crate) fn lost(&self) -> &Lost {
        &self.lost
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<Box<str>, Arc<Account>>> {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, localpart: &str, account: Arc<Account>) -> Arc<Account> {
        let mut accounts = self
            .accounts
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        accounts.entry(localpart.into()).or_insert(account).clone()
    }
}

impl Server {
    /// The account or room of an address of ours, if it is in memory.
    pub(crate) fn in_memory(&self, jid: &Jid) -> Option<Arc<Account>> {
        let domain = jid.domainpart();
        let key = if domain == self.rooms().service().as_str() {
            jid.bare_str()
        } else if domain == self.pubsub().as_str() {
            SERVICE
        } else if domain == self.domain().as_str() {
            jid.localpart()?
        } else {
            return None;
        };
        self.directory().get(key)
    }

    /// The localpart of an address that somebody of this house can have.
    pub(crate) fn localpart<'a>(&self, jid: &'a Jid) -> Option<&'a str> {
        jid.localpart()
            .filter(|_| jid.domainpart() == self.domain().as_str())
    }

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

    /// Does something with what an account has on disk, while nobody loads it; who wants to waits. `None`
    /// where it is in memory or on its way there. On a thread that may block.
    pub(crate) fn before_loading<T>(
        self: &Arc<Self>,
        localpart: &str,
        f: impl FnOnce() -> T,
    ) -> Option<T> {
        let mut loading = self
            .directory()
            .loading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if loading.contains_key(localpart) || self.directory().get(localpart).is_some() {
            return None;
        }
        // The first one, whom nobody has to tell.
        loading.insert(localpart.into(), vec![oneshot::channel().0]);
        drop(loading);
        let _then = LoadAndTell(self, localpart);
        Some(f())
    }

    fn load_and_tell(self: &Arc<Self>, localpart: &str) {
        // Whatever happens, those who wait are told.
        let loaded = catch_unwind(AssertUnwindSafe(|| self.read_account(localpart)))
            .unwrap_or_else(|_| Err(store::Error::Damaged("an account's rows panicked".into())))
            .map_err(Arc::new);
        let mut loading = self
            .directory()
            .loading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for waiting in loading.remove(localpart).unwrap_or_default() {
            let _ = waiting.send(loaded.clone());
        }
    }

    /// On a thread that may block.
    pub(crate) fn read_account(
        &self,
        localpart: &str,
    ) -> Result<Option<Arc<Account>>, store::Error> {
        if let Some(account) = self.directory().get(localpart) {
            return Ok(Some(account));
        }
        // Behind everything queued so far: rows of this account may still wait for the card.
        let latest = self.store().queue(Vec::new(), store::Urgency::Now);
        let snapshot = self.store().snapshot_after(latest)?;
        if localpart == SERVICE {
            return self.read_service(&snapshot).map(Some);
        }
        if localpart.contains('@') {
            return self.read_room(localpart, &snapshot);
        }
        let Some(record) = accounts::find(&snapshot, localpart)?.filter(|record| record.enabled)
        else {
            return Ok(None);
        };
        let Ok(jid) = Jid::parse(&format!("{localpart}@{}", self.domain())) else {
            return Ok(None);
        };
        let share = |jid| self.directory().shared(jid);
        let jid = share(jid);
        let roster = Roster::load(&snapshot, record.id, share)?;
        let mut memory = PerAccount::load(&snapshot, record.id)?;
        self.sweep_strays(&mut memory);
        let (left, strays) = stored::read(&snapshot, record.id)?;
        if !strays.is_empty() {
            self.store().queue(strays, store::Urgency::Soon);
        }
        let account = Arc::new(Account::new(record.id, jid, roster, memory));
        self.at(&account, 0, features::loaded);
        self.restore(&account, left);
        let account = self.directory().put(localpart, account);
        // Who closed the account since that snapshot did not find it in memory.
        let record = accounts::find(&self.store().snapshot()?, localpart)?;
        if record.is_none_or(|record| !record.enabled || record.id != account.id) {
            self.directory().forget(&account);
            return Ok(None);
        }
        Ok(Some(account))
    }

    /// The service is an account of nodes alone.
    fn read_service(&self, snapshot: &Snapshot) -> Result<Arc<Account>, store::Error> {
        let mut memory = PerAccount::load(snapshot, pubsub::SERVICE)?;
        self.sweep_strays(&mut memory);
        let jid = self.pubsub().clone();
        let account = Account::new(pubsub::SERVICE, jid, Roster::default(), memory);
        Ok(self.directory().put(SERVICE, Arc::new(account)))
    }

    /// What an interrupted deletion left of nodes goes without anybody waiting for it.
    fn sweep_strays(&self, memory: &mut PerAccount) {
        for (sweep, urgency) in memory.nodes.take_strays() {
            self.store().queue(sweep, urgency);
        }
    }
}

/// Also where what was done first panicked.
struct LoadAndTell<'a>(&'a Arc<Server>, &'a str);

impl Drop for LoadAndTell<'_> {
    fn drop(&mut self) {
        self.0.load_and_tell(self.1);
    }
}
