//! XEP-0292: vCard4 Over XMPP, the same as the card (§11). It is an event (§4.1); who asks with the bare
//! element, as earlier versions of the specification had it, is answered likewise.
//!
//! State: `crate::pubsub`, and `crate::identity` for which is newer.

use super::pubsub::condition;
use crate::{
    account::Cx,
    feature::{Answer, Feature, Iq, IqHandler, IqHook, On, Plan, Read, Spec, refuse, set},
    identity,
    pubsub::{self, By, NewItem, Publication, Visitor},
};
use tracing::error;
use xmpp::StanzaError;

const NS: &str = "urn:ietf:params:xml:ns:vcard-4.0";

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(292, "0.12.0", "vCard4 Over XMPP"),
    disco: &[(On::OwnAccount, NS)],
    iq: &[
        reads(On::OwnAccount, |cx, iq| {
            ask(cx, iq, StanzaError::ITEM_NOT_FOUND)
        }),
        reads(On::OtherAccount, |cx, iq| {
            ask(cx, iq, StanzaError::SERVICE_UNAVAILABLE)
        }),
        set(On::OwnAccount, (NS, "vcard"), publish),
        refuse(On::OtherAccount, "set", (NS, "vcard"), |_, _| {
            Err(StanzaError::FORBIDDEN)
        }),
        refuse(On::NoAccount, "set", (NS, "vcard"), |_, _| {
            Err(StanzaError::FORBIDDEN)
        }),
    ],
    item_changed: Some(|cx, change| {
        if change.node == identity::VCARD4 {
            identity::text_changed(cx);
        }
    }),
    ..Feature::NONE
};

const fn reads(on: On, ask: fn(&mut Cx<'_>, &Iq<'_>) -> Result<Plan, StanzaError>) -> IqHandler {
    IqHandler {
        on,
        type_: "get",
        payload: (NS, "vcard"),
        hook: IqHook::Reads(ask),
    }
}

/// The newest item; `none` where there is none, or none for them.
fn ask(cx: &mut Cx<'_>, iq: &Iq<'_>, none: StanzaError) -> Result<Plan, StanzaError> {
    let visitor = Visitor::new(cx, &iq.passing.from);
    let node = cx.node(identity::VCARD4).map_err(|_| none)?;
    visitor.may_read(node, cx.face()).map_err(|_| none)?;
    let (shelf, place) = (cx.shelf(node), node.last().ok_or(none)?);
    Ok(Box::new(move |snapshot| {
        match shelf.read(snapshot, place) {
            Ok(record) => record.map(|record| Read::of(record.payload)).ok_or(none),
            Err(error) => {
                error!(%error, "a vCard4 cannot be read");
                Err(StanzaError::INTERNAL)
            }
        }
    }))
}

/// §4.1.2.
fn publish(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let visitor = Visitor::new(cx, &iq.passing.from);
    let publication = Publication {
        node: identity::VCARD4,
        items: vec![NewItem {
            id: Some(identity::CURRENT.to_owned()),
            payload: iq.payload.to_xml().into_owned(),
        }],
        options: None,
    };
    let published = pubsub::publish(cx, &visitor, publication, By::Client);
    published.map(|_| String::new()).map_err(condition)
}
