//! The stream of an external component (XEP-0114): what comes in, what goes out, and what its driver has to
//! do next. No sockets, no timers, as in `connection.rs`; driven like that, too.
//!
//! A component names its domain in the header and shows with `<handshake/>` that it knows the secret that the
//! configuration has for it. From then on it speaks for every address at that domain, and gets everything
//! that is for one. It never negotiates features: its stream has no version (§3).
//!
//! Of two connections of the same component the one that is there stays, and the newcomer gets `conflict`:
//! §3 has that error for a header that the server will not serve. Otherwise two gateways with one name would
//! throw each other out for ever. In case it is dead, the old line is tried at once, so a gateway whose
//! machine lost power gets in again after [`crate::s2s::dial::limits::SERVER_DEAD_LINE_MS`].

mod entrance;
mod handshake;
pub mod limits;
mod line;
pub(crate) mod privilege;
mod registry;

pub(crate) use privilege::{Asked, Granted};
pub(crate) use registry::Components;

use crate::{
    account::Account,
    connection::{Rate, Todo},
    limits::{CONGESTION_MS, IDLE_MS, LEAVING_MAX, NEGOTIATION_MS_MAX, OUTPUT_BYTES_PAUSE},
    s2s::{Beside, Sent, limits::REMOTE_SENT_MAX},
    server::Server,
    world::random_id,
};
use line::Line;
use std::{
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};
use tracing::{info, warn};
use xmpp::{
    Element, Jid, StreamError, compose,
    limits::{STANZA_BYTES_MAX, UNAUTHENTICATED_BYTES_MAX},
    ns,
    stream::{Event, Header, Reader},
};

/// One stream of a component.
pub struct Component {
    server: Arc<Server>,
    address: IpAddr,
    reader: Reader,
    output: Vec<u8>,
    /// Whether our header is in the output or was written.
    has_header: bool,
    stage: Stage,
    /// Its place among the components, from the handshake until [`Component::leave`].
    line: Option<Arc<Line>>,
    rate: Rate,
    /// Until when nothing is read, in elapsed milliseconds.
    pause: Option<u64>,
    /// When a byte last went over the line, likewise.
    quiet_since: u64,
    /// What may not have arrived.
    sent: Sent,
    /// Where in the output what was sent since it was last written begins.
    fresh: Option<usize>,
    /// What it asked for and has no answer to yet.
    reads: Beside,
    /// Somebody's queue is full because of what this component sends.
    behind: Option<Arc<Account>>,
}

enum Stage {
    /// Until this time, in elapsed milliseconds, it has to show its header and its secret.
    New {
        until: u64,
    },
    /// It said which component it is; the id of our header goes into the digest.
    Named {
        until: u64,
        name: Jid,
        id: String,
    },
    /// It knew the wrong secret, and hears so at this time.
    Refused {
        at: u64,
    },
    Connected(Arc<Line>),
    Closed,
}

impl Component {
    /// The stream of somebody who connects from there.
    pub fn new(server: Arc<Server>, address: IpAddr) -> Component {
        let now = server.clock().elapsed_ms();
        Component {
            server,
            address,
            reader: Reader::new(ns::COMPONENT, UNAUTHENTICATED_BYTES_MAX),
            output: Vec::new(),
            has_header: false,
            stage: Stage::New {
                until: now + NEGOTIATION_MS_MAX,
            },
            line: None,
            rate: Rate::default(),
            pause: None,
            quiet_since: now,
            sent: Sent::default(),
            fresh: None,
            reads: Beside::default(),
            behind: None,
        }
    }

    /// Takes bytes off the wire.
    pub fn push(&mut self, bytes: &[u8]) {
        let now = self.now();
        self.quiet_since = now;
        let rate = self.server.config().limits.s2s_rate;
        self.rate.spend(bytes.len(), rate, now);
        if !matches!(self.stage, Stage::Closed) {
            self.reader.push(bytes);
        }
    }

    /// Works off what was pushed and what waits for the component, as far as it goes now. Not to be dropped
    /// before it is done.
    pub async fn step(&mut self) -> Todo {
        self.reads.go_on().await;
        loop {
            self.collect();
            match &self.stage {
                Stage::Closed => return Todo::Close,
                Stage::Refused { .. } => return Todo::Wait,
                _ if self.output.len() >= OUTPUT_BYTES_PAUSE => return Todo::Write,
                _ => {}
            }
            if self.is_congested() {
                self.pause = Some(self.now() + CONGESTION_MS);
                return Todo::Wait;
            }
            if self.reads.is_full() {
                return Todo::Wait;
            }
            match self.reader.next() {
                Ok(None) => return self.read_or_wait(),
                Ok(Some(event)) => self.take(event).await,
                Err(error) => self.end(error),
            }
        }
    }

