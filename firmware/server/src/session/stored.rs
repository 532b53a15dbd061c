//! Waiting sessions on disk: an update restarts the server, and no phone should notice (DESIGN §6).
//!
//! State: `session.state` has a row for each session that waits, `session.entry` one for each stanza that
//! waits for it. Rows appear when a line drops, at the latest at the end of the server, and go when the
//! session is resumed or over. A connected session has none: after a power cut its client starts anew, and
//! what it had not acknowledged is above its offline mark. `session.stopped` says that the server ended in
//! order; after any other end, nobody knows what presence a session that waits has missed.

use super::{
    Digest, Session,
    waiting::{Away, elapsed},
};
use crate::{
    account::{Account, Cx, Presence, Resource},
    features, identity, presence, push,
    room::seats,
    server::Server,
    world::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, atomic::Ordering},
};
use store::{Record, Snapshot, Table, Urgency, Write};
use tracing::warn;
use xmpp::{Class, Entry, Jid, Kind, Passing, Stanza, datetime};

/// By account and the beginning of the digest of the session's id.
pub(crate) const STATE: Table<(u32, u64), StateRecord> = Table::per_account("session.state", 1);
/// By account, session and the order in which they came.
pub(crate) const ENTRY: Table<(u32, u64, u64), EntryRecord> =
    Table::per_account("session.entry", 1);

/// One row, from an orderly end to the next start.
const STOPPED: Table<(), StoppedRecord> = Table::new("session.stopped", 1);

#[derive(Clone, Copy, Serialize, Deserialize)]
struct StoppedRecord {}

impl Record for StoppedRecord {}

/// A session that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateRecord {
    /// The full JID.
    jid: String,
    digest: Digest,
    /// Milliseconds it waits at most.
    patience: u64,
    /// Stanzas of the client that are handled, modulo 2^32.
    handled: u32,
    /// Stanzas for the client that it acknowledged, modulo 2^32.
    acknowledged: u32,
    /// Asked for the roster.
    interested: bool,
    /// Its last presence, where it is available.
    presence: Option<String>,
    /// Who got directed presence.
    directed: Vec<String>,
    /// What features keep of it, by the name they gave.
    features: Vec<(String, Vec<u8>)>,
    /// Since when it waits, milliseconds since 1970.
    since: Timestamp,
}

impl Record for StateRecord {}

/// A stanza that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryRecord {
    /// 0 message, 1 presence, 2 iq.
    kind: u8,
    #[serde(with = "serde_bytes")]
    head: Vec<u8>,
    to: Option<String>,
    #[serde(with = "serde_bytes")]
    content: Vec<u8>,
    position: Option<u64>,
}

impl Record for EntryRecord {}

impl EntryRecord {
    pub(crate) fn of(entry: &Entry) -> EntryRecord {
        EntryRecord {
            kind: match entry.kind {
                Kind::Message => 0,
                Kind::Presence => 1,
                Kind::Iq => 2,
            },
            head: entry.head.to_vec(),
            to: entry.to.as_ref().map(|to| to.as_str().to_owned()),
            content: entry.content.to_vec(),
            position: entry.position,
        }
    }

    pub(crate) fn into_entry(self) -> Option<Entry> {
        Some(Entry {
            kind: match self.kind {
                0 => Kind::Message,
                1 => Kind::Presence,
                2 => Kind::Iq,
                _ => return None,
            },
            head: self.head.into(),
            to: self.to.and_then(|to| Jid::parse(&to).ok()),
            content: self.content.into(),
            position: self.position,
            class: Class::Urgent,
        })
    }
}

/// A message says when it came, where it does not already (XEP-0203).
pub(crate) fn stamp(server: &Server, entry: &mut Entry, at: Timestamp) {
    const DELAY: &[u8] = b"urn:xmpp:delay";
    let has_one = entry.content.windows(DELAY.len()).any(|part| part == DELAY);
    if entry.kind == Kind::Message && !has_one {
        let (domain, stamp) = (server.domain(), datetime::format(at));
        entry.add(&format!(
            "<delay xmlns='urn:xmpp:delay' from='{domain}' stamp='{stamp}'/>"
        ));
    }
}

fn key(digest: &Digest) -> u64 {
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(head)
}

