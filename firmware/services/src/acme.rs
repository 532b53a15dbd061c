//! One certificate with all names of the house, from a certificate authority (RFC 8555), before it is needed.
//!
//! A loop from what is wanted (`wish.rs`) to what is there (`books.rs`): it orders only where the certificate
//! is missing, is for other names or from somebody else, or is due (`when.rs`, RFC 9773); never because the
//! machine has started. Until one is given, and while one that was given can still be used, nothing changes
//! for anybody: a new one is put into use when it was read, fits its key and has all names. What failed is
//! tried again for ever, ever less often, and not before the authority wants it.
//!
//! Whoever switches it on agrees to the terms of the authority.
//!
//! State: rows of the store; in memory the configuration, what the authority advises, and proofs while they
//! are being looked at.

mod attempt;
mod books;
mod challenge;
pub mod limits;
mod line;
mod order;
mod record;
mod report;
mod trouble;
mod when;
mod wish;

pub use challenge::{Challenges, Doing, Files, Refused, Txt};
pub use line::Outside;

use self::{
    books::{Books, Known},
    challenge::Places,
    limits::{ADVICE_MS, LIMITED_MS_MAX, LOOK, NO_ADVICE_MS},
    line::Line,
    record::{ATTEMPT, AttemptRecord, CERTIFICATE, CertificateRecord},
    report::Standing,
    trouble::Trouble,
    when::{Advice, Life, pause},
    wish::{NoWish, Wish},
};
use household::{Config, Finding};
use instant_acme::{CertificateIdentifier, RevocationReason, RevocationRequest};
use rustls_pki_types::{CertificateDer, Der, pem::PemObject};
use server::{
    tls::{Certificate, Source, Tls},
    world::{Clock, Dice, Timestamp},
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use store::Store;
use tokio::{
    sync::{Notify, watch},
    time::sleep,
};
use tracing::{info, warn};

/// What the service works with.
pub struct Parts {
    pub config: Arc<Config>,
    pub store: Arc<Store>,
    pub tls: Arc<Tls>,
    pub clock: Arc<dyn Clock>,
    pub dice: Arc<dyn Dice>,
    pub outside: Arc<dyn Outside>,
    /// Shown by the web without TLS.
    pub files: Files,
    /// Who writes records; `None`: nobody.
    pub dns: Option<Arc<dyn Challenges>>,
}

/// An account at an authority, as CAA records name it (RFC 8657 §3). Each authority that is in use has one,
/// the one that is tried first, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaAccount {
    /// Domains that stand for the authority; empty where it does not say.
    pub identities: Vec<String>,
    /// The parameter `accounturi`.
    pub url: String,
}

/// The service. A clone is the same one.
#[derive(Clone)]
pub struct Acme(Arc<Inner>);

struct Inner {
    config: Mutex<Arc<Config>>,
    tls: Arc<Tls>,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    outside: Arc<dyn Outside>,
    places: Places,
    /// Somebody has changed something: the loop looks again.
    changed: Notify,
    /// And does not wait for anything but the word of the authority.
    is_hurried: AtomicBool,
    advised: Mutex<Advised>,
    finding: watch::Sender<Finding>,
    accounts: watch::Sender<Vec<CaAccount>>,
}

/// What the authority advises for the certificate in use.
#[derive(Clone, Default)]
struct Advised {
    /// Of the certificate.
    serial: Vec<u8>,
    window: Option<Advice>,
    /// A moment in it.
    chosen: Option<Timestamp>,
    /// When it is asked again.
    next: Timestamp,
}

impl Acme {
    pub fn new(parts: Parts) -> Acme {
        let books = Books::new(parts.store);
        let accounts = books.accounts().unwrap_or_default();
        let accounts = accounts.into_iter().map(|(_, record)| record.into());
        Acme(Arc::new(Inner {
            config: Mutex::new(parts.config),
            places: Places {
                books,
                tls: parts.tls.clone(),
                files: parts.files,
                dns: parts.dns,
            },
            tls: parts.tls,
            clock: parts.clock,
            dice: parts.dice,
            outside: parts.outside,
            changed: Notify::new(),
            is_hurried: AtomicBool::new(false),
            advised: Mutex::default(),
            finding: watch::Sender::new(report::beginning()),
            accounts: watch::Sender::new(accounts.collect()),
        }))
    }

    /// Puts into use what was given before the last stop. For the time before doors open: it reads the disk.
    pub fn restore(&self) {
        let kept = match self.0.places.books.known_now() {
            Ok(known) => known.certificate,
            Err(error) => return warn!(%error, "the certificate that was kept cannot be read"),
        };
        let Some(kept) = kept else { return };
        let source = Source::of(&self.0.config());
        let pair = (kept.chain.as_bytes(), kept.key.as_bytes());
        // It may be for names of yesterday's configuration: it is better than none until there is another.
        if let Err(error) = self.0.tls.install(pair, &[], &source, self.0.clock.now()) {
            warn!(%error, "the certificate that was kept cannot be used");
        }
    }

