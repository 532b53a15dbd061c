//! XEP-0199: XMPP Ping. Somebody asks whether we are there; the answer is an empty result.

use crate::feature::{Feature, On, Spec, get, get_server};

const NS: &str = "urn:xmpp:ping";

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(199, "2.0.1", "XMPP Ping"),
    disco: &[(On::Server, NS), (On::OwnAccount, NS)],
    iq: &[
        get_server(On::Server, (NS, "ping"), |_, _| Ok(String::new())),
        get(On::OwnAccount, (NS, "ping"), |_, _| Ok(String::new())),
    ],
    ..Feature::NONE
};
