//! Asks STUN servers and echoes, all of a round at once. Owns nothing.

use super::{
    Tools, echo,
    judge::Class,
    looking::Looking,
    settings::{Server, Settings},
    stun,
};
use server::s2s::resolve::{Family, Resolver};
use std::net::{IpAddr, SocketAddr};
use tokio::task::JoinSet;

/// Asks whoever is due, and all others at once where one of them says something new.
pub(super) async fn ask(looking: &mut Looking, settings: &Settings, tools: &Tools) {
    // Twice at most: one alone, then everybody.
    for _ in 0..2 {
        let now = tools.clock.elapsed_ms();
        if !looking.is_due(now) {
            return;
        }
        let servers = looking.due(settings, now);
        let answers = answers(&servers, looking.is_v6, tools).await;
        if !looking.hear(&servers, &answers, settings, tools.clock.elapsed_ms()) {
            return;
        }
    }
}

/// What each of them says, in their order.
async fn answers(servers: &[Server], is_v6: bool, tools: &Tools) -> Vec<Option<IpAddr>> {
    let mut asking = JoinSet::new();
    for (index, server) in servers.iter().cloned().enumerate() {
        let tools = tools.clone();
        asking.spawn(async move { (index, answer(&server, is_v6, &tools).await) });
    }
    let mut answers = vec![None; servers.len()];
    while let Some(ended) = asking.join_next().await {
        if let Ok((index, answer)) = ended {
            answers[index] = answer;
        }
    }
    answers
}

async fn answer(server: &Server, is_v6: bool, tools: &Tools) -> Option<IpAddr> {
    match server.class {
        Class::Stun => {
            let place = place(&server.name, is_v6, &tools.resolver).await?;
            stun::ask(place, &*tools.dice).await
        }
        Class::Echo => echo::ask(&tools.http, &server.name, is_v6).await,
        Class::Interface | Class::Router => None,
    }
}

/// Where a server is that is written as `host:port`.
async fn place(name: &str, is_v6: bool, resolver: &Resolver) -> Option<SocketAddr> {
    let (host, port) = name.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = host.trim_matches(['[', ']']);
    if let Ok(ip) = host.parse::<IpAddr>() {
        return (ip.is_ipv6() == is_v6).then_some(SocketAddr::new(ip, port));
    }
    let family = if is_v6 { Family::V6 } else { Family::V4 };
    let found = resolver.addresses(host, family).await.ok()?;
    Some(SocketAddr::new(*found.first()?, port))
}
