//! `/xmpp-websocket`: the handshake of RFC 6455 §4.2 and RFC 7395 §3.1. What comes behind it is the server's,
//! from the first frame on.

use crate::{Peer, limits::WEBSOCKET_RETRY_S, serve::Line};
use axum::{
    Extension,
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            CONNECTION, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
            SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
        },
    },
    response::{IntoResponse, Response},
};
use hyper::upgrade::OnUpgrade;
use server::listen::{Admitted, ClientDoor, Secured};
use tracing::debug;
use xmpp::websocket;

/// The address on the https listener.
pub(crate) const PATH: &str = "/xmpp-websocket";

/// Its name among the protocols of WebSockets (RFC 7395 §3.1).
const PROTOCOL: &str = "xmpp";

/// The version of RFC 6455.
const VERSION: HeaderValue = HeaderValue::from_static("13");

/// What every answer of this address says that speaks of an upgrade (RFC 9110 §7.8).
const UPGRADES: [(HeaderName, HeaderValue); 2] = [
    (CONNECTION, HeaderValue::from_static("upgrade")),
    (UPGRADE, HeaderValue::from_static("websocket")),
];

/// Takes a client in.
pub(crate) async fn enter(
    Extension(door): Extension<ClientDoor>,
    Extension(peer): Extension<Peer>,
    secured: Option<Extension<Secured>>,
    mut request: Request,
) -> Response {
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let headers = request.headers();
    // Over HTTP/2 there is nothing to upgrade.
    let (Some(upgrade), &Method::GET, true) = (upgrade, request.method(), wants_one(headers))
    else {
        let text = "Chat apps connect here by WebSocket (RFC 7395). There is nothing to see for a browser.\n";
        return (StatusCode::UPGRADE_REQUIRED, UPGRADES, text).into_response();
    };
    let key = match key(headers) {
        Ok(key) => key,
        Err(refusal) => return refusal.into_response(),
    };
    // Without TLS nobody is asked for a password.
    let Some(visitor) = peer.over(secured) else {
        return (StatusCode::FORBIDDEN, "Only over https.\n").into_response();
    };
    let Some(admitted) = door.admit(visitor) else {
        let later = [(RETRY_AFTER, HeaderValue::from(WEBSOCKET_RETRY_S))];
        let text = "Too many are at the door who have not logged in yet.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, later, text).into_response();
    };
    tokio::spawn(go_over(upgrade, admitted, peer));
    let agreed = [
        (SEC_WEBSOCKET_ACCEPT, websocket::accept(key.as_bytes())),
        (SEC_WEBSOCKET_PROTOCOL, PROTOCOL.to_owned()),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, UPGRADES, agreed).into_response()
}

/// Whether somebody asks for a WebSocket (RFC 6455 §4.2.1, items 3 and 4).
fn wants_one(headers: &HeaderMap) -> bool {
    names(headers, UPGRADE, |name| {
        name.eq_ignore_ascii_case("websocket")
    }) && names(headers, CONNECTION, |name| {
        name.eq_ignore_ascii_case("upgrade")
    })
}

/// What is wrong with a handshake.
#[derive(Debug)]
enum Refusal {
    Version,
    Protocol,
    Key,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let text = match self {
            Refusal::Version => {
                let versions = [(SEC_WEBSOCKET_VERSION, VERSION)];
                let text = "Version 13 of WebSockets is spoken here (RFC 6455).\n";
                return (StatusCode::UPGRADE_REQUIRED, UPGRADES, versions, text).into_response();
            }
            Refusal::Protocol => {
                "Name the protocol: Sec-WebSocket-Protocol: xmpp (RFC 7395 §3.1).\n"
            }
            Refusal::Key => "There is no Sec-WebSocket-Key (RFC 6455 §4.2.1).\n",
        };
        (StatusCode::BAD_REQUEST, text).into_response()
    }
}

/// The key, where the rest is as it must be (items 5 to 8, and §4.2.2 item 4).
fn key(headers: &HeaderMap) -> Result<&HeaderValue, Refusal> {
    if headers.get(SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        return Err(Refusal::Version);
    }
    if !names(headers, SEC_WEBSOCKET_PROTOCOL, |name| name == PROTOCOL) {
        return Err(Refusal::Protocol);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY);
    key.filter(|key| !key.is_empty()).ok_or(Refusal::Key)
}

/// Whether one of the names in a header's lists is meant.
fn names(headers: &HeaderMap, header: HeaderName, is_meant: impl Fn(&str) -> bool) -> bool {
    let lists = headers.get_all(header).into_iter();
    let mut names = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','));
    names.any(|name| is_meant(name.trim()))
}

/// Waits until the answer has gone out, and hands the connection over.
async fn go_over(upgrade: OnUpgrade, admitted: Admitted, Peer(peer): Peer) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return debug!(%peer, %error, "no WebSocket"),
    };
    match upgraded.downcast::<Line>() {
        Ok(parts) => admitted.serve(parts.io.into_inner().into_inner(), &parts.read_buf),
        Err(_) => debug!(%peer, "no connection that can be a WebSocket"),
    }
}
