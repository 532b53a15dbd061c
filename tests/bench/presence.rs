//! Scenario `presence`: what one delivered presence costs. Everybody in households of 21 changes theirs
//! again and again, and waits each time until everybody's reached them.

use crate::{
    Bench,
    households::{CONTACTS, PATIENCE, became_available, everybody_online, prepare},
    meter::Meter,
    server::Kind,
    session::Session,
    table::{Figure, figure},
};
use anyhow::{Context, Result};
use tokio::{task::JoinSet, time::timeout};

/// Changes of everybody's before we look at the clock.
const WARM_UP: usize = 3;

pub(crate) async fn run(bench: &Bench, kind: &dyn Kind) -> Result<Vec<Figure>> {
    let place = bench.place()?;
    let accounts = prepare(kind, &place, bench.sizes().moody).await?;
    let server = bench.start(kind, &place, &accounts[0]).await?;
    let sessions = everybody_online(&server.door, &accounts).await?;
    let sessions = change(sessions, WARM_UP).await?;
    let meter = Meter::start(server.process, None).await?;
    let changes = bench.sizes().changes;
    let sessions = change(sessions, changes).await?;
    let (cpu, _) = meter.stop().await?;
    let delivered = sessions.len() * CONTACTS * changes;
    Ok(vec![figure(
        "presence delivered, CPU µs",
        cpu.as_secs_f64() * 1e6 / delivered as f64,
    )])
}

/// Everybody changes their presence so many times.
async fn change(sessions: Vec<Session>, times: usize) -> Result<Vec<Session>> {
    let mut changing = JoinSet::new();
    for mut session in sessions {
        changing.spawn(async move {
            let own = changes(&mut session, times);
            timeout(PATIENCE, own)
                .await
                .context("a presence never came")??;
            anyhow::Ok(session)
        });
    }
    let mut sessions = Vec::with_capacity(changing.len());
    while let Some(session) = changing.join_next().await {
        sessions.push(session??);
    }
    Ok(sessions)
}

async fn changes(session: &mut Session, times: usize) -> Result<()> {
    let mut seen = 0;
    for time in 1..=times {
        let status = format!("<presence><show>away</show><status>{time}</status></presence>");
        session.outgoing.send(&status).await?;
        while seen < time * CONTACTS {
            let from = became_available(&mut session.incoming).await?;
            // One's own comes back (RFC 6121 §4.4.2), and is delivered no less; it is not counted.
            seen += usize::from(from.is_some_and(|from| from != session.own));
        }
    }
    Ok(())
}
