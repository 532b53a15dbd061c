//! XEP-0356: Privileged Entity. What a component of this house may do in its accounts, where the
//! administrator allows it (`[privileges]`). The rules are in `component/privilege.rs`; messages and requests
//! in the name of an account take that account's own way (`router/on_behalf.rs`); its contact list answers
//! for itself (`roster.rs`).

use crate::{
    component::privilege::{self, NS},
    feature::{Answer, Feature, Iq, On, Spec, refuse},
    server::Server,
};
use xmpp::StanzaError;

const REQUEST: (&str, &str) = (NS, "privileged_iq");

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(356, "0.4.1", "Privileged Entity"),
    // §6.3: whoever is not an account cannot be spoken for.
    iq: &[
        refuse(On::Server, "get", REQUEST, forbidden),
        refuse(On::Server, "set", REQUEST, forbidden),
        refuse(On::NoAccount, "get", REQUEST, forbidden),
        refuse(On::NoAccount, "set", REQUEST, forbidden),
    ],
    unavailable: Some(privilege::went),
    presence_in: Some(privilege::contact_is),
    answered: Some(privilege::answered),
    ..Feature::NONE
};

fn forbidden(_: &Server, _: &Iq<'_>) -> Answer {
    Err(StanzaError::FORBIDDEN)
}
