//! What is said in rooms while a member is not there: a room tells the accounts of its members, and their
//! devices that are away are pushed as their settings say (XEP-0492).

use super::{
    Device,
    note::{Note, What},
    publish::{for_each, owe},
};
use crate::{
    account::Cx,
    features::{
        mentions,
        notification_settings::{Notify, setting},
    },
};
use std::sync::Arc;
use xmpp::{Passing, ns, stanza::Child};

/// In the account of a member of a room, who has this nickname there: something was said, by the occupant
/// whose address `said` is from. Each device that is away, and not in the room, is pushed if it wants to hear
/// of that: `usual` holds where the bookmark of the room says nothing (§3).
pub(crate) fn said(cx: &mut Cx<'_>, said: &Passing, nickname: &str, usual: Notify) {
    let Some(mut note) = Note::of(said, cx.jid()) else {
        return;
    };
    note.position = None; // it is in the room's archive
    let bookmark = cx.state.memory.bookmarks.room(&said.from.bare());
    let wish = bookmark.and_then(|it| setting(&it, ("client", "phone")));
    let wanted = match wish.unwrap_or(usual) {
        Notify::Always => true,
        Notify::OnMention => names(&note, said, nickname),
        Notify::Never => return,
    };
    let note = Arc::new(note);
    for_each(cx, |cx, enabled| {
        let mut own = cx.state.resources.iter();
        let is_there = own.any(|own| {
            let mut directed = own.directed.iter();
            enabled.settings.is_of(own)
                && directed.any(|jid| jid.bare_str() == said.from.bare_str())
        });
        let is_away = matches!(enabled.device(cx.state, None), Device::Away);
        let filters = &enabled.settings.filters;
        if is_away && !is_there && filters.let_pass(&note, &cx.state.roster, wanted) {
            owe(cx, enabled, note.clone(), 1);
        }
    });
}

/// What is encrypted is said among few, and who is mentioned in it nobody here can tell.
fn names(note: &Note, said: &Passing, nickname: &str) -> bool {
    let What::Room { text } = &note.what else {
        return false;
    };
    let body = said.stanza.child(ns::CLIENT, "body").map(Child::text);
    text.plain().is_none() || mentions(&body.unwrap_or_default(), nickname)
}
