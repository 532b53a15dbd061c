//! What goes into the archive: messages that a person would miss on another device. Kept for sender and
//! recipient, each at a position of their own, before anything is delivered.

use super::hints;
use crate::{
    account::Cx,
    archive::{self, EntryKind},
    feature::{Feature, Spec, Verdict},
};
use xmpp::{Passing, StanzaError, ns};

/// XEP-0085.
const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Own("archive"),
    message_out: Some(keep_sent),
    message_in: Some(keep_received),
    ..Feature::NONE
};

fn keep_sent(cx: &mut Cx<'_>, message: &mut Passing) -> Verdict {
    // A note to oneself is kept once, when it arrives.
    let to_oneself = message.to.bare_str() == cx.jid().as_str();
    if !to_oneself && worth_keeping(message) && !hints::no_permanent_store(message) {
        return kept(archive::keep(cx, message, EntryKind::Sent));
    }
    Verdict::Pass
}

fn keep_received(cx: &mut Cx<'_>, message: &mut Passing) -> Verdict {
    if worth_keeping(message) {
        let temporary = hints::no_permanent_store(message);
        let kind = if temporary {
            EntryKind::Temporary
        } else {
            EntryKind::Received
        };
        return kept(archive::keep(cx, message, kind));
    }
    Verdict::Pass
}

/// A message that cannot be kept is not delivered either.
fn kept(kept: Result<(), StanzaError>) -> Verdict {
    kept.map_or_else(Verdict::Refuse, |()| Verdict::Pass)
}

/// XEP-0313 §5.1 leaves the choice to the server; XEP-0160 §3 and XEP-0334 §4 say what not.
pub(crate) fn worth_keeping(message: &Passing) -> bool {
    let conversation = !matches!(message.stanza.type_(), "error" | "headline" | "groupchat");
    conversation
        && !hints::no_store(message)
        && (hints::store(message) || !is_bare_chat_state(message))
}

/// Whether nothing but a chat state is inside (XEP-0085 §5.5: `<thread/>` may go with it), or nothing at all.
pub(super) fn is_bare_chat_state(message: &Passing) -> bool {
    message.stanza.children().all(|child| {
        child.ns() == CHAT_STATES
            || hints::is_hint(child.ns())
            || (child.ns(), child.name()) == (ns::CLIENT, "thread")
    })
}
