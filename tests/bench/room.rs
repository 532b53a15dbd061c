//! Scenario `room`: what a message costs in rooms of 50 and of 200 people, archived, for each who gets it;
//! what it costs when people come in; and how long a message takes to everybody at five a second, which is a
//! lively room.

use crate::{
    Bench,
    chat::message,
    login::{AT_ONCE, people},
    meter::Meter,
    server::{DOMAIN, Kind, Place, Running},
    session::{Outgoing, Session},
    table::{Figure, figure},
};
use anyhow::{Context, Result, bail};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{
        Semaphore,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use xmpp::Kind as StanzaKind;

/// People in the two rooms.
const SMALL: usize = 50;
const LARGE: usize = 200;
/// Who comes into the large one besides, one after the other.
const NEWCOMERS: usize = 20;
/// Who talks when it goes as fast as it can, and how many messages each has on the way.
const TALKERS: usize = 10;
const WINDOW: usize = 4;
/// Messages of each talker before we look at the clock.
const WARM_UP: usize = 10;
/// Messages a second in the large room, when it does not.
const RATE: u64 = 5;
/// How long something may take until we believe it lost.
const PATIENCE: Duration = Duration::from_mins(2);
const MUC: &str = "http://jabber.org/protocol/muc";

/// Everybody in a room, with open ears.
struct Room {
    address: String,
    talkers: Vec<Talker>,
    occupants: usize,
    /// How long each message was on its way to each.
    heard: UnboundedReceiver<Duration>,
    hears: UnboundedSender<Duration>,
    epoch: Instant,
    listeners: JoinSet<Result<()>>,
}

struct Talker {
    outgoing: Outgoing,
    /// One for each message that came back to it.
    free: Arc<Semaphore>,
}

/// What a number of messages cost.
struct Talk {
    cpu: Duration,
    latencies: Vec<Duration>,
}

pub(crate) async fn run(bench: &Bench, kind: &dyn Kind) -> Result<Vec<Figure>> {
    let accounts = people(LARGE + NEWCOMERS);
    let place = bench.place()?;
    kind.prepare(&place, &accounts)?;
    let server = bench.start(kind, &place, &accounts[0]).await?;
    let sessions = server.door.log_in_all(&accounts[..SMALL], AT_ONCE).await?;
    let mut small = Room::open("small", sessions).await?;
    let each = bench.sizes().spoken;
    small.talk(&server, &place, WARM_UP).await?;
    let of_small = small.talk(&server, &place, each).await?;
    small.close().await;

    let sessions = server.door.log_in_all(&accounts[..LARGE], AT_ONCE).await?;
    let meter = Meter::start(server.process, None).await?;
    let mut large = Room::open("large", sessions).await?;
    let (filling, _) = meter.stop().await?;
    large.talk(&server, &place, WARM_UP).await?;
    let of_large = large.talk(&server, &place, each / 2).await?;
    let slow = large.chat(&server, &place, bench.sizes().seconds).await?;
    let newcomers = server.door.log_in_all(&accounts[LARGE..], AT_ONCE).await?;
    let entering = large.welcome(&server, newcomers).await?;
    large.close().await;
    Ok(vec![
        figure("delivery in a room of 50, CPU µs", of_small.cpu_us()),
        figure("delivery in a room of 200, CPU µs", of_large.cpu_us()),
        figure(
            "each who enters a room until 200 are there, CPU ms",
            filling.as_secs_f64() * 1e3 / LARGE as f64,
        ),
        figure("one more in a room of 200, CPU ms", entering),
        figure("delivery in a room of 200 at 5/s, CPU µs", slow.cpu_us()),
        figure("delivery in a room of 200 at 5/s, p50 ms", slow.ms(0.5)),
        figure("delivery in a room of 200 at 5/s, p99 ms", slow.ms(0.99)),
    ])
}

impl Room {
    /// The first one makes it, the others follow.
    async fn open(name: &str, sessions: Vec<Session>) -> Result<Room> {
        let address = format!("{name}@groupchat.{DOMAIN}");
        let (hears, heard) = unbounded_channel();
        let mut room = Room {
            address,
            talkers: Vec::new(),
            occupants: 0,
            heard,
            hears,
            epoch: Instant::now(),
            listeners: JoinSet::new(),
        };
        for mut session in sessions {
            room.admit(&mut session).await?;
            if room.occupants == 1 {
                let open = format!(
                    "<iq type='set' id='open' to='{}'><query xmlns='{MUC}#owner'>\
                     <x xmlns='jabber:x:data' type='submit'/></query></iq>",
                    room.address
                );
                session.ask(&open).await?;
            }
            room.listen(session);
        }
        Ok(room)
    }

    /// Enters with a nickname; returns once the subject came, which is the last thing that a newcomer gets.
    async fn admit(&mut self, session: &mut Session) -> Result<()> {
        let (address, number) = (&self.address, self.occupants);
        let enter = format!(
            "<presence to='{address}/nick{number}'><x xmlns='{MUC}'><history maxchars='0'/></x></presence>"
        );
        session.outgoing.send(&enter).await?;
        let seated = async {
            loop {
                let stanza = session.incoming.stanza().await?;
                match (stanza.kind, stanza.type_()) {
                    (StanzaKind::Presence, "error") => bail!("nick{number} is not let in"),
                    (StanzaKind::Message, "groupchat")
                        if stanza.child(xmpp::ns::CLIENT, "subject").is_some() =>
                    {
                        return Ok(());
                    }
                    _ => {}
                }
            }
        };
        let seated = timeout(PATIENCE, seated).await;
        seated.with_context(|| format!("nick{number} never was in the room"))??;
        self.occupants += 1;
        Ok(())
    }

    fn listen(&mut self, session: Session) {
        let nick = format!("nick{}", self.occupants - 1);
        let free = Arc::new(Semaphore::new(0));
        if self.talkers.len() < TALKERS {
            self.talkers.push(Talker {
                outgoing: session.outgoing.clone(),
                free: free.clone(),
            });
        }
        let (hears, epoch) = (self.hears.clone(), self.epoch);
        self.listeners
            .spawn(listen(session, nick, free, hears, epoch));
    }

    /// The talkers say so many things each, as fast as it goes.
    async fn talk(&mut self, server: &Running, place: &Place, count: usize) -> Result<Talk> {
        let meter = Meter::start(server.process, place.device()).await?;
        let mut talking = JoinSet::new();
        for talker in &self.talkers {
            let (outgoing, free) = (talker.outgoing.clone(), talker.free.clone());
            let (address, epoch) = (self.address.clone(), self.epoch);
            free.forget_permits(usize::MAX);
            free.add_permits(WINDOW);
            talking.spawn(async move {
                for _ in 0..count {
                    free.acquire().await?.forget();
                    say(&outgoing, &address, epoch).await?;
                }
                anyhow::Ok(())
            });
        }
        let latencies = self.all_hear(TALKERS * count).await?;
        while let Some(talked) = talking.join_next().await {
            talked??;
        }
        let (cpu, _) = meter.stop().await?;
        Ok(Talk { cpu, latencies })
    }

    /// One of them says something [`RATE`] times a second.
    async fn chat(&mut self, server: &Running, place: &Place, seconds: usize) -> Result<Talk> {
        let meter = Meter::start(server.process, place.device()).await?;
        let talker = self.talkers.first().context("somebody talks")?;
        let (outgoing, address) = (talker.outgoing.clone(), self.address.clone());
        let (epoch, count) = (self.epoch, seconds * RATE as usize);
        let talking = tokio::spawn(async move {
            let mut ticks = interval(Duration::from_secs(1) / RATE as u32);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for _ in 0..count {
                ticks.tick().await;
                say(&outgoing, &address, epoch).await?;
            }
            anyhow::Ok(())
        });
        let latencies = self.all_hear(count).await?;
        talking.await??;
        let (cpu, _) = meter.stop().await?;
        Ok(Talk { cpu, latencies })
    }

    /// Waits until everybody has heard so many messages.
    async fn all_hear(&mut self, messages: usize) -> Result<Vec<Duration>> {
        let deliveries = messages * self.occupants;
        let mut latencies = Vec::with_capacity(deliveries);
        while latencies.len() < deliveries {
            let heard = timeout(PATIENCE, self.heard.recv()).await;
            let heard = heard.with_context(|| {
                format!("delivery {} of {deliveries} never came", latencies.len())
            })?;
            latencies.push(heard.context("nobody listens")?);
        }
        latencies.sort_unstable();
        Ok(latencies)
    }

    /// Lets newcomers in one after the other; the processor time of each in milliseconds.
    async fn welcome(&mut self, server: &Running, newcomers: Vec<Session>) -> Result<f64> {
        let meter = Meter::start(server.process, None).await?;
        let count = newcomers.len() as f64;
        for mut session in newcomers {
            self.admit(&mut session).await?;
            self.listen(session);
        }
        let (cpu, _) = meter.stop().await?;
        Ok(cpu.as_secs_f64() * 1e3 / count)
    }

    /// Everybody's connection is dropped.
    async fn close(mut self) {
        self.listeners.shutdown().await;
    }
}

async fn say(outgoing: &Outgoing, to: &str, epoch: Instant) -> Result<()> {
    let message = message(to, &epoch.elapsed().as_nanos().to_string());
    let message = message.replace("type='chat'", "type='groupchat'");
    outgoing.send(&message).await
}

async fn listen(
    mut session: Session,
    nick: String,
    free: Arc<Semaphore>,
    hears: UnboundedSender<Duration>,
    epoch: Instant,
) -> Result<()> {
    loop {
        let stanza = session.incoming.stanza().await?;
        if stanza.kind != StanzaKind::Message || stanza.type_() != "groupchat" {
            continue;
        }
        let Some(sent) = stanza.id().and_then(|id| id.parse().ok()) else {
            continue;
        };
        let own = stanza
            .from()?
            .is_some_and(|from| from.resourcepart() == Some(&nick));
        if own {
            free.add_permits(1);
        }
        hears.send(epoch.elapsed().saturating_sub(Duration::from_nanos(sent)))?;
    }
}

impl Talk {
    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.latencies.len() as f64
    }

    fn ms(&self, part: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let latency = self.latencies.get((last as f64 * part) as usize);
        latency.copied().unwrap_or_default().as_secs_f64() * 1e3
    }
}
