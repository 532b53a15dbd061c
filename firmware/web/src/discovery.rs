//! `/.well-known/host-meta` and `host-meta.json`: where apps in browsers find BOSH and WebSockets (XEP-0156
//! §2, RFC 6415).

use crate::{bosh, websocket};
use axum::{
    Extension, Json,
    http::{
        HeaderName, HeaderValue,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE,
        },
    },
    response::{IntoResponse, Response},
};
use serde_json::json;
use server::Server;
use std::sync::Arc;

/// Pages from anywhere may ask: there is nothing here that is not for everybody (§3).
pub(crate) const CORS: [(HeaderName, HeaderValue); 3] = cors("GET, HEAD, OPTIONS");

/// Lets pages from anywhere use these methods.
pub(crate) const fn cors(methods: &'static str) -> [(HeaderName, HeaderValue); 3] {
    [
        (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(methods),
        ),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("content-type, accept"),
        ),
    ]
}

/// What is found, and where.
fn links(server: &Server) -> Vec<(&'static str, String)> {
    let Some(address) = server.web_address() else {
        return vec![];
    };
    vec![
        (
            "urn:xmpp:alt-connections:xbosh",
            format!("{address}{}", bosh::PATH),
        ),
        (
            "urn:xmpp:alt-connections:websocket",
            format!(
                "wss{}{}",
                address.trim_start_matches("https"),
                websocket::PATH
            ),
        ),
    ]
}

pub(crate) async fn xml(Extension(server): Extension<Arc<Server>>) -> Response {
    let mut text = String::from(
        "<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\n",
    );
    for (rel, href) in links(&server) {
        text.push_str(&format!("  <Link rel='{rel}' href='{href}'/>\n"));
    }
    text.push_str("</XRD>\n");
    (CORS, [(CONTENT_TYPE, "application/xrd+xml")], text).into_response()
}

pub(crate) async fn json(Extension(server): Extension<Arc<Server>>) -> Response {
    let links = links(&server);
    let links = links.into_iter();
    let links: Vec<_> = links
        .map(|(rel, href)| json!({ "rel": rel, "href": href }))
        .collect();
    (CORS, Json(json!({ "links": links }))).into_response()
}

/// What a browser asks before it asks. Some testers want to see 200.
pub(crate) async fn options() -> Response {
    CORS.into_response()
}
