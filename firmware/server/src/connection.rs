//! One transport's stream: what comes in, what goes out, and what its driver has to do next. No sockets, no
//! timers: the same code runs behind tokio and in the simulated world of the tests.
//!
//! A driver works in a circle: [`Connection::step`], write [`Connection::output`] and tell that it was
//! [`Connection::written`], then do what `step` asked for. [`Connection::leave`] comes last, however it
//! ended. A connection is not a session (DESIGN §5): it gets one when a resource is bound, and gives it back.

mod acknowledgements;
mod header;
mod rate;

pub use crate::negotiation::{Done, Work};

use crate::{
    features::management,
    limits::{CONGESTION_MS, IDLE_MS, OUTPUT_BYTES_PAUSE},
    negotiation::{Negotiation, Next},
    outbox::Batch,
    server::Server,
    session::Session,
};
use acknowledgements::Management;
pub(crate) use rate::Rate;
use std::{
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};
use xmpp::{
    Element, Stanza, StreamError,
    limits::{STANZA_BYTES_MAX, UNAUTHENTICATED_BYTES_MAX},
    ns,
    sasl::ChannelBindings,
    stream::{Event, Header, Reader},
};

/// How a client comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// In the clear, and then TLS is required (RFC 6120 §5).
    StartTls,
    /// TLS from the first byte (XEP-0368).
    DirectTls,
    /// Over something that counts as TLS and has nothing to bind a login to.
    Secured,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    pub address: IpAddr,
    pub door: Door,
}

/// What the driver does next, after writing the output.
pub enum Todo {
    /// Wait for bytes, for the outbox, for the deadline.
    Read,
    /// Wait for the outbox and for the deadline, but read nothing: the stream has to wait its turn.
    Wait,
    /// Nothing, step again: there is more to work off, once what waits is written.
    Write,
    /// Negotiate TLS and call [`Connection::secured`].
    StartTls,
    /// Run this where threads may block and [`Connection::resume`] with the result.
    Work(Work),
    /// Close the socket.
    Close,
}

impl Todo {
    /// Wait for bytes, unless there is a time before which none are read.
    pub(crate) fn read_unless(pause: Option<u64>) -> Todo {
        pause.map_or(Todo::Read, |_| Todo::Wait)
    }
}

/// One stream of a client.
pub struct Connection {
    server: Arc<Server>,
    reader: Reader,
    output: Vec<u8>,
    /// Whether our header of the current stream is in the output or was written.
    has_header: bool,
    stage: Stage,
    session: Option<Arc<Session>>,
    /// Which of the session's connections this is.
    epoch: u32,
    management: Management,
    /// The client said goodbye, or was refused for good: no session outlives that.
    is_over: bool,
    /// Positions in the archive of what is in the output.
    positions: Vec<u64>,
    rate: Rate,
    /// Until when nothing is read, in elapsed milliseconds.
    pause: Option<u64>,
    /// When the line was last heard to be alive, or tried, in elapsed milliseconds.
    quiet_since: u64,
}

enum Stage {
    Negotiating(Box<Negotiation>),
    Bound,
    Closed,
}

impl Connection {
    pub fn new(server: Arc<Server>, peer: Peer) -> Connection {
        let now = server.clock().elapsed_ms();
        let mut negotiation = match peer.door {
            Door::StartTls => Negotiation::clear(peer.address, now),
            Door::DirectTls | Door::Secured => Negotiation::handshake(peer.address, now),
        };
        if peer.door == Door::Secured {
            negotiation.secured(ChannelBindings::default());
        }
        Connection {
            server,
            reader: Reader::new(ns::CLIENT, UNAUTHENTICATED_BYTES_MAX),
            output: Vec::new(),
            has_header: false,
            stage: Stage::Negotiating(Box::new(negotiation)),
            session: None,
            epoch: 0,
            management: Management::default(),
            is_over: false,
            positions: Vec::new(),
            rate: Rate::default(),
            pause: None,
            quiet_since: now,
        }
    }

    /// TLS is up. Nothing that came before it counts (RFC 6120 §5.4.3.3).
    pub fn secured(&mut self, bindings: ChannelBindings) {
        if let Stage::Negotiating(negotiation) = &mut self.stage {
            negotiation.secured(bindings);
            self.reader = Reader::new(ns::CLIENT, UNAUTHENTICATED_BYTES_MAX);
            self.has_header = false;
        }
    }

    /// Takes bytes off the wire.
    pub fn push(&mut self, bytes: &[u8]) {
        self.arrived(bytes, bytes.len());
    }

    /// The same, where so many came off the wire: they show that the line is alive, and count for the rate.
    pub(crate) fn arrived(&mut self, bytes: &[u8], count: usize) {
        let now = self.now();
        self.quiet_since = now;
        self.management.heard();
        self.rate
            .spend(count, self.server.config().limits.c2s_rate, now);
        if !matches!(self.stage, Stage::Closed) {
            self.reader.push(bytes);
        }
    }

