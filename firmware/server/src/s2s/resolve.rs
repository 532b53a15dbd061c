//! Where a domain's server is: SRV records, addresses and TLSA records (RFC 6120 §3.2, XEP-0368, RFC 7673).
//!
//! State: [`Resolver`] owns two resolvers, made at the first question and forgotten on [`Resolver::forget`],
//! each with answers kept for their own time. The first believes the name servers, so that a router's
//! forwarder will do. The second believes only proofs, and is asked only where a proof makes a difference,
//! once the root's own signature has come through these name servers.

mod ask;
mod order;

use super::{
    dane::Tlsa,
    dial::limits::{ADDRESSES_MAX, ALIASES_MAX, DOUBT_MS_MIN, LOOKUP_MS_MAX, TLSA_RECORDS_MAX},
};
use crate::world::Dice;
use ask::{Asking, Found, Question};
use hickory_resolver::proto::dnssec::TrustAnchors;
use order::{Answer, Srv, Way};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// The port of a server that publishes none (RFC 6120 §14.7).
pub const PORT: u16 = 5269;

const SILENT: &str = "no name server answers";
const UNREACHABLE: &str = "the name servers cannot be reached";

/// A place where the server of a domain may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name in A-labels, without the dot at the end; or an address.
    pub host: String,
    pub port: u16,
    /// TLS from the first byte (XEP-0368).
    pub direct: bool,
    /// Of the SRV record: all places of a smaller one are tried before.
    pub priority: u16,
    /// The SRV records were validated by DNSSEC.
    pub secure: bool,
}

/// What is known of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// In the order of the answers; may be empty.
    pub addresses: Vec<IpAddr>,
    /// The addresses were validated by DNSSEC.
    pub secure: bool,
    /// Validated, too.
    pub tlsa: Vec<Tlsa>,
}

/// Which addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    V6,
    V4,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// There is nothing of that name, or it says that it has no such server.
    Nothing,
    /// The name servers are silent or cannot tell, in plain words.
    Failed(String),
    /// The answer is not the owner's (RFC 4035 §5, "bogus"): whoever it came from must not be dialled.
    Forged,
}

/// Asks name servers.
pub struct Resolver {
    anchors: Arc<TrustAnchors>,
    patience: Duration,
    whom: Mutex<Whom>,
}

/// Who is asked.
struct Whom {
    nameservers: Vec<SocketAddr>,
    asking: Option<Arc<Asking>>,
    /// When they were last doubted.
    doubted: Option<Instant>,
}

impl Resolver {
    /// Asks these name servers, or the system's if there are none. Nothing happens before the first question.
    pub fn new(nameservers: Vec<SocketAddr>) -> Resolver {
        let anchors = Arc::new(TrustAnchors::default());
        Resolver::with(nameservers, anchors, Duration::from_millis(LOOKUP_MS_MAX))
    }

    /// The same with other keys of the root, and another time for all of one lookup.
    pub fn with(
        nameservers: Vec<SocketAddr>,
        anchors: Arc<TrustAnchors>,
        patience: Duration,
    ) -> Resolver {
        Resolver {
            anchors,
            patience,
            whom: Mutex::new(Whom {
                nameservers,
                asking: None,
                doubted: None,
            }),
        }
    }

    /// Forgets every answer and reads the system's name servers again: after the network changed.
    pub fn forget(&self) {
        self.whom().asking = None;
    }

    /// Asks these name servers from now on, or the system's if there are none.
    pub fn follow(&self, nameservers: &[SocketAddr]) {
        let mut whom = self.whom();
        if whom.nameservers != nameservers {
            whom.nameservers = nameservers.to_vec();
            whom.asking = None;
        }
    }

    fn whom(&self) -> MutexGuard<'_, Whom> {
        self.whom.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody answers: perhaps others do by now, since a machine that comes to another network is told of its
    /// name servers. A stranger's domain can be silent as well, so not each time.
    fn doubt(&self) {
        let mut whom = self.whom();
        let kept = Duration::from_millis(DOUBT_MS_MIN);
        if whom.doubted.is_none_or(|since| since.elapsed() >= kept) {
            whom.doubted = Some(Instant::now());
            whom.asking = None;
        }
    }

