//! BOSH (XEP-0124, XEP-0206): a client's stream in requests of HTTP and their answers. HTTP itself is the
//! web's;
//! the stream behind a session is the same as everybody's.
//!
//! `body` reads and writes wrappers, `session` knows the rules, `replies` who is answered when, `line` is
//! what
//! the stream goes over. State: the sessions that are open, by their ids.

mod body;
pub mod limits;
mod line;
mod replies;
mod session;
mod terms;
#[cfg(test)]
mod tests;

pub use body::Answer;

use crate::{
    connection::{Connection, Door, Peer},
    listen::Admission,
    server::Server,
    transport::{
        Visitor,
        tcp::{self, House, Serving},
    },
    world::{Clock, random_id},
};
use body::{Condition, Request, Unreadable};
use limits::SESSIONS_MAX;
use line::Requests;
use replies::Reply;
use session::Session;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use terms::Terms;
use tokio::{
    sync::{oneshot, watch},
    time::sleep,
};
use tracing::debug;
use xmpp::{Jid, sasl::ChannelBindings};

type Shared = Arc<Mutex<Session>>;

/// The sessions that are open.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Shared>>);

/// Who opens a session, and what it is served with.
pub(crate) struct Newcomer {
    pub(crate) house: Arc<House>,
    pub(crate) visitor: Visitor,
    pub(crate) admission: Option<Admission>,
    pub(crate) stop: watch::Receiver<bool>,
}

impl Sessions {
    /// Answers a request, when there is something to say. `newcomer` is asked for only where it opens a
    /// session.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        body: &[u8],
        server: &Server,
        newcomer: impl FnOnce() -> Newcomer,
    ) -> Answer {
        let request = match Request::parse(body) {
            Ok(request) => request,
            Err(unreadable) => return self.refuse(unreadable),
        };
        let (reply, answer) = oneshot::channel();
        let reply = Reply(reply);
        let session = match &request.sid {
            Some(sid) => match self.find(sid) {
                Some(session) => {
                    let now = server.clock().elapsed_ms();
                    lock(&session).request(request, reply, now);
                    session
                }
                None => return Condition::ItemNotFound.answer(false),
            },
            None => {
                let is_legacy = request.terms.version.is_none();
                match self.open(&request, server, reply, newcomer()) {
                    Ok(session) => session,
                    Err(condition) => return condition.answer(is_legacy),
                }
            }
        };
        wait(session, answer, server.clock()).await
    }

    /// The answer to a request that is longer than any may be, and begins with `begin`. Its session ends.
    pub(crate) fn refuse_long(&self, begin: &[u8]) -> Answer {
        self.refuse(Unreadable::begins(begin, Condition::PolicyViolation))
    }

    fn refuse(&self, unreadable: Unreadable) -> Answer {
        let Some(session) = unreadable.sid.and_then(|sid| self.find(&sid)) else {
            return unreadable.why.answer(unreadable.is_legacy);
        };
        let mut session = lock(&session);
        session.fail(unreadable.why, None);
        session.terms.refusal(unreadable.why)
    }

    fn open(
        self: &Arc<Self>,
        request: &Request,
        server: &Server,
        reply: Reply,
        newcomer: Newcomer,
    ) -> Result<Shared, Condition> {
        let Newcomer {
            house,
            visitor,
            admission,
            stop,
        } = newcomer;
        let to = request.to.as_deref().filter(|to| !to.is_empty());
        let to = to.ok_or(Condition::ImproperAddressing)?;
        if !Jid::parse(to).is_ok_and(|to| to == *server.domain()) {
            return Err(Condition::HostUnknown);
        }
        if *stop.borrow() {
            return Err(Condition::SystemShutdown);
        }
        let Some(admission) = admission else {
            debug!(address = %visitor.address, "too many sessions that have not authenticated");
            return Err(Condition::RemoteConnectionFailed);
        };
        // Some 160 bits (§19.3).
        let sid = random_id(server.dice()) + &random_id(server.dice());
        let terms = Terms::new(server.domain().as_str().to_owned(), request);
        let now = server.clock().elapsed_ms();
        let session = Session::open(sid.clone(), terms, request, reply, now);
        let session = Arc::new(Mutex::new(session));
        {
            let mut all = self.lock();
            if all.len() >= SESSIONS_MAX {
                return Err(Condition::RemoteConnectionFailed);
            }
            all.insert(sid.clone(), session.clone());
        }
        let line = Requests::new(sid, session.clone(), self.clone(), &house, stop.clone());
        let address = visitor.address;
        let peer = Peer {
            address,
            door: Door::Secured,
        };
        let mut connection = Connection::new(house.server.clone(), peer);
        // Requests come over one TLS connection and the next: what they have in common is the certificate.
        connection.secured(ChannelBindings {
            exporter: None,
            end_point: visitor.bindings.end_point,
        });
        let how = Serving {
            address,
            direct: false,
            admission: Some(admission),
            stop,
        };
        let serve = tcp::serve(house, line, connection, how);
        tokio::spawn(serve);
        Ok(session)
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.lock().len()
    }

    fn find(&self, sid: &str) -> Option<Shared> {
        self.lock().get(sid).cloned()
    }

    fn forget(&self, sid: &str) {
        self.lock().remove(sid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Shared>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(session: &Shared) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request that waits; dropped, its connection broke.
struct Waiting<'a> {
    session: Shared,
    answer: Option<oneshot::Receiver<Answer>>,
    clock: &'a dyn Clock,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.answer.take().is_some() {
            lock(&self.session).broken(self.clock.elapsed_ms());
        }
    }
}

async fn wait(session: Shared, answer: oneshot::Receiver<Answer>, clock: &dyn Clock) -> Answer {
    let mut waiting = Waiting {
        session,
        answer: Some(answer),
        clock,
    };
    while let Some(answer) = &mut waiting.answer {
        let now = waiting.clock.elapsed_ms();
        let deadline = {
            let mut session = lock(&waiting.session);
            session.tick(now);
            session.deadline(now)
        };
        // At least a millisecond: a clock may be a little behind a timer.
        let rest = Duration::from_millis(deadline.saturating_sub(now).max(1));
        let answer = tokio::select! {
            biased;
            answer = answer => answer,
            () = sleep(rest) => continue,
        };
        waiting.answer = None;
        // Whoever had to answer is gone, and the session with it.
        return answer.unwrap_or_else(|_| Condition::ItemNotFound.answer(false));
    }
    Condition::ItemNotFound.answer(false)
}
