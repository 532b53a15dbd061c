//! `/http-bind`: BOSH over HTTP (XEP-0124 §5). What a request means is the server's.

use crate::{
    Peer,
    discovery::cors,
    limits::{
        COME_BACK_S, REQUEST_BYTES_ALL_MAX, REQUEST_BYTES_PER_HOUSEHOLD_MAX, REQUEST_WAIT_MAX,
    },
    patience::is_late,
    shares::Shares,
    upload::drain,
};
use axum::{
    Extension,
    body::{Body, HttpBody},
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{ACCESS_CONTROL_MAX_AGE, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use server::{
    bosh::limits::{BODY_BYTES_MAX, WRAPPER_BYTES_MAX},
    listen::{ClientDoor, Secured},
};
use std::{future::poll_fn, pin::Pin};
use tokio::time::timeout;

/// The address on the https listener.
pub(crate) const PATH: &str = "/http-bind";

/// Pages from anywhere may be clients: who they are, they say with a password and not with a cookie.
const CORS: [(HeaderName, HeaderValue); 3] = cors("GET, HEAD, POST, OPTIONS");

/// Answers a client. Its Content-Type says nothing (§5).
pub(crate) async fn post(
    Extension(door): Extension<ClientDoor>,
    Extension(peer): Extension<Peer>,
    Extension(Coming(coming)): Extension<Coming>,
    secured: Option<Extension<Secured>>,
    request: Request,
) -> Response {
    let Some(visitor) = peer.over(secured) else {
        return (StatusCode::FORBIDDEN, CORS, "Only over https.\n").into_response();
    };
    let Some(mut share) = coming.take(peer.0.ip(), announced(request.headers())) else {
        let text = "Many requests are on their way: try again in a moment.\n";
        let later = [(RETRY_AFTER, HeaderValue::from(COME_BACK_S))];
        return (StatusCode::SERVICE_UNAVAILABLE, CORS, later, text).into_response();
    };
    let body = timeout(REQUEST_WAIT_MAX, gather(request.into_body())).await;
    let answer = match body.unwrap_or(Err(Unread::Late)) {
        Ok(body) => {
            share.shrink(body.len() as u64);
            door.answer_bosh(&body, visitor).await
        }
        // §17.1: in the words of the protocol, which its author reads once all is sent.
        Err(Unread::Long(begin, rest)) => {
            tokio::spawn(drain(rest));
            door.refuse_bosh(&begin)
        }
        Err(Unread::Late) => return late(),
        Err(Unread::CutOff) => {
            let text = "The request did not come whole.\n";
            return (StatusCode::BAD_REQUEST, CORS, text).into_response();
        }
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, CORS, answer.body).into_response();
    // It was checked when the client asked for it.
    if let Ok(kind) = HeaderValue::from_str(&answer.content_type) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

/// The bytes of requests that are on their way in, and whose they are.
#[derive(Clone)]
pub(crate) struct Coming(Shares);

impl Default for Coming {
    fn default() -> Coming {
        Coming(Shares::new(
            REQUEST_BYTES_ALL_MAX,
            REQUEST_BYTES_PER_HOUSEHOLD_MAX,
        ))
    }
}

/// How long a request is, as far as it says so, and as it may be.
fn announced(headers: &HeaderMap) -> u64 {
    let length = headers.get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    length.unwrap_or(u64::MAX).min(BODY_BYTES_MAX as u64)
}

/// Why there is no whole request.
enum Unread {
    /// It is longer than any may be: how it begins, and what is still to come.
    Long(Vec<u8>, Body),
    /// It stood still.
    Late,
    CutOff,
}

async fn gather(mut body: Body) -> Result<Vec<u8>, Unread> {
    let is_long = body.size_hint().lower() > BODY_BYTES_MAX as u64;
    let bytes_max = if is_long { 0 } else { BODY_BYTES_MAX };
    let mut whole = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| {
            if is_late(&error) {
                Unread::Late
            } else {
                Unread::CutOff
            }
        })?;
        // Trailers are for nobody here.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if whole.len() + data.len() > bytes_max {
            let rest = WRAPPER_BYTES_MAX.saturating_sub(whole.len());
            whole.extend_from_slice(&data[..rest.min(data.len())]);
            whole.truncate(WRAPPER_BYTES_MAX);
            return Err(Unread::Long(whole, body));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole)
}

fn late() -> Response {
    let text = "The request came too slowly.\n";
    (StatusCode::REQUEST_TIMEOUT, CORS, text).into_response()
}

/// For a person who looks.
pub(crate) async fn get() -> Response {
    let text =
        "Chat apps connect here by BOSH (XEP-0124). There is nothing to see for a browser.\n";
    (CORS, text).into_response()
}

/// What a browser asks before it asks.
pub(crate) async fn options() -> Response {
    let a_day = [(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"))];
    (CORS, a_day).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::ACCESS_CONTROL_ALLOW_ORIGIN;

    #[test]
    fn a_request_counts_as_long_as_it_may_be() {
        let max = BODY_BYTES_MAX as u64;
        for (length, expected) in [
            (None, max),
            (Some("0"), 0),
            (Some("150"), 150),
            (Some("99999999999999999999999"), max),
            (Some("-1"), max),
            (Some("1000000000"), max),
        ] {
            let length = length.map(|length| (CONTENT_LENGTH, HeaderValue::from_static(length)));
            let headers = length.into_iter().collect();
            assert_eq!(announced(&headers), expected, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn of_what_is_too_long_the_beginning_is_read() {
        for (bytes, begins) in [
            (0, None),
            (BODY_BYTES_MAX, None),
            (BODY_BYTES_MAX + 1, Some(WRAPPER_BYTES_MAX)),
        ] {
            match (gather(Body::from(vec![b'a'; bytes])).await, begins) {
                (Ok(whole), None) => assert_eq!(whole.len(), bytes),
                (Err(Unread::Long(begin, _)), Some(begins)) => assert_eq!(begin.len(), begins),
                _ => panic!("{bytes} bytes"),
            }
        }
    }

    /// What the compliance testers ask of a link that host-meta gives: 200, and for everybody.
    #[tokio::test]
    async fn pages_from_anywhere_may_ask() {
        for answer in [options().await, get().await] {
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        }
    }
}
