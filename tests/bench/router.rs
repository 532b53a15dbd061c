//! Scenario `router`: the household's router restarts. All connections are gone at once, and everybody is
//! back as soon as they can: by a login, and by resuming the session of before. What the server does about
//! the sessions that were lost is part of it.

use crate::{
    Bench,
    client::{Account, Door, in_turn},
    households::{everybody_online, prepare},
    meter::Meter,
    server::{Kind, Running},
    session::{Asleep, Left, Session},
    table::{Figure, NOT_OFFERED, figure, note},
};
use anyhow::{Context, Result};

/// Connections that are being made at the same time.
const AT_ONCE: usize = 50;

const LOGIN: &str = "back after the router's restart by a login, CPU ms each";
const RESUMED: &str = "the same by resumption (XEP-0198), CPU ms each";
const QUICK: &str = "the same by SASL2, FAST and inline resumption, CPU ms each";

pub(crate) async fn run(bench: &Bench, kind: &dyn Kind) -> Result<Vec<Figure>> {
    let place = bench.place()?;
    let accounts = prepare(kind, &place, bench.sizes().returning).await?;
    let server = bench.start(kind, &place, &accounts[0]).await?;
    let door = &server.door;

    let asleep = Asleep::new(everybody_online(door, &accounts).await?);
    let log_in = |door: Door, account: Account, _| async move { door.log_in(&account).await };
    let (mut asleep, cpu) = restart(&server, &accounts, asleep, log_in).await?;
    let mut figures = vec![figure(LOGIN, cpu)];

    if door.offer.management {
        let resume = |door: Door, account: Account, left: Left| async move {
            door.resume(&account, &left).await
        };
        let cpu;
        (asleep, cpu) = restart(&server, &accounts, asleep, resume).await?;
        figures.push(figure(RESUMED, cpu));
    } else {
        figures.push(note(RESUMED, NOT_OFFERED));
    }

    let Some(quick) = door.offer.quick.clone() else {
        figures.push(note(QUICK, NOT_OFFERED));
        return Ok(figures);
    };
    drop(asleep);
    let with_tokens = in_turn(accounts.clone(), AT_ONCE, |account| {
        let (door, quick) = (door.clone(), quick.clone());
        async move { door.log_in_for_token(&account, &quick).await }
    });
    let asleep = Asleep::new(with_tokens.await?);
    let resume = move |door: Door, account: Account, left: Left| {
        let quick = quick.clone();
        async move { door.resume_with_token(&account, &quick, &left).await }
    };
    let (_asleep, cpu) = restart(&server, &accounts, asleep, resume).await?;
    figures.push(figure(QUICK, cpu));
    Ok(figures)
}

/// Cuts all sessions, brings them back, and tells what that cost the server for each, in ms of processor
/// time.
async fn restart<F>(
    server: &Running,
    accounts: &[Account],
    asleep: Asleep,
    back: impl Fn(Door, Account, Left) -> F,
) -> Result<(Asleep, f64)>
where
    F: Future<Output = Result<Session>> + Send + 'static,
{
    let meter = Meter::start(server.process, None).await?;
    let left = asleep.cut().await?;
    let returning: Vec<(Account, Left)> = accounts.iter().cloned().zip(left).collect();
    let sessions = in_turn(returning, AT_ONCE, |(account, left)| {
        back(server.door.clone(), account, left)
    });
    let asleep = Asleep::new(sessions.await.context("somebody does not come back")?);
    let (cpu, _) = meter.stop().await?;
    Ok((asleep, cpu.as_secs_f64() * 1e3 / accounts.len() as f64))
}
