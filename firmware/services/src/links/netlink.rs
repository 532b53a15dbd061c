//! What the kernel says of addresses and routes, over its own sockets (rtnetlink(7)): one question for each,
//! and a socket on which it tells that something is another. Numbers are in the byte order of the machine.

use super::{LinkAddress, Links, WayOut};
use crate::limits::{LINK_BYTES_MAX, LINK_MS_MAX, LINK_ROWS_MAX};
use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind,
        netlink::SocketAddrNetlink,
        recv, send, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};
use tokio::net::UdpSocket;

/// Bytes of the head of a message, of what begins an address, and of what begins a route.
const HEAD: usize = 16;
const ADDRESS_HEAD: usize = 8;
const ROUTE_HEAD: usize = 12;

const DONE: u16 = 3;
const ERROR: u16 = 2;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;
/// Request, and everything there is.
const DUMP: u16 = 0x0301;
/// Links, and addresses and routes of both families.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

const V4: u8 = 2;
const V6: u8 = 10;
/// Of the flags of an address: temporary (of IPv6; of IPv4 it means another thing), somebody else has it,
/// deprecated, not known yet to be ours alone.
const TEMPORARY: u32 = 0x01;
const PASSING: u32 = 0x08 | 0x20 | 0x40;
/// The table of routes that everybody's packets go by, and the type of a route that leads somewhere.
const MAIN: u32 = 254;
const UNICAST: u8 = 1;

/// Tells that an address, a route or a link is another one now. To the runtime a socket of datagrams is one,
/// whoever is at its other end.
pub struct Changes(UdpSocket);

impl Changes {
    /// Begins to hear. An error where the kernel does not let us.
    pub fn hear() -> io::Result<Changes> {
        let socket = std::net::UdpSocket::from(open(SocketFlags::NONBLOCK, GROUPS)?);
        Ok(Changes(UdpSocket::from_std(socket)?))
    }

    /// Waits for the next news; what is said with it is read with [`read`].
    pub async fn next(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4_096];
        match self.0.recv(&mut buffer).await {
            // More news than the socket holds are news.
            Err(error) if error.raw_os_error() != Some(Errno::NOBUFS.raw_os_error()) => Err(error),
            _ => Ok(()),
        }
    }
}

fn open(flags: SocketFlags, groups: u32) -> io::Result<OwnedFd> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        flags | SocketFlags::CLOEXEC,
        None,
    )?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// Reads addresses and routes as they are now.
pub fn read() -> io::Result<Links> {
    let socket = open(SocketFlags::empty(), 0)?;
    set_socket_timeout(
        &socket,
        Timeout::Recv,
        Some(Duration::from_millis(LINK_MS_MAX)),
    )?;
    let mut links = Links::default();
    ask(&socket, GET_ADDRESS, ADDRESS_HEAD, &mut |kind, body| {
        if kind == NEW_ADDRESS && links.addresses.len() < LINK_ROWS_MAX {
            links.addresses.extend(address(body));
        }
    })?;
    ask(&socket, GET_ROUTE, ROUTE_HEAD, &mut |kind, body| {
        if kind == NEW_ROUTE && links.ways_out.len() < LINK_ROWS_MAX {
            links.ways_out.extend(way_out(body));
        }
    })?;
    Ok(links)
}

/// One question about everything of a kind; `head` is what follows the message's own, all zero.
fn ask(
    socket: &OwnedFd,
    kind: u16,
    head: usize,
    row: &mut dyn FnMut(u16, &[u8]),
) -> io::Result<()> {
    let mut question = vec![0; HEAD + head];
    let length = (HEAD + head) as u32;
    question[..4].copy_from_slice(&length.to_ne_bytes());
    question[4..6].copy_from_slice(&kind.to_ne_bytes());
    question[6..8].copy_from_slice(&DUMP.to_ne_bytes());
    send(socket, &question, SendFlags::empty())?;
    let mut buffer = vec![0; LINK_BYTES_MAX];
    loop {
        let (_, length) = match recv(socket, &mut buffer[..], RecvFlags::empty()) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        if !rows(&buffer[..length.min(LINK_BYTES_MAX)], row)? {
            return Ok(());
        }
    }
}

/// Every message of what came at once; `false` behind the last one of the answer.
fn rows(mut bytes: &[u8], row: &mut dyn FnMut(u16, &[u8])) -> io::Result<bool> {
    if bytes.is_empty() {
        return Ok(false);
    }
    while let Some(length) = number(bytes, 0) {
        let kind = bytes.get(4..6).and_then(|it| it.try_into().ok());
        let body = bytes.get(HEAD..length as usize);
        let (Some(kind), Some(body)) = (kind.map(u16::from_ne_bytes), body) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        match kind {
            DONE => return Ok(false),
            ERROR => return Err(io::Error::other("the kernel does not tell its addresses")),
            _ => row(kind, body),
        }
        bytes = bytes
            .get((length as usize).next_multiple_of(4)..)
            .unwrap_or_default();
    }
    Ok(true)
}

