//! `/http-bind`: BOSH over HTTP (XEP-0124 §5). What a request means is the server's.

use crate::{Peer, discovery::cors};
use axum::{
    Extension,
    body::Bytes,
    extract::rejection::BytesRejection,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{ACCESS_CONTROL_MAX_AGE, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use server::listen::{ClientDoor, Secured};

/// The address on the https listener.
pub(crate) const PATH: &str = "/http-bind";

/// Pages from anywhere may be clients: who they are, they say with a password and not with a cookie.
const CORS: [(HeaderName, HeaderValue); 3] = cors("GET, HEAD, POST, OPTIONS");

/// Answers a client. Its Content-Type says nothing (§5).
pub(crate) async fn post(
    Extension(door): Extension<ClientDoor>,
    Extension(peer): Extension<Peer>,
    secured: Option<Extension<Secured>>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Some(visitor) = peer.over(secured) else {
        return elsewhere(&door);
    };
    let body = match body {
        Ok(body) => body,
        Err(rejection) => {
            let status = rejection.status();
            let text = if status == StatusCode::PAYLOAD_TOO_LARGE {
                "A request has at most the largest stanza and its wrapper.\n"
            } else {
                "The request did not come whole.\n"
            };
            return (status, CORS, text).into_response();
        }
    };
    // What is no text is no body either, and is told so in the words of the protocol.
    let text = std::str::from_utf8(&body).unwrap_or_default();
    let answer = door.answer_bosh(text, visitor).await;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, CORS, answer.body).into_response();
    // It was checked when the client asked for it.
    if let Ok(kind) = HeaderValue::from_str(&answer.content_type) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

/// Without TLS nobody is asked for a password (§17.2, `see-other-uri`).
fn elsewhere(door: &ClientDoor) -> Response {
    let Some(address) = door.server().web_address() else {
        return (StatusCode::FORBIDDEN, CORS, "Only over https.\n").into_response();
    };
    let body = format!(
        "<body xmlns='http://jabber.org/protocol/httpbind' type='terminate' condition='see-other-uri'>\
         <uri>{address}{PATH}</uri></body>"
    );
    (CORS, [(CONTENT_TYPE, "text/xml; charset=utf-8")], body).into_response()
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
    (StatusCode::NO_CONTENT, CORS, a_day).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::ACCESS_CONTROL_ALLOW_ORIGIN;

    /// What the compliance testers ask of a link that host-meta gives: 299 at most, and for everybody.
    #[tokio::test]
    async fn pages_from_anywhere_may_ask() {
        for (answer, status) in [(options().await, 204), (get().await, 200)] {
            assert_eq!(answer.status().as_u16(), status);
            assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        }
    }
}
