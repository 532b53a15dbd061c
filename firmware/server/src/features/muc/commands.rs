//! XEP-0050: Ad-Hoc Commands of a room, which are those about hats (`hats.rs`): finding them, and asking for
//! one.
//!
//! State: none. Each is asked for in one stage, with or without having seen its form, so nothing is to be
//! remembered of a session but its id, which comes back as it is given.

use super::{
    admin, disco,
    hats::{self, Command},
};
use crate::{
    account::Cx,
    feature::{Answer, Feature, Iq, On, Spec, set},
    room::Room,
    world::random_id,
};
use xmpp::{
    Jid, StanzaError, compose,
    form::{self, Form},
};

const NS: &str = "http://jabber.org/protocol/commands";

pub(in super::super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(50, "1.3.0", "Ad-Hoc Commands"),
    disco: &[(On::Room, NS)],
    iq: &[set(On::Room, (NS, "command"), run)],
    ..Feature::NONE
};

/// Bytes of a session's id: ours are shorter.
const SESSION_BYTES_MAX: usize = 64;

/// §4.4.
const MALFORMED_ACTION: StanzaError = StanzaError::BAD_REQUEST
    .with_detail("<malformed-action xmlns='http://jabber.org/protocol/commands'/>");
const BAD_ACTION: StanzaError = StanzaError::BAD_REQUEST
    .with_detail("<bad-action xmlns='http://jabber.org/protocol/commands'/>");
const BAD_SESSION: StanzaError = StanzaError::BAD_REQUEST
    .with_detail("<bad-sessionid xmlns='http://jabber.org/protocol/commands'/>");
/// What is given does not do for the command.
pub(super) const BAD_PAYLOAD: StanzaError = StanzaError::BAD_REQUEST
    .with_detail("<bad-payload xmlns='http://jabber.org/protocol/commands'/>");

/// What a command has to say, each as XML.
pub(super) enum Said {
    /// It wants this form to be filled in.
    Form(String),
    /// It is done, perhaps with a result.
    Done(String),
}

/// §2.4, §3.3.
fn run(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let (who, asked) = (&iq.passing.from, iq.payload.element());
    let room = admin::open_to(cx, who)?;
    let command = asked.attr("node").and_then(Command::of);
    let command = command.ok_or(StanzaError::ITEM_NOT_FOUND)?;
    if !command.is_for(room, who) {
        return Err(StanzaError::FORBIDDEN);
    }
    let session = match asked.attr("sessionid") {
        None | Some("") => random_id(cx.server.dice()),
        Some(id) if id.len() <= SESSION_BYTES_MAX => id.to_owned(),
        Some(_) => return Err(BAD_SESSION),
    };
    let x = asked.child(form::NS, "x");
    let given_up = x.is_some_and(|x| x.attr("type") == Some("cancel"));
    let (status, content) = match asked.attr("action") {
        _ if given_up => ("canceled", String::new()),
        Some("cancel") => ("canceled", String::new()),
        None | Some("execute" | "complete") => {
            let form = x
                .map(Form::submitted)
                .transpose()
                .map_err(|_| BAD_PAYLOAD)?;
            match hats::run(cx, command, iq, form.as_ref())? {
                Said::Form(_) if asked.attr("action") == Some("complete") => {
                    return Err(BAD_PAYLOAD);
                }
                Said::Form(form) => (
                    "executing",
                    format!("<actions execute='complete'><complete/></actions>{form}"),
                ),
                Said::Done(result) => ("completed", result),
            }
        }
        Some("next" | "prev") => return Err(BAD_ACTION), // there is one stage
        Some(_) => return Err(MALFORMED_ACTION),
    };
    let mut out = format!("<command xmlns='{NS}'");
    for (name, value) in [
        ("node", command.node()),
        ("sessionid", &session),
        ("status", status),
    ] {
        compose::attribute(&mut out, name, value);
    }
    Ok(format!("{out}>{content}</command>"))
}

/// Whether this is the list of commands, or one of them.
pub(super) fn is_node(node: &str) -> bool {
    node == NS || Command::of(node).is_some()
}

/// §2.2: the commands that somebody may ask for, each by node. A command has no items.
pub(super) fn items(room: &Room, own: &Jid, who: &Jid, node: &str) -> String {
    let mut out = format!("<query xmlns='{}'", disco::ITEMS);
    compose::attribute(&mut out, "node", node);
    let mut items = String::new();
    let all = Command::ALL.into_iter().filter(|_| node == NS);
    for command in all.filter(|command| command.is_for(room, who)) {
        items.push_str("<item");
        compose::attribute(&mut items, "jid", own.as_str());
        compose::attribute(&mut items, "node", command.node());
        compose::attribute(&mut items, "name", command.name());
        items.push_str("/>");
    }
    format!("{out}>{items}</query>")
}

/// §2.2: what the list is, or one command; `forbidden` for who may not ask for that.
pub(super) fn info(room: &Room, who: &Jid, node: &str) -> Answer {
    let mut out = format!("<query xmlns='{}'", disco::INFO);
    compose::attribute(&mut out, "node", node);
    out.push_str("><identity category='automation'");
    match Command::of(node) {
        None => out.push_str(" type='command-list'/>"),
        Some(command) if command.is_for(room, who) => {
            compose::attribute(&mut out, "name", command.name());
            out.push_str(" type='command-node'/>");
            out.push_str(&format!(
                "<feature var='{NS}'/><feature var='{}'/>",
                form::NS
            ));
        }
        Some(_) => return Err(StanzaError::FORBIDDEN),
    }
    Ok(out + "</query>")
}
