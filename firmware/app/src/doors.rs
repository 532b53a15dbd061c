//! The listeners: which are open, and how they follow the configuration.

use crate::{
    around,
    control::protocol::Listeners,
    desk::Desk,
    house::House,
    machine::{MachineClock, MachineDice},
};
use anyhow::{Context, Result};
use household::Config;
use server::{
    calls::Ports,
    listen::{self, ClientDoor, Entrance, Opening},
    s2s::{self, Dialer},
};
use services::{
    address::Outside,
    turn::{External, Turn},
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::{sync::watch, task::JoinHandle};
use web::{Site, Uploads};

pub(crate) struct Doors {
    house: Arc<House>,
    /// What they share, limits above all.
    entrance: Arc<Entrance>,
    open: Vec<Door>,
    /// Clients that come by HTTP.
    clients: ClientDoor,
    dialer: Dialer,
    /// Connections that we make to other servers.
    calls: Serving,
    /// The removal of files.
    cleaning: Serving,
    turn: Turn,
    /// What the relay tells others of our addresses.
    external: watch::Sender<External>,
    /// The end of what is relayed.
    relaying: Serving,
}

/// What must know where this house is.
pub(crate) struct Network {
    dialer: Dialer,
    turn: Turn,
    external: watch::Sender<External>,
}

impl Network {
    /// The networks on our links are these now, and the world calls us so.
    pub(crate) fn changed(&self, on_link: Vec<household::config::Network>, outside: Outside) {
        self.turn.network_changed(on_link.clone());
        // Nobody is to call ourselves by the way around.
        let own = [outside.ipv4.map(IpAddr::V4), outside.ipv6.map(IpAddr::V6)];
        let own = own.into_iter().flatten();
        let own = own.map(|address| household::config::Network {
            address,
            prefix: if address.is_ipv4() { 32 } else { 64 },
        });
        self.dialer
            .network_changed(on_link.into_iter().chain(own).collect());
        let new = External {
            ipv4: outside.ipv4,
            ipv6: outside.ipv6,
        };
        self.external
            .send_if_modified(|known| std::mem::replace(known, new) != new);
    }
}

/// One listener.
struct Door {
    opening: Opening,
    bound: SocketAddr,
    serving: Serving,
}

/// A task that ends when it is told to.
struct Serving {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Serving {
    fn start<F>(serve: impl FnOnce(watch::Receiver<bool>) -> F) -> Serving
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        Serving {
            stop,
            task: tokio::spawn(serve(stopped)),
        }
    }

    async fn end(self) {
        self.stop();
        let _ = self.task.await;
    }

    fn stop(&self) {
        self.stop.send_replace(true);
    }
}

impl Doors {
    /// Opens every listener of the configuration, or says which one cannot be opened.
    pub(crate) async fn open(house: &Arc<House>, desk: &Arc<Desk>) -> Result<Doors> {
        let pages = house.clone();
        let pages = web_ui::router(move || pages.server.config());
        let uploads = Uploads::new(house.server.clone(), &house.server.config().data_dir);
        let pages = pages.merge(uploads.router());
        let cleaning = Serving::start(|stopped| uploads.keep(stopped));
        let (counting, desk) = (house.clone(), desk.clone());
        let numbers = move || counting.numbers(desk.accounts());
        let asked = house.server.clone();
        let address = move || asked.web_address();
        let clients = ClientDoor::new(house.server.clone(), house.tls.clone());
        let version = env!("CARGO_PKG_VERSION");
        let challenges = house.challenges.clone();
        let site = Site::new(version, house.health(), numbers, address, pages)
            .with_challenges(move |token| challenges.get(token))
            .with_clients(clients.clone());
        let (server, certificate) = (house.server.clone(), house.tls.clone());
        let config = server.config();
        let external = watch::Sender::new(External::of(&config));
        let turn = relay(house, &external)?;
        house.note_relay(&turn);
        let keeping = turn.clone();
        let relaying = Serving::start(|stopped| keeping.keep(stopped));
        let (site, relay) = (Arc::new(site), Arc::new(turn.clone()));
        let entrance = Entrance::new(server.clone(), certificate.clone(), site, relay);
        let dialer = Dialer::new(&config, Arc::new(MachineDice));
        let dialing = dialer.clone();
        let calls =
            Serving::start(|stopped| s2s::calls::serve(server, certificate, dialing, stopped));
        let mut doors = Doors {
            house: house.clone(),
            entrance,
            open: Vec::new(),
            clients,
            dialer,
            calls,
            cleaning,
            turn,
            external,
            relaying,
        };
        house.resume().await;
        doors.follow(&config).await?;
        Ok(doors)
    }

    /// Opens what the configuration asks for and closes what it no longer does; whoever came in by what stays
    /// stays. Other servers are looked for as it says. An error names a listener that cannot be opened: those
    /// of its name are as they were then.
    pub(crate) async fn follow(&mut self, config: &Config) -> Result<()> {
        let on_link = around::on_link();
        self.dialer.network_changed(on_link.clone());
        self.turn.network_changed(on_link);
        self.dialer.follow(config);
        if let Some(secret) = self.house.server.call_secret() {
            self.turn.follow(config, secret.as_ref());
        }
        let mut wanted = listen::openings(config);
        let mut closed = Vec::new();
        for door in std::mem::take(&mut self.open) {
            // Each is wanted once: what stays is not opened again.
            match wanted.iter().position(|wanted| *wanted == door.opening) {
                Some(index) => {
                    wanted.remove(index);
                    self.open.push(door);
                }
                None => {
                    door.serving.stop();
                    closed.push(door);
                }
            }
        }
        // What comes instead may want the same address, which must be free then.
        let mut before = Vec::new();
        for door in closed {
            before.push(door.opening);
            door.serving.end().await;
        }
        let mut trouble = Ok(());
        for opening in wanted {
            if let Err(error) = self.open_door(opening).await {
                let (same, others): (Vec<_>, _) =
                    before.into_iter().partition(|it| it.name == opening.name);
                before = others;
                trouble = trouble.and(Err(error));
                for opening in same {
                    trouble = trouble.and(self.open_door(opening).await);
                }
            }
        }
        let listen = &config.listen;
        let server = &self.house.server;
        server.note_https_port(self.port("https", &listen.https).unwrap_or(0));
        server.note_proxy_port(self.port("proxy65", &listen.proxy65).unwrap_or(0));
        server.offer_calls(Ports {
            stun: self.port("stun", &listen.stun),
            turn_tls: self.port("turn_tls", &listen.turn_tls),
        });
        trouble
    }

    /// What must know where this house is, for who finds out.
    pub(crate) fn network(&self) -> Network {
        Network {
            dialer: self.dialer.clone(),
            turn: self.turn.clone(),
            external: self.external.clone(),
        }
    }

    /// The port that is bound where the first of its name was wanted.
    fn port(&self, name: &str, wanted: &[SocketAddr]) -> Option<u16> {
        let first = wanted.first();
        let mut doors = self.open.iter();
        let door =
            doors.find(|door| door.opening.name == name && Some(&door.opening.address) == first);
        door.map(|door| door.bound.port())
    }

    async fn open_door(&mut self, opening: Opening) -> Result<()> {
        let listener = opening.bind().await?;
        let (bound, entrance) = (listener.address(), self.entrance.clone());
        let serving = Serving::start(|stopped| listener.serve(entrance, stopped));
        self.open.push(Door {
            opening,
            bound,
            serving,
        });
        Ok(())
    }

    /// What is bound, by name.
    pub(crate) fn listeners(&self) -> Listeners {
        let mut listeners = Listeners::new();
        for door in &self.open {
            let name = door.opening.name.to_owned();
            listeners.entry(name).or_default().push(door.bound);
        }
        listeners
    }

    /// Closes all of them; clients get their last words.
    pub(crate) async fn close(self) {
        self.house.server.note_stopping();
        for door in &self.open {
            door.serving.stop();
        }
        self.clients.close().await;
        for door in self.open {
            door.serving.end().await;
        }
        self.calls.end().await;
        self.cleaning.end().await;
        self.relaying.end().await;
    }
}

/// The relay of this house, which believes whoever shows credentials that the server has given.
fn relay(house: &Arc<House>, external: &watch::Sender<External>) -> Result<Turn> {
    let secret = house.server.call_secret();
    let secret = secret.context("the secret of turn.secret_file has not been read")?;
    let machine = (
        Arc::new(MachineClock::start()) as _,
        Arc::new(MachineDice) as _,
    );
    let server = house.server.clone();
    let may_relay = Arc::new(move |username: &str| server.may_call(username));
    let config = house.server.config();
    Ok(Turn::new(
        &config,
        (secret.as_ref(), may_relay),
        machine,
        external.subscribe(),
    ))
}
