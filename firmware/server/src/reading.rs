//! Requests whose answer is on the disk: read off the threads that route, given to the session under its
//! account's lock (DESIGN §4).

use crate::{
    account::{Account, Cx},
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

const LOST: Reply = Reply::Refused(StanzaError::RESOURCE_CONSTRAINT);

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
        let Question {
            passing,
            plan,
            then,
        } = question;
        if let Some(then) = then {
            let read = self.read_after(account, plan).await;
            return self.at(account, depth, |cx| {
                cx.cause = cause;
                // A room that was taken out of memory meanwhile takes nobody in.
                let is_dead = cx.state.is_gone() && !cx.state.is_destroyed();
                let dead = Err(StanzaError::RESOURCE_CONSTRAINT);
                then(cx, passing, if is_dead { dead } else { read });
            });
        }
        let (own, to) = (account.jid.clone(), passing.from.clone());
        // What takes a while is done where the disk is read, not under the lock.
        let ready = move |snapshot: &Snapshot| {
            let Read { stanzas, reply } = plan(snapshot)?;
            let stanzas = stanzas
                .iter()
                .filter_map(|entry| on_its_way(entry, &own, &to));
            Ok((stanzas.collect::<Vec<Passing>>(), reply))
        };
        let read = self.read_after(account, ready).await;
        // What the disk refused never became true, whether it was decided for this answer or is shown by it.
        let is_lost = self.store().is_durable(account.relied_on()) == Some(Durable::No);
        self.at(account, depth, |cx| {
            cx.cause = cause;
            let (stanzas, reply) = match read {
                _ if is_lost => (Vec::new(), LOST),
                Ok(read) => read,
                Err(refusal) => (Vec::new(), Reply::Refused(refusal)),
            };
            for stanza in stanzas {
                cx.route(stanza);
            }
            cx.route(answered(&passing, reply));
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
    if let Some(stanza) = on_its_way(entry, cx.jid(), to) {
        cx.route(stanza);
    }
}

fn on_its_way(entry: &Entry, own: &Jid, to: &Jid) -> Option<Passing> {
    let stanza = entry.to_stanza()?;
    let from = stanza.from().ok().flatten();
    let from = from.unwrap_or_else(|| own.clone());
    Some(Passing::new(Arc::new(stanza), from, to.clone()))
}
