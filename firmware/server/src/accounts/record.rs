//! What is stored of an account, and what the accounts have in common.

use crate::world::{Dice, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Record, Snapshot, Table, Write};
use xmpp::sasl::{Hash, ITERATIONS, Keys, SALT_BYTES};

/// By localpart.
pub(super) const RECORD: Table<String, AccountRecord> = Table::new("account.record", 1);
/// One row: what the accounts have in common.
pub(super) const BOOK: Table<(), BookRecord> = Table::new("account.book", 1);
/// By localpart: removed accounts of which something is left.
pub(super) const REMOVED: Table<String, RemovedRecord> = Table::new("account.removed", 1);
/// One row: what makes the keys of nobody (see [`secret`]).
const SECRET: Table<(), SecretRecord> = Table::new("server.secret", 1);

/// Bytes of the secret behind fake salts: as many as the longest hash has.
const SECRET_BYTES: usize = 64;

/// One account. Fields are in the order of the first release and only ever appended to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// First part of every key of this account; never given to another.
    pub id: u32,
    /// Whether it may sign in and gets stanzas.
    pub enabled: bool,
    pub admin: bool,
    /// For people; empty where nobody chose one.
    pub display_name: String,
    pub created_ms: Timestamp,
    pub keys: AccountKeys,
}

impl Record for AccountRecord {}

/// What is stored instead of the password: for each hash a client may choose.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountKeys {
    pub(super) sha1: Keys,
    pub(super) sha256: Keys,
    pub(super) sha512: Keys,
}

impl AccountKeys {
    /// Derives all three at once, with salts of their own. `None` where the password may not be one.
    pub(super) fn derive(password: &str, dice: &dyn Dice) -> Option<AccountKeys> {
        let keys = |hash| {
            let mut salt = vec![0; SALT_BYTES];
            dice.fill(&mut salt);
            Keys::derive(hash, password, salt, ITERATIONS)
        };
        Some(AccountKeys {
            sha1: keys(Hash::Sha1)?,
            sha256: keys(Hash::Sha256)?,
            sha512: keys(Hash::Sha512)?,
        })
    }

    /// The keys for this hash.
    pub fn of(&self, hash: Hash) -> &Keys {
        match hash {
            Hash::Sha1 => &self.sha1,
            Hash::Sha256 => &self.sha256,
            Hash::Sha512 => &self.sha512,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct BookRecord {
    /// The domain of all accounts: it never changes after the first one.
    pub(super) domain: String,
    pub(super) next_id: u32,
}

impl Record for BookRecord {}

#[derive(Serialize, Deserialize)]
pub(super) struct RemovedRecord {
    pub(super) id: u32,
    pub(super) at_ms: Timestamp,
}

impl Record for RemovedRecord {}

#[derive(Serialize, Deserialize)]
struct SecretRecord {
    bytes: Vec<u8>,
}

impl Record for SecretRecord {}

/// The record of an account.
pub fn find(snapshot: &Snapshot, localpart: &str) -> Result<Option<AccountRecord>, store::Error> {
    RECORD.get(snapshot, &localpart.to_owned())
}

/// The secret behind the salts of accounts that do not exist (DESIGN §12), and, at the first use, the write
/// that keeps it: the same name must get the same salt after a restart, or the difference would tell who
/// exists.
pub fn secret(
    snapshot: &Snapshot,
    dice: &dyn Dice,
) -> Result<(Vec<u8>, Option<Write>), store::Error> {
    if let Some(secret) = SECRET.get(snapshot, &())? {
        return Ok((secret.bytes, None));
    }
    let mut bytes = vec![0; SECRET_BYTES];
    dice.fill(&mut bytes);
    let write = keep_secret(&bytes);
    Ok((bytes, Some(write)))
}

/// The write that keeps a secret that was made.
pub(crate) fn keep_secret(bytes: &[u8]) -> Write {
    let bytes = bytes.to_vec();
    SECRET.put(&(), &SecretRecord { bytes })
}

/// The domain of the accounts, once there was one: it never changes.
pub fn domain(snapshot: &Snapshot) -> Result<Option<String>, store::Error> {
    Ok(BOOK.get(snapshot, &())?.map(|book| book.domain))
}
