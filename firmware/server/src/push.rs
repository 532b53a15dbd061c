//! Push (XEP-0357): which devices asked to be woken, and by whom. What a message is worth is in
//! `push/note.rs`, who wants to hear of it in `chat.rs` (people) and `filter.rs` (devices), what a device
//! only seems to have got in `carried.rs`, what rooms say to members who are away in `room.rs`; when a push
//! service is told in `publish.rs`, and what it is told in `notification.rs`.
//!
//! A registration belongs to an account, a push service and a node there; it stays over reconnects, restarts
//! and updates, until its device takes it back, loses its access, or the push service knows it no more.
//!
//! State: the registrations of a loaded account in memory. Table `push.registration` has what a device asked
//! for, `push.progress` what came of it since.

mod alarm;
mod carried;
mod chat;
mod filter;
mod note;
mod notification;
mod publish;
pub(crate) mod room;
mod settings;
mod trial;
mod wakeable;

pub(crate) use alarm::Alarm;
pub(crate) use carried::{may_end_a_call, session_gone};
pub(crate) use filter::Filters;
pub(crate) use publish::{
    answered, arrived, contact_requested, loaded, looked_at, work, write_anew,
};
pub(crate) use settings::{Encryption, Room, Settings};
pub use trial::{Outcome, Trial};
pub(crate) use wakeable::Wakeable;

use crate::{
    account::{Cx, State},
    accounts, devices,
    limits::{PUSHES_MAX, PUSHES_PER_DEVICE_MAX},
    session::Session,
    world::Timestamp,
};
use carried::Carried;
use note::Note;
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, sync::Arc};
use store::{Record, Snapshot, Table, Write};
use tokio::sync::oneshot;
use tracing::info;
use xmpp::Jid;

/// By account, push service and node.
pub(crate) const REGISTRATION: Table<Key, Settings> = Table::per_account("push.registration", 2);
/// By account, push service and node: apart from what was asked for, because it changes with every message.
pub(crate) const PROGRESS: Table<Key, Progress> = Table::per_account("push.progress", 1);

type Key = (u32, String, String);

/// How a registration fares.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Messages since somebody last looked at the device.
    unread: u32,
    /// Notifications in a row that the push service did not take, for a reason that may pass.
    failures: u32,
    /// When the last of them was, by the wall clock.
    failed_at: Timestamp,
}

impl Record for Progress {}

/// The registrations of an account while it is loaded. Almost all accounts have few, and many none.
#[derive(Default)]
pub(crate) struct Pushes(Vec<Enabled>);

/// One registration.
struct Enabled {
    service: Jid,
    node: Box<str>,
    settings: Settings,
    progress: Progress,
    /// What the push service is to be told when that may be.
    waiting: Option<Arc<Note>>,
    outstanding: Option<Outstanding>,
    /// When the push service was last told of a message, in elapsed milliseconds.
    sent_at: Option<u64>,
    /// When it was last told of a call, likewise.
    rang_at: Option<u64>,
    carried: Option<Box<Carried>>,
    trial: Option<(u64, oneshot::Sender<Outcome>)>,
    /// It is to be forgotten.
    is_dead: bool,
}

/// A notification that was not answered yet.
struct Outstanding {
    id: u64,
    /// In elapsed milliseconds.
    at: u64,
    note: Arc<Note>,
}

/// Where the device of a registration is.
enum Device {
    /// Not connected: its session is gone, or waits for it (XEP-0198).
    Away,
    /// Connected, and nobody looks at it (XEP-0352).
    Unwatched(Arc<Session>),
    Watched(Arc<Session>),
}

