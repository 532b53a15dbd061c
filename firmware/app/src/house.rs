//! The running server as one value: what the control socket, the web and the board ask of it.

use crate::{
    configuration,
    control::protocol::{Listeners, Status, TrialLine},
    desk::{Desk, Host, Running, refuse_other_domain},
    doors::Doors,
    limits::{CERTIFICATE_AGE_WATCH, CERTIFICATE_WATCH, HOUSEKEEPING, PUSH_WAIT_MAX},
    machine::{self, MachineClock, MachineDice, MachineFiles, MachineReaders},
};
use anyhow::Result;
use household::{Config, Dropped, Health, Level, Numbers, Relayed, config::TlsMode};
use server::{
    AccountChange, Parts, Server,
    calls::{Secret, SecretError},
    devices,
    tls::{Source, Tls},
};
use services::turn::Turn;
use std::{
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};
use store::{Store, WriterThread};
use tokio::{
    runtime::Handle,
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep, timeout_at},
};
use tracing::{error, info, warn};

const CERTIFICATE_OK: &str = "the certificate can be used";

/// Opens the store and starts its writer. Nobody else has it from here on.
pub(crate) fn open_store(config: &Config) -> Result<(Arc<Store>, WriterThread)> {
    let store = machine::open_store(&config.data_dir)?;
    refuse_other_domain(&store, config)?;
    let writer = store.start_writer()?;
    Ok((store, writer))
}

pub(crate) struct House {
    pub(crate) server: Arc<Server>,
    pub(crate) tls: Arc<Tls>,
    health: watch::Sender<Health>,
    /// What is bound, for `status`.
    listeners: Mutex<Listeners>,
    /// The relay for calls, once there is one.
    relay: OnceLock<Turn>,
    runtime: Handle,
}

impl House {
    /// The server over its store and its certificate; no socket is open yet.
    pub(crate) fn new(config: Arc<Config>, store: Arc<Store>) -> Result<Arc<House>> {
        let tls = Tls::open(
            Arc::new(MachineFiles),
            &Source::of(&config),
            &config.tls.extra_ca,
            machine::now_ms(),
        )?;
        let secret = call_secret(&config)?;
        let health = watch_store(&store);
        let server = Server::new(Parts {
            config,
            store,
            clock: Arc::new(MachineClock::start()),
            dice: Arc::new(MachineDice),
            readers: Arc::new(MachineReaders::start()?),
        })?;
        server.use_call_secret(secret);
        server.restore_sessions()?;
        let (tls, listeners, runtime) = (Arc::new(tls), Mutex::default(), Handle::current());
        Ok(Arc::new(House {
            server,
            tls,
            health,
            listeners,
            relay: OnceLock::new(),
            runtime,
        }))
    }

    /// Other servers can be called, and nobody can come in yet: goes on where the last run ended, the oldest
    /// first.
    pub(crate) async fn resume(&self) {
        if let Err(error) = self.server.resume_remotes().await {
            error!(%error, "what waits for other servers cannot be read");
        }
        self.server.settle_restored().await;
    }

    /// All doors are closed; the last word before the store is.
    pub(crate) async fn stopped(&self) {
        self.server.stopped().await;
    }

    /// What is done again and again, until it is dropped.
    pub(crate) async fn keep(self: Arc<Self>) {
        tokio::join!(
            show_led(self.health()),
            self.keep_house(),
            self.keep_pushing(),
            self.keep_certificate()
        );
    }

    async fn keep_house(&self) {
        // Commands may have changed something while nobody served.
        self.server.keep_family().await;
        loop {
            sleep(HOUSEKEEPING).await;
            self.server.tick().await;
        }
    }

    /// What about push is due between two rounds of housekeeping.
    async fn keep_pushing(&self) {
        loop {
            match self.server.until_push() {
                None => self.server.push_planned().await,
                Some(left) => tokio::select! {
                    () = sleep(left) => self.server.push_what_is_due().await,
                    () = self.server.push_planned() => {}
                },
            }
        }
    }

