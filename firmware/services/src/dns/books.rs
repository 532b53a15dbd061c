//! What this house has written into which zone, so that nothing else is ever touched.
//!
//! State: tables `dns.owner`, the word by which a zone knows this house, and `dns.records`, the ids of our
//! records there. A row that a power cut takes is found again by what the record says.

use super::{
    limits::OWN_RECORDS_MAX,
    provider::{Failure, FailureKind},
};
use serde::{Deserialize, Serialize};
use server::world::{Dice, Timestamp, random_id};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use store::{Record as Stored, Store, Table, Urgency, Write};
use tokio::task::spawn_blocking;

const OWNER: Table<(), String> = Table::new("dns.owner", 1);
const RECORDS: Table<(String, String), Own> = Table::new("dns.records", 1);

/// A record that is ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Own {
    /// Of the record, so that it can be asked for.
    pub(super) name: String,
    pub(super) since: Timestamp,
    /// An answer to a challenge, and not of the table.
    pub(super) is_challenge: bool,
}

impl Stored for Own {}

/// What is written in the books about one zone.
pub(super) struct Entries {
    /// Random, made at the first look, and in backups with the rest.
    pub(super) owner: String,
    /// By id.
    pub(super) own: BTreeMap<String, Own>,
}

impl Entries {
    pub(super) fn ids(&self) -> BTreeSet<String> {
        self.own.keys().cloned().collect()
    }

    pub(super) fn challenges(&self) -> BTreeSet<String> {
        let challenges = self.own.iter().filter(|(_, own)| own.is_challenge);
        challenges.map(|(id, _)| id.clone()).collect()
    }
}

pub(super) struct Books {
    store: Arc<Store>,
}

impl Books {
    pub(super) fn new(store: Arc<Store>) -> Books {
        Books { store }
    }

    /// Everything about a zone.
    pub(super) async fn read(&self, zone: &str, dice: &dyn Dice) -> Result<Entries, Failure> {
        let (store, zone) = (self.store.clone(), zone.to_owned());
        let read = move || {
            let snapshot = store.snapshot_after(store.queue(Vec::new(), Urgency::Now))?;
            let mut own = BTreeMap::new();
            for row in RECORDS.prefix(&snapshot, &(zone,))?.take(OWN_RECORDS_MAX) {
                let ((_, id), row) = row?;
                own.insert(id, row);
            }
            Ok((OWNER.get(&snapshot, &())?, own))
        };
        let (owner, own) =
            spawn_blocking(read)
                .await
                .map_err(|_| unread())?
                .map_err(|error: store::Error| {
                    Failure::new(
                        FailureKind::Store,
                        format!("the list of own records cannot be read: {error}"),
                        "",
                    )
                })?;
        let owner = owner.unwrap_or_else(|| {
            let owner = random_id(dice);
            self.write(vec![OWNER.put(&(), &owner)]);
            owner
        });
        Ok(Entries { owner, own })
    }

    pub(super) fn note(&self, zone: &str, id: &str, own: &Own) {
        self.write(vec![RECORDS.put(&key(zone, id), own)]);
    }

    pub(super) fn forget(&self, zone: &str, id: &str) {
        self.write(vec![RECORDS.remove(&key(zone, id))]);
    }

    fn write(&self, writes: Vec<Write>) {
        self.store.queue(writes, Urgency::Now);
    }
}

fn key(zone: &str, id: &str) -> (String, String) {
    (zone.to_owned(), id.to_owned())
}

fn unread() -> Failure {
    Failure::new(
        FailureKind::Store,
        "the list of own records was not read",
        "it is tried again",
    )
}
