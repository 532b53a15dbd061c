//! Which files are being put or removed now: one hand at a time for each.
//!
//! State: their ids, and how many bytes of each are still to be written.

use super::answer::Refused;
use crate::limits::{DISK_JOBS_MAX, PUTS_MAX};
use server::uploads::UploadId;
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{sync::Semaphore, task::spawn_blocking};

#[derive(Clone)]
pub(super) struct Hands {
    files: Arc<Mutex<HashMap<UploadId, u64>>>,
    disk: Arc<Semaphore>,
}

/// A file in somebody's hands; dropping it lets go.
pub(super) struct Held {
    hands: Hands,
    id: UploadId,
}

impl Default for Hands {
    fn default() -> Hands {
        Hands {
            files: Arc::default(),
            disk: Arc::new(Semaphore::new(DISK_JOBS_MAX)),
        }
    }
}

impl Hands {
    fn files(&self) -> MutexGuard<'_, HashMap<UploadId, u64>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a file that somebody puts.
    pub(super) fn take(&self, id: UploadId, bytes: u64) -> Result<Held, Refused> {
        let files = self.files().len();
        if files >= PUTS_MAX {
            return Err(Refused::TOO_MANY);
        }
        self.hold(id, bytes).ok_or(Refused::IN_HAND)
    }

    /// Takes a file, unless somebody has it.
    pub(super) fn hold(&self, id: UploadId, bytes: u64) -> Option<Held> {
        let mut files = self.files();
        if files.contains_key(&id) {
            return None;
        }
        files.insert(id, bytes);
        Some(Held {
            hands: self.clone(),
            id,
        })
    }

    /// Bytes that are still to be written of everything that is on its way.
    pub(super) fn promised(&self) -> u64 {
        self.files().values().sum()
    }

    /// Does something that waits for the card, on a thread that may. Others do the same only so many at a
    /// time, or nobody could sign in while files come.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let turn = self.disk.clone().acquire_owned().await;
        let job = spawn_blocking(move || {
            let _turn = turn;
            job()
        });
        job.await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

impl Held {
    /// So many more bytes are written.
    pub(super) fn wrote(&self, bytes: u64) {
        if let Some(left) = self.hands.files().get_mut(&self.id) {
            *left = left.saturating_sub(bytes);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.hands.files().remove(&self.id);
    }
}
