//! The stream header we answer with (RFC 6120 §4.7).

use crate::{server::Server, world::random_id};
use xmpp::{Jid, compose, ns, stream::Header};

/// The answer to a header.
pub(super) fn answer(server: &Server, header: &Header) -> String {
    // §4.7.5: the lower of both versions; none where the peer has none.
    let version = header.version.map(|theirs| theirs.min((1, 0)));
    // §4.7.2: `to` exactly where `from` was given, as a bare JID.
    let to = header
        .from
        .as_deref()
        .and_then(|from| Jid::parse(from).ok())
        .map(|from| from.bare());
    write(server, version, to.as_ref())
}

/// Ours when theirs could not be read (§4.9.1.2).
pub(super) fn unasked(server: &Server) -> String {
    write(server, Some((1, 0)), None)
}

fn write(server: &Server, version: Option<(u32, u32)>, to: Option<&Jid>) -> String {
    let mut out = String::with_capacity(256);
    // Some clients of direct TLS look for the declaration, so it is there on every port.
    out.push_str("<?xml version='1.0'?><stream:stream");
    compose::attribute(&mut out, "from", server.domain().as_str());
    compose::attribute(&mut out, "id", &random_id(server.dice()));
    if let Some(to) = to {
        compose::attribute(&mut out, "to", to.as_str());
    }
    if let Some((major, minor)) = version {
        compose::attribute(&mut out, "version", &format!("{major}.{minor}"));
    }
    // §4.7.4: the one language of our texts, whatever the peer prefers.
    compose::attribute(&mut out, "xml:lang", "en");
    compose::attribute(&mut out, "xmlns", ns::CLIENT);
    compose::attribute(&mut out, "xmlns:stream", ns::STREAMS);
    out.push('>');
    out
}
