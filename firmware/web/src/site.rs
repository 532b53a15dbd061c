//! What is served: the pages, `/healthz`, `/metrics`, and the headers that every answer carries.

use crate::{bosh, discovery, limits, metrics, plain, shares::Shares, websocket};
use axum::{
    Extension, Router,
    extract::{MatchedPath, Request},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, FORWARDED, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
    middleware::{Next, from_fn, map_response},
    response::{IntoResponse, Response},
    routing::get,
};
use household::{Health, Level, Numbers};
use server::{
    Visitor,
    listen::{ClientDoor, Secured},
};
use std::{net::SocketAddr, sync::Arc};
use tokio::{sync::watch, time::Instant};
use tracing::debug;

/// Everything that the web listeners serve. A clone is a count.
#[derive(Clone)]
pub struct Site {
    pub(crate) https: Router,
    /// What is there without TLS.
    pub(crate) http: Router,
    pub(crate) connections: Shares,
}

/// Who asks; an extension of every request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What `/healthz` and `/metrics` answer from.
struct State {
    version: &'static str,
    health: watch::Receiver<Health>,
    numbers: Box<dyn Fn() -> Numbers + Send + Sync>,
}

impl Site {
    /// The pages of `pages`, and the two addresses that programs ask. `numbers` is called for each
    /// `/metrics`; `address` is what every URL begins with, `None` where there is no https.
    pub fn new(
        version: &'static str,
        health: watch::Receiver<Health>,
        numbers: impl Fn() -> Numbers + Send + Sync + 'static,
        address: impl Fn() -> Option<String> + Clone + Send + Sync + 'static,
        pages: Router,
    ) -> Site {
        let state = Arc::new(State {
            version,
            health,
            numbers: Box::new(numbers),
        });
        let programs = Router::new()
            .route("/healthz", get(healthz))
            .route("/metrics", get(numbers_text))
            .layer(Extension(state));
        Site {
            https: complete(pages.merge(programs.clone())),
            http: complete(plain::router(address).merge(programs)),
            connections: Shares::new(
                limits::CONNECTIONS_MAX,
                limits::CONNECTIONS_PER_HOUSEHOLD_MAX,
            ),
        }
    }
}

impl Peer {
    /// As a client of chat, which is asked for a password over TLS alone.
    pub(crate) fn over(self, secured: Option<Extension<Secured>>) -> Option<Visitor> {
        secured.map(|Extension(secured)| Visitor {
            address: self.0.ip(),
            bindings: secured.bindings,
        })
    }
}

impl Site {
    /// With the doors for clients that come by HTTP, and the way to find them.
    #[must_use]
    pub fn with_clients(mut self, door: ClientDoor) -> Site {
        let server = door.server().clone();
        let clients = Router::new()
            .route(websocket::PATH, get(websocket::enter))
            .route(
                bosh::PATH,
                get(bosh::get).post(bosh::post).options(bosh::options),
            )
            .route(
                "/.well-known/host-meta",
                get(discovery::xml).options(discovery::options),
            )
            .route(
                "/.well-known/host-meta.json",
                get(discovery::json).options(discovery::options),
            )
            .layer(Extension(bosh::Coming::default()))
            .layer(Extension(door))
            .layer(Extension(server));
        self.https = self.https.merge(complete(clients));
        self
    }
}

/// With what every answer carries.
fn complete(router: Router) -> Router {
    router.layer(map_response(with_headers)).layer(from_fn(log))
}

/// 200 `ok`, or 503 and a line for each part that failed.
async fn healthz(Extension(state): Extension<Arc<State>>) -> Response {
    let health = state.health.borrow();
    let failed: Vec<_> = health
        .parts()
        .iter()
        .filter(|part| part.level == Level::Fail)
        .collect();
    if failed.is_empty() {
        return "ok\n".into_response();
    }
    let lines: Vec<_> = failed
        .iter()
        .map(|part| format!("{}: {}", part.part, part.text))
        .collect();
    let text = lines.join("\n") + "\n";
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

/// For this machine alone: what comes through a proxy comes from elsewhere.
async fn numbers_text(
    Extension(state): Extension<Arc<State>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let forwarded = headers.contains_key(FORWARDED) || headers.contains_key("x-forwarded-for");
    if forwarded || !peer.ip().to_canonical().is_loopback() {
        return (StatusCode::FORBIDDEN, "ask from the machine itself\n").into_response();
    }
    match metrics::text(state.version, &state.health.borrow(), (state.numbers)()) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// No script, no frame, no foreign content, and no trace of the address in other servers' logs.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'",
        ),
    ),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// A page that sets one of them itself keeps its own.
async fn with_headers(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// For who looks for a fault: what was asked, as the routes have it, and never as it was written, because
/// addresses hold what opens a door (an invitation's token, the name of a file).
async fn log(request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let method = request.method().clone();
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("nowhere", MatchedPath::as_str);
    let (status, ms) = (response.status().as_u16(), begin.elapsed().as_millis());
    debug!(?peer, %method, route, status, ms, "answered");
    response
}
