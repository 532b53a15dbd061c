//! Scenario `chat`: pairs of people write messages of 400 bytes to one another's bare JIDs, archived for
//! both.
//!
//! First as fast as it goes, with a bounded number of messages on their way; then 200 a second, like a
//! large and talkative family. Every message carries the time at which it was sent; where the server manages
//! streams, every eighth of a pair asks for an acknowledgement.

use crate::{
    Bench,
    disk::DeviceWork,
    login::{AT_ONCE, people},
    meter::Meter,
    server::{Kind, Place, Running},
    session::{Incoming, Outgoing, Session},
    table::{Figure, figure},
};
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{MissedTickBehavior, interval_at, timeout},
};
use xmpp::Kind as StanzaKind;

/// Who writes at the same time.
const PAIRS: usize = 10;
/// Messages of one pair on their way, when it goes as fast as it can.
const WINDOW: usize = 8;
/// Messages a second of all pairs together, when it does not.
const RATE: u32 = 200;
/// Bytes of a message as its sender writes it.
const MESSAGE_BYTES: usize = 400;
/// Messages of a pair between two requests for an acknowledgement.
const ASK_EVERY: usize = 8;
/// Messages of each pair before we look at the clock.
const WARM_UP: usize = 50;

/// How long a message may be on its way until we believe it lost.
const PATIENCE: Duration = Duration::from_mins(1);

/// When the next message is sent.
#[derive(Clone, Copy)]
enum Pace {
    /// When fewer than this many are on their way.
    Window(usize),
    /// So long after the one before.
    Every(Duration),
}

struct Pair {
    from: Session,
    to: Session,
    /// The receiver's bare JID.
    address: String,
}

/// What a number of messages cost.
struct Exchange {
    messages: f64,
    cpu: Duration,
    took: Duration,
    /// Of all messages, the quickest first.
    latencies: Vec<Duration>,
    device: Option<DeviceWork>,
}

pub(crate) async fn run(bench: &Bench, kind: &dyn Kind) -> Result<Vec<Figure>> {
    let accounts = people(2 * PAIRS);
    let place = bench.place()?;
    kind.prepare(&place, &accounts)?;
    let server = bench.start(kind, &place, &accounts[0]).await?;
    let mut sessions = server
        .door
        .log_in_all(&accounts, AT_ONCE)
        .await?
        .into_iter();
    let mut pairs = Vec::with_capacity(PAIRS);
    for [_, to] in accounts.as_chunks::<2>().0 {
        let (a, b) = (sessions.next(), sessions.next());
        let (from, to_session) = a.zip(b).context("a session each")?;
        pairs.push(Pair {
            from,
            to: to_session,
            address: server.door.jid(to),
        });
    }
    let (pairs, _) = exchange(&server, &place, pairs, WARM_UP, Pace::Window(WINDOW)).await?;
    let (pairs, quick) = exchange(
        &server,
        &place,
        pairs,
        bench.sizes().messages / PAIRS,
        Pace::Window(WINDOW),
    )
    .await?;
    let count = bench.sizes().seconds * RATE as usize / PAIRS;
    let every = Duration::from_secs(1) * PAIRS as u32 / RATE;
    let (_, steady) = exchange(&server, &place, pairs, count, Pace::Every(every)).await?;
    Ok([quick.at_saturation(), steady.at_rate()].concat())
}

/// Every pair exchanges `count` messages.
async fn exchange(
    server: &Running,
    place: &Place,
    pairs: Vec<Pair>,
    count: usize,
    pace: Pace,
) -> Result<(Vec<Pair>, Exchange)> {
    let meter = Meter::start(server.process, place.device()).await?;
    let epoch = Instant::now();
    let mut talking = JoinSet::new();
    for (index, mut pair) in (0..).zip(pairs) {
        // The pairs take turns.
        let begin = epoch + Duration::from_secs(index) / RATE;
        talking.spawn(async move {
            let free = Semaphore::new(0);
            let Pair { from, to, address } = &mut pair;
            let sends = send(
                &from.outgoing,
                address,
                count,
                pace,
                &free,
                epoch,
                begin,
            );
            let receives = receive(&mut to.incoming, count, &free, epoch);
            let exchanged = async { tokio::try_join!(sends, receives) };
            let ((), latencies) = tokio::select! {
                exchanged = exchanged => exchanged?,
                refused = refusal(&mut from.incoming) => bail!("a message was refused: {}", refused?),
            };
            anyhow::Ok((pair, latencies))
        });
    }
    let (mut pairs, mut latencies) = (Vec::with_capacity(PAIRS), Vec::with_capacity(PAIRS * count));
    while let Some(pair) = talking.join_next().await {
        let (pair, of_pair) = pair??;
        pairs.push(pair);
        latencies.extend(of_pair);
    }
    let took = epoch.elapsed();
    let (cpu, device) = meter.stop().await?;
    latencies.sort_unstable();
    let messages = latencies.len() as f64;
    Ok((
        pairs,
        Exchange {
            messages,
            cpu,
            took,
            latencies,
            device,
        },
    ))
}