impl Pushes {
    pub(crate) fn load(snapshot: &Snapshot, account: u32) -> Result<Pushes, store::Error> {
        let mut pushes = Vec::new();
        for row in REGISTRATION.prefix(snapshot, &account)? {
            let (key, settings) = row?;
            let progress = PROGRESS.get(snapshot, &key)?.unwrap_or_default();
            let (_, service, node) = key;
            if let Ok(service) = Jid::parse(&service) {
                pushes.push(Enabled::new(service, &node, settings, progress));
            }
        }
        Ok(Pushes(pushes))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something is still to be told, or to be answered: then the account stays in memory.
    pub(crate) fn is_busy(&self) -> bool {
        let mut all = self.0.iter();
        all.any(|enabled| {
            let trial = enabled.trial.as_ref();
            enabled.waiting.is_some()
                || enabled.outstanding.is_some()
                || trial.is_some_and(|(_, tell)| !tell.is_closed())
        })
    }

    /// The one that makes room for another of this device, if one must: a device has one, and another while
    /// it changes from one to the next. Else, where the account has too many, the oldest of all.
    fn without_place(&self, settings: &Settings) -> Option<usize> {
        let is_of_it = |enabled: &Enabled| enabled.settings.is_same_device(settings);
        let own = self.0.iter().filter(|enabled| is_of_it(enabled)).count();
        if own < PUSHES_PER_DEVICE_MAX && self.0.len() < PUSHES_MAX {
            return None;
        }
        let all = self.0.iter().enumerate();
        let oldest = all
            .filter(|(_, enabled)| own < PUSHES_PER_DEVICE_MAX || is_of_it(enabled))
            .min_by_key(|(_, enabled)| enabled.settings.enabled_ms)?;
        Some(oldest.0)
    }
}

impl Enabled {
    fn new(service: Jid, node: &str, settings: Settings, progress: Progress) -> Enabled {
        Enabled {
            service,
            node: node.into(),
            settings,
            progress,
            waiting: None,
            outstanding: None,
            sent_at: None,
            rang_at: None,
            carried: None,
            trial: None,
            is_dead: false,
        }
    }

    fn key(&self, account: u32) -> Key {
        (account, self.service.to_string(), self.node.to_string())
    }