    /// The places of a domain in the order in which they are tried. Where no SRV record exists, the domain's
    /// own addresses on [`PORT`].
    pub async fn endpoints(
        &self,
        domain: &str,
        dice: &dyn Dice,
    ) -> Result<Vec<Endpoint>, NoAnswer> {
        let name = a_labels(domain).ok_or(NoAnswer::Nothing)?;
        let way = self.within(self.way(&name)).await?;
        match way {
            Way::Records(records) => Ok(order::order(records, dice)),
            Way::NotOffered => Err(NoAnswer::Nothing),
            Way::Later(lost) => Err(lost),
            Way::Itself => Ok(vec![Endpoint {
                host: name,
                port: PORT,
                direct: false,
                priority: 0,
                secure: false,
            }]),
        }
    }

    async fn way(&self, name: &str) -> Result<Way, NoAnswer> {
        let asking = self.asking()?;
        // RFC 7673 §3.1: whether there are SRV records is the owner's to say, too. Where proofs come through,
        // nothing is believed without one, and what is lost is not there for somebody else to replace.
        let proofs = asking.passes_proofs().await;
        let trusting = if proofs {
            Trusting::Proofs
        } else {
            Trusting::NameServers
        };
        let (direct, starttls) = tokio::join!(
            services(&asking, name, Service::Direct, trusting),
            services(&asking, name, Service::Starttls, trusting),
        );
        match order::way(direct, starttls, proofs) {
            // A name server that fails on SRV records takes nothing from a domain that proves nothing.
            Err(NoAnswer::Failed(_)) if asking.is_unsigned(name).await => Ok(Way::Itself),
            way => way,
        }
    }

    /// Addresses of one family of a host, believing the name servers.
    pub async fn addresses(&self, host: &str, family: Family) -> Result<Vec<IpAddr>, NoAnswer> {
        let asking = self.asking()?;
        let found = self.within(asking.believe(Question::Addresses(host, family)));
        match found.await {
            Ok(found) => Ok(addresses_of(found)),
            Err(NoAnswer::Nothing) => Ok(Vec::new()),
            Err(other) => Err(other),
        }
    }

    /// A host that a validated SRV record names: its addresses with proof, and the TLSA records of the port
    /// if the addresses have one (RFC 7673 §3.2 and §3.3).
    pub async fn host(&self, host: &str, port: u16) -> Result<Host, NoAnswer> {
        let asking = self.asking()?;
        self.within(proven_host(&asking, host, port)).await
    }

    /// The two resolvers, made now if need be.
    fn asking(&self) -> Result<Arc<Asking>, NoAnswer> {
        let mut whom = self.whom();
        if let Some(asking) = &whom.asking {
            return Ok(asking.clone());
        }
        let made = Arc::new(Asking::new(&whom.nameservers, self.anchors.clone())?);
        Ok(whom.asking.insert(made).clone())
    }

    async fn within<T>(
        &self,
        lookup: impl Future<Output = Result<T, NoAnswer>>,
    ) -> Result<T, NoAnswer> {
        let answer = timeout(self.patience, lookup).await;
        let answer = answer.unwrap_or_else(|_| Err(NoAnswer::silent()));
        if let Err(NoAnswer::Failed(why)) = &answer
            && [SILENT, UNREACHABLE].contains(&why.as_str())
        {
            self.doubt();
        }
        answer
    }
}

impl NoAnswer {
    fn silent() -> NoAnswer {
        NoAnswer::Failed(SILENT.to_owned())
    }

    fn unreachable() -> NoAnswer {
        NoAnswer::Failed(UNREACHABLE.to_owned())
    }
}

#[derive(Clone, Copy)]
enum Service {
    Direct,
    Starttls,
}

#[derive(Clone, Copy)]
enum Trusting {
    NameServers,
    Proofs,
}

