//! The search for a gateway (UPnP Device Architecture 2.0 §1.3): one question to everybody, and only the
//! router's own answers count. Owns nothing.

use super::{
    super::limits::{SEARCH_ANSWERS_MAX, SEARCH_MS_MAX},
    lan::Place,
};
use rustix::net::sockopt::set_ip_multicast_if;
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout_at},
};

const EVERYBODY: (Ipv4Addr, u16) = (Ipv4Addr::new(239, 255, 255, 250), 1_900);
const GATEWAYS: [&str; 2] = [
    "urn:schemas-upnp-org:device:InternetGatewayDevice:2",
    "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
];

/// Where the router describes itself; `None` where it does not answer.
pub(super) async fn place(router: Ipv4Addr, own: Ipv4Addr) -> Option<Place> {
    let socket = UdpSocket::bind((own, 0)).await.ok()?;
    // From that interface, whatever the routes for groups say.
    let _ = set_ip_multicast_if(&socket, &own);
    for kind in GATEWAYS {
        let question = format!(
            "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\n\
             MX: 1\r\nST: {kind}\r\n\r\n"
        );
        let _ = socket.send_to(question.as_bytes(), EVERYBODY).await;
        let _ = socket
            .send_to(question.as_bytes(), (router, EVERYBODY.1))
            .await;
    }
    let until = Instant::now() + Duration::from_millis(SEARCH_MS_MAX);
    let mut buffer = [0; 2_048];
    for _ in 0..SEARCH_ANSWERS_MAX {
        let heard = timeout_at(until, socket.recv_from(&mut buffer)).await;
        let (length, from) = heard.ok()?.ok()?;
        if from.ip() != IpAddr::V4(router) {
            continue; // a television
        }
        let place = location(&buffer[..length]).and_then(|url| Place::of(url, router));
        if place.is_some() {
            return place;
        }
    }
    None
}

/// The value of `LOCATION` of an answer.
fn location(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (first, rest) = text.split_once("\r\n")?;
    first.starts_with("HTTP/1.1 200").then_some(())?;
    rest.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location")
            .then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_taken_from_an_answer_alone() {
        for (answer, expected) in [
            (
                "HTTP/1.1 200 OK\r\nST: a\r\nLocation: http://a/b\r\n\r\n",
                Some("http://a/b"),
            ),
            (
                "HTTP/1.1 200 OK\r\nLOCATION:http://a/b\r\n",
                Some("http://a/b"),
            ),
            ("NOTIFY * HTTP/1.1\r\nLOCATION: http://a/b\r\n\r\n", None),
            (
                "HTTP/1.1 404 Not Found\r\nLOCATION: http://a/b\r\n\r\n",
                None,
            ),
            ("HTTP/1.1 200 OK", None),
            ("", None),
        ] {
            assert_eq!(location(answer.as_bytes()), expected, "{answer}");
        }
        assert_eq!(location(&[0xff; 40]), None);
    }
}
