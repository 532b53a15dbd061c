//! The PROXY protocol, version 2: a proxy in front of us says whose connection it passes on
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).
//!
//! Believed are only the networks of `[proxy_protocol]`; from there, nothing is served without.

use super::limits::{PROXY_HEADER_BYTES_MAX, PROXY_HEADER_MS_MAX};
use proxy_header::{ParseConfig, Protocol, ProxyHeader};
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::timeout,
};

/// What version 2 begins with (§2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, and the command for a connection of the proxy's own: it looks whether we are there.
const LOCAL: u8 = 0x20;
/// Signature, version and command, family and transport, and the length of the rest.
const FIXED_BYTES: usize = 16;

/// Reads the header and not a byte more. `None`: the connection is the proxy's own, or it does not say whose
/// (§2.2, LOCAL and UNSPEC).
pub(super) async fn read(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let limit = Duration::from_millis(PROXY_HEADER_MS_MAX);
    timeout(limit, header(socket)).await.unwrap_or_else(|_| {
        Err(io::Error::new(
            ErrorKind::TimedOut,
            "no PROXY header in time",
        ))
    })
}

async fn header(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut bytes = vec![0; FIXED_BYTES];
    let mut filled = 0;
    while filled < FIXED_BYTES {
        let count = socket.read(&mut bytes[filled..]).await?;
        if count == 0 {
            return Err(refused("closed before its PROXY header"));
        }
        filled += count;
        let compared = filled.min(SIGNATURE.len());
        if bytes[..compared] != SIGNATURE[..compared] {
            return Err(refused("no PROXY header of version 2"));
        }
    }
    let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if FIXED_BYTES + length > PROXY_HEADER_BYTES_MAX {
        return Err(refused("a PROXY header that is too long"));
    }
    bytes.resize(FIXED_BYTES + length, 0);
    socket.read_exact(&mut bytes[FIXED_BYTES..]).await?;
    source(&bytes)
}

fn source(bytes: &[u8]) -> io::Result<Option<SocketAddr>> {
    // Whatever is behind it is ignored (§2.2).
    if bytes[SIGNATURE.len()] == LOCAL {
        return Ok(None);
    }
    let config = ParseConfig {
        include_tlvs: false,
        allow_v1: false,
        allow_v2: true,
    };
    let (header, _) = ProxyHeader::parse(bytes, config)
        .map_err(|_| refused("a PROXY header that cannot be read"))?;
    match header.proxied_address() {
        Some(proxied) if proxied.protocol == Protocol::Datagram => {
            Err(refused("a PROXY header for datagrams"))
        }
        Some(proxied) => Ok(Some(canonical(proxied.source))),
        None => Ok(None),
    }
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}

/// An IPv4 address in IPv6 clothes is that IPv4 address.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version and command, family and transport, and the rest with its length.
    fn written(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    /// What is said of the bytes, and how many of them are left for what comes behind.
    async fn check(mut bytes: &[u8], expected: &str) {
        let said = match read(&mut bytes).await {
            Ok(Some(address)) => format!("{address}"),
            Ok(None) => "the proxy's own".to_owned(),
            Err(error) => format!("{error}"),
        };
        assert_eq!(format!("{said}; {} left", bytes.len()), expected);
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0xc0, 0x00, 0x01, 0xbb];

    fn v6(source: &str) -> Vec<u8> {
        let address: std::net::Ipv6Addr = source.parse().unwrap();
        let octets = address.octets();
        [&octets[..], &octets, &[0xc0, 0x00, 0x01, 0xbb]].concat()
    }

    #[tokio::test]
    async fn whose_connection_it_is() {
        let behind = |header: Vec<u8>| [header, b"hello".to_vec()].concat();
        check(&behind(written(0x21, 0x11, &V4)), "192.0.2.1:49152; 5 left").await;
        let more = [&V4[..], &[0x04, 0x00, 0x03, 1, 2, 3]].concat();
        check(
            &behind(written(0x21, 0x11, &more)),
            "192.0.2.1:49152; 5 left",
        )
        .await;
        let six = v6("2001:db8::1");
        check(
            &behind(written(0x21, 0x21, &six)),
            "[2001:db8::1]:49152; 5 left",
        )
        .await;
        let mapped = v6("::ffff:192.0.2.1");
        check(
            &behind(written(0x21, 0x21, &mapped)),
            "192.0.2.1:49152; 5 left",
        )
        .await;
        check(&behind(written(0x20, 0x00, &[])), "the proxy's own; 5 left").await;
        check(&behind(written(0x20, 0x11, &V4)), "the proxy's own; 5 left").await;
        check(&behind(written(0x20, 0x11, &[])), "the proxy's own; 5 left").await;
        check(
            &behind(written(0x20, 0x41, b"any")),
            "the proxy's own; 5 left",
        )
        .await;
        check(
            &behind(written(0x21, 0x00, b"any")),
            "the proxy's own; 5 left",
        )
        .await;
        let path = vec![0; 216];
        check(
            &behind(written(0x21, 0x31, &path)),
            "the proxy's own; 5 left",
        )
        .await;
    }

    #[tokio::test]
    async fn what_is_no_such_header() {
        let unread = "no PROXY header of version 2; 34 left";
        check(
            b"PROXY TCP4 192.0.2.1 198.51.100.1 49152 443\r\n<?xml",
            unread,
        )
        .await;
        check(b"\x16\x03\x01", "no PROXY header of version 2; 0 left").await;
        check(b"", "closed before its PROXY header; 0 left").await;
        check(&SIGNATURE[..7], "closed before its PROXY header; 0 left").await;
        let unreadable = "a PROXY header that cannot be read; 0 left";
        for (command, family, rest) in [
            (0x11, 0x11, &V4[..]),
            (0x22, 0x11, &V4),
            (0x21, 0x41, &V4),
            (0x21, 0x13, &V4),
            (0x21, 0x11, &V4[..11]),
            (0x21, 0x21, &V4),
        ] {
            let bytes = written(command, family, rest);
            check(&bytes, unreadable).await;
        }
        check(
            &written(0x21, 0x12, &V4),
            "a PROXY header for datagrams; 0 left",
        )
        .await;
        let long = [&V4[..], &[0; PROXY_HEADER_BYTES_MAX]].concat();
        let too_long = "a PROXY header that is too long; 2060 left";
        check(&written(0x21, 0x11, &long), too_long).await;
        let cut = written(0x21, 0x11, &V4);
        check(&cut[..20], "early eof; 0 left").await;
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_one_that_does_not_come() {
        let (mut ours, theirs) = tokio::io::duplex(64);
        let error = read(&mut ours).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(theirs);
    }
}
