//! Files that are to go: those whose time is over, those of accounts that are gone, and those that never
//! came to be. Rows go first, then bytes, then what said that the bytes are to go: whatever is cut off in
//! between is done again.

use super::{
    kept::find,
    limits::{DOOMED_MAX, LOOK_ROWS_MAX},
    ms,
    record::{DOOMED, FILE, PLACE, UploadId, doom},
};
use crate::server::Server;
use std::{
    collections::BTreeSet,
    ops::Bound,
    sync::{Arc, PoisonError},
};
use store::{Snapshot, Urgency};
use tracing::error;

impl Server {
    /// Looks at some files, and dooms those whose time is over; whether some are left to be looked at.
    pub async fn expire_uploads(self: &Arc<Self>) -> bool {
        self.on_uploads(Server::look_for_old_uploads)
            .await
            .unwrap_or(false)
    }

    fn look_for_old_uploads(&self, snapshot: &Snapshot) -> Result<bool, store::Error> {
        let looked_at = &self.uploads().looked_at;
        let mut looked_at = looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let first = looked_at.map_or(Bound::Unbounded, Bound::Excluded);
        let (now, keep_ms) = (self.now(), ms(self.config().upload.expire_after));
        let (mut writes, mut touched, mut last) = (Vec::new(), BTreeSet::new(), None);
        let rows = FILE.range(snapshot, (first, Bound::Unbounded))?;
        let mut seen = 0;
        for row in rows.take(LOOK_ROWS_MAX) {
            let ((account, id), file) = row?;
            (seen, last) = (seen + 1, Some((account, id)));
            if file.over_ms(keep_ms) <= now {
                writes.extend(doom(account, id));
                touched.insert(account);
            }
        }
        let more = seen == LOOK_ROWS_MAX;
        *looked_at = last.filter(|_| more);
        self.store().queue(writes, Urgency::Now);
        let mut usage = self.uploads().usage();
        for account in touched {
            usage.changed(account);
        }
        Ok(more)
    }

    /// Files whose bytes are to be removed, a few at a time, behind this one; [`Server::uploads_removed`]
    /// is told when they are.
    pub async fn doomed_uploads(self: &Arc<Self>, behind: Option<UploadId>) -> Vec<UploadId> {
        let first = behind.map_or(Bound::Unbounded, |id| Bound::Excluded(id.0));
        let doomed = self.on_uploads(move |_, snapshot| {
            let rows = DOOMED.range(snapshot, (first, Bound::Unbounded))?;
            let rows = rows.take(DOOMED_MAX);
            rows.map(|row| row.map(|(id, ())| UploadId(id))).collect()
        });
        doomed.await.unwrap_or_default()
    }

    /// The bytes of these files are gone; whether the disk took the news.
    pub async fn uploads_removed(&self, ids: &[UploadId]) -> bool {
        let writes = ids.iter().map(|id| DOOMED.remove(&id.0)).collect();
        let ticket = self.store().queue(writes, Urgency::Now);
        self.is_kept(ticket).await
    }

    /// Which of these files, that lie on the disk and that nobody is putting there now, belong to nobody: a
    /// power cut came between their bytes and their rows, or their account went meanwhile. Nobody will find
    /// them any more. `None` while the disk cannot be read.
    pub async fn strays(self: &Arc<Self>, ids: Vec<UploadId>) -> Option<Vec<UploadId>> {
        self.on_uploads(move |server, snapshot| {
            let (mut strays, mut writes) = (Vec::new(), Vec::new());
            for id in ids {
                if find(snapshot, id)?.is_none() {
                    strays.push(id);
                    if PLACE.get(snapshot, &id.0)?.is_some() {
                        writes.push(PLACE.remove(&id.0));
                    }
                }
            }
            server.store().queue(writes, Urgency::Soon);
            Ok(strays)
        })
        .await
    }

    /// Reads everything that was written so far; `None` where that cannot be.
    async fn on_uploads<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Server, &Snapshot) -> Result<T, store::Error> + Send + 'static,
    ) -> Option<T> {
        let server = self.clone();
        let read = self.on_reader(move || {
            let store = server.store();
            let latest = store.queue(Vec::new(), Urgency::Now);
            read(&server, &store.snapshot_after(latest)?)
        });
        let read = read.await?;
        read.inspect_err(|error| error!(%error, "the list of uploaded files cannot be read"))
            .ok()
    }
}
