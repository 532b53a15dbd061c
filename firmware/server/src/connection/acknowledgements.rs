//! XEP-0198 over the wire: when the client is asked for an acknowledgement, and when it gets ours.
//!
//! `<r/>` is answered when everything that came is on disk, or after [`ACK_WAIT_MS_MAX`] with what is,
//! and then once more, unasked, when the rest is there (DESIGN §6). A client that owes an answer and says
//! nothing at all for [`ACK_TIMEOUT_MS`] is not there any more; the time begins when the question is written,
//! because a slow line takes long for what is before it.

use crate::{
    features::management::NS,
    limits::{ACK_TIMEOUT_MS, ACK_WAIT_MS_MAX},
    outbox::Ask,
    session::{Session, intake::Intake},
};
use std::{
    io::Write,
    sync::Arc,
    task::{Context, Poll},
};
use store::Store;
use xmpp::StreamError;

/// What one connection owes its client, and the other way round. Times are elapsed milliseconds.
#[derive(Default)]
pub(super) struct Management {
    /// The client asked; until when the answer may wait.
    wanted: Option<u64>,
    /// The client was told less than it has sent.
    owed: bool,
    /// The question is in the output.
    asking: bool,
    /// When it was written, if nothing came since.
    asked: Option<u64>,
    /// When the outbox is to be looked at again, for it wants to ask.
    next_ask: Option<u64>,
}

impl Management {
    /// The client sent `<r/>`.
    pub(super) fn want(&mut self, now: u64) {
        self.wanted.get_or_insert(now + ACK_WAIT_MS_MAX);
    }

    /// Does what the outbox wants.
    pub(super) fn ask_when(&mut self, ask: Ask, out: &mut Vec<u8>) {
        self.next_ask = match ask {
            Ask::At(then) => Some(then),
            Ask::Now | Ask::No => None,
        };
        if ask == Ask::Now {
            self.ask(out);
        }
    }

    /// Asks the client.
    pub(super) fn ask(&mut self, out: &mut Vec<u8>) {
        self.asking = true;
        let _ = write!(out, "<r xmlns='{NS}'/>");
    }

    /// All output was written.
    pub(super) fn written(&mut self, now: u64) {
        if std::mem::take(&mut self.asking) {
            self.asked.get_or_insert(now);
        }
    }

    /// Something came: the line is alive.
    pub(super) fn heard(&mut self) {
        self.asked = None;
    }

    /// Whether the client is gone.
    pub(super) fn is_dead(&self, now: u64) -> bool {
        self.asked
            .is_some_and(|asked| asked + ACK_TIMEOUT_MS <= now)
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<u64> {
        let dead = self.asked.map(|asked| asked + ACK_TIMEOUT_MS);
        let due = [self.wanted, dead, self.next_ask];
        due.into_iter().flatten().min()
    }

    /// Answers what was asked, as far as it can be.
    pub(super) fn answer(&mut self, session: &Session, store: &Store, now: u64, out: &mut Vec<u8>) {
        if self.wanted.is_none() && !self.owed {
            return;
        }
        if session.intake.is_broken(store) {
            // It would wait for ever. On another stream the client sends again what was not handled.
            session.outbox.end(StreamError::INTERNAL);
        }
        let (h, all) = session.intake.handled(store);
        if all || self.wanted.is_some_and(|until| until <= now) {
            let _ = write!(out, "<a xmlns='{NS}' h='{h}'/>");
            self.wanted = None;
            self.owed = !all;
        }
    }

    /// Ready when an answer that waits for the disk can be given.
    pub(super) fn poll(
        &self,
        session: &Arc<Session>,
        store: &Store,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.wanted.is_none() && !self.owed {
            return Poll::Pending;
        }
        Intake::poll_handled(session, store, cx).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_time_from_when_it_was_asked() {
        let mut management = Management::default();
        let mut out = Vec::new();
        management.ask_when(Ask::Now, &mut out);
        assert_eq!(out, b"<r xmlns='urn:xmpp:sm:3'/>");
        let slow = ACK_TIMEOUT_MS * 3;
        assert!(!management.is_dead(slow), "it is still being written");
        management.written(slow);
        assert_eq!(management.deadline(), Some(slow + ACK_TIMEOUT_MS));
        // Asking again gives no more time.
        management.ask_when(Ask::Now, &mut out);
        management.written(slow + 1_000);
        assert!(!management.is_dead(slow + ACK_TIMEOUT_MS - 1));
        assert!(management.is_dead(slow + ACK_TIMEOUT_MS));
        // Who says anything is there.
        management.heard();
        management.written(slow + 2_000);
        assert_eq!(management.deadline(), None);
    }
}
