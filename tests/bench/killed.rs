//! Part of scenario `restart`: the server is killed (SIGKILL) while it delivers to sessions, every second one
//! of which has just lost its connection. A session is then resumed exactly, or there is none any more
//! (RUNNING.md). In the first case what came before and what comes afterwards is every message once and in
//! order, in the second the archive has what was acknowledged. Anything else is an error.

use crate::{
    Bench,
    chat::{id, message},
    client::{Account, Door, in_turn},
    login::{AT_ONCE, people},
    restart::{SESSIONS, next_message},
    server::{GLANCE, Kind, Running},
    session::{Left, Outgoing, Session},
    table::{Figure, figure},
};
use anyhow::{Context, Result, ensure};
use aws_lc_rs::rand;
use std::{
    borrow::Cow,
    future::pending,
    time::{Duration, Instant},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use xmpp::Kind as StanzaKind;

/// Stanzas of the writer that may wait for their acknowledgement.
const WINDOW: u32 = 500;
/// There is load until so much is acknowledged, and then, with connections lost, up to so much more.
const ACKNOWLEDGED: u32 = 2000;
const MORE_MAX: u32 = 2000;
/// How long that, and everything that comes afterwards, may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A client whose server is gone.
struct Witness {
    account: Account,
    left: Left,
    /// The ids of the messages that it had been given.
    heard: Vec<String>,
    /// How many of the messages to it had been acknowledged to their sender.
    acknowledged: u32,
}

pub(crate) async fn run(bench: &Bench, kind: &dyn Kind) -> Result<Figure> {
    let accounts = people(SESSIONS + 1);
    let place = bench.place()?;
    kind.prepare(&place, &accounts)?;
    let server = bench.start(kind, &place, &accounts[0]).await?;
    let offer = server.door.offer.clone();
    let witnesses = witnesses(server, &accounts).await?;
    let mut server = Running::start(kind, &place).context("after SIGKILL")?;
    server.door.offer = offer;
    let door = server.door.clone();
    let back = in_turn(witnesses, AT_ONCE, move |witness| {
        let door = door.clone();
        async move {
            let whole = timeout(PATIENCE, witness.comes_back(&door)).await;
            let whole = whole.map_err(anyhow::Error::from).flatten();
            whole.with_context(|| format!("{} after SIGKILL under load", witness.account.localpart))
        }
    });
    let resumed = back.await?.into_iter().filter(|resumed| *resumed).count();
    server.stop()?;
    let what = "resumed after SIGKILL under load, half of them waiting";
    Ok(figure(
        format!("sessions of {SESSIONS} {what}"),
        resumed as f64,
    ))
}

/// Kills the server while the first account writes to all others; what these know afterwards.
async fn witnesses(server: Running, accounts: &[Account]) -> Result<Vec<Witness>> {
    let (writer, others) = accounts.split_first().context("a writer")?;
    let sessions = server.door.log_in_all(others, AT_ONCE).await?;
    let own: Vec<String> = sessions.iter().map(|session| session.own.clone()).collect();
    let (cut, ending) = watch::channel(());
    let mut listening = JoinSet::new();
    for (index, session) in sessions.into_iter().enumerate() {
        let ending = (index % 2 == 0).then(|| ending.clone());
        listening.spawn(async move { (index, listen(session, ending).await) });
    }
    let mut session = server.door.log_in(writer).await?;
    let (outgoing, before) = (session.outgoing.clone(), session.outgoing.sent());
    let mut load = JoinSet::new();
    load.spawn(async move { while session.incoming.stanza().await.is_ok() {} });
    let writing = outgoing.clone();
    // Ends in the error that this is all about.
    load.spawn(async move { drop(write(&writing, &own).await) });
    under_way(&outgoing, before + ACKNOWLEDGED).await?;
    cut.send_replace(());
    let mut random = [0; 4];
    rand::fill(&mut random)?;
    let more = u32::from_le_bytes(random) % MORE_MAX;
    let acknowledged = under_way(&outgoing, before + ACKNOWLEDGED + more).await? - before;
    server.kill()?;
    load.shutdown().await;

    let mut witnesses = Vec::with_capacity(SESSIONS);
    while let Some(listened) = listening.join_next().await {
        let (index, (left, heard)) = listened?;
        witnesses.push(Witness {
            account: others[index].clone(),
            left,
            heard,
            // Everybody in turn: the first ones may have one more.
            acknowledged: (acknowledged + (SESSIONS - 1 - index) as u32) / SESSIONS as u32,
        });
    }
    Ok(witnesses)
}

/// Reads until the server is gone, or until the connection is to be lost.
async fn listen(
    mut session: Session,
    mut ending: Option<watch::Receiver<()>>,
) -> (Left, Vec<String>) {
    let mut heard = Vec::new();
    loop {
        let stanza = tokio::select! {
            stanza = session.incoming.stanza() => stanza,
            () = ended(ending.as_mut()) => break,
        };
        match stanza {
            Ok(stanza) if stanza.kind == StanzaKind::Message => {
                heard.extend(stanza.id().map(Cow::into_owned));
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    (session.cut(), heard)
}

async fn ended(ending: Option<&mut watch::Receiver<()>>) {
    match ending {
        // An error is an end, too.
        Some(ending) => drop(ending.changed().await),
        None => pending().await,
    }
}

/// Writes to everybody in turn, again and again, as fast as it is acknowledged.
async fn write(outgoing: &Outgoing, to: &[String]) -> Result<()> {
    let mut acknowledged = outgoing.acknowledged();
    for number in 1.. {
        for address in to {
            let sent = outgoing
                .send_and_ask(&message(address, &id(number)))
                .await?;
            acknowledged.wait_for(|h| h + WINDOW > sent).await?;
        }
    }
    Ok(())
}

/// Returns when so many stanzas are acknowledged, or some more: how many.
async fn under_way(outgoing: &Outgoing, enough: u32) -> Result<u32> {
    let begin = Instant::now();
    loop {
        let acknowledged = *outgoing.acknowledged().borrow();
        if acknowledged >= enough {
            return Ok(acknowledged);
        }
        ensure!(
            begin.elapsed() < PATIENCE,
            "only {acknowledged} stanzas were acknowledged"
        );
        sleep(GLANCE).await;
    }
}

impl Witness {
    /// Whether the session was resumed. An error if something is missing, or came twice or out of order.
    async fn comes_back(&self, door: &Door) -> Result<bool> {
        let Some(mut session) = door.try_to_resume(&self.account, &self.left).await? else {
            let kept = door.log_in(&self.account).await?.archived().await?;
            let missing: Vec<String> = (1..=self.acknowledged)
                .map(id)
                .filter(|id| !kept.contains(id))
                .collect();
            ensure!(missing.is_empty(), "the archive has no {missing:?}");
            return Ok(false);
        };
        let domain = session.own.split_once('@').context("a bare JID")?.1;
        let ping =
            format!("<iq type='get' id='ping' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>");
        session.outgoing.send(&ping).await?;
        let mut heard = self.heard.clone();
        while let Some(message) = next_message(&mut session, Some("ping")).await? {
            heard.push(message);
        }
        let all: Vec<String> = (1..=heard.len() as u32).map(id).collect();
        ensure!(
            heard == all,
            "after {} messages it has {heard:?}",
            self.heard.len()
        );
        ensure!(
            heard.len() as u32 >= self.acknowledged,
            "it has {} of {}",
            heard.len(),
            self.acknowledged
        );
        Ok(true)
    }
}
