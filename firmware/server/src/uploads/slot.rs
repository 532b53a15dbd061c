//! Giving slots (XEP-0363 §4).

use super::{
    file_bytes_max,
    limits::SLOT_MS,
    media_type, ms, name,
    record::{FILE, UploadId},
    token::Claims,
    usage::Files,
};
use crate::{account::Account, server::Server, world::Timestamp};
use std::sync::Arc;
use store::{Snapshot, Urgency};
use tracing::error;

/// What a client wants to upload.
pub(crate) struct Wanted {
    /// As it will be kept.
    name: String,
    bytes: u64,
    /// In its one spelling, where one was said.
    media_type: Option<String>,
    /// When it is to be gone at the latest (§5.3).
    gone_ms: Option<Timestamp>,
}

/// Where a file is to be put, and where it will be found: URLs.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) put: String,
    pub(crate) get: String,
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotRefusal {
    /// More than this many bytes.
    TooLarge(u64),
    /// The account has used up its quota; perhaps something goes at this time.
    Full(Option<Timestamp>),
    /// The account has many open slots; one ends at this time.
    TooMany(Timestamp),
    /// It would be gone before it came.
    Gone,
    /// There is no address that could be given.
    Nowhere,
    /// The disk cannot be read, or takes nothing.
    Disk,
}

impl Wanted {
    /// `None` where no name or no bytes are said, or a type that is far too long.
    pub(crate) fn new(
        name: &str,
        bytes: u64,
        media_type: Option<&str>,
        gone_ms: Option<Timestamp>,
    ) -> Option<Wanted> {
        Some(Wanted {
            name: name::clean(name)?,
            bytes: Some(bytes).filter(|bytes| *bytes > 0)?,
            media_type: match media_type.map(str::trim) {
                None | Some("") => None,
                Some(text) => Some(media_type::spelling(text)?),
            },
            gone_ms,
        })
    }
}

impl Server {
    /// Promises an account room for a file, for a few minutes.
    pub(crate) async fn upload_slot(
        self: &Arc<Self>,
        account: &Account,
        wanted: Wanted,
    ) -> Result<Slot, SlotRefusal> {
        let config = self.config();
        let address = self.web_address().ok_or(SlotRefusal::Nowhere)?;
        let largest = file_bytes_max(&config);
        if wanted.bytes > largest {
            return Err(SlotRefusal::TooLarge(largest));
        }
        let (now, id) = (self.now(), UploadId::draw(self.dice()));
        if wanted.gone_ms.is_some_and(|gone| gone <= now) {
            return Err(SlotRefusal::Gone);
        }
        let needed = config.upload.keep_free.saturating_add(wanted.bytes);
        if !self.store().takes_writes() || self.uploads().free() < needed {
            return Err(SlotRefusal::Disk);
        }
        let until_ms = now.saturating_add(SLOT_MS);
        self.promise_upload(account.id, (id, wanted.bytes), until_ms)
            .await?;
        let claims = Claims {
            localpart: account.jid.localpart().unwrap_or_default().to_owned(),
            account: account.id,
            bytes: wanted.bytes,
            media_type: wanted.media_type,
            until_ms,
            gone_ms: wanted.gone_ms,
        };
        let token = self.uploads().seal.token(id, &wanted.name, &claims);
        let get = format!("{address}/upload/{id}/{}", name::escaped(&wanted.name));
        Ok(Slot {
            put: format!("{get}?token={token}"),
            get,
        })
    }

    /// Counts a file, if there is room for it.
    pub(super) async fn promise_upload(
        self: &Arc<Self>,
        account: u32,
        file: (UploadId, u64),
        until_ms: Timestamp,
    ) -> Result<(), SlotRefusal> {
        loop {
            let quota = self.config().upload.user_quota;
            let time = (self.now(), until_ms);
            let promised = self.uploads().usage().promise(account, file, time, quota);
            if let Some(promised) = promised {
                return promised;
            }
            // Once more where a file comes or goes between the two.
            self.learn_usage(account).await?;
        }
    }

    /// Reads what an account's files take up, unless that is known.
    async fn learn_usage(self: &Arc<Self>, account: u32) -> Result<(), SlotRefusal> {
        loop {
            let unknown = self.uploads().usage().unknown(account);
            let Some(unknown) = unknown else {
                return Ok(());
            };
            let server = self.clone();
            let read = self.on_reader(move || {
                let store = server.store();
                let latest = store.queue(Vec::new(), Urgency::Now);
                let keep_ms = ms(server.config().upload.expire_after);
                files(&store.snapshot_after(latest)?, account, keep_ms)
            });
            match read.await {
                Some(Ok(files)) => {
                    if self.uploads().usage().learn(account, unknown, files) {
                        return Ok(());
                    }
                }
                Some(Err(error)) => {
                    error!(%error, "the list of uploaded files cannot be read");
                    return Err(SlotRefusal::Disk);
                }
                None => return Err(SlotRefusal::Disk),
            }
        }
    }
}

fn files(snapshot: &Snapshot, account: u32, keep_ms: u64) -> Result<Files, store::Error> {
    let mut files = Files::default();
    for row in FILE.prefix(snapshot, &account)? {
        let (_, file) = row?;
        files.bytes += file.bytes;
        let gone = file.over_ms(keep_ms);
        files.next_gone_ms = Some(files.next_gone_ms.map_or(gone, |next| next.min(gone)));
    }
    Ok(files)
}
