//! Account records, and what may be done to them.
//!
//! Each operation is a function from a snapshot and its inputs to writes, or to a refusal; nothing here
//! waits for a disk. Two operations at once would both see the old snapshot: whoever calls them takes
//! turns, and queues the writes of one as one batch before the next one looks.
//!
//! State: tables `account.record`, `account.book`, `account.removed`, `server.secret`; those of `leaving.rs`.

mod leaving;
mod leftovers;
mod record;

pub(crate) use leaving::{acquaintances, closed, farewells, remove_closed, was_somebody};
pub use leaving::{close, rests};
pub(crate) use leftovers::writes_to_remove_room;
pub use leftovers::{removed, swept, writes_to_remove};
pub(crate) use record::keep_secret;
pub use record::{AccountKeys, AccountRecord, domain, find, secret};

use crate::{
    archive::{self, KEEP, KeepRecord},
    devices,
    features::{
        last,
        reporting::{REPORTS, Report},
    },
    world::{Dice, Timestamp},
};
use record::{BOOK, BookRecord, RECORD, REMOVED, RemovedRecord};
use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    time::Duration,
};
use store::{Snapshot, Write};
use xmpp::Jid;

/// Why nothing was done.
#[derive(Debug)]
pub enum Refusal {
    /// There is an account of this name.
    Exists,
    /// There is none.
    Unknown,
    /// The account has no such device.
    UnknownDevice,
    /// There was one, and what it left is still being removed.
    Resting,
    /// The password is empty or has characters that no password may have (RFC 4013).
    BadPassword,
    /// The same name twice in one import.
    Twice,
    /// Without this account there would be no administrator.
    LastAdministrator,
    /// Every number an account can have was given away.
    Full,
    /// The disk.
    Store(store::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Exists => f.write_str("there is such an account already"),
            Refusal::Unknown => f.write_str("there is no such account"),
            Refusal::UnknownDevice => f.write_str("it has no such device: see `user devices`"),
            Refusal::Resting => f.write_str(
                "what a removed account of this name left is still being removed; try later",
            ),
            Refusal::BadPassword => f.write_str(
                "this cannot be a password: it is empty, too long, or has odd characters",
            ),
            Refusal::Twice => f.write_str("the same account is in the file twice"),
            Refusal::LastAdministrator => {
                f.write_str("it is the last administrator: make somebody else one first")
            }
            Refusal::Full => f.write_str("no more accounts can be made"),
            Refusal::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Refusal {
        Refusal::Store(error)
    }
}

fn existing(snapshot: &Snapshot, localpart: &str) -> Result<AccountRecord, Refusal> {
    find(snapshot, localpart)?.ok_or(Refusal::Unknown)
}

fn put(localpart: &str, record: &AccountRecord) -> Vec<Write> {
    vec![RECORD.put(&localpart.to_owned(), record)]
}

/// An account to be.
pub struct NewAccount<'a> {
    /// Prepared as a localpart (RFC 7622 §3.3).
    pub localpart: &'a str,
    pub password: &'a str,
    pub display_name: &'a str,
    pub admin: bool,
}

/// Makes an account. Derives keys: some milliseconds of work.
pub fn add(
    snapshot: &Snapshot,
    domain: &str,
    account: &NewAccount<'_>,
    now: Timestamp,
    dice: &dyn Dice,
) -> Result<Vec<Write>, Refusal> {
    import(snapshot, domain, std::slice::from_ref(account), now, dice)
        .map_err(|(_, refusal)| refusal)
}

