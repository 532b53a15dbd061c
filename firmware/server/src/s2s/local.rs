//! What waits for an external component of this house (XEP-0114): a queue like that to another server, which
//! nobody has to call. The component comes by itself.

use super::{
    Remote, Waiting,
    limits::{REMOTE_SETTLE_MS, REMOTES_MAX},
};
use crate::{
    component::limits::{COMPONENT_ABSENT_MS_MAX, COMPONENT_CROSSING_MS},
    server::Server,
    session::intake::Cause,
};
use std::{collections::VecDeque, sync::Arc};
use xmpp::{Jid, Passing, StanzaError};

const ABSENT: StanzaError =
    StanzaError::REMOTE_SERVER_TIMEOUT.with_text("this service is not connected at the moment");

/// What was sent to a component and may not have arrived. A component acknowledges nothing: what the socket
/// took [`REMOTE_SETTLE_MS`] ago counts as there, and where it closed its stream in order, everything but
/// what may have crossed that (RFC 6120 §4.4; DESIGN §6).
#[derive(Default)]
pub(crate) struct Sent {
    waiting: VecDeque<(Option<u64>, Waiting)>,
    /// How many of them, the oldest, the socket had taken when the component last said something.
    answered: usize,
}

impl Sent {
    /// It is in the output.
    pub(crate) fn note(&mut self, waiting: Waiting) {
        if waiting.matters() {
            self.waiting.push_back((None, waiting));
        }
    }

    /// The socket has taken all of the output, in elapsed milliseconds.
    pub(crate) fn written(&mut self, now: u64) {
        let new = self.waiting.iter_mut().rev();
        for (at, _) in new.take_while(|(at, _)| at.is_none()) {
            *at = Some(now);
        }
    }

    /// The component said something: what it was told before has crossed nothing that follows.
    pub(crate) fn heard(&mut self) {
        let taken = |(at, _): &(Option<u64>, Waiting)| at.is_some();
        self.answered = self.waiting.partition_point(taken);
    }

    /// When the next one counts as there.
    pub(crate) fn due(&self) -> Option<u64> {
        let (at, _) = self.waiting.front()?;
        at.map(|at| at + REMOTE_SETTLE_MS)
    }

    /// How many of them there are.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// What counts as there by now.
    pub(crate) fn settle(&mut self, server: &Server, now: u64) {
        self.settle_before(server, now.checked_sub(REMOTE_SETTLE_MS));
    }

    /// The component closed its stream in order.
    pub(crate) fn closed(&mut self, server: &Server, now: u64) {
        for (_, waiting) in self.waiting.drain(..self.answered) {
            server.forget_row(waiting.row);
        }
        self.answered = 0;
        self.settle_before(server, now.checked_sub(COMPONENT_CROSSING_MS));
    }

    fn settle_before(&mut self, server: &Server, then: Option<u64>) {
        let is_old = |(at, _): &mut (Option<u64>, Waiting)| at.is_some() && *at <= then;
        while let Some((_, waiting)) = self.waiting.pop_front_if(is_old) {
            self.answered = self.answered.saturating_sub(1);
            server.forget_row(waiting.row);
        }
    }

    /// The stream of that number does not carry the queue any more: what may not have arrived waits there for
    /// the next one. Requests, which may have been carried out, and what was on the line each time that broke
    /// are given back.
    pub(crate) fn back_to(self, queue: &Remote, link: u64) -> Vec<Waiting> {
        let sent = self.waiting.into_iter().map(|(at, mut waiting)| {
            waiting.broken += u8::from(at.is_some());
            waiting
        });
        let (_, over) = queue.lost(link, sent); // nobody calls a component
        over
    }
}

impl Server {
    /// The queue of a component.
    pub(crate) fn component_queue(&self, name: &Jid) -> Option<Arc<Remote>> {
        let now = self.clock().elapsed_ms();
        self.federation()
            .remote(self.domain().clone(), name.clone(), REMOTES_MAX, now)
    }

    /// Sends a stanza to the component at its domain. While that is not connected, what must not be lost
    /// waits for a while; anything else is refused, with what its sender is to be told.
    pub(super) fn send_to_component(
        &self,
        passing: &Passing,
        cause: Option<&Cause>,
    ) -> Result<(), StanzaError> {
        let name = passing.to.domain();
        let away = self.component_away_ms(&name);
        let is_kept = super::is_kept(self, passing);
        if away.is_some_and(|ms| ms > COMPONENT_ABSENT_MS_MAX || !is_kept) {
            return Err(ABSENT);
        }
        let queue = self.component_queue(&name);
        let queue = queue.ok_or(StanzaError::RESOURCE_CONSTRAINT)?;
        self.queue_for(&queue, passing, cause).map(|_| ())
    }

    /// A restart found this on disk.
    pub(super) async fn resume_for_component(self: &Arc<Self>, name: &Jid, waiting: Waiting) {
        let now = self.clock().elapsed_ms();
        let ours = self.domain().clone();
        match self
            .federation()
            .remote(ours, name.clone(), usize::MAX, now)
        {
            Some(queue) => {
                queue.resume(waiting); // nobody calls a component
            }
            None => {
                self.give_up(vec![waiting], StanzaError::RESOURCE_CONSTRAINT)
                    .await;
            }
        }
    }

    /// Tells senders of what a component's line broke under.
    pub(crate) async fn give_up_on_component(self: &Arc<Self>, over: Vec<Waiting>) {
        self.give_up(over, StanzaError::REMOTE_SERVER_TIMEOUT).await;
    }

    /// The domain is a component's no longer: whoever writes to it from now on writes to another server.
    /// Gives the queue of the component, if there was one.
    pub(crate) fn forsake_queue(&self, name: &Jid) -> Option<Arc<Remote>> {
        let pair = (self.domain().clone(), name.clone());
        self.federation().remotes().remove(&pair)
    }

    /// Tells senders of what waits for components that have not come for too long or are configured no more,
    /// and components of answers that have not come.
    pub(crate) async fn keep_components(self: &Arc<Self>) {
        self.give_up_on_behalf().await;
        for queue in self.components.take_forsaken() {
            if queue.waiting() > 0 {
                let error = StanzaError::REMOTE_SERVER_NOT_FOUND;
                self.remote_gone(&queue, error, "the component is not configured any more")
                    .await;
            }
        }
        for (name, away) in self.components_away() {
            if away <= COMPONENT_ABSENT_MS_MAX {
                continue;
            }
            if let Some(queue) = self.component_queue(&name)
                && queue.waiting() > 0
            {
                self.remote_failed(&queue, ABSENT, "the component has not come back")
                    .await;
            }
        }
    }
}
