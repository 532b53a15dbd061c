//! A file on its way: judged before its first byte is taken, and noted behind its last.

use super::{
    media_type::spelling,
    normal_media_type,
    record::{DOOMED, FILE, FileRecord, PLACE, UploadId, doom},
    slot::SlotRefusal,
    token::Claims,
};
use crate::{accounts, server::Server};
use std::sync::Arc;
use store::Urgency;
use tracing::error;

/// What an HTTP request says about a file.
pub struct Put<'a> {
    pub id: UploadId,
    /// The file's name, as in the URL but not escaped.
    pub name: &'a str,
    pub token: &'a str,
    /// Bytes; `None` where the request does not say.
    pub length: Option<u64>,
    /// `None` where the request does not say.
    pub media_type: Option<&'a str>,
}

/// Why a file is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutRefusal {
    /// The token is none, or none of ours, or for another file, or its account is gone.
    NoSlot,
    /// The slot has ended.
    TooLate,
    /// The request does not say how long the file is.
    NoLength,
    /// The slot is for this many bytes, and these are more.
    TooLong(u64),
    /// The slot is for this many bytes, and these are fewer.
    TooShort(u64),
    /// It is of another type than the slot is for.
    WrongType,
    /// The file is there already.
    Stored,
    /// The account's files take up all the room it has.
    Quota,
    /// The disk cannot be read, or takes nothing.
    Disk,
}

/// A file that may be put where it was promised. It counts for as long as this lives.
pub struct Accepted {
    server: Arc<Server>,
    id: UploadId,
    account: u32,
    localpart: String,
    file: FileRecord,
}

impl Accepted {
    /// What it is called on disk.
    pub fn id(&self) -> UploadId {
        self.id
    }

    /// Whose it is.
    pub fn account(&self) -> u32 {
        self.account
    }

    /// Its length, which is exact.
    pub fn bytes(&self) -> u64 {
        self.file.bytes
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        let mut usage = self.server.uploads().usage();
        usage.let_go(self.account, self.id);
    }
}

impl Server {
    /// Whether a file is taken (XEP-0363 §7).
    ///
    /// # Errors
    /// Why not.
    pub async fn judge_upload(self: &Arc<Self>, put: Put<'_>) -> Result<Accepted, PutRefusal> {
        let claims = self.uploads().seal.claims(put.id, put.name, put.token);
        let claims = claims.ok_or(PutRefusal::NoSlot)?;
        if self.now() >= claims.until_ms {
            return Err(PutRefusal::TooLate);
        }
        let length = put.length.ok_or(PutRefusal::NoLength)?;
        if length > claims.bytes {
            return Err(PutRefusal::TooLong(claims.bytes));
        }
        if length < claims.bytes {
            return Err(PutRefusal::TooShort(claims.bytes));
        }
        // §7: "application/octet-stream if the client did not specify a Content-Type at all".
        let text = put.media_type.unwrap_or("application/octet-stream");
        let is_other = claims.media_type.is_some() && spelling(text) != claims.media_type;
        if is_other {
            return Err(PutRefusal::WrongType);
        }
        if !self.store().takes_writes() {
            return Err(PutRefusal::Disk);
        }
        self.look_for(put.id, &claims).await?;
        // It counts since its slot was given, but for one of before a restart.
        let file = (put.id, claims.bytes);
        let counts = self.uploads().usage().is_promised(claims.account, put.id);
        if !counts {
            let promised = self.promise_upload(claims.account, file, claims.until_ms);
            promised.await.map_err(|refusal| match refusal {
                SlotRefusal::Disk => PutRefusal::Disk,
                _ => PutRefusal::Quota,
            })?;
        }
        self.uploads().usage().comes(claims.account, put.id);
        Ok(Accepted {
            server: self.clone(),
            id: put.id,
            account: claims.account,
            localpart: claims.localpart,
            file: FileRecord {
                bytes: claims.bytes,
                name: put.name.to_owned(),
                media_type: normal_media_type(text).unwrap_or_default(),
                stored_ms: 0,
                gone_ms: claims.gone_ms,
            },
        })
    }

    /// Whether its account is still the one that was promised something, and the file is not there yet.
    async fn look_for(self: &Arc<Self>, id: UploadId, claims: &Claims) -> Result<(), PutRefusal> {
        let server = self.clone();
        let (localpart, account) = (claims.localpart.clone(), claims.account);
        let read = self.on_reader(move || {
            let snapshot = server.store().snapshot()?;
            let record = accounts::find(&snapshot, &localpart)?;
            if record.is_none_or(|record| record.id != account || !record.enabled) {
                return Ok(Err(PutRefusal::NoSlot));
            }
            let is_there = PLACE.get(&snapshot, &id.0)?.is_some();
            // One that went before its slot ended does not come again.
            let is_doomed = DOOMED.get(&snapshot, &id.0)?.is_some();
            Ok(if is_there || is_doomed {
                Err(PutRefusal::Stored)
            } else {
                Ok(())
            })
        });
        match read.await {
            Some(Ok(found)) => found,
            Some(Err(error)) => {
                let error: store::Error = error;
                error!(%error, "the list of uploaded files cannot be read");
                Err(PutRefusal::Disk)
            }
            None => Err(PutRefusal::Disk),
        }
    }

    /// The file's bytes are on disk: notes that it is there.
    ///
    /// # Errors
    /// The bytes are nobody's: the disk does not take that ([`PutRefusal::Disk`]), or the account went while
    /// they came ([`PutRefusal::NoSlot`]).
    pub async fn keep_upload(self: &Arc<Self>, accepted: Accepted) -> Result<(), PutRefusal> {
        let (id, account) = (accepted.id, accepted.account);
        let file = FileRecord {
            stored_ms: self.now(),
            ..accepted.file.clone()
        };
        let writes = vec![
            FILE.put(&(account, id.0), &file),
            PLACE.put(&id.0, &account),
        ];
        let ticket = self.store().queue(writes, Urgency::Now);
        if !self.is_kept(ticket).await {
            return Err(PutRefusal::Disk);
        }
        self.uploads().usage().kept(account, id);
        // Whoever removes the account from now on finds the file; before, it was found by nobody.
        if !self.lives_here(&accepted.localpart, account).await? {
            let doomed = self.store().queue(doom(account, id.0).into(), Urgency::Now);
            self.is_kept(doomed).await;
            self.uploads().usage().changed(account);
            return Err(PutRefusal::NoSlot);
        }
        Ok(())
    }

    /// Whether a file that is on its way is still wanted: who wanted it is not gone meanwhile.
    pub async fn wants_upload(self: &Arc<Self>, accepted: &Accepted) -> bool {
        let lives_here = self.lives_here(&accepted.localpart, accepted.account);
        lives_here.await.unwrap_or(true)
    }

    /// Whether the account is still there, disabled or not.
    async fn lives_here(self: &Arc<Self>, localpart: &str, id: u32) -> Result<bool, PutRefusal> {
        let (server, localpart) = (self.clone(), localpart.to_owned());
        let read = self.on_reader(move || accounts::find(&server.store().snapshot()?, &localpart));
        match read.await {
            Some(Ok(record)) => Ok(record.is_some_and(|record| record.id == id)),
            Some(Err(error)) => {
                let error: store::Error = error;
                error!(%error, "an account cannot be read");
                Err(PutRefusal::Disk)
            }
            None => Err(PutRefusal::Disk),
        }
    }
}
