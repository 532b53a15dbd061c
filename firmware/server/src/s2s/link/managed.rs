//! XEP-0198 between servers: what was sent and has not arrived for all we know, and what we owe an answer
//! for. Nothing is resumed: whoever calls again sends again what was not acknowledged.
//!
//! A server that cannot count is believed to have what was written [`REMOTE_SETTLE_MS`] ago, and what was
//! written [`REMOTE_CROSSING_MS`] before it closed the stream in order.

use super::{Link, Remote, Waiting};
use crate::{
    features::management::{NS as SM, count, failed},
    limits::ACK_WAIT_MS_MAX,
    s2s::limits::{
        REMOTE_ACK_MS_MAX, REMOTE_ACK_TIMEOUT_MS, REMOTE_BYTES_PER_MS_MIN, REMOTE_CROSSING_MS,
        REMOTE_SENT_BYTES_MAX, REMOTE_SENT_MAX, REMOTE_SETTLE_MS,
    },
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
    /// When the socket had taken it, in elapsed milliseconds.
    pub(super) written: Option<u64>,
}

impl Sent {
    fn was_written_before(&self, then: Option<u64>) -> bool {
        self.written.is_some() && self.written <= then
    }
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
    /// Of all of these.
    bytes: usize,
    /// How many of these, from the last one back, the socket has not taken.
    unwritten: usize,
    /// When something was last acknowledged, or nothing was to be.
    progress: u64,
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

    /// It is in the output.
    pub(super) fn sent(&mut self, remote: &Arc<Remote>, waiting: Waiting, now: u64) {
        if self.sent.is_empty() {
            self.progress = now;
        }
        self.bytes += waiting.entry.len();
        self.unwritten += 1;
        self.sent.push_back(Sent {
            remote: remote.clone(),
            waiting,
            written: None,
        });
    }

    /// The socket has taken all of the output.
    pub(super) fn written(&mut self, now: u64) {
        let before = self.sent.len() - std::mem::take(&mut self.unwritten);
        for sent in self.sent.range_mut(before..) {
            sent.written = Some(now);
        }
        if !self.theirs {
            let new = self.sent.split_off(before);
            self.bytes -= bytes(&new);
            let matters = new.into_iter().filter(|sent| sent.waiting.matters());
            self.sent
                .extend(matters.inspect(|sent| self.bytes += sent.waiting.entry.len()));
        }
    }

    /// Whether nothing more is sent before something has arrived.
    pub(super) fn is_full(&self) -> bool {
        self.sent.len() >= REMOTE_SENT_MAX || self.bytes >= REMOTE_SENT_BYTES_MAX
    }

    /// Whether the peer says what it has.
    pub(super) fn is_counted(&self) -> bool {
        self.theirs
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
        self.dead_at().is_some_and(|at| at <= now)
    }

    /// When the line is dead if nothing changes: an answer comes behind everything that is on its way.
    fn dead_at(&self) -> Option<u64> {
        let on_its_way = self.bytes as u64 / REMOTE_BYTES_PER_MS_MIN;
        let silent = self.asked.map(|asked| asked + REMOTE_ACK_TIMEOUT_MS);
        let is_owed = self.theirs && !self.sent.is_empty();
        let stuck = is_owed.then_some(self.progress + REMOTE_ACK_MS_MAX);
        let first = silent.into_iter().chain(stuck).min();
        first.map(|at| at + on_its_way)
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        let oldest = self.sent.front().filter(|_| !self.theirs);
        let dues = [
            self.wanted,
            self.dead_at(),
            oldest.and_then(|sent| Some(sent.written? + REMOTE_SETTLE_MS)),
        ];
        dues.into_iter().flatten().min()
    }

    /// The peer has so many of those that it counts: gives them back.
    fn acknowledge(&mut self, h: u32, now: u64) -> Result<Vec<Sent>, StreamError> {
        let news = h.wrapping_sub(self.acknowledged) as usize;
        if news > self.sent.len() {
            let sent = self.acknowledged.wrapping_add(self.sent.len() as u32);
            return Err(StreamError::handled_count_too_high(h, sent));
        }
        self.acknowledged = h;
        if news > 0 {
            self.progress = now;
        }
        Ok(self.take_first(news))
    }

    /// What has arrived for all that can be known.
    pub(super) fn settled(&mut self, now: u64) -> Vec<Sent> {
        self.take_written_before(now.checked_sub(REMOTE_SETTLE_MS))
    }

    /// The peer closed the stream in order.
    pub(super) fn closed(&mut self, now: u64) -> Vec<Sent> {
        self.take_written_before(now.checked_sub(REMOTE_CROSSING_MS))
    }

    /// Of a peer that does not say what it has.
    fn take_written_before(&mut self, then: Option<u64>) -> Vec<Sent> {
        if self.theirs {
            return Vec::new();
        }
        let old = self.sent.iter();
        let old = old.take_while(|sent| sent.was_written_before(then));
        self.take_first(old.count())
    }

    fn take_first(&mut self, count: usize) -> Vec<Sent> {
        let rest = self.sent.split_off(count);
        let first = std::mem::replace(&mut self.sent, rest);
        self.bytes -= bytes(&first);
        self.unwritten = self.unwritten.min(self.sent.len());
        first.into()
    }

    /// Everything that may not have arrived.
    pub(super) fn lost(&mut self) -> Vec<Sent> {
        (self.bytes, self.unwritten) = (0, 0);
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

fn bytes(sent: &VecDeque<Sent>) -> usize {
    sent.iter().map(|sent| sent.waiting.entry.len()).sum()
}

impl Link {
    /// XEP-0198 §4: before the stream closes, what has been handled. What is not acknowledged comes again.
    pub(super) fn last_acknowledgement(&mut self) {
        if self.managed.is_counted() && self.has_header {
            let (h, _) = self.line.intake.handled(self.server.store());
            let _ = write!(self.output, "<a xmlns='{NS}' h='{h}'/>");
        }
    }

    /// XEP-0198 §3-§4, both ways.
    pub(super) fn managed_nonza(&mut self, element: &Element) -> Result<(), StreamError> {
        let now = self.now();
        match element.name.as_str() {
            "enable" if !self.is_authenticated() => {
                let refusal = failed(StanzaError::UNEXPECTED_REQUEST, None);
                self.output.extend(refusal.as_bytes());
            }
            // §3: once, by who opened the stream.
            "enable" if self.is_calling() || self.managed.is_counted() => {
                return Err(StreamError::POLICY_VIOLATION.with_text("this is managed already"));
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
                for arrived in self.managed.acknowledge(h, now)? {
                    self.server.forget_row(arrived.waiting.row);
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
