//! What a stranger hears where there is no account: the same as of one that never published anything, so that
//! nobody learns by asking who lives here.

use super::{NS, OWNER, errors::condition, owner, read, request::Request};
use crate::{
    feature::{Answer, Iq},
    pubsub::{Config, Face, Refusal},
    server::Server,
};
use xmpp::StanzaError;

/// Answers requests to nobody.
pub(in crate::features) fn answer(_: &Server, iq: &Iq<'_>) -> Answer {
    let request = Request::read(iq)?;
    let is_owner = request.action.ns == OWNER;
    let node = request.action.attr("node");
    match (
        is_owner,
        iq.passing.stanza.type_(),
        request.action.name.as_str(),
    ) {
        (false, "get", what @ ("subscriptions" | "affiliations")) => {
            let list = read::wrapped(what, node, "");
            Ok(format!("<pubsub xmlns='{NS}'>{list}</pubsub>"))
        }
        (false, "get", "default") => {
            let form = read::wrapped("default", node, &read::default_options());
            Ok(format!("<pubsub xmlns='{NS}'>{form}</pubsub>"))
        }
        (true, "get", "default") => {
            let form = owner::configuration(Face::Personal, &Config::of_new(Face::Personal, ""));
            Ok(format!(
                "<pubsub xmlns='{OWNER}'><default>{form}</default></pubsub>"
            ))
        }
        (false, "set", "create") => Err(StanzaError::FORBIDDEN),
        (false, "set", "publish") => request.node().and(Err(StanzaError::FORBIDDEN)),
        (false, "set", "subscribe" | "unsubscribe" | "options") | (false, "get", "options") => {
            request.node()?;
            let jid = request.jid()?;
            let is_own = jid.bare_str() == iq.passing.from.bare_str();
            if request.action.name == "subscribe" && !is_own {
                return Err(condition(Refusal::InvalidJid));
            }
            Err(condition(Refusal::NoNode))
        }
        (false, "get", "items") | (false, "set", "retract") => nothing(&request),
        (true, "get", "configure" | "subscriptions" | "affiliations") => nothing(&request),
        (true, "set", "configure" | "subscriptions" | "affiliations" | "delete" | "purge") => {
            nothing(&request)
        }
        _ => Err(StanzaError::FEATURE_NOT_IMPLEMENTED),
    }
}

fn nothing(request: &Request) -> Answer {
    request.node()?;
    Err(condition(Refusal::NoNode))
}
