//! What is particular about the stream of an external component (XEP-0114).

use aws_lc_rs::digest;
use std::fmt::Write;
use xmpp::{Element, element::Node, ns};

/// What every component of every script shows.
pub(crate) const SECRET: &str = "secret";

/// The digest of the id of the server's header and that secret, or another one (§3).
pub(crate) fn handshake(id: &str, secret: &str) -> String {
    let digest = digest::digest(
        &digest::SHA1_FOR_LEGACY_USE_ONLY,
        format!("{id}{secret}").as_bytes(),
    );
    digest.as_ref().iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Scripts write stanzas without a namespace, whatever stream they are on: `jabber:component:accept` becomes
/// `jabber:client`, and the other way round, so that a stanza in the wrong one shows. What is inside another
/// namespace stays as it is, as a forwarded stanza does.
pub(crate) fn as_scripts_write(element: &mut Element) {
    let other = match element.ns.as_str() {
        ns::COMPONENT => ns::CLIENT,
        ns::CLIENT => ns::COMPONENT,
        _ => return,
    };
    element.ns = other.into();
    for node in &mut element.children {
        if let Node::Element(child) = node {
            as_scripts_write(child);
        }
    }
}
