//! XEP-0160: messages that arrive while nobody is there wait in the archive.
//!
//! What waits is a mark over the archive, not a second copy (DESIGN §14): everything up to `upto` was
//! written to some resource's socket, except the holes. A hole closes when a socket took it, so a message
//! that was on its way when a link broke, or the power, is delivered again.
//!
//! State: [`Waiting`] per account, in table `offline.mark`; [`Replay`] per resource.

use super::{archive::says_nothing, carbons, passes};
use crate::{
    account::Cx,
    archive::{self, ENTRY, EntryKind, EntryRecord},
    feature::{Delivery, Feature, On, Spec, Verdict},
    limits::{OUTBOX_LOW, REPLAY_CHUNK, WAITING_MAX},
    server::Server,
    session::Session,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use store::{Record, Snapshot, Table};
use tokio::sync::oneshot;
use tracing::error;
use xmpp::{Entry, Jid, Passing, Stanza, datetime, stanza::Reach};

/// By account.
pub(crate) const MARK: Table<u32, Mark> = Table::per_account("offline.mark", 1);

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(160, "1.0.1", "Best Practices for Handling Offline Messages"),
    disco: &[(On::Server, "msgoffline")],
    message_delivered: Some(on_its_way),
    message_undelivered: Some(wait),
    available: Some(begin_replay),
    written: Some(close_holes),
    gone: Some(pass_on),
    restored: Some(carries),
    written_anew: Some(write_mark),
    ..Feature::NONE
};

/// The stored form of [`Waiting`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    upto: u64,
    /// Position, and whether it is kept only until delivered.
    holes: Vec<(u64, bool)>,
}

impl Record for Mark {}

/// What an account has not been given yet.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    upto: u64,
    holes: BTreeMap<u64, Hole>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Hole {
    /// Resources whose outbox or replay holds it.
    carriers: u8,
    temporary: bool,
}

/// What one resource is being given.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Still to be fetched from the archive. While it is not empty, new messages queue up behind.
    behind: VecDeque<u64>,
    /// Whether messages go through `behind`.
    running: bool,
    /// In the outbox or being fetched for it, not yet on the socket.
    in_flight: Vec<u64>,
}

impl Replay {
    /// Whether to fetch more. Bytes that wait hold it back only while a message is among them: nothing else
    /// is reported once it is written, and so would get this going again.
    fn wants_more(&self, bytes_waiting: usize) -> bool {
        self.running && (bytes_waiting <= OUTBOX_LOW || self.in_flight.is_empty())
    }

    /// Whether a message must wait for what is replayed; then it is fetched from the archive in its turn.
    pub(super) fn queues_behind(&mut self, position: u64) -> bool {
        if self.running {
            self.behind.push_back(position);
        }
        self.running
    }

    fn land(&mut self, positions: &[u64]) {
        self.in_flight
            .retain(|position| !positions.contains(position));
    }
}

impl Waiting {
    /// The mark, and what was kept after it was last written.
    pub(crate) fn load(snapshot: &Snapshot, account: u32) -> Result<Waiting, store::Error> {
        let mark = MARK.get(snapshot, &account)?.unwrap_or_default();
        let mut waiting = Waiting {
            upto: mark.upto,
            holes: BTreeMap::new(),
        };
        for (position, temporary) in mark.holes {
            waiting.insert(
                position,
                Hole {
                    carriers: 0,
                    temporary,
                },
            );
        }
        for row in ENTRY.range(snapshot, (account, mark.upto + 1)..=(account, u64::MAX))? {
            let ((_, position), entry) = row?;
            waiting.upto = position;
            if entry.kind != EntryKind::Sent {
                let temporary = entry.kind == EntryKind::Temporary;
                waiting.insert(
                    position,
                    Hole {
                        carriers: 0,
                        temporary,
                    },
                );
            }
        }
        Ok(waiting)
    }

    /// Above the limit the oldest is left to the archive, or is over if it was kept for its delivery alone:
    /// then it is returned.
    fn insert(&mut self, position: u64, hole: Hole) -> Option<u64> {
        self.upto = self.upto.max(position);
        self.holes.insert(position, hole);
        if self.holes.len() <= WAITING_MAX {
            return None;
        }
        let (position, oldest) = self.holes.pop_first()?;
        oldest.temporary.then_some(position)
    }

    /// The first position that waits.
    pub(crate) fn first(&self) -> Option<u64> {
        self.holes.keys().next().copied()
    }

    fn mark(&self) -> Mark {
        Mark {
            upto: self.upto,
            holes: self
                .holes
                .iter()
                .map(|(at, hole)| (*at, hole.temporary))
                .collect(),
        }
    }
}

