//! HTTP with a router at home: to its own address alone, in the clear as UPnP is, with limits on everything
//! that comes back. Redirections are not followed. Owns nothing.

use super::super::limits::{BODY_BYTES_MAX, HEAD_BYTES_MAX, REQUEST_MS_MAX};
use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};

/// A page of the router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    address: SocketAddr,
    path: String,
}

impl Place {
    /// A whole address, if it leads to the router itself.
    pub(super) fn of(url: &str, router: Ipv4Addr) -> Option<Place> {
        let uri: Uri = url.parse().ok()?;
        (uri.scheme_str() == Some("http")).then_some(())?;
        let authority = uri.authority()?;
        let host: IpAddr = authority.host().parse().ok()?;
        let is_router = host == IpAddr::V4(router) && !authority.as_str().contains('@');
        is_router.then(|| Place {
            address: SocketAddr::new(host, authority.port_u16().unwrap_or(80)),
            path: path(&uri),
        })
    }

    /// What this page refers to: on the same server, wherever it says that it is.
    pub(super) fn beside(&self, reference: &str) -> Option<Place> {
        let reference = reference.trim();
        let uri: Uri = if reference.starts_with('/') || reference.contains("://") {
            reference.parse().ok()?
        } else {
            format!("/{reference}").parse().ok()?
        };
        if let Some(authority) = uri.authority() {
            let port = authority.port_u16().unwrap_or(80);
            let is_same = authority.host().parse() == Ok(self.address.ip());
            (is_same && port == self.address.port()).then_some(())?;
        }
        Some(Place {
            address: self.address,
            path: path(&uri),
        })
    }
}

fn path(uri: &Uri) -> String {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    path.to_owned()
}

/// Reads a page.
pub(super) async fn get(place: &Place) -> Option<Bytes> {
    let request = Request::get(&place.path).header(header::ACCEPT, "text/xml");
    let (status, body) = ask(place, request.body(Full::default()).ok()?).await?;
    (status == StatusCode::OK).then_some(body)
}

/// Sends an action; whether it was done, and what was said. Errors of UPnP come with 500.
pub(super) async fn post(place: &Place, action: &str, body: String) -> Option<(bool, Bytes)> {
    let request = Request::post(&place.path)
        .header(header::CONTENT_TYPE, "text/xml; charset=\"utf-8\"")
        .header("SOAPAction", action)
        .body(Full::new(Bytes::from(body)))
        .ok()?;
    let (status, body) = ask(place, request).await?;
    match status {
        StatusCode::OK => Some((true, body)),
        StatusCode::INTERNAL_SERVER_ERROR => Some((false, body)),
        _ => None,
    }
}

async fn ask(place: &Place, request: Request<Full<Bytes>>) -> Option<(StatusCode, Bytes)> {
    let patience = Duration::from_millis(REQUEST_MS_MAX);
    timeout(patience, talk(place, request)).await.ok()?
}

async fn talk(place: &Place, mut request: Request<Full<Bytes>>) -> Option<(StatusCode, Bytes)> {
    let host = place.address.to_string().parse().ok()?;
    request.headers_mut().insert(header::HOST, host);
    let close = header::HeaderValue::from_static("close");
    request.headers_mut().insert(header::CONNECTION, close);
    let stream = TcpStream::connect(place.address).await.ok()?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .ok()?;
    let talk = async { read(sender.send_request(request).await.ok()?).await };
    // The connection works until the answer is there, and goes with it.
    tokio::select! {
        answer = talk => answer,
        Err(_) = connection => None,
    }
}

async fn read(response: Response<Incoming>) -> Option<(StatusCode, Bytes)> {
    let status = response.status();
    let mut incoming = response.into_body();
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.ok()?.into_data() else {
            continue; // trailers
        };
        (body.len() + data.len() <= BODY_BYTES_MAX).then_some(())?;
        body.extend_from_slice(&data);
    }
    Some((status, body.freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_refers_to_itself_alone() {
        let router = Ipv4Addr::new(192, 168, 1, 1);
        for (url, expected) in [
            (
                "http://192.168.1.1:5000/rootDesc.xml",
                Some("192.168.1.1:5000/rootDesc.xml"),
            ),
            ("http://192.168.1.1", Some("192.168.1.1:80/")),
            ("http://192.168.1.2:5000/", None),
            ("http://router.lan:5000/", None),
            ("http://192.168.1.1@9.9.9.9/", None),
            ("http://a@192.168.1.1/", None),
            ("https://192.168.1.1/", None),
            ("file:///etc/passwd", None),
            ("/rootDesc.xml", None),
            ("", None),
        ] {
            let place = Place::of(url, router).map(|it| format!("{}{}", it.address, it.path));
            assert_eq!(place.as_deref(), expected, "{url}");
        }
        let page = Place::of("http://192.168.1.1:5000/a/b.xml", router).unwrap();
        for (url, expected) in [
            ("/ctl/IPConn", Some("192.168.1.1:5000/ctl/IPConn")),
            ("ctl?a=b", Some("192.168.1.1:5000/ctl?a=b")),
            ("http://192.168.1.1:5000/ctl", Some("192.168.1.1:5000/ctl")),
            ("http://192.168.1.1:22/ctl", None),
            ("http://9.9.9.9:5000/ctl", None),
            ("/a b", None),
            ("/a\r\nHost: b", None),
        ] {
            let place = page
                .beside(url)
                .map(|it| format!("{}{}", it.address, it.path));
            assert_eq!(place.as_deref(), expected, "{url}");
        }
    }
}