/// A `struct ifaddrmsg` and its attributes.
fn address(body: &[u8]) -> Option<LinkAddress> {
    let family = *body.first()?;
    let (mut ip, mut local, mut flags) = (None, None, u32::from(*body.get(2)?));
    for (kind, value) in attributes(body.get(ADDRESS_HEAD..)?) {
        match kind {
            1 => ip = ip_of(family, value),
            // On a link with two ends the other attribute is the other end.
            2 => local = ip_of(family, value),
            8 => flags = number(value, 0)?,
            _ => {}
        }
    }
    Some(LinkAddress {
        ip: local.or(ip)?,
        interface: number(body, 4)?,
        is_temporary: family == V6 && flags & TEMPORARY != 0,
        is_passing: flags & PASSING != 0,
    })
}

/// A `struct rtmsg` and its attributes, where it leads to everywhere.
fn way_out(body: &[u8]) -> Option<WayOut> {
    let family = *body.first()?;
    let leads_everywhere = body.get(1) == Some(&0) && body.get(7) == Some(&UNICAST);
    (leads_everywhere && matches!(family, V4 | V6)).then_some(())?;
    let mut way = WayOut {
        is_v6: family == V6,
        gateway: None,
        interface: 0,
        metric: 0,
    };
    let mut table = u32::from(*body.get(4)?);
    for (kind, value) in attributes(body.get(ROUTE_HEAD..)?) {
        match kind {
            4 => way.interface = number(value, 0)?,
            5 => way.gateway = ip_of(family, value),
            6 => way.metric = number(value, 0)?,
            15 => table = number(value, 0)?,
            _ => {}
        }
    }
    (table == MAIN && way.interface != 0).then_some(way)
}

fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let head: [u8; 4] = *bytes.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([head[2], head[3]]), value))
    })
}

fn ip_of(family: u8, value: &[u8]) -> Option<IpAddr> {
    match family {
        V4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).into()),
        V6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).into()),
        _ => None,
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_loopback() {
        let links = read().unwrap();
        let loopback = links.addresses.iter().find(|it| it.ip.is_loopback());
        assert!(loopback.is_some_and(|it| !it.is_passing), "{links:?}");
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = (value.len() + 4) as u16;
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn addresses_and_routes_as_the_kernel_writes_them() {
        let ip: Ipv6Addr = "2a02::7".parse().unwrap();
        for (flags, is_temporary, is_passing) in [
            (0x80_u32, false, false),
            (0x01, true, false),
            (0x301, true, false),
            (0x20, false, true),
            (0x40, false, true),
            (0x08, false, true),
        ] {
            let mut body = vec![V6, 64, 0, 0];
            body.extend(2_u32.to_ne_bytes());
            body.extend(attribute(1, &ip.octets()));
            body.extend(attribute(8, &flags.to_ne_bytes()));
            let found = address(&body).unwrap();
            assert_eq!((found.ip, found.interface), (ip.into(), 2));
            assert_eq!(
                (found.is_temporary, found.is_passing),
                (is_temporary, is_passing)
            );
            // Cut anywhere, it is no address or the same one, and never a panic.
            for end in 0..body.len() {
                let _ = address(&body[..end]);
            }
        }
        let route = |bits, table, kind| {
            let mut body = vec![V4, bits, 0, 0, table, 0, 0, kind, 0, 0, 0, 0];
            body.extend(attribute(4, &3_u32.to_ne_bytes()));
            body.extend(attribute(5, &[192, 168, 1, 1]));
            body.extend(attribute(6, &100_u32.to_ne_bytes()));
            way_out(&body)
        };
        let expected = WayOut {
            is_v6: false,
            gateway: Some("192.168.1.1".parse().unwrap()),
            interface: 3,
            metric: 100,
        };
        assert_eq!(route(0, 254, UNICAST), Some(expected));
        for (bits, table, kind) in [(24, 254, 1), (0, 255, 1), (0, 254, 7)] {
            assert_eq!(route(bits, table, kind), None, "{bits} {table} {kind}");
        }
    }

    #[test]
    fn what_is_no_message_is_an_error_or_the_end() {
        let mut nothing = |_: u16, _: &[u8]| {};
        assert!(!rows(&[], &mut nothing).unwrap());
        for length in [0_u32, 15, 17, 200] {
            let mut bytes = vec![0; HEAD];
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(rows(&bytes, &mut nothing).is_err(), "{length}");
        }
    }
}
