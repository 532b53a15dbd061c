//! One connection: HTTP/1.1 or HTTP/2, all within the limits, and ended in order when the house closes.

use crate::{
    Peer, Site,
    limits::{
        FINISH_MAX, HEADERS_BYTES_MAX, HEADERS_MAX, HEADERS_WAIT_MAX,
        HTTP2_CONNECTION_WINDOW_BYTES, HTTP2_ERRORS_MAX, HTTP2_PING_INTERVAL, HTTP2_PING_WAIT_MAX,
        HTTP2_RESETS_MAX, HTTP2_SEND_BYTES_MAX, HTTP2_STREAM_WINDOW_BYTES, HTTP2_STREAMS_MAX,
        LINGER_MAX,
    },
    pace::{Pace, Paced},
    patience::Patient,
    visits::Visits,
};
use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Response, header::STRICT_TRANSPORT_SECURITY},
};
use hyper::{
    Request,
    body::Incoming,
    server::conn::{http1, http2},
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use server::listen::{ByteStream, HttpConnection, Protocol, Secured, Web};
use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::Arc,
};
use tokio::{sync::watch, time::timeout};
use tracing::debug;

/// For about as long as a certificate lasts, whoever has been here comes back over TLS alone (RFC 6797).
const HSTS: HeaderValue = HeaderValue::from_static("max-age=7776000");

impl Web for Site {
    fn serve(&self, connection: HttpConnection) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(serve(self.clone(), connection))
    }
}

/// What HTTP is spoken on.
pub(crate) type Line = TokioIo<Paced<ByteStream>>;

async fn serve(site: Site, connection: HttpConnection) {
    let HttpConnection {
        stream,
        peer,
        secured,
        stop,
    } = connection;
    let Some(_share) = site.connections.take(peer.ip(), 1) else {
        return debug!(%peer, "too many web connections");
    };
    let is_http2 = secured.as_ref().map(|tls| tls.protocol) == Some(Protocol::Http2);
    let visits = Arc::new(Visits::default());
    let desk = Desk {
        router: TowerToHyperService::new(match secured {
            Some(_) => site.https,
            None => site.http,
        }),
        peer: Peer(peer),
        secured,
        visits: visits.clone(),
    };
    let service = service_fn(move |request| desk.answer(request));
    let (stream, pace) = Paced::new(stream);
    let socket: Line = TokioIo::new(stream);
    let ended = if is_http2 {
        let connection = over_http2().serve_connection(socket, service);
        let finish = http2::Connection::graceful_shutdown;
        drive(connection, finish, &visits, (pace, stop)).await
    } else {
        let connection = over_http1().serve_connection(socket, service);
        let finish = http1::UpgradeableConnection::graceful_shutdown;
        drive(connection.with_upgrades(), finish, &visits, (pace, stop)).await
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "a web connection ended");
    }
}

/// Where the requests of one connection are answered.
struct Desk {
    router: TowerToHyperService<Router>,
    peer: Peer,
    secured: Option<Secured>,
    visits: Arc<Visits>,
}

impl Desk {
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
        let visit = self.visits.begin();
        let mut request = request.map(|body| Body::new(Patient::new(body, &self.visits)));
        request.extensions_mut().insert(self.peer);
        if let Some(secured) = &self.secured {
            request.extensions_mut().insert(secured.clone());
        }
        let keeps_to_tls = self
            .secured
            .as_ref()
            .is_some_and(|tls| tls.is_publicly_trusted);
        let answer = self.router.call(request);
        async move {
            let mut response = answer.await?;
            if keeps_to_tls {
                let headers = response.headers_mut();
                headers.insert(STRICT_TRANSPORT_SECURITY, HSTS);
            }
            Ok(response.map(|body| Body::new(visit.until_the_end_of(body))))
        }
    }
}

fn over_http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WAIT_MAX)
        .max_buf_size(HEADERS_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
}

fn over_http2() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(HTTP2_PING_WAIT_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX as u32)
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_pending_accept_reset_streams(HTTP2_RESETS_MAX)
        .max_local_error_reset_streams(HTTP2_ERRORS_MAX)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(HTTP2_SEND_BYTES_MAX);
    builder
}

/// Serves until the peer has gone, nothing has gone on for long enough, or the house closes: then what was
/// begun is finished, as far as that takes no longer than it may.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    finish: impl Fn(Pin<&mut C>),
    visits: &Visits,
    (pace, mut stop): (Arc<Pace>, watch::Receiver<bool>),
) -> hyper::Result<()> {
    let mut connection = pin!(connection);
    let mut limit = FINISH_MAX;
    tokio::select! {
        ended = &mut connection => return ended,
        // The sender gone means the same as the word.
        _ = stop.wait_for(|stop| *stop) => {}
        () = visits.until_idle(|| pace.is_full()) => {}
        () = pace.until_lost(|| visits.is_any_coming()) => limit = LINGER_MAX,
    }
    if visits.none_yet() {
        return Ok(());
    }
    finish(connection.as_mut());
    timeout(limit, connection).await.unwrap_or(Ok(()))
}
