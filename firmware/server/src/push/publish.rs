//! When a push service is told (XEP-0357 §7), and what its answers mean (§7.1).
//!
//! A device whose session is gone or waits, or that nobody looks at, is pushed at once. One that somebody
//! looks at gets the message itself; only if it acknowledges nothing for a while, or loses its line first, is
//! it pushed after all. Of a burst the first message wakes a device, and the rest does together once
//! [`PUSH_INTERVAL_MS`] are over: a registration has one notification under way at a time.

use super::{
    Carried, Device, Enabled, Outstanding, PROGRESS, REGISTRATION,
    note::{Note, What},
    notification,
    trial::{self, Outcome},
};
use crate::{
    account::{Cx, State},
    limits::{
        PUSH_ANSWER_MS, PUSH_CALL_INTERVAL_MS, PUSH_CALL_UNACKNOWLEDGED_MS, PUSH_FAILURES_MAX,
        PUSH_INTERVAL_MS, PUSH_RETRY_MS_FIRST, PUSH_RETRY_MS_MAX, PUSH_UNACKNOWLEDGED_MS,
    },
    session::Session,
};
use std::sync::Arc;
use tracing::{debug, info};
use xmpp::{Class, Jid, Kind, Passing, Stanza, ns};

/// A message arrived for the account. `urgent` is how XEP-0352 sees it; `gets` says whether a resource is
/// given it.
pub(crate) fn arrived(
    cx: &mut Cx<'_>,
    message: &Passing,
    urgent: bool,
    gets: impl Fn(&Jid) -> bool,
) {
    if cx.state.memory.push.is_empty() {
        return;
    }
    let Some(note) = Note::of(message, cx.jid()).map(Arc::new) else {
        return;
    };
    for_each(cx, |cx, enabled| {
        if !is_for_it(cx.state, enabled, &note, &gets)
            || !enabled
                .settings
                .filters
                .let_pass(&note, &cx.state.roster, urgent)
        {
            return;
        }
        match enabled.device(cx.state, None) {
            Device::Watched(session) => {
                // What it still owes goes on ageing, or a lively chat would never reach a silent line.
                let carried = enabled.carried.take();
                was_looked_at(cx, enabled);
                enabled.carried = carried;
                if gets(&session.jid) {
                    carry(cx, enabled, &session, note.clone());
                }
            }
            Device::Unwatched(_) | Device::Away => {
                owe(cx, enabled, note.clone(), count(&note));
            }
        }
    });
}

/// Whether the device will have it once it is there: the archive keeps it, or a session of its own is given
/// it. What is said in a room a room sends to each device by itself.
fn is_for_it(state: &State, enabled: &Enabled, note: &Note, gets: impl Fn(&Jid) -> bool) -> bool {
    let mut resources = state.resources.iter();
    note.position.is_some()
        || resources.any(|own| enabled.settings.is_of(own) && gets(&own.session.jid))
}

/// Something is due, or an account lost a line: looks after every registration.
pub(crate) fn work(cx: &mut Cx<'_>) {
    for_each(cx, |cx, enabled| {
        forget_what_is_known(cx, enabled);
        look_after_carried(cx, enabled);
        look_after_outstanding(cx, enabled);
        if !enabled.is_dead {
            send_if_free(cx, enabled);
        }
    });
}

/// A session is gone, and still listed: what it did not get its device is told by push.
pub(crate) fn session_gone(cx: &mut Cx<'_>, jid: &Jid) {
    let Some(session) = cx.state.resource(jid).map(|gone| gone.session.clone()) else {
        return;
    };
    for_each(cx, |cx, enabled| {
        let carried = enabled.carried.take_if(|it| it.session == session.number);
        let Some(carried) = carried.filter(|it| owes(&session, &it.note)) else {
            return;
        };
        if let Device::Away = enabled.device(cx.state, Some(session.number)) {
            if session.outbox.is_ended() {
                // By us, as a rule because its device is signing in again: that gets a moment.
                enabled.sent_at = Some(cx.server.clock().elapsed_ms());
            }
            owe_call(cx, enabled, &session, carried.call);
            owe(cx, enabled, carried.note, carried.count);
        }
    });
}

/// Somebody looks at a device, which has everything, or is being given it.
pub(crate) fn looked_at(cx: &mut Cx<'_>, jid: &Jid) {
    for_each(cx, |cx, enabled| {
        let mut resources = cx.state.resources.iter();
        let resource = resources.find(|resource| resource.session.jid == *jid);
        if resource.is_some_and(|resource| enabled.settings.is_of(resource)) {
            was_looked_at(cx, enabled);
        }
    });
}

