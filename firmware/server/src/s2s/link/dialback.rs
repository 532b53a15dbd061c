//! Dialback on a link (XEP-0220 §2.1.2, §2.2): keys that we are shown are shown to the server that is said to
//! have made them, unless a certificate has proven who is there already; keys that we are asked about are
//! ours or not.

use super::{
    super::{
        dialback::{Said, Step, Word},
        policy,
    },
    Link, Verified,
};
use crate::s2s::limits::{DOMAINS_PER_LINK_MAX, REMOTE_REFUSALS_MAX, VERIFICATIONS_PER_LINK_MAX};
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tokio::sync::oneshot;
use tracing::info;
use xmpp::{Element, StanzaError, StreamError};

/// A key that its server is asked about.
pub(super) struct Check {
    word: Word,
    verified: oneshot::Receiver<Verified>,
    outcome: Option<Verified>,
}

impl Link {
    /// A dialback element came.
    pub(super) fn dialback(&mut self, element: &Element) -> Result<(), StreamError> {
        if !self.secured {
            return Err(StreamError::POLICY_VIOLATION.with_text("use TLS first"));
        }
        let word = Word::read(element).ok_or(StreamError::BAD_FORMAT)?;
        match (&word.said, word.step) {
            (Said::Key(_), Step::Verify) => self.is_it_ours(word),
            (Said::Key(_), Step::Result) => self.may_they(word),
            // §2.2: on a stream that they opened nobody waits for an answer.
            _ if !self.is_calling() => {}
            _ => return self.dialback_answered(&word),
        }
        Ok(())
    }

    fn say(&mut self, word: &Word) {
        self.output.extend(word.to_xml().as_bytes());
    }

    /// §2.2.2: another server was shown a key, and wants to know whether it is ours.
    fn is_it_ours(&mut self, word: Word) {
        let Said::Key(key) = &word.said else { return };
        let said = if self.server.speaks_for(word.to.as_str()) {
            let secret = &self.server.federation().secret;
            if secret.is_key(key, word.from.as_str(), word.to.as_str(), &word.id) {
                Said::Valid
            } else {
                Said::Invalid
            }
        } else {
            Said::Error(StanzaError::ITEM_NOT_FOUND)
        };
        self.say(&word.answered(said));
    }

    /// §2.2.1: they want to speak for a domain.
    fn may_they(&mut self, word: Word) {
        match self.judge_request(&word) {
            Ok(Some(check)) => self.checks.push(Check {
                word,
                verified: check,
                outcome: None,
            }),
            Ok(None) => {
                let (theirs, word) = (word.from.clone(), word.answered(Said::Valid));
                self.say(&word);
                self.believe(word.from, theirs, "certificate");
            }
            Err(error) => {
                self.say(&word.answered(Said::Error(error)));
                self.refused();
            }
        }
    }

    /// Who shows one wrong name after the other does not go on for ever.
    fn refused(&mut self) {
        self.refusals += 1;
        if self.refusals >= REMOTE_REFUSALS_MAX {
            self.end(StreamError::POLICY_VIOLATION.with_text("too many attempts"));
        }
    }

    /// Whether it is to be asked about, or proven already (dialback without dialing back), or why it is
    /// refused (§2.5).
    fn judge_request(
        &self,
        word: &Word,
    ) -> Result<Option<oneshot::Receiver<Verified>>, StanzaError> {
        let Said::Key(key) = &word.said else {
            return Err(StanzaError::BAD_REQUEST);
        };
        if !self.server.speaks_for(word.to.as_str()) {
            return Err(StanzaError::ITEM_NOT_FOUND);
        }
        // Nobody else is us; on a stream of ours they may only answer, unless both directions were agreed.
        if self.server.speaks_for(word.from.as_str())
            || self.is_calling() && !self.is_open_both_ways()
        {
            return Err(StanzaError::NOT_ACCEPTABLE);
        }
        policy::may_talk(&self.server.config(), word.from.as_str())?;
        let pending = self.checks.len();
        if pending >= VERIFICATIONS_PER_LINK_MAX
            || self.speakers.len() + pending >= DOMAINS_PER_LINK_MAX
        {
            return Err(StanzaError::RESOURCE_CONSTRAINT);
        }
        let Err(why) = self.has_certificate_for(&word.from) else {
            return Ok(None);
        };
        // The id of a stream that we opened is theirs: a key could have been made for another one.
        if self.is_calling() || self.insists_on_certificate(&word.from) {
            info!(peer = %word.from, address = %self.address, "not trusted: {why}");
            return Err(
                StanzaError::NOT_AUTHORIZED.with_text("a valid certificate is required here")
            );
        }
        let asked = (self.stream_id.as_str(), key.clone());
        let check = self.server.verify(&word.to, &word.from, asked);
        check.map(Some).ok_or(StanzaError::RESOURCE_CONSTRAINT)
    }

    /// Ready when an answer has come.
    pub(super) fn poll_checks(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut ready = Poll::Pending;
        for check in &mut self.checks {
            if check.outcome.is_some() {
                ready = Poll::Ready(());
            } else if let Poll::Ready(verified) = Pin::new(&mut check.verified).poll(cx) {
                let failed = Verified::Failed(StanzaError::REMOTE_SERVER_TIMEOUT);
                check.outcome = Some(verified.unwrap_or(failed));
                ready = Poll::Ready(());
            }
        }
        ready
    }

    /// Tells what has become of keys.
    pub(super) fn settle_checks(&mut self) {
        for check in &mut self.checks {
            if let (None, Ok(verified)) = (check.outcome, check.verified.try_recv()) {
                check.outcome = Some(verified);
            }
        }
        while let Some(at) = self.checks.iter().position(|check| check.outcome.is_some()) {
            let Check { word, outcome, .. } = self.checks.remove(at);
            match outcome {
                Some(Verified::Valid) => {
                    let (theirs, word) = (word.from.clone(), word.answered(Said::Valid));
                    self.say(&word);
                    self.believe(word.from, theirs, "dialback");
                }
                // §2.2.1: who lies about one domain is not heard about another one.
                Some(Verified::Invalid) => {
                    info!(peer = %word.from, address = %self.address, "a key was not its own");
                    self.say(&word.answered(Said::Invalid));
                    if self.speakers.is_empty() {
                        return self.close();
                    }
                    self.refused();
                }
                Some(Verified::Failed(error)) => {
                    self.say(&word.answered(Said::Error(error)));
                    self.refused();
                }
                None => {}
            }
        }
    }
}
