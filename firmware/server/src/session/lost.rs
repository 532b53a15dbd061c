//! Sessions that waited for their clients when their account was taken out of memory, because the disk
//! failed or a feature panicked. What of them is on disk comes back with the account; the others are gone,
//! and nobody is left who would say so to the rooms they were in.
//!
//! State: their addresses and whom they showed themselves to, until the next housekeeping.

use crate::{account::State, presence::Directed, server::Server};
use std::sync::{Arc, Mutex, PoisonError};
use xmpp::{Jid, Kind, Passing, Stanza};

/// Sessions that may be lost.
#[derive(Default)]
pub(crate) struct Lost(Mutex<Vec<(Jid, Directed)>>);

impl Lost {
    /// Notes those of an account that is taken out of memory. The others have a connection, which says
    /// goodbye.
    pub(crate) fn note(&self, state: &mut State) {
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for resource in state.resources.iter_mut().filter(|r| r.away.is_some()) {
            let directed = std::mem::take(&mut resource.directed);
            if directed.len() > 0 {
                lost.push((resource.session.jid.clone(), directed));
            }
        }
    }

    fn take(&self) -> Vec<(Jid, Directed)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Server {
    /// Says goodbye for those that did not come back (RFC 6121 §4.6.3). A successor under the same address
    /// speaks for itself.
    pub(crate) async fn leave_for_the_lost(self: &Arc<Self>) {
        for (session, shown) in self.directory().lost().take() {
            let account = session.localpart().unwrap_or_default();
            let Ok(Some(account)) = self.load(account).await else {
                continue;
            };
            self.at(&account, 0, |cx| {
                let stanza = Stanza::compose(Kind::Presence, &[("type", "unavailable")], "");
                let stanza = Arc::new(stanza);
                let now = cx.state.resource(&session);
                let now = now.map(|resource| resource.directed.clone());
                for to in shown {
                    if now.as_ref().is_none_or(|now| !now.contains(&to)) {
                        cx.route(Passing::new(stanza.clone(), session.clone(), to));
                    }
                }
            });
            self.settle_account(&account).await;
        }
    }
}
