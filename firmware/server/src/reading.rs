//! Requests whose answer is on the disk: read off the threads that route, given to the session under its
//! account's lock (DESIGN §4).

use crate::{
    account::{Account, Cx},
    feature::{Plan, Read},
    router::{answer_entry, answered},
    server::Server,
    session::{Session, intake::Cause},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use store::Snapshot;
use tokio::sync::oneshot;
use tracing::error;
use xmpp::{Entry, Jid, Passing, StanzaError};

/// A stanza, and what is to be read before it is dealt with.
pub(crate) struct Question {
    pub(crate) passing: Passing,
    pub(crate) plan: Plan,
    /// Nothing for a request, which is answered with what was read.
    pub(crate) then: Option<Then>,
}

/// Goes on with a stanza under the lock of the account or room that read something for it.
pub(crate) type Then = fn(&mut Cx<'_>, Passing, Result<Read, StanzaError>);

impl Question {
    /// A request.
    pub(crate) fn new(passing: Passing, plan: Plan) -> Question {
        Question {
            passing,
            plan,
            then: None,
        }
    }
}

impl Server {
    /// Reads, and gives the session what it asked for. The snapshot holds every write of the account up to
    /// now, whoever caused it. What is delivered to the session meanwhile stands before the answer, which
    /// does not show it.
    pub(crate) async fn read_for(self: &Arc<Self>, session: &Arc<Session>, question: Question) {
        let Question { passing, plan, .. } = question;
        let read = self.read_after(&session.account, plan).await;
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

    /// The same for somebody who asked this account from elsewhere: the answer joins its queue.
    pub(crate) async fn read_for_other(
        self: &Arc<Self>,
        account: &Arc<Account>,
        question: Question,
        (depth, cause): (u8, Option<Cause>),
    ) {
        let Question {
            passing,
            plan,
            then,
        } = question;
        let read = self.read_after(account, plan).await;
        self.at(account, depth, |cx| {
            cx.cause = cause;
            if let Some(then) = then {
                // A room that was taken out of memory meanwhile takes nobody in.
                let is_dead = cx.state.is_gone() && !cx.state.is_destroyed();
                let read = if is_dead {
                    Err(StanzaError::RESOURCE_CONSTRAINT)
                } else {
                    read
                };
                return then(cx, passing, read);
            }
            let answer = read.map(|read| {
                for stanza in read.stanzas {
                    route_entry(cx, &stanza, &passing.from);
                }
                read.result
            });
            cx.route(answered(&passing, answer));
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

/// Sends what was read for somebody elsewhere on its way, from whom it says it is.
pub(crate) fn route_entry(cx: &mut Cx<'_>, entry: &Entry, to: &Jid) {
    let Some(stanza) = entry.to_stanza() else {
        return;
    };
    let from = stanza.from().ok().flatten();
    let from = from.unwrap_or_else(|| cx.jid().clone());
    cx.route(Passing::new(Arc::new(stanza), from, to.clone()));
}
