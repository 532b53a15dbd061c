//! The messages of a SCRAM client, by the grammar of RFC 5802 §7.
//!
//! `None` is `malformed-request`. A message of another grammar is never half understood: what one side skips
//! and the other reads is what attacks are made of.

use base64::{Engine, prelude::BASE64_STANDARD};

/// What the client says about channel binding (`gs2-cbind-flag`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag<'a> {
    /// `n`: the client cannot.
    Unsupported,
    /// `y`: the client could, but believes that the server cannot.
    NotOffered,
    /// `p=`: the client does, with this type.
    Bound(&'a str),
}

/// `client-first-message = gs2-header client-first-message-bare`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst<'a> {
    pub(super) gs2_header: &'a str,
    pub(super) flag: Flag<'a>,
    pub(super) authzid: Option<String>,
    pub(super) bare: &'a str,
    pub(super) username: String,
    pub(super) nonce: &'a str,
}

impl ClientFirst<'_> {
    pub(super) fn parse(message: &str) -> Option<ClientFirst<'_>> {
        let (flag, rest) = message.split_once(',')?;
        let (authzid, bare) = rest.split_once(',')?;
        let gs2_header = &message[..message.len() - bare.len()];
        let authzid = match authzid {
            "" => None,
            attribute => Some(saslname(attribute.strip_prefix("a=")?)?),
        };
        let mut attributes = bare.split(',');
        // §5.1: a mandatory extension (m) stands before the name, and we know none: the attempt fails.
        let username = saslname(attributes.next()?.strip_prefix("n=")?)?;
        let nonce = nonce(attributes.next()?)?;
        are_extensions(attributes)?;
        Some(ClientFirst {
            gs2_header,
            flag: Flag::parse(flag)?,
            authzid,
            bare,
            username,
            nonce,
        })
    }
}

/// `client-final-message = client-final-message-without-proof "," proof`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFinal<'a> {
    pub(super) without_proof: &'a str,
    /// The value of `c`, still in base64: it is compared as it was written.
    pub(super) channel_binding: &'a str,
    pub(super) nonce: &'a str,
    pub(super) proof: Vec<u8>,
}

impl ClientFinal<'_> {
    pub(super) fn parse(message: &str) -> Option<ClientFinal<'_>> {
        let (without_proof, proof) = message.rsplit_once(",p=")?;
        let proof = BASE64_STANDARD.decode(proof).ok()?;
        let mut attributes = without_proof.split(',');
        let channel_binding = attributes.next()?.strip_prefix("c=")?;
        BASE64_STANDARD.decode(channel_binding).ok()?;
        let nonce = nonce(attributes.next()?)?;
        are_extensions(attributes)?;
        Some(ClientFinal {
            without_proof,
            channel_binding,
            nonce,
            proof,
        })
    }
}

impl Flag<'_> {
    fn parse(text: &str) -> Option<Flag<'_>> {
        match text {
            "n" => Some(Flag::Unsupported),
            "y" => Some(Flag::NotOffered),
            _ => {
                let name = text.strip_prefix("p=")?;
                let cb_name =
                    |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
                (!name.is_empty() && name.bytes().all(cb_name)).then_some(Flag::Bound(name))
            }
        }
    }
}

/// `saslname = 1*(value-safe-char / "=2C" / "=3D")`, unescaped. §5.1: any other `=` fails.
fn saslname(text: &str) -> Option<String> {
    if text.is_empty() || text.contains('\0') {
        return None;
    }
    let mut pieces = text.split('=');
    let mut name = String::from(pieces.next()?);
    for piece in pieces {
        let (character, rest) = match piece.strip_prefix("2C") {
            Some(rest) => (',', rest),
            None => ('=', piece.strip_prefix("3D")?),
        };
        name.push(character);
        name.push_str(rest);
    }
    Some(name)
}

/// `"r=" 1*printable`
fn nonce(attribute: &str) -> Option<&str> {
    let value = attribute.strip_prefix("r=")?;
    (!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic())).then_some(value)
}

/// `extensions = attr-val *("," attr-val)`. Unknown ones are ignored, as §5.1 wants it; an attribute that
/// RFC 5802 defines has its place, and this is not it.
fn are_extensions<'a>(mut attributes: impl Iterator<Item = &'a str>) -> Option<()> {
    let is_extension = |attribute: &str| match attribute.as_bytes() {
        [name, b'=', value @ ..] => {
            name.is_ascii_alphabetic()
                && !b"aceimnprsv".contains(name)
                && !value.is_empty()
                && !value.contains(&0)
        }
        _ => false,
    };
    attributes.all(is_extension).then_some(())
}
