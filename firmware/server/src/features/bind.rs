//! Requests that belong to the negotiation but come when a resource is bound already: a session is there
//! (RFC 3921 §3; old clients insist on asking), and a second resource is not to be had (RFC 6120 §7.3.2).

use crate::feature::{Answer, Feature, On, Spec, set};
use xmpp::{StanzaError, ns};

/// RFC 3921 §3; a no-op ever since, offered as optional.
const SESSION: (&str, &str) = ("urn:ietf:params:xml:ns:xmpp-session", "session");
const BIND: (&str, &str) = (ns::BIND, "bind");

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Rfc(6120),
    iq: &[
        set(On::OwnAccount, SESSION, |_, _| Ok(String::new())),
        set(On::Server, SESSION, |_, _| Ok(String::new())),
        set(On::OwnAccount, BIND, |_, _| refused()),
        set(On::Server, BIND, |_, _| refused()),
    ],
    ..Feature::NONE
};

fn refused() -> Answer {
    Err(StanzaError::NOT_ALLOWED)
}