/// The write of one stanza.
pub(crate) fn entry(account: u32, digest: &Digest, number: u64, entry: &Entry) -> Write {
    ENTRY.put(&(account, key(digest), number), &EntryRecord::of(entry))
}

/// The writes of a session whose line dropped. None for one that cannot be resumed.
pub(crate) fn rows(
    cx: &Cx<'_>,
    session: &Session,
    acknowledged: u32,
    entries: &[Entry],
) -> Vec<Write> {
    let resource = cx.state.resources.iter();
    let resource = resource
        .clone()
        .find(|r| r.session.number == session.number);
    let (Some(resource), Some(resumption)) = (resource, session.resumption()) else {
        return Vec::new();
    };
    let now = elapsed(cx.server);
    let since = resource.away.as_ref().map_or(now, |away| away.since);
    let presence = resource.presence.as_ref();
    let presence = presence.map(|presence| identity::as_sent(&presence.passing));
    let state = StateRecord {
        jid: session.jid.as_str().to_owned(),
        digest: resumption.digest,
        patience: resumption.patience,
        handled: session.intake.queued(),
        acknowledged,
        interested: resource.interested,
        presence: presence.map(|presence| presence.to_xml()),
        directed: resource.directed.iter().map(ToString::to_string).collect(),
        features: features::saved(resource),
        since: cx.now().saturating_sub_signed(now.saturating_sub(since)),
    };
    let mut writes = vec![STATE.put(&(cx.id(), key(&resumption.digest)), &state)];
    for (number, stanza) in (0..).zip(entries) {
        writes.push(entry(cx.id(), &resumption.digest, number, stanza));
    }
    writes
}

/// The writes that take out a session with so many rows.
pub(crate) fn removals(
    account: u32,
    digest: &Digest,
    rows: u64,
) -> impl Iterator<Item = Write> + use<> {
    let state = STATE.remove(&(account, key(digest)));
    std::iter::once(state).chain(removals_from(account, digest, 0..rows))
}

/// The writes that take out stanzas with these numbers.
pub(crate) fn removals_from(
    account: u32,
    digest: &Digest,
    numbers: Range<u64>,
) -> impl Iterator<Item = Write> + use<> {
    let key = key(digest);
    numbers.map(move |number| ENTRY.remove(&(account, key, number)))
}

/// What a restart left of one session, read before its account is in use.
pub(crate) struct Left {
    state: StateRecord,
    entries: Vec<Entry>,
    /// The number of the next row.
    rows: u64,
}

/// Reads them; and the writes that take out stanzas of sessions that are not there: the disk failed when
/// their session began to wait, and took what came for it later.
pub(crate) fn read(
    snapshot: &Snapshot,
    account: u32,
) -> Result<(Vec<Left>, Vec<Write>), store::Error> {
    let mut left = BTreeMap::new();
    for row in STATE.prefix(snapshot, &account)? {
        let ((_, session), state) = row?;
        let (entries, rows) = (Vec::new(), 0);
        left.insert(
            session,
            Left {
                state,
                entries,
                rows,
            },
        );
    }
    let mut strays = Vec::new();
    for row in ENTRY.prefix(snapshot, &account)? {
        let ((_, session, number), record) = row?;
        if let Some(left) = left.get_mut(&session) {
            left.entries.extend(record.into_entry());
            left.rows = number + 1;
        } else {
            strays.push(ENTRY.remove(&(account, session, number)));
        }
    }
    Ok((left.into_values().collect(), strays))
}

/// The accounts with sessions that wait: their localparts.
fn accounts(snapshot: &Snapshot) -> Result<Vec<String>, store::Error> {
    let mut accounts: Vec<String> = Vec::new();
    for row in STATE.range(snapshot, ..)? {
        let jid = Jid::parse(&row?.1.jid).ok();
        accounts.extend(jid.and_then(|jid| jid.localpart().map(str::to_owned)));
    }
    accounts.dedup();
    Ok(accounts)
}

/// What waits on disk is exact.
pub(crate) fn note_end(server: &Server) {
    let stopped = STOPPED.put(&(), &StoppedRecord {});
    server.store().queue(vec![stopped], Urgency::Now);
}

