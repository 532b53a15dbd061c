//! A name server on loopback that says what a test tells it, true or not, signed or not.
//!
//! State: a [`NameServer`] owns a UDP socket, a task that answers, and the table of records, which a test may
//! replace while it runs. Everything is in one zone, the root; what is signed is signed with its key.

mod signing;

use anyhow::{Context, Result, bail};
use hickory_resolver::proto::{
    dnssec::TrustAnchors,
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{
            SOA, SRV, TLSA,
            name::{CNAME, NS},
        },
    },
};
use signing::Key;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{net::UdpSocket, task::JoinHandle};

/// Seconds for which answers may be kept.
const TTL: u32 = 300;
/// Aliases in one answer.
const ALIASES_MAX: usize = 8;
/// Bytes of a question.
const QUESTION_BYTES_MAX: usize = 4_096;

/// A name server. It stops when it is dropped.
pub struct NameServer {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    table: Mutex<Table>,
    key: Option<Key>,
    asked: Mutex<BTreeMap<(Name, RecordType), usize>>,
}

/// The records, one a line: `name TYPE data`, without dots at the end.
///
/// ```text
/// _xmpp-server._tcp.far.example SRV 10 5 5269 xmpp.far.example
/// xmpp.far.example              A 127.0.0.7
/// _5269._tcp.xmpp.far.example   TLSA 3 1 1 0123abcd
/// www.far.example               CNAME xmpp.far.example
/// slow.example                  SILENT           nothing at or below it is answered
/// slow.example                  SILENT AAAA      only this type
/// sick.example                  SERVFAIL         likewise
/// plain.example                 UNSIGNED         in a signed zone: a zone below it without signatures
/// false.example                 FORGED           likewise: records whose signatures are missing
/// ```
#[derive(Default)]
struct Table {
    records: BTreeMap<(Name, RecordType), Vec<RData>>,
    /// What is done about names at or below this one.
    faults: Vec<(Name, Option<RecordType>, Fault)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Silent,
    Failing,
    Unsigned,
    Forged,
}

impl NameServer {
    /// A name server like a home router's: no signatures.
    pub async fn start(records: &str) -> Result<NameServer> {
        NameServer::run(records, None).await
    }

    /// One whose records are signed, see [`NameServer::anchors`].
    pub async fn start_signed(records: &str) -> Result<NameServer> {
        NameServer::run(records, Some(Key::new()?)).await
    }

