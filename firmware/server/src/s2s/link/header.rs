//! The stream header between servers (RFC 6120 §4.7, XEP-0220 §2.4.1).

use xmpp::{Jid, compose, ns};

/// Ours; with an id where it answers.
pub(super) fn write(ours: &Jid, theirs: Option<&Jid>, id: Option<&str>) -> String {
    let mut out = String::with_capacity(256);
    out.push_str("<?xml version='1.0'?><stream:stream");
    compose::attribute(&mut out, "from", ours.as_str());
    if let Some(theirs) = theirs {
        compose::attribute(&mut out, "to", theirs.as_str());
    }
    compose::attribute(&mut out, "version", "1.0");
    // §4.7.4: an answer has a language. Elsewhere it would be taken for that of everybody's messages.
    if let Some(id) = id {
        compose::attribute(&mut out, "id", id);
        compose::attribute(&mut out, "xml:lang", "en");
    }
    compose::attribute(&mut out, "xmlns", ns::SERVER);
    compose::attribute(&mut out, "xmlns:db", ns::DIALBACK);
    compose::attribute(&mut out, "xmlns:stream", ns::STREAMS);
    out.push('>');
    out
}
