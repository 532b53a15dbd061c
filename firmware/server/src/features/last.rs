//! XEP-0012: Last Activity. How long an account has been away, and how long the server has been up.
//!
//! State: when the last resource became unavailable and what it said, in memory and in table `last.seen`.

use crate::{
    account::Cx,
    feature::{Answer, Feature, Iq, On, Spec, get, get_server},
    server::Server,
    world::Timestamp,
};
use serde::{Deserialize, Serialize};
use store::{Record, Snapshot, Table};
use xmpp::{Jid, Passing, StanzaError, compose, ns};

const NS: &str = "jabber:iq:last";

/// By account.
pub(crate) const SEEN: Table<u32, Seen> = Table::per_account("last.seen", 1);

/// Bytes of a farewell status that is kept.
const STATUS_BYTES_MAX: usize = 1_023;

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(12, "2.0", "Last Activity"),
    disco: &[(On::Server, NS), (On::OwnAccount, NS)],
    iq: &[
        get_server(On::Server, (NS, "query"), uptime),
        get(On::OwnAccount, (NS, "query"), last),
        get(On::OtherAccount, (NS, "query"), last_of_contact),
        // §4: said plainly, where other requests look like nobody were there.
        get(On::HiddenResource, (NS, "query"), |_, _| {
            Err(StanzaError::FORBIDDEN)
        }),
    ],
    unavailable: Some(remember),
    written_anew: Some(|cx| {
        if let Some(seen) = &cx.state.memory.last.0 {
            let write = SEEN.put(&cx.id(), seen);
            cx.write_soon(write);
        }
    }),
    ..Feature::NONE
};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) at: Timestamp,
    status: String,
}

impl Record for Seen {}

/// When the account was last seen.
#[derive(Debug, Default)]
pub(crate) struct LastSeen(Option<Box<Seen>>);

impl LastSeen {
    pub(super) fn load(snapshot: &Snapshot, account: u32) -> Result<LastSeen, store::Error> {
        Ok(LastSeen(SEEN.get(snapshot, &account)?.map(Box::new)))
    }

    /// The time of the last unavailable presence, if there was one.
    pub(crate) fn stamp(&self) -> Option<Timestamp> {
        self.0.as_ref().map(|seen| seen.at)
    }
}

fn uptime(server: &Server, _: &Iq<'_>) -> Answer {
    Ok(format!(
        "<query xmlns='{NS}' seconds='{}'/>",
        server.clock().elapsed_ms() / 1_000
    ))
}

fn last(cx: &mut Cx<'_>, _: &Iq<'_>) -> Answer {
    if !cx.state.resources.is_empty() {
        return Ok(format!("<query xmlns='{NS}' seconds='0'/>")); // §3, last paragraph
    }
    let Some(seen) = &cx.state.memory.last.0 else {
        return Err(StanzaError::ITEM_NOT_FOUND);
    };
    let seconds = cx.now().saturating_sub(seen.at) / 1_000;
    Ok(format!(
        "<query xmlns='{NS}' seconds='{seconds}'>{}</query>",
        compose::escaped(&seen.status)
    ))
}

/// §3: only for those who may see presence.
fn last_of_contact(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    if !cx.state.roster.subscription(&iq.passing.from.bare()).from {
        return Err(StanzaError::FORBIDDEN);
    }
    last(cx, iq)
}

fn remember(cx: &mut Cx<'_>, _: &Jid, presence: &Passing) {
    let status = presence
        .stanza
        .child(ns::CLIENT, "status")
        .map(xmpp::stanza::Child::text)
        .unwrap_or_default();
    let status = if status.len() > STATUS_BYTES_MAX {
        String::new()
    } else {
        status
    };
    let seen = Seen {
        at: cx.now(),
        status,
    };
    cx.write_soon(SEEN.put(&cx.id(), &seen));
    cx.state.memory.last = LastSeen(Some(Box::new(seen)));
}
