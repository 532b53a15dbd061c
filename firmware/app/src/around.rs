//! The networks that this machine is on, as its kernel has them: nobody outside may make us reach into these
//! (DESIGN §12). Owns nothing.

use household::config::Network;
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Every network on a link of ours. What cannot be read is none: the table of denied addresses has the
/// private ones anyway.
pub(crate) fn on_link() -> Vec<Network> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let v6 = read("/proc/net/if_inet6");
    let v4 = read("/proc/net/route");
    v6.lines()
        .filter_map(of_v6)
        .chain(v4.lines().filter_map(of_v4))
        .collect()
}

/// A line of `if_inet6`: address, number of the interface, bits of the prefix, all in hexadecimal.
fn of_v6(line: &str) -> Option<Network> {
    let mut words = line.split_whitespace();
    let address = u128::from_str_radix(words.next()?, 16).ok()?;
    let prefix = u8::from_str_radix(words.nth(1)?, 16).ok()?;
    (prefix <= 128).then_some(Network {
        address: IpAddr::V6(Ipv6Addr::from_bits(address)),
        prefix,
    })
}

/// A line of `route`: interface, destination, gateway, five others, mask; addresses are in hexadecimal in the
/// byte order of the machine. A network is on a link where no gateway leads to it.
fn of_v4(line: &str) -> Option<Network> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| u32::from_str_radix(words.get(at)?, 16).ok();
    let (destination, gateway, mask) = (number(1)?, number(2)?, number(7)?);
    (gateway == 0 && mask != 0).then(|| Network {
        address: IpAddr::V4(Ipv4Addr::from(destination.to_ne_bytes())),
        prefix: mask.count_ones() as u8,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(network: Option<Network>) -> String {
        network.map_or_else(String::new, |it| format!("{}/{}", it.address, it.prefix))
    }

    #[test]
    fn lines_of_the_kernel() {
        for (line, expected) in [
            (
                "2a0104f8000100020000000000000005 02 40 00 80     eth0",
                "2a01:4f8:1:2::5/64",
            ),
            ("2a0104f8000100020000000000000005 02 81 00 80     eth0", ""),
            ("", ""),
        ] {
            assert_eq!(shown(of_v6(line)), expected, "{line}");
        }
        let hex = |text: &str| {
            let address: Ipv4Addr = text.parse().unwrap();
            format!("{:08X}", u32::from_ne_bytes(address.octets()))
        };
        for (destination, gateway, mask, expected) in [
            ("9.9.8.0", "0.0.0.0", "255.255.252.0", "9.9.8.0/22"),
            ("9.9.9.1", "0.0.0.0", "255.255.255.255", "9.9.9.1/32"),
            ("0.0.0.0", "9.9.9.1", "0.0.0.0", ""),
            ("0.0.0.0", "0.0.0.0", "0.0.0.0", ""),
            ("7.0.0.0", "9.9.9.1", "255.0.0.0", ""),
        ] {
            let [destination, gateway, mask] = [destination, gateway, mask].map(hex);
            let line = format!("eth0\t{destination}\t{gateway}\t0001\t0\t0\t0\t{mask}\t0\t0\t0");
            assert_eq!(shown(of_v4(&line)), expected, "{line}");
        }
        let head =
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";
        assert_eq!(shown(of_v4(head)), "");
    }
}
