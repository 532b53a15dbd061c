//! XEP-0115: Entity Capabilities. The server's own are a stream feature (§6.3): clients that know the hash
//! need not ask what it can do. Those of clients tell which events they want (XEP-0163 §4.2): an unknown kind
//! of client is asked once (§6.2), by the first account that sees it.
//!
//! State: `capabilities.rs`.

use super::disco;
use crate::{
    account::{Cx, Errand},
    capabilities::{Announced, Capabilities, Claim, INFO, NS, question_id},
    feature::{Feature, On, Saved, Spec},
    server::Server,
};
use std::sync::Arc;
use xmpp::{Entry, Jid, Kind, Passing, Stanza, compose};

const NODE: &str = "https://hearth.invalid/caps";

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(115, "1.6.0", "Entity Capabilities"),
    disco: &[(On::Server, NS)],
    stream_features: Some(|server, _| {
        let ver = disco::server_info(server).ver();
        Some(format!(
            "<c xmlns='{NS}' hash='sha-1' node='{NODE}' ver='{ver}'/>"
        ))
    }),
    presence_out: Some(own_resource),
    presence_in: Some(neighbour),
    subscribed: Some(greet_contact),
    answered: Some(answered),
    unavailable: Some(|cx, jid, _| {
        if let Some(resource) = cx.state.resource(jid) {
            resource.memory.capabilities.part();
        }
    }),
    saved: Some(Saved {
        name: "capabilities",
        save: |resource| resource.memory.capabilities.save(),
        restore: |resource, bytes| resource.memory.capabilities = Announced::restore(bytes),
    }),
    ..Feature::NONE
};

/// Whether a disco#info node is the one the stream feature names.
pub(super) fn is_own_node(server: &Server, node: &str) -> bool {
    node.strip_prefix(NODE)
        .and_then(|rest| rest.strip_prefix('#'))
        .is_some_and(|ver| ver == disco::server_info(server).ver())
}

/// A resource of the account is available and says what kind of client it is.
fn own_resource(cx: &mut Cx<'_>, presence: &Passing) {
    let (jid, number) = (&presence.from, cx.server.next_number());
    let Some(claim) = Claim::read(presence) else {
        return greet(cx, jid); // it may have said so before it was away
    };
    let Some(resource) = cx.state.resource(jid) else {
        return;
    };
    let announced = &mut resource.memory.capabilities;
    let is_new = announced.claim(&claim.key);
    match cx.server.capabilities().get(&claim.key) {
        Some(known) => announced.know(known),
        None if !is_new => {}
        None => {
            announced.asked(number);
            let id = question_id(number);
            let from = cx.jid().clone();
            let attributes = [("from", from.as_str()), ("type", "get"), ("id", &id)];
            let question = question(&claim);
            let entry = Entry::compose(Kind::Iq, Some(jid.clone()), &attributes, question);
            cx.deliver(jid, entry);
        }
    }
    greet(cx, jid);
}

/// A resource of somebody on another server; those of this house are their own accounts' business, and nobody
/// in its rooms has a subscription.
fn neighbour(cx: &mut Cx<'_>, presence: &Passing) {
    let jid = &presence.from;
    let ours = [cx.server.domain(), cx.server.rooms().service()];
    if ours.iter().any(|ours| jid.domainpart() == ours.as_str()) {
        return;
    }
    if presence.stanza.type_() == "unavailable" {
        return cx.state.memory.neighbours.absent(jid);
    }
    let may_see = cx.state.roster.subscription(&jid.bare()).from;
    let Some(claim) = Claim::read(presence).filter(|_| may_see && !jid.is_bare()) else {
        return;
    };
    let Some(announced) = cx.state.memory.neighbours.present(jid) else {
        return;
    };
    let is_new = announced.claim(&claim.key);
    match cx.server.capabilities().get(&claim.key) {
        Some(known) => announced.know(known),
        None if !is_new => {}
        None => {
            let number = cx.server.next_number();
            announced.asked(number);
            let attributes = [("type", "get"), ("id", &*question_id(number))];
            let stanza = Stanza::compose(Kind::Iq, &attributes, &question(&claim));
            let from = cx.jid().clone();
            cx.route(Passing::new(Arc::new(stanza), from, jid.clone()));
        }
    }
    greet_neighbour(cx, jid);
}