/// Somebody gets it, itself or as a copy: a hole until a socket took it.
fn on_its_way(cx: &mut Cx<'_>, message: &Passing, delivery: &mut Delivery<'_>) {
    let Some(position) = message.position else {
        return;
    };
    let carriers = delivery.receivers.len() + delivery.copies.len();
    if carriers == 0 {
        return;
    }
    let hole = Hole {
        carriers: carriers.min(usize::from(u8::MAX)) as u8,
        temporary: message.temporary,
    };
    add(cx, position, hole);
    delivery.entry.position = Some(position);
    for (_, copy) in &mut delivery.copies {
        copy.position = Some(position);
    }
    let copied = delivery.copies.iter().map(|(resource, _)| resource);
    for receiver in delivery.receivers.iter().chain(copied) {
        let Some(resource) = cx.state.resource(receiver) else {
            continue;
        };
        if resource.memory.waiting.queues_behind(position) {
            delivery.held_back.push(receiver.clone());
        } else {
            resource.memory.waiting.in_flight.push(position);
        }
    }
}

/// Nobody is there: it waits where it was kept. What was not kept is refused, so that its sender knows; a
/// chat state alone is nothing to know about.
fn wait(cx: &mut Cx<'_>, message: &mut Passing) -> Verdict {
    let Some(position) = message.position else {
        return if says_nothing(message) {
            Verdict::Drop
        } else {
            Verdict::Pass
        };
    };
    let hole = Hole {
        carriers: 0,
        temporary: message.temporary,
    };
    add(cx, position, hole);
    Verdict::Taken
}

fn add(cx: &mut Cx<'_>, position: u64, hole: Hole) {
    if let Some(over) = cx.state.memory.waiting.insert(position, hole) {
        remove_temporary(cx, over);
    }
}

fn remove_temporary(cx: &mut Cx<'_>, position: u64) {
    for write in archive::remove_temporary(cx.id(), position) {
        cx.write_soon(write);
    }
}

/// §2 rule 5: the first resource that comes with a non-negative priority gets what waits and nobody carries.
fn begin_replay(cx: &mut Cx<'_>, jid: &Jid) {
    let Some(resource) = cx.state.resource(jid) else {
        return;
    };
    let takes_messages = resource
        .presence
        .as_ref()
        .is_some_and(|presence| presence.priority >= 0);
    if !takes_messages || resource.memory.waiting.running {
        return;
    }
    let holes = cx
        .state
        .memory
        .waiting
        .holes
        .iter_mut()
        .filter(|(_, hole)| hole.carriers == 0);
    let behind: VecDeque<u64> = holes
        .map(|(position, hole)| {
            hole.carriers = 1;
            *position
        })
        .collect();
    if let Some(resource) = cx.state.resource(jid) {
        let replay = &mut resource.memory.waiting;
        replay.running = !behind.is_empty();
        replay.behind = behind;
    }
}

/// A socket took these, or there is nothing to give.
fn close_holes(cx: &mut Cx<'_>, jid: &Jid, positions: &[u64]) {
    if let Some(resource) = cx.state.resource(jid) {
        resource.memory.waiting.land(positions);
    }
    let mut any = false;
    for position in positions {
        let Some(closed) = cx.state.memory.waiting.holes.remove(position) else {
            continue; // read again from the archive
        };
        any = true;
        if closed.temporary {
            remove_temporary(cx, *position);
        }
    }
    if any {
        write_mark(cx);
    }
}

/// A session is gone: what it carried goes to whoever else is there, or waits for the next one.
fn pass_on(cx: &mut Cx<'_>, jid: &Jid) {
    give_back(cx, jid);
    let others = cx
        .state
        .available()
        .filter(|other| other.session.jid != *jid);
    let next = others.max_by_key(|other| other.presence.as_ref().map(|p| p.priority));
    if let Some(next) = next.map(|next| next.session.jid.clone()) {
        begin_replay(cx, &next);
    }
}

/// A restart left these in the outbox of a session that waits.
fn carries(cx: &mut Cx<'_>, jid: &Jid, positions: &[u64]) {
    for position in positions {
        if let Some(hole) = cx.state.memory.waiting.holes.get_mut(position) {
            hole.carriers = hole.carriers.saturating_add(1);
        }
    }
    if let Some(resource) = cx.state.resource(jid) {
        resource.memory.waiting.in_flight.extend(positions);
    }
}

/// What a session carries waits for the next one: it is gone, or the archive cannot be read.
fn give_back(cx: &mut Cx<'_>, jid: &Jid) {
    let Some(resource) = cx.state.resource(jid) else {
        return;
    };
    let replay = std::mem::take(&mut resource.memory.waiting);
    for position in replay.behind.into_iter().chain(replay.in_flight) {
        if let Some(hole) = cx.state.memory.waiting.holes.get_mut(&position) {
            hole.carriers = hole.carriers.saturating_sub(1);
        }
    }
    write_mark(cx);
}

fn write_mark(cx: &mut Cx<'_>) {
    let mark = MARK.put(&cx.id(), &cx.state.memory.waiting.mark());
    cx.write_soon(mark);
}

