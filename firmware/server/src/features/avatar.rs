//! XEP-0084, XEP-0153 and XEP-0398: one picture for clients that publish it as an event, for those that put
//! it into the card, and for those that look for its hash in presence.
//!
//! State: `crate::identity`, which also says what becomes of which picture.

use crate::{
    account::Cx,
    feature::{Feature, ItemChange, On, Spec},
    identity,
};

/// Plain events (XEP-0163): contacts may read both nodes, as long as nobody says otherwise.
pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(84, "1.1.4", "User Avatar"),
    ..Feature::NONE
};

/// The hash goes into presence in `crate::presence`, where that is broadcast: once for everybody.
pub(super) const HASH_FEATURE: Feature = Feature {
    spec: Spec::Xep(153, "1.1.1", "vCard-Based Avatars"),
    ..Feature::NONE
};

pub(super) const CONVERSION_FEATURE: Feature = Feature {
    spec: Spec::Xep(
        398,
        "1.0.0",
        "User Avatar to vCard-Based Avatars Conversion",
    ),
    disco: &[(On::OwnAccount, "urn:xmpp:pep-vcard-conversion:0")],
    item_changed: Some(published),
    readers_changed: Some(|cx, name, people| {
        if [identity::METADATA, identity::DATA].contains(&name) {
            identity::readers_changed(cx, people);
        }
    }),
    ..Feature::NONE
};

fn published(cx: &mut Cx<'_>, change: &ItemChange<'_>) {
    match change.node {
        identity::METADATA => identity::metadata_changed(cx, change),
        identity::DATA => identity::data_changed(cx, change),
        _ => {}
    }
}
