//! A session without a connection: it waits, another connection resumes it, or its time is over (XEP-0198
//! §5).
//!
//! While it waits it stays an available resource, and what comes for it goes on into its outbox. How long
//! is [`SESSION_WAIT_MS_MAX`], or less where the client asked for less.

use super::{Digest, Session, digest_of, intake::Intake, stored};
use crate::{
    account::{Account, Cx},
    features::{ALL, says_nothing},
    limits::{BOUNCED_MAX, ENDED_MAX},
    presence,
    server::Server,
};
use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};
use store::Write;
use tracing::{error, info};
use xmpp::{Entry, Jid, Kind, Passing, StanzaError, StreamError};

/// Since when a session has no connection, and what of it is on disk.
pub(crate) struct Away {
    /// In elapsed milliseconds; negative where that was before the start.
    pub(crate) since: i64,
    /// Rows that it has; the number of the next one.
    rows: u64,
    /// Presence may have passed it by: it was restored, and not after an orderly end.
    missed_presence: bool,
}

/// How an attempt to go on with a session ends.
pub(crate) enum Resumed {
    Yes {
        session: Arc<Session>,
        epoch: u32,
        /// Stanzas of the client that are handled: all that came.
        h: u32,
    },
    /// There is no such session, any more. How many of its stanzas were handled, where that is known.
    No { h: Option<u32> },
    /// The client acknowledges what it was never sent.
    Broken(StreamError),
}

/// Sessions that are over and could have been resumed: what their clients may still ask.
#[derive(Default)]
pub(crate) struct Ended {
    /// By account, the latest last.
    known: Mutex<VecDeque<(u32, Digest, u32)>>,
}

impl Ended {
    fn note(&self, account: u32, digest: Digest, h: u32) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= ENDED_MAX {
            known.pop_front();
        }
        known.push_back((account, digest, h));
    }

    fn handled(&self, account: u32, digest: &Digest) -> Option<u32> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = known.iter().rev();
        known
            .find(|(a, d, _)| (a, d) == (&account, digest))
            .map(|(_, _, h)| *h)
    }
}

impl Away {
    /// With so many rows already.
    pub(crate) fn new(since: i64, rows: u64) -> Away {
        Away {
            since,
            rows,
            missed_presence: false,
        }
    }

    /// Whether it got all presence.
    pub(crate) fn knowing_all(self, exact: bool) -> Away {
        Away {
            missed_presence: !exact,
            ..self
        }
    }

    fn is_over(&self, session: &Session, now: i64) -> bool {
        let patience = session.resumption().map_or(0, |known| known.patience);
        session.outbox.is_ended() || self.since.saturating_add_unsigned(patience) <= now
    }

    /// The row of a stanza that comes meanwhile.
    pub(crate) fn row(&mut self, account: u32, session: &Session, entry: &Entry) -> Option<Write> {
        let resumption = session.resumption()?;
        let write = stored::entry(account, &resumption.digest, self.rows, entry);
        self.rows += 1;
        Some(write)
    }
}

impl Server {
    /// The connection of that epoch is gone without a word: a session that can be resumed waits, any
    /// other is over.
    pub async fn lost(self: &Arc<Self>, session: &Arc<Session>, epoch: u32) {
        self.at(&session.account, 0, |cx| {
            if session.outbox.epoch() != epoch {
                return; // another connection has it
            }
            let is_good = !session.outbox.is_ended() && !session.intake.is_broken(self.store());
            if session.resumption().is_some() && is_good {
                wait(cx, session);
            } else {
                presence::gone(cx, session);
            }
        });
        self.settle_account(&session.account).await;
    }

    /// Goes on with the session of that id, on a connection whose account is proven. The one it had is
    /// told to go.
    pub(crate) async fn resume(self: &Arc<Self>, localpart: &str, id: &str, h: u32) -> Resumed {
        let account = match self.load(localpart).await {
            Ok(Some(account)) => account,
            Ok(None) => return Resumed::No { h: None },
            Err(error) => {
                error!(localpart, %error, "account cannot be loaded");
                return Resumed::No { h: None };
            }
        };
        let digest = digest_of(id);
        let found = self.at(&account, 0, |cx| take_over(cx, &digest, h));
        let (session, epoch) = match found {
            Ok(found) => found,
            Err(resumed) => {
                self.settle_account(&account).await;
                return resumed;
            }
        };
        self.settle_account(&account).await; // who is there answers
        // Before anything is promised, what it promises is on disk: also that its rows are gone.
        let is_kept = self.is_kept(account.relied_on()).await;
        let h = poll_fn(|cx| Intake::poll_handled(&session, self.store(), cx)).await;
        if !is_kept || session.intake.is_broken(self.store()) {
            // Its rows would come back with the next start, and its counts would be those of before.
            self.leave_over(&session, epoch).await;
            return Resumed::No { h: Some(h) };
        }
        self.catch_up(&session).await;
        info!(session = %session.jid, "resumed");
        Resumed::Yes { session, epoch, h }
    }

