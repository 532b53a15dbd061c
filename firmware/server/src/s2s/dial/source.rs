//! From which of our addresses packets would go: what the kernel's routes say about the network around us.
//! Owns nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The address that this machine would have towards another one. `None` where no way leads there. Nothing is
/// sent: connecting a datagram socket only chooses a route.
pub(super) fn towards(address: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(address).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn towards_this_machine_from_this_machine() {
        for (address, expected) in [
            ("127.0.0.1:5269", Some("127.0.0.1")),
            ("127.3.2.1:1", Some("127.0.0.1")),
            ("[::1]:5269", Some("::1")),
        ] {
            let found = towards(address.parse().unwrap());
            assert_eq!(found, expected.map(|it| it.parse().unwrap()), "{address}");
        }
    }
}
