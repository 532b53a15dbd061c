//! Scenario `idle`: what an empty server and a session that does nothing keep resident. Everybody has 20
//! contacts online, stream management and carbons where the server has them.

use crate::{
    Bench,
    households::{HOUSEHOLD, everybody_online, prepare},
    server::{Kind, Running},
    session::Asleep,
    table::{Figure, figure},
};
use anyhow::Result;

pub(crate) async fn run(bench: &Bench, kind: &dyn Kind) -> Result<Vec<Figure>> {
    let place = bench.place()?;
    let accounts = prepare(kind, &place, bench.sizes().sessions).await?;
    let (first, others) = accounts.split_at(HOUSEHOLD);
    // Looking at what the server offers costs memory, too.
    let offer = bench.start(kind, &place, &first[0]).await?.into_offer()?;
    let mut server = Running::start(kind, &place)?;
    server.process.rest().await?;
    let empty = server.process.resident()?;
    server.door.offer = offer;
    // Kept, with their connections, until the server was looked at.
    let idle_first = Asleep::new(everybody_online(&server.door, first).await?);
    server.process.rest().await?;
    let warm = server.process.resident()?;
    let idle_others = Asleep::new(everybody_online(&server.door, others).await?);
    server.process.rest().await?;
    let full = server.process.resident()?;
    let each =
        |from: u64, sessions: usize| full.saturating_sub(from) as f64 / 1e3 / sessions as f64;
    Ok(vec![
        figure("empty server, MB resident", empty as f64 / 1e6),
        figure(
            "idle session with 20 contacts online, KB resident",
            each(empty, idle_first.len() + idle_others.len()),
        ),
        figure(
            "the same, without what the first household needs once",
            each(warm, idle_others.len()),
        ),
    ])
}
