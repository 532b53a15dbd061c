//! Answers: who waits for one, when they get it, and which ones are kept for those whose connection broke
//! (XEP-0124 §8, §9, §13, §14.3).

use super::{
    body::{Answer, Body, Condition, Request},
    limits::{ANSWER_BYTES_MAX, ANSWERS_KEPT_BYTES_MAX, ANSWERS_KEPT_MAX},
    session::Session,
};
use tokio::sync::oneshot;
use xmpp::framing::Piece;

/// Where an answer goes.
pub(super) struct Reply(pub(super) oneshot::Sender<Answer>);

impl Reply {
    pub(super) fn send(self, answer: Answer) {
        let _ = self.0.send(answer); // or the connection broke, and the client asks again
    }
}

/// A request that waits for its answer.
pub(super) struct Held {
    pub(super) rid: u64,
    pub(super) key: Option<String>,
    /// When it came, in elapsed milliseconds.
    pub(super) since: u64,
    pub(super) repeats: u32,
    reply: Reply,
}

impl Held {
    pub(super) fn new(request: &Request, reply: Reply, now: u64) -> Held {
        Held {
            rid: request.rid,
            key: request.key.clone(),
            since: now,
            repeats: 0,
            reply,
        }
    }

    /// Whether its connection is there.
    pub(super) fn is_live(&self) -> bool {
        !self.reply.0.is_closed()
    }

    pub(super) fn into_reply(self) -> Option<Reply> {
        self.is_live().then_some(self.reply)
    }

    /// The request came again, on a new connection. Gives back the old one, if that is still there.
    pub(super) fn renew(&mut self, reply: Reply, now: u64) -> Option<Reply> {
        self.repeats += 1;
        self.since = now;
        let before = std::mem::replace(&mut self.reply, reply);
        (!before.0.is_closed()).then_some(before)
    }
}

/// An answer that was given.
pub(super) struct Answered {
    pub(super) rid: u64,
    pub(super) key: Option<String>,
    /// When, in elapsed milliseconds.
    pub(super) at: u64,
    pub(super) repeats: u32,
    has_payload: bool,
    pub(super) body: String,
}

impl Answered {
    /// Whether there was nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_payload
    }
}

impl Session {
    /// What the stream says.
    pub(super) fn say(&mut self, pieces: Vec<Piece>, now: u64) {
        let mut condition = None;
        for piece in pieces {
            match piece {
                Piece::Open(attributes) => {
                    if let Some(opening) = &mut self.opening {
                        stream_id(&attributes).clone_into(&mut opening.stream_id);
                    }
                }
                Piece::Element(error) if error.starts_with("<stream:error") => {
                    let is_stop = error.contains("<system-shutdown");
                    if is_stop {
                        condition = Some(Condition::SystemShutdown);
                    } else if !self.is_goodbye {
                        condition = Some(Condition::RemoteStreamError);
                        self.output.push_back(error);
                    }
                }
                Piece::Element(element) => self.output.push_back(element),
                Piece::Close => (self.is_closing, self.why) = (true, condition),
                Piece::Space => {}
            }
        }
        self.respond(now);
    }

    /// Answers whoever is to be answered now, in the order of their requests.
    pub(super) fn respond(&mut self, now: u64) {
        let patience = self.terms.patience_ms();
        while !self.is_over && !self.held.is_empty() {
            let mut live = self.held.iter().filter(|held| held.is_live());
            // Who is answered may send more: not before the stream has taken what came, unless that is
            // what the stream waits for.
            let is_taken = self.untaken() == 0;
            let is_late = live.clone().any(|held| held.since + patience <= now);
            let is_due = is_taken && (is_late || self.pause.is_some());
            let has_news = !self.output.is_empty() && !self.is_goodbye || self.is_closing;
            let is_wanted = has_news && live.next().is_some();
            // While the stream works, more may come of it soon; and the first answer has its features.
            let is_crowded = self.opening.is_none()
                && !self.is_goodbye
                && (self.held.len() > self.terms.hold || self.report.is_some());
            if !(is_due || is_wanted || is_crowded && self.is_settled) {
                return;
            }
            let is_live = self.held.front().is_some_and(Held::is_live);
            // §10: nothing is in the answer to a pause.
            let content = if is_live && !(is_taken && self.pause.is_some()) {
                self.next_content()
            } else {
                String::new()
            };
            if is_live && self.output.is_empty() && self.is_closing {
                return self.finish(&content);
            }
            self.answer(0, &content, now);
        }
    }

    /// As much of what waits as goes into an answer.
    fn next_content(&mut self) -> String {
        let mut content = String::new();
        while let Some(element) = self.output.front() {
            let bytes = content.len() + element.len();
            if !content.is_empty() && bytes > ANSWER_BYTES_MAX && !self.is_goodbye {
                break;
            }
            content.push_str(element);
            self.output.pop_front();
        }
        if self.output.is_empty() {
            self.output.shrink_to_fit();
        }
        content
    }

    /// Answers the request at this place among those that wait, and keeps the answer.
    pub(super) fn answer(&mut self, at: usize, content: &str, now: u64) {
        let Some(held) = self.held.remove(at) else {
            return;
        };
        let mut body = Body::default();
        let highest = self.next - 1;
        match self.opening.take() {
            Some(opening) => self.terms.announce(&mut body, &opening, held.rid),
            // §9.1: not where it says nothing new.
            None if self.terms.has_acks && highest != held.rid => body.set_number("ack", highest),
            None => {}
        }
        if let Some((rid, at)) = self.report.take() {
            body.set_number("report", rid);
            body.set_number("time", now.saturating_sub(at).min(u64::from(u16::MAX)));
        }
        let body = body.write(content);
        self.answered.push_back(Answered {
            rid: held.rid,
            key: held.key.clone(),
            at: now,
            repeats: 0,
            has_payload: !content.is_empty(),
            body: body.clone(),
        });
        self.forget();
        self.quiet_since = now;
        if let Some(reply) = held.into_reply() {
            reply.send(self.terms.answer(body));
        }
        self.wake();
    }

    /// Keeps no more answers than were agreed on.
    fn forget(&mut self) {
        let count = if self.terms.has_acks {
            ANSWERS_KEPT_MAX
        } else {
            self.terms.requests()
        };
        let mut bytes: usize = self.answered.iter().map(|it| it.body.len()).sum();
        while self.answered.len() > count
            || bytes > ANSWERS_KEPT_BYTES_MAX && self.answered.len() > 1
        {
            let oldest = self.answered.pop_front();
            bytes -= oldest.map_or(0, |it| it.body.len());
        }
    }

    /// Ends the session in peace or with what the stream says is wrong: the oldest request is told, the
    /// others
    /// are answered (§13).
    fn finish(&mut self, content: &str) {
        let condition = self.why;
        let mut body = Body::default();
        body.end(condition);
        let mut answer = self.terms.answer(body.write(content));
        (self.is_over, self.is_told) = (true, true);
        let early = std::mem::take(&mut self.early).into_values();
        let waiting = std::mem::take(&mut self.held).into_iter();
        for held in waiting.chain(early.map(|(_, held)| held)) {
            if let Some(reply) = held.into_reply() {
                let empty = self.terms.answer(Body::default().write(""));
                reply.send(std::mem::replace(&mut answer, empty));
            }
        }
        self.answered.clear();
        self.wake();
    }
}

/// The id among a header's attributes.
fn stream_id(attributes: &str) -> &str {
    let id = attributes.split_once(" id='").map(|(_, rest)| rest);
    id.and_then(|rest| rest.split_once('\''))
        .map_or("", |(id, _)| id)
}
