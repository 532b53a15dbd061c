//! What a link carries: the stanzas that wait for its remotes, on their way out; what becomes of them when it
//! ends; and how it is shown to people.

use super::{
    super::{Known, LinkStatus, Remote},
    Link,
};
use crate::{
    limits::OUTPUT_BYTES_PAUSE,
    s2s::limits::{DOMAINS_PER_LINK_MAX, REMOTE_BROKEN_MAX, REMOTE_SENT_MAX},
};
use std::{sync::Arc, task::Context};
use xmpp::{Jid, StanzaError, limits::STANZA_BYTES_MAX};

impl Link {
    /// The socket is gone or the stream is closed: what it was not told to have arrived goes another way.
    /// Once.
    pub async fn leave(&mut self) {
        self.closed = true;
        let server = self.server.clone();
        server.federation().links().remove(&self.number);
        let mut lost = Vec::new();
        let sent = self.managed.lost();
        for remote in std::mem::take(&mut self.carries) {
            let mut back = Vec::new();
            for sent in sent
                .iter()
                .filter(|sent| Arc::ptr_eq(&sent.remote, &remote))
            {
                let mut waiting = sent.waiting.clone();
                waiting.broken += 1;
                if waiting.broken >= REMOTE_BROKEN_MAX {
                    lost.push(waiting);
                } else {
                    back.push(waiting);
                }
            }
            if remote.detach(self.number, back) {
                server.call_again(remote);
            }
        }
        server
            .bounce(lost, StanzaError::REMOTE_SERVER_TIMEOUT)
            .await;
    }

    /// Somebody may speak for this domain from now on.
    pub(super) fn may_speak(&mut self, domain: Jid) {
        if self.speakers.len() < DOMAINS_PER_LINK_MAX && !self.speakers.contains(&domain) {
            self.speakers.push(domain);
        }
        self.patience = None;
        self.reader.allow(STANZA_BYTES_MAX);
        self.note_status();
    }

    /// What waits for this remote goes over this link from now on, unless another one has it.
    pub(super) fn carry(&mut self, remote: Arc<Remote>) {
        if remote.attach(self.number) {
            self.carries.push(remote);
        }
        self.patience = None;
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
        let since = links
            .get(&self.number)
            .map_or_else(|| self.server.now(), |known| known.status.since);
        let status = LinkStatus {
            ours: self.ours.to_string(),
            theirs,
            called_by_us: self.is_calling(),
            secured_by: self.proven_by,
            both_ways: self.bidi,
            since,
        };
        if let Some(known) = links.get_mut(&self.number) {
            known.status = status;
            return;
        }
        links.insert(
            self.number,
            Known {
                status,
                renew: false,
                waker: None,
            },
        );
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
        if self.closed {
            return;
        }
        let mut too_large = Vec::new();
        for remote in &self.carries {
            if self.output.len() >= OUTPUT_BYTES_PAUSE || self.managed.len() >= REMOTE_SENT_MAX {
                break;
            }
            for waiting in remote.take(self.number, OUTPUT_BYTES_PAUSE) {
                if self.takes.is_some_and(|max| waiting.entry.len() > max) {
                    too_large.push(waiting);
                    continue;
                }
                waiting.entry.write(&mut self.output);
                self.used = self.server.clock().elapsed_ms();
                self.managed.sent(remote, waiting, self.used);
            }
        }
        self.managed.ask_for_sent(self.used, &mut self.output);
        if !too_large.is_empty() {
            let error = StanzaError::POLICY_VIOLATION
                .with_text("their server takes no stanza as large as this");
            let server = self.server.clone();
            Box::pin(server.bounce(too_large, error)).await;
        }
    }
}