    /// Works off what was pushed, what waits in the outbox and what time brought, as far as it goes now. Not
    /// to be dropped before it is done.
    pub async fn step(&mut self) -> Todo {
        loop {
            self.collect();
            self.acknowledge();
            match &self.stage {
                Stage::Closed => return Todo::Close,
                Stage::Negotiating(negotiation) if negotiation.is_waiting() => return Todo::Wait,
                Stage::Bound if self.output.len() >= OUTPUT_BYTES_PAUSE => return Todo::Write,
                Stage::Negotiating(_) | Stage::Bound => {}
            }
            if self.is_congested() {
                self.pause = Some(self.now() + CONGESTION_MS);
                return Todo::Wait;
            }
            match self.reader.next() {
                Ok(None) => return self.read_or_wait(),
                Ok(Some(event)) => {
                    // Boxed: most steps only write, and need nothing of the kilobytes that this does.
                    if let Some(todo) = Box::pin(self.take(event)).await {
                        return todo;
                    }
                }
                Err(error) => self.end(error),
            }
        }
    }

    /// What [`Todo::Work`] asked for.
    pub async fn resume(&mut self, done: Done) {
        if let Stage::Negotiating(negotiation) = &mut self.stage {
            let next = negotiation
                .resume(&self.server, done, &mut self.output)
                .await;
            // Looking up is followed by an answer, never by another thing to do.
            let _ = self.follow(next);
        }
    }

    /// Bytes to send. The driver takes them out.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// All the output that was there was written to the socket.
    pub async fn written(&mut self) {
        let now = self.now();
        self.quiet_since = now;
        self.management.written(now);
        let positions = std::mem::take(&mut self.positions);
        if let (Some(session), false) = (&self.session, positions.is_empty()) {
            self.server.written(session, &positions).await;
        }
    }

    /// When to call [`Connection::tick`], in elapsed milliseconds.
    pub fn deadline(&self) -> Option<u64> {
        match &self.stage {
            Stage::Negotiating(negotiation) => {
                let deadline = negotiation.deadline();
                Some(self.pause.map_or(deadline, |pause| pause.min(deadline)))
            }
            Stage::Bound => {
                let due = self.pause.unwrap_or(self.quiet_since + IDLE_MS);
                Some(
                    self.management
                        .deadline()
                        .map_or(due, |other| other.min(due)),
                )
            }
            Stage::Closed => None,
        }
    }

    /// The deadline may have passed.
    pub fn tick(&mut self) {
        let now = self.now();
        self.pause = self.pause.filter(|pause| *pause > now);
        match &mut self.stage {
            Stage::Negotiating(negotiation) => {
                if let Err(error) = negotiation.tick(now, &mut self.output) {
                    self.end(error);
                }
            }
            Stage::Bound if self.management.is_dead(now) => self.drop_line(),
            // RFC 6120 §4.6.1: a space shows whether the line is dead; a peer that is merely silent may stay.
            // One that counts can be asked (XEP-0198 §8.2).
            Stage::Bound if self.quiet_since + IDLE_MS <= now => {
                self.quiet_since = now;
                if self.is_managed() {
                    self.management.ask(&mut self.output);
                } else {
                    self.output.push(b' ');
                }
            }
            Stage::Bound | Stage::Closed => {}
        }
    }

    /// The session, from the bound resource until [`Connection::leave`].
    pub fn session(&self) -> Option<&Arc<Session>> {
        self.session.as_ref()
    }

    /// Turns what waited in the outbox into output.
    pub fn deliver(&mut self, batch: Batch) {
        if !matches!(self.stage, Stage::Bound) {
            return;
        }
        for entry in &batch.entries {
            entry.write(&mut self.output);
            if batch.unmanaged {
                self.positions.extend(entry.position);
            }
        }
        self.management.ask_when(batch.ask, &mut self.output);
        if batch.cut {
            self.drop_line();
        }
        if let Some(error) = batch.end {
            self.end(error);
        }
    }

    /// Ends the stream with an error (RFC 6120 §4.9.1.1): nothing more is read.
    pub fn end(&mut self, error: StreamError) {
        match &self.stage {
            Stage::Closed => return,
            // The next byte on this line is TLS or nothing.
            Stage::Negotiating(negotiation) if negotiation.is_handshake() => {
                self.stage = Stage::Closed;
                return;
            }
            Stage::Negotiating(_) | Stage::Bound => {}
        }
        // §4.9.1.2: an error during setup comes inside a stream, too.
        if !self.has_header {
            self.output.extend(header::unasked(&self.server).as_bytes());
        }
        self.output.extend(error.to_xml().as_bytes());
        self.close();
        // The server or the line has to go, and the client may come back to its session.
        let is_ours = [
            StreamError::SYSTEM_SHUTDOWN,
            StreamError::CONNECTION_TIMEOUT,
        ]
        .contains(&error);
        self.is_over |= !is_ours;
    }

    /// Gives the session back. Once, when the socket is gone or the stream is closed.
    pub async fn leave(&mut self) {
        match self.session.take() {
            Some(session) if self.is_over => self.server.leave_over(&session, self.epoch).await,
            Some(session) => self.server.lost(&session, self.epoch).await,
            None => {}
        }
    }

