//! What a stream offers at each stage (RFC 6120 §4.3.2). The lists of mechanisms and of channel bindings are
//! the same on every port: clients remember them, and take a shorter one for an attack.

use super::{bind2, sasl2};
use crate::{features::management, server::Server};
use std::fmt::Write;
use xmpp::{
    ns,
    sasl::{ChannelBindings, Mechanism, Offer},
};

/// RFC 6120 §5.4.1, RFC 7590 §3.1: TLS comes first, and nothing else is on offer before it.
pub(super) const BEFORE_TLS: &str = "<stream:features>\
    <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>\
    </stream:features>";

/// What can be used to authenticate on a connection with these bindings. Without any, nothing can be bound to
/// it.
pub(super) fn offer(bindings: &ChannelBindings) -> Offer {
    let bindings = bindings.names();
    let usable = |mechanism: &&Mechanism| {
        !matches!(mechanism, Mechanism::Scram(_, true)) || !bindings.is_empty()
    };
    let mechanisms = Mechanism::ALL
        .iter()
        .filter(usable)
        .map(|mechanism| mechanism.name())
        .collect();
    Offer {
        mechanisms,
        bindings,
    }
}

/// Under TLS, before authentication.
pub(super) fn before_login(offer: &Offer) -> String {
    let mut names = String::new();
    for name in &offer.mechanisms {
        let _ = write!(names, "<mechanism>{name}</mechanism>");
    }
    let mut bindings = String::new();
    for name in &offer.bindings {
        let _ = write!(bindings, "<channel-binding type='{name}'/>");
    }
    if !bindings.is_empty() {
        bindings = format!(
            "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>{bindings}</sasl-channel-binding>"
        );
    }
    let mut inline = String::new();
    for var in crate::features::bind_inline() {
        let _ = write!(inline, "<feature var='{var}'/>");
    }
    let bind = if inline.is_empty() {
        format!("<bind xmlns='{}'/>", bind2::NS)
    } else {
        format!(
            "<bind xmlns='{}'><inline>{inline}</inline></bind>",
            bind2::NS
        )
    };
    format!(
        "<stream:features><mechanisms xmlns='{}'>{names}</mechanisms>{bindings}\
         <authentication xmlns='{}'>{names}<inline>{bind}<sm xmlns='{}'/></inline>\
         </authentication></stream:features>",
        ns::SASL,
        sasl2::NS,
        management::NS,
    )
}

/// Authenticated, without a resource.
pub(super) fn before_bind(server: &Server) -> String {
    format!(
        "<stream:features><bind xmlns='{}'/>\
         <session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>{}</stream:features>",
        ns::BIND,
        server.stream_features(),
    )
}

/// With a resource that was bound together with the login (XEP-0386).
pub(super) fn bound(server: &Server) -> String {
    format!(
        "<stream:features>{}</stream:features>",
        server.stream_features()
    )
}
