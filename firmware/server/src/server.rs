//! The whole server as one value: what the parts share, and the verbs that connections call.

mod changes;
mod counts;
mod disk;

pub use changes::AccountChange;
pub use counts::Counts;

use crate::{
    account::{Account, Cx, Leaving, Resource},
    accounts::{self, AccountRecord},
    archive,
    books::Books,
    bytestreams::Bytestreams,
    calls::Calls,
    capabilities::Known,
    component::Components,
    directory::{Directory, Readers},
    family::Keeper,
    features::resends::Window,
    limits::{LEAVING_MAX, RESOURCES_MAX, UNDURABLE_MAX},
    negotiation::Logins,
    presence, push,
    room::Rooms,
    router::Router,
    s2s::{Federation, dialback::Secret},
    session::{Session, waiting::Ended},
    uploads::Uploads,
    world::{Clock, Dice, Timestamp, random_id},
};
use arc_swap::{ArcSwap, ArcSwapOption};
use household::Config;
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Poll,
};
use store::{Durable, Sequence, Store, Ticket};
use tokio::sync::oneshot;
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

impl From<store::Error> for StartError {
    fn from(error: store::Error) -> StartError {
        StartError::Store(error)
    }
}

/// The XMPP server.
pub struct Server {
    /// Itself, for what outlives a lock.
    this: Weak<Server>,
    domain: Jid,
    /// The address of the publish-subscribe service.
    pubsub: Jid,
    rooms: Rooms,
    pub(crate) uploads: Uploads,
    pub(crate) bytestreams: Arc<Bytestreams>,
    pub(crate) components: Components,
    config: ArcSwap<Config>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
    readers: Arc<dyn Readers>,
    directory: Directory,
    pub(crate) router: Router,
    logins: Logins,
    books: Books,
    family: Keeper,
    federation: Federation,
    pub(crate) calls: Calls,
    /// Localpart of the first administrator among the accounts.
    administrator: ArcSwapOption<String>,
    /// Sessions that are over and may still be asked for.
    ended: Ended,
    /// Places in every account's archive.
    positions: Sequence,
    archive_ids: Arc<archive::Ids>,
    retention: archive::Retention,
    resends: Window,
    /// What is restored now has missed nothing.
    restores_exactly: AtomicBool,
    capabilities: Known,
    /// When something is due about push.
    push_alarm: push::Alarm,
    /// Who has devices to be woken.
    wakeable: push::Wakeable,
    /// The last number given to a session, to a request of ours, and to a version of a roster.
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
        let positions = store.sequence("archive.position")?;
        let archive_ids = archive::Ids::open(&store, &*dice)?;
        let resends = Window::new(clock.elapsed_ms());
        let address = |text: &str| Jid::parse(text).map_err(|_| StartError::Domain);
        let domain = address(&config.domain)?.domain();
        let pubsub = address(&format!("{}.{domain}", config.names.pubsub))?;
        let rooms = address(&format!("{}.{domain}", config.names.rooms))?;
        let rooms = Rooms::open(&store, &*dice, rooms)?;
        let uploads = address(&format!("{}.{domain}", config.names.upload))?;
        let uploads = Uploads::open(&store, &*dice, uploads)?;
        let proxy = address(&format!("{}.{domain}", config.names.proxy))?;
        let capabilities = Known::load(&store)?;
        let wakeable = push::Wakeable::load(&store)?;
        let federation = Federation::new(Secret::new(&*dice), store.start_count());
        let calls = Calls::open(&store, &*dice)?;
        let server = Arc::new_cyclic(|this| Server {
            this: this.clone(),
            pubsub,
            rooms,
            uploads,
            bytestreams: Bytestreams::new(proxy),
            components: Components::default(),
            domain,
            capabilities,
            config: ArcSwap::new(config),
            started: clock.now(),
            store,
            clock,
            dice,
            readers,
            directory: Directory::default(),
            router: Router::new(),
            logins: Logins::default(),
            books: Books::default(),
            family: Keeper::default(),
            federation,
            calls,
            administrator: ArcSwapOption::empty(),
            ended: Ended::default(),
            positions,
            archive_ids: Arc::new(archive_ids),
            retention: archive::Retention::default(),
            resends,
            restores_exactly: AtomicBool::new(false),
            push_alarm: push::Alarm::default(),
            wakeable,
            numbers: AtomicU64::new(0),
        });
        server.note_administrator()?;
        server.watch_disk();
        Ok(server)
    }

    fn note_administrator(&self) -> Result<(), store::Error> {
        let snapshot = self.store.snapshot()?;
        let first = accounts::first_administrator(&snapshot)?;
        self.administrator.store(first.map(Arc::new));
        self.calls.note_callers(accounts::enabled(&snapshot)?);
        self.note_accounts(&snapshot)
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

    /// The address of the domain we serve.
    pub fn domain(&self) -> &Jid {
        &self.domain
    }

    /// The address of the publish-subscribe service.
    pub(crate) fn pubsub(&self) -> &Jid {
        &self.pubsub
    }

    /// The book of rooms.
    pub(crate) fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// What kinds of clients ask for.
    pub(crate) fn capabilities(&self) -> &Known {
        &self.capabilities
    }

    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Replaces the configuration (SIGHUP). The domain stays what it was.
    pub fn configure(&self, config: Arc<Config>) {
        let before = self.config.swap(config);
        self.follow_components(&before);
        self.part_from_components();
        self.follow_calls();
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

    /// Itself, for what is done later on another thread; `None` where it is on its way out.
    pub(crate) fn this(&self) -> Option<Arc<Server>> {
        self.this.upgrade()
    }

    pub(crate) fn books(&self) -> &Books {
        &self.books
    }

    pub(crate) fn family_keeper(&self) -> &Keeper {
        &self.family
    }

    pub(crate) fn federation(&self) -> &Federation {
        &self.federation
    }

    pub(crate) fn logins(&self) -> &Logins {
        &self.logins
    }

    pub(crate) fn ended(&self) -> &Ended {
        &self.ended
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

    pub(crate) fn restores_exactly(&self) -> &AtomicBool {
        &self.restores_exactly
    }

    pub(crate) fn push_alarm(&self) -> &push::Alarm {
        &self.push_alarm
    }

    pub(crate) fn wakeable(&self) -> &push::Wakeable {
        &self.wakeable
    }

    pub(crate) fn resends(&self) -> &Window {
        &self.resends
    }

    /// A number that was never given before in this process.
    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
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
                // What its rooms answer to that is not for its successor, which has the same address.
                return Ok(None);
            }
            if cx.state.resources.len() >= RESOURCES_MAX && !end_oldest_waiting(cx) {
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
        self.receive_over(session, session.outbox.epoch(), stanza)
            .await;
    }

    /// The same over the connection of that epoch: what an older one still says is not heard.
    pub(crate) async fn receive_over(
        self: &Arc<Self>,
        session: &Arc<Session>,
        epoch: u32,
        stanza: Stanza,
    ) {
        let _ = caught(self.router.receive(self, session, epoch, stanza)).await;
    }

    /// Takes an element beside the stanzas from a session; gives the answer as XML. An error ends the stream.
    pub async fn nonza(
        self: &Arc<Self>,
        session: &Arc<Session>,
        element: &Element,
    ) -> Result<String, StreamError> {
        let answer = self.router.nonza(self, session, element)?;
        self.settle(&session.account).await;
        self.catch_up(session).await;
        Ok(answer)
    }

    /// Under the account's lock: the client of this session has what is at these archive positions.
    pub(crate) fn delivered(&self, cx: &mut Cx<'_>, session: &Session, positions: &[u64]) {
        if !positions.is_empty() {
            self.router.written(cx, session, positions);
        }
    }

    /// Waits for what becomes of a ticket: whether it is durable.
    pub(crate) async fn is_kept(&self, ticket: Ticket) -> bool {
        let (sender, receiver) = oneshot::channel();
        let tell = Box::new(move |durable| {
            // Who waited may be gone.
            let _ = sender.send(durable == Durable::Yes);
        });
        self.store.when_durable(ticket, tell);
        receiver.await.unwrap_or(false)
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

    /// The session is over, whoever closed it: the resource becomes unavailable (RFC 6121 §4.5).
    pub async fn leave(self: &Arc<Self>, session: &Arc<Session>) {
        self.leave_over(session, session.outbox.epoch()).await;
    }

    /// The same from the connection of that epoch: an older one has nothing to end.
    pub(crate) async fn leave_over(self: &Arc<Self>, session: &Arc<Session>, epoch: u32) {
        self.at(&session.account, 0, |cx| {
            if session.outbox.epoch() == epoch {
                presence::gone(cx, session);
            }
        });
        self.settle_account(&session.account).await;
    }

    /// Ends other sessions of an account that are meant.
    pub(crate) async fn end_sessions(
        self: &Arc<Self>,
        account: &Arc<Account>,
        error: StreamError,
        is_meant: impl Fn(&Session) -> bool,
    ) {
        self.at(account, 0, |cx| {
            for session in cx.state.sessions() {
                if is_meant(&session) {
                    session.outbox.end(error);
                    presence::gone(cx, &session);
                }
            }
        });
        self.settle_account(account).await;
    }

    /// Housekeeping, about once a minute.
    pub async fn tick(self: &Arc<Self>) {
        self.expire_sessions().await;
        self.leave_for_the_lost().await;
        self.push_what_is_due().await;
        self.give_up_on_moves();
        self.keep_books().await;
        self.sweep_rooms();
        self.directory.evict(&self.store);
        self.sweep_archives();
        self.forget_resends();
        self.keep_components().await;
        self.call_for_the_held();
        self.forget_failures();
    }

    /// The connection should stop reading from this session for a moment: the card or a queue is behind
    /// (DESIGN §9).
    pub fn is_congested(&self, session: &Session) -> bool {
        self.store.is_congested()
            || session.account.leaving() > LEAVING_MAX
            || session.is_waiting_for_another()
            || session.intake.pending() > UNDURABLE_MAX
                && session.intake.is_behind(&self.store, UNDURABLE_MAX)
    }

    /// Stream features of features, once the client is authenticated, or has a session already.
    pub(crate) fn stream_features(&self, session: Option<&Session>) -> String {
        self.router.stream_features(self, session)
    }

    /// Routes a stanza that no account decided; the account it touched.
    pub(crate) async fn route(self: &Arc<Self>, leaving: Leaving) -> Option<Arc<Account>> {
        caught(self.router.route(self, leaving)).await.flatten()
    }

    /// Works off what leaves this account, and whatever that causes in others. One task at a time has an
    /// account's queue; if somebody has it already, it is in good hands. An account is given that somebody
    /// has, and has much to do with.
    pub(crate) async fn settle(self: &Arc<Self>, account: &Arc<Account>) -> Option<Arc<Account>> {
        let mut behind = None;
        let mut next = Some(account.clone());
        // Accounts whose own queue something came into; seldom any.
        let mut touched = Vec::new();
        while let Some(account) = next.take().or_else(|| touched.pop()) {
            if !account.begin_draining() {
                if account.leaving() > LEAVING_MAX {
                    behind = Some(account);
                }
                continue;
            }
            while let Some(leaving) = account.next_leaving() {
                let routed = caught(self.router.route(self, leaving)).await;
                touched.extend(routed.flatten());
            }
        }
        behind
    }
}

/// A new resource takes the place of the one that has been without a connection for longest, if there is
/// one.
fn end_oldest_waiting(cx: &mut Cx<'_>) -> bool {
    let resources = cx.state.resources.iter();
    let away = resources.filter_map(|r| Some((r.away.as_ref()?.since, r.session.clone())));
    let oldest = away.min_by_key(|(since, _)| *since);
    if let Some((_, session)) = &oldest {
        session.outbox.end(StreamError::CONFLICT);
        presence::gone(cx, session);
    }
    oldest.is_some()
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
