//! XEP-0065: SOCKS5 Bytestreams, the wire face of `crate::bytestreams`: where the proxy is, and that two who
//! are connected to it may begin.
//!
//! Anybody may look at what the proxy is, for a friend on another server who is to get a file does. Its
//! address is for those who have an account here, and only what one of them activates is passed on.
//!
//! State: `crate::bytestreams`.

use super::disco::{self, entity_info};
use crate::{
    bytestreams::{NotActivated, Rendezvous},
    feature::{Answer, Feature, Iq, IqHandler, IqHook, On, Spec, get_server},
    server::Server,
};
use xmpp::{Jid, StanzaError, compose};

const NS: &str = "http://jabber.org/protocol/bytestreams";

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(65, "1.8.2", "SOCKS5 Bytestreams"),
    identities: &[(On::ProxyService, "proxy", "bytestreams")],
    disco: &[
        (On::ProxyService, disco::INFO),
        (On::ProxyService, disco::ITEMS),
        (On::ProxyService, NS),
    ],
    iq: &[
        get_server(On::ProxyService, (disco::INFO, "query"), info),
        get_server(On::ProxyService, (disco::ITEMS, "query"), items),
        get_server(On::ProxyService, (NS, "query"), address),
        IqHandler {
            on: On::ProxyService,
            type_: "set",
            payload: (NS, "query"),
            hook: IqHook::Server(activate),
        },
    ],
    ..Feature::NONE
};

const STRANGER: StanzaError =
    StanzaError::FORBIDDEN.with_text("only those who have an account here may use this proxy");
const ONLY_ONE: StanzaError =
    StanzaError::NOT_ALLOWED.with_text("only one of the two is connected to the proxy");
const TOO_MANY: StanzaError = StanzaError::RESOURCE_CONSTRAINT
    .with_text("too many files are on their way at once: try again later");

fn info(_: &Server, iq: &Iq<'_>) -> Answer {
    match iq.payload.attr("node") {
        None => Ok(entity_info(On::ProxyService)),
        Some(_) => Err(StanzaError::ITEM_NOT_FOUND),
    }
}

fn items(_: &Server, iq: &Iq<'_>) -> Answer {
    match iq.payload.attr("node") {
        None => Ok(format!("<query xmlns='{}'/>", disco::ITEMS)),
        Some(_) => Err(StanzaError::ITEM_NOT_FOUND),
    }
}

/// §4. The host is a name, for addresses change.
fn address(server: &Server, iq: &Iq<'_>) -> Answer {
    if server.localpart(&iq.passing.from).is_none() {
        return Err(STRANGER);
    }
    let book = &server.bytestreams;
    let port = book.port().ok_or(StanzaError::NOT_ALLOWED)?;
    let domain = server.domain().as_str();
    let host = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_owned());
    let mut xml = format!("<query xmlns='{NS}'><streamhost");
    compose::attribute(&mut xml, "jid", book.service().as_str());
    compose::attribute(&mut xml, "host", &host);
    compose::attribute(&mut xml, "port", &port.to_string());
    Ok(xml + "/></query>")
}

/// §6.3.5. The address that the request comes from is the requester's: nobody else activates the stream.
fn activate(server: &Server, iq: &Iq<'_>) -> Answer {
    let from = &iq.passing.from;
    let localpart = server.localpart(from).ok_or(STRANGER)?;
    let query = iq.payload.element();
    let target = query.child(NS, "activate");
    let (Some(sid), Some(target)) = (query.attr("sid"), target) else {
        return Err(StanzaError::BAD_REQUEST);
    };
    let target = Jid::parse(target.text().trim()).map_err(|_| StanzaError::JID_MALFORMED)?;
    let at = Rendezvous::of(sid, from, &target);
    let is_at_home = || server.directory().get(localpart).is_some();
    match server.bytestreams.activate(at, localpart, is_at_home) {
        Ok(()) => Ok(String::new()),
        Err(NotActivated::Nobody) => Err(StanzaError::ITEM_NOT_FOUND),
        Err(NotActivated::OnlyOne) => Err(ONLY_ONE),
        Err(NotActivated::TooMany) => Err(TOO_MANY),
        Err(NotActivated::NotAtHome) => Err(STRANGER),
    }
}
