//! Federation: friends on other servers (RFC 6120 §10.4).
//!
//! A stanza for another domain goes into the queue of its [`Remote`], and to disk if it must not be lost
//! (`waiting.rs`). A [`Link`] is a stream to or from another server, without sockets and timers, as
//! `connection.rs` is for clients; it sends what waits for the remotes that it carries. Whoever has sockets
//! is told when somebody has to be called ([`Outside`]).
//!
//! State: the remotes, by our domain and theirs, and what is known about the links that are open.

mod beside;
pub mod calls;
mod certificate;
mod crowd;
pub mod dane;
pub mod dial;
pub(crate) mod dialback;
mod failed;
mod holding;
pub mod limits;
mod link;
mod local;
mod outside;
#[cfg(test)]
mod pki;
mod policy;
mod remote;
pub mod resolve;
mod restart;
mod shares;
pub(crate) mod tls;
pub mod trust;
mod waiting;

pub(crate) use beside::Beside;
pub use dial::{Dialed, Dialer, Unreachable};
pub(crate) use failed::tell_failures;
pub use link::{Link, Outcome, Reached};
pub(crate) use local::Sent;
pub use outside::Outside;
pub use remote::Remote;
pub(crate) use remote::Waiting;

use crate::{
    connection::Rate,
    features::{worth_keeping, worth_keeping_in_room},
    roster::Verb,
    router::is_an_answer,
    s2s::limits::{REMOTES_ASKED_MAX, REMOTES_MAX, VERIFICATION_MS_MAX, VERIFICATIONS_MAX},
    server::Server,
    session::intake::Cause,
    world::Timestamp,
};
use dane::Published;
use dialback::Secret;
use failed::Failures;
use remote::Queued;
use rustls_pki_types::CertificateDer;
use shares::Shares;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
};
use store::Urgency;
use tokio::sync::oneshot;
use tracing::{debug, warn};
use xmpp::{Jid, Kind, Passing, StanzaError};

/// Why another server is called.
pub enum Call {
    /// Something waits for it.
    Deliver(Arc<Remote>),
    /// Somebody says that a key is its (XEP-0220 §2.1.2).
    Verify(Verification),
}

/// A key to be shown to the server that is said to have made it.
pub struct Verification {
    /// Our domain, which was shown the key.
    pub ours: Jid,
    /// The domain that is said to have made it.
    pub theirs: Jid,
    /// Of the stream on which it was shown.
    id: String,
    key: String,
    /// Until when an answer is waited for, in elapsed milliseconds.
    until: u64,
    answer: Option<oneshot::Sender<Verified>>,
    under_way: Arc<AtomicUsize>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verified {
    Valid,
    Invalid,
    Failed(StanzaError),
}

/// What the server knows of others.
pub(crate) struct Federation {
    secret: Secret,
    remotes: Mutex<BTreeMap<(Jid, Jid), Arc<Remote>>>,
    outside: OnceLock<Arc<dyn Outside>>,
    links: Mutex<BTreeMap<u64, Known>>,
    /// The next row of what waits on disk.
    rows: AtomicU64,
    /// The first one of this start.
    first_row: u64,
    verifications: Arc<AtomicUsize>,
    /// What each domain has sent lately, on all its streams: they hold it.
    rates: Mutex<BTreeMap<Jid, Weak<Mutex<Rate>>>>,
    failures: Failures,
    shares: Arc<Shares>,
}

/// A link that is open.
struct Known {
    /// Once somebody has said who they are.
    status: Option<LinkStatus>,
    /// Of the peer.
    address: IpAddr,
    /// When a stanza last went over it, in elapsed milliseconds.
    used: u64,
    /// It is to go, and be made anew.
    renew: bool,
    waker: Option<Waker>,
}

impl Known {
    fn go(&mut self) {
        self.renew = true;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A connection to or from another server, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    /// Our domain.
    pub ours: String,
    /// Theirs, as far as it is proven.
    pub theirs: Vec<String>,
    /// We called.
    pub called_by_us: bool,
    /// How it was proven who they are: `certificate`, `dialback`; nothing where nobody gets through.
    pub secured_by: &'static str,
    /// Both directions use it (XEP-0288).
    pub both_ways: bool,
    /// Milliseconds since 1970.
    pub since: Timestamp,
    /// Why nobody gets through to them, in plain words, and when that was last tried, milliseconds since
    /// 1970.
    pub fault: Option<(Timestamp, String)>,
}

impl Federation {
    pub(crate) fn new(secret: Secret, start_count: u32) -> Federation {
        // A start never gives a number that an earlier one gave.
        let first_row = u64::from(start_count) << 32;
        Federation {
            secret,
            remotes: Mutex::default(),
            outside: OnceLock::new(),
            links: Mutex::default(),
            rows: AtomicU64::new(first_row),
            first_row,
            verifications: Arc::default(),
            rates: Mutex::default(),
            failures: Failures::default(),
            shares: Arc::default(),
        }
    }

