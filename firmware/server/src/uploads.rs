//! Uploaded files (XEP-0363): who may put how much where, and what is kept of it in the store. The bytes of
//! the files are in the hands of crate `web`, which asks here before it takes, gives or removes any.
//!
//! A slot is a promise without a row: its URL carries everything that is to be known about it, sealed with a
//! secret ([`token`]), so that it holds over a restart. A file is two rows, its own below its account and one
//! that finds it by its id; it is there as soon as they are durable. A file that is to go loses both rows and
//! has one among the doomed until its bytes are gone.
//!
//! State: tables `upload.*` ([`record`]); in memory, open slots and what each account's files take up
//! ([`Usage`]).

mod gone;
mod kept;
pub mod limits;
mod media_type;
mod name;
mod put;
mod record;
mod slot;
#[cfg(test)]
mod tests;
mod token;
mod usage;

pub use kept::{Unreadable, Upload};
pub use media_type::normal as normal_media_type;
pub use put::{Accepted, Put, PutRefusal};
pub use record::UploadId;
pub(crate) use record::{bytes, removals};
pub(crate) use slot::{SlotRefusal, Wanted};

use crate::{listen::web_address, world::Dice};
use household::Config;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    time::Duration,
};
use store::Store;
use token::Seal;
use usage::Usage;
use xmpp::Jid;

/// The book of uploads.
pub(crate) struct Uploads {
    /// The address of the service.
    service: Jid,
    seal: Seal,
    /// Port of the first https listener; 0 where there is none.
    https_port: AtomicU16,
    usage: Mutex<Usage>,
    /// Bytes that are free where the files are, when somebody looked last.
    free: AtomicU64,
    /// Where the look for old files goes on: account and id of the last one that was seen.
    looked_at: Mutex<Option<(u32, [u8; 16])>>,
}

impl Uploads {
    /// Reads the secret, or makes it: it is queued before anything that it is used for.
    pub(crate) fn open(
        store: &Arc<Store>,
        dice: &dyn Dice,
        service: Jid,
    ) -> Result<Uploads, store::Error> {
        Ok(Uploads {
            service,
            seal: Seal::open(store, dice)?,
            https_port: AtomicU16::new(0),
            usage: Mutex::default(),
            free: AtomicU64::new(u64::MAX),
            looked_at: Mutex::default(),
        })
    }

    /// The address of the service.
    pub(crate) fn service(&self) -> &Jid {
        &self.service
    }

    fn free(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl crate::Server {
    /// The first https listener is bound to this port; 0 where there is none. Slots name it, and calls may
    /// go there.
    pub fn note_https_port(&self, port: u16) {
        self.uploads.https_port.store(port, Ordering::Relaxed);
        self.follow_calls();
    }

    /// Where the first https listener is bound, if there is one.
    pub(crate) fn https_port(&self) -> Option<u16> {
        let bound = self.uploads.https_port.load(Ordering::Relaxed);
        (bound != 0).then_some(bound)
    }

    /// So many bytes are free where uploaded files are: slots are given for what leaves `upload.keep_free` of
    /// them. Whoever has the files says it from time to time.
    pub fn note_upload_room(&self, bytes: u64) {
        self.uploads.free.store(bytes, Ordering::Relaxed);
    }

    /// What every URL of this house begins with; `None` where nobody could reach one.
    pub fn web_address(&self) -> Option<String> {
        web_address(&self.config(), self.https_port())
    }

    pub(crate) fn uploads(&self) -> &Uploads {
        &self.uploads
    }
}

/// Bytes of the largest file that anybody can upload: one that fills a quota alone.
pub(crate) fn file_bytes_max(config: &Config) -> u64 {
    config.upload.max_file_size.min(config.upload.user_quota)
}

/// A length of time in milliseconds.
fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
