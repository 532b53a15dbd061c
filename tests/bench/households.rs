//! Households of 21, everybody in everybody's roster, so that each session has 20 contacts online.

use crate::{
    client::{Account, Door},
    login::{AT_ONCE, people},
    server::{Kind, Place, Running},
    session::{Incoming, Session},
};
use anyhow::{Context, Result};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};
use xmpp::Kind as StanzaKind;

/// Contacts of everybody.
pub(crate) const CONTACTS: usize = 20;
pub(crate) const HOUSEHOLD: usize = CONTACTS + 1;
/// How long the presence of 20 contacts may take to arrive.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Prepares a server for at least so many people, with their contacts; it is not running then. Where
/// subscriptions are made over XMPP, what that left in the server's memory is gone.
pub(crate) async fn prepare(
    kind: &dyn Kind,
    place: &Place,
    people_min: usize,
) -> Result<Vec<Account>> {
    let accounts = people(people_min.div_ceil(HOUSEHOLD).max(2) * HOUSEHOLD);
    kind.prepare(place, &accounts)?;
    let households: Vec<&[Account]> = accounts.chunks(HOUSEHOLD).collect();
    if !kind.befriend(place, &households)? {
        let server = Running::start(kind, place)?;
        for household in households {
            befriend(&server.door, household).await?;
        }
        server.stop()?;
    }
    Ok(accounts)
}

/// Logs everybody in; returns when everybody sees their contacts. In the order of the accounts.
pub(crate) async fn everybody_online(door: &Door, accounts: &[Account]) -> Result<Vec<Session>> {
    // Each reads from its login on, like any client: what waits for those who do not is no idle session's.
    let logins = Arc::new(Semaphore::new(AT_ONCE));
    let mut waiting = JoinSet::new();
    for account in accounts.iter().cloned() {
        let (door, logins) = (door.clone(), logins.clone());
        waiting.spawn(async move {
            let turn = logins.acquire_owned().await?;
            let session = door.log_in(&account).await;
            drop(turn);
            let session = session.with_context(|| format!("{} cannot log in", account.localpart));
            timeout(PATIENCE, sees_contacts(session?)).await?
        });
    }
    let mut online = Vec::with_capacity(accounts.len());
    while let Some(session) = waiting.join_next().await {
        online.push(session?.context("a contact never became visible")?);
    }
    // In the order of the accounts.
    let mut of: HashMap<String, Session> = online
        .into_iter()
        .map(|session| (session.own.clone(), session))
        .collect();
    Ok(accounts
        .iter()
        .filter_map(|account| of.remove(&door.jid(account)))
        .collect())
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
async fn sees_contacts(mut session: Session) -> Result<Session> {
    let mut seen = HashSet::new();
    while seen.len() < CONTACTS {
        if let Some(contact) = became_available(&mut session.incoming)
            .await?
            .filter(|contact| *contact != session.own)
        {
            seen.insert(contact);
        }
    }
    Ok(session)
}

/// Whose presence the next stanza is, if it is one.
pub(crate) async fn became_available(incoming: &mut Incoming) -> Result<Option<String>> {
    let stanza = incoming.stanza().await?;
    let from = stanza
        .from()?
        .filter(|_| stanza.kind == StanzaKind::Presence && stanza.type_().is_empty());
    Ok(from.map(|from| from.bare_str().to_owned()))
}
