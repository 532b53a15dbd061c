//! Which files are being put or removed now: one hand at a time for each, and the newest request wins.
//!
//! State: their ids, and how many bytes of those that come are still to be written; the folders that are
//! on the card.

use super::answer::Refused;
use crate::limits::{
    DISK_JOBS_MAX, DISK_READS_MAX, PUTS_MAX, PUTS_PER_ACCOUNT_MAX, TAKE_OVER_WAIT,
};
use server::uploads::UploadId;
use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

#[derive(Clone)]
pub(super) struct Hands {
    files: Arc<Mutex<HashMap<UploadId, Hand>>>,
    /// Tells of each file that somebody let go.
    freed: Arc<Notify>,
    folders: Arc<Mutex<HashSet<PathBuf>>>,
    writes: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

/// What somebody does with a file.
enum Hand {
    Looks,
    Puts {
        account: u32,
        /// Bytes that are still to be written.
        left: u64,
        cut: Arc<Notify>,
    },
}

/// A file in somebody's hands; dropping it lets go.
pub(super) struct Held {
    hands: Hands,
    id: UploadId,
    cut: Arc<Notify>,
}

impl Default for Hands {
    fn default() -> Hands {
        Hands {
            files: Arc::default(),
            freed: Arc::default(),
            folders: Arc::default(),
            writes: Arc::new(Semaphore::new(DISK_JOBS_MAX)),
            reads: Arc::new(Semaphore::new(DISK_READS_MAX)),
        }
    }
}

impl Hands {
    fn files(&self) -> MutexGuard<'_, HashMap<UploadId, Hand>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a file that an account puts. Who puts it already is told to stop: the line of the one who tries
    /// again may be dead for long before that is known here.
    pub(super) async fn take(
        &self,
        id: UploadId,
        account: u32,
        bytes: u64,
    ) -> Result<Held, Refused> {
        let take = async {
            loop {
                let mut freed = pin!(self.freed.notified());
                freed.as_mut().enable();
                if let Some(held) = self.try_take(id, account, bytes)? {
                    return Ok(held);
                }
                freed.await;
            }
        };
        let taken = timeout(TAKE_OVER_WAIT, take).await;
        taken.unwrap_or(Err(Refused::IN_HAND))
    }

    fn try_take(&self, id: UploadId, account: u32, bytes: u64) -> Result<Option<Held>, Refused> {
        let mut files = self.files();
        match files.get(&id) {
            None => {}
            Some(Hand::Looks) => return Ok(None),
            Some(Hand::Puts { cut, .. }) => {
                cut.notify_one();
                return Ok(None);
            }
        }
        let mut coming = files.values().filter_map(|hand| match hand {
            Hand::Looks => None,
            Hand::Puts { account, .. } => Some(*account),
        });
        let (mut all, mut own) = (0, 0);
        coming.by_ref().for_each(|of| {
            all += 1;
            own += usize::from(of == account);
        });
        if all >= PUTS_MAX || own >= PUTS_PER_ACCOUNT_MAX {
            return Err(Refused::TOO_MANY);
        }
        let cut = Arc::new(Notify::new());
        let hand = Hand::Puts {
            account,
            left: bytes,
            cut: cut.clone(),
        };
        files.insert(id, hand);
        Ok(Some(self.held(id, cut)))
    }

    /// Takes a file to look at it, unless somebody has it.
    pub(super) fn hold(&self, id: UploadId) -> Option<Held> {
        let mut files = self.files();
        if files.contains_key(&id) {
            return None;
        }
        files.insert(id, Hand::Looks);
        Some(self.held(id, Arc::default()))
    }

    fn held(&self, id: UploadId, cut: Arc<Notify>) -> Held {
        Held {
            hands: self.clone(),
            id,
            cut,
        }
    }

    /// Bytes that are still to be written of everything that is on its way.
    pub(super) fn promised(&self) -> u64 {
        let files = self.files();
        let left = files.values().map(|hand| match hand {
            Hand::Looks => 0,
            Hand::Puts { left, .. } => *left,
        });
        left.sum()
    }