    /// Sees to it that there is a certificate, from when `sane` says that the clock is right, until `stop`
    /// turns true.
    pub async fn keep(self, mut sane: watch::Receiver<bool>, mut stop: watch::Receiver<bool>) {
        let keeping = async {
            loop {
                let is_sane = *sane.borrow_and_update();
                let rest = self.0.turn(is_sane).await;
                tokio::select! {
                    () = sleep(rest) => {}
                    () = self.0.changed.notified() => {}
                    Ok(()) = sane.changed() => {}
                }
            }
        };
        tokio::select! {
            () = keeping => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    /// The configuration is this now. What failed is tried at once, unless the authority wants to be left
    /// alone: whoever reads the configuration anew has put something right.
    pub fn follow(&self, config: Arc<Config>) {
        *self.0.config.lock().unwrap_or_else(PoisonError::into_inner) = config;
        self.hurry();
    }

    /// Something has changed outside, like who writes records: tries at once what failed.
    pub fn hurry(&self) {
        self.0.is_hurried.store(true, Ordering::Relaxed);
        self.0.changed.notify_one();
    }

    /// How it stands, in plain words.
    pub fn finding(&self) -> watch::Receiver<Finding> {
        self.0.finding.subscribe()
    }

    /// Our accounts, for CAA records.
    pub fn accounts(&self) -> watch::Receiver<Vec<CaAccount>> {
        self.0.accounts.subscribe()
    }

    /// Revokes the certificate in use (RFC 8555 §7.6), as superseded, and asks for another. The error is a
    /// sentence.
    pub async fn revoke(&self) -> Result<(), String> {
        let revoked = self.0.revoke().await;
        revoked.map_err(|trouble| trouble.text)?;
        self.hurry();
        Ok(())
    }
}

/// The certificate that is kept, whether or not a server runs: its chain, PEM.
///
/// # Errors
/// The disk's.
pub fn kept(store: &Store) -> Result<Option<String>, store::Error> {
    let kept = CERTIFICATE.get(&store.snapshot()?, &())?;
    Ok(kept.map(|kept| kept.chain))
}

impl Inner {
    fn config(&self) -> Arc<Config> {
        self.config
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn advised(&self) -> Advised {
        self.advised
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note_advice(&self, advised: Advised) {
        *self.advised.lock().unwrap_or_else(PoisonError::into_inner) = advised;
    }

    /// Looks at everything once, and does what is due. How long to rest then.
    async fn turn(&self, is_sane: bool) -> Duration {
        let wish = match Wish::of(&self.config()) {
            Ok(wish) => wish,
            Err(reason) => {
                self.say(match reason {
                    NoWish::NotWanted => Standing::NotWanted,
                    NoWish::Impossible(text, next) => Standing::Impossible(text, next),
                });
                return LOOK;
            }
        };
        if !is_sane {
            self.say(Standing::NoClock);
            return LOOK;
        }
        let now = self.clock.now();
        match self.places.books.known().await {
            Ok(known) => self.see_to(&wish, known, now).await,
            Err(trouble) => {
                let again = now + pause(trouble.pace, 1, &*self.dice);
                self.say(Standing::Failing(None, trouble, again));
                self.until(again)
            }
        }
    }

    async fn see_to(&self, wish: &Wish, known: Known, now: Timestamp) -> Duration {
        let held = known.certificate.as_ref();
        let held = held.and_then(|record| Certificate::of_pem(record.chain.as_bytes()));
        let fitting = held.as_ref().filter(|held| {
            let is_theirs = known.certificate.as_ref();
            let is_theirs = is_theirs.is_some_and(|record| record.directory == wish.directory);
            is_theirs && held.names.len() == wish.names.len() && held.lacks(&wish.names).is_empty()
        });
        if let Some(held) = fitting {
            let due = life(held).renewal(self.advice(wish, held, now).await);
            if now < due {
                self.is_hurried.store(false, Ordering::Relaxed);
                self.say(Standing::Good(held.clone(), due));
                return self.until(due.min(self.advised().next));
            }
        }
        let mark = wish.mark();
        let last = known.attempt.clone();
        let is_same = last.mark == mark;
        let is_hurried = self.is_hurried.swap(false, Ordering::Relaxed);
        // The word of an authority holds for whatever is asked of it.
        let is_limited = last.is_limited && last.mark.lines().next() == mark.lines().next();
        let again = last.again.min(now + LIMITED_MS_MAX);
        if again > now && (is_limited || (is_same && !is_hurried)) {
            let trouble = Trouble::of_before(&last);
            self.say(Standing::Failing(held, trouble, again));
            return self.until(again);
        }
        if held.is_none() {
            self.say(Standing::Asking);
        }
        let failures = if is_same { last.failures } else { 0 };
        let mut outcome = self.attempt(wish, &known, held.as_ref()).await;
        if outcome.as_ref().is_err_and(|it| it.is_about_account) {
            // It is forgotten now, and will be made anew.
            outcome = self.attempt(wish, &known, held.as_ref()).await;
        }
        match outcome {
            Ok(()) => Duration::ZERO,
            Err(trouble) => self.failed(mark, failures + 1, held, trouble).await,
        }
    }

    async fn failed(
        &self,
        mark: String,
        failures: u32,
        held: Option<Certificate>,
        trouble: Trouble,
    ) -> Duration {
        let now = self.clock.now();
        let pause = pause(trouble.pace, failures, &*self.dice);
        let again = trouble.again.unwrap_or(0).max(now + pause);
        let record = AttemptRecord {
            mark,
            failures,
            again,
            is_limited: trouble.again.is_some(),
            is_rehearsed: false,
            text: trouble.text.clone(),
            next: trouble.next.clone(),
        };
        self.say(Standing::Failing(held, trouble, again));
        // Where it cannot be kept, only a restart makes it forgotten.
        if self
            .places
            .books
            .write(vec![ATTEMPT.put(&(), &record)])
            .await
            .is_err()
        {
            sleep(Duration::from_millis(pause)).await;
        }
        self.until(again)
    }

    /// A moment at which the authority would like the certificate to be renewed; it is asked now and then
    /// (RFC 9773 §4.3).
    async fn advice(&self, wish: &Wish, held: &Certificate, now: Timestamp) -> Option<Timestamp> {
        let mut advised = self.advised();
        if advised.serial != held.serial {
            advised = Advised {
                serial: held.serial.clone(),
                ..Advised::default()
            };
        }
        let (least, most) = ADVICE_MS;
        if now < advised.next && advised.next <= now + most {
            return advised.chosen;
        }
        match self.ask_advice(wish, held).await {
            Ok((window, again)) => {
                let again = u64::try_from(again.as_millis()).unwrap_or(most);
                advised.next = now + again.clamp(least, most);
                if advised.window != Some(window) {
                    advised.chosen = window.choose(&*self.dice);
                    advised.window = Some(window);
                }
            }
            // What it said before still holds.
            Err(_) => advised.next = now + NO_ADVICE_MS,
        }
        let chosen = advised.chosen;
        self.note_advice(advised);
        chosen
    }

    async fn ask_advice(
        &self,
        wish: &Wish,
        held: &Certificate,
    ) -> Result<(Advice, Duration), Trouble> {
        let Some(id) = identifier(held) else {
            return Err(Trouble::unusable("the certificate names no authority"));
        };
        let line = Line::new(self.outside.clone(), self.clock.clone());
        let account = self.account(&wish.directory, &wish.contact, &line).await?;
        let info = account.renewal_info(&id).await;
        let (info, again) =
            info.map_err(|error| Trouble::of(&error, &wish.directory, &line, self.clock.now()))?;
        let ms = |seconds: i64| seconds.max(0).unsigned_abs().saturating_mul(1_000);
        let window = Advice {
            start: ms(info.suggested_window.start.unix_timestamp()),
            end: ms(info.suggested_window.end.unix_timestamp()),
        };
        Ok((window, again))
    }

    async fn revoke(&self) -> Result<(), Trouble> {
        let known = self.places.books.known().await?;
        let Some(CertificateRecord {
            directory, chain, ..
        }) = known.certificate
        else {
            return Err(Trouble::unusable("there is no certificate to revoke"));
        };
        let leaf = CertificateDer::from_pem_slice(chain.as_bytes());
        let leaf = leaf.map_err(|_| Trouble::unusable("the certificate cannot be read"))?;
        let line = Line::new(self.outside.clone(), self.clock.clone());
        let contact = self.config().acme.contact.clone();
        let account = self.account(&directory, &contact, &line).await?;
        let request = RevocationRequest {
            certificate: &leaf,
            reason: Some(RevocationReason::Superseded),
        };
        let revoked = order::patiently!(account.revoke(&request));
        revoked.map_err(|error| Trouble::of(&error, &directory, &line, self.clock.now()))?;
        info!("the certificate was revoked");
        self.places.books.write(vec![CERTIFICATE.remove(&())]).await
    }

    fn say(&self, standing: Standing) {
        let finding = standing.finding();
        self.finding.send_if_modified(|known| {
            let is_new = *known != finding;
            *known = finding;
            is_new
        });
    }

    /// Until then, but not for so long that a clock that was put right goes unnoticed.
    fn until(&self, moment: Timestamp) -> Duration {
        let left = moment.saturating_sub(self.clock.now());
        Duration::from_millis(left).clamp(Duration::from_secs(1), LOOK)
    }
}

fn life(certificate: &Certificate) -> Life {
    Life {
        begins: certificate.begins,
        expires: certificate.expires,
    }
}

/// By what the authority knows a certificate (RFC 9773 §4.1).
fn identifier(certificate: &Certificate) -> Option<CertificateIdentifier<'static>> {
    let key = certificate.authority_key.as_deref()?;
    Some(CertificateIdentifier::new(
        Der::from_slice(key),
        Der::from_slice(&certificate.serial),
    ))
}
