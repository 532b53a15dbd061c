//! XEP-0455: Service Outage Status. Where apps can read what is the matter while this server is away: a file
//! that somebody keeps elsewhere, named by `contact.outage`.

use crate::{
    feature::{DiscoForm, Feature, Spec},
    server::Server,
};

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(455, "0.4.0", "Service Outage Status"),
    disco_form: Some(form),
    ..Feature::NONE
};

fn form(server: &Server) -> Option<DiscoForm> {
    let address = server.config().contact.outage.clone();
    (!address.is_empty()).then(|| DiscoForm {
        form_type: "urn:xmpp:sos:0",
        fields: vec![("external-status-addresses", "list-multi", vec![address])],
    })
}
