//! What the authoritative name servers of a zone answer: the truth, whatever a provider's API says.
//!
//! Each is found through the name servers of the configuration, and then asked directly, so that nothing
//! remembered anywhere comes between. State: whom to ask first.

use super::{
    exchange,
    hickory::{kind_of, name_of, read},
    limits::{NAME_SERVERS_MAX, SERVER_ADDRESSES_MAX},
    provider::{Asked, Failure, FailureKind},
    record::{Record, whole},
};
use arc_swap::ArcSwap;
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::{Message, ResponseCode},
        rr::{RData, RecordType},
    },
};
use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::task::JoinSet;

/// What one name server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Its name.
    pub host: String,
    /// Whether each record is there, in their order; or why it tells nothing.
    pub says: Result<Vec<bool>, Mute>,
}

/// Why a name server tells nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mute {
    /// Somebody entered it for this zone, and it does not keep it.
    Foreign,
    /// In plain words.
    Lost(String),
}

impl fmt::Display for Mute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mute::Foreign => f.write_str("it does not keep this zone"),
            Mute::Lost(why) => f.write_str(why),
        }
    }
}

/// Whoever knows what the name servers of a zone answer.
pub trait NameServers: Send + Sync {
    /// Asks each of them for these records.
    fn look<'a>(&'a self, zone: &'a str, records: &'a [Record]) -> Asked<'a, Vec<Answered>>;

    /// Where to begin, from now on.
    fn follow(&self, nameservers: &[SocketAddr]);
}

/// The real ones.
pub struct Authoritative {
    /// Where to begin; empty for the system's.
    nameservers: ArcSwap<Vec<SocketAddr>>,
    port: u16,
}

impl Authoritative {
    /// Begins at these name servers, or the system's if there are none.
    pub fn new(nameservers: Vec<SocketAddr>) -> Authoritative {
        Authoritative::on_port(nameservers, 53)
    }

    /// The same where all name servers of zones listen on another port.
    pub fn on_port(nameservers: Vec<SocketAddr>, port: u16) -> Authoritative {
        Authoritative {
            nameservers: ArcSwap::from_pointee(nameservers),
            port,
        }
    }

    async fn ask_all(&self, zone: &str, records: &[Record]) -> Result<Vec<Answered>, Failure> {
        let servers = self.servers(zone).await?;
        let (mut asking, records) = (JoinSet::new(), Arc::new(records.to_vec()));
        for (at, (host, addresses)) in servers.into_iter().enumerate() {
            let records = records.clone();
            asking.spawn(async move {
                let says = ask_one(&addresses, &records).await;
                (at, Answered { host, says })
            });
        }
        let mut answers = Vec::new();
        while let Some(answer) = asking.join_next().await {
            answers.extend(answer.ok());
        }
        answers.sort_by_key(|(at, _)| *at);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// The name servers that the zone is delegated to, and where they are.
    async fn servers(&self, zone: &str) -> Result<Vec<(String, Vec<SocketAddr>)>, Failure> {
        let resolver = resolver(&self.nameservers.load()).map_err(|error| lost(zone, &error))?;
        let found = match resolver.lookup(format!("{zone}."), RecordType::NS).await {
            Ok(found) => found,
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => {
                return Err(undelegated(zone));
            }
            Err(error) => return Err(lost(zone, &error)),
        };
        let mut hosts: Vec<String> = found
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::NS(host) => Some(whole(&host.0.to_ascii())),
                _ => None,
            })
            .collect();
        hosts.sort();
        hosts.truncate(NAME_SERVERS_MAX);
        let mut servers = Vec::new();
        for host in hosts {
            let mut addresses = Vec::new();
            for kind in [RecordType::AAAA, RecordType::A] {
                if let Ok(found) = resolver.lookup(format!("{host}."), kind).await {
                    addresses.extend(found.answers().iter().filter_map(|it| it.data.ip_addr()));
                }
            }
            let at_port = |address: IpAddr| SocketAddr::new(address, self.port);
            let places = addresses
                .into_iter()
                .take(SERVER_ADDRESSES_MAX)
                .map(at_port);
            servers.push((host, places.collect()));
        }
        if servers.is_empty() {
            return Err(undelegated(zone));
        }
        Ok(servers)
    }
}

impl NameServers for Authoritative {
    fn look<'a>(&'a self, zone: &'a str, records: &'a [Record]) -> Asked<'a, Vec<Answered>> {
        Box::pin(self.ask_all(zone, records))
    }

    fn follow(&self, nameservers: &[SocketAddr]) {
        self.nameservers.store(Arc::new(nameservers.to_vec()));
    }
}

/// Nothing is remembered from one look to the next.
fn resolver(nameservers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder = if nameservers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = nameservers.iter().map(|address| {
            let on_port = |mut connection: ConnectionConfig| {
                connection.port = address.port();
                connection
            };
            let ways = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(on_port);
            NameServerConfig::new(address.ip(), true, ways.into())
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    builder.options_mut().cache_size = 0;
    builder.build()
}

/// Asks one name server for everything. One that is silent is not asked on.
async fn ask_one(addresses: &[SocketAddr], records: &[Record]) -> Result<Vec<bool>, Mute> {
    let mut last = Mute::Lost("it has no address".to_owned());
    for &address in addresses {
        match ask_at(address, records).await {
            Ok(says) => return Ok(says),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn ask_at(address: SocketAddr, records: &[Record]) -> Result<Vec<bool>, Mute> {
    let mut says = vec![false; records.len()];
    let mut is_asked = vec![false; records.len()];
    for at in 0..records.len() {
        if is_asked[at] {
            continue;
        }
        let record = &records[at];
        let name = name_of(&record.name);
        let name = name.ok_or_else(|| Mute::Lost("that is no name".to_owned()))?;
        let answer = exchange::ask(address, name, kind_of(&record.data)).await;
        let found = answers(&answer.map_err(|error| silence(&error))?)?;
        for other in (at..records.len()).filter(|&other| records[other].is_beside(record)) {
            is_asked[other] = true;
            says[other] = found.iter().any(|found| found.says_same(&records[other]));
        }
    }
    Ok(says)
}

/// What the server has, if it is its to say.
fn answers(message: &Message) -> Result<Vec<Record>, Mute> {
    match message.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain if message.authoritative => {
            Ok(message.answers.iter().map(read).collect())
        }
        ResponseCode::NoError | ResponseCode::NXDomain | ResponseCode::Refused => {
            Err(Mute::Foreign)
        }
        code => Err(Mute::Lost(format!("it cannot tell: {code}"))),
    }
}

fn silence(error: &io::Error) -> Mute {
    Mute::Lost(match error.kind() {
        io::ErrorKind::TimedOut => "it does not answer".to_owned(),
        _ => format!("it cannot be reached: {error}"),
    })
}

fn undelegated(zone: &str) -> Failure {
    Failure::new(
        FailureKind::Zone,
        format!("nobody outside finds the zone {zone}: no name servers are entered for it"),
        "enter those of the DNS provider where the domain was bought",
    )
}

fn lost(zone: &str, error: &NetError) -> Failure {
    Failure::new(
        FailureKind::Down,
        format!("the name servers of {zone} cannot be found: {error}"),
        "it is tried again; is this house connected to the internet?",
    )
}
