//! The running server as one value: what the control socket, the web and the board ask of it.

use crate::{
    configuration,
    control::protocol::{Listeners, Status, TrialLine},
    desk::{self, Desk, Host, Running, refuse_other_domain},
    doors::Doors,
    limits::{CERTIFICATE_AGE_WATCH, CERTIFICATE_WATCH, HOUSEKEEPING, PUSH_WAIT_MAX},
    machine::{self, MachineClock, MachineDice, MachineFiles, MachineReaders},
    reach::{address::Outlook, dns::Names},
};
use anyhow::Result;
use household::{Config, Dropped, Finding, Health, Level, Numbers, Relayed, config::TlsMode};
use server::{
    AccountChange, Parts, Server,
    calls::{Secret, SecretError},
    devices,
    tls::{Certificate, Source, Tls},
};
use services::{acme::Files, turn::Turn};
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
    /// What authorities look for at the port without TLS.
    pub(crate) challenges: Files,
    health: watch::Sender<Health>,
    /// What is bound, for `status`.
    listeners: Mutex<Listeners>,
    /// What is known of the way in, once somebody looks.
    outlook: OnceLock<Outlook>,
    /// The relay for calls, once there is one.
    relay: OnceLock<Turn>,
    runtime: Handle,
    /// The records that lead others here.
    pub(crate) names: Names,
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
        let (asked, store) = (server.clone(), server.store().clone());
        let names = Names::open(move || asked.config(), store);
        let (tls, listeners, runtime) = (Arc::new(tls), Mutex::default(), Handle::current());
        Ok(Arc::new(House {
            server,
            tls,
            challenges: Files::default(),
            health,
            listeners,
            outlook: OnceLock::new(),
            relay: OnceLock::new(),
            runtime,
            names,
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
            self.keep_house(),
            self.keep_pushing(),
            self.keep_certificate(),
            self.keep_names(),
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

    /// The records, and what is to be said of them.
    async fn keep_names(&self) {
        let (_stop, stopped) = watch::channel(false);
        let mut health = self.names.dns.health();
        let saying = async {
            let mut is_said = false;
            while health.changed().await.is_ok() {
                let finding = health.borrow_and_update().clone();
                match finding {
                    Some(finding) => {
                        let text = match finding.next.as_str() {
                            "" => finding.text,
                            next => format!("{}; {next}", finding.text),
                        };
                        self.say("dns", finding.level, text);
                        is_said = true;
                    }
                    None if is_said => {
                        self.say(
                            "dns",
                            Level::Ok,
                            "nobody keeps the records for us".to_owned(),
                        );
                    }
                    None => {}
                }
            }
        };
        tokio::join!(self.names.dns.clone().keep(stopped), saying);
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
            // Whoever asks the authority says how it is.
            Ok(_) if config.tls.mode == TlsMode::Acme => {}
            Ok(_) => self.say("certificate", Level::Ok, CERTIFICATE_OK.to_owned()),
            Err(error) => {
                let text = format!("what was read before stays in use: {error}");
                self.say("certificate", Level::Warn, text);
            }
        }
    }

    /// Somebody looks at the way in from now on.
    pub(crate) fn look_out(&self, outlook: Outlook) {
        let _ = self.outlook.set(outlook);
    }

    /// Whether anything was ever said of this part.
    pub(crate) fn has_said(&self, part: &str) -> bool {
        let health = self.health.borrow();
        health.parts().iter().any(|known| known.part == part)
    }

    fn listeners(&self) -> Listeners {
        let listeners = self.listeners.lock();
        listeners.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A change of health; people who read logs hear of trouble once.
    pub(crate) fn say(&self, part: &'static str, level: Level, text: String) {
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
        if config.tls.mode != TlsMode::Acme {
            self.say("certificate", Level::Ok, CERTIFICATE_OK.to_owned());
        }
        self.note_listeners(doors, None);
        let listeners = self.listeners();
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
        self.names.follow(&config);
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

    fn certificate(&self) -> Option<Certificate> {
        Some(self.tls.identity().certificate().clone())
    }

    fn look_at(&self, what: desk::Doors) -> Option<Vec<Finding>> {
        let outlook = self.outlook.get()?;
        let listeners = self.listeners();
        Some(self.runtime.block_on(async {
            match what {
                desk::Doors::Ports => outlook.check_ports(self, &listeners).await,
                desk::Doors::Turn => outlook.check_turn(self, &listeners).await,
            }
        }))
    }

    fn running(&self) -> Option<Running<'_>> {
        Some(Running {
            server: &self.server,
            runtime: &self.runtime,
            dns: &self.names.dns,
        })
    }

    fn status(&self, accounts: u64, _: u64) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: Some(xmpp::datetime::format(self.server.started())),
            listeners: self.listeners(),
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
