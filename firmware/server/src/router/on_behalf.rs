//! Stanzas that a privileged component sends in the name of an account (XEP-0356 §5, §6). They take the way
//! of that account's own stanzas: what it has blocked, keeps and copies to its devices holds for them, too.

use super::{Router, answered, ask, request};
use crate::{
    account::Cx,
    component::{Granted, privilege, privilege::NS},
    feature::{On, Plan, Read, Reply, Verdict},
    reading::Question,
};
use std::sync::Arc;
use xmpp::{Element, Jid, Passing, Stanza, StanzaError, ns};

impl Router {
    /// §6.3: a request inside a request. What comes back goes to the component, inside the answer.
    pub(super) fn on_behalf(&self, cx: &mut Cx<'_>, outer: Passing) -> Option<Question> {
        let mut inner = match requested(cx, &outer) {
            Ok(inner) => inner,
            Err(refusal) => {
                cx.refuse(&outer, refusal);
                return None;
            }
        };
        match ask(&self.stanza_out, cx, &mut inner) {
            Verdict::Pass => {}
            Verdict::Refuse(refusal) => {
                cx.route(privilege::wrapped(&outer, &inner.refused(refusal)));
                return None;
            }
            Verdict::Drop | Verdict::Taken => {
                let refusal = inner.refused(StanzaError::SERVICE_UNAVAILABLE);
                cx.route(privilege::wrapped(&outer, &refusal));
                return None;
            }
        }
        let own = inner.to == *cx.jid();
        if !own && inner.to != *cx.server.domain() {
            privilege::ask(cx, outer, inner);
            return None;
        }
        let on = if own { On::OwnAccount } else { On::Server };
        let plan: Plan = match self.plan(cx, on, &inner) {
            Some(Ok(plan)) => Box::new(move |snapshot| {
                let read = plan(snapshot);
                let Read { stanzas, reply } =
                    read.unwrap_or_else(|refusal| Read::reply(Reply::Refused(refusal)));
                let reply = Reply::Done(privilege::forwarded(&answered(&inner, reply)));
                Ok(Read { stanzas, reply })
            }),
            Some(Err(refusal)) => {
                cx.route(privilege::wrapped(&outer, &inner.refused(refusal)));
                return None;
            }
            // What was changed is on disk before anybody is told so.
            None => {
                let reply = answered(&inner, self.answer(cx, on, &inner));
                Box::new(move |_| Ok(Read::of(privilege::forwarded(&reply))))
            }
        };
        Some(Question::new(outer, plan))
    }

    /// §5.3: a message in this account's name, on its way; `outer` is what it came in.
    pub(crate) fn message_on_behalf(&self, cx: &mut Cx<'_>, outer: &Passing, mut inner: Passing) {
        for stage in [&self.stanza_out, &self.message_out] {
            match ask(stage, cx, &mut inner) {
                Verdict::Pass => {}
                Verdict::Refuse(refusal) => return cx.refuse(outer, refusal),
                Verdict::Drop | Verdict::Taken => return,
            }
        }
        cx.route(inner);
    }
}

/// Whether a request to an account has another one in it.
pub(super) fn is_on_behalf(passing: &Passing) -> bool {
    let iq = request(passing);
    iq.is_some_and(|iq| (iq.payload.ns(), iq.payload.name()) == (NS, "privileged_iq"))
}

/// The request inside, as the account's own (§6.3, the list of what is refused).
fn requested(cx: &Cx<'_>, outer: &Passing) -> Result<Passing, StanzaError> {
    let bad = StanzaError::BAD_REQUEST;
    let payload = outer
        .stanza
        .child(NS, "privileged_iq")
        .ok_or(bad)?
        .element();
    let mut children = payload.elements();
    let (Some(inner), None) = (children.next(), children.next()) else {
        return Err(bad);
    };
    let mut children = inner.elements();
    let (Some(asked), None) = (children.next(), children.next()) else {
        return Err(bad);
    };
    let type_ = inner.attr("type").unwrap_or_default();
    let is_granted = Granted::to(cx.server, &outer.from).may_ask(type_, &asked.ns);
    let is_from_account = inner
        .attr("from")
        .is_none_or(|from| Jid::parse(from).is_ok_and(|from| from == *cx.jid()));
    let is_same = inner.is(ns::CLIENT, "iq") && type_ == outer.stanza.type_();
    if !(is_granted && is_from_account && is_same) {
        return Err(StanzaError::FORBIDDEN);
    }
    let inner = inner_stanza(inner)?;
    if inner.id().is_none() {
        return Err(bad);
    }
    let to = inner.to().map_err(|_| StanzaError::JID_MALFORMED)?;
    let to = to.unwrap_or_else(|| cx.jid().clone());
    Ok(Passing::new(Arc::new(inner), cx.jid().clone(), to))
}

/// What was inside another stanza, as one that stands by itself.
pub(crate) fn inner_stanza(inner: &Element) -> Result<Stanza, StanzaError> {
    let mut xml = String::new();
    inner.write(&mut xml, "");
    Stanza::parse(&xml).map_err(|_| StanzaError::BAD_REQUEST)
}
