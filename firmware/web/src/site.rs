//! What is served: the pages, `/healthz`, `/metrics`, and the headers that every answer carries.

use crate::{bosh, discovery, limits, metrics, plain, shares::Shares, websocket};
use axum::{
    Extension, Router,
    extract::{MatchedPath, Request},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode, Version,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, FORWARDED, HOST, REFERRER_POLICY,
            VIA, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
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
            https: complete(pages.merge(programs.clone()).fallback(nothing)),
            http: complete(plain::router(address).merge(programs)),
            connections: Shares::new(
                limits::CONNECTIONS_MAX,
                limits::CONNECTIONS_PER_HOUSEHOLD_MAX,
            ),
        }
    }
}

/// What proxies add. What comes through one comes from elsewhere.
const OF_PROXIES: [HeaderName; 4] = [
    FORWARDED,
    VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-real-ip"),
];

impl Peer {
    fn is_this_machine(self, headers: &HeaderMap) -> bool {
        let is_local = self.0.ip().to_canonical().is_loopback();
        is_local && !OF_PROXIES.iter().any(|name| headers.contains_key(name))
    }

    /// As a client of chat, which is asked for a password over TLS alone.
    pub(crate) fn over(self, secured: Option<Extension<Secured>>) -> Option<Visitor> {
        secured.map(|Extension(secured)| Visitor {
            address: self.0.ip(),
            bindings: secured.bindings,
        })
    }
}

impl Site {
    /// With answers for authorities that ask, in the clear, for the challenge with a token (RFC 8555 §8.3);
    /// `None` where there is no such challenge.
    #[must_use]
    pub fn with_challenges(
        mut self,
        answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Site {
        let challenges = plain::Challenges(Arc::new(answer));
        self.http = self.http.layer(Extension(challenges));
        self
    }

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
    let router = router
        .method_not_allowed_fallback(not_like_that)
        .layer(from_fn(with_host))
        .layer(map_response(with_headers));
    router.layer(from_fn(log))
}

/// RFC 9112 §3.2: a request of HTTP/1.1 names its host, once.
async fn with_host(request: Request, next: Next) -> Response {
    let hosts = request.headers().get_all(HOST).iter().count();
    if request.version() == Version::HTTP_11 && hosts != 1 {
        let text = "Name the host that is asked, once: Host: …\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    next.run(request).await
}

async fn nothing() -> Response {
    (StatusCode::NOT_FOUND, "There is nothing here.\n").into_response()
}

async fn not_like_that() -> Response {
    let text = "This address is there, but not for this method.\n";
    (StatusCode::METHOD_NOT_ALLOWED, text).into_response()
}

/// 200 `ok`, or 503 and a line for each part that failed. What is wrong with it is for this machine alone.
async fn healthz(
    Extension(state): Extension<Arc<State>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let is_here = peer.is_this_machine(&headers);
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
        .map(|part| {
            if is_here {
                format!("{}: {}", part.part, part.text)
            } else {
                part.part.to_string()
            }
        })
        .collect();
    let text = lines.join("\n") + "\n";
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

/// For this machine alone.
async fn numbers_text(
    Extension(state): Extension<Arc<State>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    if !peer.is_this_machine(&headers) {
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
