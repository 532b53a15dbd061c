//! XEP-0334: Message Processing Hints. A sender's wish that a message is not kept, or is.

use crate::feature::{Feature, Spec};
use xmpp::Passing;

const NS: &str = "urn:xmpp:hints";

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(334, "1.0.0", "Message Processing Hints"),
    ..Feature::NONE
};

/// §4.2: keep it nowhere, not even until somebody is there.
pub(super) fn no_store(message: &Passing) -> bool {
    message.stanza.child(NS, "no-store").is_some()
}

/// §4.1: keep it only until it is delivered.
pub(super) fn no_permanent_store(message: &Passing) -> bool {
    message.stanza.child(NS, "no-permanent-store").is_some()
}

/// §4.3: to nobody but whom it is addressed to. Hints in an error are the ones of its cause (§5).
pub(super) fn no_copy(message: &Passing) -> bool {
    message.stanza.type_() != "error" && message.stanza.child(NS, "no-copy").is_some()
}

/// §4.4: keep it, whatever it looks like.
pub(super) fn store(message: &Passing) -> bool {
    message.stanza.child(NS, "store").is_some()
}

/// Whether a child is itself a hint, and so says nothing.
pub(super) fn is_hint(ns: &str) -> bool {
    ns == NS
}
