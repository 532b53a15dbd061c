//! What owners do with a node (XEP-0060 §8.2 to §8.5, §8.8, §8.9).

use super::{
    OWNER, change, done,
    errors::condition,
    request::{Request, fields, jid},
};
use crate::{
    account::Cx,
    feature::{Answer, Iq},
    limits::{PUBSUB_AFFILIATIONS_MAX, PUBSUB_SUBSCRIPTIONS_MAX},
    pubsub::{self, Affiliation, Config, FIELDS, Node, Refusal, Visitor},
};
use xmpp::{Element, Jid, StanzaError, compose, form, form::Writer};

pub(in crate::features) fn owner_read(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let request = Request::read(iq)?;
    let visitor = Visitor::new(cx, &iq.passing.from);
    match request.action.name.as_str() {
        "default" => {
            let form = configuration(&Config::of_new(cx.face(), ""));
            Ok(format!(
                "<pubsub xmlns='{OWNER}'><default>{form}</default></pubsub>"
            ))
        }
        "configure" => {
            let form = configuration(&owned(cx, &visitor, &request)?.config(cx.face()));
            Ok(answer("configure", request.node()?, &form))
        }
        "subscriptions" => {
            let node = owned(cx, &visitor, &request)?;
            let mut list = String::new();
            for (jid, subscription) in node.subscriptions() {
                change::write(&mut list, None, jid, *subscription);
            }
            Ok(answer("subscriptions", request.node()?, &list))
        }
        "affiliations" => {
            let node = owned(cx, &visitor, &request)?;
            Ok(answer(
                "affiliations",
                request.node()?,
                &affiliations(cx.jid(), node),
            ))
        }
        _ => Err(StanzaError::FEATURE_NOT_IMPLEMENTED),
    }
}

fn owned<'a>(
    cx: &'a Cx<'_>,
    visitor: &Visitor,
    request: &Request,
) -> Result<&'a Node, StanzaError> {
    let node = cx.node(request.node()?).map_err(condition)?;
    visitor.must_own(node).map_err(condition)?;
    Ok(node)
}

fn answer(what: &str, node: &str, content: &str) -> String {
    let mut out = format!("<pubsub xmlns='{OWNER}'><{what}");
    compose::attribute(&mut out, "node", node);
    if content.is_empty() {
        return out + "/></pubsub>";
    }
    out + &format!(">{content}</{what}></pubsub>")
}

fn configuration(config: &Config) -> String {
    let mut form = Writer::form(pubsub::NODE_CONFIG);
    for field in FIELDS {
        let values = (field.get)(config);
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        form = form.labelled((field.type_, field.var, field.label), field.choice, &values);
    }
    form.finish()
}

/// §8.9.1. The account that a node is of is its owner without being listed.
fn affiliations(account: &Jid, node: &Node) -> String {
    let mut list = String::new();
    let implied = account
        .localpart()
        .map(|_| (account.clone(), Affiliation::Owner));
    for (jid, affiliation) in implied.iter().chain(node.affiliations()) {
        list.push_str("<affiliation");
        compose::attribute(&mut list, "jid", jid.as_str());
        compose::attribute(&mut list, "affiliation", affiliation.name());
        list.push_str("/>");
    }
    list
}

pub(in crate::features) fn owner_change(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let request = Request::read(iq)?;
    let visitor = Visitor::new(cx, &iq.passing.from);
    let node = request.node()?;
    match request.action.name.as_str() {
        "configure" => configure(cx, &visitor, node, &request.action),
        "delete" => done(pubsub::delete(cx, &visitor, node)),
        "purge" => done(pubsub::purge(cx, &visitor, node)),
        "affiliations" => affiliate(cx, &visitor, node, &request.action),
        "subscriptions" => subscribe(cx, &visitor, node, &request.action),
        _ => Err(StanzaError::FEATURE_NOT_IMPLEMENTED),
    }
}

/// §8.2.4; a form that is given up changes nothing (§8.2.4, `cancel`).
fn configure(cx: &mut Cx<'_>, visitor: &Visitor, node: &str, action: &Element) -> Answer {
    let x = action
        .child(form::NS, "x")
        .ok_or(StanzaError::BAD_REQUEST)?;
    if x.attr("type") == Some("cancel") {
        let owned = cx.node(node).and_then(|node| visitor.must_own(node));
        return done(owned);
    }
    let fields = fields(Some(action), pubsub::NODE_CONFIG)?;
    done(pubsub::configure(cx, visitor, node, &fields))
}

/// §8.9.2, §8.9.2.4: nobody is named twice.
fn affiliate(cx: &mut Cx<'_>, visitor: &Visitor, node: &str, action: &Element) -> Answer {
    let mut changes: Vec<(Jid, Affiliation)> = Vec::new();
    for element in action
        .elements()
        .filter(|child| child.is(OWNER, "affiliation"))
    {
        let who = jid(element)?.bare();
        let Some(affiliation) = element.attr("affiliation") else {
            continue; // §8.9.2.1, note
        };
        let affiliation = Affiliation::parse(affiliation).ok_or(StanzaError::BAD_REQUEST)?;
        if changes.len() > PUBSUB_AFFILIATIONS_MAX {
            return Err(condition(Refusal::NoRoom)); // each is compared with all others
        }
        if changes.iter().any(|(known, _)| *known == who) {
            return Err(StanzaError::BAD_REQUEST);
        }
        changes.push((who, affiliation));
    }
    done(pubsub::affiliate(cx, visitor, node, changes))
}

/// §8.8.2. Every change is understood before the first one is made.
fn subscribe(cx: &mut Cx<'_>, visitor: &Visitor, node: &str, action: &Element) -> Answer {
    let mut changes = Vec::new();
    for element in action
        .elements()
        .filter(|child| child.is(OWNER, "subscription"))
    {
        let pending = match element.attr("subscription") {
            Some("subscribed") => Some(false),
            Some("pending") => Some(true),
            Some("none") => None,
            _ => return Err(StanzaError::NOT_ACCEPTABLE),
        };
        if changes.len() > PUBSUB_SUBSCRIPTIONS_MAX {
            return Err(condition(Refusal::TooManySubscriptions));
        }
        changes.push((jid(element)?, pending));
    }
    done(pubsub::set_subscriptions(cx, visitor, node, &changes))
}