/// A result or an error for the account: perhaps of a push service.
pub(crate) fn answered(cx: &mut Cx<'_>, answer: &Passing) {
    if cx.state.memory.push.is_empty() {
        return;
    }
    let id = answer.stanza.id();
    let Some(id) = id.and_then(|id| id.strip_prefix(ID)?.parse::<u64>().ok()) else {
        return;
    };
    for_each(cx, |cx, enabled| {
        if enabled.service != answer.from {
            return;
        }
        let trial = enabled.trial.take_if(|(asked, _)| *asked == id);
        let outstanding = enabled.outstanding.take_if(|asked| asked.id == id);
        if trial.is_none() && outstanding.is_none() {
            return;
        }
        let failure = Failure::of(answer);
        if let Some((_, tell)) = trial {
            let _ = tell.send(outcome(failure.as_ref()));
        }
        match failure {
            None => succeeded(cx, enabled),
            Some(failure) if failure.may_pass => {
                failed(cx, enabled, outstanding.map(|it| it.note));
            }
            Some(failure) => {
                let (account, service) = (cx.jid(), &enabled.service);
                info!(%account, %service, condition = failure.condition, "is not told any more");
                enabled.is_dead = true;
            }
        }
    });
    work(cx);
}

/// Tells a push service something to find out whether it answers.
pub(super) fn try_out(cx: &mut Cx<'_>) -> Vec<trial::Trial> {
    let mut trials = Vec::new();
    for_each(cx, |cx, enabled| {
        let note = Note {
            sender: cx.jid().clone(),
            what: What::Trial,
            position: None,
        };
        let id = send(cx, enabled, &note);
        trials.push(trial::begin(cx.state, enabled, id));
    });
    trials
}

/// What the disk may have refused and nobody waited for. The registrations, too: one of them may have been
/// removed and asked for again since, and the removal was just made anew.
pub(crate) fn write_anew(cx: &mut Cx<'_>) {
    for_each(cx, |cx, enabled| {
        let key = enabled.key(cx.id());
        cx.write_soon(REGISTRATION.put(&key, &enabled.settings));
        note_progress(cx, enabled);
    });
}

/// With the registrations out of the account's state, so that both can be changed.
pub(super) fn for_each(cx: &mut Cx<'_>, mut f: impl FnMut(&mut Cx<'_>, &mut Enabled)) {
    if cx.state.memory.push.is_empty() {
        return;
    }
    let mut pushes = std::mem::take(&mut cx.state.memory.push);
    for enabled in &mut pushes.0 {
        f(cx, enabled);
    }
    let account = cx.id();
    for dead in pushes.0.extract_if(.., |enabled| enabled.is_dead) {
        let key = dead.key(account);
        cx.write_soon(REGISTRATION.remove(&key));
        cx.write_soon(PROGRESS.remove(&key));
    }
    cx.state.memory.push = pushes;
}

/// The push service is to be told of it: of a message when that may be, of a call now or never.
pub(super) fn owe(cx: &mut Cx<'_>, enabled: &mut Enabled, note: Arc<Note>, count: u32) {
    if count > 0 {
        enabled.progress.unread = enabled.progress.unread.saturating_add(count);
        note_progress(cx, enabled);
    }
    if note.is_call() {
        let now = cx.server.clock().elapsed_ms();
        if enabled
            .rang_at
            .is_some_and(|at| at + PUSH_CALL_INTERVAL_MS > now)
        {
            return; // it is ringing
        }
        enabled.rang_at = Some(now);
        let id = send(cx, enabled, &note);
        under_way(cx, enabled, id, note);
    } else {
        enabled.waiting = Some(note);
        send_if_free(cx, enabled);
    }
}

/// How many messages it is.
fn count(note: &Note) -> u32 {
    u32::from(!note.is_call())
}

/// Its answer is waited for, if none is.
fn under_way(cx: &Cx<'_>, enabled: &mut Enabled, id: u64, note: Arc<Note>) {
    let at = cx.server.clock().elapsed_ms();
    enabled
        .outstanding
        .get_or_insert(Outstanding { id, at, note });
    cx.server.push_alarm().set(at + PUSH_ANSWER_MS);
}

