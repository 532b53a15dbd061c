//! What was said before somebody came (XEP-0045 §7.2.13 to §7.2.15): as many of the last messages as are
//! wanted, out of the room's archive, and the subject.

use super::{NS, USER, message::is_change_of_subject, occupant_id};
use crate::{
    account::Cx,
    archive::{Archive, Query, RETRACT, Start},
    feature::{Plan, Read, Reply},
    limits::{ROOM_HISTORY_MAX, ROOM_HISTORY_SPARE, ROOM_MEANWHILE_MAX},
    room::Config,
    world::Timestamp,
};
use std::{collections::VecDeque, sync::Arc};
use tracing::error;
use xmpp::{
    Entry, Jid, Kind, Passing, Stanza, StanzaError, datetime, ns,
    stanza::{Child, Reach},
};

/// §7.2.14: what of it a client wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    characters: Option<usize>,
    stanzas: Option<usize>,
    seconds: Option<u64>,
    since: Option<Timestamp>,
}

impl Wanted {
    /// What the presence of a newcomer asks for. What cannot be understood asks for nothing in particular.
    pub(super) fn by(passing: &Passing) -> Wanted {
        let x = passing.stanza.child(NS, "x").map(Child::element);
        let Some(history) = x.as_ref().and_then(|x| x.child(NS, "history")) else {
            return Wanted::default();
        };
        let number = |name| {
            history
                .attr(name)
                .and_then(|value| value.trim().parse().ok())
        };
        Wanted {
            characters: number("maxchars"),
            stanzas: number("maxstanzas"),
            seconds: history
                .attr("seconds")
                .and_then(|value| value.trim().parse().ok()),
            since: history
                .attr("since")
                .and_then(|at| datetime::parse(at.trim())),
        }
    }

    fn stanzas(&self, config: &Config) -> usize {
        let nothing_said = *self == Wanted::default();
        let otherwise = if nothing_said {
            config.history as usize
        } else {
            ROOM_HISTORY_MAX
        };
        let max = ROOM_HISTORY_MAX.min(config.history_max as usize);
        self.stanzas.unwrap_or(otherwise).min(max)
    }

    fn earliest(&self, now: Timestamp) -> Timestamp {
        let by_seconds = self
            .seconds
            .map(|s| now.saturating_sub(s.saturating_mul(1_000)));
        by_seconds.unwrap_or(0).max(self.since.unwrap_or(0))
    }
}

/// What is to be read, where anything is.
pub(super) fn plan(cx: &mut Cx<'_>, wanted: &Wanted) -> Option<Plan> {
    let room = cx.room()?;
    let max = wanted.stanzas(&room.config);
    // Where nothing is kept any more, what was kept before is shown to nobody, either (`Room::reader`).
    let is_read = room.config.archive && max > 0;
    if !is_read || wanted.characters == Some(0) || cx.state.memory.archive.last.is_none() {
        return None;
    }
    let query = Query {
        with: None,
        earliest: wanted.earliest(cx.now()),
        latest: u64::MAX,
        after: None,
        before: None,
        positions: None,
        said_by: None,
        words: Vec::new(),
        max: max + ROOM_HISTORY_SPARE,
        page: Start::Last,
    };
    let (account, index, own) = (
        cx.account.id,
        cx.state.memory.archive.clone(),
        cx.jid().clone(),
    );
    let ids = cx.server.archive_ids().clone();
    Some(Box::new(move |snapshot| {
        let page = Archive::new(snapshot, account, &index).page(&query);
        let page = page.map_err(|_| {
            error!(room = %own, "the history of a room cannot be read");
            StanzaError::INTERNAL
        })?;
        let messages = page.messages.iter().filter_map(|kept| {
            let xml = std::str::from_utf8(&kept.payload).ok()?;
            let stanza = Arc::new(Stanza::parse(xml).ok()?);
            let mut said = as_heard(stanza, &own)?;
            let id = crate::archive::stanza_id(&ids, account, &own, kept.position);
            said.add(id, Reach::Everybody);
            said.add(delay(&own, kept.stamp), Reach::Everybody);
            let mut entry = said.entry();
            entry.position = Some(kept.position);
            Some(entry)
        });
        Ok(Read {
            stanzas: messages.collect(),
            reply: Reply::Done(String::new()),
        })
    }))
}

/// Whether a message belongs to what was discussed. Changes of the subject do not (§7.2.13), nor what only
/// says how far somebody has read.
fn is_discussion(stanza: &Stanza) -> bool {
    let has_text = || stanza.child(ns::CLIENT, "body").is_some();
    let mut children = stanza.children();
    let is_mark = children.any(|child| {
        child.ns() == "urn:xmpp:chat-markers:0" && child.name() != "markable"
            || (child.ns(), child.name()) == ("urn:xmpp:receipts", "received")
    });
    !is_change_of_subject(stanza) && (!is_mark || has_text())
}

