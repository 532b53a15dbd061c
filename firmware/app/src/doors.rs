//! The listeners: which are open, and how they follow the configuration.

use crate::{control::protocol::Listeners, desk::Desk, house::House, machine::MachineDice};
use anyhow::Result;
use household::{Config, config::Listen};
use rustls::ServerConfig;
use server::{
    connection::Door,
    listen::{self, ClientDoor},
    s2s::{self, Dialer},
};
use std::{net::SocketAddr, sync::Arc};
use tokio::{sync::watch, task::JoinHandle};
use web::{Site, TlsSource, Uploads};

pub(crate) struct Doors {
    house: Arc<House>,
    site: Site,
    clients: ClientDoor,
    tls: TlsSource,
    streams: Option<StreamDoors>,
    web: Vec<WebDoor>,
    dialer: Dialer,
    /// Connections that we make to other servers.
    calls: Serving,
    /// Removes the bytes of files that are to go.
    cleaning: Serving,
}

/// All listeners for clients, other servers and components: they share limits, so they come and go together.
struct StreamDoors {
    wanted: Listen,
    bound: Vec<(&'static str, SocketAddr)>,
    serving: Serving,
}

/// One listener of the web.
struct WebDoor {
    name: &'static str,
    /// As configured: port 0 is any.
    wanted: SocketAddr,
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
        self.stop.send_replace(true);
        let _ = self.task.await;
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
        let clients = ClientDoor::new(house.server.clone(), house.tls.clone());
        let site = Site::new(env!("CARGO_PKG_VERSION"), house.health(), numbers, pages)
            .with_clients(clients.clone());
        let (house, certificate) = (house.clone(), house.tls.clone());
        let tls: TlsSource =
            Arc::new(move || for_http(&certificate.identity().configuration(Door::StartTls)));
        let (server, certificate) = (house.server.clone(), house.tls.clone());
        let config = server.config();
        let dialer = Dialer::new(&config, Arc::new(MachineDice));
        let dialing = dialer.clone();
        let calls =
            Serving::start(|stopped| s2s::calls::serve(server, certificate, dialing, stopped));
        let mut doors = Doors {
            house,
            site,
            clients,
            tls,
            streams: None,
            web: Vec::new(),
            dialer,
            calls,
            cleaning,
        };
        doors.house.resume().await;
        doors.follow(&config).await?;
        Ok(doors)
    }

    /// Opens what the configuration asks for and closes what it no longer does; other servers are looked for
    /// as it says. An error names a listener
    /// that cannot be opened. The other web listeners are open then; those for clients are as they were.
    pub(crate) async fn follow(&mut self, config: &Config) -> Result<()> {
        self.dialer.follow(config);
        let web = self.follow_web(&config.listen).await;
        let https = self.web.iter().find(|door| door.name == "https");
        let port = https.map_or(0, |door| door.bound.port());
        self.house.server.note_https_port(port);
        self.follow_streams(config).await.and(web)
    }

    async fn follow_streams(&mut self, config: &Config) -> Result<()> {
        let wanted = streams_of(config);
        if let Some(open) = &self.streams
            && open.wanted == wanted
        {
            return Ok(());
        }
        let Some(StreamDoors {
            wanted: before,
            serving,
            ..
        }) = self.streams.take()
        else {
            return Ok(self.open_streams(wanted).await?);
        };
        // Most often an address stays, and can be bound again only when it is free.
        serving.end().await;
        let opened = self.open_streams(wanted).await;
        if opened.is_err() {
            self.open_streams(before).await?;
        }
        Ok(opened?)
    }

    async fn open_streams(&mut self, wanted: Listen) -> Result<(), listen::ListenError> {
        let listeners = listen::bind(&wanted).await?;
        let bound = listeners.addresses().collect();
        let (server, tls) = (self.house.server.clone(), self.house.tls.clone());
        let serving = Serving::start(|stopped| listeners.serve(server, tls, stopped));
        self.streams = Some(StreamDoors {
            wanted,
            bound,
            serving,
        });
        Ok(())
    }

    async fn follow_web(&mut self, listen: &Listen) -> Result<()> {
        let https = listen.https.iter().map(|address| ("https", *address));
        let http = listen.http.iter().map(|address| ("http", *address));
        let mut wanted: Vec<_> = https.chain(http).collect();
        for door in std::mem::take(&mut self.web) {
            // Each is wanted once: what stays is not opened again.
            match wanted
                .iter()
                .position(|wanted| *wanted == (door.name, door.wanted))
            {
                Some(index) => {
                    wanted.remove(index);
                    self.web.push(door);
                }
                None => door.serving.end().await,
            }
        }
        let mut trouble = Ok(());
        for (name, address) in wanted {
            match self.open_web(name, address).await {
                Ok(door) => self.web.push(door),
                Err(error) => trouble = trouble.and(Err(error)),
            }
        }
        trouble
    }

    async fn open_web(&self, name: &'static str, wanted: SocketAddr) -> Result<WebDoor> {
        let listener = listen::bind_one(name, wanted).await?;
        let bound = listener.local_addr()?;
        let tls = (name == "https").then(|| self.tls.clone());
        let serving =
            Serving::start(|stopped| web::serve(listener, tls, self.site.clone(), stopped));
        Ok(WebDoor {
            name,
            wanted,
            bound,
            serving,
        })
    }

    /// What is bound, by name.
    pub(crate) fn listeners(&self) -> Listeners {
        let streams = self
            .streams
            .iter()
            .flat_map(|open| open.bound.iter().copied());
        let web = self.web.iter().map(|door| (door.name, door.bound));
        let mut listeners = Listeners::new();
        for (name, address) in streams.chain(web) {
            listeners.entry(name.to_owned()).or_default().push(address);
        }
        listeners
    }

    /// Closes all of them; clients get their last words.
    pub(crate) async fn close(self) {
        self.clients.close().await;
        for door in self.web {
            door.serving.end().await;
        }
        if let Some(open) = self.streams {
            open.serving.end().await;
        }
        self.calls.end().await;
        self.cleaning.end().await;
    }
}

/// The listeners for streams. A house that does not talk to others has none for them, and one without
/// external components none for those.
fn streams_of(config: &Config) -> Listen {
    let it = &config.listen;
    let for_others = |list: &Vec<SocketAddr>| {
        if config.s2s.enabled {
            list.clone()
        } else {
            Vec::new()
        }
    };
    let has_components = !config.components.is_empty();
    let for_components = has_components.then(|| it.component.clone());
    Listen {
        c2s: it.c2s.clone(),
        c2s_tls: it.c2s_tls.clone(),
        s2s: for_others(&it.s2s),
        s2s_tls: for_others(&it.s2s_tls),
        component: for_components.unwrap_or_default(),
        https: Vec::new(),
        http: Vec::new(),
        ..it.clone()
    }
}

/// The certificate as it is, for another protocol (RFC 7301).
fn for_http(tls: &ServerConfig) -> Arc<ServerConfig> {
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(tls)
}
