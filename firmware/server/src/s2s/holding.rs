//! What cannot be sent while nobody would hear of it: a message of somebody who has put their phone away
//! waits for the other server, or for its sender to come back and be told (DESIGN §6). It is on disk all the
//! time.

use super::{Call, Remote, limits::REMOTE_HELD_MS_MAX, remote::Waiting};
use crate::{server::Server, session::stored};
use std::sync::Arc;
use xmpp::{Jid, Stanza};

impl Server {
    /// Sorts out what waited for a remote that nobody gets through to: what is left is to be refused now.
    pub(super) fn hold_for_the_absent(
        &self,
        remote: &Arc<Remote>,
        waiting: Vec<Waiting>,
    ) -> Vec<Waiting> {
        let now = self.now();
        let (mut held, lost): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|waiting| {
            let is_young = now.abs_diff(waiting.at) < REMOTE_HELD_MS_MAX;
            let sender = || waiting.entry.to_stanza().and_then(|it| sender(&it));
            let is_away = || sender().is_some_and(|from| self.who_hears(&from).is_empty());
            waiting.row.is_some() && is_young && is_away()
        });
        for waiting in &mut held {
            stored::stamp(self, &mut waiting.entry, waiting.at);
        }
        let is_called_for = remote.hold(held, self.clock().elapsed_ms());
        if is_called_for && !self.is_component(remote.theirs.as_str()) {
            self.call_again(remote.clone());
        }
        lost
    }

    /// Calls again where something has been held for long enough.
    pub(crate) fn call_for_the_held(&self) {
        let Some(outside) = self.federation().outside.get() else {
            return;
        };
        let now = self.clock().elapsed_ms();
        let all: Vec<_> = self.federation().remotes().values().cloned().collect();
        for remote in all {
            // A component comes by itself.
            if !self.is_component(remote.theirs.as_str()) && remote.is_due(now) {
                outside.call(Call::Deliver(remote));
            }
        }
    }
}

fn sender(stanza: &Stanza) -> Option<Jid> {
    stanza.from().ok().flatten()
}