    /// Does something that waits for the card, on a thread that may. Others do the same only so many at a
    /// time, or nobody could sign in while files come.
    pub(super) async fn on_disk<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        in_turn(&self.writes, job).await
    }

    /// Likewise, of a file that goes: who writes much holds up nobody who reads.
    pub(super) async fn to_read<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        in_turn(&self.reads, job).await
    }

    /// Likewise, for whoever cannot wait. At the end of the house it is left undone.
    fn later(&self, job: impl FnOnce() + Send + 'static) {
        let hands = self.clone();
        let work = async move {
            let job = || {
                job();
                Ok(())
            };
            let _ = hands.on_disk(job).await; // it says nothing
        };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(work);
        }
    }
}

async fn in_turn<T: Send + 'static>(
    turns: &Arc<Semaphore>,
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let turn = turns.clone().acquire_owned().await;
    let job = spawn_blocking(move || {
        let _turn = turn;
        job()
    });
    job.await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

impl Held {
    /// So many more bytes are written.
    pub(super) fn wrote(&self, bytes: u64) {
        if let Some(Hand::Puts { left, .. }) = self.hands.files().get_mut(&self.id) {
            *left = left.saturating_sub(bytes);
        }
    }

    /// Tells when somebody else wants to put the file.
    pub(super) fn cut(&self) -> Arc<Notify> {
        self.cut.clone()
    }

    /// Whether this folder is known to be on the card, with its name.
    pub(super) fn knows(&self, folder: &Path) -> bool {
        self.folders().contains(folder)
    }

    /// From now on it is.
    pub(super) fn learn(&self, folder: &Path) {
        self.folders().insert(folder.to_owned());
    }

    fn folders(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        let folders = self.hands.folders.lock();
        folders.unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go when that is done.
    pub(super) fn and_then(self, job: impl FnOnce() + Send + 'static) {
        let hands = self.hands.clone();
        hands.later(move || {
            job();
            drop(self);
        });
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.hands.files().remove(&self.id);
        self.hands.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> UploadId {
        UploadId::parse(&format!("{number:032x}")).expect("an id")
    }

    #[tokio::test(start_paused = true)]
    async fn one_hand_for_each_and_not_too_many() {
        let hands = Hands::default();
        let looked_at: Vec<Held> = (100..200)
            .filter_map(|number| hands.hold(id(number)))
            .collect();
        let account = |number: usize| (number / PUTS_PER_ACCOUNT_MAX) as u32;
        let mut coming = Vec::new();
        for number in 0..PUTS_MAX {
            let taken = hands.take(id(number), account(number), 10).await;
            coming.push(taken.expect("room"));
        }
        let refused = hands.take(id(99), 99, 10).await.err().expect("too many");
        assert_eq!(refused.status, 503);
        assert_eq!(hands.promised(), 10 * PUTS_MAX as u64);
        coming[0].wrote(4);
        assert_eq!(hands.promised(), 10 * PUTS_MAX as u64 - 4);
        coming.pop();
        // One account has its share of them.
        let refused = hands.take(id(99), 0, 10).await.err().expect("too many");
        assert_eq!(refused.status, 503);
        for taken in [0, 100] {
            let refused = hands.take(id(taken), 0, 10).await.err().expect("in hand");
            assert_eq!(refused.status, 409, "nobody lets go");
            assert!(hands.hold(id(taken)).is_none());
        }
        assert!(hands.take(id(99), 99, 10).await.is_ok());
        drop((looked_at, coming));
        assert!(hands.files().is_empty());
    }

    #[tokio::test]
    async fn the_newest_request_gets_the_file() {
        let hands = Hands::default();
        let first = hands.take(id(1), 1, 10).await.expect("room");
        let cut = first.cut();
        let giving_up = async {
            cut.notified().await;
            drop(first);
        };
        let (second, ()) = tokio::join!(hands.take(id(1), 1, 10), giving_up);
        assert!(second.is_ok());
        assert_eq!(hands.promised(), 10);
    }
}
