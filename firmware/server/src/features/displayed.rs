//! XEP-0490: Message Displayed Synchronization. What was read on one device is read on all.
//!
//! The items are between clients (`pep.rs`); their node is private from the start. Here is what the server
//! does for clients (§4.5.1): a `<displayed/>` that comes along in a message is published, and goes no further.
//!
//! State: `crate::pubsub`.

use crate::{
    account::Cx,
    feature::{Feature, On, Spec, Verdict},
};
use tracing::debug;
use xmpp::{Passing, stanza::Reach};

/// The node, and the namespace of its payloads.
const NS: &str = "urn:xmpp:mds:displayed:0";

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(490, "1.0.1", "Message Displayed Synchronization"),
    disco: &[(On::OwnAccount, "urn:xmpp:mds:server-assist:0")],
    message_out: Some(assist),
    ..Feature::NONE
};

/// §4.5.3. What an app does wrong here costs nobody the message: of several elements the first is published,
/// all are taken out; what no node takes is not published. An error tells nothing of what was read.
fn assist(cx: &mut Cx<'_>, message: &mut Passing) -> Verdict {
    let stanza = message.stanza.clone();
    let mut displayed = stanza
        .children()
        .filter(|child| child.name() == "displayed" && child.ns() == NS);
    let Some(first) = displayed.next() else {
        return Verdict::Pass;
    };
    message.leave_behind(first.index(), Reach::Everybody);
    for further in displayed {
        message.leave_behind(further.index(), Reach::Everybody);
    }
    if stanza.type_() != "error" {
        let mut payload = String::new();
        first.element().write(&mut payload, "");
        // §5.2: the address as it is, the payload as it is.
        let id = message.to.as_str().to_owned();
        if let Err(refusal) = cx.publish(NS, &id, payload, &[]) {
            debug!(account = %cx.jid(), ?refusal, "what was displayed is not kept");
        }
    }
    Verdict::Pass
}
