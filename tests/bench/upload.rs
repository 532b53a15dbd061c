//! Scenario `upload`: what it costs a server to take a file of 10 MB over HTTPS and to give it back
//! (XEP-0363), and by how much it grows meanwhile. TLS is part of it: each file has a connection of its own.

use crate::{
    Bench,
    client::Door,
    login::people,
    meter::Meter,
    process::Process,
    server::{Kind, Running},
    session::Session,
    table::{Figure, figure, note},
};
use anyhow::{Context, Result, ensure};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::{JoinHandle, JoinSet},
    time::sleep,
};
use xmpp::Element;

const NS: &str = "urn:xmpp:http:upload:0";
/// What a server gets that is not set up for this.
const NOT_MEASURED: &str = "not measured";
/// Bytes of a file, and of what is read at once.
const FILE_BYTES: usize = 10_000_000;
const READ_BYTES: usize = 262_144;
/// How many files are on their way where several are.
const AT_ONCE: usize = 8;
/// How often the server's size is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Where a file goes, and where it is found: port and target.
#[derive(Clone)]
struct Slot {
    put: (u16, String),
    /// What the server wants to see there (XEP-0363 §4).
    headers: String,
    get: (u16, String),
}

/// What some transfers did to the server.
struct Cost {
    /// Milliseconds for each MB.
    cpu: f64,
    /// MB for each of those that were under way at a time.
    growth: f64,
}

pub(crate) async fn run(bench: &Bench, kind: &dyn Kind) -> Result<Vec<Figure>> {
    let names = |way: &str| {
        [
            format!("{way} of 10 MB over TLS, CPU ms per MB"),
            format!("growth for one {way}, MB resident"),
            format!("growth for each of {AT_ONCE} {way}s at a time, MB resident"),
        ]
    };
    let (up, down) = (names("upload"), names("download"));
    let accounts = people(1);
    let place = bench.place()?;
    kind.prepare(&place, &accounts)?;
    if !kind.take_files(&place)? {
        let names = up.into_iter().chain(down);
        return Ok(names.map(|name| note(name, NOT_MEASURED)).collect());
    }
    let server = Running::start(kind, &place)?;
    let mut session = server.door.log_in(&accounts[0]).await?;
    let file: Arc<[u8]> = vec![7; FILE_BYTES].into();
    let mut slots = Vec::new();
    // The first ones load code.
    for _ in 0..=bench.sizes().files + AT_ONCE {
        slots.push(slot(&mut session, slots.len()).await?);
    }
    let warm = slots.split_off(slots.len() - 1);
    let several = slots.split_off(slots.len() - AT_ONCE);
    let (door, process) = (&server.door, server.process);
    cost(process, door, &warm, &file, true, 1).await?;
    cost(process, door, &warm, &file, false, 1).await?;
    let mut figures = Vec::new();
    for (names, is_up) in [(up, true), (down, false)] {
        let one = cost(process, door, &slots, &file, is_up, 1).await?;
        let all = cost(process, door, &several, &file, is_up, AT_ONCE).await?;
        let values = [one.cpu, one.growth, all.growth];
        let pairs = names.into_iter().zip(values);
        figures.extend(pairs.map(|(name, value)| figure(name, value)));
    }
    Ok(figures)
}

async fn slot(session: &mut Session, number: usize) -> Result<Slot> {
    let request = format!("<request xmlns='{NS}' filename='{number}.bin' size='{FILE_BYTES}'/>");
    let answer = session
        .ask(&format!(
            "<iq type='get' id='slot' to='upload.localhost'>{request}</iq>"
        ))
        .await?;
    let slot = answer.child(NS, "slot").context("no slot")?.element();
    let target = |name| -> Result<(u16, String)> {
        let url = slot.child(NS, name).and_then(|child| child.attr("url"));
        let rest = url.and_then(|url| url.strip_prefix("https://localhost:"));
        let (port, target) = rest
            .and_then(|rest| rest.split_once('/'))
            .with_context(|| format!("not where it was told to be: {url:?}"))?;
        Ok((port.parse()?, format!("/{target}")))
    };
    let wanted = slot.child(NS, "put").into_iter();
    let headers = wanted.flat_map(|put| put.elements().filter(|child| child.name == "header"));
    let line = |header: &Element| {
        let name = header.attr("name").unwrap_or_default();
        format!("{name}: {}\r\n", header.text())
    };
    Ok(Slot {
        headers: headers.map(line).collect(),
        put: target("put")?,
        get: target("get")?,
    })
}

/// Moves a file for each slot.
async fn cost(
    process: Process,
    door: &Door,
    slots: &[Slot],
    file: &Arc<[u8]>,
    is_up: bool,
    at_once: usize,
) -> Result<Cost> {
    let meter = Meter::start(process, None).await?;
    let before = process.resident()?;
    let watch = Watch::begin(process);
    for together in slots.chunks(at_once) {
        let mut transfers = JoinSet::new();
        for slot in together.iter().cloned() {
            let (door, file) = (door.clone(), file.clone());
            transfers.spawn(async move {
                if is_up {
                    put(&door, &slot, &file).await
                } else {
                    get(&door, &slot.get).await
                }
            });
        }
        while let Some(transfer) = transfers.join_next().await {
            transfer??;
        }
    }
    let peak = watch.end().await?;
    let (cpu, _) = meter.stop().await?;
    let megabytes = (slots.len() * FILE_BYTES) as f64 / 1e6;
    Ok(Cost {
        cpu: cpu.as_secs_f64() * 1e3 / megabytes,
        growth: peak.saturating_sub(before) as f64 / 1e6 / at_once as f64,
    })
}

/// Looks at the size of a process until it is told to stop.
struct Watch {
    is_over: Arc<AtomicBool>,
    looking: JoinHandle<Result<u64>>,
}

impl Watch {
    fn begin(process: Process) -> Watch {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let looking = tokio::spawn(async move {
            let mut peak = 0;
            while !over.load(Ordering::Relaxed) {
                peak = peak.max(process.resident()?);
                sleep(LOOK).await;
            }
            Ok(peak)
        });
        Watch { is_over, looking }
    }

    /// The largest size that was seen, in bytes.
    async fn end(self) -> Result<u64> {
        self.is_over.store(true, Ordering::Relaxed);
        self.looking.await?
    }
}

async fn put(door: &Door, slot: &Slot, file: &[u8]) -> Result<()> {
    let (port, target) = &slot.put;
    let headers = &slot.headers;
    let mut line = door.web(*port).await?;
    let head = format!(
        "PUT {target} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n{headers}\
         Content-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
        file.len()
    );
    line.write_all(head.as_bytes()).await?;
    line.write_all(file).await?;
    line.flush().await?;
    let mut answer = [0; 12];
    line.read_exact(&mut answer).await?;
    ensure!(answer.ends_with(b" 201"), "{}", answer.escape_ascii());
    Ok(())
}

async fn get(door: &Door, (port, target): &(u16, String)) -> Result<()> {
    let mut line = door.web(*port).await?;
    let head =
        format!("GET {target} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
    line.write_all(head.as_bytes()).await?;
    line.flush().await?;
    let mut first = [0; 12];
    line.read_exact(&mut first).await?;
    ensure!(first.ends_with(b" 200"), "{}", first.escape_ascii());
    let (mut buffer, mut bytes) = (vec![0; READ_BYTES], 0);
    // With the rest of the head: some hundred bytes more than the file.
    while bytes < FILE_BYTES {
        let read = line.read(&mut buffer).await?;
        ensure!(read > 0, "the file ends after {bytes} bytes");
        bytes += read;
    }
    Ok(())
}
