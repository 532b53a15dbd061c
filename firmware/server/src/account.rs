//! One local account: its resources, its roster, what the features remember about it, and the lock around
//! all of it.
//!
//! Invariant (house rule 3): at most one account is locked at a time, and never across an await.
//! [`Server::at`] is the only way in; a debug build counts.

mod leaving;
mod lock;

pub(crate) use leaving::{Errand, Leaving};

use crate::{
    directory,
    features::{ALL, PerAccount, PerResource},
    limits::{LEAVING_KEPT, REMOVALS_MAX, ROUTED_MAX},
    presence::Directed,
    pubsub,
    room::{Occupants, Room},
    roster::Roster,
    server::Server,
    session::{
        Session,
        intake::Cause,
        lost::Lost,
        stored,
        waiting::{self, Away},
    },
    world::Timestamp,
};
use lock::{IfPanicked, OneLock};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::{Durable, Store, Ticket, Write};
use tracing::warn;
use xmpp::{Entry, Jid, Kind, Passing, Stanza, StanzaError};

/// An account in memory.
pub(crate) struct Account {
    /// First part of every key of this account; never reused.
    pub(crate) id: u32,
    /// The bare JID.
    pub(crate) jid: Jid,
    /// It is no person's, but a room.
    pub(crate) is_room: bool,
    state: Mutex<State>,
}

/// Everything that the lock guards.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) resources: Vec<Resource>,
    pub(crate) roster: Roster,
    pub(crate) memory: PerAccount,
    /// What makes it a room, where it is one.
    pub(crate) room: Option<Box<Room>>,
    /// Stanzas decided here, in the order of decision; worked off after the lock is released (house rule 6).
    leaving: VecDeque<Leaving>,
    /// Whether some task works off `leaving`.
    draining: bool,
    /// Of the last batch of writes: the account must not be loaded again before it is applied.
    ticket: Ticket,
    /// Of the last batch that was not `Soon`: where it fails, memory is ahead of the disk for good.
    relied_on: Ticket,
    /// Removals that wait for company and so may be refused without anybody noticing, until they are on disk.
    removals: VecDeque<Write>,
    /// Out of the directory for good. Whoever still holds it looks the account up again, and nothing that it
    /// believes is written any more.
    gone: bool,
}

/// A connected resource (RFC 6121 §2, §4): bound, perhaps interested, perhaps available.
pub(crate) struct Resource {
    pub(crate) session: Arc<Session>,
    /// The last presence without `to`; `None` where the resource is not available.
    pub(crate) presence: Option<Presence>,
    /// Asked for the roster, so gets pushes (RFC 6121 §2.2).
    pub(crate) interested: bool,
    /// Who got directed presence and is no subscriber (RFC 6121 §4.6).
    pub(crate) directed: Directed,
    /// While the session has no connection (XEP-0198).
    pub(crate) away: Option<Away>,
    pub(crate) memory: PerResource,
}

/// Presence of an available resource.
pub(crate) struct Presence {
    pub(crate) priority: i8,
    pub(crate) passing: Passing,
}

impl Account {
    pub(crate) fn new(id: u32, jid: Jid, roster: Roster, memory: PerAccount) -> Account {
        Account {
            id,
            jid,
            is_room: false,
            state: Mutex::new(State {
                roster,
                memory,
                ..State::default()
            }),
        }
    }

    /// The same as a room.
    pub(crate) fn with_room(mut self, room: Room) -> Account {
        self.is_room = true;
        self.lock().room = Some(Box::new(room));
        self
    }

    /// Under which it is in the directory: people by localpart, rooms by their whole bare JID, which has a
    /// character that no localpart has.
    pub(crate) fn key(&self) -> &str {
        if self.is_room {
            self.jid.as_str()
        } else {
            self.jid.localpart().unwrap_or(directory::SERVICE)
        }
    }

    /// Whether this resource is there and has sent presence to an address of which that holds.
    pub(crate) fn shows_itself(&self, resource: &Jid, is_it: impl Fn(&Jid) -> bool) -> bool {
        let mut state = self.lock();
        let is_gone = state.is_gone();
        let resource = state.resource(resource);
        resource.is_some_and(|resource| !is_gone && resource.directed.iter().any(is_it))
    }

    /// Whether somebody is in this room.
    pub(crate) fn is_occupied(&self) -> bool {
        let state = self.lock();
        let room = state.room.as_deref();
        room.is_some_and(|room| !room.occupants.is_empty())
    }

    /// Locked. A panicked hook poisons the lock; by then the account is out of the directory and only its
    /// ended sessions still look at it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over the task of working off what leaves, unless somebody has it.
    pub(crate) fn begin_draining(&self) -> bool {
        let mut state = self.lock();
        !state.leaving.is_empty() && !std::mem::replace(&mut state.draining, true)
    }