/// What was said, without what the archive alone knows of it. Nothing of what was taken back (XEP-0424 §5).
fn as_heard(stanza: Arc<Stanza>, own: &Jid) -> Option<Passing> {
    let from = stanza.from().ok().flatten()?;
    let speaker = stanza.child(USER, "x").map(Child::index);
    let is_gone = stanza.child(RETRACT, "retracted").is_some();
    let is_shown = !is_gone && is_discussion(&stanza);
    let mut said = Passing::new(stanza, from, own.clone());
    if let Some(speaker) = speaker {
        said.leave_behind(speaker, Reach::Everybody);
    }
    is_shown.then_some(said)
}

fn delay(room: &Jid, stamp: Timestamp) -> String {
    let stamp = datetime::format(stamp);
    let mut out = String::from("<delay xmlns='urn:xmpp:delay'");
    xmpp::compose::attribute(&mut out, "from", room.as_str());
    out + &format!(" stamp='{stamp}'/>")
}

/// A message was said while joins wait for their history.
pub(super) fn note(cx: &mut Cx<'_>, position: u64, said: &Passing) {
    let now = cx.now();
    let Some(room) = cx.room_mut() else { return };
    if room.joins_reading == 0 || !is_discussion(&said.stanza) {
        return;
    }
    // Joins may overlap without end. What is old by now is in the archive that the later ones read.
    if room.said_meanwhile.len() >= ROOM_MEANWHILE_MAX {
        room.said_meanwhile.pop_front();
    }
    room.said_meanwhile.push_back((position, now, said.clone()));
}

/// A join has its history.
pub(super) fn read(cx: &mut Cx<'_>) {
    let Some(room) = cx.room_mut() else { return };
    room.joins_reading = room.joins_reading.saturating_sub(1);
    if room.joins_reading == 0 {
        room.said_meanwhile = VecDeque::new();
    }
}

/// Sends a newcomer the history, from what was read and what was said since.
pub(super) fn send(cx: &mut Cx<'_>, to: &Jid, wanted: &Wanted, read: Option<Read>) {
    let (Some(read), Some(room)) = (read, cx.room()) else {
        return;
    };
    let (own, earliest) = (cx.jid().clone(), wanted.earliest(cx.now()));
    let upto = read.stanzas.last().and_then(|last| last.position);
    let mut entries = read.stanzas;
    for (position, stamp, said) in &room.said_meanwhile {
        // Some of it was said before this join began, while others waited.
        if *stamp >= earliest && upto.is_none_or(|upto| upto < *position) {
            let mut said = said.clone();
            said.add(delay(&own, *stamp), Reach::Everybody);
            entries.push(said.entry());
        }
    }
    for entry in &mut entries {
        entry.to = Some(to.clone());
    }
    for entry in fitting(entries, wanted, &room.config) {
        crate::reading::route_entry(cx, &entry, to);
    }
}

/// The last of them, as many as fit.
fn fitting(mut entries: Vec<Entry>, wanted: &Wanted, config: &Config) -> Vec<Entry> {
    let last = entries.iter().rev().take(wanted.stanzas(config));
    let fit = match wanted.characters {
        None => last.count(),
        Some(mut left) => {
            let fits = |entry: &&Entry| {
                let characters = characters(entry);
                let fits = characters <= left;
                left = left.saturating_sub(characters);
                fits
            };
            last.take_while(fits).count()
        }
    };
    entries.split_off(entries.len() - fit)
}

/// §7.2.14: of the complete stanza.
fn characters(entry: &Entry) -> usize {
    let mut bytes = Vec::new();
    entry.write(&mut bytes);
    String::from_utf8_lossy(&bytes).chars().count()
}

/// §7.2.15.
pub(super) fn send_subject(cx: &mut Cx<'_>, to: &Jid) {
    let Some(room) = cx.room() else { return };
    let own = cx.jid();
    let by = Jid::parse(&room.subject.by).unwrap_or_else(|_| own.clone());
    let mut content = room.subject.xml.clone();
    if content.is_empty() {
        content.push_str("<subject/>");
    }
    if room.subject.set_ms > 0 {
        content.push_str(&delay(own, room.subject.set_ms));
    }
    if !room.subject.by_id.is_empty() {
        content.push_str(&occupant_id(&room.subject.by_id));
    }
    let mut attributes = vec![("type", "groupchat")];
    if !room.subject.lang.is_empty() {
        attributes.push(("xml:lang", &room.subject.lang));
    }
    let stanza = Stanza::compose(Kind::Message, &attributes, &content);
    cx.route(Passing::new(Arc::new(stanza), by, to.clone()));
}