impl Server {
    /// Loads the accounts whose sessions wait from before, so that they are there when contacts ask, and
    /// those of which a push service may still have to be told; then the rooms that somebody was in. Before
    /// anybody is let in, and before [`Server::settle_restored`]; blocks.
    ///
    /// # Errors
    /// The disk's.
    pub fn restore_sessions(self: &Arc<Self>) -> Result<(), store::Error> {
        let snapshot = self.store().snapshot()?;
        let exact = STOPPED.get(&snapshot, &())?.is_some();
        if exact {
            // Before anything else that this server writes: the next end is another one.
            self.store().queue(vec![STOPPED.remove(&())], Urgency::Now);
        }
        self.restores_exactly().store(exact, Ordering::Relaxed);
        for localpart in accounts(&snapshot)? {
            self.read_account(&localpart)?;
        }
        self.restores_exactly().store(false, Ordering::Relaxed);
        let rooms = seats::to_look_after(&snapshot, self.rooms().service())?;
        for room in rooms.occupied {
            self.read_account(&room)?;
        }
        for room in rooms.deserted {
            if let Some(room) = self.read_account(&room)? {
                self.at(&room, 0, features::muc::deserted);
                self.directory().forget(&room);
            }
        }
        for localpart in push::unfinished(&snapshot)? {
            self.read_account(&localpart)?;
        }
        Ok(())
    }

    /// Brings what came of that to those it is for: a room tells who did not come back.
    pub async fn settle_restored(self: &Arc<Self>) {
        for account in self.directory().all() {
            let lost = self.at(&account, 0, seats_taken_for_granted);
            let lost = lost
                .into_iter()
                .filter(|(room, session)| !self.is_seated(room, session));
            let lost: Vec<_> = lost.collect();
            self.at(&account, 0, |cx| {
                for (room, session) in &lost {
                    let told = features::muc::lost(cx.server, room, session);
                    cx.route(told);
                }
            });
            self.settle_account(&account).await;
        }
    }

    /// Makes sessions of what a restart left.
    pub(crate) fn restore(&self, account: &Arc<Account>, left: Vec<Left>) {
        for Left {
            state,
            entries,
            rows,
        } in left
        {
            let Ok(jid) = Jid::parse(&state.jid) else {
                warn!("a stored session has no address");
                continue;
            };
            let session = Arc::new(Session::new(jid, self.next_number(), account.clone()));
            session.restore_resumption(state.digest, state.patience);
            session.intake.restore(state.handled);
            let positions: Vec<u64> = entries.iter().filter_map(|e| e.position).collect();
            session.outbox.restore(state.acknowledged, entries);
            self.at(account, 0, |cx| {
                let waited = cx.now().saturating_sub(state.since);
                let since = elapsed(cx.server).saturating_sub_unsigned(waited);
                let exact = self.restores_exactly().load(Ordering::Relaxed);
                let away = Away::new(since, rows).knowing_all(exact);
                cx.state
                    .resources
                    .push(resource(session.clone(), &state, away));
                identity::completed_anew(cx, &session.jid);
                features::restored(cx, &session.jid, &positions);
            });
        }
        // What one of them carries is not for another: so only now, when that is known of all.
        self.at(account, 0, |cx| {
            for session in cx.state.sessions() {
                presence::resumed(cx, &session);
            }
        });
    }
}

/// The occupants of our rooms that sessions of the account believe to be, with their sessions.
fn seats_taken_for_granted(cx: &mut Cx<'_>) -> Vec<(Jid, Jid)> {
    let mut seats = Vec::new();
    for resource in &cx.state.resources {
        let rooms = resource.directed.iter();
        let rooms =
            rooms.filter(|to| to.resourcepart().is_some() && cx.server.rooms().has_address(to));
        seats.extend(rooms.map(|to| (to.clone(), resource.session.jid.clone())));
    }
    seats
}

fn resource(session: Arc<Session>, state: &StateRecord, away: Away) -> Resource {
    let directed = state.directed.iter().filter_map(|jid| Jid::parse(jid).ok());
    let jid = session.jid.clone();
    let mut resource = Resource::new(session);
    let stanza = state
        .presence
        .as_ref()
        .and_then(|xml| Stanza::parse(xml).ok());
    resource.presence = stanza.map(|stanza| {
        let passing = Passing::new(Arc::new(stanza), jid.clone(), jid.bare());
        Presence {
            priority: presence::priority(&passing),
            passing,
        }
    });
    resource.interested = state.interested;
    resource.directed = directed.collect();
    resource.away = Some(away);
    features::restore(&mut resource, &state.features);
    resource
}
