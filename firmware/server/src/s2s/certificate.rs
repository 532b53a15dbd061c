//! What a certificate says of itself: whose it is, from when to when, and who signed it.
//!
//! The names are those that an XMPP server can be known by (RFC 6120 §13.7.1.2): DNS-ID, SRV-ID, XmppAddr,
//! and for a domain that is an address, its iPAddress. They are compared as RFC 9525 §6.3 says, in one
//! normal form: lower-case A-labels. State: none.

use crate::world::Timestamp;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use std::{net::IpAddr, str};
use x509_parser::{
    certificate::X509Certificate,
    der_parser::{
        asn1_rs::{Any, Class, Tag},
        oid,
    },
    extensions::GeneralName,
    oid_registry::Oid,
    prelude::FromDer,
    x509::X509Version,
};

/// A certificate that can be read.
pub(super) struct Certificate<'a>(X509Certificate<'a>);

/// Which of the names of a certificate are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Believed {
    /// All that can name a server: DNS-ID, SRV-ID, XmppAddr, address.
    All,
    /// DNS-IDs and addresses: the authority above may only speak for some names (RFC 5280 §4.2.1.10), and
    /// what limits it in practice knows these kinds alone.
    Dns,
    /// All, and the common name where there is no other: somebody of the house has looked at this
    /// certificate.
    Everything,
}

/// A name in a certificate, in normal form.
#[derive(Debug, PartialEq, Eq)]
enum Name {
    Dns(Pattern),
    Srv(Pattern),
    Xmpp(String),
    Address(IpAddr),
    /// One that cannot be ours, or cannot be read.
    Other,
}

/// A domain name, or all names one label below it (RFC 9525 §6.3: `*` is the whole left-most label).
#[derive(Debug, PartialEq, Eq)]
enum Pattern {
    Exactly(String),
    Below(String),
}

/// 1.3.6.1.5.5.7.8.5 (RFC 6120 §13.7.1.4).
const ID_ON_XMPP_ADDR: Oid<'static> = oid!(1.3.6.1.5.5.7.8.5);
/// 1.3.6.1.5.5.7.8.7 (RFC 4985 §2).
const ID_ON_DNS_SRV: Oid<'static> = oid!(1.3.6.1.5.5.7.8.7);
/// The service of an SRV-ID (RFC 6120 §13.7.1.2.1). A certificate for `_xmpp-client` vouches for no server.
const SERVICE: &str = "_xmpp-server.";

impl<'a> Certificate<'a> {
    /// `None` where this is not exactly one certificate.
    pub(super) fn read(der: &'a [u8]) -> Option<Certificate<'a>> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        rest.is_empty().then_some(Certificate(certificate))
    }

    /// First and last moment at which it is valid, in milliseconds since 1970; what was before is 0.
    pub(super) fn validity(&self) -> (Timestamp, Timestamp) {
        let validity = self.0.validity();
        let milliseconds = |seconds: i64| {
            let seconds = Timestamp::try_from(seconds).unwrap_or(0);
            seconds.saturating_mul(1_000)
        };
        // The last second counts as a whole (RFC 5280 §4.1.2.5).
        let last = milliseconds(validity.not_after.timestamp()).saturating_add(999);
        (milliseconds(validity.not_before.timestamp()), last)
    }

    /// Its subject is its issuer.
    pub(super) fn is_self_issued(&self) -> bool {
        self.0.subject().as_raw() == self.0.issuer().as_raw()
    }

    /// It may sign others: it says so (RFC 5280 §4.2.1.9), or it is older than that and its own issuer.
    pub(super) fn is_authority(&self) -> bool {
        match self.0.basic_constraints() {
            Ok(Some(constraints)) => constraints.value.ca,
            Ok(None) => self.0.version() == X509Version::V1 && self.is_self_issued(),
            Err(_) => false,
        }
    }

    /// It limits the names for which those below it may speak (RFC 5280 §4.2.1.10).
    pub(super) fn limits_names(&self) -> bool {
        !matches!(self.0.name_constraints(), Ok(None))
    }

    /// The SubjectPublicKeyInfo, DER.
    pub(super) fn public_key(&self) -> &[u8] {
        self.0.public_key().raw
    }