    /// The next stanza that leaves; with the last one the task is given back.
    pub(crate) fn next_leaving(&self) -> Option<Leaving> {
        let mut state = self.lock();
        let next = state.leaving.pop_front();
        if next.is_none() {
            state.draining = false;
            state.leaving.shrink_to(LEAVING_KEPT);
        }
        next
    }

    /// Marks it as out of the directory; its sessions are to be ended. Those who are in a room are there
    /// still when it is loaded afresh.
    pub(crate) fn retire(&self, lost: &Lost) -> (Vec<Arc<Session>>, Occupants) {
        let mut state = self.lock();
        state.gone = true;
        lost.note(&mut state);
        let room = state.room.as_deref_mut();
        let room = room.filter(|room| !room.destroyed && !room.locked);
        let occupants = room.map(|room| std::mem::take(&mut room.occupants));
        (state.sessions(), occupants.unwrap_or_default())
    }

    /// Whether a push service is still to be told something, or a component what became of its request.
    pub(crate) fn is_busy(&self) -> bool {
        let state = self.lock();
        state.memory.push.is_busy() || !state.memory.asked.is_empty()
    }

    /// Stanzas that wait to leave.
    pub(crate) fn leaving(&self) -> usize {
        self.lock().leaving.len()
    }

    /// The ticket of the last writes that memory must not be ahead of.
    pub(crate) fn relied_on(&self) -> Ticket {
        self.lock().relied_on
    }

    /// The ticket of the last writes.
    pub(crate) fn ticket(&self) -> Ticket {
        self.lock().ticket
    }
}

impl State {
    /// The resource with this full JID.
    pub(crate) fn resource(&mut self, jid: &Jid) -> Option<&mut Resource> {
        self.resources
            .iter_mut()
            .find(|resource| resource.session.jid == *jid)
    }

    /// Whether it is out of the directory, or is to be: a room that was destroyed.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone || self.is_destroyed()
    }

    pub(crate) fn is_destroyed(&self) -> bool {
        self.room.as_deref().is_some_and(|room| room.destroyed)
    }

    /// Whether this session has its resource: no successor took it, and the account is what it believes.
    pub(crate) fn has(&self, session: &Session) -> bool {
        let mut resources = self.resources.iter();
        !self.gone && resources.any(|resource| resource.session.number == session.number)
    }

    /// Forgets removals that the disk has taken.
    pub(crate) fn forget_removals(&mut self, store: &Store) {
        if store.is_durable(self.ticket) == Some(Durable::Yes) {
            self.removals = VecDeque::new();
        }
    }

    /// Whether something waits to leave.
    pub(crate) fn is_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Everything that waits to leave.
    #[cfg(test)]
    pub(crate) fn take_leaving(&mut self) -> VecDeque<Leaving> {
        std::mem::take(&mut self.leaving)
    }

    /// How many have a connection.
    pub(crate) fn connections(&self) -> usize {
        let resources = self.resources.iter();
        resources.filter(|resource| resource.away.is_none()).count()
    }

    /// Available resources (RFC 6121 §4).
    pub(crate) fn available(&self) -> impl Iterator<Item = &Resource> {
        self.resources
            .iter()
            .filter(|resource| resource.presence.is_some())
    }
}

impl Resource {
    pub(crate) fn new(session: Arc<Session>) -> Resource {
        Resource {
            session,
            presence: None,
            interested: false,
            directed: Directed::default(),
            away: None,
            memory: PerResource::default(),
        }
    }
}

/// What a hook or handler may touch: one account under its lock, and the list of consequences.
pub(crate) struct Cx<'a> {
    pub(crate) server: &'a Server,
    pub(crate) account: &'a Account,
    pub(crate) state: &'a mut State,
    depth: u8,
    /// The counted stanza behind everything that is decided now.
    pub(crate) cause: Option<Cause>,
    consequences: Consequences,
}

/// What follows from a lock and waits for the disk.
#[derive(Default)]
struct Consequences {
    writes: Vec<Write>,
    /// Writes that can wait for the next group that somebody else needs, and go with the others if there are
    /// any. In the order of decision: one may take out what an earlier one put in.
    soon: Vec<Write>,
    /// They do not wait.
    at_once: bool,
    /// Batches that go behind all these, in order, and can wait for company.
    sweeps: Vec<Vec<Write>>,
    promises: Vec<Promise>,
}

/// An answer that leaves when the writes behind it are durable (house rule 5).
struct Promise {
    session: Arc<Session>,
    kept: Entry,
    broken: Entry,
}

