//! XEP-0490: Message Displayed Synchronization. What was read on one device is read on all.
//!
//! The items are between clients (`pep.rs`); their node is private from the start. Here is what the server
//! does for clients (§4.5.1): a `<displayed/>` that comes along in a message is published, and goes no
//! further.
//!
//! State: `crate::pubsub`.

use crate::{
    account::Cx,
    feature::{Feature, On, Spec, Verdict},
};
use tracing::debug;
use xmpp::{
    Passing, Stanza,
    stanza::{Child, Reach},
};

/// The node, and the namespace of its payloads.
const NS: &str = "urn:xmpp:mds:displayed:0";

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(490, "1.0.1", "Message Displayed Synchronization"),
    disco: &[(On::OwnAccount, "urn:xmpp:mds:server-assist:0")],
    message_out: Some(take_out),
    ..Feature::NONE
};

/// Apart, because a message that comes again (`resends.rs`) is to be without it, too, but must not take back
/// what another device displayed since.
pub(super) const PUBLISHING_FEATURE: Feature = Feature {
    spec: Spec::Own("displayed states"),
    message_out: Some(publish),
    ..Feature::NONE
};

fn displayed(stanza: &Stanza) -> impl Iterator<Item = Child<'_>> {
    let children = stanza.children();
    children.filter(|child| child.name() == "displayed" && child.ns() == NS)
}

/// §4.5.3. However many there are, none goes on; what is left may be empty.
fn take_out(_: &mut Cx<'_>, message: &mut Passing) -> Verdict {
    let stanza = message.stanza.clone();
    for child in displayed(&stanza) {
        message.leave_behind(child.index(), Reach::Everybody);
    }
    Verdict::Pass
}

/// §4.5.3. What an app does wrong here costs nobody the message: of several the first one is published, and
/// what the node does not take is not; nor is anything on a full disk, which would cost the account its
/// connections. An error tells nothing of what was displayed.
fn publish(cx: &mut Cx<'_>, message: &mut Passing) -> Verdict {
    let stanza = message.stanza.clone();
    let Some(displayed) = displayed(&stanza).next() else {
        return Verdict::Pass;
    };
    if stanza.type_() != "error" && cx.server.store().takes_writes() {
        let mut payload = String::new();
        displayed.element().write(&mut payload, "");
        // §5.2: the address as it is, the payload as it is.
        let id = message.to.as_str().to_owned();
        if let Err(refusal) = cx.publish(NS, &id, payload, &[]) {
            debug!(account = %cx.jid(), ?refusal, "what was displayed is not kept");
        }
    }
    Verdict::Pass
}