/// Makes many accounts, or none. The refusal comes with the index of the account that caused it.
pub fn import(
    snapshot: &Snapshot,
    domain: &str,
    accounts: &[NewAccount<'_>],
    now: Timestamp,
    dice: &dyn Dice,
) -> Result<Vec<Write>, (usize, Refusal)> {
    let mut names = BTreeSet::new();
    for (index, account) in accounts.iter().enumerate() {
        may_be_made(snapshot, account.localpart).map_err(|refusal| (index, refusal))?;
        if !names.insert(account.localpart) {
            return Err((index, Refusal::Twice));
        }
    }
    let book = BOOK.get(snapshot, &()).map_err(|error| (0, error.into()))?;
    let mut book = book.unwrap_or(BookRecord {
        domain: domain.to_owned(),
        next_id: 1,
    });
    let mut writes = Vec::with_capacity(accounts.len() + 1);
    for (index, account) in accounts.iter().enumerate() {
        let keys =
            AccountKeys::derive(account.password, dice).ok_or((index, Refusal::BadPassword))?;
        let id = book.next_id;
        book.next_id = id.checked_add(1).ok_or((index, Refusal::Full))?;
        let record = AccountRecord {
            id,
            enabled: true,
            admin: account.admin,
            display_name: account.display_name.to_owned(),
            created_ms: now,
            keys,
        };
        writes.extend(put(account.localpart, &record));
    }
    writes.push(BOOK.put(&(), &book));
    Ok(writes)
}

fn may_be_made(snapshot: &Snapshot, localpart: &str) -> Result<(), Refusal> {
    if find(snapshot, localpart)?.is_some() {
        return Err(Refusal::Exists);
    }
    if REMOVED.get(snapshot, &localpart.to_owned())?.is_some() {
        return Err(Refusal::Resting);
    }
    Ok(())
}

/// Gives an account a new password: new salts and new keys, and no token outlives it. Some milliseconds of
/// work.
pub fn passwd(
    snapshot: &Snapshot,
    localpart: &str,
    password: &str,
    dice: &dyn Dice,
) -> Result<Vec<Write>, Refusal> {
    let mut record = existing(snapshot, localpart)?;
    record.keys = AccountKeys::derive(password, dice).ok_or(Refusal::BadPassword)?;
    let mut writes = put(localpart, &record);
    writes.extend(devices::lock_out(snapshot, record.id)?);
    Ok(writes)
}

/// Keeps an account from signing in; everything it has stays, but for the tokens of its devices.
pub fn disable(snapshot: &Snapshot, localpart: &str) -> Result<Vec<Write>, Refusal> {
    let record = existing(snapshot, localpart)?;
    let mut writes = devices::lock_out(snapshot, record.id)?;
    writes.extend(put(
        localpart,
        &AccountRecord {
            enabled: false,
            ..record
        },
    ));
    Ok(writes)
}

/// How long an account's messages are kept: as long as all accounts' (`archive.keep`), or shorter by its
/// own choice, in whole seconds.
pub fn keep(
    snapshot: &Snapshot,
    localpart: &str,
    own: Option<Duration>,
) -> Result<Vec<Write>, Refusal> {
    let account = existing(snapshot, localpart)?.id;
    Ok(vec![match own {
        Some(own) => {
            let seconds = own.as_secs();
            KEEP.put(&account, &KeepRecord { seconds })
        }
        None => KEEP.remove(&account),
    }])
}

/// How many messages would go if an account kept its messages for so long only.
pub fn would_go(
    snapshot: &Snapshot,
    localpart: &str,
    keep: Duration,
    now: Timestamp,
) -> Result<u64, Refusal> {
    let account = existing(snapshot, localpart)?.id;
    Ok(archive::would_go(snapshot, account, keep, now)?)
}

/// Lets a disabled account sign in again, also one that its owner has closed.
pub fn enable(snapshot: &Snapshot, localpart: &str) -> Result<Vec<Write>, Refusal> {
    let record = existing(snapshot, localpart)?;
    let mut writes = put(
        localpart,
        &AccountRecord {
            enabled: true,
            ..record
        },
    );
    writes.extend(leaving::reopen(snapshot, localpart)?);
    Ok(writes)
}

/// Removes an account: nobody can sign in, and the name rests until what it left is removed, too
/// ([`removed`], [`writes_to_remove`], [`swept`]).
pub fn remove(snapshot: &Snapshot, localpart: &str, now: Timestamp) -> Result<Vec<Write>, Refusal> {
    let record = existing(snapshot, localpart)?;
    let name = localpart.to_owned();
    let removed = RemovedRecord {
        id: record.id,
        at_ms: now,
    };
    let mut writes = vec![RECORD.remove(&name), REMOVED.put(&name, &removed)];
    writes.extend(leaving::reopen(snapshot, localpart)?);
    writes.extend(leaving::retire_name(snapshot, localpart, now)?);
    Ok(writes)
}

/// An account as people see it.
pub struct Listed {
    pub localpart: String,
    pub record: AccountRecord,
    /// When its last resource went offline; `None` where none ever did.
    pub last_seen_ms: Option<Timestamp>,
    /// Of everything the store keeps for it.
    pub bytes: u64,
    /// How long its messages are kept, where that was said for it alone ([`keep`]).
    pub keep: Option<Duration>,
    /// When it is removed, where its owner asked for that ([`close`]).
    pub removal_ms: Option<Timestamp>,
}

/// All accounts, by name.
pub fn list(snapshot: &Snapshot) -> Result<Vec<Listed>, store::Error> {
    let mut accounts = Vec::new();
    for row in RECORD.range(snapshot, ..)? {
        let (localpart, record) = row?;
        accounts.push(listed(snapshot, localpart, record)?);
    }
    Ok(accounts)
}

/// The administrator who was one first, by name; whoever asks about the server is sent there.
pub fn first_administrator(snapshot: &Snapshot) -> Result<Option<String>, store::Error> {
    let mut first: Option<(u32, String)> = None;
    for row in RECORD.range(snapshot, ..)? {
        let (localpart, record) = row?;
        let earlier = first.as_ref().is_none_or(|(id, _)| record.id < *id);
        if record.admin && record.enabled && earlier {
            first = Some((record.id, localpart));
        }
    }
    Ok(first.map(|(_, localpart)| localpart))
}

/// What the users of this server reported about others (XEP-0377), by the name of who did; each one's oldest
/// first.
pub fn reports(snapshot: &Snapshot) -> Result<Vec<(String, Report)>, store::Error> {
    let mut all = Vec::new();
    for row in RECORD.range(snapshot, ..)? {
        let (localpart, record) = row?;
        let reports = REPORTS.get(snapshot, &record.id)?.unwrap_or_default();
        all.extend(
            reports
                .0
                .into_iter()
                .map(|report| (localpart.clone(), report)),
        );
    }
    Ok(all)
}

/// The administrators of the household, as bare JIDs: those of the configuration, and accounts that are.
pub(crate) fn administrators(
    snapshot: &Snapshot,
    config: &household::Config,
) -> Result<BTreeSet<Jid>, store::Error> {
    let configured = config.admins.iter().filter_map(|jid| Jid::parse(jid).ok());
    let mut all: BTreeSet<Jid> = configured.collect();
    for row in RECORD.range(snapshot, ..)? {
        let (localpart, record) = row?;
        if record.admin {
            all.extend(Jid::from_parts(Some(&localpart), &config.domain, None));
        }
    }
    Ok(all)
}

/// As if it had been made.
#[cfg(test)]
pub(crate) fn put_record(localpart: &str, record: &AccountRecord) -> Write {
    RECORD.put(&localpart.to_owned(), record)
}

/// Every account, by localpart.
pub(crate) fn records(snapshot: &Snapshot) -> Result<Vec<(String, AccountRecord)>, store::Error> {
    RECORD.range(snapshot, ..)?.collect()
}

/// Localpart and id of every account.
pub(crate) fn all(snapshot: &Snapshot) -> Result<Vec<(String, u32)>, store::Error> {
    RECORD
        .range(snapshot, ..)?
        .map(|row| row.map(|(localpart, record)| (localpart, record.id)))
        .collect()
}

/// The ids of the accounts that may sign in.
pub(crate) fn enabled(snapshot: &Snapshot) -> Result<HashSet<u32>, store::Error> {
    let mut ids = HashSet::new();
    for row in RECORD.range(snapshot, ..)? {
        let (_, record) = row?;
        if record.enabled {
            ids.insert(record.id);
        }
    }
    Ok(ids)
}

/// How many accounts there are.
pub fn count(snapshot: &Snapshot) -> Result<u64, store::Error> {
    RECORD.range(snapshot, ..)?.map(|row| row.map(|_| 1)).sum()
}

/// One account.
pub fn show(snapshot: &Snapshot, localpart: &str) -> Result<Listed, Refusal> {
    let record = existing(snapshot, localpart)?;
    Ok(listed(snapshot, localpart.to_owned(), record)?)
}

fn listed(
    snapshot: &Snapshot,
    localpart: String,
    record: AccountRecord,
) -> Result<Listed, store::Error> {
    let last_seen_ms = last::SEEN.get(snapshot, &record.id)?.map(|seen| seen.at);
    let keep = KEEP.get(snapshot, &record.id)?;
    let bytes = leftovers::bytes(snapshot, record.id)?;
    let removal_ms = leaving::closing(snapshot, &localpart)?;
    Ok(Listed {
        localpart,
        record,
        last_seen_ms,
        bytes,
        keep: keep.map(|keep| Duration::from_secs(keep.seconds)),
        removal_ms,
    })
}

#[cfg(test)]
mod tests;
