//! Which files are being put or removed now: one hand at a time for each.
//!
//! State: their ids, and how many bytes of those that come are still to be written.

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
    /// Nothing for a file that is only looked at.
    files: Arc<Mutex<HashMap<UploadId, Option<u64>>>>,
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
    fn files(&self) -> MutexGuard<'_, HashMap<UploadId, Option<u64>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a file that somebody puts.
    pub(super) fn take(&self, id: UploadId, bytes: u64) -> Result<Held, Refused> {
        let coming = self.files().values().flatten().count();
        if coming >= PUTS_MAX {
            return Err(Refused::TOO_MANY);
        }
        self.hold_for(id, Some(bytes)).ok_or(Refused::IN_HAND)
    }

    /// Takes a file to look at it, unless somebody has it.
    pub(super) fn hold(&self, id: UploadId) -> Option<Held> {
        self.hold_for(id, None)
    }

    fn hold_for(&self, id: UploadId, bytes: Option<u64>) -> Option<Held> {
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
        self.files().values().flatten().sum()
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
        if let Some(Some(left)) = self.hands.files().get_mut(&self.id) {
            *left = left.saturating_sub(bytes);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.hands.files().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> UploadId {
        UploadId::parse(&format!("{number:032x}")).expect("an id")
    }

    #[test]
    fn one_hand_for_each_and_not_too_many() {
        let hands = Hands::default();
        let looked_at: Vec<Held> = (100..200)
            .filter_map(|number| hands.hold(id(number)))
            .collect();
        let mut coming: Vec<Held> = (0..PUTS_MAX)
            .map(|number| hands.take(id(number), 10).expect("room"))
            .collect();
        let refused = hands.take(id(99), 10).err().expect("too many");
        assert_eq!(refused.status, 503);
        assert_eq!(hands.promised(), 10 * PUTS_MAX as u64);
        coming[0].wrote(4);
        assert_eq!(hands.promised(), 10 * PUTS_MAX as u64 - 4);
        coming.pop();
        for taken in [0, 100] {
            let refused = hands.take(id(taken), 10).err().expect("in hand");
            assert_eq!(refused.status, 409);
            assert!(hands.hold(id(taken)).is_none());
        }
        assert!(hands.take(id(99), 10).is_ok());
        drop((looked_at, coming));
        assert!(hands.files().is_empty());
    }
}
