//! One session of BOSH: which request is next, what is kept of those before, and when patience ends (XEP-0124
//! §8 to §15). No sockets and no timers: who calls says what time it is.
//!
//! State: requests that came too early, requests that wait for an answer, answers that may be asked for
//! again,
//! and what goes either way between them and the stream behind.

use super::{
    body::{Condition, Request},
    limits::{
        ANSWER_SHORT_BYTES_MAX, INPUT_BYTES_MAX, PAUSE_S_MAX, POLLING_S, REPEATS_MAX, REPORT_MS,
        UNTAKEN_LOOK_MS,
    },
    replies::{Answered, Held, Reply},
    terms::Terms,
};
use aws_lc_rs::digest;
use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write,
    task::Waker,
};
use xmpp::limits::UNAUTHENTICATED_BYTES_MAX;

pub(super) struct Session {
    pub(super) terms: Terms,
    /// The id of the next request in order.
    pub(super) next: u64,
    /// Requests that wait for those before them (§14.2).
    pub(super) early: BTreeMap<u64, (Request, Held)>,
    /// Requests that were taken and not answered, in order.
    pub(super) held: VecDeque<Held>,
    /// What was answered, in order, as far as it may be asked for again.
    pub(super) answered: VecDeque<Answered>,
    /// For the stream; something as soon as there was a sign of life.
    pub(super) input: Option<String>,
    /// The stream has worked off all that came in.
    pub(super) is_settled: bool,
    /// For the client: whole elements.
    pub(super) output: VecDeque<String>,
    /// The attributes of the answer that opens the session, until it is given.
    pub(super) opening: Option<Opening>,
    /// The stream has said its last word.
    pub(super) is_closing: bool,
    /// And why, where it was not in peace.
    pub(super) why: Option<Condition>,
    /// The client has said its last word.
    pub(super) is_goodbye: bool,
    pub(super) is_over: bool,
    /// It is over, and the client was told everything.
    pub(super) is_told: bool,
    /// The stream knows who its client is.
    pub(super) is_known: bool,
    /// What the next key's hash must be (§15).
    key: Option<String>,
    /// Milliseconds of a pause (§10).
    pub(super) pause: Option<u64>,
    /// When the client was last heard, told something or lost, in elapsed milliseconds.
    pub(super) quiet_since: u64,
    last: Last,
    /// The request whose answer the client seems not to have, and when that was given (§9.2).
    pub(super) report: Option<(u64, u64)>,
    /// Of the task that has the stream.
    pub(super) waker: Option<Waker>,
}

/// What is known of the last new request.
#[derive(Clone, Copy)]
struct Last {
    rid: u64,
    at: u64,
    is_empty: bool,
}

/// What only the first answer says.
pub(super) struct Opening {
    pub(super) sid: String,
    /// Of the stream, for clients of long ago (XEP-0206 §4).
    pub(super) stream_id: String,
}

impl Session {
    /// Opens a session with the request that asks for it. Times are elapsed milliseconds.
    pub(super) fn open(
        sid: String,
        terms: Terms,
        request: &Request,
        reply: Reply,
        now: u64,
    ) -> Session {
        let mut held = VecDeque::new();
        held.push_back(Held::new(request, reply, now));
        Session {
            next: request.rid + 1,
            early: BTreeMap::new(),
            held,
            answered: VecDeque::new(),
            input: Some(terms.header(request)),
            is_settled: false,
            output: VecDeque::new(),
            opening: Some(Opening {
                sid,
                stream_id: String::new(),
            }),
            is_closing: false,
            why: None,
            is_goodbye: false,
            is_over: false,
            is_told: false,
            is_known: false,
            key: request.newkey.clone(),
            pause: None,
            quiet_since: now,
            last: Last {
                rid: request.rid,
                at: now,
                is_empty: false,
            },
            report: None,
            waker: None,
            terms,
        }
    }

    /// Takes a request, whose answer goes to `reply`, sooner or later.
    pub(super) fn request(&mut self, request: Request, reply: Reply, now: u64) {
        if self.is_over {
            return reply.send(self.terms.refusal(Condition::ItemNotFound));
        }
        let is_new = request.rid >= self.next && !self.early.contains_key(&request.rid);
        if is_new {
            self.bury(now);
        }
        if let Err(condition) = self.judge(&request, now) {
            return self.fail(condition, Some(reply));
        }
        self.quiet_since = now;
        if !is_new {
            return self.again(&request, reply, now);
        }
        self.last = Last {
            rid: request.rid,
            at: now,
            is_empty: request.is_empty(),
        };
        self.pause = None;
        let held = Held::new(&request, reply, now);
        let mut due = Some((request, held));
        if let Some(early) = due.take_if(|(request, _)| request.rid != self.next) {
            self.early.insert(early.0.rid, early);
        }
        while let Some((request, held)) = due {
            self.next += 1;
            self.held.push_back(held);
            if !self.has_key(&request) {
                let reply = self.held.pop_back().and_then(Held::into_reply);
                return self.fail(Condition::ItemNotFound, reply);
            }
            self.take(request, now);
            due = self.early.remove(&self.next);
        }
        if self.early.is_empty() {
            self.early = BTreeMap::new(); // an empty one keeps four kilobytes
        }
        self.respond(now);
        self.wake();
    }

