//! DigitalOcean's API, version 2. Its records are a plain list: no sets, no transactions, no versions.
//!
//! An address is changed by PATCH on the record that is there, never by removing and making it anew. Pages
//! are counted here instead of following the links of an answer, which could lead the token elsewhere.

mod refusal;
mod wire;

use super::{
    limits::{PAGE_RECORDS, PAGES_MAX, ZONE_LABELS_MAX},
    provider::{Asked, Failure, FailureKind, Provider},
    record::{Kept, Record},
    token::Token,
};
use crate::http::Http;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use refusal::{NAME, refused, unreachable};
use serde::de::DeserializeOwned;
use server::world::Clock;
use std::{collections::BTreeSet, sync::Arc};

/// Where the API is, unless the configuration says otherwise.
pub const BASE: &str = "https://api.digitalocean.com";

pub struct DigitalOcean {
    http: Http,
    clock: Arc<dyn Clock>,
    base: String,
    token: Token,
}

/// What is asked for, and with it the scope that a token needs.
#[derive(Clone, Copy)]
enum Call {
    Read,
    Create,
    Update,
    Delete,
}

/// An answer, where there is one.
enum Said<T> {
    Yes(T),
    /// 404.
    NotThere,
}

impl DigitalOcean {
    /// `base` is empty for the provider's own.
    pub fn new(http: Http, clock: Arc<dyn Clock>, base: &str, token: Token) -> DigitalOcean {
        let base = if base.is_empty() { BASE } else { base };
        DigitalOcean {
            http,
            clock,
            base: base.trim_end_matches('/').to_owned(),
            token,
        }
    }

