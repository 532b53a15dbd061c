//! XEP-0353: Jingle Message Initiation. A call is announced in messages, and which they are is known here to
//! everybody who treats them as such: the archive keeps them (`archive.rs`), all devices get them
//! (`carbons.rs`), and a device that sleeps is woken to ring (`crate::push`). They wait for nobody to look
//! (`csi.rs`). The session itself (XEP-0166) is in requests, which pass as they are.

use crate::feature::{Feature, Spec};
use xmpp::stanza::Child;

pub(super) const NS: &str = "urn:xmpp:jingle-message:0";
/// §10: that of versions 0.4 and 0.5, which says the same.
const NS_OF_OLD: &str = "urn:xmpp:jingle-message:1";

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(353, "0.8.0", "Jingle Message Initiation"),
    ..Feature::NONE
};

/// Whether a child of a message says that a device is to ring, or to ring no more.
pub(crate) fn is_call(child: Child<'_>) -> bool {
    [NS, NS_OF_OLD].contains(&child.ns())
}