/// Its own session is given it; that has a while to say so.
fn carry(cx: &Cx<'_>, enabled: &mut Enabled, session: &Arc<Session>, note: Arc<Note>) {
    let before = enabled.carried.take();
    let before = before.filter(|it| it.session == session.number && owes(session, &it.note));
    let (before_it, call, since) = match before {
        Some(before) if before.note.is_call() => (before.count, Some(before.note), before.since),
        Some(before) => (before.count, before.call, before.since),
        None => (0, None, cx.server.clock().elapsed_ms()),
    };
    cx.server.push_alarm().set(since + patience(&note));
    enabled.carried = Some(Box::new(Carried {
        session: session.number,
        count: before_it.saturating_add(count(&note)),
        call: call.filter(|_| !note.is_call()),
        since,
        note,
    }));
}

/// A call that its session still owes, if there is one.
fn owe_call(cx: &mut Cx<'_>, enabled: &mut Enabled, session: &Session, call: Option<Arc<Note>>) {
    if let Some(call) = call.filter(|call| owes(session, call)) {
        owe(cx, enabled, call, 0);
    }
}

/// How long a session may keep silent about a message.
fn patience(note: &Note) -> u64 {
    if note.is_call() {
        PUSH_CALL_UNACKNOWLEDGED_MS
    } else {
        PUSH_UNACKNOWLEDGED_MS
    }
}

/// Whether a session has not acknowledged it, or not even written it where nothing is acknowledged.
fn owes(session: &Session, note: &Note) -> bool {
    session.outbox.any_unacknowledged(|entry| {
        entry.kind == Kind::Message
            && entry.position == note.position
            && (note.position.is_some() || entry.class == Class::Urgent)
    })
}

/// A device that somebody looks at, or that has acknowledged everything, need not be woken any more.
fn forget_what_is_known(cx: &mut Cx<'_>, enabled: &mut Enabled) {
    match enabled.device(cx.state, None) {
        Device::Away => {}
        Device::Watched(_) => enabled.waiting = None,
        Device::Unwatched(session) => {
            let has = |note: &mut Arc<Note>| session.outbox.is_managed() && !owes(&session, note);
            enabled.waiting.take_if(has);
        }
    }
}

fn look_after_carried(cx: &mut Cx<'_>, enabled: &mut Enabled) {
    let Some(mut carried) = enabled.carried.take() else {
        return;
    };
    let mut resources = cx.state.resources.iter();
    let by = resources.find(|resource| resource.session.number == carried.session);
    let Some(resource) = by.filter(|by| owes(&by.session, &carried.note)) else {
        return;
    };
    let (is_away, session) = (resource.away.is_some(), resource.session.clone());
    let is_due = |due| is_away || due <= cx.server.clock().elapsed_ms();
    let rings = carried.since + PUSH_CALL_UNACKNOWLEDGED_MS;
    let due = carried.since + patience(&carried.note);
    let (is_due, has_rung) = (is_due(due), is_due(rings));
    if has_rung {
        owe_call(cx, enabled, &session, carried.call.take());
    }
    if is_due {
        owe(cx, enabled, carried.note, carried.count);
    } else {
        let next = carried.call.as_ref().map_or(due, |_| rings);
        cx.server.push_alarm().set(next);
        enabled.carried = Some(carried);
    }
}

fn look_after_outstanding(cx: &mut Cx<'_>, enabled: &mut Enabled) {
    let Some(outstanding) = &enabled.outstanding else {
        return;
    };
    let due = outstanding.at + PUSH_ANSWER_MS;
    if due > cx.server.clock().elapsed_ms() {
        return cx.server.push_alarm().set(due);
    }
    debug!(account = %cx.jid(), service = %enabled.service, "does not answer");
    let note = enabled.outstanding.take().map(|it| it.note);
    failed(cx, enabled, note);
}

/// Tells the push service what waits for it, or plans to.
fn send_if_free(cx: &mut Cx<'_>, enabled: &mut Enabled) {
    if enabled.waiting.is_none() || enabled.outstanding.is_some() {
        return;
    }
    let now = cx.server.clock().elapsed_ms();
    let again = enabled.sent_at.map_or(0, |at| at + PUSH_INTERVAL_MS);
    let free = again.max(now + until_retry(cx, enabled));
    if free > now {
        return cx.server.push_alarm().set(free);
    }
    if let Some(note) = enabled.waiting.take() {
        enabled.sent_at = Some(now);
        let id = send(cx, enabled, &note);
        under_way(cx, enabled, id, note);
    }
}

/// Before the number that tells notifications apart.
const ID: &str = "push-";

