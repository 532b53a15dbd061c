//! What a message stanza is to the device that reads it: said to its account, a copy of what another device
//! got or sent (XEP-0280), found in the archive (XEP-0313), or refused.

use super::ledger::Message;
use xmpp::{Element, ns};

pub(super) const ARCHIVE: &str = "urn:xmpp:mam:2";
pub(super) const CARBONS: &str = "urn:xmpp:carbons:2";

/// One of the numbered messages, as it came.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    pub(super) message: Message,
    /// Its id in the archive of the account that reads it, where it has one.
    pub(super) id: Option<String>,
    /// It came later than it would have without an interruption.
    pub(super) is_delayed: bool,
    /// It came wrapped (XEP-0280), as what another device got or sent.
    pub(super) is_wrapped: bool,
    /// The account that reads it has sent it.
    pub(super) is_sent: bool,
}

#[derive(Debug)]
pub(super) enum Heard {
    /// To the account, or what another device of it sent.
    Live(Copy),
    /// With the name of the query.
    Found(String, Copy),
    Refused(Message),
    /// Nothing with a number.
    Nothing,
}

impl Heard {
    /// What it is for a device of that account, a bare JID.
    pub(super) fn of(element: &Element, account: &str) -> Heard {
        if !element.is(ns::CLIENT, "message") {
            return Heard::Nothing;
        }
        if element.attr("type") == Some("error") {
            return number(element).map_or(Heard::Nothing, Heard::Refused);
        }
        if let Some(result) = element.child(ARCHIVE, "result") {
            let query = result.attr("queryid").unwrap_or_default().to_owned();
            let Some(mut copy) = forwarded(result).and_then(|inner| copy(inner, account)) else {
                return Heard::Nothing;
            };
            copy.id = result.attr("id").map(str::to_owned);
            return Heard::Found(query, copy);
        }
        let mut ways = ["received", "sent"].iter();
        let wrapping = ways.find_map(|way| element.child(CARBONS, way));
        let inner = wrapping.map_or(Some(element), forwarded);
        let Some(mut copy) = inner.and_then(|inner| copy(inner, account)) else {
            return Heard::Nothing;
        };
        copy.is_delayed |= is_delayed(element);
        copy.is_wrapped = wrapping.is_some();
        Heard::Live(copy)
    }
}

fn forwarded(around: &Element) -> Option<&Element> {
    around
        .child("urn:xmpp:forward:0", "forwarded")?
        .child(ns::CLIENT, "message")
}

/// Copies of refusals have the number of what was refused, and are none of it.
fn copy(message: &Element, account: &str) -> Option<Copy> {
    if message.attr("type") == Some("error") {
        return None;
    }
    let is_ours =
        |id: &&Element| id.is("urn:xmpp:sid:0", "stanza-id") && id.attr("by") == Some(account);
    let id = message.elements().find(is_ours);
    let from = message.attr("from").unwrap_or_default();
    Some(Copy {
        message: number(message)?,
        id: id.and_then(|id| id.attr("id")).map(str::to_owned),
        is_delayed: is_delayed(message),
        is_wrapped: false,
        is_sent: from.split('/').next() == Some(account),
    })
}

fn is_delayed(message: &Element) -> bool {
    message.child("urn:xmpp:delay", "delay").is_some()
}

fn number(message: &Element) -> Option<Message> {
    message.attr("id")?.strip_prefix('m')?.parse().ok()
}
