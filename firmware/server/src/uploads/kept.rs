//! Files that are there, for whoever asks for them.

use super::{
    ms,
    record::{FILE, FileRecord, PLACE, UploadId},
};
use crate::server::Server;
use std::sync::Arc;
use store::Snapshot;
use tracing::error;

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub bytes: u64,
    pub name: String,
    /// In its normal form; empty where nobody said one.
    pub media_type: String,
    /// Milliseconds until it is gone.
    pub left_ms: u64,
}

/// The disk cannot be read.
#[derive(Clone, Copy, Debug)]
pub struct Unreadable;

impl Server {
    /// The file with this id, unless its time is over.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn find_upload(self: &Arc<Self>, id: UploadId) -> Result<Option<Upload>, Unreadable> {
        let server = self.clone();
        let read = self.on_reader(move || find(&server.store().snapshot()?, id));
        let file = match read.await {
            Some(Ok(file)) => file,
            Some(Err(error)) => {
                error!(%error, "the list of uploaded files cannot be read");
                return Err(Unreadable);
            }
            None => return Err(Unreadable),
        };
        let keep_ms = ms(self.config().upload.expire_after);
        let now = self.now();
        let file = file.filter(|file| now < file.over_ms(keep_ms));
        Ok(file.map(|file| Upload {
            left_ms: file.over_ms(keep_ms) - now,
            bytes: file.bytes,
            name: file.name,
            media_type: file.media_type,
        }))
    }
}

pub(super) fn find(snapshot: &Snapshot, id: UploadId) -> Result<Option<FileRecord>, store::Error> {
    match PLACE.get(snapshot, &id.0)? {
        Some(account) => FILE.get(snapshot, &(account, id.0)),
        None => Ok(None),
    }
}
