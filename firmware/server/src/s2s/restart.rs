//! What a restart finds waiting for other servers: it is sent, or its sender is told (DESIGN §6).

use super::{
    Call, policy,
    remote::{Queued, Waiting},
    waiting::{self, Kept},
};
use crate::{server::Server, session::stored};
use std::sync::Arc;
use store::Urgency;
use tracing::{info, warn};
use xmpp::StanzaError;

impl Server {
    /// Sends what was on its way when the server ended. Once, when other servers can be reached, and before
    /// anybody says anything new: what is older goes first (RFC 6120 §10.1).
    ///
    /// # Errors
    /// The disk's.
    pub async fn resume_remotes(self: &Arc<Self>) -> Result<(), store::Error> {
        let snapshot = self.store().snapshot()?;
        self.resume_failures(&snapshot)?;
        let end = self.federation().first_row;
        let (mut next, mut stanzas) = (0, 0);
        loop {
            let found = waiting::some(&snapshot, next..end)?;
            stanzas += found.kept.len();
            for kept in found.kept {
                self.resume_one(kept).await;
            }
            if !found.unreadable.is_empty() {
                warn!(
                    stanzas = found.unreadable.len(),
                    "what was on its way to other servers cannot be read, and is lost"
                );
                let forget = found.unreadable.into_iter().map(waiting::forget);
                self.store().queue(forget.collect(), Urgency::Soon);
            }
            match found.next {
                Some(row) => next = row,
                None => break,
            }
        }
        if stanzas > 0 {
            info!(stanzas, "sending on what was on its way to other servers");
        }
        Ok(())
    }

    async fn resume_one(self: &Arc<Self>, kept: Kept) {
        let mut entry = kept.entry;
        stored::stamp(self, &mut entry, kept.at);
        let to = entry.to.as_ref().map(xmpp::Jid::domain);
        let from = entry.to_stanza().and_then(|it| it.from().ok().flatten());
        let from = from.unwrap_or_else(|| kept.ours.clone());
        let shares = &self.federation().shares;
        let waiting = Waiting {
            _share: Some(shares.take_again(&from, entry.len())),
            entry,
            row: Some(kept.number),
            broken: 0,
            at: kept.at,
            asked: from.localpart().is_none() || from.domainpart() != self.domain().as_str(),
        };
        if let Some(to) = to.as_ref().filter(|to| self.is_component(to.as_str())) {
            return self.resume_for_component(to, waiting).await;
        }
        let outside = self.federation().outside.get();
        let (Some(to), Some(outside)) = (to, outside) else {
            let error = StanzaError::REMOTE_SERVER_NOT_FOUND;
            return self.give_up(vec![waiting], error).await;
        };
        if let Err(error) = policy::may_talk(&self.config(), to.as_str()) {
            return self.give_up(vec![waiting], error).await;
        }
        // It was let in once, and before the end some of it was on the line and some in the queue.
        let now = self.clock().elapsed_ms();
        let remote = self.federation().remote(kept.ours, to, usize::MAX, now);
        let Some(remote) = remote else {
            let error = StanzaError::RESOURCE_CONSTRAINT;
            return self.give_up(vec![waiting], error).await;
        };
        if remote.resume(waiting) == Queued::Call {
            outside.call(Call::Deliver(remote));
        }
    }
}
