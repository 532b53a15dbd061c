//! The normal form of a domainpart (RFC 7622 §3.2): lower-case U-labels, an IPv4 address, or `[IPv6]`.

use std::{borrow::Cow, net::Ipv6Addr};

use idna::uts46::{AsciiDenyList, Hyphens, Uts46};

/// Prepares a domainpart. `None` where it is neither a host name nor an address; the empty text stays empty.
pub(super) fn prepare(raw: &str) -> Option<Cow<'_, str>> {
    if let Some(literal) = raw.strip_prefix('[') {
        return ip_literal(literal.strip_suffix(']')?);
    }
    // §3.2: the dot of the root goes before anything else is done.
    let name = raw.strip_suffix('.').unwrap_or(raw);
    if name.is_empty() {
        return Some(name.into());
    }
    if name.ends_with('.') {
        return None;
    }
    // An IPv4 address is a name of four labels here: it has one spelling.
    if name.split('.').all(is_plain_label) {
        let upper = name.bytes().any(|byte| byte.is_ascii_uppercase());
        return Some(if upper {
            name.to_ascii_lowercase().into()
        } else {
            name.into()
        });
    }
    internationalised(name)
}

/// An IPv6 address in the one spelling of RFC 5952. Zone identifiers (RFC 6874) are refused: they name an
/// interface of the machine that wrote them and mean nothing to the one that reads them.
fn ip_literal<'a>(literal: &str) -> Option<Cow<'a, str>> {
    let address: Ipv6Addr = literal.parse().ok()?;
    Some(format!("[{address}]").into())
}

/// An NR-LDH label (RFC 5890 §2.3.1), which needs no tables.
fn is_plain_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    bytes
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && !bytes.is_empty()
        && !bytes.starts_with(b"-")
        && !bytes.ends_with(b"-")
        && bytes.get(2..4) != Some(b"--")
}

/// U-labels of any spelling, and A-labels, which §3.2.1 has converted. The characters that UTS 46 takes for
/// a dot are dots.
fn internationalised(name: &str) -> Option<Cow<'_, str>> {
    let (unicode, outcome) =
        Uts46::new().to_unicode(name.as_bytes(), AsciiDenyList::STD3, Hyphens::Check);
    outcome.ok()?;
    let mut unicode = unicode.into_owned();
    if unicode.ends_with('.') {
        unicode.pop();
    }
    (unicode.is_empty() || unicode.split('.').all(|label| !label.is_empty()))
        .then_some(unicode.into())
}
