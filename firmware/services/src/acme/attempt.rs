//! One attempt to get a certificate: accounts, the rehearsal at the directory that is tried first, one way of
//! proving after the other, and what is done with what comes of it.

use super::{
    CaAccount, Inner,
    books::Known,
    identifier,
    line::Line,
    order::{Clerk, Given, patiently},
    record::{
        ACCOUNT, ATTEMPT, AccountRecord, AttemptRecord, CERTIFICATE, CertificateRecord, ORDER,
    },
    trouble::Trouble,
    wish::{Way, Wish},
};
use instant_acme::{Account, AccountCredentials, CertificateIdentifier, Key, NewAccount};
use rustls_pki_types::PrivatePkcs8KeyDer;
use server::tls::{Certificate, Source};
use tokio::task::spawn_blocking;
use tracing::info;

impl From<AccountRecord> for CaAccount {
    fn from(record: AccountRecord) -> CaAccount {
        CaAccount {
            identities: record.identities,
            url: record.url,
        }
    }
}

impl Inner {
    /// Gets a certificate and puts it into use.
    pub(super) async fn attempt(
        &self,
        wish: &Wish,
        known: &Known,
        held: Option<&Certificate>,
    ) -> Result<(), Trouble> {
        // Of a run that ended in the middle.
        self.places.clear().await;
        if let Some(given) = self.left(wish, known).await {
            return self.put_to_use(wish, given).await;
        }
        let ways = wish.ways.iter().copied();
        let mut ways: Vec<_> = ways.filter(|way| self.places.is_ready(*way)).collect();
        if ways.is_empty() {
            return Err(Trouble::no_dns());
        }
        let before = &known.attempt;
        let is_known = before.mark == wish.mark() && before.is_rehearsed;
        if !wish.staging.is_empty() && !is_known {
            let (_, way) = self.obtain(&wish.staging, wish, &ways, None, false).await?;
            ways = vec![way];
            info!("the rehearsal went well: a certificate is asked for");
        }
        // An order that failed may have failed because of what it was to replace.
        let is_first = before.mark != wish.mark() || before.failures == 0;
        let replaced = held.filter(|held| is_first && self.is_advised(held));
        let replaced = replaced.and_then(identifier);
        let directory = &wish.directory;
        let obtained = self.obtain(directory, wish, &ways, replaced.as_ref(), true);
        let (given, way) = obtained.await?;
        info!(way = way.word(), "a certificate was given");
        self.put_to_use(wish, given).await
    }

    /// Whether its authority knows it, and takes orders that say that they replace it (RFC 9773 §5).
    fn is_advised(&self, held: &Certificate) -> bool {
        let advised = self.advised();
        advised.serial == held.serial && advised.window.is_some()
    }

    /// What came of the order that was under way when the machine stopped.
    async fn left(&self, wish: &Wish, known: &Known) -> Option<Given> {
        let left = known.order.as_ref()?;
        let mut given = None;
        if left.directory == wish.directory && left.names == wish.names {
            let line = Line::new(self.outside.clone(), self.clock.clone());
            let account = self.account(&wish.directory, &wish.contact, &line).await;
            given = self
                .clerk(account.as_ref().ok()?, &wish.directory, &line, true)
                .take_up(left)
                .await;
        }
        // It is looked at once.
        let forgotten = self.places.books.write(vec![ORDER.remove(&())]).await;
        given.filter(|_| forgotten.is_ok())
    }

    /// One way after the other, for as long as it is the proof that fails.
    async fn obtain(
        &self,
        directory: &str,
        wish: &Wish,
        ways: &[Way],
        replaced: Option<&CertificateIdentifier<'static>>,
        is_for_good: bool,
    ) -> Result<(Given, Way), Trouble> {
        let line = Line::new(self.outside.clone(), self.clock.clone());
        let account = self.account(directory, &wish.contact, &line).await;
        let account = match account {
            Ok(account) => account,
            Err(trouble) => return Err(self.forget_account(directory, trouble).await),
        };
        let clerk = self.clerk(&account, directory, &line, is_for_good);
        let mut troubles = Vec::new();
        for &way in ways {
            match clerk.obtain(&wish.names, way, replaced).await {
                Ok(given) => return Ok((given, way)),
                Err(trouble) if trouble.is_about_proof => {
                    info!(way = way.word(), "{}", trouble.text);
                    troubles.push(trouble);
                }
                Err(trouble) => return Err(self.forget_account(directory, trouble).await),
            }
        }
        Err(Trouble::of_all(troubles))
    }