    /// Files of others are watched; one that is ours is looked at for its age.
    async fn keep_certificate(self: &Arc<Self>) {
        loop {
            let files = self.server.config().tls.mode == TlsMode::Files;
            sleep(if files {
                CERTIFICATE_WATCH
            } else {
                CERTIFICATE_AGE_WATCH
            })
            .await;
            let house = self.clone();
            let _ = spawn_blocking(move || house.reload_certificate()).await;
        }
    }

    /// Reads the certificate again, if there is a new one, and whose certificates are believed.
    fn reload_certificate(&self) {
        let (config, now) = (self.server.config(), machine::now_ms());
        let own = self.tls.reload(&Source::of(&config), now);
        let others = self.tls.reload_trust(&config.tls.extra_ca, now);
        match own.and(others) {
            Ok(_) => self.say("certificate", Level::Ok, CERTIFICATE_OK.to_owned()),
            Err(error) => {
                let text = format!("what was read before stays in use: {error}");
                self.say("certificate", Level::Warn, text);
            }
        }
    }

    /// A change of health; people who read logs hear of trouble once.
    fn say(&self, part: &'static str, level: Level, text: String) {
        self.health.send_if_modified(|health| {
            let old = health.parts().iter().find(|known| known.part == part);
            if old.is_some_and(|old| old.level == level && old.text == text) {
                return false;
            }
            if level != Level::Ok {
                warn!("{part}: {text}");
            }
            health.set(part, level, text);
            true
        });
    }

    /// How everything is doing, now and from now on.
    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Numbers for `/metrics`.
    pub(crate) fn numbers(&self, accounts: u64) -> Numbers {
        Numbers {
            accounts,
            sessions: self.server.counts().sessions as u64,
            rooms: self.server.room_count(),
            remotes: self.server.links_open() as u64,
            relay: self.relay.get().map(relayed).unwrap_or_default(),
        }
    }

    /// This is the relay that is counted.
    pub(crate) fn note_relay(&self, turn: &Turn) {
        let _ = self.relay.set(turn.clone());
    }

    /// All listeners are bound: tells people and programs.
    pub(crate) fn ready(&self, doors: &Doors, desk: &Desk) -> Result<()> {
        let config = self.server.config();
        self.say("certificate", Level::Ok, CERTIFICATE_OK.to_owned());
        self.note_listeners(doors, None);
        let listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        greet(&config, &listeners, desk.accounts());
        let mut out = io::stdout().lock();
        writeln!(out, "ready {}", serde_json::to_string(&listeners)?)?;
        Ok(out.flush()?)
    }

    /// Reads the configuration again. What is wrong changes nothing; domain and data directory stay in any
    /// case.
    pub(crate) async fn reload(self: &Arc<Self>, files: &[PathBuf], doors: &mut Doors) {
        let mut config = match configuration::read(files) {
            Ok(config) => config,
            Err(error) => return error!("the configuration was not reloaded: {error:#}"),
        };
        let old = self.server.config();
        if config.domain != old.domain || config.data_dir != old.data_dir {
            warn!("domain and data_dir change with a restart only");
            config.domain.clone_from(&old.domain);
            config.data_dir.clone_from(&old.data_dir);
        }
        let secret = match call_secret(&config) {
            Ok(secret) => secret,
            Err(error) => return error!("the configuration was not reloaded: {error}"),
        };
        let config = Arc::new(config);
        self.server.configure(config.clone());
        self.server.use_call_secret(secret);
        let house = self.clone();
        let _ = spawn_blocking(move || house.reload_certificate()).await;
        let trouble = doors.follow(&config).await.err();
        self.note_listeners(doors, trouble.as_ref());
        info!("the configuration was reloaded");
    }

    fn note_listeners(&self, doors: &Doors, trouble: Option<&anyhow::Error>) {
        *self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = doors.listeners();
        match trouble {
            None => self.say("listeners", Level::Ok, "all are bound".to_owned()),
            Some(error) => self.say("listeners", Level::Fail, format!("{error:#}")),
        }
    }
}

