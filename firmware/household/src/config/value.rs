//! What a value may look like in the file, and the sentence for one that does not.
//!
//! Each function is the `deserialize_with` of some keys. Its sentence ends the error that names key and
//! value, so it says what to write instead.

use serde::{Deserialize, Deserializer, de::Error};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

/// A value that is never shown, neither in the log nor in an error.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for the one place that compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A network in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub address: IpAddr,
    /// Bits of the address that count: 0..=32 or 0..=128.
    pub prefix: u8,
}

impl Network {
    /// `address/prefix`; an address alone is a network of one.
    fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = text
            .split_once('/')
            .map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Some(bits), |prefix| prefix.parse().ok())?;
        (prefix <= bits).then_some(Network { address, prefix })
    }

    /// Whether the address is in it. Bits of the network's own address beyond the prefix do not count.
    pub fn contains(&self, address: IpAddr) -> bool {
        let differ = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                u128::from(own.to_bits() ^ other.to_bits()) << 96
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => own.to_bits() ^ other.to_bits(),
            _ => return false,
        };
        differ.leading_zeros() >= u32::from(self.prefix)
    }
}

/// Enums whose values are words: `Language { En = "en", … }`.
macro_rules! words { ($($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),* })*) => { $(
    $(#[$doc])*
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum $name { $(#[doc = concat!("`", $word, "`")] $variant),* }

    impl<'de> serde::Deserialize<'de> for $name {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            value::text(from, concat!("use one of:" $(, " ", $word)*), |text| match text {
                $($word => Some($name::$variant),)*
                _ => None,
            })
        }
    }
)* } }
pub(super) use words;

/// A string that `parse` understands, or the sentence.
pub(super) fn text<'de, D: Deserializer<'de>, T>(
    from: D,
    sentence: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    let text = String::deserialize(from)?;
    parse(&text).ok_or_else(|| D::Error::custom(sentence))
}

/// A list of strings that `parse` understands, or the sentence.
fn list<'de, D: Deserializer<'de>, T>(
    from: D,
    sentence: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts
        .iter()
        .map(|text| parse(text).ok_or_else(|| D::Error::custom(sentence)))
        .collect()
}

/// A whole number without unit: at most `max`, or the sentence.
fn number<'de, D: Deserializer<'de>>(
    from: D,
    max: i64,
    sentence: &'static str,
) -> Result<i64, D::Error> {
    let number = i64::deserialize(from)?;
    if (0..=max).contains(&number) {
        Ok(number)
    } else {
        Err(D::Error::custom(sentence))
    }
}

/// A number with a unit, or 0 without one, as a string or as a TOML integer.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "write a whole number with its unit, in quotation marks"
)]
enum Measure {
    Integer(i64),
    Text(String),
}

fn measure<'de, D: Deserializer<'de>>(
    from: D,
    units: &[(&str, u64)],
    sentence: &'static str,
) -> Result<u64, D::Error> {
    let value = match Measure::deserialize(from)? {
        Measure::Integer(0) => Some(0),
        Measure::Integer(_) => None,
        Measure::Text(text) => with_unit(&text, units),
    };
    value.ok_or_else(|| D::Error::custom(sentence))
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];
const RATES: &[(&str, u64)] = &[("B/s", 1), ("kB/s", 1_000), ("MB/s", 1_000_000)];
const DURATIONS: &[(&str, u64)] = &[("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

/// A duration as it is written here and on the command line: a whole number with `s`, `m`, `h` or `d` (24 h).
/// `None` for anything else.
pub fn duration_of(text: &str) -> Option<Duration> {
    with_unit(text, DURATIONS).map(Duration::from_secs)
}

/// The same the other way round, in the largest unit that says it exactly; parts of a second are left out.
pub fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let exact = |(_, factor): &&(&str, u64)| seconds.is_multiple_of(*factor);
    let (unit, factor) = DURATIONS.iter().rev().find(exact).unwrap_or(&("s", 1));
    format!("{}{unit}", seconds / factor)
}

pub(super) fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    measure(
        from,
        SIZES,
        "write a whole number and B, kB, MB or GB, like \"100MB\"",
    )
}

pub(super) fn rate<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    measure(
        from,
        RATES,
        "write a whole number and B/s, kB/s or MB/s, like \"100kB/s\"",
    )
}

pub(super) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let sentence = "write a whole number and s, m, h or d, like \"30d\"";
    measure(from, DURATIONS, sentence).map(Duration::from_secs)
}

pub(super) fn keep<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let sentence = "write \"forever\", or a whole number and s, m, h or d, like \"365d\"";
    text(from, sentence, |text| match text {
        "forever" => Some(None),
        _ => with_unit(text, DURATIONS).map(|seconds| Some(Duration::from_secs(seconds))),
    })
}

pub(super) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    number(from, u32::MAX.into(), "write a whole number, 0 or more").map(|number| number as u32)
}

pub(super) fn port<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
    number(from, u16::MAX.into(), "write a port from 0 to 65535").map(|number| number as u16)
}

