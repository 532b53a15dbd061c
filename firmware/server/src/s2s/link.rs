//! One stream to or from another server: what comes in, what goes out, and what its driver has to do next
//! (RFC 6120 §4-§6, §8.1). No sockets, no timers.
//!
//! Who called says who it is, by certificate (SASL EXTERNAL, XEP-0178) or dialback (XEP-0220), and may then
//! speak for that domain: `calling.rs` and `called.rs`. With XEP-0288 the other side may, too. What is sent
//! is counted where the other side can (XEP-0198, `managed.rs`).

mod called;
mod calling;
mod carrying;
mod dialback;
mod header;
mod managed;
mod receiving;
#[cfg(test)]
mod tests;
mod trusting;

use super::{Beside, Remote, Verification, Verified, dane::Published, dial, remote::Waiting};
use crate::{
    connection::{Rate, Todo},
    limits::{CONGESTION_MS, IDLE_MS, OUTPUT_BYTES_PAUSE},
    s2s::limits::{CALLED_IDLE_MS, REMOTE_IDLE_MS, REMOTE_NEGOTIATION_MS_MAX},
    server::Server,
    session::intake::{Counted, Intake},
    world::random_id,
};
use called::Called;
use calling::Calling;
use dialback::Check;
use managed::Managed;
use rustls_pki_types::{CertificateDer, ServerName};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};
use tokio::sync::oneshot;
use tracing::{debug, info};
use xmpp::{
    Element, Jid, StanzaError, StreamError,
    limits::{STANZA_BYTES_MAX, UNAUTHENTICATED_BYTES_MAX},
    ns,
    stream::{Event, Header, Reader},
};

/// The number of a link and what it counts, for those who outlive a step of it.
struct Line {
    intake: Intake,
}

impl Counted for Line {
    fn intake(&self) -> &Intake {
        &self.intake
    }
}

/// A stream to or from another server.
pub struct Link {
    server: Arc<Server>,
    number: u64,
    address: IpAddr,
    reader: Reader,
    output: Vec<u8>,
    /// TLS comes before the first byte.
    direct: bool,
    /// Whether our header of the current stream is in the output or was written.
    has_header: bool,
    secured: bool,
    closed: bool,
    side: Side,
    /// What the peer showed, leaf first.
    chain: Vec<CertificateDer<'static>>,
    /// The id of the response header (RFC 6120 §4.7.3): ours where we were called.
    stream_id: String,
    ours: Jid,
    /// Theirs: whom we called, or as whom they opened the stream; proven only where `speakers` has it.
    theirs: Option<Jid>,
    /// Domains that this stream may speak for.
    speakers: Vec<Jid>,
    carries: Vec<Arc<Remote>>,
    /// Both directions (XEP-0288).
    bidi: bool,
    /// Keys that are being asked about.
    checks: Vec<Check>,
    /// Whom we could answer over this stream, and whether they publish their certificates: no more than may
    /// speak on it.
    surveys: Vec<(Arc<Remote>, oneshot::Receiver<bool>)>,
    proven_by: &'static str,
    /// Bytes of the largest stanza that the peer takes, where it said so (XEP-0478).
    takes: Option<usize>,
    managed: Managed,
    /// What they asked for and have no answer to yet.
    reads: Beside,
    line: Arc<Line>,
    /// What it may send in a second, together with the others of its domain.
    rate: Arc<Mutex<Rate>>,
    /// Keys and names that were refused.
    refusals: u8,
    /// We have said goodbye, and read until then, in elapsed milliseconds.
    goodbye: Option<u64>,
    /// Until when nothing is read, in elapsed milliseconds.
    pause: Option<u64>,
    /// Until when it has to be known who speaks, likewise.
    patience: Option<u64>,
    /// When bytes last went over the line, likewise.
    quiet_since: u64,
    /// When a stanza last did.
    used: u64,
    /// When the others were last told of that.
    noted: u64,
    /// Where in the output what was sent since it was last written begins.
    fresh: Option<usize>,
}

enum Side {
    Calling(Box<Calling>),
    Called(Called),
}

/// Why a link calls.
pub enum Reached {
    /// To send what waits.
    Deliver(Arc<Remote>),
    /// To ask about a key.
    Verify(Verification),
}

/// How a call has gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is not decided.
    Open,
    /// All connections are made anew: it is to be made again, from the beginning.
    Again,
    /// What it was made for is done, or was begun.
    Reached,
    /// What senders are told, and why, in plain words.
    Failed(StanzaError, String),
}

