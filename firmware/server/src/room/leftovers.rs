//! What rooms leave behind: one that is no more its rows, which go when nothing else is to be written; and an
//! account that is removed what it was to the rooms that stay.
//!
//! A room's name is free as soon as it ends; its number, by which everything of it is kept, is never given to
//! another. A power cut in the middle of a sweep changes nothing: the next one goes on.
//!
//! State: table `room.ended`.

use super::record::{AFFILIATION, ENDED, ROOM};
use crate::{account::Cx, accounts, limits::SWEEP_GROUPS_MAX, server::Server};
use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
};
use store::{Durable, Error, Snapshot, Urgency};
use tracing::error;
use xmpp::Jid;

impl Server {
    /// Housekeeping: on the reader pool, unless somebody is at it.
    pub(crate) fn sweep_rooms(self: &Arc<Self>) {
        if self.rooms().sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let server = self.clone();
        self.readers().run(Box::new(move || {
            let swept = catch_unwind(AssertUnwindSafe(|| server.sweep_ended()));
            if let Ok(Err(error)) = swept {
                error!(%error, "what rooms left cannot be swept");
            }
            server.rooms().sweeping.store(false, Ordering::Release);
        }));
    }

    fn sweep_ended(&self) -> Result<(), Error> {
        for row in ENDED.range(&self.store().snapshot()?, ..)? {
            self.sweep_room(row?.0)?;
        }
        Ok(())
    }

    /// What it does not finish is left to the next time. Nothing is written for a room behind its end, so
    /// what is found empty stays so.
    fn sweep_room(&self, id: u32) -> Result<(), Error> {
        let store = self.store();
        for _ in 0..SWEEP_GROUPS_MAX {
            let snapshot = store.snapshot()?;
            let mut writes = accounts::writes_to_remove_room(&snapshot, id)?;
            let is_last = writes.is_empty();
            if is_last {
                writes.push(ENDED.remove(&id));
            }
            drop(snapshot);
            let ticket = store.queue(writes, Urgency::Idle);
            drop(store.snapshot_after(ticket)?);
            if is_last || store.is_durable(ticket) != Some(Durable::Yes) {
                break;
            }
        }
        Ok(())
    }

    /// Every room on the disk: its key in the directory, and its number.
    pub(crate) fn stored_rooms(&self, snapshot: &Snapshot) -> Result<Vec<(String, u32)>, Error> {
        let rooms = ROOM.range(snapshot, ..)?;
        rooms
            .map(|row| row.map(|(name, record)| (self.room_key(&name), record.id)))
            .collect()
    }

    /// Under which a room is in the directory.
    pub(crate) fn room_key(&self, name: &str) -> String {
        format!("{name}@{}", self.rooms().service())
    }
}

/// The rooms to which somebody, a bare JID, is something: name and number.
///
/// # Errors
/// The disk's.
pub(crate) fn acquainted(snapshot: &Snapshot, who: &str) -> Result<Vec<(String, u32)>, Error> {
    let mut numbers = BTreeSet::new();
    for row in AFFILIATION.range(snapshot, ..)? {
        let ((room, jid), _) = row?;
        if jid == who {
            numbers.insert(room);
        }
    }
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let mut rooms = Vec::new();
    for row in ROOM.range(snapshot, ..)? {
        let (name, record) = row?;
        if numbers.contains(&record.id) {
            rooms.push((name, record.id));
        }
    }
    Ok(rooms)
}

/// The room forgets what somebody was to it who is gone, whose sessions have left.
pub(crate) fn forget(cx: &mut Cx<'_>, gone: &Jid) {
    let Some(room) = cx.room_mut() else { return };
    if room.affiliations.remove(gone).is_some() {
        cx.keep_affiliation(gone);
    }
}