    /// Bytes to send. The driver takes them out.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// All the output that was there was written to the socket.
    pub fn written(&mut self) {
        self.quiet_since = self.now();
        self.sent.written(self.quiet_since);
        self.fresh = None;
    }

    /// When to call [`Component::tick`], in elapsed milliseconds.
    pub fn deadline(&self) -> Option<u64> {
        let due = match &self.stage {
            Stage::New { until } | Stage::Named { until, .. } => *until,
            Stage::Refused { at } => *at,
            Stage::Connected(_) => self.quiet_since + IDLE_MS,
            Stage::Closed => return None,
        };
        [Some(due), self.pause, self.sent.due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The deadline may have passed.
    pub fn tick(&mut self) {
        let now = self.now();
        self.pause = self.pause.filter(|pause| *pause > now);
        self.sent.settle(&self.server, now);
        match &self.stage {
            Stage::New { until } | Stage::Named { until, .. } if *until <= now => {
                self.end(StreamError::CONNECTION_TIMEOUT);
            }
            Stage::Refused { at } if *at <= now => self.end(StreamError::NOT_AUTHORIZED),
            // RFC 6120 §4.6.1: a space shows whether the line is dead.
            Stage::Connected(_) if self.quiet_since + IDLE_MS <= now => {
                self.quiet_since = now;
                self.output.push(b' ');
            }
            _ => {}
        }
    }

    /// Whether it has shown its secret.
    pub fn is_authenticated(&self) -> bool {
        matches!(self.stage, Stage::Connected(_))
    }

    /// Ends the stream with an error (RFC 6120 §4.9.1.1): nothing more is read.
    pub fn end(&mut self, error: StreamError) {
        if matches!(self.stage, Stage::Closed) {
            return;
        }
        // §4.9.1.2: an error during setup comes inside a stream, too.
        if !self.has_header {
            let domain = self.server.domain().clone();
            self.open(&domain);
        }
        self.output.extend(error.to_xml().as_bytes());
        self.close();
    }

    /// The component is gone. Once, when the socket is gone or the stream is closed.
    pub async fn leave(&mut self) {
        self.stage = Stage::Closed;
        self.reads.finish().await;
        let Some(line) = self.line.take() else { return };
        info!(component = %line.name, "component disconnected");
        // Before its place is free: whoever gets that finds the queue whole.
        let sent = std::mem::take(&mut self.sent);
        let over = sent.back_to(&line.queue, line.number);
        self.server.detach_component(&line);
        self.server.give_up_on_component(over).await;
    }

    /// Ready when there is something for the component, which the next step puts into the output.
    pub(crate) fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.reads.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Stage::Connected(line) = &self.stage else {
            return Poll::Pending;
        };
        if line.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if self.sent.len() >= REMOTE_SENT_MAX {
            return Poll::Pending; // time makes room
        }
        line.queue.poll(line.number, cx)
    }

    fn now(&self) -> u64 {
        self.server.clock().elapsed_ms()
    }

    /// What waits for the component becomes output.
    fn collect(&mut self) {
        let Stage::Connected(line) = &self.stage else {
            return;
        };
        let room = OUTPUT_BYTES_PAUSE.saturating_sub(self.output.len());
        if room > 0 && self.sent.len() < REMOTE_SENT_MAX {
            for waiting in line.queue.take(line.number, room) {
                self.fresh.get_or_insert(self.output.len());
                waiting.entry.write(&mut self.output);
                self.sent.note(waiting);
            }
        }
        let news = line.news();
        if news.doubted {
            self.output.push(b' ');
        }
        if let Some(error) = news.end {
            self.end(error);
        }
    }

    fn is_congested(&mut self) -> bool {
        let behind = self.behind.take();
        self.behind = behind.filter(|account| account.leaving() > LEAVING_MAX);
        self.behind.is_some() || self.server.store().is_congested()
    }

    fn read_or_wait(&mut self) -> Todo {
        let limits = &self.server.config().limits;
        let allowed = (limits.s2s_rate, limits.s2s_burst);
        self.pause = self.rate.pause_until(allowed, self.now());
        Todo::read_unless(self.pause)
    }

    async fn take(&mut self, event: Event) {
        match event {
            Event::Opened(header) => self.opened(&header),
            Event::Nonza(element) => self.nonza(&element).await,
            Event::Stanza(stanza) => {
                self.sent.heard();
                let Stage::Connected(line) = &self.stage else {
                    return self.end(StreamError::NOT_AUTHORIZED);
                };
                let line = line.clone();
                match self.server.receive_from_component(&line.name, stanza).await {
                    Ok(None) => {}
                    Ok(Some(passing)) if Beside::is_for(&passing) => {
                        let server = self.server.clone();
                        let read = async move {
                            server.route_from_component(passing).await;
                        };
                        self.reads.begin(read).await;
                    }
                    Ok(Some(passing)) => {
                        let server = self.server.clone();
                        self.behind = Box::pin(server.route_from_component(passing)).await;
                    }
                    Err(error) => {
                        warn!(component = %line.name, condition = error.condition, "component closed");
                        self.end(error);
                    }
                }
            }
            // RFC 6120 §4.4: the peer's close is answered with ours.
            Event::Closed => {
                self.sent.closed(&self.server, self.now());
                // It comes again over the next stream.
                self.output.truncate(self.fresh.unwrap_or(usize::MAX));
                self.close();
            }
        }
    }

    /// §3: `to` is the component's own name.
    fn opened(&mut self, header: &Header) {
        let name = header.to.as_deref().and_then(|to| Jid::parse(to).ok());
        let known = name.filter(|name| self.server.is_component(name.as_str()));
        let Some(name) = known else {
            return self.end(StreamError::HOST_UNKNOWN);
        };
        let id = self.open(&name);
        let until = match &self.stage {
            Stage::New { until } => *until,
            _ => self.now(),
        };
        self.stage = Stage::Named { until, name, id };
    }

    /// Our header; gives its id.
    fn open(&mut self, from: &Jid) -> String {
        let id = random_id(self.server.dice());
        let mut out = String::from("<?xml version='1.0'?><stream:stream");
        compose::attribute(&mut out, "from", from.as_str());
        compose::attribute(&mut out, "id", &id);
        compose::attribute(&mut out, "xmlns", ns::COMPONENT);
        compose::attribute(&mut out, "xmlns:stream", ns::STREAMS);
        out.push('>');
        self.output.extend(out.as_bytes());
        self.has_header = true;
        id
    }

    async fn nonza(&mut self, element: &Element) {
        // RFC 6120 §4.9.1.1: whoever sends an error closes the stream behind it.
        if element.is(ns::STREAMS, "error") {
            return self.close();
        }
        match &self.stage {
            Stage::Named { name, id, .. } if element.is(ns::CLIENT, "handshake") => {
                let (name, id) = (name.clone(), id.clone());
                self.handshake(&name, &id, &element.text()).await;
            }
            Stage::Connected(_) => self.end(StreamError::UNSUPPORTED_STANZA_TYPE),
            _ => self.end(StreamError::NOT_AUTHORIZED),
        }
    }

    async fn handshake(&mut self, name: &Jid, id: &str, digest: &str) {
        let config = self.server.config();
        let secret = config.components.get(name.as_str());
        if !secret.is_some_and(|secret| handshake::is_right(id, secret.expose(), digest)) {
            warn!(component = %name, address = %self.address, "a component showed the wrong secret");
            let at = self.now() + self.server.component_failed(self.address, name);
            self.stage = Stage::Refused { at };
            return self.tick();
        }
        let line = match self.server.attach_component(name) {
            Ok(line) => line,
            Err(error) => {
                let condition = error.condition;
                warn!(component = %name, address = %self.address, condition, "no place for a component");
                return self.end(error);
            }
        };
        info!(component = %name, address = %self.address, "component connected");
        self.output.extend(b"<handshake/>");
        self.reader.allow(STANZA_BYTES_MAX);
        if let Some(advertisement) = privilege::advertisement(&self.server, name) {
            advertisement.write(&mut self.output);
        }
        self.line = Some(line.clone());
        self.stage = Stage::Connected(line);
        self.server.show_presence_to(name).await;
    }

    fn close(&mut self) {
        self.output.extend(b"</stream:stream>");
        self.stage = Stage::Closed;
    }
}

#[cfg(test)]
mod tests;
