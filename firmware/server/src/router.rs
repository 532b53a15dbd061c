//! The path of a stanza. Read [`Router::receive`] first, then [`Router::route`]; everything else hangs off
//! these two.

mod errand;
mod find;
mod on_behalf;

use crate::{
    account::{Account, Cx, Leaving},
    delivery::{self, Choice},
    feature::{
        BoundHook, DeliveredHook, Delivery, Feature, Iq, IqHook, Nonza, On, Plan, Read, Reply,
        StanzaHook, StreamFeatures, Verdict,
    },
    features::{ALL, answered_us, message_to_service, muc, worth_keeping, worth_keeping_in_room},
    presence,
    reading::Question,
    roster::Verb,
    server::Server,
    session::{
        Session,
        intake::{Cause, Intake},
    },
};
pub(crate) use find::Found;
pub(crate) use on_behalf::inner_stanza;
use std::{collections::HashMap, sync::Arc};
use xmpp::{Element, Entry, Jid, Kind, Passing, Stanza, StanzaError, StreamError};

/// The feature list, turned by stage: each stage holds only those who asked for it, in list order.
pub(crate) struct Router {
    stanza_out: Vec<StanzaHook>,
    stanza_in: Vec<StanzaHook>,
    message_out: Vec<StanzaHook>,
    message_in: Vec<StanzaHook>,
    message_delivered: Vec<DeliveredHook>,
    message_undelivered: Vec<StanzaHook>,
    written: Vec<fn(&mut Cx<'_>, &Jid, &[u64])>,
    stream_features: Vec<StreamFeatures>,
    bound: Vec<BoundHook>,
    nonzas: Vec<&'static Nonza>,
    iq: HashMap<(On, &'static str, &'static str, &'static str), IqHook>,
}

impl Router {
    pub(crate) fn new() -> Router {
        fn stage<H>(of: impl Fn(&'static Feature) -> Option<H>) -> Vec<H> {
            ALL.iter().filter_map(|feature| of(feature)).collect()
        }
        let handlers = ALL.iter().flat_map(|feature| feature.iq);
        Router {
            stanza_out: stage(|f| f.stanza_out),
            stanza_in: stage(|f| f.stanza_in),
            message_out: stage(|f| f.message_out),
            message_in: stage(|f| f.message_in),
            message_delivered: stage(|f| f.message_delivered),
            message_undelivered: stage(|f| f.message_undelivered),
            written: stage(|f| f.written),
            stream_features: stage(|f| f.stream_features),
            bound: stage(|f| f.bound),
            nonzas: ALL.iter().flat_map(|feature| feature.nonza).collect(),
            iq: handlers
                .map(|h| ((h.on, h.type_, h.payload.0, h.payload.1), h.hook))
                .collect(),
        }
    }

    /// What a client sent over the connection of that epoch, and all that follows from it.
    pub(crate) async fn receive(
        &self,
        server: &Arc<Server>,
        session: &Arc<Session>,
        epoch: u32,
        stanza: Stanza,
    ) {
        let admitted = admit(server, session, stanza);
        if server.may_be_resent(admitted.as_ref()) {
            Box::pin(server.recall(session)).await;
        }
        let question = server.at(&session.account, 0, |cx| {
            if !cx.state.has(session) || session.outbox.epoch() != epoch {
                return None; // its end is on its way; what it says now would come from its successor
            }
            cx.cause = Intake::begin(session);
            // Where it was refused, that is how it was handled.
            self.leave(cx, session, admitted?)
        });
        if let Some(behind) = server.settle(&session.account).await {
            session.wait_for(&behind);
        }
        if let Some(question) = question {
            Box::pin(server.read_for(session, question)).await;
            Box::pin(server.follow_changes()).await;
        }
        server.catch_up(session).await;
    }

    /// Second half of the way: to an account of ours, or to wherever else the address leads. Returns the
    /// account it touched, whose own queue may now hold something.
    pub(crate) async fn route(
        &self,
        server: &Arc<Server>,
        leaving: Leaving,
    ) -> Option<Arc<Account>> {
        let Leaving {
            mut passing,
            depth,
            cause,
            errand,
        } = leaving;
        passing.leave_account();
        if let Some(errand) = errand {
            match errand::run(server, passing, (depth, cause.clone()), errand).await {
                Ok(account) => return account,
                Err(back) => passing = back,
            }
        }
        let reply = loop {
            match self.find(server, &passing).await {
                Found::Account(account) => {
                    match self.hand_over(server, &account, passing, (depth, &cause)) {
                        Ok((_, Some(question))) => {
                            Box::pin(server.read_for_other(&account, question, (depth, cause)))
                                .await;
                            return Some(account);
                        }
                        Ok((caused, None)) => return caused.then_some(account),
                        Err(back) => passing = back,
                    }
                }
                Found::Nobody => return None,
                Found::Elsewhere => match server.send_away(&passing, cause.as_ref()) {
                    Ok(()) => return None,
                    Err(_) if !may_be_refused(&passing) => return None,
                    Err(refusal) => break answered(&passing, Err(refusal)),
                },
                Found::Replied(reply) => break reply,
                Found::Answered(_) | Found::Refused(_) if !may_be_refused(&passing) => return None,
                Found::Answered(answer) => break answered(&passing, answer),
                Found::Refused(refusal) => break answered(&passing, Err(refusal)),
            }
        };
        if !server.hosts(passing.from.domainpart()) {
            // Where that cannot go either, nobody is left to be told.
            let _ = server.send_away(&reply, cause.as_ref());
            return None;
        }
        // The sender's account is the one whose queue is being worked off: the answer joins that queue.
        let sender = server.in_memory(&passing.from)?;
        server.at(&sender, depth, |cx| {
            cx.cause = cause;
            cx.route(reply);
        });
        Some(sender)
    }

    /// Into the recipient's account; whether its own queue holds something then, and what is to be read
    /// before it can answer. An account that has left the directory since it was found gives the stanza back.
    fn hand_over(
        &self,
        server: &Server,
        account: &Account,
        passing: Passing,
        (depth, cause): (u8, &Option<Cause>),
    ) -> Result<(bool, Option<Question>), Passing> {
        let (handed, destroyed) = server.at(account, depth, |cx| {
            if cx.state.is_gone() {
                return (Err(passing), cx.state.is_destroyed());
            }
            cx.cause.clone_from(cause);
            let question = if cx.is_room() {
                self.at_room(cx, passing)
            } else {
                self.arrive(cx, passing)
            };
            (
                Ok((cx.state.is_leaving(), question)),
                cx.state.is_destroyed(),
            )
        });
        if destroyed {
            server.directory().forget(account);
        }
        handed
    }

    /// At a room.
    fn at_room(&self, cx: &mut Cx<'_>, passing: Passing) -> Option<Question> {
        match (passing.stanza.kind, passing.stanza.type_()) {
            (Kind::Iq, "get" | "set") if passing.to.is_bare() => self.answer_other(cx, passing),
            (Kind::Iq, _) => {
                muc::iq(cx, passing);
                None
            }
            (Kind::Message, _) => muc::message(cx, passing),
            (Kind::Presence, _) => muc::presence(cx, passing),
        }
    }

    /// In the sender's account, whatever it is. A question that the disk answers comes back.
    fn leave(
        &self,
        cx: &mut Cx<'_>,
        session: &Arc<Session>,
        mut passing: Passing,
    ) -> Option<Question> {
        match ask(&self.stanza_out, cx, &mut passing) {
            Verdict::Pass => {}
            Verdict::Refuse(error) => {
                // Not by way of the account's queue: whom it may not write to must not seem to write to it.
                if !is_an_answer(&passing) {
                    session.outbox.push(passing.refused(error).entry());
                }
                return None;
            }
            Verdict::Drop | Verdict::Taken => return None,
        }
        match passing.stanza.kind {
            Kind::Message => self.message_out(cx, passing),
            Kind::Presence => presence::from_client(cx, session, passing),
            Kind::Iq => return self.iq_from_client(cx, session, passing),
        }
        None
    }

    /// In the sender's account: every hook may end the message; otherwise it leaves.
    fn message_out(&self, cx: &mut Cx<'_>, mut passing: Passing) {
        match ask(&self.message_out, cx, &mut passing) {
            Verdict::Pass => cx.route(passing),
            Verdict::Refuse(error) => cx.refuse(&passing, error),
            Verdict::Drop | Verdict::Taken => {}
        }
    }

    /// In the recipient's account, under one lock: hooks, the choice of resources, and what follows from it.
    fn arrive(&self, cx: &mut Cx<'_>, mut passing: Passing) -> Option<Question> {
        match ask(&self.stanza_in, cx, &mut passing) {
            Verdict::Pass => {}
            Verdict::Refuse(error) => {
                cx.refuse(&passing, error);
                return None;
            }
            Verdict::Drop | Verdict::Taken => return None,
        }
        match passing.stanza.kind {
            Kind::Iq => return self.iq_arrives(cx, passing),
            // A service has no presence, and nobody there reads messages.
            Kind::Message if cx.is_service() => message_to_service(cx, &passing),
            Kind::Presence if cx.is_service() => {}
            Kind::Presence => presence::arrive(cx, passing),
            Kind::Message => match self.message_in(cx, &mut passing) {
                Verdict::Refuse(error) => cx.refuse(&passing, error),
                Verdict::Pass | Verdict::Drop | Verdict::Taken => {}
            },
        }
        None
    }

    fn message_in(&self, cx: &mut Cx<'_>, passing: &mut Passing) -> Verdict {
        // Before anything is kept: what delivery refuses was never received.
        let choice = delivery::choose(&cx.state.resources, passing);
        let receivers = match choice {
            Choice::Refuse(error) => return Verdict::Refuse(error),
            Choice::Ignore => return Verdict::Drop,
            Choice::To(receivers) => receivers,
            Choice::Nobody => Vec::new(),
        };
        let verdict = ask(&self.message_in, cx, passing);
        if verdict != Verdict::Pass {
            return verdict;
        }
        if self.deliver(cx, passing, &receivers) {
            return Verdict::Taken;
        }
        match ask(&self.message_undelivered, cx, passing) {
            Verdict::Pass => Verdict::Refuse(StanzaError::SERVICE_UNAVAILABLE),
            verdict => verdict,
        }
    }

    /// To these resources, and to those that features send copies; whether there is any.
    fn deliver(&self, cx: &mut Cx<'_>, passing: &Passing, receivers: &[Jid]) -> bool {
        if cx.state.resources.is_empty() {
            return false;
        }
        let mut entry = passing.entry();
        let mut delivery = Delivery {
            receivers,
            entry: &mut entry,
            copies: Vec::new(),
            held_back: Vec::new(),
        };
        for hook in &self.message_delivered {
            hook(cx, passing, &mut delivery);
        }
        let Delivery {
            copies, held_back, ..
        } = delivery;
        let taken = !receivers.is_empty() || !copies.is_empty();
        for (resource, copy) in copies {
            if !held_back.contains(&resource) {
                cx.deliver(&resource, copy);
            }
        }
        let mut receivers = receivers
            .iter()
            .filter(|receiver| !held_back.contains(receiver))
            .peekable();
        while let Some(receiver) = receivers.next() {
            if receivers.peek().is_none() {
                cx.deliver(receiver, entry); // the usual only one costs no copy
                break;
            }
            cx.deliver(receiver, entry.clone());
        }
        // Of what is said in rooms no archive of an account has anything: for who is away and comes back to
        // the same session, the rows of its outbox are all there is.
        if passing.stanza.type_() == "groupchat" && worth_keeping_in_room(passing) {
            cx.rely();
        }
        taken
    }

    /// An IQ of a client: to its own account or the server it is answered here, under its own lock, so that
    /// answers keep their order; anybody else's is on its way. What must be read first is given back.
    fn iq_from_client(
        &self,
        cx: &mut Cx<'_>,
        session: &Arc<Session>,
        passing: Passing,
    ) -> Option<Question> {
        let own = passing.to == *cx.jid();
        if !own && passing.to != *cx.server.domain() {
            cx.route(passing);
            return None;
        }
        if !matches!(passing.stanza.type_(), "get" | "set") {
            answered_us(cx, &passing);
            return None;
        }
        let on = if own { On::OwnAccount } else { On::Server };
        let answer = match self.plan(cx, on, &passing) {
            None => self.answer(cx, on, &passing),
            Some(Ok(plan)) => return Some(Question::new(passing, plan)),
            Some(Err(refusal)) => Reply::Refused(refusal),
        };
        let broken = answer_entry(&passing, Reply::Refused(StanzaError::RESOURCE_CONSTRAINT));
        cx.answer(session, answer_entry(&passing, answer), broken);
        None
    }

    /// What is to be read before a request can be answered, where something is.
    fn plan(
        &self,
        cx: &mut Cx<'_>,
        on: On,
        passing: &Passing,
    ) -> Option<Result<Plan, StanzaError>> {
        let iq = request(passing)?;
        match self.hook(on, &iq)? {
            IqHook::Reads(ask) => Some(ask(cx, &iq)),
            _ => None,
        }
    }

    /// RFC 6121 §8.5.2.1.3, §8.5.3: an IQ for another account of ours or one of its resources.
    fn iq_arrives(&self, cx: &mut Cx<'_>, passing: Passing) -> Option<Question> {
        let request = matches!(passing.stanza.type_(), "get" | "set");
        if passing.to.is_bare() {
            if request {
                return self.answer_other(cx, passing);
            }
            answered_us(cx, &passing);
            return None;
        }
        let connected = cx.state.resource(&passing.to).is_some();
        if request && on_behalf::is_on_behalf(&passing) {
            cx.refuse(&passing, StanzaError::FORBIDDEN); // XEP-0356 §6.3: devices get none
        } else if request && !presence::is_shared(cx, &passing.to, &passing.from) {
            // Connected or not: that is what must not be told.
            let answer = self.answer(cx, On::HiddenResource, &passing);
            cx.route(answered(&passing, answer));
        } else if connected {
            cx.deliver(&passing.to, passing.entry());
        } else if request {
            cx.refuse(&passing, StanzaError::SERVICE_UNAVAILABLE);
        }
        None
    }

    /// A request of somebody else to this account or service. What must be read first is given back; so is
    /// the result of a change, which waits for the disk as results of sessions do (house rule 5).
    fn answer_other(&self, cx: &mut Cx<'_>, passing: Passing) -> Option<Question> {
        let on = if cx.is_room() {
            On::Room
        } else if cx.is_service() {
            On::PubsubService
        } else if on_behalf::is_on_behalf(&passing) {
            return self.on_behalf(cx, passing);
        } else {
            On::OtherAccount
        };
        let answer = match self.plan(cx, on, &passing) {
            Some(Ok(plan)) => return Some(Question::new(passing, plan)),
            Some(Err(refusal)) => Reply::Refused(refusal),
            None => self.answer(cx, on, &passing),
        };
        if passing.stanza.type_() == "set" && !matches!(answer, Reply::Refused(_)) {
            let plan: Plan = Box::new(|_| Ok(Read::reply(answer)));
            return Some(Question::new(passing, plan));
        }
        cx.route(answered(&passing, answer));
        None
    }

    fn answer(&self, cx: &mut Cx<'_>, on: On, passing: &Passing) -> Reply {
        let Some(iq) = request(passing) else {
            return Reply::Refused(StanzaError::BAD_REQUEST);
        };
        match self.hook(on, &iq) {
            Some(IqHook::Account(hook)) => hook(cx, &iq).into(),
            Some(IqHook::List(hook)) => hook(cx, &iq),
            Some(IqHook::Server(hook)) => hook(cx.server, &iq).into(),
            // Reading is planned (`plan`).
            Some(IqHook::Reads(_)) | None => Reply::Refused(StanzaError::SERVICE_UNAVAILABLE),
        }
    }

    fn hook(&self, on: On, iq: &Iq<'_>) -> Option<IqHook> {
        self.iq
            .get(&(
                on,
                iq.passing.stanza.type_(),
                iq.payload.ns(),
                iq.payload.name(),
            ))
            .copied()
    }

    /// The session's socket took these positions.
    pub(crate) fn written(&self, cx: &mut Cx<'_>, session: &Session, positions: &[u64]) {
        for hook in &self.written {
            hook(cx, &session.jid, positions);
        }
    }

    /// An element of a session that is no stanza. `unsupported-stanza-type` where no feature knows it.
    pub(crate) fn nonza(
        &self,
        server: &Server,
        session: &Arc<Session>,
        element: &Element,
    ) -> Result<String, StreamError> {
        let mut known = self.nonzas.iter();
        let nonza = known
            .find(|nonza| element.is(nonza.name.0, nonza.name.1))
            .ok_or(StreamError::UNSUPPORTED_STANZA_TYPE)?;
        server.at(&session.account, 0, |cx| {
            if cx.state.has(session) {
                (nonza.hook)(cx, session, element)
            } else {
                Ok(String::new())
            }
        })
    }

    /// What features say to a request of Bind 2, for `<bound/>`.
    pub(crate) fn bound(&self, server: &Server, session: &Arc<Session>, bind: &Element) -> String {
        server.at(&session.account, 0, |cx| {
            let hooks = self.bound.iter();
            hooks.filter_map(|hook| hook(cx, session, bind)).collect()
        })
    }

    /// Stream features of features, once the client is authenticated, or has a session already.
    pub(crate) fn stream_features(&self, server: &Server, session: Option<&Session>) -> String {
        let writers = self.stream_features.iter();
        writers.filter_map(|write| write(server, session)).collect()
    }
}

/// Checks what is a client's own fault before anything is locked (RFC 6120 §8.1, §8.2.3).
fn admit(server: &Server, session: &Arc<Session>, stanza: Stanza) -> Option<Passing> {
    let own = &session.account.jid;
    let stanza = Arc::new(stanza);
    // §8.1.2.1: the address is completed, or overridden where it is that of another session of the account.
    // Converse.js 14 gives itself a new resource when its page is loaded again, and resumes its old session.
    let claimed = stanza.from();
    if !matches!(&claimed, Ok(None))
        && !claimed.is_ok_and(|from| from.is_some_and(|from| from.bare_str() == own.as_str()))
    {
        session.outbox.end(StreamError::INVALID_FROM); // §4.9.3.9
        return None;
    }
    let to = stanza.to();
    let malformed = to.is_err();
    let to = to.ok().flatten().unwrap_or_else(|| own.clone());
    let passing = Passing::new(stanza, session.jid.clone(), to);
    let fault = if malformed {
        Some(StanzaError::JID_MALFORMED)
    } else {
        fault(server, &passing)
    };
    let Some(fault) = fault else {
        return Some(passing);
    };
    if may_be_refused(&passing) {
        let mut refused = passing.refused(fault);
        if malformed {
            refused.from = server.domain().clone();
        }
        session.outbox.push(refused.entry());
    }
    None
}

pub(crate) fn fault(server: &Server, passing: &Passing) -> Option<StanzaError> {
    let stanza = &passing.stanza;
    let (bad, writes) = match (stanza.kind, stanza.type_()) {
        // §8.2.3: rules 1, 2, 4 and 5.
        (Kind::Iq, type_ @ ("get" | "set")) => (
            stanza.id().is_none() || request(passing).is_none(),
            type_ == "set",
        ),
        (Kind::Iq, "result" | "error") => (stanza.id().is_none(), false),
        (Kind::Iq, _) => (true, false),
        (Kind::Presence, "" | "unavailable" | "probe" | "error") => (false, false),
        (Kind::Presence, type_) => (Verb::parse(type_).is_none(), true),
        (Kind::Message, _) => (false, worth_keeping(passing)),
    };
    if bad {
        return Some(StanzaError::BAD_REQUEST);
    }
    // DESIGN §6: a card that takes nothing refuses before any hook; reading and passing presence go on.
    (writes && !server.store().takes_writes()).then_some(
        StanzaError::RESOURCE_CONSTRAINT
            .with_text("the server cannot store anything at the moment"),
    )
}

/// RFC 6120 §8.2.3: a request has exactly one child.
fn request(passing: &Passing) -> Option<Iq<'_>> {
    let mut children = passing.stanza.children();
    let payload = children.next()?;
    children.next().is_none().then_some(Iq { passing, payload })
}

/// RFC 6120 §8.3.1: errors and results are never answered with an error; nor are notes that need no answer.
pub(crate) fn may_be_refused(passing: &Passing) -> bool {
    let note = passing.stanza.kind == Kind::Presence
        && matches!(passing.stanza.type_(), "unavailable" | "probe");
    !note && !is_an_answer(passing)
}

pub(crate) fn is_an_answer(passing: &Passing) -> bool {
    matches!(
        (passing.stanza.kind, passing.stanza.type_()),
        (_, "error") | (Kind::Iq, "result")
    )
}

/// Asks one stage's features in order.
fn ask(stage: &[StanzaHook], cx: &mut Cx<'_>, passing: &mut Passing) -> Verdict {
    stage
        .iter()
        .map(|hook| hook(cx, passing))
        .find(|verdict| *verdict != Verdict::Pass)
        .unwrap_or(Verdict::Pass)
}

/// The answer to a request of a session, for its outbox.
pub(crate) fn answer_entry(passing: &Passing, reply: Reply) -> Entry {
    answered(passing, reply).entry()
}

/// The answer to a request, on its way back.
pub(crate) fn answered(passing: &Passing, reply: impl Into<Reply>) -> Passing {
    let payload = match reply.into() {
        Reply::Done(payload) => payload,
        Reply::DoneInPart(rest, error) => return passing.refused_with(&rest, error),
        Reply::Refused(error) => return passing.refused(error),
    };
    let id = passing.stanza.id().unwrap_or_default();
    let stanza = Stanza::compose(Kind::Iq, &[("type", "result"), ("id", &id)], &payload);
    Passing::new(Arc::new(stanza), passing.to.clone(), passing.from.clone())
}