    /// Ends sessions that waited too long, or for which too much waits.
    pub(crate) async fn expire_sessions(self: &Arc<Self>) {
        for account in self.directory().all() {
            let over = self.at(&account, 0, |cx| {
                cx.state.forget_removals(cx.server.store());
                let now = elapsed(cx.server);
                let resources = cx.state.resources.iter();
                let over = resources.filter(|resource| {
                    let away = resource.away.as_ref();
                    away.is_some_and(|away| away.is_over(&resource.session, now))
                });
                let over: Vec<Arc<Session>> = over.map(|r| r.session.clone()).collect();
                for session in &over {
                    presence::gone(cx, session);
                }
                !over.is_empty()
            });
            if over {
                self.settle_account(&account).await;
            }
        }
    }

    /// Works off what leaves an account, and gives its sessions what waits for them: one that is gone may
    /// have left something.
    pub(crate) async fn settle_account(self: &Arc<Self>, account: &Arc<Account>) {
        self.settle(account).await;
        for session in account.sessions() {
            self.catch_up(&session).await;
        }
    }
}

/// The clock that never jumps, so that times before the start fit, too.
pub(crate) fn elapsed(server: &Server) -> i64 {
    i64::try_from(server.clock().elapsed_ms()).unwrap_or(i64::MAX)
}

/// The line dropped.
fn wait(cx: &mut Cx<'_>, session: &Arc<Session>) {
    let Some(resource) = cx.state.resource(&session.jid) else {
        return;
    };
    if resource.session.number != session.number || resource.away.is_some() {
        return;
    }
    session.outbox.detach();
    let since = elapsed(cx.server);
    let (acknowledged, entries) = session.outbox.unacknowledged();
    resource.away = Some(Away::new(since, entries.len() as u64));
    for write in stored::rows(cx, session, acknowledged, &entries) {
        cx.write_soon(write);
    }
    info!(session = %session.jid, "waits for its client");
    for hook in ALL.iter().filter_map(|feature| feature.waits) {
        hook(cx, &session.jid);
    }
}

impl Server {
    /// The doors are about to close: who goes from now on is sent away.
    pub fn note_stopping(&self) {
        self.rooms().closing.store(true, Ordering::Relaxed);
    }

    /// The last word of a server whose connections are gone, before its store closes. A session whose
    /// connection did not get to say so is given back, too; then what waits on disk is what waits in memory,
    /// with the answers that were given since a line dropped.
    pub async fn stopped(self: &Arc<Self>) {
        for account in self.directory().all() {
            for session in account.sessions() {
                self.lost(&session, session.outbox.epoch()).await;
            }
        }
        for account in self.directory().all() {
            self.at(&account, 0, |cx| {
                let resources = cx.state.resources.iter();
                let away = resources.filter(|resource| resource.away.is_some());
                let away: Vec<Arc<Session>> = away.map(|r| r.session.clone()).collect();
                for session in away {
                    put_rows_right(cx, &session);
                }
            });
        }
        stored::note_end(self);
    }
}

/// Its rows are those of its outbox, where they are not yet.
fn put_rows_right(cx: &mut Cx<'_>, session: &Session) {
    let server = cx.server;
    let (acknowledged, entries) = session.outbox.unacknowledged();
    let count = entries.len() as u64;
    let away = cx
        .state
        .resource(&session.jid)
        .and_then(|r| r.away.as_mut());
    let (Some(away), Some(known)) = (away, session.resumption()) else {
        return;
    };
    let is_right = away.rows == count && !session.outbox.is_inactive();
    if is_right || session.intake.is_broken(server.store()) {
        return;
    }
    let before = std::mem::replace(&mut away.rows, count);
    for write in stored::rows(cx, session, acknowledged, &entries) {
        cx.write(write);
    }
    for write in stored::removals_from(cx.id(), &known.digest, count..before) {
        cx.write(write);
    }
}

/// Queues the rows of all sessions that wait as they should be now. One whose counts the disk broke is not
/// to come back with a restart.
pub(crate) fn write_anew(cx: &mut Cx<'_>) {
    let (account, server) = (cx.id(), cx.server);
    for session in cx.state.sessions() {
        let (Some(known), Some(resource)) = (session.resumption(), cx.state.resource(&session.jid))
        else {
            continue;
        };
        let Some(away) = &mut resource.away else {
            continue;
        };
        let (acknowledged, entries) = session.outbox.unacknowledged();
        let before = std::mem::replace(&mut away.rows, entries.len() as u64);
        for write in stored::removals(account, &known.digest, before) {
            cx.write_soon(write);
        }
        if session.intake.is_broken(server.store()) {
            continue;
        }
        for write in stored::rows(cx, &session, acknowledged, &entries) {
            cx.write_soon(write);
        }
    }
}

