//! Does it work? Looks at our doors as the world would, as far as that can be seen from inside, and says it
//! in sentences with the next step. Reads what others found out; owns nothing.

mod knock;
pub mod limits;
mod words;

use crate::{
    address::Outside,
    links::Links,
    router::{self, Port, Protocol},
};
use household::{Finding, denied};
use knock::{Knocker, Opened, inside};
use server::world::Dice;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::task::JoinSet;

/// What is known before anybody knocks.
#[derive(Clone)]
pub struct Facts {
    pub domain: String,
    /// Listeners by their names, as they are bound.
    pub bound: BTreeMap<String, Vec<SocketAddr>>,
    /// The ports by which the world should come in.
    pub ports: Vec<Port>,
    pub outside: Outside,
    pub router: router::Report,
    pub links: Arc<Links>,
}

/// What is knocked with: TLS that takes any certificate, and chance.
#[derive(Clone)]
pub struct Tools {
    pub tls: Arc<rustls::ClientConfig>,
    pub dice: Arc<dyn Dice>,
}

/// One door, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Door {
    port: Port,
    /// It opens to this machine itself.
    is_open_here: bool,
    way: Way,
}

/// What became of the way around: out to our own outside address, and back in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// There is no address outside to try.
    Unknown,
    /// The address is this machine's own: the way stays inside and proves nothing.
    Own,
    /// We opened.
    Ours,
    /// Somebody else opened.
    Foreign,
    /// Nobody did.
    Closed,
}

/// `hearth check ports`: every port, here and by the way around.
pub async fn ports(facts: &Facts, tools: &Tools) -> Vec<Finding> {
    if facts.domain == "localhost" {
        return vec![words::stays_here("ports")];
    }
    let knocker = knocker(facts, tools);
    let mut knocking = JoinSet::new();
    for (index, port) in facts.ports.iter().cloned().enumerate() {
        let (knocker, facts) = (knocker.clone(), facts.clone());
        knocking.spawn(async move { (index, door(port, &facts, &knocker).await) });
    }
    let mut doors = Vec::new();
    while let Some(ended) = knocking.join_next().await {
        doors.extend(ended.ok());
    }
    doors.sort_by_key(|(index, _)| *index);
    let doors: Vec<Door> = doors.into_iter().map(|(_, door)| door).collect();
    words::doors(&doors, facts)
}

async fn door(port: Port, facts: &Facts, knocker: &Knocker) -> Door {
    let bound = facts.bound.get(port.name).into_iter().flatten();
    let bound = bound.filter(|it| it.port() == port.inside);
    let mut here = Opened::Nobody;
    for address in bound {
        here = knocker.knock(&port, inside(*address)).await;
        if here != Opened::Nobody {
            break;
        }
    }
    let way = match facts.outside.ipv4 {
        None => Way::Unknown,
        Some(own)
            if facts
                .links
                .addresses
                .iter()
                .any(|it| it.ip == IpAddr::V4(own)) =>
        {
            Way::Own
        }
        Some(outside) => {
            let around = SocketAddr::new(outside.into(), port.outside);
            match (knocker.knock(&port, around).await, &here) {
                (Opened::Nobody, _) => Way::Closed,
                (Opened::Somebody, Opened::Holder(_)) => Way::Foreign,
                (Opened::Holder(one), Opened::Holder(other)) if one != *other => Way::Foreign,
                _ => Way::Ours,
            }
        }
    };
    Door {
        is_open_here: here != Opened::Nobody,
        port,
        way,
    }
}

/// `hearth check turn`: whether the relay answers, and whether others could reach what it relays.
pub async fn turn(facts: &Facts, tools: &Tools) -> Vec<Finding> {
    let knocker = knocker(facts, tools);
    let bound = facts.bound.get("stun").into_iter().flatten();
    let mut answers = Vec::new();
    for address in bound {
        let port = Port {
            name: "stun",
            protocol: Protocol::Udp,
            inside: address.port(),
            outside: address.port(),
            is_needed: true,
        };
        let opened = knocker.knock(&port, inside(*address)).await;
        answers.push((*address, opened != Opened::Nobody));
    }
    words::turn(&answers, facts)
}

fn knocker(facts: &Facts, tools: &Tools) -> Knocker {
    Knocker {
        domain: facts.domain.clone(),
        tls: tools.tls.clone(),
        dice: tools.dice.clone(),
    }
}

/// Addresses that somebody outside could call.
fn public(outside: Outside) -> Vec<IpAddr> {
    let all = [outside.ipv4.map(IpAddr::V4), outside.ipv6.map(IpAddr::V6)];
    let all = all.into_iter().flatten();
    all.filter(|it| denied::kind(*it).is_none()).collect()
}

#[cfg(test)]
mod tests;