    /// One of the names that are believed is this domain: a domainpart in normal form (RFC 7622 §3.2).
    pub(super) fn names(&self, domain: &str, believed: Believed) -> bool {
        let Ok(alternatives) = self.0.subject_alternative_name() else {
            return false;
        };
        let names: Vec<Name> = alternatives.map_or_else(Vec::new, |extension| {
            let names = extension.value.general_names.iter();
            names.map(Name::of).collect()
        });
        // RFC 6125 §6.4.4, which RFC 9525 §2 took back: only as the last resort.
        if believed == Believed::Everything && names.is_empty() {
            return self.has_common_name(domain);
        }
        let bare = domain.trim_matches(['[', ']']);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return names.contains(&Name::Address(address))
                || believed != Believed::Dns && names.contains(&Name::Xmpp(domain.to_owned()));
        }
        let Some(domain) = normal(domain) else {
            return false;
        };
        names.iter().any(|name| match name {
            Name::Dns(pattern) => pattern.matches(&domain),
            Name::Srv(pattern) => believed != Believed::Dns && pattern.matches(&domain),
            Name::Xmpp(address) => believed != Believed::Dns && *address == domain,
            Name::Address(_) | Name::Other => false,
        })
    }

    fn has_common_name(&self, domain: &str) -> bool {
        let Some(domain) = normal(domain) else {
            return false;
        };
        self.0
            .subject()
            .iter_common_name()
            .filter_map(|name| name.as_str().ok())
            .filter_map(Pattern::of)
            .any(|pattern| pattern.matches(&domain))
    }
}

impl Name {
    fn of(name: &GeneralName<'_>) -> Name {
        let read = match name {
            GeneralName::DNSName(name) => Pattern::of(name).map(Name::Dns),
            GeneralName::IPAddress(bytes) => address(bytes).map(Name::Address),
            GeneralName::OtherName(id, value) if *id == ID_ON_DNS_SRV => srv_id(value),
            GeneralName::OtherName(id, value) if *id == ID_ON_XMPP_ADDR => xmpp_address(value),
            _ => None,
        };
        read.unwrap_or(Name::Other)
    }
}

impl Pattern {
    /// `None` where it is no name of RFC 5280 §4.2.1.6: these are A-labels, so what is not ASCII is not one.
    fn of(name: &str) -> Option<Pattern> {
        if !name.is_ascii() {
            return None;
        }
        match name.strip_prefix("*.") {
            Some(parent) => Some(Pattern::Below(normal(parent)?)),
            None => Some(Pattern::Exactly(normal(name)?)),
        }
    }

    fn matches(&self, domain: &str) -> bool {
        match self {
            Pattern::Exactly(name) => name == domain,
            Pattern::Below(parent) => domain
                .split_once('.')
                .is_some_and(|(_, above)| above == parent),
        }
    }
}

/// `_xmpp-server.im.example.com`, an IA5String.
fn srv_id(value: &[u8]) -> Option<Name> {
    let text = text(value, Tag::Ia5String)?;
    let (service, name) = text.split_at_checked(SERVICE.len())?;
    if !service.eq_ignore_ascii_case(SERVICE) {
        return None;
    }
    Pattern::of(name).map(Name::Srv)
}

/// A JID, as a UTF8String. A server's is a domainpart alone: who is called `juliet@im.example.com` is not
/// `im.example.com`.
fn xmpp_address(value: &[u8]) -> Option<Name> {
    let text = text(value, Tag::Utf8String)?;
    if text.starts_with('[') {
        return Some(Name::Xmpp(text.to_owned()));
    }
    normal(text).map(Name::Xmpp)
}

/// The text in an otherName's value, which is `[0] EXPLICIT`.
fn text(value: &[u8], tag: Tag) -> Option<&str> {
    let (rest, outer) = Any::from_der(value).ok()?;
    if !rest.is_empty() || outer.class() != Class::ContextSpecific || outer.tag() != Tag(0) {
        return None;
    }
    let (rest, inner) = Any::from_der(outer.data).ok()?;
    if !rest.is_empty() || inner.class() != Class::Universal || inner.tag() != tag {
        return None;
    }
    str::from_utf8(inner.data).ok()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

/// Lower-case A-labels without the dot of the root. Neither `*` nor anything else that is no host name
/// passes.
fn normal(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let ascii = Uts46::new().to_ascii(
        name.as_bytes(),
        AsciiDenyList::STD3,
        Hyphens::Allow,
        DnsLength::Verify,
    );
    ascii.ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests;