/// Under the account's lock: attaches, or says why not.
fn take_over(cx: &mut Cx<'_>, digest: &Digest, h: u32) -> Result<(Arc<Session>, u32), Resumed> {
    let mut sessions = cx.state.resources.iter().map(|r| r.session.clone());
    let of_this_id = |session: &Arc<Session>| {
        let known = session.resumption().is_some_and(|r| r.digest == *digest);
        known && !session.outbox.is_ended()
    };
    let Some(session) = sessions.find(of_this_id).filter(|_| !cx.state.is_gone()) else {
        let h = cx.server.ended().handled(cx.id(), digest);
        return Err(Resumed::No { h });
    };
    let is_away = cx
        .state
        .resource(&session.jid)
        .is_some_and(|resource| resource.away.is_some());
    if is_away && !cx.server.store().takes_writes() {
        // Its rows cannot be taken out, and would come back with the next start.
        presence::gone(cx, &session);
        let h = cx.server.ended().handled(cx.id(), digest);
        return Err(Resumed::No { h });
    }
    let epoch = session.outbox.attach();
    let (server, now, elapsed) = (cx.server, cx.now(), cx.server.clock().elapsed_ms());
    let stamp = |entry: &mut Entry, at: u64| {
        if at > 0 {
            stored::stamp(
                server,
                entry,
                now.saturating_sub(elapsed.saturating_sub(at)),
            );
        }
    };
    let positions = match session.outbox.rewind(h, stamp) {
        Ok(positions) => positions,
        Err(sent) => {
            presence::gone(cx, &session);
            let error = StreamError::handled_count_too_high(h, sent);
            return Err(Resumed::Broken(error));
        }
    };
    let away = cx.state.resource(&session.jid).and_then(|r| r.away.take());
    if let Some(away) = away {
        for write in stored::removals(cx.id(), digest, away.rows) {
            cx.write(write);
        }
        if away.missed_presence {
            presence::refresh(cx, &session);
        }
    }
    cx.server.delivered(cx, &session, &positions);
    presence::resumed(cx, &session);
    Ok((session, epoch))
}

/// The session is over: what its client never acknowledged is treated as if it had not been there
/// (XEP-0198 §4). What the archive keeps was given back by then; of the rest the senders are told.
pub(crate) fn over(cx: &mut Cx<'_>, session: &Arc<Session>, away: Option<Away>) {
    if let Some(resumption) = session.resumption() {
        let (h, _) = session.intake.handled(cx.server.store());
        cx.server.ended().note(cx.id(), resumption.digest, h);
        // At once: a power cut must not bring it back, whose contacts and senders were told that it is over.
        if let Some(away) = away {
            for write in stored::removals(cx.id(), &resumption.digest, away.rows) {
                cx.write_at_once(write);
            }
        }
    }
    if !session.outbox.is_managed() {
        return; // what left is taken for delivered, and what waits is in the archive
    }
    let ended = session.outbox.is_ended();
    // Who asked must hear (RFC 6120 §8.2.3); they come first.
    let entries = session.outbox.close();
    let (requests, others): (Vec<_>, Vec<_>) =
        entries.iter().partition(|entry| entry.kind == Kind::Iq);
    let (mut bounced, mut untold) = (0, 0);
    for entry in requests.into_iter().chain(others) {
        if bounced < BOUNCED_MAX {
            bounced += usize::from(bounce(cx, entry));
        } else {
            untold += usize::from(unanswered(cx, entry).is_some());
        }
    }
    if !entries.is_empty() {
        let (session, total) = (&session.jid, entries.len());
        info!(%session, ended, total, bounced, untold, "is over with stanzas nobody took");
    }
}

/// Tells the sender of a stanza that a session never took; whether there was anybody to tell.
pub(crate) fn bounce(cx: &mut Cx<'_>, entry: &Entry) -> bool {
    let Some(passing) = unanswered(cx, entry) else {
        return false;
    };
    let error = match entry.kind {
        Kind::Iq => StanzaError::SERVICE_UNAVAILABLE,
        _ => StanzaError::RECIPIENT_UNAVAILABLE,
    };
    cx.refuse(&passing, error);
    true
}

/// A stanza whose sender waits for an answer or takes it for delivered.
fn unanswered(cx: &Cx<'_>, entry: &Entry) -> Option<Passing> {
    if entry.kind == Kind::Presence || entry.position.is_some() {
        return None;
    }
    let stanza = entry.to_stanza()?;
    let expects = match entry.kind {
        Kind::Iq => matches!(stanza.type_(), "get" | "set"),
        // RFC 6121 §8.5.3: nobody is told of these. A room learns that its occupant is gone by presence.
        _ => !matches!(stanza.type_(), "error" | "headline" | "groupchat"),
    };
    let from = stanza.from().ok()??;
    let to: Jid = stanza.to().ok()??;
    // What the account or the server says itself: pushes, copies, pages of the archive.
    let ours = from == *cx.jid() || from == *cx.server.domain();
    if !expects || ours {
        return None;
    }
    let passing = Passing::new(Arc::new(stanza), from, to);
    let has_it =
        entry.kind == Kind::Message && (is_elsewhere(cx, &passing.to) || says_nothing(&passing));
    (!has_it).then_some(passing)
}

/// Whether a message to this address was for other resources as well, and one of them is there.
fn is_elsewhere(cx: &Cx<'_>, to: &Jid) -> bool {
    let mut others = cx.state.available();
    to.is_bare()
        && others.any(|other| {
            other
                .presence
                .as_ref()
                .is_some_and(|presence| presence.priority >= 0)
        })
}
