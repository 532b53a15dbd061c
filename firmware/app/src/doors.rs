//! The listeners: which are open, and how they follow the configuration.

use crate::{control::protocol::Listeners, desk::Desk, house::House, machine::MachineDice};
use anyhow::Result;
use household::Config;
use server::{
    listen::{self, Entrance, Opening, web_address},
    s2s::{self, Dialer},
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};
use tokio::{sync::watch, task::JoinHandle};
use web::Site;

pub(crate) struct Doors {
    /// What they share, limits above all.
    entrance: Arc<Entrance>,
    open: Vec<Door>,
    /// The port of the first https listener; 0 = there is none.
    https_port: Arc<AtomicU16>,
    /// Connections that we make to other servers.
    calls: Serving,
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
        let (counting, desk) = (house.clone(), desk.clone());
        let numbers = move || counting.numbers(desk.accounts());
        let https_port = Arc::new(AtomicU16::new(0));
        let (asked, bound) = (house.clone(), https_port.clone());
        let address = move || {
            let bound = Some(bound.load(Ordering::Relaxed)).filter(|port| *port > 0);
            web_address(&asked.server.config(), bound)
        };
        let version = env!("CARGO_PKG_VERSION");
        let site = Site::new(version, house.health(), numbers, address, pages);
        let (server, certificate) = (house.server.clone(), house.tls.clone());
        let entrance = Entrance::new(server.clone(), certificate.clone(), Arc::new(site));
        let config = server.config();
        let dialer = Dialer::new(&config, Arc::new(MachineDice));
        let calls =
            Serving::start(|stopped| s2s::calls::serve(server, certificate, dialer, stopped));
        let mut doors = Doors {
            entrance,
            open: Vec::new(),
            https_port,
            calls,
        };
        doors.follow(&config).await?;
        Ok(doors)
    }

    /// Opens what the configuration asks for and closes what it no longer does; whoever came in by what stays
    /// stays. An error names a listener that cannot be opened: those of its name are as they were then.
    pub(crate) async fn follow(&mut self, config: &Config) -> Result<()> {
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
        self.https_port.store(port, Ordering::Relaxed);
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
        for door in self.open {
            door.serving.end().await;
        }
        self.calls.end().await;
    }
}