/// §7: from the account's bare JID, which a push service lets publish as it lets the domain (§3.2).
fn send(cx: &mut Cx<'_>, enabled: &Enabled, note: &Note) -> u64 {
    let id = cx.server.next_number();
    let contacts = cx.state.roster.iter();
    let requests = contacts.filter(|(_, item)| item.subscription.pending_in);
    let summary = notification::Summary {
        unread: enabled.progress.unread,
        requests: requests.count(),
    };
    let dice = cx.server.dice();
    let publish = notification::publish(&enabled.node, &enabled.settings, &summary, note, dice);
    let named = format!("{ID}{id}");
    let attributes = [("type", "set"), ("id", named.as_str())];
    let stanza = Stanza::compose(Kind::Iq, &attributes, &publish);
    let (from, to) = (cx.jid().clone(), enabled.service.clone());
    // Whoever wrote the message need not wait for what becomes of this.
    let cause = cx.cause.take();
    cx.route(Passing::new(Arc::new(stanza), from, to));
    cx.cause = cause;
    id
}

/// Milliseconds until a push service that failed is tried again.
fn until_retry(cx: &Cx<'_>, enabled: &Enabled) -> u64 {
    let progress = &enabled.progress;
    if progress.failures == 0 {
        return 0;
    }
    let wait = PUSH_RETRY_MS_FIRST << (progress.failures - 1).min(16);
    let since = cx.now().checked_sub(progress.failed_at);
    // A clock that was set back says nothing.
    since.map_or(0, |since| wait.min(PUSH_RETRY_MS_MAX).saturating_sub(since))
}

fn succeeded(cx: &mut Cx<'_>, enabled: &mut Enabled) {
    if enabled.progress.failures > 0 {
        enabled.progress.failures = 0;
        note_progress(cx, enabled);
    }
}

/// §7.1: for a reason that may pass; after too many of them in a row the registration is given up.
fn failed(cx: &mut Cx<'_>, enabled: &mut Enabled, note: Option<Arc<Note>>) {
    // Calls and tests do not wait until it is time to try again: what fails before then is no news, or
    // anybody who calls often enough would end a registration within minutes.
    if until_retry(cx, enabled) == 0 {
        enabled.progress.failures = enabled.progress.failures.saturating_add(1);
        enabled.progress.failed_at = cx.now();
        if enabled.progress.failures >= PUSH_FAILURES_MAX {
            let (account, service) = (cx.jid(), &enabled.service);
            info!(%account, %service, "is given up: it has failed for a day");
            enabled.is_dead = true;
            return;
        }
        note_progress(cx, enabled);
    }
    // Of what came meanwhile the latest is told. A call is over by then.
    if let Some(note) = note.filter(|note| !note.is_call()) {
        enabled.waiting.get_or_insert(note);
    }
}

fn was_looked_at(cx: &mut Cx<'_>, enabled: &mut Enabled) {
    enabled.waiting = None;
    enabled.carried = None;
    enabled.sent_at = None; // what comes now begins anew
    if enabled.progress.unread > 0 {
        enabled.progress.unread = 0;
        note_progress(cx, enabled);
    }
}

fn note_progress(cx: &mut Cx<'_>, enabled: &Enabled) {
    let key = enabled.key(cx.id());
    cx.write_soon(PROGRESS.put(&key, &enabled.progress));
}

/// Why a push service did not take a notification.
struct Failure {
    /// Without a trace of who said it.
    condition: String,
    may_pass: bool,
}

/// Conditions of servers and push services that are not well, or not there for a moment. Everything else
/// says that this node is not for us: that it does not exist, is gone, or that we may not publish there.
const PASSING: [&str; 8] = [
    "internal-server-error",
    "policy-violation",
    "recipient-unavailable",
    "remote-server-not-found",
    "remote-server-timeout",
    "resource-constraint",
    "service-unavailable",
    "undefined-condition",
];

impl Failure {
    fn of(answer: &Passing) -> Option<Failure> {
        if answer.stanza.type_() != "error" {
            return None;
        }
        let error = answer.stanza.child(ns::CLIENT, "error");
        let error = error.map(xmpp::stanza::Child::element);
        let mut inside = error.iter().flat_map(xmpp::Element::elements);
        let condition = inside.find(|child| child.ns == ns::STANZA_ERRORS && child.name != "text");
        let condition = condition.map_or("undefined-condition", |child| &child.name);
        let waits = error.as_ref().and_then(|error| error.attr("type")) == Some("wait");
        Some(Failure {
            may_pass: waits || PASSING.contains(&condition),
            condition: condition.chars().take(64).collect(),
        })
    }
}

fn outcome(failure: Option<&Failure>) -> Outcome {
    match failure {
        None => Outcome::Taken,
        Some(failure) => Outcome::Refused {
            condition: failure.condition.clone(),
            is_forgotten: !failure.may_pass,
        },
    }
}
