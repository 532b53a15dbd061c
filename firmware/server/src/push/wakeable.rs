//! Which accounts have devices that asked to be woken, so that a room need not load all of its members for
//! every message to find out.
//!
//! State: their localparts, made of `push.registration` at the start. An account that has none any more may
//! be among them until somebody looks.

use super::REGISTRATION;
use crate::accounts;
use std::{
    collections::HashSet,
    sync::{PoisonError, RwLock},
};
use store::Store;
use xmpp::Jid;

#[derive(Default)]
pub(crate) struct Wakeable(RwLock<HashSet<Box<str>>>);

impl Wakeable {
    /// Before anybody registers anything.
    pub(crate) fn load(store: &Store) -> Result<Wakeable, store::Error> {
        let snapshot = store.snapshot()?;
        let mut ids = HashSet::new();
        for row in REGISTRATION.range(&snapshot, ..)? {
            let ((account, ..), _) = row?;
            ids.insert(account);
        }
        let accounts = accounts::all(&snapshot)?.into_iter();
        let accounts = accounts.filter(|(_, id)| ids.contains(id));
        let localparts = accounts.map(|(localpart, _)| localpart.into()).collect();
        Ok(Wakeable(RwLock::new(localparts)))
    }

    /// A device of this account asked.
    pub(crate) fn note(&self, localpart: &str) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(localpart.into());
    }

    /// There is none, any more. Under the account's lock, or where there is no such account.
    pub(crate) fn forget(&self, localpart: &str) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.remove(localpart);
    }

    /// Those of them that are accounts of this domain with such devices.
    pub(crate) fn among<'a, T>(
        &self,
        domain: &Jid,
        people: impl Iterator<Item = (&'a Jid, T)>,
    ) -> Vec<(Jid, T)> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() {
            return Vec::new();
        }
        let is_known = |jid: &Jid| {
            let localpart = jid.localpart();
            jid.domainpart() == domain.as_str() && localpart.is_some_and(|it| known.contains(it))
        };
        let those = people.filter(|(jid, _)| is_known(jid));
        those.map(|(jid, more)| (jid.clone(), more)).collect()
    }
}
