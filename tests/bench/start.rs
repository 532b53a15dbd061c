//! Scenario `start`: how long a household waits when its server starts again, with an archive that has
//! grown for years: from the start of the process until somebody has logged in.

use crate::{
    Bench,
    login::people,
    server::{Kind, Running},
    table::{Figure, figure},
};
use anyhow::Result;
use std::time::Instant;

const ACCOUNTS: usize = 50;
/// Of so many starts, the one in the middle is shown.
const STARTS: usize = 3;

pub(crate) async fn run(bench: &Bench, kind: &dyn Kind) -> Result<Vec<Figure>> {
    let accounts = people(ACCOUNTS);
    let place = bench.place()?;
    kind.prepare(&place, &accounts)?;
    let pairs = accounts.as_chunks::<2>().0;
    // One for each of the two.
    let archived = bench.sizes().archived_at_start;
    kind.converse(&place, pairs, archived / 2 / pairs.len())?;
    let mut times = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let begin = Instant::now();
        let server = Running::start(kind, &place)?;
        let session = server.door.log_in(&accounts[0]).await?;
        times.push(begin.elapsed());
        session.close().await?;
        server.stop()?;
    }
    times.sort_unstable();
    Ok(vec![figure(
        format!("start to first login, {ACCOUNTS} accounts, {archived} archived messages, ms"),
        times[STARTS / 2].as_secs_f64() * 1e3,
    )])
}
