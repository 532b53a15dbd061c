//! What all logins share.

use crate::{accounts, registration::Registrations, server::Server, throttle::Throttle};
use std::sync::{Arc, Mutex, PoisonError};
use store::{Durable, Snapshot, Store, Ticket, Urgency};

/// Failures that are remembered, and the secret behind the keys of names that nobody has.
#[derive(Default)]
pub(crate) struct Logins {
    pub(crate) throttle: Throttle,
    pub(crate) registrations: Registrations,
    /// Read or made at the first login. One lock, so that two first logins do not make two.
    secret: Mutex<Option<Secret>>,
}

struct Secret {
    bytes: Arc<[u8]>,
    /// Of the write that keeps it.
    ticket: Ticket,
}

impl Logins {
    /// The secret, which outlives restarts: the salt of a name that nobody has must not change.
    pub(super) fn secret(
        &self,
        server: &Server,
        snapshot: &Snapshot,
    ) -> Result<Arc<[u8]>, store::Error> {
        let mut known = self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = &*known {
            return Ok(secret.bytes.clone());
        }
        let (bytes, write) = accounts::secret(snapshot, server.dice())?;
        let bytes: Arc<[u8]> = bytes.into();
        let ticket = write.map_or(Ticket::NONE, |write| {
            server.store().queue(vec![write], Urgency::Now)
        });
        *known = Some(Secret {
            bytes: bytes.clone(),
            ticket,
        });
        Ok(bytes)
    }

    /// The disk works again: a secret that it refused is kept before anything is promised that rests on it, a
    /// token above all.
    pub(crate) fn write_anew(&self, store: &Store) {
        let mut known = self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = &mut *known
            && store.is_durable(secret.ticket) == Some(Durable::No)
        {
            let write = accounts::keep_secret(&secret.bytes);
            secret.ticket = store.queue(vec![write], Urgency::Now);
        }
    }
}
