//! The whole server as one value: what the parts share, and the verbs that connections call.

use crate::{
    account::{Account, Resource},
    accounts::{self, AccountRecord},
    archive,
    directory::{Directory, Readers},
    limits::RESOURCES_MAX,
    negotiation::Logins,
    presence,
    router::Router,
    session::Session,
    world::{Clock, Dice, Timestamp, random_id},
};
use arc_swap::{ArcSwap, ArcSwapOption};
use household::Config;
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};
use store::{Durable, Sequence, Store};
use tracing::error;
use xmpp::{Element, Jid, Stanza, StanzaError, StreamError};

/// What the server is made of.
pub struct Parts {
    pub config: Arc<Config>,
    pub store: Arc<Store>,
    pub clock: Arc<dyn Clock>,
    pub dice: Arc<dyn Dice>,
    /// Where the disk is read.
    pub readers: Arc<dyn Readers>,
}

/// Why there is no server.
#[derive(Debug)]
pub enum StartError {
    Domain,
    Store(store::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Domain => f.write_str("`domain` is not a domain name"),
            StartError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// What somebody else did to an account (the command line, later the admin page).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountChange {
    Added,
    PasswordChanged,
    Disabled,
    Enabled,
    Removed,
}

/// The XMPP server.
pub struct Server {
    domain: Jid,
    config: ArcSwap<Config>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    readers: Arc<dyn Readers>,
    directory: Directory,
    router: Router,
    logins: Logins,
    /// Localpart of the first administrator among the accounts.
    administrator: ArcSwapOption<String>,
    /// Places in every account's archive.
    positions: Sequence,
    archive_ids: Arc<archive::Ids>,
    retention: archive::Retention,
    /// The last number given to a session, and to a request of ours.
    numbers: AtomicU64,
    started: Timestamp,
}

impl Server {
    /// A server over these parts.
    ///
    /// # Errors
    /// [`StartError::Domain`] where the configured domain is no address; the disk's.
    pub fn new(parts: Parts) -> Result<Arc<Server>, StartError> {
        let Parts {
            config,
            store,
            clock,
            dice,
            readers,
        } = parts;
        let positions = store
            .sequence("archive.position")
            .map_err(StartError::Store)?;
        let archive_ids = archive::Ids::open(&store, &*dice).map_err(StartError::Store)?;
        let server = Arc::new(Server {
            domain: Jid::parse(&config.domain)
                .map_err(|_| StartError::Domain)?
                .domain(),
            config: ArcSwap::new(config),
            started: clock.now(),
            store,
            clock,
            dice,
            readers,
            directory: Directory::default(),
            router: Router::new(),
            logins: Logins::default(),
            administrator: ArcSwapOption::empty(),
            positions,
            archive_ids: Arc::new(archive_ids),
            retention: archive::Retention::default(),
            numbers: AtomicU64::new(0),
        });
        server.note_administrator().map_err(StartError::Store)?;
        let watching = Arc::downgrade(&server);
        server.store.watch_health(move |health| {
            if let (false, Some(server)) = (health.writable, watching.upgrade()) {
                server.forget_failed();
            }
        });
        Ok(server)
    }

    fn note_administrator(&self) -> Result<(), store::Error> {
        let first = accounts::first_administrator(&self.store.snapshot()?)?;
        self.administrator.store(first.map(Arc::new));
        Ok(())
    }

    /// The bare JID of the first administrator: of the configuration, else of the accounts.
    pub(crate) fn first_administrator(&self) -> Option<String> {
        let configured = self.config.load().admins.first().cloned();
        configured.or_else(|| {
            self.administrator
                .load()
                .as_ref()
                .map(|name| format!("{name}@{}", self.domain))
        })
    }

    /// DESIGN §6: what a failed group changed in memory never became true. Its accounts are loaded afresh.
    fn forget_failed(&self) {
        for account in self.directory.all() {
            if self.store.is_durable(account.relied_on()) == Some(Durable::No) {
                self.directory.forget(&account);
            }
        }
    }

    /// The address of the domain we serve.
    pub fn domain(&self) -> &Jid {
        &self.domain
    }

    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Replaces the configuration (SIGHUP). The domain stays what it was.
    pub fn configure(&self, config: Arc<Config>) {
        self.config.store(config);
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub fn dice(&self) -> &dyn Dice {
        &*self.dice
    }

    /// The wall clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// When the server started, by the wall clock.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    pub(crate) fn readers(&self) -> &dyn Readers {
        &*self.readers
    }

