//! When a push service is told (XEP-0357 §7), and what its answers mean (§7.1).
//!
//! A device whose session is gone or waits, or that nobody looks at, is pushed at once. One that somebody
//! looks at gets the message itself; only if it acknowledges nothing for a while, or loses its line first, is
//! it pushed after all. Of a burst the first message wakes a device, and the rest does together once
//! [`PUSH_INTERVAL_MS`] are over: a registration has one notification under way at a time.

use super::{
    Device, Enabled, Outstanding, PROGRESS, REGISTRATION,
    carried::{self, carry, owes},
    chat::Chat,
    note::{Note, What},
    notification,
    trial::{self, Outcome},
};
use crate::{
    account::{Cx, State},
    limits::{
        PUSH_ANSWER_MS, PUSH_CALL_INTERVAL_MS, PUSH_FAILURES_MAX, PUSH_INTERVAL_MS,
        PUSH_RETRY_MS_FIRST, PUSH_RETRY_MS_MAX,
    },
};
use std::sync::Arc;
use tracing::{debug, info};
use xmpp::{Jid, Kind, Passing, Stanza, ns};

/// A message arrived for the account; `gets` says whether a resource is given it. Tells whether one that is
/// connected is pushed for it.
pub(crate) fn arrived(cx: &mut Cx<'_>, message: &Passing, gets: impl Fn(&Jid) -> bool) -> bool {
    let mut is_awaited = false;
    if cx.state.memory.push.is_empty() {
        return is_awaited;
    }
    let Some(note) = Note::of(message, cx.jid()).map(Arc::new) else {
        return is_awaited;
    };
    let chat = Chat::of(cx, message, &note);
    for_each(cx, |cx, enabled| {
        if !is_for_it(cx.state, enabled, &note, &gets) || !is_wanted(cx.state, enabled, &chat) {
            return;
        }
        match enabled.device(cx.state, None) {
            Device::Watched(session) => {
                let carried = enabled.carried.take(); // it is still owed
                was_looked_at(cx, enabled);
                enabled.carried = carried;
                if gets(&session.jid) {
                    carry(cx, enabled, &session, note.clone());
                }
            }
            device @ (Device::Unwatched(_) | Device::Away) => {
                is_awaited |= matches!(device, Device::Unwatched(_));
                owe(cx, enabled, note.clone(), count(&note));
            }
        }
    });
    is_awaited
}

/// Somebody asks to become a contact, and was noted. Who looks is shown that at once, all others when they
/// come (RFC 6121 §3.1.3).
pub(crate) fn contact_requested(cx: &mut Cx<'_>, presence: &Passing) {
    if cx.state.memory.push.is_empty() {
        return;
    }
    let note = Arc::new(Note::of_request(presence));
    let chat = Chat::of(cx, presence, &note);
    for_each(cx, |cx, enabled| {
        if !is_wanted(cx.state, enabled, &chat) {
            return;
        }
        match enabled.device(cx.state, None) {
            Device::Watched(session) => carry(cx, enabled, &session, note.clone()),
            Device::Unwatched(_) | Device::Away => owe(cx, enabled, note.clone(), 0),
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

/// Whether its user wants to hear of it on this device, and the device itself does.
pub(super) fn is_wanted(state: &State, enabled: &Enabled, chat: &Chat<'_>) -> bool {
    let settings = &enabled.settings;
    let names = |nickname: &str| chat.names(nickname);
    settings.filters.let_pass(chat.note, &state.roster, names)
        && chat.is_for(settings.identity(&state.resources))
}

/// Something is due, or an account lost a line: looks after every registration.
pub(crate) fn work(cx: &mut Cx<'_>) {
    for_each(cx, |cx, enabled| {
        forget_what_is_known(cx, enabled);
        carried::look_after(cx, enabled);
        look_after_outstanding(cx, enabled);
        if !enabled.is_dead {
            send_if_free(cx, enabled);
        }
    });
}

/// The account was read from the disk. What a push service that is unwell was still to be told is not there,
/// only that it failed, and what nobody has looked at since: of that it is told when it is tried again.
/// Devices that wait for the server to come back get a moment to do so.
pub(crate) fn loaded(cx: &mut Cx<'_>) {
    let (now, own) = (cx.server.clock().elapsed_ms(), cx.jid().clone());
    let requests = cx.state.roster.requests();
    for_each(cx, |cx, enabled| {
        let progress = &enabled.progress;
        if progress.failures > 0 && (progress.unread > 0 || requests > 0) {
            enabled.sent_at = Some(now);
            enabled.waiting = Some(Arc::new(Note {
                sender: own.clone(),
                what: What::Backlog,
                position: None,
            }));
            send_if_free(cx, enabled);
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

/// Forgets registrations when something else is written.
pub(super) fn give_up(cx: &mut Cx<'_>, is_meant: impl Fn(&Enabled) -> bool) {
    for_each(cx, |_, enabled| enabled.is_dead |= is_meant(enabled));
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
pub(super) fn count(note: &Note) -> u32 {
    u32::from(matches!(note.what, What::Chat { .. } | What::Room { .. }))
}

/// Its answer is waited for, if none is.
fn under_way(cx: &Cx<'_>, enabled: &mut Enabled, id: u64, note: Arc<Note>) {
    let at = cx.server.clock().elapsed_ms();
    enabled
        .outstanding
        .get_or_insert(Outstanding { id, at, note });
    cx.server.push_alarm().set(at + PUSH_ANSWER_MS);
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
    let summary = notification::Summary {
        unread: enabled.progress.unread,
        requests: cx.state.roster.requests(),
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
        // At once: what is tried again after a power cut, and when, is known from this alone.
        let key = enabled.key(cx.id());
        cx.write_at_once(PROGRESS.put(&key, &enabled.progress));
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
