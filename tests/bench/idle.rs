//! Scenario `idle`: what an empty server and a session that does nothing keep resident.
//!
//! Households of 21, everybody in everybody's roster, so that each session has 20 contacts online. The
//! subscriptions are made over XMPP; then the server is started again, so that what that left behind is not
//! counted.

use crate::{
    Bench,
    client::{Account, Door, Incoming, Session},
    login::{AT_ONCE, people},
    server::{Kind, Running},
    table::{Figure, figure},
};
use anyhow::{Context, Result};
use std::{collections::HashSet, time::Duration};
use tokio::{task::JoinSet, time::timeout};
use xmpp::Kind as StanzaKind;

/// Contacts of everybody.
const CONTACTS: usize = 20;
const HOUSEHOLD: usize = CONTACTS + 1;
/// How long the presence of 20 contacts may take to arrive.
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) async fn run(bench: &Bench, kind: &dyn Kind) -> Result<Vec<Figure>> {
    let accounts = people(bench.sessions.div_ceil(HOUSEHOLD).max(2) * HOUSEHOLD);
    let place = bench.place()?;
    kind.prepare(&place, &accounts)?;
    let server = Running::start(kind, &place)?;
    for household in accounts.chunks(HOUSEHOLD) {
        befriend(&server.door, household).await?;
    }
    server.stop()?;

    let server = Running::start(kind, &place)?;
    server.process.rest().await?;
    let empty = server.process.resident()?;
    // Kept, with their connections, until the server was looked at.
    let (first, others) = accounts.split_at(HOUSEHOLD);
    let mut idle = everybody_online(&server.door, first).await?;
    server.process.rest().await?;
    let warm = server.process.resident()?;
    idle.extend(everybody_online(&server.door, others).await?);
    server.process.rest().await?;
    let full = server.process.resident()?;
    let each = |from: u64, sessions: usize| full.saturating_sub(from) as f64 / sessions as f64;
    Ok(vec![
        figure("empty server, MB resident", empty as f64 / 1e6),
        figure(
            "idle session with 20 contacts online, bytes resident",
            each(empty, idle.len()),
        ),
        figure(
            "the same, without what the first household needs once",
            each(warm, idle.len() - HOUSEHOLD),
        ),
    ])
}

/// Logs everybody in; returns when everybody sees their contacts.
async fn everybody_online(door: &Door, accounts: &[Account]) -> Result<Vec<Session>> {
    let sessions = door.log_in_all(accounts, AT_ONCE).await?;
    let mut waiting = JoinSet::new();
    for (account, session) in accounts.iter().zip(sessions) {
        let own = door.jid(account);
        waiting.spawn(async move { timeout(PATIENCE, sees_contacts(session, own)).await? });
    }
    let mut online = Vec::with_capacity(accounts.len());
    while let Some(session) = waiting.join_next().await {
        online.push(session?.context("a contact never became visible")?);
    }
    Ok(online)
}

/// Makes everybody in a household a contact of everybody else, both ways (RFC 6121 §3.1).
async fn befriend(door: &Door, household: &[Account]) -> Result<()> {
    let sessions = door.log_in_all(household, AT_ONCE).await?;
    let mut making = JoinSet::new();
    for (account, session) in household.iter().zip(sessions) {
        let others = household
            .iter()
            .filter(|other| other.localpart != account.localpart);
        let others: Vec<String> = others.map(|other| door.jid(other)).collect();
        making.spawn(async move { timeout(PATIENCE, subscribe(session, &others)).await? });
    }
    // Nobody leaves before everybody has everybody's answer.
    let mut sessions = Vec::with_capacity(household.len());
    while let Some(session) = making.join_next().await {
        sessions.push(session?.context("a subscription was not made")?);
    }
    for session in sessions {
        session.close().await?;
    }
    Ok(())
}

/// Asks all the others, and says yes to all of them.
async fn subscribe(mut session: Session, others: &[String]) -> Result<Session> {
    for other in others {
        session
            .outgoing
            .send(&format!("<presence type='subscribe' to='{other}'/>"))
            .await?;
    }
    let (mut approved, mut approved_by) = (HashSet::new(), HashSet::new());
    while approved.len() < others.len() || approved_by.len() < others.len() {
        let stanza = session.incoming.stanza().await?;
        let Some(from) = stanza.from()? else { continue };
        match (stanza.kind, stanza.type_()) {
            (StanzaKind::Presence, "subscribe") => {
                let contact = from.bare();
                session
                    .outgoing
                    .send(&format!("<presence type='subscribed' to='{contact}'/>"))
                    .await?;
                approved.insert(contact);
            }
            (StanzaKind::Presence, "subscribed") => {
                approved_by.insert(from.bare());
            }
            _ => {}
        }
    }
    Ok(session)
}

/// Waits for the presence of every contact.
async fn sees_contacts(mut session: Session, own: String) -> Result<Session> {
    let mut seen = HashSet::new();
    while seen.len() < CONTACTS {
        if let Some(contact) = became_available(&mut session.incoming)
            .await?
            .filter(|contact| *contact != own)
        {
            seen.insert(contact);
        }
    }
    Ok(session)
}

/// Whose presence the next stanza is, if it is one.
async fn became_available(incoming: &mut Incoming) -> Result<Option<String>> {
    let stanza = incoming.stanza().await?;
    let from = stanza
        .from()?
        .filter(|_| stanza.kind == StanzaKind::Presence && stanza.type_().is_empty());
    Ok(from.map(|from| from.bare_str().to_owned()))
}
