//! The Port Control Protocol (RFC 6887): asks a router for a port, over IPv4 and as a hole for IPv6. Owns the
//! socket to it and what it said of its clock.
//!
//! PREFER_FAILURE is not used, as §13.2 wants it: a port other than the one asked for is given back.

use super::{
    datagram::{Datagrams, Epoch},
    port::{Lease, Port, Refusal},
};
use aws_lc_rs::hmac;
use std::net::{IpAddr, Ipv6Addr};

const VERSION: u8 = 2;
const MAP: u8 = 1;
/// The bit of an answer.
const ANSWER: u8 = 0x80;
/// Bytes of the head, and of all of MAP.
const HEAD: usize = 24;
const WHOLE: usize = 60;

const SUCCESS: u8 = 0;
const UNSUPPORTED_VERSION: u8 = 1;

pub(super) struct Pcp {
    datagrams: Datagrams,
    own: IpAddr,
    /// What makes the numbers of our mappings: the same after a restart, for a router takes a mapping's
    /// renewal from nobody else (§11.2).
    secret: hmac::Key,
    epoch: Epoch,
}

/// An answer to MAP that belongs to the question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    result: u8,
    seconds: u32,
    epoch_s: u32,
    outside: u16,
    external: IpAddr,
}

/// What the router said of a mapping.
pub(super) struct Said {
    pub(super) outcome: Result<Lease, Refusal>,
    pub(super) external: Option<IpAddr>,
    /// It has started again since it was asked last.
    pub(super) is_lost: bool,
}

impl Pcp {
    pub(super) fn new(datagrams: Datagrams, own: IpAddr, secret: &[u8]) -> Pcp {
        Pcp {
            datagrams,
            own,
            secret: hmac::Key::new(hmac::HMAC_SHA256, secret),
            epoch: Epoch::default(),
        }
    }

    /// Opens a port, or keeps it open; `seconds` = 0 closes it (§15).
    pub(super) async fn map(&mut self, port: &Port, seconds: u32, now_s: u64) -> Said {
        let nonce = self.nonce(port);
        let question = question(self.own, port, seconds, nonce);
        let answer = self
            .datagrams
            .ask(&question, |bytes| read(bytes, port, nonce));
        let Some(mapped) = answer.await else {
            return Said::refused(Refusal::Silent);
        };
        let is_lost = self.epoch.is_lost(now_s, mapped.epoch_s);
        let wanted = self.outside(port);
        let refused = refusal(mapped.result).or_else(|| {
            let is_other = seconds != 0 && mapped.outside != wanted;
            is_other.then_some(Refusal::Taken(None))
        });
        Said {
            is_lost,
            external: (mapped.result == SUCCESS).then_some(mapped.external),
            outcome: match refused {
                None => Ok(Lease {
                    seconds: mapped.seconds,
                }),
                Some(refusal) => Err(refusal),
            },
        }
    }

    fn outside(&self, port: &Port) -> u16 {
        if self.own.is_ipv6() {
            port.inside
        } else {
            port.outside
        }
    }

    fn nonce(&self, port: &Port) -> [u8; 12] {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(&[self.own.is_ipv6().into(), port.protocol.number()]);
        context.update(&port.inside.to_be_bytes());
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&context.sign().as_ref()[..12]);
        nonce
    }
}

impl Said {
    fn refused(refusal: Refusal) -> Said {
        Said {
            outcome: Err(refusal),
            external: None,
            is_lost: false,
        }
    }
}

/// §7.1 and §11.1.
fn question(own: IpAddr, port: &Port, seconds: u32, nonce: [u8; 12]) -> [u8; WHOLE] {
    let mut bytes = [0; WHOLE];
    bytes[0] = VERSION;
    bytes[1] = MAP;
    bytes[4..8].copy_from_slice(&seconds.to_be_bytes());
    bytes[8..24].copy_from_slice(&mapped(own).octets());
    bytes[24..36].copy_from_slice(&nonce);
    bytes[36] = port.protocol.number();
    bytes[40..42].copy_from_slice(&port.inside.to_be_bytes());
    let (outside, any) = match own {
        IpAddr::V4(_) => (port.outside, Ipv6Addr::from_bits(0xffff_0000_0000)),
        IpAddr::V6(_) => (port.inside, Ipv6Addr::UNSPECIFIED),
    };
    bytes[42..44].copy_from_slice(&outside.to_be_bytes());
    bytes[44..60].copy_from_slice(&any.octets());
    bytes
}

