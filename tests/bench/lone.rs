//! Scenario `lone`: one message at a time, archived for both, like an ordinary evening. The next one follows
//! a while after the one before was delivered and, where the server manages streams, acknowledged.

use crate::{
    Bench,
    chat::message,
    login::{AT_ONCE, people},
    meter::{Meter, one_by_one},
    server::Kind,
    session::Session,
    table::Figure,
};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};
use xmpp::Kind as StanzaKind;

/// Between two messages.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a message, or its acknowledgement, may take.
const PATIENCE: Duration = Duration::from_mins(1);
const WARM_UP: usize = 3;

pub(crate) async fn run(bench: &Bench, kind: &dyn Kind) -> Result<Vec<Figure>> {
    let accounts = people(2);
    let place = bench.place()?;
    kind.prepare(&place, &accounts)?;
    let server = bench.start(kind, &place, &accounts[0]).await?;
    let sessions = server.door.log_in_all(&accounts, AT_ONCE).await?;
    let [mut from, mut to] = <[Session; 2]>::try_from(sessions)
        .ok()
        .context("a session each")?;
    // Its acknowledgements have to be read.
    let outgoing = from.outgoing.clone();
    let reading = tokio::spawn(async move { while from.incoming.stanza().await.is_ok() {} });
    let mut acknowledged = outgoing.acknowledged();
    let messages = bench.sizes().lone;
    let (mut meter, mut times) = (None, Vec::with_capacity(messages));
    for number in 0..WARM_UP + messages {
        if number == WARM_UP {
            meter = Some(Meter::start(server.process, place.device()).await?);
            times.clear();
        }
        let begin = Instant::now();
        let message = message(&to.own, &number.to_string());
        let sent = if outgoing.is_managed() {
            outgoing.send_and_ask(&message).await?
        } else {
            outgoing.send(&message).await?;
            0
        };
        let comes = timeout(PATIENCE, async {
            while to.incoming.stanza().await?.kind != StanzaKind::Message {}
            anyhow::Ok(())
        });
        comes.await.context("a message never came")??;
        let covered = timeout(PATIENCE, acknowledged.wait_for(|h| *h >= sent));
        covered
            .await
            .context("a message was never acknowledged")??;
        times.push(begin.elapsed());
        sleep(PAUSE).await;
    }
    let (cpu, device) = meter.context("messages were sent")?.stop().await?;
    reading.abort();
    Ok(one_by_one(
        ("lone message", "until delivered and acknowledged"),
        (cpu, device),
        times,
    ))
}
