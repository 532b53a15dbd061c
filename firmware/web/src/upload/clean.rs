//! Removing the bytes of files that are to go, in small steps: those whose time is over, those of accounts
//! that are gone, and what power cuts left.

use super::{Uploads, hands::Held, part};
use crate::limits::{EXPIRY_LOOK, STRAYS_LOOK, STRAYS_STEP, UPLOADS_KEEPING};
use server::uploads::UploadId;
use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::{info, warn};

impl Uploads {
    /// Cleans up, at the start and from time to time, until `stop` becomes true or its sender is gone.
    pub async fn keep(self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            // An error means that the sender is gone: the same.
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.clean() => {}
        }
    }

    async fn clean(&self) {
        let (mut expiry, mut strays) = (Instant::now(), Instant::now());
        // Files that could not be removed the last time.
        let mut said = 0;
        loop {
            let now = Instant::now();
            if expiry <= now {
                while self.server.expire_uploads().await {}
                expiry = now + EXPIRY_LOOK;
            }
            let stuck = self.remove_doomed().await;
            if stuck > 0 && stuck != said {
                warn!(stuck, "uploaded files cannot be removed, and take up room");
            }
            said = stuck;
            let directory = self.directory.clone();
            if let Ok(bytes) = self.hands.on_disk(move || part::free(&directory)).await {
                self.server.note_upload_room(bytes);
            }
            if strays <= now {
                self.remove_strays().await;
                strays = now + STRAYS_LOOK;
            }
            sleep(UPLOADS_KEEPING).await;
        }
    }

    /// Files whose rows are gone. How many could not be removed: the others do not wait for them.
    async fn remove_doomed(&self) -> usize {
        let (mut behind, mut stuck) = (None, 0);
        loop {
            let doomed = self.server.doomed_uploads(behind).await;
            let Some(last) = doomed.last() else {
                return stuck;
            };
            behind = Some(*last);
            let count = doomed.len();
            let removed = self.remove(doomed).await;
            stuck += count - removed.len();
            if !removed.is_empty() && !self.server.uploads_removed(&removed).await {
                return stuck;
            }
        }
    }

    /// Those of them that are gone.
    async fn remove(&self, ids: Vec<UploadId>) -> Vec<UploadId> {
        let files: Vec<_> = ids.into_iter().map(|id| (id, self.file(id))).collect();
        let removed = self.hands.on_disk(move || {
            let gone = |(id, path): &(UploadId, PathBuf)| is_gone(path).then_some(*id);
            Ok(files.iter().filter_map(gone).collect())
        });
        removed.await.unwrap_or_default()
    }

    /// Whatever lies among the files and is none, folder by folder.
    async fn remove_strays(&self) {
        let mut count = 0;
        for folder in 0..=u8::MAX {
            let folder = self.directory.join(format!("{folder:02x}"));
            let listed = self.hands.on_disk(move || list(&folder)).await;
            let ids = match listed {
                Ok(ids) => ids,
                Err(error) => {
                    warn!(%error, "a folder of uploaded files cannot be listed");
                    continue;
                }
            };
            for step in ids.chunks(STRAYS_STEP) {
                count += self.remove_strays_of(step).await;
            }
        }
        if count > 0 {
            info!(count, "removed what was left of uploads that were cut off");
        }
    }

    /// Of these files, those that are nobody's; how many went.
    async fn remove_strays_of(&self, ids: &[UploadId]) -> usize {
        // Nobody puts them while they are looked at; whoever does so now is told to wait.
        let hold = |id: &UploadId| Some((*id, self.hands.hold(*id)?));
        let held: Vec<(UploadId, Held)> = ids.iter().filter_map(hold).collect();
        let ids: Vec<UploadId> = held.iter().map(|(id, _)| *id).collect();
        let Some(strays) = self.server.strays(ids.clone()).await else {
            return 0;
        };
        let parts: Vec<_> = ids
            .iter()
            .map(|id| self.file(*id).with_extension("part"))
            .collect();
        let removed = self.hands.on_disk(move || {
            let removed = parts.iter().map(fs::remove_file);
            Ok(removed.flatten().count())
        });
        removed.await.unwrap_or(0) + self.remove(strays).await.len()
    }
}

/// Removes a file that may be gone already.
fn is_gone(path: &Path) -> bool {
    match fs::remove_file(path) {
        Err(error) => error.kind() == io::ErrorKind::NotFound,
        Ok(()) => true,
    }
}

/// The files of a folder, whole or not, each once. What has another name was not put there by us and stays.
fn list(folder: &Path) -> io::Result<Vec<UploadId>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let stem = Path::new(&name).file_stem().and_then(OsStr::to_str);
        ids.extend(stem.and_then(UploadId::parse));
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}
