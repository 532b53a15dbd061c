//! A name server that takes dynamic updates (RFC 2136), signed with a shared key (RFC 8945).
//!
//! Each change is one message, which the server carries out whole or not at all (RFC 2136 §3.4), so a name
//! never stops saying something. Records have no number there: what a record says is its id. Everything goes
//! over TCP, signatures included, and an answer that is not signed with the key is believed only where it
//! says why not.

mod refusal;

use super::{
    exchange::{self, Line},
    hickory::{name_of, read, text_of, written},
    limits::{RECORDS_MAX, TRANSFER_MESSAGES_MAX},
    provider::{Asked, Failure, FailureKind, Provider},
    record::{Kept, Record},
    token::Token,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hickory_resolver::proto::{
    op::{Message, OpCode, Query, ResponseCode, UpdateMessage},
    rr::{
        self, DNSClass, Name, RData, RecordType, TSigVerifier, TSigner, rdata::tsig::TsigAlgorithm,
    },
};
use household::{Config, config};
use refusal::{lost, refused};
use server::world::Clock;
use std::{net::SocketAddr, sync::Arc};

/// Seconds that both clocks may differ (RFC 8945 §10: "recommended").
const FUDGE_S: u16 = 300;

pub struct Rfc2136 {
    server: SocketAddr,
    signer: TSigner,
    clock: Arc<dyn Clock>,
}

impl Rfc2136 {
    /// As `[dns]` says; the token is the secret in Base64.
    pub fn new(config: &Config, clock: Arc<dyn Clock>, token: &Token) -> Result<Rfc2136, Failure> {
        let dns = &config.dns;
        let fault = |text: &str, next| Failure::new(FailureKind::Setup, text, next);
        let server = dns.server.ok_or_else(|| {
            fault(
                "dns.server is empty",
                "write the address and port of the name server, like 192.0.2.1:53",
            )
        })?;
        let name = Name::from_ascii(&dns.tsig_name)
            .ok()
            .filter(|name| !name.is_root());
        let name = name.ok_or_else(|| {
            fault(
                "dns.tsig_name is not the name of a key",
                "write it as the name server has it",
            )
        })?;
        let key = STANDARD.decode(token.expose()).map_err(|_| {
            fault(
                "dns.token_file holds no key in Base64",
                "write the secret of the TSIG key there",
            )
        })?;
        let algorithm = match dns.tsig_algorithm {
            config::TsigAlgorithm::Sha256 => TsigAlgorithm::HmacSha256,
            config::TsigAlgorithm::Sha384 => TsigAlgorithm::HmacSha384,
            config::TsigAlgorithm::Sha512 => TsigAlgorithm::HmacSha512,
        };
        let signer = TSigner::new(key, algorithm, name, FUDGE_S)
            .map_err(|_| fault("the TSIG key cannot be used", "make one of hmac-sha256"))?;
        Ok(Rfc2136 {
            server,
            signer,
            clock,
        })
    }

    /// The zone of a domain, as its own SOA record or the one of an answer that there is none tells
    /// (RFC 2308 §2).
    async fn zone_of(&self, domain: &str) -> Result<String, Failure> {
        let name = name_of(domain).ok_or_else(|| nameless(domain))?;
        let answer = exchange::ask(self.server, name, RecordType::SOA).await;
        let answer = answer.map_err(|error| lost(self.server, &error))?;
        let mut records = answer.answers.iter().chain(&answer.authorities);
        let soa = records.find(|record| record.record_type() == RecordType::SOA);
        match soa.map(|soa| text_of(&soa.name)) {
            Some(zone) if answer.authoritative && is_in(domain, &zone) => Ok(zone),
            _ => Err(Failure::new(
                FailureKind::Zone,
                format!("the name server {} keeps no zone for {domain}", self.server),
                "make one there, or correct dns.server",
            )),
        }
    }

    async fn all(&self, zone: &str, names: &[String]) -> Result<Vec<Kept>, Failure> {
        match self.transfer(zone).await {
            Ok(Some(records)) => Ok(records),
            // Whoever may change a zone may not always have it whole.
            Ok(None) => self.each(names).await,
            Err(failure) => Err(failure),
        }
    }

    /// The whole zone (RFC 5936); `None` where it is not given away.
    async fn transfer(&self, zone: &str) -> Result<Option<Vec<Kept>>, Failure> {
        let name = name_of(zone).ok_or_else(|| nameless(zone))?;
        let mut question = exchange::question(name, RecordType::AXFR);
        let (mut line, mut verifier) = self.send(&mut question).await?;
        let (mut records, mut ends) = (Vec::new(), 0);
        for _ in 0..TRANSFER_MESSAGES_MAX {
            let bytes = line
                .receive()
                .await
                .map_err(|error| lost(self.server, &error))?;
            let Ok(answer) = Message::from_vec(&bytes) else {
                return Ok(None);
            };
            // Why it is not given matters only where the key is at fault, which a write will tell as well.
            let is_signed = verifier.verify(&bytes).is_ok();
            if !is_signed
                || answer.response_code != ResponseCode::NoError
                || answer.answers.is_empty()
            {
                return Ok(None);
            }
            for record in &answer.answers {
                if record.record_type() == RecordType::SOA {
                    ends += 1;
                } else if records.len() < RECORDS_MAX {
                    records.push(kept(read(record)));
                }
            }
            if ends > 1 {
                return Ok(Some(records));
            }
        }
        Ok(None)
    }

    /// What some names say, of the kinds that matter there.
    async fn each(&self, names: &[String]) -> Result<Vec<Kept>, Failure> {
        let mut records: Vec<Kept> = Vec::new();
        for text in names {
            let name = name_of(text).ok_or_else(|| nameless(text))?;
            let kinds: &[RecordType] = if text.contains("._tcp.") || text.contains("._udp.") {
                &[RecordType::SRV]
            } else if text.starts_with('_') {
                &[RecordType::TXT]
            } else {
                &[
                    RecordType::A,
                    RecordType::AAAA,
                    RecordType::CAA,
                    RecordType::TXT,
                ]
            };
            for kind in kinds {
                let answer = exchange::ask(self.server, name.clone(), *kind).await;
                let answer = answer.map_err(|error| lost(self.server, &error))?;
                // An alias comes with what it leads to.
                for record in answer
                    .answers
                    .iter()
                    .map(read)
                    .filter(|it| it.name == *text)
                {
                    let kept = kept(record);
                    if !records.contains(&kept) {
                        records.push(kept);
                    }
                }
            }
        }
        Ok(records)
    }

    /// Removes and adds in one message (RFC 2136 §2.5).
    async fn update(
        &self,
        zone: &str,
        gone: Option<&Record>,
        new: Option<&Record>,
    ) -> Result<(), Failure> {
        let name = name_of(zone).ok_or_else(|| nameless(zone))?;
        let mut message = Message::query();
        message.metadata.op_code = OpCode::Update;
        message.metadata.recursion_desired = false;
        message.add_zone(Query::query(name, RecordType::SOA));
        if let Some(record) = gone {
            // §2.5.4: "CLASS must be specified as NONE", "TTL must be specified as zero".
            let mut removal = ours(record)?;
            (removal.dns_class, removal.ttl) = (DNSClass::NONE, 0);
            message.add_update(removal);
        }
        if let Some(record) = new {
            message.add_update(ours(record)?);
        }
        let (mut line, mut verifier) = self.send(&mut message).await?;
        let bytes = line
            .receive()
            .await
            .map_err(|error| lost(self.server, &error))?;
        let answer = exchange::read(&bytes, &message).ok_or_else(|| self.nonsense())?;
        if verifier.verify(&bytes).is_err() {
            return Err(refused(self.server, &answer).unwrap_or_else(|| self.unsigned()));
        }
        refused(self.server, &answer).map_or(Ok(()), Err)
    }

    /// Signed, over a connection of its own.
    async fn send(&self, message: &mut Message) -> Result<(Line, TSigVerifier), Failure> {
        let signed = message.finalize(&self.signer, self.clock.now() / 1_000);
        let Ok(Some(verifier)) = signed else {
            let text = "a message to the name server cannot be signed";
            return Err(Failure::new(
                FailureKind::Setup,
                text,
                "make another TSIG key",
            ));
        };
        let bytes = message.to_vec().map_err(|_| self.nonsense())?;
        let opened = async {
            let mut line = Line::open(self.server).await?;
            line.send(&bytes).await?;
            Ok(line)
        };
        let line = opened.await.map_err(|error| lost(self.server, &error))?;
        Ok((line, verifier))
    }

    fn nonsense(&self) -> Failure {
        Failure::nonsense(format!(
            "the name server {} answers something else than it was asked",
            self.server
        ))
    }

    fn unsigned(&self) -> Failure {
        Failure::nonsense(format!(
            "an answer of {} is not signed with the key of both",
            self.server
        ))
    }
}

impl Provider for Rfc2136 {
    fn zone<'a>(&'a self, domain: &'a str) -> Asked<'a, String> {
        Box::pin(self.zone_of(domain))
    }

    fn records<'a>(&'a self, zone: &'a str, names: &'a [String]) -> Asked<'a, Vec<Kept>> {
        Box::pin(self.all(zone, names))
    }

    fn create<'a>(&'a self, zone: &'a str, record: &'a Record) -> Asked<'a, Kept> {
        Box::pin(async move {
            self.update(zone, None, Some(record)).await?;
            Ok(kept(record.clone()))
        })
    }

    fn change<'a>(&'a self, zone: &'a str, from: &'a Kept, to: &'a Record) -> Asked<'a, Kept> {
        Box::pin(async move {
            self.update(zone, Some(&from.record), Some(to)).await?;
            Ok(kept(to.clone()))
        })
    }

    fn remove<'a>(&'a self, zone: &'a str, kept: &'a Kept) -> Asked<'a, ()> {
        Box::pin(self.update(zone, Some(&kept.record), None))
    }
}

/// A record by what it says: a set has none twice (RFC 2181 §5).
fn kept(record: Record) -> Kept {
    let id = format!("{} {} {}", record.name, record.data.kind(), record.data);
    Kept { id, record }
}

fn ours(record: &Record) -> Result<rr::Record<RData>, Failure> {
    written(record).ok_or_else(|| {
        let text = format!("\"{record}\" is of a kind that this house does not write");
        Failure::new(FailureKind::Refused, text, "change it at the name server")
    })
}

/// Whether a name is that of a zone or below it.
fn is_in(name: &str, zone: &str) -> bool {
    let rest = name.strip_suffix(zone);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn nameless(name: &str) -> Failure {
    Failure::new(
        FailureKind::Setup,
        format!("{name} cannot be a name in the DNS"),
        "",
    )
}
