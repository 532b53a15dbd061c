//! XEP-0198 between servers: what was sent and has not arrived for all we know, and what we owe an answer
//! for. Nothing is resumed: whoever calls again sends again what was not acknowledged.
//!
//! A server that cannot count is believed to have what was written [`REMOTE_SETTLE_MS`] ago, and what it had
//! read when it closed the stream in order.

use super::{Link, Remote, Waiting};
use crate::{
    features::management::{NS as SM, count, failed},
    limits::ACK_WAIT_MS_MAX,
    s2s::limits::{REMOTE_ACK_TIMEOUT_MS, REMOTE_SETTLE_MS},
    session::intake::Intake,
};
use std::{collections::VecDeque, io::Write, sync::Arc};
use store::Store;
use xmpp::{Element, StanzaError, StreamError};

pub(super) const NS: &str = SM;

/// A stanza on the line.
pub(super) struct Sent {
    pub(super) remote: Arc<Remote>,
    pub(super) waiting: Waiting,
    /// When it was written, in elapsed milliseconds.
    at: u64,
}

/// What one link has sent and what it owes. Times are elapsed milliseconds.
#[derive(Default)]
pub(super) struct Managed {
    /// The peer counts what we send.
    theirs: bool,
    /// We asked it to, and wait for its word.
    pub(super) enabling: bool,
    acknowledged: u32,
    sent: VecDeque<Sent>,
    /// We asked, and nothing came since.
    asked: Option<u64>,
    /// How many were sent when we last asked.
    asked_for: u32,
    /// The peer asked; until when the answer may wait.
    wanted: Option<u64>,
    /// It was told less than it has sent.
    owed: bool,
}

impl Managed {
    /// From here on the peer counts.
    pub(super) fn begin(&mut self) {
        self.theirs = true;
        self.enabling = false;
        // What is on the line already is none of those that it counts.
        self.acknowledged = 0u32.wrapping_sub(self.sent.len() as u32);
    }

    pub(super) fn sent(&mut self, remote: &Arc<Remote>, waiting: Waiting, at: u64) {
        if self.theirs || waiting.row.is_some() {
            let remote = remote.clone();
            self.sent.push_back(Sent {
                remote,
                waiting,
                at,
            });
        }
    }

    /// Stanzas that may not have arrived.
    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Asks for what was sent since we last did.
    pub(super) fn ask_for_sent(&mut self, now: u64, out: &mut Vec<u8>) {
        let number = self.acknowledged.wrapping_add(self.sent.len() as u32);
        if self.theirs && !self.sent.is_empty() && number != self.asked_for && self.asked.is_none()
        {
            self.asked_for = number;
            self.ask(now, out);
        }
    }

    /// Asks whether the line is alive; `false` where the peer does not count.
    pub(super) fn ask(&mut self, now: u64, out: &mut Vec<u8>) -> bool {
        if self.theirs {
            self.asked.get_or_insert(now);
            let _ = write!(out, "<r xmlns='{NS}'/>");
        }
        self.theirs
    }

    /// Something came.
    pub(super) fn heard(&mut self) {
        self.asked = None;
    }

    pub(super) fn is_dead(&self, now: u64) -> bool {
        self.asked
            .is_some_and(|asked| asked + REMOTE_ACK_TIMEOUT_MS <= now)
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        let oldest = self.sent.front().filter(|_| !self.theirs);
        let dues = [
            self.wanted,
            self.asked.map(|asked| asked + REMOTE_ACK_TIMEOUT_MS),
            oldest.map(|sent| sent.at + REMOTE_SETTLE_MS),
        ];
        dues.into_iter().flatten().min()
    }

    /// The peer has so many of those that it counts: gives them back.
    fn acknowledge(&mut self, h: u32) -> Result<Vec<Sent>, StreamError> {
        let news = h.wrapping_sub(self.acknowledged) as usize;
        if news > self.sent.len() {
            let sent = self.acknowledged.wrapping_add(self.sent.len() as u32);
            return Err(StreamError::handled_count_too_high(h, sent));
        }
        self.acknowledged = h;
        Ok(self.sent.drain(..news).collect())
    }

    /// What has arrived for all that can be known.
    pub(super) fn settled(&mut self, now: u64) -> Vec<Sent> {
        if self.theirs {
            return Vec::new();
        }
        let old = self.sent.iter();
        let old = old.take_while(|sent| sent.at + REMOTE_SETTLE_MS <= now);
        let old = old.count();
        self.sent.drain(..old).collect()
    }

    /// The peer closed the stream in order.
    pub(super) fn closed(&mut self) -> Vec<Sent> {
        if self.theirs {
            Vec::new() // it says what it has
        } else {
            self.lost()
        }
    }

    /// Everything that may not have arrived.
    pub(super) fn lost(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sent).into()
    }

    /// Whether the peer is owed an answer.
    pub(super) fn owes(&self) -> bool {
        self.wanted.is_some() || self.owed
    }

    /// Answers what was asked, as far as it can be: with what is on disk (DESIGN §6).
    pub(super) fn answer(&mut self, intake: &Intake, store: &Store, now: u64, out: &mut Vec<u8>) {
        let (h, all) = intake.handled(store);
        if all || self.wanted.is_some_and(|until| until <= now) {
            let _ = write!(out, "<a xmlns='{NS}' h='{h}'/>");
            self.wanted = None;
            self.owed = !all;
        }
    }
}

impl Link {
    /// XEP-0198 §3-§4, both ways.
    pub(super) fn managed_nonza(&mut self, element: &Element) -> Result<(), StreamError> {
        let now = self.now();
        match element.name.as_str() {
            "enable" if !self.is_authenticated() => {
                let refusal = failed(StanzaError::UNEXPECTED_REQUEST, None);
                self.output.extend(refusal.as_bytes());
            }
            "enable" => {
                self.line.intake.start();
                self.output
                    .extend(format!("<enabled xmlns='{NS}'/>").as_bytes());
                self.managed.begin();
            }
            "enabled" if self.managed.enabling => {
                self.managed.begin();
                // Both sides count from here on.
                self.line.intake.start();
                self.opened_for_good();
            }
            "failed" if self.managed.enabling => {
                self.managed.enabling = false;
                self.opened_for_good(); // it goes on without
            }
            "r" => {
                self.managed.wanted.get_or_insert(now + ACK_WAIT_MS_MAX);
            }
            "a" => {
                let h = count(element).ok_or(StreamError::BAD_FORMAT)?;
                for arrived in self.managed.acknowledge(h)? {
                    self.server.forget_row(&arrived.waiting);
                }
            }
            "resume" => {
                let refusal = failed(StanzaError::ITEM_NOT_FOUND, None);
                self.output.extend(refusal.as_bytes());
            }
            _ => return Err(StreamError::UNSUPPORTED_STANZA_TYPE),
        }
        Ok(())
    }
}
