//! Scenario `restart`: sessions that lost their connection wait while the server is stopped (SIGTERM), and
//! while it is killed (SIGKILL) after what was written to them was acknowledged. Every client comes back into
//! its session (XEP-0198 §5), has every message once and in order, and both sides' counts agree. Anything
//! else is an error, not a figure. What becomes of sessions that were connected: `killed.rs`.

use crate::{
    Bench,
    chat::{id, message},
    client::{Account, Door, in_turn},
    killed,
    login::{AT_ONCE, people},
    server::{Kind, Running},
    session::{Left, Session},
    table::{Figure, NOT_OFFERED, figure, note},
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    borrow::Cow,
    time::{Duration, Instant},
};
use tokio::time::timeout;
use xmpp::Kind as StanzaKind;

/// Sessions that wait.
pub(crate) const SESSIONS: usize = 100;
/// Messages to each of them before it loses its connection, meanwhile, and afterwards.
const BEFORE: u32 = 2;
const MEANWHILE: u32 = 10;
const AFTERWARDS: u32 = 1;
/// How long somebody waits for what must come.
const PATIENCE: Duration = Duration::from_mins(1);

/// How a server is ended.
type Stop = fn(Running) -> Result<()>;

const ENDS: [(&str, Stop); 2] = [("SIGTERM", Running::stop), ("SIGKILL", Running::kill)];

fn name(end: &str) -> String {
    format!("until {SESSIONS} sessions are resumed after {end} and a start, ms")
}

pub(crate) async fn run(bench: &Bench, kind: &dyn Kind) -> Result<Vec<Figure>> {
    // Others keep no sessions over a restart.
    if kind.name() != "hearth" {
        return Ok(ENDS.map(|(end, _)| note(name(end), NOT_OFFERED)).into());
    }
    let accounts = people(SESSIONS + 1);
    let place = bench.place()?;
    kind.prepare(&place, &accounts)?;
    let (writer, sleepers) = accounts.split_first().context("a writer")?;
    let mut server = bench.start(kind, &place, writer).await?;
    ensure!(server.door.offer.management, "no stream management");
    let mut sessions = server.door.log_in_all(sleepers, AT_ONCE).await?;
    let (mut last, mut figures) = (0, Vec::new());
    for (end, stop) in ENDS {
        last = write(&server.door, writer, &sessions, last, BEFORE).await?;
        sessions = everybody_has(sessions, last, BEFORE).await?;

        let own: Vec<String> = sessions.iter().map(|session| session.own.clone()).collect();
        let left: Vec<Left> = sessions.into_iter().map(Session::cut).collect();
        last = write_to(&server.door, writer, &own, last, MEANWHILE).await?;
        let offer = server.door.offer.clone();
        stop(server).with_context(|| format!("after {end}"))?;

        let begin = Instant::now();
        server = Running::start(kind, &place).with_context(|| format!("after {end}"))?;
        server.door.offer = offer;
        let returning = sleepers.iter().cloned().zip(left).collect();
        let door = server.door.clone();
        let back = in_turn(
            returning,
            AT_ONCE,
            move |(account, left): (Account, Left)| {
                let door = door.clone();
                async move {
                    let session = door.resume(&account, &left).await;
                    session.with_context(|| format!("{} does not come back", account.localpart))
                }
            },
        );
        sessions = back.await.with_context(|| format!("after {end}"))?;
        figures.push(figure(name(end), begin.elapsed().as_secs_f64() * 1e3));
        let whole = everybody_has(sessions, last, MEANWHILE).await;
        sessions = whole.with_context(|| format!("after {end}"))?;
        last = write(&server.door, writer, &sessions, last, AFTERWARDS).await?;
        sessions = everybody_has(sessions, last, AFTERWARDS).await?;
    }
    server.stop()?;
    figures.push(killed::run(bench, kind).await?);
    Ok(figures)
}

async fn write(door: &Door, by: &Account, to: &[Session], last: u32, count: u32) -> Result<u32> {
    let own: Vec<String> = to.iter().map(|session| session.own.clone()).collect();
    write_to(door, by, &own, last, count).await
}

/// Writes so many messages to each, numbered on from `last`; returns the last number once the server has
/// acknowledged them all.
async fn write_to(door: &Door, by: &Account, to: &[String], last: u32, count: u32) -> Result<u32> {
    let mut session = door.log_in(by).await?;
    let outgoing = session.outgoing.clone();
    let reading = tokio::spawn(async move { while session.incoming.stanza().await.is_ok() {} });
    let mut sent = 0;
    for number in last + 1..=last + count {
        for address in to {
            sent = outgoing
                .send_and_ask(&message(address, &id(number)))
                .await?;
        }
    }
    let mut acknowledged = outgoing.acknowledged();
    let all = timeout(PATIENCE, acknowledged.wait_for(|h| *h >= sent));
    all.await.context("a message was never acknowledged")??;
    reading.abort();
    Ok(last + count)
}

/// Reads the last `count` messages up to number `last` in every session.
async fn everybody_has(sessions: Vec<Session>, last: u32, count: u32) -> Result<Vec<Session>> {
    in_turn(sessions, SESSIONS, |mut session: Session| async move {
        let numbers = last + 1 - count..=last;
        let reading = timeout(PATIENCE, has(&mut session, numbers)).await;
        let reading = reading.map_err(anyhow::Error::from).flatten();
        reading.with_context(|| session.own.clone())?;
        Ok(session)
    })
    .await
}

/// These messages, in order, and no other; then the server has acknowledged all that this client sent.
async fn has(session: &mut Session, numbers: impl Iterator<Item = u32>) -> Result<()> {
    for number in numbers {
        let found = next_message(session, None).await?;
        ensure!(
            found == Some(id(number)),
            "{found:?} instead of {}",
            id(number)
        );
    }
    let domain = session.own.split_once('@').context("a bare JID")?.1;
    let ping = format!("<iq type='get' id='ping' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>");
    let sent = session.outgoing.send_and_ask(&ping).await?;
    if let Some(more) = next_message(session, Some("ping")).await? {
        bail!("{more} came besides");
    }
    // It is read with whatever comes next, and the answer to this comes behind it.
    let mut acknowledged = session.outgoing.acknowledged();
    while *acknowledged.borrow_and_update() < sent {
        session.outgoing.send(&ping).await?;
        if let Some(more) = next_message(session, Some("ping")).await? {
            bail!("{more} came besides");
        }
    }
    Ok(())
}

/// The id of the next message; nothing where the answer to a request comes first.
pub(crate) async fn next_message(
    session: &mut Session,
    request: Option<&str>,
) -> Result<Option<String>> {
    loop {
        let stanza = session.incoming.stanza().await?;
        let id = stanza.id().map(Cow::into_owned);
        match stanza.kind {
            StanzaKind::Message => return Ok(id),
            StanzaKind::Iq if request.is_some() && id.as_deref() == request => return Ok(None),
            _ => {}
        }
    }
}
