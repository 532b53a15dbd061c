//! What publishers and subscribers change (XEP-0060 §6.1 to §6.3, §7, §8.1).

use super::{
    NS, done,
    errors::{INVALID_OPTIONS, ITEM_REQUIRED, NOT_SUBSCRIBED, condition},
    request::{Request, fields, is_true, payload},
};
use crate::{
    account::Cx,
    feature::{Answer, Iq},
    limits::PUBSUB_IDS_MAX,
    pubsub::{self, By, NewItem, Publication, Removal, Subscription, Visitor},
    world::random_id,
};
use xmpp::{Element, Jid, StanzaError, compose};

/// FORM_TYPE of preconditions (§7.1.5).
const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
/// FORM_TYPE of subscription options (§16.4.2).
pub(super) const SUBSCRIBE_OPTIONS: &str = "http://jabber.org/protocol/pubsub#subscribe_options";

pub(in crate::features) fn change(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let request = Request::read(iq)?;
    let visitor = Visitor::new(cx, &iq.passing.from);
    match request.action.name.as_str() {
        "publish" => publish(cx, &visitor, &request),
        "retract" => retract(cx, &visitor, &request),
        "create" => create(cx, &visitor, &request),
        "subscribe" => subscribe(cx, &visitor, &request),
        "unsubscribe" => {
            let jid = request.jid()?;
            done(pubsub::unsubscribe(cx, &visitor, request.node()?, &jid))
        }
        "options" => options(cx, &visitor, &request),
        _ => Err(StanzaError::FEATURE_NOT_IMPLEMENTED),
    }
}

/// §7.1.
fn publish(cx: &mut Cx<'_>, visitor: &Visitor, request: &Request) -> Answer {
    let node = request.node()?;
    let mut items = Vec::new();
    for item in request
        .action
        .elements()
        .filter(|child| child.is(NS, "item"))
    {
        items.push(NewItem {
            id: item.attr("id").map(str::to_owned),
            payload: payload(item)?,
        });
    }
    let options = request.beside("publish-options");
    let options = options
        .map(|_| fields(options, PUBLISH_OPTIONS))
        .transpose()?;
    let publication = Publication {
        node,
        items,
        options,
    };
    let ids = pubsub::publish(cx, visitor, publication, By::Client).map_err(condition)?;
    let mut answer = format!("<pubsub xmlns='{NS}'><publish");
    compose::attribute(&mut answer, "node", node);
    if ids.is_empty() {
        return Ok(answer + "/></pubsub>");
    }
    answer.push('>');
    for id in ids {
        answer.push_str("<item");
        compose::attribute(&mut answer, "id", &id);
        answer.push_str("/>");
    }
    Ok(answer + "</publish></pubsub>")
}

/// §7.2.
fn retract(cx: &mut Cx<'_>, visitor: &Visitor, request: &Request) -> Answer {
    let items = request
        .action
        .elements()
        .filter(|child| child.is(NS, "item"));
    let id = |item: &Element| {
        item.attr("id")
            .filter(|id| !id.is_empty())
            .map(str::to_owned)
    };
    let ids: Option<Vec<String>> = items.take(PUBSUB_IDS_MAX + 1).map(id).collect();
    let mut ids = ids.filter(|ids| !ids.is_empty()).ok_or(ITEM_REQUIRED)?;
    if ids.len() > PUBSUB_IDS_MAX {
        return Err(StanzaError::POLICY_VIOLATION.with_text("fewer items at a time, please"));
    }
    ids.sort_unstable();
    ids.dedup();
    let removal = Removal {
        node: request.node()?,
        ids: &ids,
        notify: is_true(request.action.attr("notify")),
    };
    done(pubsub::retract(cx, visitor, &removal, By::Client))
}

/// §8.1; without a name it is given one (§8.1.1, instant nodes).
fn create(cx: &mut Cx<'_>, visitor: &Visitor, request: &Request) -> Answer {
    let named = request.action.attr("node").filter(|node| !node.is_empty());
    let configure = request.beside("configure");
    if configure.is_some_and(|configure| configure.attr("node").is_some()) {
        return Err(StanzaError::BAD_REQUEST); // §8.1.3: it is the one that is made
    }
    let fields = fields(configure, pubsub::NODE_CONFIG)?;
    if let Some(node) = named {
        return done(pubsub::create(cx, visitor, node, &fields));
    }
    let node = random_id(cx.server.dice());
    done(pubsub::create(cx, visitor, &node, &fields))?;
    Ok(format!(
        "<pubsub xmlns='{NS}'><create node='{node}'/></pubsub>"
    ))
}

/// §6.1, §6.3.7.
fn subscribe(cx: &mut Cx<'_>, visitor: &Visitor, request: &Request) -> Answer {
    let (node, jid) = (request.node()?, request.jid()?);
    let deliver = deliver(request.beside("options"))?;
    let subscription = pubsub::subscribe(cx, visitor, node, &jid, deliver).map_err(condition)?;
    let mut answer = format!("<pubsub xmlns='{NS}'>");
    write(&mut answer, Some(node), &jid, subscription);
    Ok(answer + "</pubsub>")
}

/// A subscription as it is shown to its owner or the node's.
pub(super) fn write(out: &mut String, node: Option<&str>, jid: &Jid, subscription: Subscription) {
    out.push_str("<subscription");
    if let Some(node) = node {
        compose::attribute(out, "node", node);
    }
    compose::attribute(out, "jid", jid.as_str());
    compose::attribute(out, "subscription", subscription.state());
    out.push_str("/>");
}

/// §6.3.5. Whoever may not subscribe again has nothing to change either.
fn options(cx: &mut Cx<'_>, visitor: &Visitor, request: &Request) -> Answer {
    let (node, jid) = (request.node()?, request.jid()?);
    let known = cx.node(node).map_err(condition)?.subscription(&jid);
    if jid.bare_str() != visitor.jid.bare_str() {
        return Err(StanzaError::FORBIDDEN);
    }
    known.ok_or(NOT_SUBSCRIBED)?;
    let deliver = deliver(Some(&request.action))?;
    done(pubsub::subscribe(cx, visitor, node, &jid, deliver))
}

/// The one option of a subscription.
fn deliver(options: Option<&Element>) -> Result<Option<bool>, StanzaError> {
    let mut deliver = None;
    for (var, values) in fields(options, SUBSCRIBE_OPTIONS)? {
        if var != "pubsub#deliver" {
            return Err(INVALID_OPTIONS);
        }
        deliver = Some(pubsub::flag(&values).ok_or(INVALID_OPTIONS)?);
    }
    Ok(deliver)
}
