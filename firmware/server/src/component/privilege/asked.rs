//! Requests that a component sent in the name of an account, to somebody else than the account and its server
//! (XEP-0356 §6.3). Their answers come to the account and go on to the component.

use super::forwarded;
use crate::{
    account::Cx,
    component::limits::{ASKED_ON_BEHALF_MAX, ON_BEHALF_MS_MAX},
    router,
    server::Server,
};
use std::sync::Arc;
use xmpp::{Kind, Passing, Stanza, StanzaError};

/// Requests of one account that wait for an answer; no more than [`ASKED_ON_BEHALF_MAX`].
#[derive(Default)]
pub(crate) struct Asked(Vec<Open>);

struct Open {
    /// Ours: two components may choose the same.
    id: String,
    outer: Passing,
    inner: Passing,
    /// In elapsed milliseconds.
    until: u64,
}

impl Asked {
    /// Whether no component waits for an answer.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Sends the inner request on its way, and remembers what its answer is for.
pub(crate) fn ask(cx: &mut Cx<'_>, outer: Passing, inner: Passing) {
    if cx.state.memory.asked.0.len() >= ASKED_ON_BEHALF_MAX {
        return cx.refuse(&outer, StanzaError::RESOURCE_CONSTRAINT);
    }
    let id = format!("behalf{}", cx.server.next_number());
    cx.route(with_id(&inner, inner.stanza.type_(), &id));
    let until = cx.server.clock().elapsed_ms() + ON_BEHALF_MS_MAX;
    cx.state.memory.asked.0.push(Open {
        id,
        outer,
        inner,
        until,
    });
}

/// An answer to the account: perhaps one that a component waits for.
pub(crate) fn answered(cx: &mut Cx<'_>, answer: &Passing) {
    let id = answer.stanza.id().unwrap_or_default();
    let asked = &mut cx.state.memory.asked.0;
    let found = asked
        .iter()
        .position(|open| open.id == *id && open.inner.to == answer.from);
    let Some(open) = found.map(|at| asked.remove(at)) else {
        return;
    };
    let id = open.inner.stanza.id().unwrap_or_default().into_owned();
    let answer = with_id(answer, answer.stanza.type_(), &id);
    cx.route(wrapped(&open.outer, &answer));
}

/// The result of the outer request, with the answer to the inner one.
pub(crate) fn wrapped(outer: &Passing, answer: &Passing) -> Passing {
    router::answered(outer, Ok(forwarded(answer)))
}

fn with_id(passing: &Passing, type_: &str, id: &str) -> Passing {
    let content = passing.content();
    let content = String::from_utf8_lossy(&content);
    let stanza = Stanza::compose(Kind::Iq, &[("type", type_), ("id", id)], &content);
    Passing::new(Arc::new(stanza), passing.from.clone(), passing.to.clone())
}

impl Server {
    /// Tells components of answers that did not come.
    pub(crate) async fn give_up_on_behalf(self: &Arc<Self>) {
        let now = self.clock().elapsed_ms();
        for account in self.directory().all() {
            let gave_up = self.at(&account, 0, |cx| {
                let asked = std::mem::take(&mut cx.state.memory.asked.0);
                let (waiting, over): (Vec<Open>, Vec<Open>) =
                    asked.into_iter().partition(|open| now < open.until);
                cx.state.memory.asked.0 = waiting;
                for open in &over {
                    let late = open.inner.refused(StanzaError::REMOTE_SERVER_TIMEOUT);
                    cx.route(wrapped(&open.outer, &late));
                }
                !over.is_empty()
            });
            if gave_up {
                self.settle_account(&account).await;
            }
        }
    }
}