pub(super) fn pin<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    number(
        from,
        27,
        "write the BCM number of a pin, at most 27, or 0 for none",
    )
    .map(|number| number as u8)
}

pub(super) fn ports<'de, D: Deserializer<'de>>(from: D) -> Result<RangeInclusive<u16>, D::Error> {
    text(
        from,
        "write the first and the last port, like \"49160-49259\"",
        |text| {
            let (first, last) = text.split_once('-')?;
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            (0 < first && first <= last).then_some(first..=last)
        },
    )
}

pub(super) fn addresses<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SocketAddr>, D::Error> {
    let sentence = "write addresses with ports, like [\"[::]:5222\"] or [\"192.0.2.1:5222\"]";
    list(from, sentence, |text| text.parse().ok())
}

pub(super) fn address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    optional(
        from,
        "write an address and a port, like \"192.0.2.1:53\", or \"\" for none",
    )
}

pub(super) fn ipv4<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Ipv4Addr>, D::Error> {
    optional(
        from,
        "write an IPv4 address, like \"192.0.2.1\", or \"\" to have it found",
    )
}

pub(super) fn ipv6<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Ipv6Addr>, D::Error> {
    optional(
        from,
        "write an IPv6 address, like \"2001:db8::1\", or \"\" to have it found",
    )
}

/// `""` is none.
fn optional<'de, D: Deserializer<'de>, T: std::str::FromStr>(
    from: D,
    sentence: &'static str,
) -> Result<Option<T>, D::Error> {
    text(from, sentence, |text| {
        if text.is_empty() {
            Some(None)
        } else {
            text.parse().ok().map(Some)
        }
    })
}

pub(super) fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Network>, D::Error> {
    list(
        from,
        "write networks, like [\"192.0.2.0/24\", \"2001:db8::/32\"]",
        Network::parse,
    )
}

pub(super) fn path<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    text(from, "write a path", |text| {
        (!text.is_empty()).then(|| PathBuf::from(text))
    })
}

/// One label of a domain name (RFC 1123 §2.1).
pub(super) fn label<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    text(
        from,
        "write one name without dots: letters a-z, digits and hyphens, like \"upload\"",
        |text| {
            let inner =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            let good = (1..=63).contains(&text.len())
                && text.bytes().all(inner)
                && !text.starts_with('-')
                && !text.ends_with('-');
            good.then(|| text.to_owned())
        },
    )
}

/// The name of a machine (RFC 1123 §2.1), in letters of any language, or its address; or nothing.
pub(super) fn host<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    text(
        from,
        "write a name, like \"turn.example.org\", or an address, without port and brackets",
        |text| (text.is_empty() || is_host(text)).then(|| text.to_owned()),
    )
}

fn is_host(text: &str) -> bool {
    let is_inner = |it: char| it.is_alphanumeric() || it == '-';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(is_inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = text.len() <= 253
        && text.split('.').all(is_label)
        && text.rsplit('.').next().is_some_and(|last| !is_number(last));
    is_name || text.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        let long = [&*"a".repeat(63); 4].join(".");
        for (text, expected) in [
            ("turn.example.org", true),
            ("localhost", true),
            ("bücher.example", true),
            ("xn--bcher-kva.example", true),
            ("192.0.2.1", true),
            ("2001:db8::1", true),
            ("4.example", true),
            ("192.0.2", false),
            ("192.0.2.256", false),
            ("[2001:db8::1]", false),
            ("turn.example.org:3478", false),
            ("turn:turn.example.org", false),
            ("turn.example.org.", false),
            (".example.org", false),
            ("turn..org", false),
            ("-turn.example.org", false),
            ("turn-.example.org", false),
            ("tu rn.example.org", false),
            ("turn_1.example.org", false),
            ("https://example.org/", false),
            (&long[1..], false),
            (&long[3..], true),
        ] {
            assert_eq!(is_host(text), expected, "{text}");
        }
    }

    #[test]
    fn networks_contain_addresses() {
        for (network, address, inside) in [
            ("192.168.1.7/24", "192.168.1.255", true),
            ("192.168.1.7/24", "192.168.2.0", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.0", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/33", "2001:db8:7fff::", true),
            ("2001:db8::/33", "2001:db8:8000::", false),
            ("::1", "::1", true),
        ] {
            let found = Network::parse(network)
                .unwrap()
                .contains(address.parse().unwrap());
            assert_eq!(found, inside, "{address} in {network}");
        }
    }

    #[test]
    fn durations_are_read_and_written() {
        for (text, written) in [
            ("0", Some("0d")),
            ("30d", Some("30d")),
            ("48h", Some("2d")),
            ("90m", Some("90m")),
            ("61s", Some("61s")),
            ("30 d", Some("30d")),
            ("forever", None),
            ("30", None),
            ("-1d", None),
            ("1.5h", None),
            ("", None),
            ("99999999999999999999d", None),
            ("999999999999999999d", None),
        ] {
            let duration = duration_of(text);
            let again = duration.map(duration_text);
            assert_eq!(again.as_deref(), written, "{text}");
        }
    }
}