    fn remotes(&self) -> MutexGuard<'_, BTreeMap<(Jid, Jid), Arc<Remote>>> {
        self.remotes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn links(&self) -> MutexGuard<'_, BTreeMap<u64, Known>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rates(&self) -> MutexGuard<'_, BTreeMap<Jid, Weak<Mutex<Rate>>>> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What this domain has sent lately.
    fn rate_of(&self, domain: &Jid) -> Arc<Mutex<Rate>> {
        let mut rates = self.rates();
        if let Some(rate) = rates.get(domain).and_then(Weak::upgrade) {
            return rate;
        }
        rates.retain(|_, rate| rate.strong_count() > 0);
        let rate = Arc::default();
        rates.insert(domain.clone(), Arc::downgrade(&rate));
        rate
    }

    /// The queue from one of our domains to another one; `None` where there are so many already.
    fn remote(&self, ours: Jid, theirs: Jid, max: usize, now: u64) -> Option<Arc<Remote>> {
        let mut remotes = self.remotes();
        if let Some(remote) = remotes.get(&(ours.clone(), theirs.clone())) {
            return Some(remote.clone());
        }
        if remotes.len() >= max {
            remotes.retain(|_, remote| Arc::strong_count(remote) > 1 || !remote.is_idle(now));
        }
        if remotes.len() >= max {
            return None;
        }
        let remote = Arc::new(Remote::new(ours.clone(), theirs.clone()));
        remotes.insert((ours, theirs), remote.clone());
        Some(remote)
    }
}

impl Server {
    /// From here on other servers can be reached. Once.
    pub fn connect_outside(&self, outside: Arc<dyn Outside>) {
        let _ = self.federation().outside.set(outside);
    }

    /// Whether somebody on this domain is somebody of this house: not to be looked for elsewhere.
    pub(crate) fn hosts(&self, domain: &str) -> bool {
        let own = [
            self.domain(),
            self.rooms().service(),
            self.pubsub(),
            self.uploads().service(),
            self.bytestreams.service(),
        ];
        own.iter().any(|own| own.as_str() == domain)
    }

    /// Whether this house answers for a domain towards other servers: for its own, and for its bridges.
    fn speaks_for(&self, domain: &str) -> bool {
        self.hosts(domain) || self.is_component(domain)
    }

    /// Sends a stanza of ours to another domain: into its queue, and to disk where it must not be lost
    /// (DESIGN §6). Refused where it cannot go, with what its sender is to be told.
    pub(crate) fn send_away(
        self: &Arc<Self>,
        passing: &Passing,
        cause: Option<&Cause>,
    ) -> Result<(), StanzaError> {
        let federation = self.federation();
        let theirs = passing.to.domain();
        if self.is_component(theirs.as_str()) {
            return self.send_to_component(passing, cause);
        }
        let outside = federation.outside.get();
        let outside = outside.ok_or(StanzaError::REMOTE_SERVER_NOT_FOUND)?;
        policy::may_talk(&self.config(), theirs.as_str())?;
        let now = self.clock().elapsed_ms();
        // What is caused by others leaves room for what people want.
        let max = if is_asked_for(self, passing) {
            REMOTES_ASKED_MAX
        } else {
            REMOTES_MAX
        };
        let remote = federation.remote(passing.from.domain(), theirs, max, now);
        let remote = remote.ok_or(
            StanzaError::RESOURCE_CONSTRAINT.with_text("too many servers are written to at once"),
        )?;
        if self.queue_for(&remote, passing, cause)? == Queued::Call {
            outside.call(Call::Deliver(remote));
        }
        Ok(())
    }

    /// Into the queue of a remote, and to disk where it must not be lost.
    fn queue_for(
        &self,
        remote: &Remote,
        passing: &Passing,
        cause: Option<&Cause>,
    ) -> Result<Queued, StanzaError> {
        let now = self.clock().elapsed_ms();
        let entry = passing.entry();
        let share = self
            .federation()
            .shares
            .take(&passing.from, entry.len())
            .ok_or(CROWDED)?;
        let rows = &self.federation().rows;
        let row = is_kept(self, passing).then(|| rows.fetch_add(1, Ordering::Relaxed));
        let waiting = Waiting {
            entry: entry.clone(),
            row,
            broken: 0,
            at: self.now(),
            asked: is_asked_for(self, passing),
            _share: Some(share),
        };
        // The row goes first: whoever carries the stanza may hear at once that it has arrived.
        if let Some(row) = row {
            let write = waiting::keep(row, &remote.ours, &entry, waiting.at);
            let ticket = self.store().queue(vec![write], Urgency::Now);
            if let Some(cause) = cause {
                cause.note(ticket);
            }
        }
        remote.push(waiting, now).map_err(|(waiting, error)| {
            self.forget_row(waiting.row);
            error
        })
    }

