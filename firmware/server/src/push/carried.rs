//! What a device's own session was given while somebody seemed to look at it. Until the session says that it
//! has it, or the device is pushed after all, it is carried: a message for a while, a call for some seconds,
//! and a call that is over meanwhile (XEP-0353 §3.3-§3.5) no longer.

use super::{
    Device, Enabled, REGISTRATION,
    note::{self, Note, What},
    publish::{count, for_each, owe},
};
use crate::{
    account::Cx,
    limits::{PUSH_CALL_UNACKNOWLEDGED_MS, PUSH_UNACKNOWLEDGED_MS},
    session::Session,
};
use std::sync::Arc;
use xmpp::{Class, Jid, Kind, Passing};

/// What one session may not have got.
pub(super) struct Carried {
    /// The session's number.
    session: u64,
    message: Option<Owed>,
    /// Messages that it stands for.
    count: u32,
    /// It does not wait as long as that.
    call: Option<Owed>,
}

struct Owed {
    /// The latest.
    note: Arc<Note>,
    /// Since when the session keeps silent, in elapsed milliseconds.
    since: u64,
}

impl Owed {
    /// When its device is pushed, in elapsed milliseconds.
    fn due(&self) -> u64 {
        let patience = if self.note.is_call() {
            PUSH_CALL_UNACKNOWLEDGED_MS
        } else {
            PUSH_UNACKNOWLEDGED_MS
        };
        self.since + patience
    }
}

impl Carried {
    fn new(session: &Session) -> Carried {
        Carried {
            session: session.number,
            message: None,
            count: 0,
            call: None,
        }
    }

    /// Without what its session has got.
    fn still_owed_by(mut self, session: &Session) -> Carried {
        self.message.take_if(|owed| !owes(session, &owed.note));
        self.call.take_if(|owed| !owes(session, &owed.note));
        if self.message.is_none() {
            self.count = 0;
        }
        self
    }

    fn owed(&self) -> impl Iterator<Item = &Owed> {
        self.message.iter().chain(&self.call)
    }

    /// The push service is to be told of what is due.
    fn tell(&mut self, cx: &mut Cx<'_>, enabled: &mut Enabled, is_due: impl Fn(&Owed) -> bool) {
        if let Some(call) = self.call.take_if(|call| is_due(call)) {
            owe(cx, enabled, call.note, 0);
        }
        if let Some(message) = self.message.take_if(|message| is_due(message)) {
            owe(cx, enabled, message.note, std::mem::take(&mut self.count));
        }
    }
}

/// Whether a session has not acknowledged it, or not even written it where nothing is acknowledged.
pub(super) fn owes(session: &Session, note: &Note) -> bool {
    let kind = match note.what {
        What::Request => Kind::Presence,
        _ => Kind::Message,
    };
    session.outbox.any_unacknowledged(|entry| {
        entry.kind == kind
            && entry.position == note.position
            && (note.position.is_some() || entry.class == Class::Urgent)
    })
}

/// Its own session is given it; that has a while to say so.
pub(super) fn carry(cx: &Cx<'_>, enabled: &mut Enabled, session: &Session, note: Arc<Note>) {
    let before = enabled.carried.take();
    let before = before.filter(|it| it.session == session.number);
    let mut carried = match before {
        Some(before) => before.still_owed_by(session),
        None => Carried::new(session),
    };
    // What it still owes goes on ageing, or a lively chat would never reach a silent line.
    let since = carried.owed().map(|owed| owed.since).min();
    let since = since.unwrap_or(cx.server.clock().elapsed_ms());
    carried.count = carried.count.saturating_add(count(&note));
    let owed = Owed { note, since };
    cx.server.push_alarm().set(owed.due());
    if owed.note.is_call() {
        carried.call = Some(owed);
    } else {
        carried.message = Some(owed);
    }
    enabled.carried = Some(Box::new(carried));
}

pub(super) fn look_after(cx: &mut Cx<'_>, enabled: &mut Enabled) {
    let Some(carried) = enabled.carried.take() else {
        return;
    };
    let mut resources = cx.state.resources.iter();
    let by = resources.find(|resource| resource.session.number == carried.session);
    let Some(resource) = by else {
        return;
    };
    let (is_away, now) = (resource.away.is_some(), cx.server.clock().elapsed_ms());
    let mut carried = carried.still_owed_by(&resource.session);
    carried.tell(cx, enabled, |owed| is_away || owed.due() <= now);
    let next = carried.owed().map(Owed::due).min();
    if let Some(next) = next {
        cx.server.push_alarm().set(next);
        enabled.carried = Some(Box::new(carried));
    }
}

/// A session is gone, and still listed: what it did not get its device is told by push.
pub(crate) fn session_gone(cx: &mut Cx<'_>, jid: &Jid) {
    let Some(session) = cx.state.resource(jid).map(|gone| gone.session.clone()) else {
        return;
    };
    for_each(cx, |cx, enabled| {
        note_kind(cx, enabled, jid);
        let carried = enabled.carried.take_if(|it| it.session == session.number);
        let carried = carried.map(|it| it.still_owed_by(&session));
        let Some(mut carried) = carried.filter(|it| it.owed().next().is_some()) else {
            return;
        };
        if let Device::Away = enabled.device(cx.state, Some(session.number)) {
            if session.outbox.is_ended() {
                // By us, as a rule because its device is signing in again: that gets a moment.
                enabled.sent_at = Some(cx.server.clock().elapsed_ms());
            }
            carried.tell(cx, enabled, |_| true);
        }
    });
}

/// What kind of client a device has is known as long as that is there (XEP-0115), and to be known after.
fn note_kind(cx: &mut Cx<'_>, enabled: &mut Enabled, leaving: &Jid) {
    let resource = cx.state.resource(leaving);
    let own = resource.filter(|resource| enabled.settings.is_of(resource));
    let kind = own.as_ref().and_then(|own| own.memory.capabilities.kind());
    let Some(kind) = kind.filter(|kind| **kind != *enabled.settings.kind) else {
        return;
    };
    enabled.settings.kind = kind.into();
    let write = REGISTRATION.put(&enabled.key(cx.id()), &enabled.settings);
    cx.write_soon(write);
}

/// A message that somebody wrote to the account, or one of its own devices to somebody: where it ends a call
/// that some device was to ring for, that has no reason to any more.
pub(crate) fn may_end_a_call(cx: &mut Cx<'_>, message: &Passing) {
    let pushes = &cx.state.memory.push.0;
    let mut carried = pushes.iter().filter_map(|enabled| enabled.carried.as_ref());
    if !carried.any(|carried| carried.call.is_some()) {
        return;
    }
    let Some(end) = note::end_of_call(message, cx.jid()) else {
        return;
    };
    for_each(cx, |_, enabled| {
        if let Some(carried) = &mut enabled.carried {
            carried.call.take_if(|call| end.is_of(&call.note));
        }
    });
}
