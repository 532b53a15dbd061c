//! What calls need of the server beside signalling: the secret that it shares with its TURN server, and which
//! ports that has. [`services`] makes of both what apps are told (XEP-0215, `features/external_services.rs`).
//!
//! The TURN server itself is elsewhere. It asks here for the secret, says which ports it has, and believes
//! whoever shows a password that the secret makes of the name beside it, and asks whether the account of that
//! name still may.
//!
//! State: table `calls.secret`; in memory the ports, what was offered last, and who may call.

mod limits;
mod secret;
mod services;

pub use limits::CREDENTIALS_MS;
pub use secret::{Secret, SecretError};
pub use services::Credentials;
pub(crate) use services::{Change, Kind, Service};

use crate::{features::external_services, server::Server, world::Dice};
use arc_swap::{ArcSwap, ArcSwapOption};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::Store;

/// Where the TURN server can be reached, besides the https port, which has it by ALPN (`stun.turn`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// STUN and TURN over UDP and TCP; `None` where it is closed.
    pub stun: Option<u16>,
    /// TURN over TLS; `None` where it is closed.
    pub turn_tls: Option<u16>,
}

/// What is known about calls.
pub(crate) struct Calls {
    /// Ours, for as long as nobody gives another one.
    made: Secret,
    /// That of `turn.secret_file`.
    given: ArcSwapOption<Secret>,
    offer: Mutex<Offer>,
    /// Numbers of the accounts that are neither removed nor disabled.
    callers: ArcSwap<HashSet<u32>>,
}

#[derive(Default)]
struct Offer {
    ports: Ports,
    /// What apps were told last, and with which secret.
    services: Vec<Service>,
    secret: Option<Secret>,
}

impl Calls {
    /// Reads the secret, or makes it: it is queued before anything that it is used for.
    pub(crate) fn open(store: &Arc<Store>, dice: &dyn Dice) -> Result<Calls, store::Error> {
        Ok(Calls {
            made: Secret::open(store, dice)?,
            given: ArcSwapOption::empty(),
            offer: Mutex::default(),
            callers: ArcSwap::default(),
        })
    }

    /// These accounts may use what there is for calls, and no others.
    pub(crate) fn note_callers(&self, accounts: HashSet<u32>) {
        self.callers.store(Arc::new(accounts));
    }

    /// Held for a moment, and never while an account is locked from here.
    fn offer(&self) -> MutexGuard<'_, Offer> {
        self.offer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// What the TURN server and we make credentials with: the text of `turn.secret_file`, else our own.
    /// `None` where the configuration names a file that nobody has read ([`Server::use_call_secret`]).
    pub fn call_secret(&self) -> Option<Secret> {
        if self.config().turn.secret_file.as_os_str().is_empty() {
            return Some(self.calls.made.clone());
        }
        let given = self.calls.given.load();
        given.as_deref().cloned()
    }

    /// The text of `turn.secret_file`, where there is such a file. Apps that asked hear of new credentials.
    pub fn use_call_secret(&self, given: Option<Secret>) {
        self.calls.given.store(given.map(Arc::new));
        self.follow_calls();
    }

    /// Whether a name of credentials is good still: that of an account is until the account is removed or
    /// disabled. Names that somebody else has made with the secret are that one's business.
    pub fn may_call(&self, username: &str) -> bool {
        let account = self
            .call_secret()
            .and_then(|secret| secret.account_of(username));
        account.is_none_or(|account| self.calls.callers.load().contains(&account))
    }

    /// The TURN server has these ports from now on; with none of them open there is no TURN server. Apps that
    /// asked hear of it.
    pub fn offer_calls(&self, ports: Ports) {
        self.calls.offer().ports = ports;
        self.follow_calls();
    }

    /// What there is for calls, as apps are told; empty where nothing is open.
    pub(crate) fn call_services(&self) -> Vec<Service> {
        self.calls.offer().services.clone()
    }

    /// Something may have changed that apps were told: those that asked hear what.
    pub(crate) fn follow_calls(&self) {
        let secret = self.call_secret();
        let changes = {
            let mut offer = self.calls.offer();
            let mut now = services::offered(&self.config(), offer.ports, self.https_port());
            // Nobody could use what needs a password.
            now.retain(|service| secret.is_some() || !service.kind.is_restricted());
            let is_same_secret = offer.secret == secret;
            let changes = services::changes(&offer.services, &now, is_same_secret);
            offer.services = now;
            offer.secret = secret;
            changes
        };
        if !changes.is_empty() {
            external_services::tell(self, &changes);
        }
    }
}