    pub(crate) fn logins(&self) -> &Logins {
        &self.logins
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The next place in an archive; `None` while the disk takes nothing.
    pub(crate) fn next_position(&self) -> Option<u64> {
        self.positions.next()
    }

    /// What archives call their messages.
    pub(crate) fn archive_ids(&self) -> &Arc<archive::Ids> {
        &self.archive_ids
    }

    pub(crate) fn retention(&self) -> &archive::Retention {
        &self.retention
    }

    /// A number that was never given before in this process.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Sessions bound and accounts in memory, for `status` and metrics.
    pub fn counts(&self) -> Counts {
        let accounts = self.directory.all();
        let sessions = accounts
            .iter()
            .map(|account| account.lock().resources.len())
            .sum();
        Counts {
            accounts_in_memory: accounts.len(),
            sessions,
        }
    }

    /// Reads an account's record from the store. Blocks: for threads that may (negotiation's work, the
    /// control socket).
    pub fn find_account(&self, localpart: &str) -> Result<Option<AccountRecord>, store::Error> {
        accounts::find(&self.store.snapshot()?, localpart)
    }

    /// Binds a resource (RFC 6120 §7): the one asked for, or one of ours. A session under the same resource
    /// ends with
    /// `conflict`. Errors: `resource-constraint` above the limit, `bad-request` for a resource that is none.
    pub async fn bind(
        self: &Arc<Self>,
        localpart: &str,
        resource: Option<&str>,
    ) -> Result<Arc<Session>, StanzaError> {
        let generated = resource.is_none().then(|| random_id(self.dice()));
        let resource = resource.or(generated.as_deref()).unwrap_or_default();
        loop {
            let account = self.load(localpart).await.map_err(|error| {
                error!(localpart, %error, "account cannot be loaded");
                StanzaError::INTERNAL
            })?;
            let account = account.ok_or(StanzaError::NOT_AUTHORIZED)?;
            let bound = self.bind_to(&account, resource);
            self.settle(&account).await;
            if let Some(session) = bound? {
                return Ok(session);
            }
        }
    }

    /// `None` where the account has left the directory since it was found.
    fn bind_to(
        &self,
        account: &Arc<Account>,
        resource: &str,
    ) -> Result<Option<Arc<Session>>, StanzaError> {
        let jid = account
            .jid
            .with_resource(resource)
            .map_err(|_| StanzaError::BAD_REQUEST)?;
        let session = Arc::new(Session::new(jid, self.next_number(), account.clone()));
        self.at(account, 0, |cx| {
            if cx.state.is_gone() {
                return Ok(None);
            }
            if let Some(old) = cx
                .state
                .resource(&session.jid)
                .map(|old| old.session.clone())
            {
                old.outbox
                    .end(StreamError::CONFLICT.with_text("this resource signed in again"));
                presence::gone(cx, &old);
            }
            if cx.state.resources.len() >= RESOURCES_MAX {
                return Err(StanzaError::RESOURCE_CONSTRAINT);
            }
            cx.state.resources.reserve_exact(1); // most accounts have one
            cx.state.resources.push(Resource::new(session.clone()));
            Ok(Some(session))
        })
    }

    /// Takes one stanza from a session and works off all that follows from it. A hook that panics ends the
    /// sessions of the account it panicked in, and nothing else (DESIGN §10).
    pub async fn receive(self: &Arc<Self>, session: &Arc<Session>, stanza: Stanza) {
        let _ = caught(self.router.receive(self, session, stanza)).await;
    }

    /// Takes an element beside the stanzas from a session. An error ends the stream.
    pub async fn nonza(
        self: &Arc<Self>,
        session: &Arc<Session>,
        element: &Element,
    ) -> Result<(), StreamError> {
        self.router.nonza(self, session, element)?;
        self.settle(&session.account).await;
        Ok(())
    }

    /// What features say to a request of Bind 2.
    pub(crate) fn bound(&self, session: &Arc<Session>, bind: &Element) -> String {
        self.router.bound(self, session, bind)
    }

    /// These positions of the session's archive were written to its socket (DESIGN §6).
    pub async fn written(self: &Arc<Self>, session: &Arc<Session>, positions: &[u64]) {
        self.at(&session.account, 0, |cx| {
            self.router.written(cx, session, positions);
        });
        self.catch_up(session).await;
    }

    /// The connection is gone, whoever closed it: the resource becomes unavailable (RFC 6121 §4.5).
    pub async fn leave(self: &Arc<Self>, session: &Arc<Session>) {
        self.at(&session.account, 0, |cx| presence::gone(cx, session));
        self.settle(&session.account).await;
    }

    /// What follows at runtime from a change of an account that is already durable.
    pub async fn account_changed(self: &Arc<Self>, localpart: &str, change: AccountChange) {
        if let Err(error) = self.note_administrator() {
            error!(%error, "the accounts cannot be read");
        }
        if !matches!(change, AccountChange::Disabled | AccountChange::Removed) {
            return;
        }
        let Some(account) = self.directory.get(localpart) else {
            return;
        };
        self.at(&account, 0, |cx| {
            for session in cx.state.sessions() {
                session
                    .outbox
                    .end(StreamError::NOT_AUTHORIZED.with_text("this account was closed"));
                presence::gone(cx, &session);
            }
        });
        self.settle(&account).await;
        self.directory.forget(&account);
    }

    /// Housekeeping, about once a minute.
    pub fn tick(self: &Arc<Self>) {
        self.directory.evict(&self.store);
        self.sweep_archives();
    }

    /// The connection should stop reading from this session for a moment: the card or a queue is behind
    /// (DESIGN §9).
    pub fn is_congested(&self, session: &Session) -> bool {
        self.store.is_congested() || session.account.leaving() > crate::limits::LEAVING_MAX
    }

    /// Stream features of features, once the client is authenticated.
    pub fn stream_features(&self) -> String {
        self.router.stream_features(self)
    }

    /// Works off what leaves this account, and whatever that causes in others. One task at a time has an
    /// account's queue; if somebody has it already, it is in good hands.
    pub(crate) async fn settle(self: &Arc<Self>, account: &Arc<Account>) {
        let mut next = Some(account.clone());
        // Accounts whose own queue something came into; seldom any.
        let mut touched = Vec::new();
        while let Some(account) = next.take().or_else(|| touched.pop()) {
            if !account.begin_draining() {
                continue;
            }
            while let Some(leaving) = account.next_leaving() {
                let routed = caught(self.router.route(self, leaving)).await;
                touched.extend(routed.flatten());
            }
        }
    }
}

/// Runs a future to its end; `None` where it panics. What was under a lock then is dealt with by
/// [`Server::at`].
async fn caught<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    std::future::poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => {
                error!("a stanza made a feature panic; the account is loaded afresh");
                Poll::Ready(None)
            }
        },
    )
    .await
}

/// Figures for people.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    pub accounts_in_memory: usize,
    pub sessions: usize,
}