/// The SRV records of a service.
async fn services(asking: &Asking, domain: &str, service: Service, trusting: Trusting) -> Answer {
    let mut name = match service {
        Service::Direct => format!("_xmpps-server._tcp.{domain}"),
        Service::Starttls => format!("_xmpp-server._tcp.{domain}"),
    };
    let ask = async |question: Question<'_>| match trusting {
        Trusting::NameServers => asking.believe(question).await,
        Trusting::Proofs => asking.verify(question).await,
    };
    let mut secure = true;
    // The library follows aliases to addresses, and loses services behind one.
    for _ in 0..=ALIASES_MAX {
        match ask(Question::Services(&name)).await {
            Ok(found) => {
                let (direct, secure) = (matches!(service, Service::Direct), secure && found.secure);
                let records = found.services.into_iter().map(|srv| Srv {
                    priority: srv.priority,
                    weight: srv.weight,
                    port: srv.port,
                    target: srv.host,
                    direct,
                    secure,
                });
                return Answer::Records(records.collect());
            }
            Err(NoAnswer::Failed(why)) => return Answer::Failed(why),
            Err(NoAnswer::Forged) => return Answer::Forged,
            Err(NoAnswer::Nothing) => {}
        }
        match ask(Question::Alias(&name)).await {
            Ok(Found {
                alias: Some(alias),
                secure: proven,
                ..
            }) => {
                name = alias;
                secure &= proven;
            }
            Err(NoAnswer::Failed(why)) => return Answer::Failed(why),
            Err(NoAnswer::Forged) => return Answer::Forged,
            Ok(_) | Err(NoAnswer::Nothing) => break,
        }
    }
    Answer::Nothing
}

async fn proven_host(asking: &Asking, host: &str, port: u16) -> Result<Host, NoAnswer> {
    let (v6, v4) = tokio::join!(
        asking.verify(Question::Addresses(host, Family::V6)),
        asking.verify(Question::Addresses(host, Family::V4)),
    );
    let v6 = match (v6, &v4) {
        // A translator's name server makes these up, and no signature is theirs.
        (Err(none @ (NoAnswer::Nothing | NoAnswer::Forged)), Ok(v4)) if v4.secure => {
            translated(asking, host, v4).await.ok_or(none)
        }
        (v6, _) => v6,
    };
    let mut known = Host {
        secure: true,
        ..Host::default()
    };
    let mut failed = None;
    for answer in [v6, v4] {
        match answer {
            Ok(found) => {
                known.secure &= found.secure;
                known.addresses.extend(addresses_of(found));
            }
            Err(NoAnswer::Nothing) => {}
            Err(NoAnswer::Forged) => return Err(NoAnswer::Forged),
            Err(failure) => failed = Some(failure),
        }
    }
    match failed {
        Some(failure) if known.addresses.is_empty() => return Err(failure),
        _ => known.secure &= !known.addresses.is_empty(),
    }
    if known.secure {
        let name = format!("_{port}._tcp.{host}");
        match asking.verify(Question::Certificates(&name)).await {
            Ok(found) if found.secure => known.tlsa = found.certificates,
            // §3.4: what is not signed counts as not there.
            Ok(_) | Err(NoAnswer::Nothing) => {}
            Err(other) => return Err(other),
        }
        known.tlsa.truncate(TLSA_RECORDS_MAX);
    }
    Ok(known)
}

/// Where proven IPv4 addresses are found in a network that has only IPv6 (RFC 6147, RFC 6052 §2.1): what the
/// name servers say about IPv6, as far as it is nothing but these behind the prefix that everybody knows.
async fn translated(asking: &Asking, host: &str, proven: &Found) -> Option<Found> {
    let believed = asking.believe(Question::Addresses(host, Family::V6)).await;
    let mut found = believed.ok()?;
    found.addresses.retain(|address| {
        let IpAddr::V6(address) = address else {
            return false;
        };
        let inside = match address.octets() {
            [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, inside @ ..] => IpAddr::from(inside),
            _ => return false,
        };
        proven.addresses.contains(&inside)
    });
    found.secure = true;
    (!found.addresses.is_empty()).then_some(found)
}

fn addresses_of(found: Found) -> Vec<IpAddr> {
    let mut addresses = found.addresses;
    addresses.truncate(ADDRESSES_MAX);
    addresses
}

/// The domain as name servers know it (RFC 5890). `None` for what cannot be one's name.
fn a_labels(domain: &str) -> Option<String> {
    let name = idna::domain_to_ascii(domain).ok()?;
    (!name.is_empty()).then_some(name)
}
