//! Scenario `loss`: which messages are gone although the server acknowledged them (XEP-0198 §4), after it was
//! killed under load, and after the power failed. A message is lost if either side's archive misses it.

use crate::{
    Bench,
    archive::From,
    chat::{id, message},
    client::{Account, Offer},
    disk::{Disk, may_mount},
    login::people,
    power::{Cut, Power, Switch},
    server::{GLANCE, Kind, Place, Running},
    session::{Outgoing, Session},
    table::{Cell, Figure, NOT_OFFERED, Table, figure, note},
};
use anyhow::{Context, Result, bail};
use aws_lc_rs::rand;
use std::{
    collections::HashSet,
    fs::File,
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep};

/// Who writes at the same time.
const PAIRS: usize = 5;
/// Messages of one pair that may wait for their acknowledgement.
const WINDOW: u32 = 32;
/// Messages between two requests for one.
const ASK_EVERY: u32 = 4;
/// There is load until so many messages are acknowledged, or so long, and then up to so much longer.
const ACKNOWLEDGED_MIN: u32 = 200;
const LOAD_MAX: Duration = Duration::from_secs(10);
const LOAD_SPREAD_MS: u64 = 1000;
/// Messages of a page when the archives are read again.
const PAGE: usize = 50;

/// How it ends.
#[derive(Clone, Copy)]
struct End {
    /// How the table calls it.
    name: &'static str,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// The server alone ends.
    Kill,
    /// The disk is copied while the server goes on; what opens the copies later has nothing else.
    Copy,
    Cut(Cut),
}

const ENDS: [End; 4] = [
    End {
        name: "SIGKILL",
        how: How::Kill,
    },
    End {
        name: "a power cut, as a copy of the disk shows it",
        how: How::Copy,
    },
    End {
        name: "a power cut",
        how: How::Cut(Cut::KeepsCache),
    },
    End {
        name: "a power cut that empties the drive's cache",
        how: How::Cut(Cut::LosesCache),
    },
];
/// Copies of the disk under one load.
const COPIES: u32 = 4;

impl End {
    fn acknowledged(&self) -> String {
        format!("acknowledged messages before {}", self.name)
    }

    fn lost(&self) -> String {
        format!("of them lost by {}", self.name)
    }
}

