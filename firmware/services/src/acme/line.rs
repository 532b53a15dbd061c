//! The line to an authority: our own client of HTTP below the one that speaks ACME, and what is heard on it
//! in passing.

use super::challenge::Doing;
use crate::http::{Error, Http, Reply};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use jiff::fmt::rfc2822::DateTimeParser;
use serde::Deserialize;
use server::world::{Clock, Timestamp};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Whoever sends requests to authorities.
pub trait Outside: Send + Sync {
    fn send(&self, request: Request<Bytes>) -> Doing<'static, Result<Reply, Error>>;
}

impl Outside for Http {
    fn send(&self, request: Request<Bytes>) -> Doing<'static, Result<Reply, Error>> {
        let http = self.clone();
        Box::pin(async move { Http::send(&http, request).await })
    }
}

/// For one attempt. A clone is the same one.
#[derive(Clone)]
pub(super) struct Line {
    outside: Arc<dyn Outside>,
    clock: Arc<dyn Clock>,
    heard: Arc<Mutex<Heard>>,
}

/// What instant-acme does not pass on.
#[derive(Default)]
struct Heard {
    /// When the authority wants to be asked again, of its last answer (RFC 8555 §6.6, §7.5.1).
    again: Option<Timestamp>,
    /// `caaIdentities` of its directory (RFC 8555 §7.1.1).
    identities: Vec<String>,
}

#[derive(Deserialize)]
struct Directory {
    #[serde(default)]
    meta: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    #[serde(rename = "caaIdentities")]
    caa_identities: Vec<String>,
}

impl Line {
    pub(super) fn new(outside: Arc<dyn Outside>, clock: Arc<dyn Clock>) -> Line {
        Line {
            outside,
            clock,
            heard: Arc::default(),
        }
    }

    /// When the authority wants to be asked again, if it said so with its last answer.
    pub(super) fn again(&self) -> Option<Timestamp> {
        self.heard().again
    }

    /// Domains by which CAA records name the authority.
    pub(super) fn identities(&self) -> Vec<String> {
        self.heard().identities.clone()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, reply: &Reply) {
        let text = reply.headers.get(header::RETRY_AFTER);
        let text = text.and_then(|value| value.to_str().ok());
        let mut heard = self.heard();
        heard.again = text.and_then(|text| moment(text, self.clock.now()));
        // Of all objects of ACME the directory alone has this.
        if let Ok(directory) = serde_json::from_slice::<Directory>(&reply.body)
            && !directory.meta.caa_identities.is_empty()
        {
            heard.identities = directory.meta.caa_identities;
        }
    }

    async fn pass(
        self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Result<BytesResponse, instant_acme::Error> {
        let (mut parts, body) = request.into_parts();
        let Ok(body) = body.collect().await;
        // Ours is told instead (RFC 8555 §6.1).
        parts.headers.remove(header::USER_AGENT);
        let request = Request::from_parts(parts, body.to_bytes());
        let reply = self.outside.send(request).await;
        let reply = reply.map_err(|error| instant_acme::Error::Other(Box::new(error)))?;
        self.note(&reply);
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.status = reply.status;
        parts.headers = reply.headers;
        Ok(BytesResponse {
            parts,
            body: Box::new(reply.body),
        })
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>>;

impl HttpClient for Line {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answering {
        Box::pin(self.clone().pass(request))
    }
}

/// `Retry-After` (RFC 9110 §10.2.3): seconds, or a date.
fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(now.saturating_add(seconds.saturating_mul(1_000)));
    }
    let date = DateTimeParser::new().parse_timestamp(text).ok()?;
    u64::try_from(date.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (text, expected) in [
            ("120", Some(1_000_120_000)),
            (" 0 ", Some(1_000_000_000)),
            ("99999999999999999999", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(946_684_799_000)),
            ("Thu, 01 Jan 1969 00:00:00 GMT", None),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            assert_eq!(moment(text, 1_000_000_000), expected, "{text}");
        }
    }
}
