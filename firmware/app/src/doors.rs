//! The listeners: which are open, and how they follow the configuration.

use crate::{around, control::protocol::Listeners, desk::Desk, house::House, machine::MachineDice};
use anyhow::Result;
use household::Config;
use server::{
    listen::{self, ClientDoor, Entrance, Opening},
    s2s::{self, Dialer},
};
use std::{net::SocketAddr, sync::Arc};
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
        let site = Site::new(version, house.health(), numbers, address, pages)
            .with_clients(clients.clone());
        let (server, certificate) = (house.server.clone(), house.tls.clone());
        let entrance = Entrance::new(server.clone(), certificate.clone(), Arc::new(site));
        let config = server.config();
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
        };
        house.resume().await;
        doors.follow(&config).await?;
        Ok(doors)
    }

    /// Opens what the configuration asks for and closes what it no longer does; whoever came in by what stays
    /// stays. Other servers are looked for as it says. An error names a listener that cannot be opened: those
    /// of its name are as they were then.
    pub(crate) async fn follow(&mut self, config: &Config) -> Result<()> {
        self.dialer.network_changed(around::on_link());
        self.dialer.follow(config);
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
        let first = config.listen.https.first();
        let is_first =
            |door: &&Door| door.opening.name == "https" && Some(&door.opening.address) == first;
        let port = self
            .open
            .iter()
            .find(is_first)
            .map_or(0, |door| door.bound.port());
        self.house.server.note_https_port(port);
        trouble
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
        for door in &self.open {
            door.serving.stop();
        }
        self.clients.close().await;
        for door in self.open {
            door.serving.end().await;
        }
        self.calls.end().await;
        self.cleaning.end().await;
    }
}
