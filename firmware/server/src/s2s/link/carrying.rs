//! What a link carries: the stanzas that wait for its remotes, on their way out; what becomes of them when it
//! ends; and how it is shown to people.

use super::{
    super::{LinkStatus, Remote, Waiting},
    Link,
};
use crate::{
    limits::{CLOSE_MS_MAX, OUTPUT_BYTES_PAUSE},
    s2s::limits::{DOMAINS_PER_LINK_MAX, REMOTE_BROKEN_MAX},
};
use std::{sync::Arc, task::Context};
use xmpp::{Jid, StanzaError, limits::STANZA_BYTES_MAX};

impl Link {
    /// The socket is gone or the stream is closed: what it was not told to have arrived goes another way.
    /// Once.
    pub async fn leave(&mut self) {
        self.closed = true;
        self.reads.finish().await;
        let server = self.server.clone();
        server.federation().links().remove(&self.number);
        let is_counted = self.managed.is_counted();
        // Who left in order did not break under anything.
        let is_broken = self.goodbye.is_none();
        let mut lost = Vec::new();
        let mut back: Vec<(Arc<Remote>, Vec<Waiting>)> = Vec::new();
        for remote in std::mem::take(&mut self.carries) {
            back.push((remote, Vec::new()));
        }
        for mut sent in self.managed.lost() {
            let may_have_arrived = sent.written.is_some();
            // A request may have been carried out: whoever made it has to decide whether to make it again.
            let is_over = may_have_arrived && !is_counted && sent.waiting.row.is_none();
            sent.waiting.broken += u8::from(may_have_arrived && is_broken);
            if is_over || sent.waiting.broken >= REMOTE_BROKEN_MAX {
                lost.push(sent.waiting);
                continue;
            }
            let mut known = back.iter_mut();
            match known.find(|(remote, _)| Arc::ptr_eq(remote, &sent.remote)) {
                Some((_, waiting)) => waiting.push(sent.waiting),
                None => back.push((sent.remote, vec![sent.waiting])),
            }
        }
        for (remote, waiting) in back {
            if remote.detach(self.number, waiting) {
                server.call_again(remote);
            }
        }
        server
            .give_up(lost, StanzaError::REMOTE_SERVER_TIMEOUT)
            .await;
    }

    /// §4.4: says goodbye, and reads on until the peer has said so, too. What waits goes another way, once
    /// what is on this line has arrived or come back: nothing overtakes it (§10.1).
    pub(super) fn take_leave(&mut self) {
        if self.closed || self.goodbye.is_some() {
            return;
        }
        if !self.has_header {
            self.closed = true;
            return;
        }
        self.last_acknowledgement();
        self.output.extend(b"</stream:stream>");
        self.goodbye = Some(self.now() + CLOSE_MS_MAX);
        self.checks.clear();
        for remote in &self.carries {
            remote.withdraw(self.number);
        }
        self.release();
    }

    /// After our goodbye, and with nothing on the line any more, somebody else carries what waits.
    pub(super) fn release(&mut self) {
        if self.goodbye.is_none() || !self.managed.is_empty() {
            return;
        }
        for remote in std::mem::take(&mut self.carries) {
            if remote.detach(self.number, Vec::new()) {
                self.server.call_again(remote);
            }
        }
    }

    /// Somebody may speak for this domain from now on. What one domain may send in a second is for all its
    /// streams together.
    pub(super) fn may_speak(&mut self, domain: Jid) {
        if self.speakers.is_empty() {
            self.rate = self.server.federation().rate_of(&domain);
        }
        if self.speakers.len() < DOMAINS_PER_LINK_MAX && !self.speakers.contains(&domain) {
            self.speakers.push(domain);
        }
        self.reader.allow(STANZA_BYTES_MAX);
        self.note_status();
    }

    /// What waits for this remote goes over this link from now on, or once the one that has it is gone.
    pub(super) fn carry(&mut self, remote: Arc<Remote>) {
        remote.attach(self.number);
        if !self.carries.iter().any(|it| Arc::ptr_eq(it, &remote)) {
            self.carries.push(remote);
        }
        self.reader.allow(STANZA_BYTES_MAX);
        self.note_status();
    }

    /// Shows the link to people, as it is now.
    pub(super) fn note_status(&self) {
        let mut theirs: Vec<String> = self.speakers.iter().map(ToString::to_string).collect();
        for remote in &self.carries {
            let name = remote.theirs.to_string();
            if !theirs.contains(&name) {
                theirs.push(name);
            }
        }
        let mut links = self.server.federation().links();
        let Some(known) = links.get_mut(&self.number) else {
            return;
        };
        let since = known.status.as_ref().map(|status| status.since);
        let status = LinkStatus {
            ours: self.ours.to_string(),
            theirs,
            called_by_us: self.is_calling(),
            secured_by: self.proven_by,
            both_ways: self.bidi,
            since: since.unwrap_or_else(|| self.server.now()),
            fault: None,
        };
        known.status = Some(status);
    }

    pub(super) fn wants_renewal(&self, cx: &Context<'_>) -> bool {
        let mut links = self.server.federation().links();
        links.get_mut(&self.number).is_some_and(|known| {
            known.waker = Some(cx.waker().clone());
            known.renew
        })
    }

    /// Turns what waits into output.
    pub(super) async fn collect(&mut self) {
        // Between SASL and the next header of ours there is no stream (RFC 6120 §6.4.6).
        if self.closed || self.goodbye.is_some() || !self.has_header {
            return;
        }
        let mut too_large = Vec::new();
        let now = self.now();
        let mut is_used = false;
        for remote in &self.carries {
            if self.output.len() >= OUTPUT_BYTES_PAUSE || self.managed.is_full() {
                break;
            }
            for waiting in remote.take(self.number, OUTPUT_BYTES_PAUSE) {
                if self.takes.is_some_and(|max| waiting.entry.len() > max) {
                    too_large.push(waiting);
                    continue;
                }
                self.fresh.get_or_insert(self.output.len());
                waiting.entry.write(&mut self.output);
                self.managed.sent(remote, waiting, now);
                is_used = true;
            }
        }
        if is_used {
            self.is_used();
        }
        self.managed.ask_for_sent(now, &mut self.output);
        if !too_large.is_empty() {
            let error = StanzaError::POLICY_VIOLATION
                .with_text("their server takes no stanza as large as this");
            let server = self.server.clone();
            Box::pin(server.give_up(too_large, error)).await;
        }
    }
}