    /// One request and its answer. An answer without a body is for [`DigitalOcean::remove_record`] alone.
    async fn ask(&self, call: Call, path: &str, body: String) -> Result<Said<Bytes>, Failure> {
        let method = match call {
            Call::Read => Method::GET,
            Call::Create => Method::POST,
            Call::Update => Method::PATCH,
            Call::Delete => Method::DELETE,
        };
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", self.token.expose()))
            .map_err(|_| {
                Failure::new(
                    FailureKind::Setup,
                    "the token has signs that no token has",
                    "",
                )
            })?;
        bearer.set_sensitive(true);
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/v2/domains/{path}", self.base))
            .header(header::AUTHORIZATION, bearer)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from(body))
            .map_err(|_| {
                let text = format!("dns.api_base = \"{}\" is no address", self.base);
                Failure::new(
                    FailureKind::Setup,
                    text,
                    "write one like https://api.example",
                )
            })?;
        let reply = self
            .http
            .send(request)
            .await
            .map_err(|error| unreachable(&error))?;
        match reply.status {
            status if status.is_success() => Ok(Said::Yes(reply.body)),
            StatusCode::NOT_FOUND => Ok(Said::NotThere),
            _ => Err(refused(call, &reply, self.clock.now())),
        }
    }

    async fn zone_of(&self, domain: &str) -> Result<String, Failure> {
        let mut zone = domain;
        for _ in 0..ZONE_LABELS_MAX {
            if let Said::Yes(body) = self.ask(Call::Read, zone, String::new()).await? {
                let answer: wire::Domain = read(&body)?;
                if answer.domain.name.eq_ignore_ascii_case(zone) {
                    return Ok(zone.to_owned());
                }
                return Err(Failure::nonsense(format!(
                    "{NAME} was asked for {zone} and names another"
                )));
            }
            match zone.split_once('.') {
                // Nobody has a whole top level domain there.
                Some((_, above)) if above.contains('.') => zone = above,
                _ => break,
            }
        }
        Err(unknown(domain))
    }

    async fn all(&self, zone: &str) -> Result<Vec<Kept>, Failure> {
        // A record that is made or removed meanwhile shifts the others from page to page.
        match self.pages(zone).await? {
            (kept, true) => Ok(kept),
            (_, false) => match self.pages(zone).await? {
                (kept, true) => Ok(kept),
                (_, false) => Err(Failure::nonsense(format!(
                    "{NAME} lists another number of records than it says there are"
                ))),
            },
        }
    }

    /// All records, and whether they are as many as there should be.
    async fn pages(&self, zone: &str) -> Result<(Vec<Kept>, bool), Failure> {
        let (mut records, mut seen) = (Vec::new(), BTreeSet::new());
        for page in 1..=PAGES_MAX {
            let path = format!("{zone}/records?per_page={PAGE_RECORDS}&page={page}");
            let Said::Yes(body) = self.ask(Call::Read, &path, String::new()).await? else {
                return Err(unknown(zone));
            };
            let answer: wire::Page = read(&body)?;
            let is_last = !answer.has_next() || answer.domain_records.is_empty();
            for record in answer.domain_records {
                if seen.insert(record.id) {
                    records.push(record.kept(zone));
                }
            }
            if is_last {
                let is_whole = answer
                    .meta
                    .is_none_or(|meta| meta.total == records.len() as u64);
                return Ok((records, is_whole));
            }
        }
        let text = format!("the zone {zone} has more records at {NAME} than this house looks at");
        Err(Failure::new(
            FailureKind::Nonsense,
            text,
            "give the house a zone of its own",
        ))
    }

    /// What was written, if it is what was meant.
    fn written(body: &Bytes, zone: &str, meant: &Record) -> Result<Kept, Failure> {
        let answer: wire::One = read(body)?;
        let kept = answer.domain_record.kept(zone);
        if kept.record.says_same(meant) {
            Ok(kept)
        } else {
            Err(Failure::nonsense(format!(
                "{NAME} was told \"{meant}\" and answered with another record"
            )))
        }
    }

    async fn make(&self, zone: &str, record: &Record) -> Result<Kept, Failure> {
        let body = wire::body(record, zone);
        match self
            .ask(Call::Create, &format!("{zone}/records"), body)
            .await?
        {
            Said::Yes(body) => Self::written(&body, zone, record),
            Said::NotThere => Err(unknown(zone)),
        }
    }

    async fn patch(&self, zone: &str, kept: &Kept, to: &Record) -> Result<Kept, Failure> {
        let path = format!("{zone}/records/{}", number(&kept.id)?);
        match self.ask(Call::Update, &path, wire::body(to, zone)).await? {
            Said::Yes(body) => match Self::written(&body, zone, to)? {
                written if written.id == kept.id => Ok(written),
                _ => Err(Failure::nonsense(format!(
                    "{NAME} changed another record than it was told to"
                ))),
            },
            Said::NotThere => Err(Failure::new(
                FailureKind::Gone,
                format!("the record \"{}\" is not at {NAME} any more", kept.record),
                "",
            )),
        }
    }

    async fn remove_record(&self, zone: &str, kept: &Kept) -> Result<(), Failure> {
        let path = format!("{zone}/records/{}", number(&kept.id)?);
        self.ask(Call::Delete, &path, String::new())
            .await
            .map(|_| ())
    }
}

impl Provider for DigitalOcean {
    fn zone<'a>(&'a self, domain: &'a str) -> Asked<'a, String> {
        Box::pin(self.zone_of(domain))
    }

    fn records<'a>(&'a self, zone: &'a str, _: &'a [String]) -> Asked<'a, Vec<Kept>> {
        Box::pin(self.all(zone))
    }

    fn create<'a>(&'a self, zone: &'a str, record: &'a Record) -> Asked<'a, Kept> {
        Box::pin(self.make(zone, record))
    }

    fn change<'a>(&'a self, zone: &'a str, kept: &'a Kept, to: &'a Record) -> Asked<'a, Kept> {
        Box::pin(self.patch(zone, kept, to))
    }

    fn remove<'a>(&'a self, zone: &'a str, kept: &'a Kept) -> Asked<'a, ()> {
        Box::pin(self.remove_record(zone, kept))
    }
}

/// A record's id is a number. Without one, a path would be that of the whole zone.
fn number(id: &str) -> Result<u64, Failure> {
    let number = id.parse().ok().filter(|id| *id != 0);
    number.ok_or_else(|| Failure::nonsense(format!("a record of {NAME} has no number")))
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|_| Failure::nonsense(format!("{NAME} answers something else than its API does")))
}

fn unknown(zone: &str) -> Failure {
    let text = format!("{NAME} has no zone for {zone}");
    let next =
        "add the domain there, under the account that the token is of, and check how it is written";
    Failure::new(FailureKind::Zone, text, next)
}
