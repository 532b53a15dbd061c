//! What owners do with a node (XEP-0060 §8.2 to §8.5, §8.8.1, §8.9.1); with people, in `people.rs`.

use super::{
    OWNER, done,
    errors::condition,
    lists, people,
    request::{Request, fields},
};
use crate::{
    account::Cx,
    feature::{Answer, Iq, Reply},
    pubsub::{self, Affiliation, Config, FIELDS, Face, Field, Node, Visitor},
};
use xmpp::{Element, Jid, StanzaError, compose, form, form::Writer};

pub(in crate::features) fn owner_read(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let request = Request::read(iq)?;
    let visitor = Visitor::new(cx, &iq.passing.from);
    match request.action.name.as_str() {
        "default" => {
            let form = configuration(cx.face(), &Config::of_new(cx.face(), ""));
            Ok(format!(
                "<pubsub xmlns='{OWNER}'><default>{form}</default></pubsub>"
            ))
        }
        "configure" => {
            let config = owned(cx, &visitor, &request)?.config(cx.face());
            let form = configuration(cx.face(), &config);
            Ok(answer("configure", request.node()?, &form))
        }
        "subscriptions" => {
            let node = owned(cx, &visitor, &request)?;
            let list = node.subscriptions().iter();
            let list: Vec<_> = list.map(|(jid, is)| (jid.clone(), is.state())).collect();
            listed(&request, ("subscriptions", "subscription"), &list)
        }
        "affiliations" => {
            let list = affiliations(cx.jid(), owned(cx, &visitor, &request)?);
            listed(&request, ("affiliations", "affiliation"), &list)
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

pub(super) fn answer(what: &str, node: &str, content: &str) -> String {
    let mut out = format!("<pubsub xmlns='{OWNER}'><{what}");
    compose::attribute(&mut out, "node", node);
    if content.is_empty() {
        return out + "/></pubsub>";
    }
    out + &format!(">{content}</{what}></pubsub>")
}

fn listed(request: &Request, (what, one): (&str, &str), list: &[(Jid, &'static str)]) -> Answer {
    let (list, set) = lists::page(request, list, |out, (jid, is)| {
        write(out, one, (jid.as_str(), is));
        jid.to_string()
    })?;
    let whole = answer(what, request.node()?, &list);
    Ok(whole.replace("</pubsub>", &format!("{set}</pubsub>")))
}

/// The form, with what may be chosen on nodes of that kind.
pub(super) fn configuration(face: Face, config: &Config) -> String {
    let mut form = Writer::form(pubsub::NODE_CONFIG);
    for field in FIELDS {
        let values = (field.get)(config);
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let choice: Vec<&str> = choices(field, face).collect();
        form = form.labelled((field.type_, field.var, field.label), &choice, &values);
    }
    form.finish()
}

/// A service has no roster to look into.
fn choices(field: &'static Field, face: Face) -> impl Iterator<Item = &'static str> {
    let is_access = field.var == "pubsub#access_model" && face == Face::Service;
    let choice = field.choice.iter().copied();
    choice.filter(move |word| !(is_access && ["presence", "roster"].contains(word)))
}

/// §8.9.1. The account that a node is of is its owner without being listed.
fn affiliations(account: &Jid, node: &Node) -> Vec<(Jid, &'static str)> {
    let implied = account
        .localpart()
        .map(|_| (account.clone(), Affiliation::Owner));
    let all = implied.iter().chain(node.affiliations());
    all.map(|(jid, is)| (jid.clone(), is.name())).collect()
}

/// Somebody, and what they are: an entry of `<affiliations/>` or `<subscriptions/>`.
pub(super) fn write(out: &mut String, what: &str, (jid, is): (&str, &str)) {
    out.push('<');
    out.push_str(what);
    compose::attribute(out, "jid", jid);
    compose::attribute(out, what, is);
    out.push_str("/>");
}

pub(in crate::features) fn owner_change(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Reply {
    change(cx, iq).unwrap_or_else(Reply::Refused)
}

fn change(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Result<Reply, StanzaError> {
    let request = Request::read(iq)?;
    let visitor = Visitor::new(cx, &iq.passing.from);
    let node = request.node()?;
    let answer = match request.action.name.as_str() {
        "affiliations" => return people::affiliate(cx, &visitor, node, &request.action),
        "subscriptions" => return people::subscribe(cx, &visitor, node, &request.action),
        "configure" => configure(cx, &visitor, node, &request.action),
        "delete" => done(pubsub::delete(cx, &visitor, node)),
        "purge" => done(pubsub::purge(cx, &visitor, node)),
        _ => Err(StanzaError::FEATURE_NOT_IMPLEMENTED),
    };
    answer.map(Reply::Done)
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
