//! Records as values: what a name says and for how long. Owns nothing.
//!
//! Names are whole, in A-labels and lower case, without the dot at the end; the root is the empty text.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(String),
    /// RFC 2782; the root as target says that the service is not there.
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: String,
    },
    Txt(String),
    /// RFC 8659.
    Caa {
        flags: u8,
        tag: String,
        value: String,
    },
    /// Of a kind that this house never writes: the kind, and its data as the provider has it.
    Other(String, String),
}

impl Data {
    /// The kind of the record, as people write it.
    pub fn kind(&self) -> &str {
        match self {
            Data::A(_) => "A",
            Data::Aaaa(_) => "AAAA",
            Data::Cname(_) => "CNAME",
            Data::Srv { .. } => "SRV",
            Data::Txt(_) => "TXT",
            Data::Caa { .. } => "CAA",
            Data::Other(kind, _) => kind,
        }
    }
}

/// As in a zone file.
impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Data::A(address) => address.fmt(f),
            Data::Aaaa(address) => address.fmt(f),
            Data::Cname(name) => write!(f, "{name}."),
            Data::Srv {
                priority,
                weight,
                port,
                target,
            } => write!(f, "{priority} {weight} {port} {target}."),
            Data::Txt(text) => write!(f, "{text:?}"),
            Data::Caa { flags, tag, value } => write!(f, "{flags} {tag} {value:?}"),
            Data::Other(_, text) => f.write_str(text),
        }
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Record {
    pub name: String,
    /// Seconds that others may remember it.
    pub ttl: u32,
    pub data: Data,
}

impl Record {
    pub fn new(name: impl Into<String>, ttl: u32, data: Data) -> Record {
        Record {
            name: name.into(),
            ttl,
            data,
        }
    }

    /// Whether both are of the same name and kind (RFC 2181 §5, "RRset").
    pub fn is_beside(&self, other: &Record) -> bool {
        self.name == other.name && self.data.kind() == other.data.kind()
    }

    /// Whether both say the same, for whatever time.
    pub fn says_same(&self, other: &Record) -> bool {
        self.name == other.name && self.data == other.data
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, ttl) = (&self.name, self.ttl);
        write!(f, "{name} {ttl} {} {}", self.data.kind(), self.data)
    }
}

/// A record that a provider keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What the provider calls it. It stays when the record is changed in place.
    pub id: String,
    pub record: Record,
}

/// A name as records have it.
pub(super) fn whole(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_in_a_zone_file() {
        let srv = |target: &str| Data::Srv {
            priority: 5,
            weight: 1,
            port: 443,
            target: target.to_owned(),
        };
        let caa = Data::Caa {
            flags: 0,
            tag: "issue".to_owned(),
            value: "ca.example".to_owned(),
        };
        for (data, expected) in [
            (Data::A([192, 0, 2, 1].into()), "h.example 60 A 192.0.2.1"),
            (
                Data::Cname("a.example".into()),
                "h.example 60 CNAME a.example.",
            ),
            (srv("a.example"), "h.example 60 SRV 5 1 443 a.example."),
            (srv(""), "h.example 60 SRV 5 1 443 ."),
            (Data::Txt("a\"b".into()), "h.example 60 TXT \"a\\\"b\""),
            (caa, "h.example 60 CAA 0 issue \"ca.example\""),
            (
                Data::Other("MX".into(), "10 m".into()),
                "h.example 60 MX 10 m",
            ),
        ] {
            assert_eq!(Record::new("h.example", 60, data).to_string(), expected);
        }
    }

    #[test]
    fn names_have_one_form() {
        assert_eq!(whole("A.Example."), "a.example");
    }
}