    /// Whether the rules allow it (§11, §12, §14.2, §16.4).
    fn judge(&self, request: &Request, now: u64) -> Result<(), Condition> {
        let is_payload_elsewhere = request.stream.is_some() && !request.payloads.is_empty();
        if is_payload_elsewhere || self.is_goodbye && request.rid >= self.next {
            return Err(Condition::ItemNotFound);
        }
        if request.rid < self.next || self.early.contains_key(&request.rid) {
            return Ok(());
        }
        let requests = self.terms.requests();
        let allowed = requests + usize::from(request.is_farewell());
        if request.rid - self.next >= allowed as u64 {
            return Err(Condition::ItemNotFound);
        }
        let early = self.early.values();
        let early_live = early.clone().filter(|(_, held)| held.is_live()).count();
        let open = self.held.len() + early_live + 1;
        let early_bytes: usize = early.map(|(request, _)| request.payloads.len()).sum();
        let bytes = self.untaken() + early_bytes + request.payloads.len();
        let bytes_max = if self.is_known {
            INPUT_BYTES_MAX
        } else {
            UNAUTHENTICATED_BYTES_MAX
        };
        if open > allowed || bytes > bytes_max {
            return Err(Condition::PolicyViolation);
        }
        let is_soon = now.saturating_sub(self.last.at) < POLLING_S * 1_000;
        let is_too_many = if self.terms.is_polling {
            let in_vain = self.answered.back().is_none_or(Answered::is_empty);
            self.last.is_empty && in_vain && request.rid > self.last.rid
        } else {
            open == requests
        };
        if request.is_empty() && is_soon && is_too_many {
            return Err(Condition::PolicyViolation);
        }
        Ok(())
    }

    /// A request that is in order.
    fn take(&mut self, request: Request, now: u64) {
        self.acknowledged(&request, now);
        let mut input = self.input.take().unwrap_or_default();
        if request.is_restart {
            // XEP-0206 §5: whatever is inside is ignored.
            input.push_str(&self.terms.header(&request));
        } else {
            input.push_str(&request.payloads);
        }
        if request.is_goodbye {
            input.push_str("</stream:stream>");
            self.is_goodbye = true;
        }
        self.input = Some(input);
        self.is_settled = false;
        let pause = request.pause.filter(|pause| *pause <= PAUSE_S_MAX);
        self.pause = pause.map(|pause| pause * 1_000);
    }

    /// Bytes that the stream has not taken yet.
    pub(super) fn untaken(&self) -> usize {
        self.input.as_ref().map_or(0, String::len)
    }

    /// Answers requests whose connection broke, for whom asks again: they are none of those that the client
    /// makes at a time (§11).
    fn bury(&mut self, now: u64) {
        while self.opening.is_none()
            && let Some(at) = self.held.iter().position(|held| !held.is_live())
        {
            self.answer(at, "", now);
        }
    }

    /// Forgets the answers that the client has, and finds out which one it lacks (§9.2).
    fn acknowledged(&mut self, request: &Request, now: u64) {
        let Some(ack) = request.ack.filter(|_| self.terms.has_acks) else {
            // Where the client says what it has, silence says everything. Else what is long is kept until
            // there was another answer behind it.
            let is_silent = self.terms.has_acks;
            let last = request.rid.saturating_sub(1);
            let is_kept = |it: &Answered| it.rid >= last || it.body.len() <= ANSWER_SHORT_BYTES_MAX;
            return self.answered.retain(|it| !is_silent && is_kept(it));
        };
        self.answered.retain(|answered| answered.rid > ack);
        let lacking = self.answered.front().filter(|it| it.rid == ack + 1);
        self.report = lacking
            .filter(|it| it.at + REPORT_MS <= now)
            .map(|it| (it.rid, it.at));
    }