impl Link {
    /// A stream that another server opens, from the first byte. `direct` says that TLS comes before it
    /// (XEP-0368).
    pub fn called(server: Arc<Server>, address: IpAddr, direct: bool) -> Link {
        let ours = server.domain().clone();
        let side = Side::Called(Called::default());
        Link::new(server, (address, direct), (ours, None), side)
    }

    /// A stream that we open over a connection that stands.
    pub fn calling(server: Arc<Server>, address: IpAddr, direct: bool, why: Reached) -> Link {
        let (ours, theirs) = match &why {
            Reached::Deliver(remote) => (remote.ours.clone(), remote.theirs.clone()),
            Reached::Verify(verification) => {
                (verification.ours.clone(), verification.theirs.clone())
            }
        };
        let until = match &why {
            Reached::Deliver(_) => None,
            Reached::Verify(verification) => Some(verification.until),
        };
        let side = Side::Calling(Box::new(Calling::new(why)));
        let mut link = Link::new(server, (address, direct), (ours, Some(theirs)), side);
        link.patience = link.patience.min(until).or(link.patience);
        if !direct {
            link.open();
        }
        link
    }

    fn new(
        server: Arc<Server>,
        (address, direct): (IpAddr, bool),
        (ours, theirs): (Jid, Option<Jid>),
        side: Side,
    ) -> Link {
        let now = server.clock().elapsed_ms();
        let number = server.next_number();
        server.federation().link_begins(number, address, now);
        Link {
            number,
            address,
            reader: Reader::new(ns::SERVER, UNAUTHENTICATED_BYTES_MAX),
            output: Vec::new(),
            direct,
            has_header: false,
            secured: false,
            closed: false,
            side,
            chain: Vec::new(),
            stream_id: String::new(),
            ours,
            theirs,
            speakers: Vec::new(),
            carries: Vec::new(),
            bidi: false,
            checks: Vec::new(),
            surveys: Vec::new(),
            proven_by: "",
            takes: None,
            managed: Managed::default(),
            reads: Beside::default(),
            line: Arc::new(Line {
                intake: Intake::default(),
            }),
            rate: Arc::default(),
            refusals: 0,
            goodbye: None,
            pause: None,
            patience: Some(now + REMOTE_NEGOTIATION_MS_MAX),
            quiet_since: now,
            used: now,
            noted: now,
            fresh: None,
            server,
        }
    }

    /// Whether we called.
    pub fn is_calling(&self) -> bool {
        matches!(self.side, Side::Calling(_))
    }

