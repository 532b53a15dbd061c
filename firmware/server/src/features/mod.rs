//! Every protocol extension, in the order a stanza meets them.
//!
//! To add one: write its file, add its line here, write its script in `tests/scripts`. If it keeps
//! something in memory, add a line to [`PerAccount`] or [`PerResource`].

mod archive;
mod caps;
mod contact_addresses;
mod devices;
mod disco;
mod hints;
pub(crate) mod last;
pub(crate) mod offline;
mod ping;
mod pre_approval;
mod roster;
mod time;
mod version;

pub(crate) use archive::worth_keeping;

use crate::{
    devices::Devices,
    feature::{Feature, On, assert_disjoint},
};
use store::Snapshot;

/// The order matters, and this is where it is decided.
pub(crate) const ALL: &[&Feature] = &[
    &archive::FEATURE, // first: what goes on, goes on with its place in the archive
    &hints::FEATURE,   // read by the archive and by offline
    &offline::FEATURE, // only asked when nobody was there, or told who was
    &roster::FEATURE,
    &pre_approval::FEATURE,
    &disco::FEATURE,
    &caps::FEATURE,
    &contact_addresses::FEATURE,
    &devices::FEATURE,
    &last::FEATURE,
    &ping::FEATURE,
    &time::FEATURE,
    &version::FEATURE,
];

const _: () = assert_disjoint(ALL);

/// What features keep in memory for an account while it is loaded.
#[derive(Default)]
pub(crate) struct PerAccount {
    pub(crate) waiting: offline::Waiting,
    pub(crate) last: last::LastSeen,
    pub(crate) devices: Devices,
}

impl PerAccount {
    pub(crate) fn load(snapshot: &Snapshot, account: u32) -> Result<PerAccount, store::Error> {
        Ok(PerAccount {
            waiting: offline::Waiting::load(snapshot, account)?,
            last: last::LastSeen::load(snapshot, account)?,
            devices: Devices::load(snapshot, account)?,
        })
    }
}

/// What features keep in memory for a connected resource. Times the number of sessions.
#[derive(Default)]
pub(crate) struct PerResource {
    pub(crate) waiting: offline::Replay,
    /// The device it came from, where that is known.
    pub(crate) device: Option<crate::devices::Id>,
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
