//! One question to one web server that answers with the caller's address, over one family alone. Owns
//! nothing.

use super::limits::ECHO_BYTES_MAX;
use crate::http::Http;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use server::s2s::resolve::Family;
use std::net::IpAddr;

/// The address that the server sees, or `None`: what is no address, or one of the other family, is nothing.
pub(super) async fn ask(http: &Http, url: &str, is_v6: bool) -> Option<IpAddr> {
    let request = Request::get(url)
        .header(header::ACCEPT, "text/plain")
        .body(Bytes::new())
        .ok()?;
    let family = if is_v6 { Family::V6 } else { Family::V4 };
    let reply = http.send_over(request, &[family]).await.ok()?;
    (reply.status == StatusCode::OK).then_some(())?;
    read(&reply.body).filter(|address| address.is_ipv6() == is_v6)
}

fn read(body: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(body.get(..ECHO_BYTES_MAX).unwrap_or(body)).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_an_address_and_nothing_else() {
        for (body, expected) in [
            ("9.9.9.9", Some("9.9.9.9")),
            ("9.9.9.9\n", Some("9.9.9.9")),
            (" 2a02::1 \r\n", Some("2a02::1")),
            ("", None),
            ("<html>9.9.9.9</html>", None),
            ("9.9.9.9 9.9.9.9", None),
            ("9.9.9.9:80", None),
        ] {
            assert_eq!(
                read(body.as_bytes()),
                expected.map(|it| it.parse().unwrap()),
                "{body}"
            );
        }
        assert_eq!(read(&[b' '; 5_000]), None);
        assert_eq!(read(&[0xff; 9]), None);
    }
}
