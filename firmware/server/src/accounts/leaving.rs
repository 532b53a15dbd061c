//! Accounts on their way out: closed by their owner, who may think better of it for a while; removed, with
//! contacts who are to be told; gone, with a name that strangers may not take over at once.
//!
//! State: tables `account.closing`, `account.former`.

use super::{
    Refusal, disable, existing,
    record::{RECORD, REMOVED},
};
use crate::{
    directory,
    limits::{CLOSED_MS, FORMER_MS},
    pubsub, room,
    roster::{self, Subscription, Verb},
    world::{Dice, Timestamp},
};
use serde::{Deserialize, Serialize};
use store::{Error, Record, Snapshot, Table, Write, limits::SWEEP_ROWS_MAX};
use xmpp::{Jid, Passing};

/// By localpart: accounts whose owners asked for their removal.
const CLOSING: Table<String, ClosingRecord> = Table::new("account.closing", 1);
/// By localpart: names of removed accounts.
const FORMER: Table<String, FormerRecord> = Table::new("account.former", 1);

#[derive(Serialize, Deserialize)]
struct ClosingRecord {
    asked_ms: Timestamp,
}

impl Record for ClosingRecord {}

#[derive(Serialize, Deserialize)]
struct FormerRecord {
    removed_ms: Timestamp,
}

impl Record for FormerRecord {}

/// Closes an account as its owner wishes: nobody can sign in, and after [`CLOSED_MS`] it is removed, unless
/// it is enabled before.
///
/// # Errors
/// [`Refusal::LastAdministrator`] where nobody else is one.
pub fn close(snapshot: &Snapshot, localpart: &str, now: Timestamp) -> Result<Vec<Write>, Refusal> {
    if existing(snapshot, localpart)?.admin && !has_other_administrator(snapshot, localpart)? {
        return Err(Refusal::LastAdministrator);
    }
    let mut writes = disable(snapshot, localpart)?;
    writes.push(CLOSING.put(&localpart.to_owned(), &ClosingRecord { asked_ms: now }));
    Ok(writes)
}