impl Cx<'_> {
    /// The bare JID of the account.
    pub(crate) fn jid(&self) -> &Jid {
        &self.account.jid
    }

    /// The first part of every key of this account.
    pub(crate) fn id(&self) -> u32 {
        self.account.id
    }

    /// Whether it is no person's: the publish-subscribe service.
    pub(crate) fn is_service(&self) -> bool {
        self.account.jid.localpart().is_none()
    }

    /// Whether it is no person's, but a room.
    pub(crate) fn is_room(&self) -> bool {
        self.account.is_room
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.server.now()
    }

    /// Queues a write; it cannot fail here (house rule 2).
    pub(crate) fn write(&mut self, write: Write) {
        self.consequences.writes.push(write);
    }

    /// Queues a write that never starts a group of its own. Should the disk not take it, it is made anew once
    /// the disk works again: a removal by [`write_anew`], what is put by the feature that put it.
    pub(crate) fn write_soon(&mut self, write: Write) {
        if let Some(removal) = write.removal_again() {
            if self.state.removals.len() >= REMOVALS_MAX {
                self.state.removals.pop_front();
            }
            self.state.removals.push_back(removal);
        }
        self.consequences.soon.push(write);
    }

    /// What was queued under this lock is not to wait for others, and whoever caused it is told that it is
    /// handled when it is on disk.
    pub(crate) fn rely(&mut self) {
        let soon = std::mem::take(&mut self.consequences.soon);
        self.consequences.writes.extend(soon);
    }

    /// The same, in a group that starts at once: of what was told already, and no answer waits for.
    pub(crate) fn write_at_once(&mut self, write: Write) {
        self.write_soon(write);
        self.consequences.at_once = true;
    }

    /// Removals that are too many for the commit that they follow from: behind it, in batches of their own.
    pub(crate) fn sweep(&mut self, batches: Vec<Vec<Write>>) {
        self.consequences.sweeps.extend(batches);
    }

    /// Sends a stanza on its way once the lock is released, behind everything decided before it.
    pub(crate) fn route(&mut self, passing: Passing) {
        self.queue(passing, None);
    }

    /// Sends an errand on its way, likewise.
    pub(crate) fn route_errand(&mut self, passing: Passing, errand: Errand) {
        self.queue(passing, Some(errand));
    }

    /// An errand without a stanza, on behalf of somebody, for this account or another one of ours.
    pub(crate) fn errand(&mut self, on_behalf_of: &Jid, to: &Jid, errand: Errand) {
        let nothing = Arc::new(Stanza::compose(Kind::Presence, &[], ""));
        let passing = Passing::new(nothing, on_behalf_of.clone(), to.clone());
        self.queue(passing, Some(errand));
    }

    /// An errand of this account for somebody, when what is decided now is done.
    pub(crate) fn errand_to_self(&mut self, on_behalf_of: &Jid, errand: Errand) {
        let own = self.account.jid.clone();
        self.errand(on_behalf_of, &own, errand);
    }

    fn queue(&mut self, passing: Passing, errand: Option<Errand>) {
        if self.depth >= ROUTED_MAX {
            warn!(
                account = %self.account.jid,
                "stanzas caused one another {ROUTED_MAX} deep; the last is dropped"
            );
            return;
        }
        self.state.leaving.push_back(Leaving {
            passing,
            depth: self.depth + 1,
            cause: self.cause.clone(),
            errand,
        });
    }

    /// Refuses a stanza: its sender is told, unless it is itself an answer (RFC 6120 §8.3.1).
    pub(crate) fn refuse(&mut self, passing: &Passing, error: StanzaError) {
        if crate::router::may_be_refused(passing) {
            self.route(passing.refused(error));
        }
    }

    /// Puts a stanza into the outbox of one resource.
    pub(crate) fn deliver(&mut self, resource: &Jid, entry: Entry) {
        let mut resources = self.state.resources.iter_mut();
        let Some(resource) = resources.find(|r| r.session.jid == *resource) else {
            return;
        };
        let refused = hand(
            self.server,
            self.account.id,
            resource,
            entry,
            &mut self.consequences,
        );
        if let Some(entry) = refused {
            waiting::bounce(self, &entry); // its session ends, and does not take it any more
        }
    }

    /// Puts a stanza that nobody answers into the outboxes of all resources that are meant; of one whose
    /// session ends nobody is told.
    pub(crate) fn deliver_to(&mut self, entry: &Entry, is_meant: impl Fn(&Resource) -> bool) {
        for resource in &mut self.state.resources {
            if is_meant(resource) {
                let copy = entry.clone();
                hand(
                    self.server,
                    self.account.id,
                    resource,
                    copy,
                    &mut self.consequences,
                );
            }
        }
    }

    /// Tells resources of a change, each with a request of our own (RFC 6121 §2.1.6, XEP-0191 §3.3).
    pub(crate) fn push(&mut self, payload: &str, is_meant: impl Fn(&Resource) -> bool) {
        let id = format!("push{}", self.server.next_number());
        let (attributes, payload) = ([("type", "set"), ("id", &*id)], payload.to_owned());
        let push = Entry::compose(Kind::Iq, None, &attributes, payload);
        for resource in &mut self.state.resources {
            if is_meant(resource) {
                let to = Some(resource.session.jid.clone());
                let push = Entry { to, ..push.clone() };
                hand(
                    self.server,
                    self.account.id,
                    resource,
                    push,
                    &mut self.consequences,
                );
            }
        }
    }

    /// Answers a session: at once where nothing was written under this lock, else when it is durable.
    pub(crate) fn answer(&mut self, session: &Arc<Session>, kept: Entry, broken: Entry) {
        self.consequences.promises.push(Promise {
            session: session.clone(),
            kept,
            broken,
        });
    }
}