    fn clerk<'a>(
        &'a self,
        account: &'a Account,
        directory: &'a str,
        line: &'a Line,
        is_for_good: bool,
    ) -> Clerk<'a> {
        Clerk {
            account,
            directory,
            line,
            places: &self.places,
            clock: &self.clock,
            is_for_good,
        }
    }

    /// The account at this authority, made where there is none (RFC 8555 §7.3).
    pub(super) async fn account(
        &self,
        directory: &str,
        contact: &str,
        line: &Line,
    ) -> Result<Account, Trouble> {
        let fault =
            |error: &instant_acme::Error| Trouble::of(error, directory, line, self.clock.now());
        let kept = self.places.books.account(directory).await?;
        let mail = format!("mailto:{contact}");
        let contacts: &[&str] = if contact.is_empty() { &[] } else { &[&mail] };
        let (account, mut record) = match kept {
            Some(kept) if !kept.url.is_empty() => {
                let key = || PrivatePkcs8KeyDer::from(kept.key.clone());
                let directory = || directory.to_owned();
                let builder = || Account::builder_with_http(Box::new(line.clone()));
                let restored = builder().from_parts(kept.url.clone(), key(), directory());
                (restored.await.map_err(|error| fault(&error))?, kept)
            }
            kept => {
                let made = patiently!(register(directory, contacts, kept.as_ref(), line));
                let (account, credentials) = made.map_err(|error| fault(&error))?;
                let record = AccountRecord {
                    url: account.id().to_owned(),
                    key: credentials.private_key().secret_pkcs8_der().to_vec(),
                    // One that is there already may have another.
                    contact: kept.map_or_else(|| contact.to_owned(), |kept| kept.contact),
                    identities: line.identities(),
                };
                self.keep_account(directory, &record).await?;
                (account, record)
            }
        };
        let identities = line.identities();
        if record.contact != contact || record.identities != identities {
            if record.contact != contact {
                let told = patiently!(account.update_contacts(contacts));
                told.map_err(|error| fault(&error))?;
            }
            contact.clone_into(&mut record.contact);
            record.identities = identities;
            self.keep_account(directory, &record).await?;
        }
        Ok(account)
    }

    async fn keep_account(&self, directory: &str, record: &AccountRecord) -> Result<(), Trouble> {
        let books = &self.places.books;
        let row = ACCOUNT.put(&directory.to_owned(), record);
        books.write(vec![row]).await?;
        let all = books.accounts().unwrap_or_default();
        let all = all.into_iter().filter(|(_, it)| !it.url.is_empty());
        let all: Vec<CaAccount> = all.map(|(_, record)| record.into()).collect();
        self.accounts.send_if_modified(|known| {
            let is_new = *known != all;
            *known = all;
            is_new
        });
        Ok(())
    }

    /// Where the authority has no such account any more, the next attempt makes it anew, with the same key.
    async fn forget_account(&self, directory: &str, trouble: Trouble) -> Trouble {
        if trouble.is_about_account
            && let Ok(Some(mut record)) = self.places.books.account(directory).await
        {
            record.url.clear();
            let _ = self.keep_account(directory, &record).await;
        }
        trouble
    }

    async fn put_to_use(&self, wish: &Wish, given: Given) -> Result<(), Trouble> {
        let now = self.clock.now();
        let read = Certificate::of_pem(given.chain.as_bytes());
        let Some(read) = read else {
            return Err(Trouble::unusable(
                "what the authority gave is no certificate",
            ));
        };
        if read.expires <= now {
            return Err(Trouble::unusable("what the authority gave is over already"));
        }
        let record = CertificateRecord {
            directory: wish.directory.clone(),
            chain: given.chain,
            key: given.key,
        };
        let (tls, source, names) = (
            self.tls.clone(),
            Source::of(&self.config()),
            wish.names.clone(),
        );
        let row = CERTIFICATE.put(&(), &record);
        // It reads the authorities that the machine trusts.
        let installed = spawn_blocking(move || {
            let pair = (record.chain.as_bytes(), record.key.as_bytes());
            tls.install(pair, &names, &source, now)
        });
        match installed.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Trouble::unusable(&error.to_string())),
            Err(_) => return Err(Trouble::inside("the certificate could not be put into use")),
        }
        let well = AttemptRecord {
            mark: wish.mark(),
            is_rehearsed: true,
            ..AttemptRecord::default()
        };
        let rows = vec![row, ATTEMPT.put(&(), &well), ORDER.remove(&())];
        self.places.books.write(rows).await
    }
}

async fn register(
    directory: &str,
    contacts: &[&str],
    kept: Option<&AccountRecord>,
    line: &Line,
) -> Result<(Account, AccountCredentials), instant_acme::Error> {
    let builder = Account::builder_with_http(Box::new(line.clone()));
    if let Some(kept) = kept {
        let der = || PrivatePkcs8KeyDer::from(kept.key.clone());
        let key = Key::from_pkcs8_der(der())?;
        let made = builder.create_from_key((key, der().into()), directory.to_owned());
        return made.await;
    }
    let new = NewAccount {
        contact: contacts,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    builder.create(&new, directory.to_owned(), None).await
}
