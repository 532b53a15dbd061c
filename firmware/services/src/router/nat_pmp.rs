//! NAT-PMP (RFC 6886): asks a router for a port, and for its address outside. Owns the socket to it and what
//! it said of its clock.

use super::{
    datagram::{Datagrams, Epoch},
    port::{Lease, Port, Protocol, Refusal},
};
use std::net::Ipv4Addr;

const VERSION: u8 = 0;
const ADDRESS: u8 = 0;
const MAP_UDP: u8 = 1;
const MAP_TCP: u8 = 2;
/// The bit of an answer.
const ANSWER: u8 = 0x80;

pub(super) struct NatPmp {
    datagrams: Datagrams,
    epoch: Epoch,
}

#[derive(Debug, PartialEq, Eq)]
struct Mapped {
    result: u16,
    epoch_s: u32,
    outside: u16,
    seconds: u32,
}

impl NatPmp {
    pub(super) fn new(datagrams: Datagrams) -> NatPmp {
        NatPmp {
            datagrams,
            epoch: Epoch::default(),
        }
    }

    /// The router's address outside, and whether it has started again (§3.2). `Err` where it does not say.
    pub(super) async fn look(&mut self, now_s: u64) -> Result<(Ipv4Addr, bool), Refusal> {
        let answer = self
            .datagrams
            .ask(&[VERSION, ADDRESS], read_address)
            .await
            .ok_or(Refusal::Silent)?;
        let (result, epoch_s, address) = answer;
        refusal(result).map_or(Ok(()), Err)?;
        Ok((address, self.epoch.is_lost(now_s, epoch_s)))
    }

    /// Opens a port, or keeps it open (§3.3); `seconds` = 0 closes it (§3.4).
    pub(super) async fn map(
        &mut self,
        port: &Port,
        seconds: u32,
        now_s: u64,
    ) -> (Result<Lease, Refusal>, bool) {
        let question = question(port, seconds);
        let answer = self.datagrams.ask(&question, |bytes| read_map(bytes, port));
        let Some(mapped) = answer.await else {
            return (Err(Refusal::Silent), false);
        };
        let is_lost = self.epoch.is_lost(now_s, mapped.epoch_s);
        if let Some(refusal) = refusal(mapped.result) {
            return (Err(refusal), is_lost);
        }
        if seconds != 0 && mapped.outside != port.outside {
            return (Err(Refusal::Taken(None)), is_lost);
        }
        let seconds = mapped.seconds;
        (Ok(Lease { seconds }), is_lost)
    }
}

fn opcode(port: &Port) -> u8 {
    match port.protocol {
        Protocol::Udp => MAP_UDP,
        Protocol::Tcp => MAP_TCP,
    }
}

fn question(port: &Port, seconds: u32) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[0] = VERSION;
    bytes[1] = opcode(port);
    bytes[4..6].copy_from_slice(&port.inside.to_be_bytes());
    // §3.4: who closes a port says none.
    let outside = if seconds == 0 { 0 } else { port.outside };
    bytes[6..8].copy_from_slice(&outside.to_be_bytes());
    bytes[8..12].copy_from_slice(&seconds.to_be_bytes());
    bytes
}

fn read_address(bytes: &[u8]) -> Option<(u16, u32, Ipv4Addr)> {
    let (result, epoch_s) = head(bytes, ADDRESS)?;
    let address = match bytes.get(8..12) {
        Some(octets) => Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?),
        None if result != 0 => Ipv4Addr::UNSPECIFIED,
        None => return None,
    };
    Some((result, epoch_s, address))
}

fn read_map(bytes: &[u8], port: &Port) -> Option<Mapped> {
    let (result, epoch_s) = head(bytes, opcode(port))?;
    let Some(rest) = bytes.get(8..16) else {
        let mapped = Mapped {
            result,
            epoch_s,
            outside: 0,
            seconds: 0,
        };
        return (result != 0).then_some(mapped);
    };
    let inside = u16::from_be_bytes([rest[0], rest[1]]);
    (inside == port.inside).then(|| Mapped {
        result,
        epoch_s,
        outside: u16::from_be_bytes([rest[2], rest[3]]),
        seconds: u32::from_be_bytes([rest[4], rest[5], rest[6], rest[7]]),
    })
}

/// Result and clock of an answer to this (§3.5).
fn head(bytes: &[u8], opcode: u8) -> Option<(u16, u32)> {
    let head: &[u8; 8] = bytes.first_chunk()?;
    (head[0] == VERSION && head[1] == opcode | ANSWER).then_some(())?;
    let epoch_s = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    Some((u16::from_be_bytes([head[2], head[3]]), epoch_s))
}

/// §3.5.
fn refusal(result: u16) -> Option<Refusal> {
    Some(match result {
        0 => return None,
        2 => Refusal::Forbidden,
        4 => Refusal::Full,
        other => Refusal::Other(other.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port() -> Port {
        Port {
            name: "stun",
            protocol: Protocol::Udp,
            inside: 3_478,
            outside: 3_478,
            is_needed: true,
        }
    }

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let good = [
            0, 0x81, 0, 0, 0, 0, 0, 9, 0x0d, 0x96, 0x0d, 0x96, 0, 0, 0x0e, 0x10,
        ];
        let expected = Mapped {
            result: 0,
            epoch_s: 9,
            outside: 3_478,
            seconds: 3_600,
        };
        assert_eq!(read_map(&good, &port()), Some(expected));
        for end in 0..good.len() {
            assert_eq!(read_map(&good[..end], &port()), None, "{end}");
        }
        for (at, byte) in [(0, 2), (1, 1), (1, 0x82), (8, 0)] {
            let mut bytes = good;
            bytes[at] = byte;
            assert_eq!(read_map(&bytes, &port()), None, "{at}");
        }
        let refused = read_map(&[0, 0x81, 0, 2, 0, 0, 0, 9], &port()).unwrap();
        assert_eq!(refusal(refused.result), Some(Refusal::Forbidden));
        let address = [0, 0x80, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9];
        assert_eq!(
            read_address(&address),
            Some((0, 9, Ipv4Addr::new(9, 9, 9, 9)))
        );
        for end in 0..address.len() {
            assert_eq!(read_address(&address[..end]), None, "{end}");
        }
    }

    #[test]
    fn closing_says_no_port_outside() {
        assert_eq!(question(&port(), 0)[6..], [0; 6]);
        assert_eq!(question(&port(), 3_600)[6..8], 3_478_u16.to_be_bytes());
    }
}