/// The disk refused something, and works again: queues everything that was not worth waiting for, as it is
/// now. Of what memory and disk tell differently, later writes and a restart would make a third story.
pub(crate) fn write_anew(cx: &mut Cx<'_>) {
    let removals = cx.state.removals.iter();
    let removals: Vec<Write> = removals.filter_map(Write::removal_again).collect();
    cx.consequences.soon.extend(removals);
    for hook in ALL.iter().filter_map(|feature| feature.written_anew) {
        hook(cx);
    }
    waiting::write_anew(cx);
}

/// Into one outbox; gives back what an ended session does not take any more. For a session without a
/// connection it becomes a row in the batch that made it, so that a restart loses nothing (DESIGN §6).
fn hand(
    server: &Server,
    account: u32,
    resource: &mut Resource,
    mut entry: Entry,
    consequences: &mut Consequences,
) -> Option<Entry> {
    if resource.session.outbox.is_ended() {
        return Some(entry);
    }
    if let Some(away) = &mut resource.away {
        stored::stamp(server, &mut entry, server.now());
        if let Some(write) = away.row(account, &resource.session, &entry) {
            consequences.soon.push(write);
        }
    }
    resource.session.outbox.offer(entry)
}

impl Server {
    /// Runs `f` on one locked account. Before the lock opens, deliveries are in outboxes, routed stanzas in
    /// the queue of the account, and writes handed to the store as one batch (DESIGN §5).
    pub(crate) fn at<R>(
        &self,
        account: &Account,
        depth: u8,
        f: impl FnOnce(&mut Cx<'_>) -> R,
    ) -> R {
        let _one = OneLock::new();
        // Before the guard, so dropped behind it: it locks the account once more.
        let _broken = IfPanicked::new(self, account);
        let mut guard = account.lock();
        let was_over = guard.is_destroyed();
        let consequences = Consequences::default();
        let mut cx = Cx {
            server: self,
            account,
            state: &mut guard,
            depth,
            cause: None,
            consequences,
        };
        pubsub::expire(&mut cx); // before anybody sees it
        let result = f(&mut cx);
        let Cx {
            cause,
            consequences,
            ..
        } = cx;
        if was_over {
            consequences.break_promises(); // nothing is written behind the end of a room
        } else {
            consequences.take_effect(self, &mut guard, cause.as_ref());
        }
        result
    }
}

impl Consequences {
    fn break_promises(self) {
        self.promises.into_iter().for_each(Promise::break_it);
    }

    fn take_effect(mut self, server: &Server, state: &mut State, cause: Option<&Cause>) {
        if state.gone {
            return self.break_promises();
        }
        if self.writes.is_empty() {
            if !self.soon.is_empty() {
                let urgency = if self.at_once {
                    store::Urgency::Now
                } else {
                    store::Urgency::Soon
                };
                state.ticket = server.store().queue(self.soon, urgency);
            }
            for promise in self.promises {
                promise.session.outbox.push(promise.kept);
            }
        } else {
            if !self.soon.is_empty() {
                self.soon.append(&mut self.writes);
                self.writes = self.soon;
            }
            state.ticket = server.store().queue(self.writes, store::Urgency::Now);
            state.relied_on = state.ticket;
            if let Some(cause) = cause {
                cause.note(state.ticket);
            }
            for promise in self.promises {
                promise.keep_when_durable(server, state.ticket);
            }
        }
        for sweep in self.sweeps {
            state.ticket = server.store().queue(sweep, store::Urgency::Soon);
        }
    }
}

impl Promise {
    fn break_it(self) {
        self.session.outbox.push(self.broken);
    }

    fn keep_when_durable(self, server: &Server, ticket: Ticket) {
        server.store().when_durable(
            ticket,
            Box::new(move |durable| {
                let kept = matches!(durable, Durable::Yes);
                self.session
                    .outbox
                    .push(if kept { self.kept } else { self.broken });
            }),
        );
    }
}
