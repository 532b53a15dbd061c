//! HTTP to the outside: providers of DNS, certificate authorities and echoes of our address are asked over
//! it.
//!
//! A few hundred requests a day, so each has a connection of its own and nothing is kept between them: no
//! pool, no authorities in memory. State: none but how to find and whom to trust.

mod connect;
mod error;

pub use error::{Error, ErrorKind};

use crate::limits::{HTTP_BODY_BYTES_MAX, HTTP_HEAD_BYTES_MAX, HTTP_MS_MAX};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::CertificateDer;
use server::s2s::resolve::{Family, Resolver};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// The certificates of the authorities that are trusted: those of the machine and of `tls.extra_ca`.
pub type Authorities = Arc<dyn Fn() -> Vec<CertificateDer<'static>> + Send + Sync>;

/// Asks servers of HTTP.
#[derive(Clone)]
pub struct Http {
    resolver: Arc<Resolver>,
    authorities: Authorities,
}

/// What a server answered.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// At most [`HTTP_BODY_BYTES_MAX`] bytes.
    pub body: Bytes,
}

impl Http {
    /// Finds servers through these name servers and trusts those authorities, read for each request.
    pub fn new(resolver: Arc<Resolver>, authorities: Authorities) -> Http {
        Http {
            resolver,
            authorities,
        }
    }

    /// Sends one request over `https`, or over `http` to this machine itself, and gives the whole answer,
    /// within [`HTTP_MS_MAX`]. The URI is absolute. Redirections are not followed: whoever is asked here is
    /// told secrets.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Reply, Error> {
        self.send_over(request, &[Family::V6, Family::V4]).await
    }

    /// The same over addresses of these families only, in this order.
    pub async fn send_over(
        &self,
        request: Request<Bytes>,
        families: &[Family],
    ) -> Result<Reply, Error> {
        let whole = self.ask(request, families);
        let answer = timeout(Duration::from_millis(HTTP_MS_MAX), whole).await;
        answer.unwrap_or_else(|_| Err(Error::new(ErrorKind::Silent, "no answer in time")))
    }

    async fn ask(&self, request: Request<Bytes>, families: &[Family]) -> Result<Reply, Error> {
        let place = connect::Place::of(request.uri())?;
        let socket = connect::open(&place, families, &self.resolver, &self.authorities).await?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HTTP_HEAD_BYTES_MAX)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(broken)?;
        let talk = async {
            let response = sender.send_request(prepared(request, &place)?).await;
            read(response.map_err(broken)?).await
        };
        // The connection works until the answer is there, and goes with it.
        tokio::select! {
            answer = talk => answer,
            Err(error) = connection => Err(broken(error)),
        }
    }
}

/// The request as it goes over the line: the path alone, whom it is for, one request a connection.
fn prepared(
    request: Request<Bytes>,
    place: &connect::Place,
) -> Result<Request<Full<Bytes>>, Error> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path.parse().map_err(|_| Error::address(path))?;
    let host = HeaderValue::from_str(&place.authority);
    let host = host.map_err(|_| Error::address(&place.authority))?;
    parts.headers.insert(header::HOST, host);
    let headers = &mut parts.headers;
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers
        .entry(header::USER_AGENT)
        .or_insert(HeaderValue::from_static(concat!(
            "hearth/",
            env!("CARGO_PKG_VERSION")
        )));
    Ok(Request::from_parts(parts, Full::new(body)))
}

async fn read(response: http::Response<hyper::body::Incoming>) -> Result<Reply, Error> {
    let (parts, mut incoming) = response.into_parts();
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue; // trailers
        };
        if body.len() + data.len() > HTTP_BODY_BYTES_MAX {
            return Err(Error::new(ErrorKind::Nonsense, "the answer is too long"));
        }
        body.extend_from_slice(&data);
    }
    Ok(Reply {
        status: parts.status,
        headers: parts.headers,
        body: body.freeze(),
    })
}

fn broken(error: hyper::Error) -> Error {
    if error.is_parse() {
        Error::new(ErrorKind::Nonsense, "the answer is not HTTP")
    } else {
        Error::new(ErrorKind::Broken, format!("the connection broke: {error}"))
    }
}