async fn send(
    outgoing: &Outgoing,
    to: &str,
    count: usize,
    pace: Pace,
    free: &Semaphore,
    epoch: Instant,
    begin: Instant,
) -> Result<()> {
    let every = if let Pace::Every(every) = pace {
        every
    } else {
        Duration::from_secs(1)
    };
    let mut ticks = interval_at(begin.into(), every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    if let Pace::Window(window) = pace {
        free.add_permits(window);
    }
    for number in 1..=count {
        match pace {
            Pace::Window(_) => free.acquire().await?.forget(),
            Pace::Every(_) => {
                ticks.tick().await;
            }
        }
        let message = message(to, &epoch.elapsed().as_nanos().to_string());
        if outgoing.is_managed() && number % ASK_EVERY == 0 {
            outgoing.send_and_ask(&message).await?;
        } else {
            outgoing.send(&message).await?;
        }
    }
    Ok(())
}

/// The id of a message whose number says which one it is to its recipient.
pub(crate) fn id(number: u32) -> String {
    format!("message-{number}")
}

/// A message of [`MESSAGE_BYTES`].
pub(crate) fn message(to: &str, id: &str) -> String {
    let head = format!("<message to='{to}' type='chat' id='{id}'><body>");
    let tail = "</body></message>";
    let text = "x".repeat(MESSAGE_BYTES.saturating_sub(head.len() + tail.len()));
    [&head, text.as_str(), tail].concat()
}

/// Returns how long each message was on its way.
async fn receive(
    incoming: &mut Incoming,
    count: usize,
    free: &Semaphore,
    epoch: Instant,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(count);
    while latencies.len() < count {
        let stanza = timeout(PATIENCE, incoming.stanza());
        let stanza = stanza
            .await
            .with_context(|| format!("message {} of {count} never came", latencies.len() + 1))??;
        if stanza.kind != StanzaKind::Message {
            continue;
        }
        let sent = stanza
            .id()
            .context("a message without id")?
            .parse()
            .context("an id that is not ours")?;
        latencies.push(epoch.elapsed().saturating_sub(Duration::from_nanos(sent)));
        free.add_permits(1);
    }
    Ok(latencies)
}

/// Waits for an error in answer to a message: then there is nothing to measure.
pub(crate) async fn refusal(incoming: &mut Incoming) -> Result<String> {
    loop {
        let stanza = incoming.stanza().await?;
        if stanza.kind == StanzaKind::Message && stanza.type_() == "error" {
            let error = stanza.children().find(|child| child.name() == "error");
            return Ok(error
                .map(|error| error.to_xml().into_owned())
                .unwrap_or_default());
        }
    }
}

impl Exchange {
    fn at_saturation(&self) -> Vec<Figure> {
        let mut figures = vec![
            figure("message at saturation, CPU µs", self.cpu_us()),
            figure(
                "messages a second at saturation (more is better)",
                self.messages / self.took.as_secs_f64(),
            ),
            figure("delivery at saturation, p50 ms", self.latency_ms(0.5)),
            figure("delivery at saturation, p99 ms", self.latency_ms(0.99)),
        ];
        figures.extend(self.bytes("message at saturation, bytes to the block device"));
        figures
    }

    fn at_rate(&self) -> Vec<Figure> {
        let mut figures = vec![
            figure("message at 200/s, CPU µs", self.cpu_us()),
            figure("delivery at 200/s, p50 ms", self.latency_ms(0.5)),
            figure("delivery at 200/s, p99 ms", self.latency_ms(0.99)),
        ];
        figures.extend(self.bytes("message at 200/s, bytes to the block device"));
        figures.extend(self.device.map(|device| {
            figure(
                "message at 200/s, flushes of the block device",
                device.flushes as f64 / self.messages,
            )
        }));
        figures
    }

    /// Nothing where the device is not known.
    fn bytes(&self, what: &'static str) -> Option<Figure> {
        self.device
            .map(|device| figure(what, device.bytes as f64 / self.messages))
    }

    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.messages
    }

    /// What this part of the messages did not exceed.
    fn latency_ms(&self, part: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let latency = self.latencies.get((last as f64 * part) as usize);
        latency.copied().unwrap_or_default().as_secs_f64() * 1e3
    }
}
