//! Requests whose answer is on the disk: read off the threads that route, given to the session under its
//! account's lock (DESIGN §4).

use crate::{
    feature::{Plan, Read},
    router::answer_entry,
    server::Server,
    session::Session,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use tokio::sync::oneshot;
use tracing::error;
use xmpp::{Passing, StanzaError};

/// A request of a session, and what is to be read for it.
pub(crate) struct Question {
    pub(crate) passing: Passing,
    pub(crate) plan: Plan,
}

impl Server {
    /// Reads, and gives the session what it asked for. The snapshot holds every write of the account up to
    /// now, whoever caused it. What is delivered to the session meanwhile stands before the answer, which
    /// does not show it.
    pub(crate) async fn read_for(self: &Arc<Self>, session: &Arc<Session>, question: Question) {
        let Question { passing, plan } = question;
        let (sender, receiver) = oneshot::channel();
        let (server, account) = (self.clone(), session.account.clone());
        self.readers().run(Box::new(move || {
            let read = catch_unwind(AssertUnwindSafe(|| {
                server.carry_out(plan, account.ticket())
            }));
            let _ = sender.send(read.unwrap_or(Err(StanzaError::INTERNAL)));
        }));
        let read = receiver.await.unwrap_or(Err(StanzaError::INTERNAL));
        self.at(&session.account, 0, |cx| {
            if !cx.state.has(session) {
                return;
            }
            let answer = read.map(|Read { stanzas, result }| {
                for stanza in stanzas {
                    session.outbox.push(stanza);
                }
                result
            });
            session.outbox.push(answer_entry(&passing, answer));
        });
    }

    fn carry_out(&self, plan: Plan, ticket: store::Ticket) -> Result<Read, StanzaError> {
        match self.store().snapshot_after(ticket) {
            Ok(snapshot) => plan(&snapshot),
            Err(error) => {
                error!(%error, "the store cannot be read");
                Err(StanzaError::INTERNAL)
            }
        }
    }
}