    /// Its device, if that is not by way of the session of that number.
    fn device(&self, state: &State, except: Option<u64>) -> Device {
        let resources = state.resources.iter().filter(|resource| {
            let session = &resource.session;
            resource.away.is_none()
                && Some(session.number) != except
                && !session.outbox.is_ended()
                && self.settings.is_of(resource)
        });
        let mut device = Device::Away;
        for session in resources.map(|resource| &resource.session) {
            if !session.outbox.is_inactive() {
                return Device::Watched(session.clone());
            }
            device = Device::Unwatched(session.clone());
        }
        device
    }
}

/// §5: keeps a registration; one of the same service and node is replaced, with everything that it said.
pub(crate) fn enable(cx: &mut Cx<'_>, service: Jid, node: &str, mut settings: Settings) {
    disable_if(cx, |enabled| {
        let is_it = enabled.service == service && *enabled.node == *node;
        if is_it && settings.kind.is_empty() {
            settings.kind = enabled.settings.kind.clone();
        }
        is_it
    });
    while let Some(at) = cx.state.memory.push.without_place(&settings) {
        let replaced = cx.state.memory.push.0.remove(at);
        remove(cx, &replaced);
    }
    let enabled = Enabled::new(service, node, settings, Progress::default());
    let account = cx.id();
    cx.write(REGISTRATION.put(&enabled.key(account), &enabled.settings));
    info!(account = %cx.jid(), service = %enabled.service, "wants to be woken by push");
    cx.server.wakeable().note(cx.account.key());
    cx.state.memory.push.0.push(enabled);
}

/// §6: forgets the registration with that node, or all with that service.
pub(crate) fn disable(cx: &mut Cx<'_>, service: &Jid, node: Option<&str>) {
    disable_if(cx, |enabled| {
        enabled.service == *service && node.is_none_or(|node| *enabled.node == *node)
    });
}

/// A device has no access any more, so it is told nothing either.
pub(crate) fn device_gone(cx: &mut Cx<'_>, device: devices::Id) {
    disable_if(cx, |enabled| enabled.settings.device() == Some(device));
}

/// A device was away for so long that it is not remembered; nobody waits for that to be on disk.
pub(crate) fn device_forgotten(cx: &mut Cx<'_>, device: devices::Id) {
    publish::give_up(cx, |enabled| enabled.settings.device() == Some(device));
}

/// What memory does about [`lock_out`]: every device has to sign in again, and asks anew when it has. The one
/// of that session, which gave the account its new password, goes on; what it asked for is written once more.
pub(crate) fn locked_out(cx: &mut Cx<'_>, by: Option<u64>) {
    let account = cx.id();
    let pushes = std::mem::take(&mut cx.state.memory.push.0);
    let mut resources = cx.state.resources.iter();
    let own = resources.find(|resource| Some(resource.session.number) == by);
    let is_own = |enabled: &Enabled| own.is_some_and(|own| enabled.settings.is_of(own));
    let (kept, gone): (Vec<_>, Vec<_>) = pushes.into_iter().partition(is_own);
    for enabled in gone {
        remove(cx, &enabled);
    }
    for enabled in &kept {
        let key = enabled.key(account);
        cx.write(REGISTRATION.put(&key, &enabled.settings));
        cx.write(PROGRESS.put(&key, &enabled.progress));
    }
    cx.state.memory.push.0 = kept;
}

fn disable_if(cx: &mut Cx<'_>, is_meant: impl FnMut(&Enabled) -> bool) {
    let pushes = std::mem::take(&mut cx.state.memory.push.0);
    let (gone, kept): (Vec<_>, Vec<_>) = pushes.into_iter().partition(is_meant);
    cx.state.memory.push.0 = kept;
    for enabled in gone {
        remove(cx, &enabled);
    }
}

fn remove(cx: &mut Cx<'_>, enabled: &Enabled) {
    let key = enabled.key(cx.id());
    cx.write(REGISTRATION.remove(&key));
    cx.write(PROGRESS.remove(&key));
}

/// Localparts of accounts for which some push service failed last: it may still have to be told something.
///
/// # Errors
/// The disk's.
pub(crate) fn unfinished(snapshot: &Snapshot) -> Result<Vec<String>, store::Error> {
    let mut failing = HashSet::new();
    for row in PROGRESS.range(snapshot, ..)? {
        let ((account, ..), progress) = row?;
        if progress.failures > 0 {
            failing.insert(account);
        }
    }
    if failing.is_empty() {
        return Ok(Vec::new());
    }
    let accounts = accounts::all(snapshot)?.into_iter();
    let accounts = accounts.filter(|(_, id)| failing.contains(id));
    Ok(accounts.map(|(localpart, _)| localpart).collect())
}

/// Removes what [`device_gone`] does, of an account that may not be in memory.
///
/// # Errors
/// The disk's.
pub(crate) fn removals_of_device(
    snapshot: &Snapshot,
    account: u32,
    device: devices::Id,
) -> Result<Vec<Write>, store::Error> {
    removals(snapshot, account, |settings| {
        settings.device() == Some(device)
    })
}

/// Removes every registration of an account that may not be in memory.
///
/// # Errors
/// The disk's.
pub(crate) fn lock_out(snapshot: &Snapshot, account: u32) -> Result<Vec<Write>, store::Error> {
    removals(snapshot, account, |_| true)
}

fn removals(
    snapshot: &Snapshot,
    account: u32,
    is_meant: impl Fn(&Settings) -> bool,
) -> Result<Vec<Write>, store::Error> {
    let mut writes = Vec::new();
    for row in REGISTRATION.prefix(snapshot, &account)? {
        let (key, settings) = row?;
        if is_meant(&settings) {
            writes.extend([REGISTRATION.remove(&key), PROGRESS.remove(&key)]);
        }
    }
    Ok(writes)
}

#[cfg(test)]
mod tests;
