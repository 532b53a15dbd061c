//! What a restart finds waiting for other servers: it is sent, or its sender is told (DESIGN §6).

use super::{
    Call,
    limits::REMOTES_MAX,
    policy,
    remote::{Queued, Waiting},
    waiting::{self, Kept},
};
use crate::{server::Server, session::stored};
use std::sync::Arc;
use tracing::info;
use xmpp::StanzaError;

impl Server {
    /// Sends what was on its way when the server ended. Once, when other servers can be reached, and before
    /// anybody says anything new: what is older goes first (RFC 6120 §10.1).
    ///
    /// # Errors
    /// The disk's.
    pub async fn resume_remotes(self: &Arc<Self>) -> Result<(), store::Error> {
        let mut kept = waiting::all(&self.store().snapshot()?)?;
        kept.retain(|kept| kept.number < self.federation().first_row);
        if !kept.is_empty() {
            info!(
                stanzas = kept.len(),
                "sending on what was on its way to other servers"
            );
        }
        for kept in kept {
            self.resume_one(kept).await;
        }
        Ok(())
    }

    async fn resume_one(self: &Arc<Self>, kept: Kept) {
        let mut entry = kept.entry;
        stored::stamp(self, &mut entry, kept.at);
        let to = entry.to.as_ref().map(xmpp::Jid::domain);
        let waiting = Waiting {
            entry,
            row: Some(kept.number),
            broken: 0,
            at: kept.at,
        };
        if let Some(to) = to.as_ref().filter(|to| self.is_component(to.as_str())) {
            return self.resume_for_component(to, waiting).await;
        }
        let outside = self.federation().outside.get();
        let (Some(to), Some(outside)) = (to, outside) else {
            return self
                .bounce(vec![waiting], StanzaError::REMOTE_SERVER_NOT_FOUND)
                .await;
        };
        if let Err(error) = policy::may_talk(&self.config(), to.as_str()) {
            return self.bounce(vec![waiting], error).await;
        }
        let now = self.clock().elapsed_ms();
        let Some(remote) = self.federation().remote(kept.ours, to, REMOTES_MAX, now) else {
            return self
                .bounce(vec![waiting], StanzaError::RESOURCE_CONSTRAINT)
                .await;
        };
        match remote.push(waiting, now) {
            Ok(Queued::Call) => outside.call(Call::Deliver(remote)),
            Ok(Queued::Carried) => {}
            Err((waiting, error)) => self.bounce(vec![*waiting], error).await,
        }
    }
}
