//! Why DigitalOcean did not do something, in words that lead on.

use super::{
    super::{
        limits::AGAIN_SAID_MAX,
        provider::{Failure, FailureKind, shortened},
    },
    Call,
};
use crate::http::{Error, ErrorKind, Reply};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use server::world::Timestamp;
use std::time::Duration;

pub(super) const NAME: &str = "DigitalOcean";

/// No answer.
pub(super) fn unreachable(error: &Error) -> Failure {
    let (kind, next) = match error.kind() {
        ErrorKind::Address => (FailureKind::Setup, "correct dns.api_base"),
        ErrorKind::Certificate => (
            FailureKind::Down,
            "if the clock of this machine is right, somebody stands between: nothing was told to them",
        ),
        ErrorKind::Nonsense => (FailureKind::Nonsense, "it is asked again"),
        _ => (
            FailureKind::Down,
            "it is asked again; is this house connected to the internet?",
        ),
    };
    Failure::new(kind, format!("{NAME} does not answer: {error}"), next)
}

/// An answer that is neither a success nor 404.
pub(super) fn refused(call: Call, reply: &Reply, now: Timestamp) -> Failure {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let said = serde_json::from_slice::<Refusal>(&reply.body);
    let said = said.map_or_else(|_| reply.status.to_string(), |it| shortened(&it.message));
    let mut failure = match reply.status {
        StatusCode::UNAUTHORIZED => Failure::new(
            FailureKind::Token,
            format!("{NAME} does not take the token: {said}"),
            "it may have run out or been removed: make a new one there and write it into dns.token_file",
        ),
        StatusCode::FORBIDDEN => {
            let (verb, scope) = match call {
                Call::Read => ("read", "domain:read"),
                Call::Create => ("create", "domain:create"),
                Call::Update => ("change", "domain:update"),
                Call::Delete => ("remove", "domain:delete"),
            };
            let next = format!(
                "make a token with the scopes domain:read, domain:create, domain:update and domain:delete: \
                 {scope} is missing"
            );
            let text = format!("{NAME} does not let this token {verb} records");
            Failure::new(FailureKind::Scope, text, &next)
        }
        StatusCode::TOO_MANY_REQUESTS => Failure::new(
            FailureKind::Busy,
            format!("{NAME} had too many requests with this token"),
            "it is asked again when it allows; what else uses the token?",
        ),
        status if status.is_server_error() => Failure::new(
            FailureKind::Down,
            format!("{NAME} is out of order: {said}"),
            "it is asked again",
        ),
        status if status.is_client_error() => Failure::new(
            FailureKind::Refused,
            format!("{NAME} does not take a record: {said}"),
            "look at the record there",
        ),
        status => Failure::nonsense(format!("{NAME} answers with status {status}")),
    };
    failure.again = again(&reply.headers, now);
    failure
}

/// When to ask again: `retry-after` where there is one, else when the first of the last requests is forgotten
/// and none is left.
fn again(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let number = |name| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let seconds = number("retry-after").or_else(|| {
        let is_out = number("ratelimit-remaining") == Some(0);
        let reset = number("ratelimit-reset").filter(|_| is_out)?;
        Some(reset.saturating_sub(now / 1_000).max(1))
    })?;
    Some(Duration::from_secs(seconds).min(AGAIN_SAID_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderValue;

    fn reply(status: u16, body: &str, headers: &[(&'static str, &'static str)]) -> Reply {
        let headers = headers.iter().map(|(name, value)| {
            (
                http::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers.collect(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn check(call: Call, status: u16, body: &str, kind: FailureKind, part: &str) {
        let failure = refused(call, &reply(status, body, &[]), 0);
        assert_eq!(failure.kind, kind, "{status}");
        let text = failure.to_string();
        assert!(text.contains(part) && text.len() < 500, "{text}");
    }

    #[test]
    fn a_scope_that_is_missing_is_told() {
        use FailureKind::Scope;
        check(Call::Read, 403, "", Scope, "read records; make a token");
        check(Call::Create, 403, "", Scope, "domain:create is missing");
        check(Call::Update, 403, "", Scope, "change records");
        check(Call::Delete, 403, "", Scope, "domain:delete is missing");
    }

    #[test]
    fn each_refusal_leads_on() {
        use FailureKind::{Busy, Down, Nonsense, Refused, Token};
        let long = format!("{{\"id\":\"x\",\"message\":\"a\\n{}\"}}", "b".repeat(9_999));
        let json = "{\"id\":\"x\",\"message\":\"Unable to do so\"}";
        check(Call::Read, 401, json, Token, "the token: Unable to do so;");
        check(Call::Create, 422, json, Refused, "record: Unable to do so");
        check(Call::Create, 422, &long, Refused, "record: abbb");
        check(Call::Create, 429, "", Busy, "too many requests");
        check(Call::Read, 503, "<html>", Down, "503 Service Unavailable");
        check(Call::Read, 302, "", Nonsense, "status 302");
    }

    #[test]
    fn when_to_ask_again() {
        let now = 1_700_000_000_000;
        for (headers, expected) in [
            (&[][..], None),
            (&[("retry-after", "30")][..], Some(30)),
            (&[("retry-after", "soon")][..], None),
            (&[("retry-after", "99999999999")][..], Some(7_200)),
            (
                &[
                    ("ratelimit-remaining", "0"),
                    ("ratelimit-reset", "1700000090"),
                ][..],
                Some(90),
            ),
            (
                &[("ratelimit-remaining", "0"), ("ratelimit-reset", "1")][..],
                Some(1),
            ),
            (
                &[
                    ("ratelimit-remaining", "7"),
                    ("ratelimit-reset", "1700000090"),
                ][..],
                None,
            ),
        ] {
            let failure = refused(Call::Read, &reply(429, "", headers), now);
            assert_eq!(
                failure.again,
                expected.map(Duration::from_secs),
                "{headers:?}"
            );
        }
    }
}
