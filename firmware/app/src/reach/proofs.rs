//! What certificates and records have to do with each other: proofs for authorities are written into the
//! records of the house (RFC 8555 §8.4), and those say who alone may make certificates (RFC 8659, RFC 8657).

use services::{
    acme::{CaAccount, Challenges, Doing, Refused, Txt},
    dns::{
        Dns,
        zone::{Issuer, Seen},
    },
};
use tokio::sync::watch;

/// The records of the house, for authorities.
pub(crate) struct Records(pub(crate) Dns);

impl Challenges for Records {
    fn is_ready(&self) -> bool {
        self.0.is_kept()
    }

    fn publish<'a>(&'a self, record: &'a Txt) -> Doing<'a, Result<(), Refused>> {
        Box::pin(async move {
            let published = self.0.publish_txt(&record.name, &record.value).await;
            published.map_err(|failure| Refused(failure.to_string()))
        })
    }

    fn withdraw<'a>(&'a self, record: &'a Txt) -> Doing<'a, Result<(), Refused>> {
        Box::pin(async move {
            let withdrawn = self.0.withdraw_txt(&record.name, &record.value).await;
            withdrawn.map_err(|failure| Refused(failure.to_string()))
        })
    }

    fn is_everywhere<'a>(&'a self, record: &'a Txt) -> Doing<'a, Result<bool, Refused>> {
        Box::pin(async move { Ok(self.0.txt_everywhere(&record.name, &record.value).await) })
    }
}

/// Tells the records who makes certificates, now and from now on. An authority that does not say what it is
/// called in records cannot be named there.
pub(crate) async fn tell_issuers(dns: Dns, mut accounts: watch::Receiver<Vec<CaAccount>>) {
    loop {
        let issuers: Vec<Issuer> = accounts
            .borrow_and_update()
            .iter()
            .flat_map(named)
            .collect();
        // Before the first certificate nobody is known, and whoever is named already stays.
        dns.issuers(if issuers.is_empty() {
            Seen::Unknown
        } else {
            Seen::At(issuers)
        });
        if accounts.changed().await.is_err() {
            return;
        }
    }
}

fn named(account: &CaAccount) -> impl Iterator<Item = Issuer> + use<> {
    let url = account.url.clone();
    let identities = account.identities.clone().into_iter();
    identities.take(1).map(move |domain| Issuer {
        domain,
        account: url.clone(),
    })
}