impl Host for Arc<House> {
    fn config(&self) -> Arc<Config> {
        self.server.config()
    }

    fn account_changed(&self, localpart: &str, change: AccountChange) {
        self.runtime
            .block_on(self.server.account_changed(localpart, change));
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.server.account_turn()
    }

    fn accounts(&self) -> Option<u64> {
        Some(self.server.accounts())
    }

    fn connected_devices(&self, localpart: &str) -> Vec<devices::Id> {
        self.server.connected_devices(localpart)
    }

    fn try_push(&self, localpart: &str) -> Option<Vec<TrialLine>> {
        self.runtime.block_on(async {
            let trials = self.server.try_push(localpart).await?;
            let until = Instant::now() + PUSH_WAIT_MAX;
            let mut lines = Vec::new();
            for trial in trials {
                // All were sent at once; the time is for all of them.
                let said = timeout_at(until, trial.outcome).await;
                lines.push(TrialLine::new(trial.service, trial.device, said.ok()));
            }
            Some(lines)
        })
    }

    fn running(&self) -> Option<Running<'_>> {
        Some(Running {
            server: &self.server,
            runtime: &self.runtime,
        })
    }

    fn status(&self, accounts: u64, _: u64) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: Some(xmpp::datetime::format(self.server.started())),
            listeners: self
                .listeners
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            health: self.health.borrow().parts().to_vec(),
            numbers: self.numbers(accounts),
            servers: self
                .server
                .remotes()
                .iter()
                .map(ToString::to_string)
                .collect(),
        }
    }
}

fn relayed(turn: &Turn) -> Relayed {
    let counts = turn.counts();
    Relayed {
        allocations: turn.allocations() as u64,
        packets: counts.relayed,
        bytes: counts.relayed_bytes,
        dropped: Dropped {
            malformed: counts.malformed,
            strange: counts.strange,
            forbidden: counts.forbidden,
            over_rate: counts.over_rate,
            unanswered: counts.unanswered,
        },
    }
}

/// The text of `turn.secret_file`, where there is such a file.
fn call_secret(config: &Config) -> Result<Option<Secret>, SecretError> {
    let file = &config.turn.secret_file;
    let is_given = !file.as_os_str().is_empty();
    is_given
        .then(|| Secret::read(&MachineFiles, file))
        .transpose()
}

/// The store's health as a part of the house's.
fn watch_store(store: &Store) -> watch::Sender<Health> {
    let (sender, _) = watch::channel(Health::default());
    let note = |health: &mut Health, store: &store::Health| match &store.error {
        None if store.writable => health.set("store", Level::Ok, "everything is kept"),
        error => health.set(
            "store",
            Level::Fail,
            error.as_deref().unwrap_or("nothing can be stored"),
        ),
    };
    sender.send_modify(|health| note(health, &store.health()));
    let watching = sender.clone();
    store.watch_health(move |news| watching.send_modify(|health| note(health, news)));
    sender
}

async fn show_led(mut health: watch::Receiver<Health>) {
    let mut shown = Vec::new();
    loop {
        let mut line = Vec::new();
        let _ = board::simulated::show(&health.borrow_and_update(), &mut line);
        if line != shown {
            info!("{}", String::from_utf8_lossy(&line).trim_end());
            shown = line;
        }
        if health.changed().await.is_err() {
            return;
        }
    }
}

/// Where to point a browser and a client.
fn greet(config: &Config, listeners: &Listeners, accounts: u64) {
    let domain = &config.domain;
    let port = |name| {
        listeners
            .get(name)
            .and_then(|addresses| addresses.first())
            .map(std::net::SocketAddr::port)
    };
    if let Some(port) = port("https") {
        info!("point a browser to https://{domain}:{port}/");
    }
    if let Some(port) = port("c2s_tls") {
        info!("point a client to {domain}, port {port} with TLS");
    }
    if let Some(port) = port("c2s") {
        info!("point a client to {domain}, port {port} with STARTTLS");
    }
    if accounts == 0 {
        info!("there is no account yet: make one with `hearth user add NAME@{domain}`");
    }
}