impl Server {
    /// Gives a session what waits for it, as much as its outbox should hold. The rest follows when its
    /// socket took that; the last step happens under the lock, so that nothing overtakes.
    pub(crate) async fn catch_up(self: &Arc<Self>, session: &Arc<Session>) {
        while let Some(chunk) = self.at(&session.account, 0, |cx| next_chunk(cx, session)) {
            let read = self.read_chunk(session, chunk.clone()).await;
            self.at(&session.account, 0, |cx| {
                deliver_chunk(cx, session, &chunk, read);
            });
        }
    }

    async fn read_chunk(self: &Arc<Self>, session: &Session, chunk: Vec<u64>) -> Option<Vec<Kept>> {
        let (sender, receiver) = oneshot::channel();
        let (server, account) = (self.clone(), session.account.clone());
        self.readers().run(Box::new(move || {
            let read = server
                .store()
                .snapshot_after(account.ticket())
                .and_then(|snapshot| read_some(&snapshot, account.id, &chunk));
            let _ = sender.send(read);
        }));
        match receiver.await {
            Ok(Ok(kept)) => Some(kept),
            Ok(Err(error)) => {
                error!(session = %session.jid, %error, "waiting messages cannot be read");
                None
            }
            Err(_) => None,
        }
    }
}

type Kept = Option<(EntryRecord, Stanza)>;

/// Reads these messages, or as many from the first on as an outbox should hold at a time.
fn read_some(snapshot: &Snapshot, account: u32, chunk: &[u64]) -> Result<Vec<Kept>, store::Error> {
    let mut bytes = 0;
    let mut some = Vec::with_capacity(chunk.len());
    for position in chunk {
        let kept = archive::read(snapshot, account, *position)?;
        bytes += kept.as_ref().map_or(0, |(_, stanza)| stanza.len());
        some.push(kept);
        if bytes > OUTBOX_LOW {
            break;
        }
    }
    Ok(some)
}

/// The next positions to fetch; with none left the resource goes live.
fn next_chunk(cx: &mut Cx<'_>, session: &Session) -> Option<Vec<u64>> {
    let resource = cx.state.resource(&session.jid)?;
    let replay = &mut resource.memory.waiting;
    // For one without a connection it stays in the archive.
    if resource.session.number != session.number
        || resource.away.is_some()
        || !replay.wants_more(session.outbox.bytes())
    {
        return None;
    }
    if replay.behind.is_empty() {
        replay.running = false;
        return None;
    }
    let length = replay.behind.len().min(REPLAY_CHUNK);
    let chunk: Vec<u64> = replay.behind.drain(..length).collect();
    replay.in_flight.extend(&chunk); // given back if the session goes while they are read
    Some(chunk)
}

fn deliver_chunk(cx: &mut Cx<'_>, session: &Session, chunk: &[u64], read: Option<Vec<Kept>>) {
    let Some(resource) = cx
        .state
        .resource(&session.jid)
        .filter(|r| r.session.number == session.number)
    else {
        return; // gone meanwhile, and gave them back
    };
    let Some(kept) = read else {
        // The card did not answer: they are tried again with the next presence or the next session.
        return give_back(cx, &session.jid);
    };
    let replay = &mut resource.memory.waiting;
    let (fetched, rest) = chunk.split_at(kept.len());
    replay.land(rest);
    for position in rest.iter().rev() {
        replay.behind.push_front(*position);
    }
    for (position, kept) in fetched.iter().zip(kept) {
        match kept.and_then(|(record, stanza)| as_it_waited(cx, *position, &record, stanza)) {
            Some(waited) => {
                let to = waited.to.clone().unwrap_or_else(|| session.jid.clone());
                let entry = Entry {
                    position: Some(*position),
                    to: Some(to),
                    ..waited
                };
                cx.deliver(&session.jid, entry);
            }
            None => close_holes(cx, &session.jid, &[*position]),
        }
    }
}

/// The message as it waited, with its id in the archive, if it stays there (XEP-0313 §3.5), and the time it
/// came (XEP-0203). Nothing of somebody blocked since (XEP-0191 §3.3): that stays in the archive.
fn as_it_waited(
    cx: &mut Cx<'_>,
    position: u64,
    record: &EntryRecord,
    stanza: Stanza,
) -> Option<Entry> {
    let (from, to) = (stanza.from().ok()??, stanza.to().ok()??);
    let mut passing = Passing::new(Arc::new(stanza), from, to);
    if record.is_shown() {
        let ids = cx.server.archive_ids();
        let stanza_id = archive::stanza_id(ids, cx.id(), cx.jid(), position);
        passing.add(stanza_id, Reach::ThisResource);
    }
    if record.kind == EntryKind::Sent {
        return Some(carbons::sent(cx.jid(), &passing)); // queued behind, not waiting
    }
    let (domain, stamp) = (cx.server.domain(), datetime::format(record.stamp));
    passing.add(
        format!("<delay xmlns='urn:xmpp:delay' from='{domain}' stamp='{stamp}'/>"),
        Reach::ThisResource,
    );
    passes(cx, |feature| feature.stanza_in, &mut passing).then(|| passing.entry())
}
