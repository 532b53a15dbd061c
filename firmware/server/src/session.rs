//! A bound resource. It outlives its connection in later features (XEP-0198), so the two are separate
//! objects.

use crate::{
    account::{Account, State},
    outbox::Outbox,
};
use std::sync::Arc;
use xmpp::Jid;

/// A bound resource (RFC 6120 §7) and what waits for it.
pub struct Session {
    /// The full JID.
    pub jid: Jid,
    /// Unique for the life of the process: tells a session from its successor under the same resource.
    pub number: u64,
    pub outbox: Outbox,
    pub(crate) account: Arc<Account>,
}

impl Session {
    pub(crate) fn new(jid: Jid, number: u64, account: Arc<Account>) -> Session {
        Session {
            jid,
            number,
            outbox: Outbox::default(),
            account,
        }
    }
}

impl Account {
    /// Every session of the account.
    pub(crate) fn sessions(&self) -> Vec<Arc<Session>> {
        self.lock().sessions()
    }
}

impl State {
    /// Every session of the account.
    pub(crate) fn sessions(&self) -> Vec<Arc<Session>> {
        self.resources
            .iter()
            .map(|resource| resource.session.clone())
            .collect()
    }
}