    /// Whom the call is for, as TLS wants to know (RFC 6066 §3, RFC 6120 §5.4.1); nothing exactly where we
    /// were called.
    pub(crate) fn server_name(&self) -> Option<ServerName<'static>> {
        let theirs = self.theirs.as_ref().filter(|_| self.is_calling())?;
        // Nobody dials what has no name for TLS: an address says nothing wrong.
        let address = || ServerName::from(self.address);
        Some(dial::tls_name(theirs.as_str()).unwrap_or_else(address))
    }

    /// Whether TLS comes before the first byte (XEP-0368).
    pub(crate) fn is_direct(&self) -> bool {
        self.direct
    }

    /// Who wants to know when the call has reached what it was made for.
    pub(crate) fn tell_when_reached(&mut self, tell: oneshot::Sender<()>) {
        if let Side::Calling(calling) = &mut self.side {
            calling.tell = Some(tell);
        }
    }

    /// What the DNS proves about whom we call.
    pub(crate) fn expect_published(&mut self, published: Published) {
        if let Side::Calling(calling) = &mut self.side {
            calling.published = published;
        }
    }

    /// How the call has gone; a stream that was opened to us is never decided here.
    pub fn outcome(&self) -> Outcome {
        match &self.side {
            Side::Calling(calling) => calling.outcome.clone(),
            Side::Called(_) => Outcome::Open,
        }
    }

    /// Gives back why it was made, where that was not done.
    pub fn into_reason(self) -> Option<Reached> {
        match self.side {
            Side::Calling(calling) => calling.why,
            Side::Called(_) => None,
        }
    }

    /// TLS is up; the certificates that the peer showed, leaf first. Nothing that came before counts (RFC
    /// 6120 §5.4.3.3).
    pub fn secured(&mut self, chain: Vec<CertificateDer<'static>>) {
        self.secured = true;
        self.chain = chain;
        self.reader = Reader::new(ns::SERVER, UNAUTHENTICATED_BYTES_MAX);
        self.has_header = false;
        if self.is_calling() {
            self.open();
        }
    }

    /// Takes bytes off the wire.
    pub fn push(&mut self, bytes: &[u8]) {
        let now = self.now();
        self.quiet_since = now;
        self.managed.heard();
        let rate = self.server.config().limits.s2s_rate;
        self.rate().spend(bytes.len(), rate, now);
        if !self.closed {
            self.reader.push(bytes);
        }
    }

    /// Works off what was pushed, what waits for the remotes and what time brought, as far as it goes now.
    /// Not to be dropped before it is done.
    pub async fn step(&mut self) -> Todo {
        self.reads.go_on().await;
        loop {
            self.settle_checks();
            self.release();
            self.collect().await;
            self.acknowledge();
            if self.closed {
                return Todo::Close;
            }
            if self.output.len() >= OUTPUT_BYTES_PAUSE {
                return Todo::Write;
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
                Ok(Some(event)) => {
                    if let Some(todo) = self.take(event).await {
                        return todo;
                    }
                }
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
        self.managed.written(self.quiet_since);
        self.fresh = None;
    }

    /// Whether somebody has shown who they are.
    pub fn is_authenticated(&self) -> bool {
        !self.speakers.is_empty() || !self.carries.is_empty()
    }

    /// When to call [`Link::tick`], in elapsed milliseconds.
    pub fn deadline(&self) -> Option<u64> {
        if self.closed {
            return None;
        }
        if self.goodbye.is_some() {
            return self.goodbye;
        }
        let line = self.quiet_since + IDLE_MS;
        let dues = [
            self.pause,
            self.patience,
            self.managed.deadline(),
            self.has_header
                .then_some(line.min(self.used + self.idle_ms())),
        ];
        dues.into_iter().flatten().min()
    }

    /// The deadline may have passed.
    pub fn tick(&mut self) {
        let now = self.now();
        self.pause = self.pause.filter(|pause| *pause > now);
        if let Some(until) = self.goodbye {
            self.closed |= until <= now;
            return;
        }
        if self.patience.is_some_and(|patience| patience <= now) {
            self.fail(
                StanzaError::REMOTE_SERVER_TIMEOUT,
                "it took too long to say who is who".to_owned(),
            );
            return self.end(StreamError::CONNECTION_TIMEOUT);
        }
        if self.managed.is_dead(now) {
            self.closed = true; // without a word: nobody hears it
            return;
        }
        for arrived in self.managed.settled(now) {
            self.server.forget_row(arrived.waiting.row);
        }
        if self.used + self.idle_ms() <= now {
            self.used = now;
            if self.managed.is_empty() {
                return self.take_leave();
            }
        }
        // RFC 6120 §4.6.1: a space shows whether the line is dead.
        if self.quiet_since + IDLE_MS <= now && self.has_header {
            self.quiet_since = now;
            if !self.managed.ask(now, &mut self.output) {
                self.output.push(b' ');
            }
        }
    }

    /// Ends the stream with an error (RFC 6120 §4.9.1.1): nothing more is read.
    pub fn end(&mut self, error: StreamError) {
        if self.closed {
            return;
        }
        debug!(
            peer = self.theirs.as_ref().map(tracing::field::display),
            address = %self.address,
            condition = error.condition,
            "a stream of another server ends"
        );
        if !self.is_clear_for_words() || self.goodbye.is_some() {
            self.closed = true;
            return;
        }
        if !self.has_header {
            self.open();
        }
        self.last_acknowledgement();
        self.output.extend(error.to_xml().as_bytes());
        self.output.extend(b"</stream:stream>");
        self.closed = true;
    }

    /// Ready when a remote or the disk has something for this link, which the next step puts into the output.
    pub fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.reads.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if self.goodbye.is_some() {
            return Poll::Pending;
        }
        self.poll_surveys(cx);
        if self.poll_checks(cx).is_ready() {
            return Poll::Ready(());
        }
        if self.wants_renewal(cx) {
            self.renews();
            self.take_leave();
            return Poll::Ready(());
        }
        if self.has_header && !self.managed.is_full() {
            for remote in &self.carries {
                if remote.poll(self.number, cx).is_ready() {
                    return Poll::Ready(());
                }
            }
        }
        if self.managed.owes() {
            return Intake::poll_handled(&self.line, self.server.store(), cx).map(|_| ());
        }
        Poll::Pending
    }

    /// After how many milliseconds without a stanza the stream is closed.
    fn idle_ms(&self) -> u64 {
        match self.side {
            Side::Calling(_) => REMOTE_IDLE_MS,
            Side::Called(_) => CALLED_IDLE_MS,
        }
    }

    /// A stanza went over it.
    fn is_used(&mut self) {
        self.used = self.now();
        // Others need to know it to a second.
        if self.used >= self.noted + 1_000 {
            self.noted = self.used;
            let federation = self.server.federation();
            federation.link_is_used(self.number, self.used);
        }
    }

    fn now(&self) -> u64 {
        self.server.clock().elapsed_ms()
    }

    /// Whether anything may be written as it is: not while the next byte is TLS or nothing.
    fn is_clear_for_words(&self) -> bool {
        match &self.side {
            Side::Called(_) => self.secured || !self.direct,
            Side::Calling(_) => self.has_header,
        }
    }

    /// Writes a header of ours (RFC 6120 §4.7).
    fn open(&mut self) {
        let id = match self.side {
            Side::Calling(_) => None,
            Side::Called(_) => {
                self.stream_id = random_id(self.server.dice());
                Some(self.stream_id.as_str())
            }
        };
        let header = header::write(&self.ours, self.theirs.as_ref(), id);
        self.output.extend(header.as_bytes());
        self.has_header = true;
    }

    /// Reads the next header after SASL (§6.4.6).
    fn restart(&mut self) {
        self.reader.restart();
        self.reader.allow(STANZA_BYTES_MAX);
        self.has_header = false;
    }

    fn close(&mut self) {
        if !self.closed && self.goodbye.is_none() && self.has_header {
            self.last_acknowledgement();
            self.output.extend(b"</stream:stream>");
        }
        self.closed = true;
    }

    async fn take(&mut self, event: Event) -> Option<Todo> {
        match event {
            Event::Opened(header) => self.opened(&header),
            Event::Stanza(stanza) => self.stanza(stanza).await,
            Event::Nonza(element) => return self.nonza(&element),
            // §4.4: the peer's close is answered with ours. What it had read before has arrived.
            Event::Closed => {
                self.fail(
                    StanzaError::REMOTE_SERVER_TIMEOUT,
                    "it closed the stream".to_owned(),
                );
                for arrived in self.managed.closed(self.now()) {
                    self.server.forget_row(arrived.waiting.row);
                }
                // It goes another way, and not twice.
                self.output.truncate(self.fresh.unwrap_or(usize::MAX));
                self.close();
            }
        }
        None
    }

    fn opened(&mut self, header: &Header) {
        let opened = match self.side {
            Side::Calling(_) => self.opened_by_called(header),
            Side::Called(_) => self.opened_by_caller(header),
        };
        if let Err(error) = opened {
            self.end(error);
        }
    }

    fn nonza(&mut self, element: &Element) -> Option<Todo> {
        // §4.9.1.1: whoever sends an error closes the stream behind it.
        if element.is(ns::STREAMS, "error") {
            let mut conditions = element.elements();
            let condition = conditions.next().map_or("", |condition| &condition.name);
            info!(
                peer = self.theirs.as_ref().map(tracing::field::display),
                address = %self.address,
                condition,
                "another server ended a stream with an error"
            );
            let error = match condition {
                "host-unknown" | "host-gone" => StanzaError::REMOTE_SERVER_NOT_FOUND,
                _ => StanzaError::REMOTE_SERVER_TIMEOUT,
            };
            self.fail(error, format!("it ended the stream: {condition}"));
            self.close();
            return None;
        }
        if self.goodbye.is_some() && !element.is(managed::NS, "a") {
            return None; // nothing is answered any more
        }
        let taken = if element.ns == ns::DIALBACK {
            self.dialback(element).map(|()| None)
        } else if element.ns == managed::NS {
            self.managed_nonza(element).map(|()| None)
        } else {
            match self.side {
                Side::Calling(_) => self.said_by_called(element),
                Side::Called(_) => self.said_by_caller(element),
            }
        };
        match taken {
            Ok(todo) => todo,
            Err(error) => {
                self.end(error);
                None
            }
        }
    }

    fn rate(&self) -> MutexGuard<'_, Rate> {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
