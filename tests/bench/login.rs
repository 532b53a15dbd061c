//! Scenario `login`: what it costs the server when somebody arrives. TLS without resumption, SCRAM, bind,
//! roster, initial presence; accounts without contacts, and neither stream management nor carbons, so that it
//! is the login alone.

use crate::{
    Bench,
    client::Account,
    server::{Kind, Running},
    table::{Figure, figure},
};
use anyhow::Result;

/// Logins before we look at the clock: the first ones load code.
const WARM_UP: usize = 20;
/// How many are under way at a time: a household whose router came back.
pub(crate) const AT_ONCE: usize = 8;

pub(crate) async fn run(bench: &Bench, kind: &dyn Kind) -> Result<Vec<Figure>> {
    let accounts = people(WARM_UP + bench.sizes().logins);
    let place = bench.place()?;
    kind.prepare(&place, &accounts)?;
    let server = Running::start(kind, &place)?;
    let (first, others) = accounts.split_at(WARM_UP);
    let warm = server.door.log_in_all(first, AT_ONCE).await?;
    server.process.rest().await?;

    let before = server.process.cpu()?;
    let sessions = server.door.log_in_all(others, AT_ONCE).await?;
    server.process.rest().await?;
    let cpu = server.process.cpu()?.saturating_sub(before);
    drop((warm, sessions));
    Ok(vec![figure(
        "login, CPU ms",
        cpu.as_secs_f64() * 1e3 / bench.sizes().logins as f64,
    )])
}

/// Accounts that differ.
pub(crate) fn people(count: usize) -> Vec<Account> {
    let account = |number| Account {
        localpart: format!("person{number}"),
        password: format!("secret {number}"),
    };
    (0..count).map(account).collect()
}
