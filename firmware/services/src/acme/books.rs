//! The rows of `record.rs`, read and written without holding up anybody who talks: the card is slow.

use super::{
    challenge::Txt,
    record::{
        ACCOUNT, ATTEMPT, AccountRecord, AttemptRecord, CERTIFICATE, CertificateRecord, ORDER,
        OrderRecord, WRITTEN,
    },
    trouble::Trouble,
};
use std::sync::Arc;
use store::{Durable, Error, Snapshot, Store, Urgency, Write};
use tokio::task::spawn_blocking;
use tracing::error;

/// A clone is the same one.
#[derive(Clone)]
pub(super) struct Books(Arc<Store>);

/// All that is known of the certificate.
#[derive(Default)]
pub(super) struct Known {
    pub(super) certificate: Option<CertificateRecord>,
    pub(super) attempt: AttemptRecord,
    pub(super) order: Option<OrderRecord>,
}

impl Books {
    pub(super) fn new(store: Arc<Store>) -> Books {
        Books(store)
    }

    /// Everything up to now.
    pub(super) async fn known(&self) -> Result<Known, Trouble> {
        self.read(known).await
    }

    /// The same, for who may wait: before anybody talks.
    pub(super) fn known_now(&self) -> Result<Known, Error> {
        known(&self.snapshot()?)
    }

    pub(super) async fn account(&self, directory: &str) -> Result<Option<AccountRecord>, Trouble> {
        let directory = directory.to_owned();
        self.read(move |snapshot| ACCOUNT.get(snapshot, &directory))
            .await
    }

    /// All accounts, with the directories of their authorities.
    pub(super) fn accounts(&self) -> Result<Vec<(String, AccountRecord)>, Error> {
        ACCOUNT.prefix(&self.snapshot()?, &())?.collect()
    }

    /// Records of the DNS that are to be taken away.
    pub(super) async fn written(&self) -> Result<Vec<Txt>, Trouble> {
        let read = |snapshot: &Snapshot| {
            let rows = WRITTEN.prefix(snapshot, &())?;
            let rows: Result<Vec<_>, _> = rows.collect();
            let records = rows?.into_iter();
            Ok(records
                .map(|((name, value), ())| Txt { name, value })
                .collect())
        };
        self.read(read).await
    }

    /// Returns when it is on the disk.
    pub(super) async fn write(&self, writes: Vec<Write>) -> Result<(), Trouble> {
        let store = self.0.clone();
        let written = spawn_blocking(move || {
            let ticket = store.queue(writes, Urgency::Now);
            let applied = store.snapshot_after(ticket);
            applied.map(|_| store.is_durable(ticket) == Some(Durable::Yes))
        });
        match written.await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(Trouble::inside("the disk takes nothing")),
            Ok(Err(error)) => Err(unreadable(&error)),
            Err(_) => Err(Trouble::inside("the disk was not asked")),
        }
    }

    fn snapshot(&self) -> Result<Snapshot, Error> {
        self.0
            .snapshot_after(self.0.queue(Vec::new(), Urgency::Now))
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Snapshot) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Trouble> {
        let books = self.clone();
        let read = spawn_blocking(move || read(&books.snapshot()?));
        match read.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(unreadable(&error)),
            Err(_) => Err(Trouble::inside("the disk was not asked")),
        }
    }
}

fn known(snapshot: &Snapshot) -> Result<Known, Error> {
    Ok(Known {
        certificate: CERTIFICATE.get(snapshot, &())?,
        attempt: ATTEMPT.get(snapshot, &())?.unwrap_or_default(),
        order: ORDER.get(snapshot, &())?,
    })
}

fn unreadable(error: &Error) -> Trouble {
    error!(%error, "what is kept of certificates cannot be read");
    Trouble::inside("the disk cannot be read")
}
