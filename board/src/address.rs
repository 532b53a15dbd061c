//! An address in blinks, for who has no screen: count the flashes of each digit. Owns nothing.

use crate::rhythm::Rhythm;
use std::net::Ipv4Addr;

const FLASH_MS: u16 = 200;
/// Dark between two flashes of a digit.
const APART_MS: u16 = 300;
/// A nought is one long flash, for there is nothing to count.
const NOUGHT_MS: u16 = 1_000;
const AFTER_DIGIT_MS: u16 = 1_200;
const AFTER_OCTET_MS: u16 = 2_500;
const AFTER_ALL_MS: u16 = 4_000;

/// The last number of the address, which is all that is missing where the router's is known.
pub fn last_octet(address: Ipv4Addr) -> Rhythm {
    rhythm(&address.octets()[3..])
}

/// All four numbers.
pub fn whole(address: Ipv4Addr) -> Rhythm {
    rhythm(&address.octets())
}

fn rhythm(octets: &[u8]) -> Rhythm {
    let mut times = Vec::new();
    for octet in octets {
        for digit in octet.to_string().bytes() {
            match digit - b'0' {
                0 => times.extend([NOUGHT_MS, APART_MS]),
                flashes => (0..flashes).for_each(|_| times.extend([FLASH_MS, APART_MS])),
            }
            pause(&mut times, AFTER_DIGIT_MS);
        }
        pause(&mut times, AFTER_OCTET_MS);
    }
    pause(&mut times, AFTER_ALL_MS);
    Rhythm::Cycle(times.into())
}

/// The dark after the last flash, as long as that.
fn pause(times: &mut [u16], ms: u16) {
    if let Some(last) = times.last_mut() {
        *last = ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As somebody with a pencil reads it.
    fn read(rhythm: &Rhythm) -> String {
        let Rhythm::Cycle(times) = rhythm else {
            return String::new();
        };
        let (mut text, mut flashes) = (String::new(), 0);
        for pair in times.chunks(2) {
            flashes += if pair[0] == FLASH_MS { 1 } else { 10 };
            if pair[1] > APART_MS {
                text.push(char::from(b'0' + (flashes % 10) as u8));
                flashes = 0;
            }
            if pair[1] == AFTER_OCTET_MS {
                text.push('.');
            }
        }
        text
    }

    #[test]
    fn an_address_is_read_back() {
        for (address, last) in [
            ("192.168.1.57", "57"),
            ("10.0.0.200", "200"),
            ("0.0.0.0", "0"),
            ("255.255.255.255", "255"),
        ] {
            let parsed: Ipv4Addr = address.parse().unwrap();
            assert_eq!(read(&last_octet(parsed)), last);
            assert_eq!(read(&whole(parsed)), address);
        }
    }

    #[test]
    fn nobody_has_to_count_for_longer_than_a_minute() {
        let longest = whole(Ipv4Addr::new(199, 199, 199, 199)).round_ms();
        assert!(longest < 70_000, "{longest}");
    }
}