/// An error if a server lost something; or, where `offered` is demanded, if it promises nothing.
pub(crate) fn judge(table: &Table, server: &str, offered: bool) -> Result<()> {
    for end in ENDS {
        match table.cell(server, &end.lost()) {
            Some(Cell::Number(lost)) if *lost > 0.0 => {
                bail!("{server} lost {lost} acknowledged messages by {}", end.name)
            }
            Some(Cell::Note(NOT_OFFERED)) if offered => {
                bail!("{server} acknowledges nothing, or shows no archive: nothing was tested")
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where a server is that will end badly.
struct Stage<'a> {
    kind: &'a dyn Kind,
    place: Place,
    power: Option<Power>,
    offer: Offer,
}

pub(crate) async fn run(bench: &Bench, kind: &dyn Kind) -> Result<Vec<Figure>> {
    let cuts = bench.sizes().cuts;
    let accounts = people(2 * PAIRS * cuts * ENDS.len());
    // Kept until the place is not needed any more.
    let shared = Disk::shared(&bench.parent()?)?;
    let power = may_mount()
        .then(|| Power::new(&bench.parent()?))
        .transpose()?;
    let root = power.as_ref().map_or(shared.root(), Power::root);
    let place = Place::at(root)?;
    kind.prepare(&place, &accounts)?;
    let server = bench.start(kind, &place, &accounts[0]).await?;
    let offer = server.into_offer()?;
    // What this tool wrote was there yesterday.
    rustix::fs::syncfs(File::open(place.path(""))?)?;
    let stage = Stage {
        kind,
        place,
        power,
        offer,
    };
    let mut people = accounts.chunks(2 * PAIRS);
    let mut figures = Vec::new();
    for end in ENDS {
        let why_not = if !stage.offer.management || !stage.offer.archive {
            Some(NOT_OFFERED)
        } else if end.how != How::Kill && stage.power.is_none() {
            Some("needs root")
        } else {
            None
        };
        if let Some(why) = why_not {
            figures.extend([note(end.acknowledged(), why), note(end.lost(), why)]);
            continue;
        }
        let (mut acknowledged, mut lost) = (0, 0);
        for _ in 0..cuts {
            let people = people.next().context("people for every end")?;
            let (of_end, lost_by_end) = match end.how {
                How::Copy => stage.copies(people).await?,
                How::Kill => stage.end(people, end, None).await?,
                How::Cut(cut) => stage.end(people, end, Some(cut)).await?,
            };
            acknowledged += of_end;
            lost += lost_by_end;
        }
        figures.push(figure(end.acknowledged(), f64::from(acknowledged)));
        figures.push(figure(end.lost(), f64::from(lost)));
    }
    Ok(figures)
}

impl Stage<'_> {
    /// Lets people write until the server ends like this: how many messages had been acknowledged, and how
    /// many of them are gone.
    async fn end(&self, people: &[Account], end: End, cut: Option<Cut>) -> Result<(u32, u32)> {
        let server = self.start()?;
        let (mut load, senders) = talk(server.door.log_in_all(people, PAIRS).await?);
        let power = self.power.as_ref();
        let switch = cut.zip(power);
        let switch = switch.map(|(cut, power)| power.switch(cut)).transpose()?;
        under_way(&senders).await?;

        // What is acknowledged from here on does not count.
        let acknowledged = acknowledged(&senders);
        switch.map_or(Ok(()), Switch::cut)?;
        server.kill()?;
        load.shutdown().await;
        if let Some(power) = power.filter(|_| cut.is_some()) {
            power.restore()?;
        }
        let server = self
            .start()
            .with_context(|| format!("after {}", end.name))?;
        let lost = lost(&server, people, &acknowledged).await?;
        server.stop()?;
        Ok((acknowledged.iter().sum(), lost))
    }

    /// Copies the disk at some moments of one load, and opens the copies one after another: how many messages
    /// had been acknowledged before each, and how many of them it misses.
    async fn copies(&self, people: &[Account]) -> Result<(u32, u32)> {
        let power = self.power.as_ref().context("a disk of its own")?;
        let server = self.start()?;
        let (mut load, senders) = talk(server.door.log_in_all(people, PAIRS).await?);
        let mut copies = Vec::new();
        for _ in 0..COPIES {
            under_way(&senders).await?;
            copies.push((acknowledged(&senders), power.copy()?));
        }
        server.kill()?;
        load.shutdown().await;
        let (mut of_all, mut lost_by_all) = (0, 0);
        for (acknowledged, copy) in copies {
            power.insert(&copy)?;
            let server = self.start().context("on a copy of the disk")?;
            lost_by_all += lost(&server, people, &acknowledged).await?;
            of_all += acknowledged.iter().sum::<u32>();
            server.kill()?;
        }
        power.reinsert()?;
        Ok((of_all, lost_by_all))
    }

    fn start(&self) -> Result<Running> {
        let mut server = Running::start(self.kind, &self.place)?;
        server.door.offer = self.offer.clone();
        Ok(server)
    }
}

/// Returns at some moment of the load, when enough is acknowledged.
async fn under_way(senders: &[(Outgoing, u32)]) -> Result<()> {
    let mut random = [0; 8];
    rand::fill(&mut random)?;
    let longer = u64::from_le_bytes(random) % LOAD_SPREAD_MS;
    let begin = Instant::now();
    while acknowledged(senders).iter().sum::<u32>() < ACKNOWLEDGED_MIN && begin.elapsed() < LOAD_MAX
    {
        sleep(GLANCE).await;
    }
    sleep(Duration::from_millis(longer)).await;
    Ok(())
}

/// Lets every second one write to the next, until the tasks are dropped or the server is gone: what sends,
/// with what had been sent before the first message.
fn talk(sessions: Vec<Session>) -> (JoinSet<()>, Vec<(Outgoing, u32)>) {
    let mut load = JoinSet::new();
    let mut senders = Vec::with_capacity(PAIRS);
    let mut sessions = sessions.into_iter();
    while let Some((mut from, mut to)) = sessions.next().zip(sessions.next()) {
        let (outgoing, address) = (from.outgoing.clone(), to.own.clone());
        senders.push((outgoing.clone(), outgoing.sent()));
        load.spawn(async move { while from.incoming.stanza().await.is_ok() {} });
        load.spawn(async move { while to.incoming.stanza().await.is_ok() {} });
        load.spawn(async move {
            // Ends in the error that this is all about.
            let _ = write(&outgoing, &address).await;
        });
    }
    (load, senders)
}

/// How many of the messages that were acknowledged to the sender of each pair an archive misses.
async fn lost(server: &Running, people: &[Account], acknowledged: &[u32]) -> Result<u32> {
    let mut lost = 0;
    for ([from, to], acknowledged) in people.as_chunks::<2>().0.iter().zip(acknowledged) {
        let from = server.door.log_in(from).await?.archived().await?;
        let to = server.door.log_in(to).await?.archived().await?;
        let kept = |number: &u32| from.contains(&id(*number)) && to.contains(&id(*number));
        lost += (1..=*acknowledged).filter(|number| !kept(number)).count() as u32;
    }
    Ok(lost)
}

/// How many messages of each sender are acknowledged; with each, what had been sent before the messages.
fn acknowledged(senders: &[(Outgoing, u32)]) -> Vec<u32> {
    let of = |(outgoing, before): &(Outgoing, u32)| {
        let acknowledged = *outgoing.acknowledged().borrow();
        acknowledged.saturating_sub(*before)
    };
    senders.iter().map(of).collect()
}

/// Writes message after message, as fast as they are acknowledged.
async fn write(outgoing: &Outgoing, to: &str) -> Result<()> {
    let mut acknowledged = outgoing.acknowledged();
    for number in 1.. {
        let message = message(to, &id(number));
        let sent = if number % ASK_EVERY == 0 {
            outgoing.send_and_ask(&message).await?
        } else {
            outgoing.send(&message).await?;
            outgoing.sent()
        };
        acknowledged.wait_for(|h| h + WINDOW > sent).await?;
    }
    Ok(())
}

impl Session {
    /// The ids of everything in one's own archive.
    pub(crate) async fn archived(&mut self) -> Result<HashSet<String>> {
        let mut page = self.page(From::Begin, PAGE).await?;
        let mut ids = HashSet::new();
        loop {
            ids.extend(page.ids);
            if page.is_last {
                return Ok(ids);
            }
            page = self.page(From::After(&page.last), PAGE).await?;
        }
    }
}