    /// Ready when the outbox or the disk has something for this connection, which the next step puts into
    /// the output.
    pub(crate) fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(session) = self.session.clone() else {
            return Poll::Pending;
        };
        if let Poll::Ready(batch) = session.outbox.poll_batch(self.epoch, self.now(), cx) {
            self.deliver(batch);
            return Poll::Ready(());
        }
        self.management.poll(&session, self.server.store(), cx)
    }

    fn now(&self) -> u64 {
        self.server.clock().elapsed_ms()
    }

    fn collect(&mut self) {
        if let (Stage::Bound, Some(session)) = (&self.stage, &self.session) {
            let batch = session.outbox.take_for(self.epoch, self.now());
            self.deliver(batch);
        }
    }

    fn acknowledge(&mut self) {
        if let (Stage::Bound, Some(session)) = (&self.stage, &self.session) {
            let now = self.server.clock().elapsed_ms();
            self.management
                .answer(session, self.server.store(), now, &mut self.output);
        }
    }

    fn is_managed(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| session.outbox.is_managed())
    }

    /// Ends the connection without a word; a session that can be resumed waits.
    fn drop_line(&mut self) {
        self.output = Vec::new();
        self.stage = Stage::Closed;
    }

    fn is_congested(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| self.server.is_congested(session))
    }

    fn read_or_wait(&mut self) -> Todo {
        let limits = &self.server.config().limits;
        let allowed = (limits.c2s_rate, limits.c2s_burst);
        self.pause = self.rate.pause_until(allowed, self.now());
        Todo::read_unless(self.pause)
    }

    async fn take(&mut self, event: Event) -> Option<Todo> {
        match event {
            Event::Opened(header) => self.opened(&header),
            Event::Stanza(stanza) => return self.stanza(stanza).await,
            Event::Nonza(element) => return self.nonza(&element).await,
            // §4.4: the peer's close is answered with ours.
            Event::Closed => {
                self.is_over = true;
                self.close();
            }
        }
        None
    }

    fn opened(&mut self, header: &Header) {
        self.output
            .extend(header::answer(&self.server, header).as_bytes());
        self.has_header = true;
        if let Stage::Negotiating(negotiation) = &mut self.stage
            && let Err(error) = negotiation.opened(&self.server, header, &mut self.output)
        {
            self.end(error);
        }
    }

    async fn stanza(&mut self, stanza: Stanza) -> Option<Todo> {
        if let Stage::Negotiating(negotiation) = &mut self.stage {
            let next = negotiation
                .stanza(&self.server, &stanza, &mut self.output)
                .await;
            return self.follow(next);
        }
        if let Some(session) = &self.session {
            let server = &self.server;
            server.receive_over(session, self.epoch, stanza).await;
        }
        None
    }

    async fn nonza(&mut self, element: &Element) -> Option<Todo> {
        // §4.9.1.1: whoever sends an error closes the stream behind it. It is closed in return, and never
        // answered with another error.
        if element.is(ns::STREAMS, "error") {
            return self.follow(Ok(Next::Close));
        }
        let next = match &mut self.stage {
            Stage::Negotiating(negotiation) => {
                negotiation
                    .nonza(&self.server, element, &mut self.output)
                    .await
            }
            Stage::Bound | Stage::Closed => return self.bound_nonza(element).await,
        };
        self.follow(next)
    }

    async fn bound_nonza(&mut self, element: &Element) -> Option<Todo> {
        let Some(session) = &self.session else {
            return self.follow(Err(StreamError::UNSUPPORTED_STANZA_TYPE));
        };
        if element.is(management::NS, "r") && session.outbox.is_managed() {
            self.management.want(self.now());
            return None;
        }
        match self.server.nonza(session, element).await {
            Ok(answer) => self.output.extend(answer.as_bytes()),
            Err(error) => self.end(error),
        }
        None
    }

    fn follow(&mut self, next: Result<Next, StreamError>) -> Option<Todo> {
        match next {
            Ok(Next::Stay) => {}
            Ok(Next::StartTls) => {
                self.reader.clear();
                return Some(Todo::StartTls);
            }
            Ok(Next::Work(work)) => return Some(Todo::Work(work)),
            Ok(Next::Restart) => {
                self.reader.restart();
                self.reader.allow(STANZA_BYTES_MAX);
                self.has_header = false;
            }
            Ok(Next::Authenticated) => self.reader.allow(STANZA_BYTES_MAX),
            Ok(Next::Bound(session, epoch)) => {
                self.reader.allow(STANZA_BYTES_MAX);
                self.session = Some(session);
                self.epoch = epoch;
                self.stage = Stage::Bound;
            }
            Ok(Next::Close) => self.close(),
            Err(error) => self.end(error),
        }
        None
    }

    fn close(&mut self) {
        self.output.extend(b"</stream:stream>");
        self.stage = Stage::Closed;
    }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