/// §5: addresses of IPv4 are written into IPv6.
fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// §8.3 and §11.4: `None` for what does not answer this question. An answer that refuses the version may be
/// shorter, or of NAT-PMP (§9).
fn read(bytes: &[u8], port: &Port, nonce: [u8; 12]) -> Option<Mapped> {
    let number = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let other = |result| Mapped {
        result,
        seconds: 0,
        epoch_s: number(8).unwrap_or_default(),
        outside: 0,
        external: Ipv6Addr::UNSPECIFIED.into(),
    };
    let [version, opcode, _, result] = *bytes.first_chunk()?;
    (opcode & ANSWER != 0).then_some(())?;
    if version != VERSION || result == UNSUPPORTED_VERSION {
        return Some(other(UNSUPPORTED_VERSION));
    }
    (opcode == MAP | ANSWER && bytes.len() >= HEAD).then_some(())?;
    if bytes.len() < WHOLE {
        // §8.3: too short for MAP; it may be an error of somebody who did not read that far.
        return (result != SUCCESS).then(|| other(result));
    }
    let inside = u16::from_be_bytes([bytes[40], bytes[41]]);
    let is_ours =
        bytes[24..36] == nonce && bytes[36] == port.protocol.number() && inside == port.inside;
    is_ours.then_some(())?;
    let external = Ipv6Addr::from(*bytes[44..60].first_chunk::<16>()?);
    Some(Mapped {
        result,
        seconds: number(4)?,
        epoch_s: number(8)?,
        outside: u16::from_be_bytes([bytes[42], bytes[43]]),
        external: external
            .to_ipv4_mapped()
            .map_or(IpAddr::V6(external), IpAddr::V4),
    })
}

/// §7.4.
fn refusal(result: u8) -> Option<Refusal> {
    Some(match result {
        SUCCESS => return None,
        // It speaks something else.
        UNSUPPORTED_VERSION => Refusal::Silent,
        2 => Refusal::Forbidden,
        8 | 10 => Refusal::Full,
        11 => Refusal::Taken(None),
        other => Refusal::Other(other.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::port::Protocol, *};

    const NONCE: [u8; 12] = [7; 12];

    fn port() -> Port {
        Port {
            name: "https",
            protocol: Protocol::Tcp,
            inside: 8_443,
            outside: 443,
            is_needed: true,
        }
    }

    fn answer(result: u8) -> Vec<u8> {
        let own = "192.168.1.7".parse().unwrap();
        let mut bytes = question(own, &port(), 3_600, NONCE).to_vec();
        bytes[1] |= ANSWER;
        bytes[3] = result;
        bytes[8..24].fill(0);
        bytes[8..12].copy_from_slice(&77_u32.to_be_bytes());
        let external: IpAddr = "9.9.9.9".parse().unwrap();
        bytes[44..60].copy_from_slice(&mapped(external).octets());
        bytes
    }

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let expected = Mapped {
            result: SUCCESS,
            seconds: 3_600,
            epoch_s: 77,
            outside: 443,
            external: "9.9.9.9".parse().unwrap(),
        };
        assert_eq!(read(&answer(SUCCESS), &port(), NONCE), Some(expected));
        assert_eq!(read(&answer(SUCCESS), &port(), [8; 12]), None);
        for (at, byte) in [(1, 1), (1, 0x82), (36, 17), (40, 0)] {
            let mut bytes = answer(SUCCESS);
            bytes[at] = byte;
            assert_eq!(read(&bytes, &port(), NONCE), None, "{at}");
        }
        for end in 0..WHOLE {
            assert_eq!(read(&answer(SUCCESS)[..end], &port(), NONCE), None, "{end}");
        }
        // The answer of a router that knows NAT-PMP alone (RFC 6886 §3.5).
        let old = read(&[0, 0x81, 0, 1, 0, 0, 0, 9], &port(), NONCE).unwrap();
        assert_eq!(old.result, UNSUPPORTED_VERSION);
        let short = read(&answer(2)[..HEAD], &port(), NONCE).unwrap();
        assert_eq!(refusal(short.result), Some(Refusal::Forbidden));
    }
}
