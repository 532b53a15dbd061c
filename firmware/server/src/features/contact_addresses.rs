//! XEP-0157: Contact Addresses. Whom to write to about this server, from `[contact]`; where that is empty,
//! the first administrator.

use crate::{
    feature::{DiscoForm, Feature, Spec},
    server::Server,
};

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(157, "1.1.1", "Contact Addresses for XMPP Services"),
    disco_form: Some(form),
    ..Feature::NONE
};

fn form(server: &Server) -> Option<DiscoForm> {
    let config = server.config();
    let contact = &config.contact;
    let first = server.first_administrator();
    let fields: Vec<_> = [
        ("abuse-addresses", &contact.abuse),
        ("admin-addresses", &contact.admin),
        ("security-addresses", &contact.security),
        ("support-addresses", &contact.support),
    ]
    .into_iter()
    .filter_map(|(field, address)| {
        let address = if address.is_empty() {
            first.as_ref()?
        } else {
            address
        };
        Some((field, "list-multi", vec![uri(address)]))
    })
    .collect();
    (!fields.is_empty()).then_some(DiscoForm {
        form_type: "http://jabber.org/network/serverinfo",
        fields,
    })
}

/// §2: addresses are URIs; a bare one is an XMPP address.
fn uri(address: &str) -> String {
    if address.contains(':') {
        address.to_owned()
    } else {
        format!("xmpp:{address}")
    }
}
