//! What a link hears: stanzas in the names of those who were proven on it, as many as there is room for, and
//! what they are told has been handled.

use super::{
    super::{Beside, policy},
    Link,
};
use crate::{
    connection::Todo,
    limits::UNDURABLE_MAX,
    router::{fault, may_be_refused},
    session::intake::Intake,
};
use std::{borrow::Cow, sync::Arc};
use xmpp::{Jid, Passing, Stanza, StanzaError, StreamError};

impl Link {
    /// §8.1.1.2, §8.1.2.2: both addresses are there, the sender is of a domain that was proven on this
    /// stream, and the recipient is ours.
    pub(super) async fn stanza(&mut self, stanza: Stanza) {
        if self.speakers.is_empty() {
            return self.end(StreamError::NOT_AUTHORIZED);
        }
        self.is_used();
        let cause = Intake::begin(&self.line);
        let passing = match self.addressed(stanza) {
            Ok(Some(passing)) => passing,
            Ok(None) => return,
            Err(error) => return self.end(error),
        };
        let server = self.server.clone();
        match fault(&server, &passing) {
            None if Beside::is_for(&passing) => {
                let read = async move { server.receive_remote(passing, cause).await };
                self.reads.begin(read).await;
            }
            None => Box::pin(server.receive_remote(passing, cause)).await,
            Some(fault) if may_be_refused(&passing) => {
                // Where that cannot go either, nobody is left to be told.
                let _ = server.send_away(&passing.refused(fault), None);
            }
            Some(_) => {}
        }
    }

    /// With its addresses; `None` where only a name in them cannot be read: the domains are right, and others
    /// on the stream have nothing to do with it.
    fn addressed(&self, stanza: Stanza) -> Result<Option<Passing>, StreamError> {
        let (from, to) = (stanza.from(), stanza.to());
        let domain = |jid: &Result<Option<Jid>, _>, written: Option<Cow<'_, str>>| match jid {
            Ok(jid) => jid.as_ref().map(Jid::domain),
            Err(_) => Jid::domain_as_written(&written?),
        };
        let theirs = domain(&from, stanza.from_as_written());
        let ours = domain(&to, stanza.to_as_written());
        let (Some(theirs), Some(ours)) = (theirs, ours) else {
            return Err(StreamError::IMPROPER_ADDRESSING);
        };
        // A name that has become ours since is nobody else's.
        if !self.speakers.contains(&theirs) || self.server.speaks_for(theirs.as_str()) {
            return Err(StreamError::INVALID_FROM);
        }
        if !self.server.speaks_for(ours.as_str()) {
            return Err(StreamError::HOST_UNKNOWN);
        }
        if policy::may_talk(&self.server.config(), theirs.as_str()).is_err() {
            return Err(
                StreamError::POLICY_VIOLATION.with_text("this server does not talk to that server")
            );
        }
        match (from, to) {
            (Ok(Some(from)), Ok(Some(to))) => Ok(Some(Passing::new(Arc::new(stanza), from, to))),
            (Ok(Some(from)), _) => {
                let passing = Passing::new(Arc::new(stanza), from, ours);
                if may_be_refused(&passing) {
                    let refusal = passing.refused(StanzaError::JID_MALFORMED);
                    let _ = self.server.send_away(&refusal, None); // or nobody is left to be told
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    pub(super) fn acknowledge(&mut self) {
        if !self.closed && self.goodbye.is_none() && self.managed.owes() {
            if self.line.intake.is_broken(self.server.store()) {
                // It would wait for ever. On another stream the peer sends again what was not handled.
                return self.end(StreamError::INTERNAL);
            }
            let now = self.now();
            self.managed.answer(
                &self.line.intake,
                self.server.store(),
                now,
                &mut self.output,
            );
        }
    }

    pub(super) fn is_congested(&self) -> bool {
        let store = self.server.store();
        let intake = &self.line.intake;
        store.is_congested()
            || intake.pending() > UNDURABLE_MAX && intake.is_behind(store, UNDURABLE_MAX)
    }

    pub(super) fn read_or_wait(&mut self) -> Todo {
        let limits = &self.server.config().limits;
        let allowed = (limits.s2s_rate, limits.s2s_burst);
        let pause = self.rate().pause_until(allowed, self.now());
        self.pause = pause;
        Todo::read_unless(self.pause)
    }
}
