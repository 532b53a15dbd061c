//! Resource binding (RFC 6120 §7).

use crate::{server::Server, session::Session};
use std::sync::Arc;
use xmpp::{Jid, Kind, Stanza, StanzaError, compose, ns};

/// A request to bind a resource.
pub(super) struct Request {
    id: String,
    /// What the client wants to be called; `None` leaves it to us.
    resource: Option<String>,
}

impl Request {
    /// Reads a stanza of the client authenticated as `account`; `None` where it is something else.
    pub(super) fn of(stanza: &Stanza, account: &Jid) -> Option<Request> {
        if !is_set(stanza) || !is_for_us(stanza, account) {
            return None;
        }
        let bind = stanza.child(ns::BIND, "bind")?.element();
        let resource = bind.child(ns::BIND, "resource").map(xmpp::Element::text);
        Some(Request {
            id: stanza.id()?.into_owned(),
            // §7.7.2.1: an empty one should rather be made to conform than be refused.
            resource: resource.filter(|resource| !resource.is_empty()),
        })
    }

    pub(super) async fn perform(
        &self,
        server: &Arc<Server>,
        local: &str,
    ) -> Result<Arc<Session>, StanzaError> {
        server.bind(local, self.resource.as_deref()).await
    }

    pub(super) fn result(&self, jid: &Jid) -> String {
        let jid = compose::escaped(jid.as_str());
        reply(
            "result",
            &self.id,
            &format!("<bind xmlns='{}'><jid>{jid}</jid></bind>", ns::BIND),
        )
    }

    pub(super) fn refused(&self, error: StanzaError) -> String {
        reply("error", &self.id, &error.to_xml())
    }
}

fn is_set(stanza: &Stanza) -> bool {
    stanza.kind == Kind::Iq && stanza.type_() == "set"
}

/// Sent to nobody, to the server or to the own account, which are one and the same here.
fn is_for_us(stanza: &Stanza, client: &Jid) -> bool {
    match stanza.to() {
        Ok(None) => true,
        Ok(Some(to)) => to == client.domain() || to == client.bare(),
        Err(_) => false,
    }
}

fn reply(type_: &str, id: &str, content: &str) -> String {
    let id = compose::escaped(id);
    format!("<iq type='{type_}' id='{id}'>{content}</iq>")
}