    /// A request that was here before: its connection broke (§14.3).
    fn again(&mut self, request: &Request, reply: Reply, now: u64) {
        let early = self.early.get_mut(&request.rid).map(|(_, held)| held);
        let held = self.held.iter_mut().find(|held| held.rid == request.rid);
        if let Some(held) = early.or(held) {
            if held.key != request.key || held.repeats >= REPEATS_MAX {
                let is_other = held.key != request.key;
                return self.fail(refusal(is_other), Some(reply));
            }
            if let Some(before) = held.renew(reply, now) {
                before.send(self.terms.recoverable());
            }
            return self.respond(now);
        }
        let kept = self.answered.iter_mut().find(|it| it.rid == request.rid);
        match kept {
            Some(kept) if kept.key == request.key && kept.repeats < REPEATS_MAX => {
                kept.repeats += 1;
                let body = kept.body.clone();
                reply.send(self.terms.answer(body));
            }
            Some(kept) => {
                let is_other = kept.key != request.key;
                self.fail(refusal(is_other), Some(reply));
            }
            None => self.fail(Condition::ItemNotFound, Some(reply)),
        }
    }

    /// Whether the key is the one before that of the last request (§15.4). The next one is expected then.
    fn has_key(&mut self, request: &Request) -> bool {
        let is_right = match (&self.key, &request.key) {
            (None, _) => true,
            (Some(expected), Some(key)) => sha1(key).eq_ignore_ascii_case(expected),
            (Some(_), None) => false,
        };
        self.key = request.newkey.clone().or_else(|| request.key.clone());
        is_right
    }

    /// When [`Session::tick`] has something to do, in elapsed milliseconds.
    pub(super) fn deadline(&self, now: u64) -> u64 {
        if self.untaken() > 0 && self.has_live() {
            return now + UNTAKEN_LOOK_MS;
        }
        let early = self.early.values().map(|(_, held)| held);
        let waiting = self.held.iter().chain(early).filter(|held| held.is_live());
        let first = waiting
            .map(|held| held.since + self.terms.patience_ms())
            .min();
        first.unwrap_or_else(|| {
            let usual = self.terms.inactivity_s() * 1_000;
            self.quiet_since + self.pause.unwrap_or(usual)
        })
    }

    /// The deadline may have passed, or a connection may have broken.
    pub(super) fn tick(&mut self, now: u64) {
        self.respond(now);
        let patience = self.terms.patience_ms();
        let is_late = |held: &Held| held.since + patience <= now;
        let late: Vec<u64> = self
            .early
            .iter()
            .filter(|(_, (_, held))| held.is_live() && is_late(held))
            .map(|(rid, _)| *rid)
            .collect();
        // What should come before it got lost. The client sends both again (§17.3).
        for rid in late {
            if let Some(reply) = self
                .early
                .remove(&rid)
                .and_then(|(_, held)| held.into_reply())
            {
                reply.send(self.terms.recoverable());
            }
            self.quiet_since = now;
        }
        if self.deadline(now) <= now && !self.has_live() {
            self.fail(Condition::ItemNotFound, None);
        }
    }

    /// Bytes that the client was not told yet.
    pub(super) fn untold(&self) -> usize {
        self.output.iter().map(String::len).sum()
    }

    /// Whether its stream ended with an error that the client was not told.
    pub(super) fn has_last_words(&self) -> bool {
        self.is_known && !self.is_over && self.why == Some(Condition::RemoteStreamError)
    }

    /// A connection broke on which somebody waited.
    pub(super) fn broken(&mut self, now: u64) {
        self.quiet_since = now;
        self.wake();
    }

    pub(super) fn has_live(&self) -> bool {
        let mut early = self.early.values();
        self.held.iter().any(Held::is_live) || early.any(|(_, held)| held.is_live())
    }

    /// Ends the session: `reply` is told why, whoever else waits that it was somebody else's fault (§17.2).
    pub(super) fn fail(&mut self, condition: Condition, reply: Option<Reply>) {
        self.is_over = true;
        if let Some(reply) = reply {
            reply.send(self.terms.refusal(condition));
        }
        let early = std::mem::take(&mut self.early).into_values();
        let waiting = std::mem::take(&mut self.held).into_iter();
        for held in waiting.chain(early.map(|(_, held)| held)) {
            if let Some(reply) = held.into_reply() {
                reply.send(self.terms.refusal(Condition::OtherRequest));
            }
        }
        self.input = None;
        self.output.clear();
        self.answered.clear();
        self.wake();
    }

    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// What is wrong with a request that came again: it is another one (§15.4), or came too often (§14.3).
fn refusal(is_other: bool) -> Condition {
    if is_other {
        Condition::ItemNotFound
    } else {
        Condition::PolicyViolation
    }
}

/// In hexadecimal.
fn sha1(text: &str) -> String {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    hash.as_ref().iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