/// §6.2.
fn question(claim: &Claim) -> String {
    let mut query = format!("<query xmlns='{INFO}'");
    compose::attribute(&mut query, "node", &claim.node);
    query + "/>"
}

/// The answer of whoever was asked. An error counts as wanting nothing; what does not fit its claim counts
/// for whom it came from alone (§5.4).
fn answered(cx: &mut Cx<'_>, answer: &Passing) {
    let id = answer.stanza.id().unwrap_or_default();
    let own = answer.from.bare() == *cx.jid();
    let announced = if own {
        cx.state
            .resource(&answer.from)
            .map(|resource| &mut resource.memory.capabilities)
    } else {
        cx.state.memory.neighbours.get(&answer.from)
    };
    let Some(announced) = announced.filter(|announced| announced.is_answer(&id)) else {
        return;
    };
    let query = answer
        .stanza
        .child(INFO, "query")
        .map(xmpp::stanza::Child::element);
    let query = query.filter(|_| answer.stanza.type_() == "result");
    let capabilities = Arc::new(query.as_ref().map(Capabilities::read).unwrap_or_default());
    announced.know(capabilities.clone());
    let key: Box<str> = announced.key().unwrap_or_default().into();
    let claim = Claim {
        key,
        node: String::new(),
    };
    if query.is_some_and(|query| claim.is_met_by(&query)) {
        cx.server
            .capabilities()
            .put(cx.server.store(), &claim.key, capabilities.clone());
        valid(cx, &claim.key, &capabilities);
    } else if own {
        greet(cx, &answer.from);
    } else {
        greet_neighbour(cx, &answer.from);
    }
}

/// §5.4, 8 and 9: an answer that fits its claim is for all who claim the same, also for those whose own
/// answer did not fit it. Those of other accounts hear of it with their next presence.
fn valid(cx: &mut Cx<'_>, key: &str, capabilities: &Arc<Capabilities>) {
    let mut claimed = Vec::new();
    for resource in &mut cx.state.resources {
        let announced = &mut resource.memory.capabilities;
        if announced.key() == Some(key) {
            announced.know(capabilities.clone());
            claimed.push(resource.session.jid.clone());
        }
    }
    for jid in claimed {
        greet(cx, &jid);
    }
    for jid in cx.state.memory.neighbours.know(key, capabilities) {
        greet_neighbour(cx, &jid);
    }
}

/// Now that it is known what a resource of this account asks for: the last items of the account itself and
/// of contacts in this house. Other servers do the same for theirs.
fn greet(cx: &mut Cx<'_>, jid: &Jid) {
    let resource = cx.state.resource(jid);
    let available = resource.filter(|resource| resource.presence.is_some());
    let Some(wanted) = available.and_then(|resource| resource.memory.capabilities.greet()) else {
        return;
    };
    cx.errand_to_self(jid, Errand::LastItems(wanted.clone()));
    let domain = cx.server.domain().as_str();
    let contacts = cx.state.roster.iter();
    let contacts: Vec<Jid> = contacts
        .filter(|(contact, item)| item.subscription.to && contact.domainpart() == domain)
        .map(|(contact, _)| contact.clone())
        .collect();
    // Whether the contact may be written to is asked when items come back.
    for contact in contacts {
        cx.errand(jid, &contact, Errand::LastItems(wanted.clone()));
    }
}

/// XEP-0163 §4.3.4: whoever may see somebody from now on gets their last items.
fn greet_contact(cx: &mut Cx<'_>, contact: &Jid) {
    if contact.domainpart() != cx.server.domain().as_str() {
        return;
    }
    let resources = cx.state.available();
    let wanting: Vec<_> = resources
        .filter_map(|resource| {
            let wanted = resource.memory.capabilities.known()?;
            Some((resource.session.jid.clone(), wanted))
        })
        .collect();
    for (jid, wanted) in wanting {
        cx.errand(&jid, contact, Errand::LastItems(wanted));
    }
}

fn greet_neighbour(cx: &mut Cx<'_>, jid: &Jid) {
    let announced = cx.state.memory.neighbours.get(jid);
    if let Some(wanted) = announced.and_then(Announced::greet) {
        cx.errand_to_self(jid, Errand::LastItems(wanted));
    }
}
