//! What client and server agreed on when a session was opened (XEP-0124 §7), and the words of it.

use super::{
    body::{Answer, Body, Condition, Request, VERSION, content_type},
    limits::{
        HOLD_MAX, INACTIVITY_S, PAUSE_S_MAX, POLL_PATIENCE_MS, POLLING_INACTIVITY_S, POLLING_S,
        WAIT_S_MAX,
    },
    session::Opening,
};
use std::sync::Arc;
use xmpp::framing;

pub(super) struct Terms {
    to: String,
    lang: Option<String>,
    /// The version of XMPP.
    xmpp: String,
    content_type: Arc<str>,
    /// Nothing for a client of the days before it.
    version: Option<(u32, u32)>,
    wait_s: u64,
    pub(super) hold: usize,
    /// Nothing is held (§12).
    pub(super) is_polling: bool,
    /// Either side says what it has (§9).
    pub(super) has_acks: bool,
}

impl Terms {
    pub(super) fn new(to: String, request: &Request) -> Terms {
        let wanted = &request.terms;
        let wait_s = wanted.wait.map_or(WAIT_S_MAX, |wait| wait.min(WAIT_S_MAX));
        let hold = wanted.hold.map_or(1, |hold| hold.min(HOLD_MAX as u64)) as usize;
        let is_polling = wait_s == 0 || hold == 0;
        Terms {
            to,
            lang: request.lang.clone(),
            // XEP-0206 §11 gives the default.
            xmpp: wanted.xmpp.clone().unwrap_or_else(|| "1.0".into()),
            content_type: match &wanted.content {
                Some(content) => content.as_str().into(),
                None => content_type(),
            },
            version: wanted.version,
            wait_s,
            hold: if is_polling { 0 } else { hold },
            is_polling,
            has_acks: request.ack.is_some(),
        }
    }

    /// The header of a stream that a request asks for.
    pub(super) fn header(&self, request: &Request) -> String {
        framing::header_with(|name| match name {
            "to" => Some(request.to.as_deref().unwrap_or(&self.to)),
            "from" => request.from.as_deref(),
            "version" => Some(&self.xmpp),
            "xml:lang" => request.lang.as_deref().or(self.lang.as_deref()),
            _ => None,
        })
    }

    /// How many requests may be open at a time (§7.2).
    pub(super) fn requests(&self) -> usize {
        self.hold + 1
    }

    /// Milliseconds that a request waits for something to say.
    pub(super) fn patience_ms(&self) -> u64 {
        if self.is_polling {
            POLL_PATIENCE_MS
        } else {
            self.wait_s * 1_000
        }
    }

    pub(super) fn inactivity_s(&self) -> u64 {
        if self.is_polling {
            POLLING_INACTIVITY_S
        } else {
            INACTIVITY_S
        }
    }

    /// What the answer says that opens the session to the request `rid` (§7.2; XEP-0206 §4).
    pub(super) fn announce(&self, body: &mut Body, opening: &Opening, rid: u64) {
        let version = self.version.unwrap_or(VERSION).min(VERSION);
        body.set("sid", &opening.sid);
        body.set("ver", &format!("{}.{}", version.0, version.1));
        body.set_number("wait", self.wait_s);
        body.set_number("hold", self.hold as u64);
        body.set_number("requests", self.requests() as u64);
        body.set_number("polling", POLLING_S);
        body.set_number("inactivity", self.inactivity_s());
        body.set_number("maxpause", PAUSE_S_MAX);
        if self.has_acks {
            body.set_number("ack", rid);
        }
        body.set("from", &self.to);
        // Of older versions of the specification; some clients still look for it.
        body.set("secure", "true");
        if !opening.stream_id.is_empty() {
            body.set("authid", &opening.stream_id);
        }
        body.set_xbosh("version", "1.0");
        body.set_xbosh("restartlogic", "true");
    }

    pub(super) fn answer(&self, body: String) -> Answer {
        Answer {
            status: 200,
            content_type: self.content_type.clone(),
            body,
        }
    }

    /// The answer that asks for the request, and for those before it, once more (§17.3).
    pub(super) fn recoverable(&self) -> Answer {
        let mut body = Body::default();
        body.set("type", "error");
        self.answer(body.write(""))
    }

    /// The answer that ends the session.
    pub(super) fn refusal(&self, condition: Condition) -> Answer {
        let is_legacy = self.version.is_none();
        Answer {
            content_type: self.content_type.clone(),
            ..condition.answer(is_legacy)
        }
    }
}
