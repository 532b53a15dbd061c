//! Every protocol extension, in the order a stanza meets them.
//!
//! To add one: write its file, add its line here, write its script in `tests/scripts`. If it keeps
//! something in memory, add a line to [`PerAccount`] or [`PerResource`].

mod archive;
mod caps;
mod contact_addresses;
mod disco;
mod hints;
pub(crate) mod last;
pub(crate) mod mam;
pub(crate) mod offline;
mod ping;
mod pre_approval;
mod roster;
mod stanza_ids;
mod time;
mod version;

pub(crate) use archive::worth_keeping;

use crate::feature::{Feature, On, assert_disjoint};
use store::Snapshot;

/// The order matters, and this is where it is decided.
pub(crate) const ALL: &[&Feature] = &[
    &stanza_ids::FEATURE, // first: what is forged is neither kept nor copied
    &archive::FEATURE,    // what goes on, goes on with its place in the archive
    &hints::FEATURE,      // read by the archive and by offline
    &mam::FEATURE,
    &mam::PREFERENCES_FEATURE,
    &mam::SEARCH_FEATURE,
    &offline::FEATURE, // only asked when nobody was there, or told who was
    &roster::FEATURE,
    &pre_approval::FEATURE,
    &disco::FEATURE,
    &caps::FEATURE,
    &contact_addresses::FEATURE,
    &last::FEATURE,
    &ping::FEATURE,
    &time::FEATURE,
    &version::FEATURE,
];

const _: () = assert_disjoint(ALL);

/// What features keep in memory for an account while it is loaded.
#[derive(Default)]
pub(crate) struct PerAccount {
    pub(crate) archive: crate::archive::Index,
    pub(crate) preferences: mam::Preferences,
    pub(crate) waiting: offline::Waiting,
    pub(crate) last: last::LastSeen,
}

impl PerAccount {
    pub(crate) fn load(snapshot: &Snapshot, account: u32) -> Result<PerAccount, store::Error> {
        Ok(PerAccount {
            archive: crate::archive::Index::load(snapshot, account)?,
            preferences: mam::Preferences::load(snapshot, account)?,
            waiting: offline::Waiting::load(snapshot, account)?,
            last: last::LastSeen::load(snapshot, account)?,
        })
    }
}

/// What features keep in memory for a connected resource. Times the number of sessions.
#[derive(Default)]
pub(crate) struct PerResource {
    pub(crate) waiting: offline::Replay,
}

/// disco#info of the server or of an account: nobody writes this list by hand.
pub(crate) fn announced(on: On) -> impl Iterator<Item = &'static str> {
    ALL.iter()
        .flat_map(|f| f.disco)
        .filter(move |(at, _)| *at == on)
        .map(|(_, var)| *var)
}

/// What Bind 2 may turn on while it binds (XEP-0386 §4).
pub(crate) fn bind_inline() -> impl Iterator<Item = &'static str> {
    ALL.iter().flat_map(|f| f.bind_inline).copied()
}
