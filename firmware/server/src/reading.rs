//! Requests whose answer is on the disk: read off the threads that route, given to the session under its
//! account's lock (DESIGN §4).

use crate::{
    account::Account,
    feature::{Plan, Read, Reply},
    router::{answer_entry, answered},
    server::Server,
    session::{Session, intake::Cause},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use store::{Durable, Snapshot};
use tokio::sync::oneshot;
use tracing::error;
use xmpp::{Passing, StanzaError};

/// A request of a session, and what is to be read for it.
pub(crate) struct Question {
    pub(crate) passing: Passing,
    pub(crate) plan: Plan,
}

const LOST: Reply = Reply::Refused(StanzaError::RESOURCE_CONSTRAINT);

impl Server {
    /// Reads, and gives the session what it asked for. The snapshot holds every write of the account up to
    /// now, whoever caused it. What is delivered to the session meanwhile stands before the answer, which
    /// does not show it.
    pub(crate) async fn read_for(self: &Arc<Self>, session: &Arc<Session>, question: Question) {
        let Question { passing, plan } = question;
        let read = self.read_after(&session.account, plan).await;
        self.at(&session.account, 0, |cx| {
            if !cx.state.has(session) {
                return;
            }
            let reply = read.map_or_else(Reply::Refused, |Read { stanzas, reply }| {
                for stanza in stanzas {
                    session.outbox.push(stanza);
                }
                reply
            });
            session.outbox.push(answer_entry(&passing, reply));
        });
    }

    /// The same for somebody who asked this account from elsewhere: the answer joins its queue.
    pub(crate) async fn read_for_other(
        self: &Arc<Self>,
        account: &Arc<Account>,
        question: Question,
        (depth, cause): (u8, Option<Cause>),
    ) {
        let Question { passing, plan } = question;
        let read = self.read_after(account, plan).await;
        // What the disk refused never became true, whether it was decided for this answer or is shown by it.
        let is_lost = self.store().is_durable(account.relied_on()) == Some(Durable::No);
        self.at(account, depth, |cx| {
            cx.cause = cause;
            let reply = read.map_or_else(Reply::Refused, |read| read.reply);
            cx.route(answered(&passing, if is_lost { LOST } else { reply }));
        });
    }

    /// Reads off this thread, once everything that was decided in the account is there to be read.
    pub(crate) async fn read_after<T: Send + 'static>(
        self: &Arc<Self>,
        account: &Arc<Account>,
        plan: impl FnOnce(&Snapshot) -> Result<T, StanzaError> + Send + 'static,
    ) -> Result<T, StanzaError> {
        let (sender, receiver) = oneshot::channel();
        let (server, account) = (self.clone(), account.clone());
        self.readers().run(Box::new(move || {
            let read = catch_unwind(AssertUnwindSafe(|| {
                server.carry_out(plan, account.ticket())
            }));
            let _ = sender.send(read.unwrap_or(Err(StanzaError::INTERNAL)));
        }));
        receiver.await.unwrap_or(Err(StanzaError::INTERNAL))
    }

    fn carry_out<T>(
        &self,
        plan: impl FnOnce(&Snapshot) -> Result<T, StanzaError>,
        ticket: store::Ticket,
    ) -> Result<T, StanzaError> {
        match self.store().snapshot_after(ticket) {
            Ok(snapshot) => plan(&snapshot),
            Err(error) => {
                error!(%error, "the store cannot be read");
                Err(StanzaError::INTERNAL)
            }
        }
    }
}