    async fn run(records: &str, key: Option<Key>) -> Result<NameServer> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let state = Arc::new(State {
            table: Mutex::new(Table::parse(records)?),
            key,
            asked: Mutex::default(),
        });
        let answering = state.clone();
        let task = tokio::spawn(async move {
            let mut question = vec![0; QUESTION_BYTES_MAX];
            while let Ok((length, from)) = socket.recv_from(&mut question).await {
                if let Some(answer) = answering.answer(&question[..length]) {
                    // Who asked may be gone.
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Ok(NameServer {
            address,
            state,
            task,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a resolver must trust to find the signatures good.
    pub fn anchors(&self) -> Arc<TrustAnchors> {
        let mut anchors = TrustAnchors::empty();
        if let Some(key) = &self.state.key {
            anchors.insert(key.public());
        }
        Arc::new(anchors)
    }

    /// Says something else from now on.
    pub fn replace(&self, records: &str) -> Result<()> {
        *self
            .state
            .table
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Table::parse(records)?;
        Ok(())
    }

    /// How often this was asked.
    pub fn asked(&self, name: &str, kind: RecordType) -> Result<usize> {
        let asked = self
            .state
            .asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(asked.get(&(parse_name(name)?, kind)).copied().unwrap_or(0))
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let question = Message::from_vec(question).ok()?;
        let query = question.queries.first()?.clone();
        let (name, kind) = (query.name().to_lowercase(), query.query_type());
        let count = &mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        *count.entry((name.clone(), kind)).or_default() += 1;

        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = table.fault(&name, kind);
        let mut answer = question.clone().into_response();
        answer.metadata.recursion_available = true;
        match fault {
            Some((_, Fault::Silent)) => return None,
            Some((_, Fault::Failing)) => answer.metadata.response_code = ResponseCode::ServFail,
            _ => {
                let proofs = question
                    .edns
                    .as_ref()
                    .is_some_and(|edns| edns.flags().dnssec_ok);
                let key = self.key.as_ref().filter(|_| proofs);
                table.fill(&mut answer, (&name, kind), fault, key);
            }
        }
        answer.to_vec().ok()
    }
}

impl Table {
    fn parse(text: &str) -> Result<Table> {
        let mut table = Table::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, kind, data @ ..] = &*words else {
                continue;
            };
            let name = parse_name(name)?;
            let fault = match *kind {
                "SILENT" => Some(Fault::Silent),
                "SERVFAIL" => Some(Fault::Failing),
                "UNSIGNED" => Some(Fault::Unsigned),
                "FORGED" => Some(Fault::Forged),
                _ => None,
            };
            if let Some(fault) = fault {
                let of = data.first().map(|kind| kind.parse()).transpose()?;
                table.faults.push((name, of, fault));
                continue;
            }
            let data = parse_data(kind, data).with_context(|| format!("record: {line}"))?;
            let place = (name, data.record_type());
            table.records.entry(place).or_default().push(data);
        }
        Ok(table)
    }

    /// What is wrong with this name, and from which name down.
    fn fault(&self, name: &Name, kind: RecordType) -> Option<(Name, Fault)> {
        let hit = |(above, of, _): &&(Name, Option<RecordType>, Fault)| {
            above.zone_of(name) && of.is_none_or(|of| of == kind)
        };
        let found = self.faults.iter().find(hit)?;
        Some((found.0.clone(), found.2))
    }

    fn fill(
        &self,
        answer: &mut Message,
        (name, kind): (&Name, RecordType),
        fault: Option<(Name, Fault)>,
        key: Option<&Key>,
    ) {
        let unsigned = fault
            .as_ref()
            .filter(|(_, fault)| *fault == Fault::Unsigned);
        let forged = matches!(fault, Some((_, Fault::Forged)));
        let cut = unsigned.map(|(zone, _)| zone);
        // That a zone has no keys is said above it, with a signature.
        let signer = key.filter(|_| !forged && (cut.is_none() || kind == RecordType::DS));
        let mut at = name.clone();
        // Aliases are followed as a resolver would, which gives up on those that lead nowhere.
        for _ in 0..ALIASES_MAX {
            let Some(target) = self.alias(&at).filter(|_| kind != RecordType::CNAME) else {
                break;
            };
            let alias = RData::CNAME(CNAME(target.clone()));
            answer.add_answers(signed(vec![record(&at, alias)], signer));
            at = target;
        }
        if let Some(found) = self.found(&at, kind, cut, key) {
            let records = found.into_iter().map(|data| record(&at, data));
            answer.add_answers(signed(records.collect(), signer));
            return;
        }
        let zone = cut
            .filter(|_| kind != RecordType::DS)
            .cloned()
            .unwrap_or_default();
        answer.add_authorities(signed(vec![record(&zone, soa())], signer));
        let exists = self.records.keys().any(|(known, _)| at.zone_of(known));
        match signer {
            Some(signer) => {
                let types = self.records.keys().filter(|(known, _)| *known == at);
                let mut types: Vec<RecordType> = types.map(|(_, kind)| *kind).collect();
                if cut.is_some() {
                    types.push(RecordType::NS);
                }
                let denial = record(&at, signing::nothing_else(&at, types));
                answer.add_authorities(signed(vec![denial], Some(signer)));
            }
            None if exists || cut.is_some() => {}
            None => answer.metadata.response_code = ResponseCode::NXDomain,
        }
    }

    fn alias(&self, name: &Name) -> Option<Name> {
        match self
            .records
            .get(&(name.clone(), RecordType::CNAME))?
            .first()?
        {
            RData::CNAME(target) => Some(target.0.clone()),
            _ => None,
        }
    }

    /// The table's records, and those that a zone has by itself.
    fn found(
        &self,
        name: &Name,
        kind: RecordType,
        cut: Option<&Name>,
        key: Option<&Key>,
    ) -> Option<Vec<RData>> {
        let apex = name.is_root() || cut == Some(name);
        match kind {
            RecordType::SOA if apex => Some(vec![soa()]),
            RecordType::NS if apex => Some(vec![RData::NS(NS(server()))]),
            RecordType::DNSKEY if name.is_root() => key.map(|key| vec![key.record()]),
            _ => self.records.get(&(name.clone(), kind)).cloned(),
        }
    }
}

fn record(name: &Name, data: RData) -> Record {
    Record::from_rdata(name.clone(), TTL, data)
}

/// The records with their signature.
fn signed(mut records: Vec<Record>, key: Option<&Key>) -> Vec<Record> {
    if let Some(signature) = key.and_then(|key| key.sign(&records)) {
        records.push(signature);
    }
    records
}

fn server() -> Name {
    Name::from_ascii("ns.test.").expect("a name")
}

fn soa() -> RData {
    RData::SOA(SOA::new(server(), server(), 1, 60, 60, 60, TTL))
}

fn parse_name(text: &str) -> Result<Name> {
    let dot = if text.ends_with('.') { "" } else { "." };
    Ok(Name::from_ascii(format!("{text}{dot}"))?.to_lowercase())
}

fn parse_data(kind: &str, words: &[&str]) -> Result<RData> {
    Ok(match (kind, words) {
        ("A", [address]) => RData::A(address.parse()?),
        ("AAAA", [address]) => RData::AAAA(address.parse()?),
        ("CNAME", [target]) => RData::CNAME(CNAME(parse_name(target)?)),
        ("SRV", [priority, weight, port, target]) => RData::SRV(SRV::new(
            priority.parse()?,
            weight.parse()?,
            port.parse()?,
            parse_name(target)?,
        )),
        ("TLSA", [usage, selector, matching, data]) => {
            let byte = |text: &str| text.parse::<u8>();
            let digits = data.as_bytes().chunks(2);
            let bytes = digits.map(|two| u8::from_str_radix(&String::from_utf8_lossy(two), 16));
            RData::TLSA(TLSA::new(
                byte(usage)?.into(),
                byte(selector)?.into(),
                byte(matching)?.into(),
                bytes.collect::<Result<_, _>>()?,
            ))
        }
        _ => bail!("unknown record type {kind}, or wrong data"),
    })
}