fn has_other_administrator(snapshot: &Snapshot, localpart: &str) -> Result<bool, Error> {
    for row in RECORD.range(snapshot, ..)? {
        let (other, record) = row?;
        if other != localpart && record.admin && record.enabled {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes an account that was closed, once its time has come.
///
/// # Errors
/// [`Refusal::Unknown`] where its time has not come, or it was enabled meanwhile.
pub(crate) fn remove_closed(
    snapshot: &Snapshot,
    localpart: &str,
    now: Timestamp,
) -> Result<Vec<Write>, Refusal> {
    match closing(snapshot, localpart)? {
        Some(removal) if removal <= now => super::remove(snapshot, localpart, now),
        _ => Err(Refusal::Unknown),
    }
}

/// When a closed account is removed.
pub(super) fn closing(snapshot: &Snapshot, localpart: &str) -> Result<Option<Timestamp>, Error> {
    let closing = CLOSING.get(snapshot, &localpart.to_owned())?;
    Ok(closing.map(|closing| closing.asked_ms.saturating_add(CLOSED_MS)))
}

/// All closed accounts, and when they are removed.
pub(crate) fn closed(snapshot: &Snapshot) -> Result<Vec<(String, Timestamp)>, Error> {
    let rows = CLOSING.range(snapshot, ..)?;
    rows.map(|row| row.map(|(name, closing)| (name, closing.asked_ms.saturating_add(CLOSED_MS))))
        .collect()
}

/// What takes back that an account is closed, where it is.
pub(super) fn reopen(snapshot: &Snapshot, localpart: &str) -> Result<Option<Write>, Error> {
    let name = localpart.to_owned();
    let closing = CLOSING.get(snapshot, &name)?;
    Ok(closing.map(|_| CLOSING.remove(&name)))
}

/// Notes that a name was somebody's, and forgets those that were somebody's long ago.
pub(super) fn retire_name(
    snapshot: &Snapshot,
    localpart: &str,
    now: Timestamp,
) -> Result<Vec<Write>, Error> {
    let mut writes = Vec::new();
    for row in FORMER.range(snapshot, ..)? {
        let (name, former) = row?;
        if is_over(&former, now) && writes.len() < SWEEP_ROWS_MAX {
            writes.push(FORMER.remove(&name));
        }
    }
    writes.push(FORMER.put(&localpart.to_owned(), &FormerRecord { removed_ms: now }));
    Ok(writes)
}

/// Whether the name was somebody's until lately: others would believe that the stranger who has it now is who
/// had it then.
pub(crate) fn was_somebody(
    snapshot: &Snapshot,
    localpart: &str,
    now: Timestamp,
) -> Result<bool, Error> {
    let former = FORMER.get(snapshot, &localpart.to_owned())?;
    Ok(former.is_some_and(|former| !is_over(&former, now)))
}

fn is_over(former: &FormerRecord, now: Timestamp) -> bool {
    former.removed_ms.saturating_add(FORMER_MS) <= now
}

/// What a removed account has to say to its contacts (XEP-0077 §3.2), and the writes behind which it is said.
pub(crate) struct Farewell {
    pub(crate) localpart: String,
    /// What to tell whom, in order.
    pub(crate) words: Vec<(Jid, Verb)>,
    /// What the subscribers of its nodes are told.
    pub(crate) events: Vec<Passing>,
    pub(crate) writes: Vec<Write>,
}

/// The next farewells: of each removed account, some of its contacts.
///
/// # Errors
/// The disk's.
pub(crate) fn farewells(
    snapshot: &Snapshot,
    domain: &str,
    dice: &dyn Dice,
) -> Result<Vec<Farewell>, Error> {
    let mut farewells = Vec::new();
    for (localpart, id) in super::removed(snapshot)? {
        let mut farewell = Farewell {
            localpart,
            words: Vec::new(),
            events: Vec::new(),
            writes: Vec::new(),
        };
        let Ok(own) = Jid::from_parts(Some(&farewell.localpart), domain, None) else {
            continue;
        };
        for row in roster::ITEM.prefix(snapshot, &id)?.take(SWEEP_ROWS_MAX) {
            let (key, item) = row?;
            if let Ok(contact) = Jid::parse(&key.1) {
                let verbs = last_words(item.subscription());
                farewell
                    .writes
                    .extend(told(snapshot, &contact, &own, &verbs)?);
                let words = verbs.into_iter().map(|verb| (contact.clone(), verb));
                farewell.words.extend(words);
            }
            farewell.writes.push(roster::ITEM.remove(&key));
        }
        let (events, writes) = pubsub::last_words(snapshot, id, &own, (SWEEP_ROWS_MAX, dice))?;
        farewell.events = events;
        farewell.writes.extend(writes);
        if !farewell.writes.is_empty() {
            farewells.push(farewell);
        }
    }
    Ok(farewells)
}

/// Whether anybody is still to be told that this account is gone: contacts, and subscribers of its nodes.
///
/// # Errors
/// The disk's.
pub(super) fn has_listeners(snapshot: &Snapshot, id: u32) -> Result<bool, Error> {
    if pubsub::has_subscribers(snapshot, id)? {
        return Ok(true);
    }
    for row in roster::ITEM.prefix(snapshot, &id)? {
        if !last_words(row?.1.subscription()).is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// RFC 6121 §3.2, §3.3: what ends each direction.
fn last_words(subscription: Subscription) -> Vec<Verb> {
    let mut words = Vec::new();
    if subscription.to || subscription.ask {
        words.push(Verb::Unsubscribe);
    }
    if subscription.from || subscription.pending_in {
        words.push(Verb::Unsubscribed);
    }
    words
}

/// A contact whose account is disabled hears nothing, but must know when it is enabled again.
fn told(
    snapshot: &Snapshot,
    contact: &Jid,
    from: &Jid,
    verbs: &[Verb],
) -> Result<Option<Write>, Error> {
    let Some(name) = contact.localpart() else {
        return Ok(None);
    };
    if contact.domainpart() != from.domainpart() {
        return Ok(None);
    }
    match super::find(snapshot, name)? {
        Some(record) if !record.enabled => roster::told(snapshot, record.id, from, verbs),
        _ => Ok(None),
    }
}

/// Whether a removed account left something that keeps its name from being free: whoever had it next would
/// be taken for who had it before.
///
/// # Errors
/// The disk's.
pub fn rests(snapshot: &Snapshot, localpart: &str) -> Result<bool, Error> {
    match REMOVED.get(snapshot, &localpart.to_owned())? {
        Some(removed) => {
            let domain = super::domain(snapshot)?.unwrap_or_default();
            let gone = format!("{localpart}@{domain}");
            Ok(has_listeners(snapshot, removed.id)?
                || !acquaintances(snapshot, localpart)?.is_empty()
                || !room::acquainted(snapshot, &gone)?.is_empty())
        }
        None => Ok(false),
    }
}

/// The accounts whose nodes know a removed one, by localpart and id; the service has no localpart.
///
/// # Errors
/// The disk's.
pub(crate) fn acquaintances(
    snapshot: &Snapshot,
    localpart: &str,
) -> Result<Vec<(String, u32)>, Error> {
    let Some(domain) = super::domain(snapshot)? else {
        return Ok(Vec::new());
    };
    let ids = pubsub::acquainted(snapshot, &format!("{localpart}@{domain}"))?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // What another removed account left is swept without a word about this one.
    let mut known = super::all(snapshot)?;
    known.push((directory::SERVICE.to_owned(), pubsub::SERVICE));
    known.retain(|(_, id)| ids.contains(id));
    Ok(known)
}
