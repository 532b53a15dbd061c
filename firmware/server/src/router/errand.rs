//! What accounts of this house ask of one another without a stanza: to pass an event on to those resources
//! that want it, to send the last items of nodes, and to wake devices for what is said in a room.

use crate::{
    account::{Account, Cx, Errand},
    directory,
    feature::Feature,
    features::{notification_settings::Notify, passes},
    pubsub::{self, LastItems},
    push,
    server::Server,
    session::intake::Cause,
};
use std::sync::Arc;
use tracing::error;
use xmpp::{Jid, Passing, StanzaError};

/// Does it in the account it is for; gives that account where its queue may hold something then. Gives back
/// what goes on as any stanza does.
pub(super) async fn run(
    server: &Arc<Server>,
    passing: Passing,
    from: (u8, Option<Cause>),
    errand: Errand,
) -> Result<Option<Arc<Account>>, Passing> {
    let localpart = passing.to.localpart().unwrap_or(directory::SERVICE);
    let account = addressee(server, localpart, &errand).await;
    let subscribed = matches!(errand, Errand::Subscribed(..));
    let Some(account) = account else {
        return if subscribed { Err(passing) } else { Ok(None) };
    };
    if let Errand::Event(node, told) | Errand::Subscribed(node, told) = &errand {
        return server.at(&account, from.0, |cx| {
            if subscribed && !pubsub::is_wanted(cx, node) {
                return Err(passing);
            }
            event(cx, passing, (node, told));
            Ok(None)
        });
    }
    if let Errand::SaidInRoom(nickname, usual) = errand {
        server.at(&account, from.0, |cx| {
            cx.cause = from.1;
            said_in_room(cx, passing, &nickname, usual);
        });
        return Ok(Some(account));
    }
    let Some(wanted) = server.at(&account, from.0, |cx| last_items(cx, &passing, &errand)) else {
        return Ok(None);
    };
    let read = server.read_after(&account, move |snapshot| {
        wanted.read(snapshot).map_err(|error| {
            error!(%error, "items cannot be read");
            StanzaError::INTERNAL
        })
    });
    let messages = Box::pin(read).await.unwrap_or_default();
    server.at(&account, from.0, |cx| {
        cx.cause = from.1;
        for mut message in messages {
            if !passes(cx, outgoing, &mut message) {
                continue;
            }
            match &errand {
                Errand::LastItem(node) => pubsub::to_subscriber(cx, message, node, &[]),
                _ => cx.route(message),
            }
        }
    });
    Ok(Some(account))
}

/// The account that it is for, where that can be had.
async fn addressee(server: &Arc<Server>, localpart: &str, errand: &Errand) -> Option<Arc<Account>> {
    if let Errand::Event(..) | Errand::Subscribed(..) = errand {
        // Where it is not in memory nobody is there who could want an event.
        return server.directory().get(localpart);
    }
    // Whoever loads it next says why that fails.
    let found = server.load(localpart).await.ok()?;
    if found.is_none() {
        server.wakeable().forget(localpart); // there is nobody any more
    }
    found
}

fn outgoing(feature: &Feature) -> Option<crate::feature::StanzaHook> {
    feature.stanza_out
}

fn event(cx: &mut Cx<'_>, mut passing: Passing, (node, told): (&str, &[Jid])) {
    if passes(cx, |feature| feature.stanza_in, &mut passing) {
        pubsub::arrive(cx, &passing, node, told);
    }
}

/// For a member who may not be there: its devices are woken as they wish, if any asked for that.
fn said_in_room(cx: &mut Cx<'_>, mut passing: Passing, nickname: &str, usual: Notify) {
    if cx.state.memory.push.is_empty() {
        cx.server.wakeable().forget(cx.account.key());
    } else if passes(cx, |feature| feature.stanza_in, &mut passing) {
        push::room::said(cx, &passing, nickname, usual);
    }
}

/// What is to be read for whoever the errand is for.
fn last_items(cx: &mut Cx<'_>, passing: &Passing, errand: &Errand) -> Option<LastItems> {
    let to = &passing.from;
    let wanted = match errand {
        Errand::LastItems(capabilities) => pubsub::last_items(cx, to, capabilities),
        Errand::LastItem(node) => pubsub::last_item_for(cx, to, node),
        Errand::Event(..) | Errand::Subscribed(..) | Errand::SaidInRoom(..) => return None,
    };
    (!wanted.is_empty()).then_some(wanted)
}
