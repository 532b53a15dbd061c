//! XEP-0198: Stream Management, as a client turns it on and acknowledges what it got. What it makes of a
//! session is in `session/`, how it goes over the wire in `connection/acknowledgements.rs`.

use crate::{
    account::Cx,
    feature::{Feature, Nonza, Spec},
    limits::SESSION_WAIT_MS_MAX,
    session::Session,
};
use std::sync::Arc;
use tracing::info;
use xmpp::{Element, StanzaError, StreamError, compose};

pub(crate) const NS: &str = "urn:xmpp:sm:3";

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(198, "1.6.3", "Stream Management"),
    // XEP-0388 §2.6.1: not where Bind 2 has just turned it on; some clients would ask for it once more.
    stream_features: Some(|_, session| {
        let is_on = session.is_some_and(|session| session.outbox.is_managed());
        (!is_on).then(|| format!("<sm xmlns='{NS}'/>"))
    }),
    bind_inline: &[NS],
    bound: Some(|cx, session, bind| Some(enable(cx, session, bind.child(NS, "enable")?))),
    nonza: &[
        Nonza {
            name: (NS, "enable"),
            hook: |cx, session, request| Ok(enable(cx, session, request)),
        },
        Nonza {
            name: (NS, "a"),
            hook: acknowledge,
        },
        // §5: a session is resumed before a resource is bound, and asks for nothing before it counts.
        Nonza {
            name: (NS, "resume"),
            hook: |_, _, _| Ok(failed(StanzaError::UNEXPECTED_REQUEST, None)),
        },
        Nonza {
            name: (NS, "r"),
            hook: |_, _, _| Ok(failed(StanzaError::UNEXPECTED_REQUEST, None)),
        },
    ],
    ..Feature::NONE
};

/// `<failed/>` (§5, §6), with the count of handled stanzas where that is known.
pub(crate) fn failed(error: StanzaError, h: Option<u32>) -> String {
    let h = h.map(|h| format!(" h='{h}'")).unwrap_or_default();
    let condition = error.condition;
    format!(
        "<failed xmlns='{NS}'{h}><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>"
    )
}

/// A count as XML Schema's unsignedInt has it (§4).
pub(crate) fn count(element: &Element) -> Option<u32> {
    let h = element.attr("h")?.trim();
    h.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(h)?
        .parse()
        .ok()
}

/// §3: counts from here on, and tells how to come back.
fn enable(cx: &mut Cx<'_>, session: &Arc<Session>, request: &Element) -> String {
    let resumable = match request.attr("resume").unwrap_or("false").trim() {
        "true" | "1" => true,
        "false" | "0" => false,
        _ => return failed(StanzaError::BAD_REQUEST, None),
    };
    if !session.outbox.manage() {
        return failed(StanzaError::UNEXPECTED_REQUEST, None);
    }
    session.intake.start();
    if !resumable {
        return format!("<enabled xmlns='{NS}'/>");
    }
    let wished = request.attr("max").and_then(|max| max.trim().parse().ok());
    let patience = wished.map_or(SESSION_WAIT_MS_MAX, |seconds: u64| {
        seconds.saturating_mul(1_000).min(SESSION_WAIT_MS_MAX)
    });
    let id = session.make_resumable(cx.server.dice(), patience);
    let (max, location) = (patience / 1_000, location(cx, session));
    format!("<enabled xmlns='{NS}' id='{id}' resume='true' max='{max}'{location}/>")
}

/// §5: where to come back to. There is one box, whose clients find it under its domain. Address and port
/// cannot say that TLS comes first there, so who came in that way finds it as before.
fn location(cx: &Cx<'_>, session: &Session) -> String {
    if !session.came_by_starttls() {
        return String::new();
    }
    let config = cx.server.config();
    let port = config
        .listen
        .c2s
        .iter()
        .map(std::net::SocketAddr::port)
        .find(|port| *port > 0);
    let mut location = String::new();
    if let Some(port) = port {
        let domain = cx.server.domain();
        compose::attribute(&mut location, "location", &format!("{domain}:{port}"));
    }
    location
}

/// §4: the client has handled what it was sent.
fn acknowledge(
    cx: &mut Cx<'_>,
    session: &Arc<Session>,
    answer: &Element,
) -> Result<String, StreamError> {
    let Some(h) = count(answer) else {
        return Err(StreamError::BAD_FORMAT.with_text("an acknowledgement needs a count"));
    };
    if !session.outbox.is_managed() {
        return Ok(failed(StanzaError::UNEXPECTED_REQUEST, None));
    }
    match session.outbox.acknowledge(h) {
        Ok(positions) => {
            cx.server.delivered(cx, session, &positions);
            Ok(String::new())
        }
        Err(sent) => {
            info!(session = %session.jid, h, sent, "acknowledges more than it was sent");
            Err(StreamError::handled_count_too_high(h, sent))
        }
    }
}
