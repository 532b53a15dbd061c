//! What a stream offers at each stage (RFC 6120 §4.3.2). The lists of mechanisms and of channel bindings are
//! the same on every port: clients remember them, and take a shorter one for an attack.

use super::{bind2, registration, sasl2};
use crate::{features::management, limits::IDLE_MS, server::Server, session::Session};
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::fmt::Write;
use xmpp::{
    limits::{STANZA_BYTES_MAX, UNAUTHENTICATED_BYTES_MAX},
    ns,
    sasl::{ChannelBindings, Mechanism, Offer},
};

/// RFC 6120 §5.4.1, RFC 7590 §3.1: TLS comes first, and nothing else is to be negotiated before it.
pub(super) fn before_tls() -> String {
    format!(
        "<stream:features><starttls xmlns='{}'><required/></starttls>{}</stream:features>",
        ns::TLS,
        LIMITS_BEFORE_LOGIN.to_xml(),
    )
}

/// XEP-0478: what is really in force.
struct Limits {
    max_bytes: usize,
    /// Of silence, after which the line is tried; a client that answers TCP may stay. Before the login there
    /// is a time limit for all of it, which has nothing to do with silence.
    idle_ms: Option<u64>,
}

const LIMITS_BEFORE_LOGIN: Limits = Limits {
    max_bytes: UNAUTHENTICATED_BYTES_MAX,
    idle_ms: None,
};

const LIMITS: Limits = Limits {
    max_bytes: STANZA_BYTES_MAX,
    idle_ms: Some(IDLE_MS),
};

impl Limits {
    fn to_xml(&self) -> String {
        let idle = self.idle_ms.map_or_else(String::new, |ms| {
            format!("<idle-seconds>{}</idle-seconds>", ms / 1_000)
        });
        let bytes = self.max_bytes;
        format!(
            "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>{bytes}</max-bytes>{idle}</limits>"
        )
    }
}

/// What can be used to authenticate on a connection with these bindings. Without any, nothing can be bound to
/// it.
pub(super) fn offer(bindings: &ChannelBindings) -> Offer {
    let mechanisms = Mechanism::ALL
        .iter()
        .filter(|mechanism| is_usable(**mechanism, bindings))
        .map(|mechanism| mechanism.name())
        .collect();
    Offer {
        mechanisms,
        bindings: bindings.names(),
    }
}

/// Under TLS, before authentication.
pub(super) fn before_login(server: &Server, bindings: &ChannelBindings) -> String {
    let features = to_negotiate(bindings);
    let version = version_of(&features);
    format!(
        "<stream:features>{features}<config-version xmlns='{}' scheme='opaque' value='{version}'/>{}\
         </stream:features>",
        sasl2::PIPELINING,
        register(server),
    )
}

/// XEP-0077 §8. Not among what a client that signs in chooses from, so it changes no version.
fn register(server: &Server) -> &'static str {
    if server.config().registration.open {
        registration::STREAM_FEATURE
    } else {
        ""
    }
}

/// XEP-0509 §2.3.1: what stands for all that a client may choose from on such a connection.
pub(super) fn config_version(bindings: &ChannelBindings) -> String {
    version_of(&to_negotiate(bindings))
}

fn version_of(features: &str) -> String {
    let hash = digest::digest(&digest::SHA256, features.as_bytes());
    STANDARD.encode(&hash.as_ref()[..18])
}

fn to_negotiate(connection: &ChannelBindings) -> String {
    let offer = offer(connection);
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
    format!(
        "<mechanisms xmlns='{}'>{names}</mechanisms>{bindings}\
         <authentication xmlns='{}'>{names}<inline>{}<sm xmlns='{}'/>{}</inline></authentication>{}",
        ns::SASL,
        sasl2::NS,
        bind(),
        management::NS,
        fast(connection),
        LIMITS_BEFORE_LOGIN.to_xml(),
    )
}

fn bind() -> String {
    let mut inline = String::new();
    for var in crate::features::bind_inline() {
        let _ = write!(inline, "<feature var='{var}'/>");
    }
    if inline.is_empty() {
        format!("<bind xmlns='{}'/>", bind2::NS)
    } else {
        format!(
            "<bind xmlns='{}'><inline>{inline}</inline></bind>",
            bind2::NS
        )
    }
}

/// XEP-0484 §3.1.
fn fast(bindings: &ChannelBindings) -> String {
    let mut names = String::new();
    for mechanism in Mechanism::TOKENS
        .iter()
        .filter(|mechanism| is_usable(**mechanism, bindings))
    {
        let _ = write!(names, "<mechanism>{}</mechanism>", mechanism.name());
    }
    format!("<fast xmlns='{}'>{names}</fast>", sasl2::FAST)
}

/// Whether a connection has what the mechanism binds to.
pub(super) fn is_usable(mechanism: Mechanism, bindings: &ChannelBindings) -> bool {
    match mechanism {
        Mechanism::Scram(_, true) => !bindings.names().is_empty(),
        Mechanism::Token(channel) => bindings.have(channel),
        Mechanism::Scram(_, false) | Mechanism::Plain => true,
    }
}

/// Authenticated, without a resource.
pub(super) fn before_bind(server: &Server) -> String {
    format!(
        "<stream:features><bind xmlns='{}'/>\
         <session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>{}{}</stream:features>",
        ns::BIND,
        server.stream_features(None),
        LIMITS.to_xml(),
    )
}

/// For a session that was bound together with the login (XEP-0386): what still applies to it.
pub(super) fn bound(server: &Server, session: &Session) -> String {
    format!(
        "<stream:features>{}{}</stream:features>",
        server.stream_features(Some(session)),
        LIMITS.to_xml(),
    )
}