    /// What another server said, in its proven name: on its way, and all that follows from it.
    pub(crate) async fn receive_remote(self: &Arc<Self>, passing: Passing, cause: Option<Cause>) {
        let leaving = crate::account::Leaving {
            passing,
            depth: 0,
            cause,
            errand: None,
        };
        if let Some(touched) = self.route(leaving).await {
            self.settle_account(&touched).await;
        }
        Box::pin(self.follow_changes()).await;
    }

    /// Something waits for a remote that nobody carries any more.
    fn call_again(&self, remote: Arc<Remote>) {
        if let Some(outside) = self.federation().outside.get() {
            outside.call(Call::Deliver(remote));
        }
    }

    /// Nobody gets through to a remote: whoever waits is told why, and how long nobody tries again is
    /// decided.
    pub async fn remote_failed(
        self: &Arc<Self>,
        remote: &Arc<Remote>,
        error: StanzaError,
        why: &str,
    ) {
        let Some(waiting) = self.gave_up(remote, error, why) else {
            return;
        };
        let lost = self.hold_for_the_absent(remote, waiting);
        self.give_up(lost, error).await;
    }

    /// The same for good: nobody will ever try again.
    async fn remote_gone(self: &Arc<Self>, remote: &Remote, error: StanzaError, why: &str) {
        if let Some(lost) = self.gave_up(remote, error, why) {
            remote.hold(Vec::new(), self.clock().elapsed_ms());
            self.give_up(lost, error).await;
        }
    }

    fn gave_up(&self, remote: &Remote, error: StanzaError, why: &str) -> Option<Vec<Waiting>> {
        let waiting = remote.fail(error, self.clock().elapsed_ms(), self.dice())?;
        let is_news = remote.note_fault(why, self.now());
        let (remote, stanzas) = (&remote.theirs, waiting.len());
        if is_news {
            warn!(%remote, stanzas, "no connection: {why}");
        } else {
            debug!(%remote, stanzas, "still no connection: {why}");
        }
        Some(waiting)
    }

    /// It has arrived.
    fn forget_row(&self, row: Option<u64>) {
        if let Some(row) = row {
            self.store()
                .queue(vec![waiting::forget(row)], Urgency::Soon);
        }
    }

    /// Asks the server of a domain whether it made a key. `None` where too many are asked about.
    fn verify(
        &self,
        ours: &Jid,
        theirs: &Jid,
        (id, key): (&str, String),
    ) -> Option<oneshot::Receiver<Verified>> {
        let federation = self.federation();
        let outside = federation.outside.get()?;
        let under_way = &federation.verifications;
        if under_way.fetch_add(1, Ordering::Relaxed) >= VERIFICATIONS_MAX {
            under_way.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let (answer, receiver) = oneshot::channel();
        outside.call(Call::Verify(Verification {
            ours: ours.clone(),
            theirs: theirs.clone(),
            id: id.to_owned(),
            key,
            until: self.clock().elapsed_ms() + VERIFICATION_MS_MAX,
            answer: Some(answer),
            under_way: under_way.clone(),
        }));
        Some(receiver)
    }

    /// Whether a chain proves that somebody is this domain, else why not, in plain words.
    fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        domain: &str,
        published: &Published,
    ) -> Result<(), String> {
        let outside = self.federation().outside.get();
        outside.map_or_else(
            || Err("nothing can be judged".to_owned()),
            |outside| outside.judge(chain, domain, published),
        )
    }
}

impl Verification {
    /// How it ended.
    fn answered(mut self, verified: Verified) {
        if let Some(answer) = self.answer.take() {
            // The stream that wants to know may be gone.
            let _ = answer.send(verified);
        }
    }

    /// Nobody got through to the server.
    pub fn failed(self, error: StanzaError) {
        self.answered(Verified::Failed(error));
    }
}

impl Drop for Verification {
    fn drop(&mut self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

const CROWDED: StanzaError =
    StanzaError::RESOURCE_CONSTRAINT.with_text("too much waits for other servers already");

/// Whether others caused it, and nobody of this house decided to send it: answers (RFC 6120 §8.2.3, §8.3.1;
/// for a probe RFC 6121 §4.3.2), and all that rooms and services say, who talk to whoever came.
fn is_asked_for(server: &Server, passing: &Passing) -> bool {
    let from = &passing.from;
    let is_person = from.domainpart() == server.domain().as_str() && from.localpart().is_some();
    let stanza = &passing.stanza;
    let is_refusal = stanza.kind == Kind::Presence && stanza.type_() == "unsubscribed";
    !is_person || is_refusal || is_an_answer(passing)
}

/// Whether it is worth a row: what a person would miss. What a room of ours says to its occupants is in its
/// archive, and they come back for it.
fn is_kept(server: &Server, passing: &Passing) -> bool {
    match (passing.stanza.kind, passing.stanza.type_()) {
        (Kind::Message, "groupchat") => {
            passing.from.domainpart() == server.domain().as_str() && worth_keeping_in_room(passing)
        }
        (Kind::Message, _) => worth_keeping(passing),
        (Kind::Presence, type_) => Verb::parse(type_).is_some(),
        (Kind::Iq, _) => false,
    }
}
