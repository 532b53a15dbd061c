//! XEP-0115: Entity Capabilities of the server itself, as a stream feature (§6.3): clients that know the
//! hash need not ask what the server can do.

use super::disco;
use crate::{
    feature::{Feature, On, Spec},
    server::Server,
};

const NS: &str = "http://jabber.org/protocol/caps";
const NODE: &str = "https://hearth.invalid/caps";

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(115, "1.6.0", "Entity Capabilities"),
    disco: &[(On::Server, NS)],
    stream_features: Some(|server, _| {
        let ver = disco::server_info(server).ver();
        Some(format!(
            "<c xmlns='{NS}' hash='sha-1' node='{NODE}' ver='{ver}'/>"
        ))
    }),
    ..Feature::NONE
};

/// Whether a disco#info node is the one the stream feature names.
pub(super) fn is_own_node(server: &Server, node: &str) -> bool {
    node.strip_prefix(NODE)
        .and_then(|rest| rest.strip_prefix('#'))
        .is_some_and(|ver| ver == disco::server_info(server).ver())
}
