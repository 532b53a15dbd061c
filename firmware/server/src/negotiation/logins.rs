//! What all logins share.

use crate::{accounts, registration::Registrations, server::Server, throttle::Throttle};
use std::sync::{Arc, Mutex, PoisonError};
use store::{Snapshot, Urgency};

/// Failures that are remembered, and the secret behind the keys of names that nobody has.
#[derive(Default)]
pub(crate) struct Logins {
    pub(crate) throttle: Throttle,
    pub(crate) registrations: Registrations,
    /// Read or made at the first login. One lock, so that two first logins do not make two.
    secret: Mutex<Option<Arc<[u8]>>>,
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
            return Ok(secret.clone());
        }
        let (bytes, write) = accounts::secret(snapshot, server.dice())?;
        server
            .store()
            .queue(write.into_iter().collect(), Urgency::Now);
        let secret: Arc<[u8]> = bytes.into();
        *known = Some(secret.clone());
        Ok(secret)
    }
}
