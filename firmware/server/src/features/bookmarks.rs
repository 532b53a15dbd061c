//! XEP-0402, XEP-0411, XEP-0048: a person's rooms, in the three places where apps look for them: one item for
//! each room, one item with the list, and the list in private storage (XEP-0049).
//!
//! The items are the truth (XEP-0402 §2). The list in one item is written anew with each change of them, the
//! one in private storage is made when it is asked for. A list that a client writes is compared with the
//! items: only rooms that differ are published or retracted, in the same commit and without coming back here
//! (`By::Server`). Of an item a list changes what lists can say: name, nick, password and whether to join;
//! `<extensions/>` stay, and lists do not show them, so that no old list brings back what another app changed
//! (XEP-0492). What only lists can say, pages of the web first of all, is kept beside ([`OLD_ONLY`]).
//!
//! Decisions: of a room that is twice in a list the first one counts. What has no usable address stays in the
//! list and becomes no item. A list that is taken back or emptied is no rooms; but who deletes the node of
//! the list removes a node, and it comes again: an app that looked there would take the absence for the
//! truth.
//!
//! State: the nodes, table `bookmarks.old`, and all of it in memory while the account is loaded.

mod list;
#[cfg(test)]
mod tests;

pub(crate) use list::{Bookmarks, OldOnly};

use crate::{
    account::Cx,
    feature::{Feature, ItemChange, On, PrivateFace, Spec},
    features::private,
    pubsub::{self, By, NewItem, Publication, Refusal, Removal, Visitor},
};
use list::{Changes, is_conference, is_list, room_address};
use store::Table;
use tracing::warn;
use xmpp::{Element, Jid, StanzaError, compose};

/// XEP-0402 §2: the node with an item for each room, and the namespace of its payloads.
pub(crate) const NATIVE: &str = "urn:xmpp:bookmarks:1";
/// XEP-0048 §3: the node with the list, and its namespace wherever it is.
const OLD: &str = "storage:bookmarks";
/// XEP-0048 §3.1: the id of the one item.
const CURRENT: &str = "current";

/// By account. A row says, too, that the places were brought together once.
pub(crate) const OLD_ONLY: Table<u32, OldOnly> = Table::per_account("bookmarks.old", 1);

const FULL: StanzaError =
    StanzaError::RESOURCE_CONSTRAINT.with_text("there is no more room for bookmarks");

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(402, "1.2.0", "PEP Native Bookmarks"),
    disco: &[
        (On::OwnAccount, "urn:xmpp:bookmarks:1#compat"),
        (On::OwnAccount, "urn:xmpp:bookmarks:1#compat-pep"),
    ],
    items_offered: Some(offered),
    item_changed: Some(changed),
    loaded: Some(bring_together),
    ..Feature::NONE
};

pub(super) const CONVERSION_FEATURE: Feature = Feature {
    spec: Spec::Xep(411, "1.1.0", "Bookmarks Conversion"),
    disco: &[(On::OwnAccount, "urn:xmpp:bookmarks-conversion:0")],
    ..Feature::NONE
};

pub(super) const LIST_FEATURE: Feature = Feature {
    spec: Spec::Xep(48, "1.2", "Bookmarks"),
    private_face: Some(PrivateFace {
        name: (OLD, "storage"),
        read: |cx| {
            let bookmarks = &cx.state.memory.bookmarks;
            (!bookmarks.is_empty()).then(|| bookmarks.list())
        },
        put: put_private,
    }),
    ..Feature::NONE
};

/// What a client is about to publish: refused where it is none or too much, and a list as it will be kept.
fn offered(cx: &Cx<'_>, node: &str, items: &mut [NewItem]) -> Result<(), Refusal> {
    let bookmarks = &cx.state.memory.bookmarks;
    match node {
        NATIVE => {
            let mut next = bookmarks.clone();
            for item in items {
                let id = item.id.as_deref().filter(|id| room_address(id).is_some());
                let id = id.ok_or(Refusal::InvalidJid)?;
                if !item.payload.is_empty() && !is_conference(&item.payload) {
                    return Err(Refusal::BadPayload);
                }
                next.put(id, &item.payload);
            }
            admit(cx, &next)
        }
        OLD => {
            for item in items {
                if item.payload.is_empty() {
                    continue; // refused for that
                }
                let list = Element::parse(&item.payload, "").ok().filter(is_list);
                let (next, _) = bookmarks.after(&list.ok_or(Refusal::BadPayload)?);
                admit(cx, &next)?;
                item.id = Some(CURRENT.to_owned());
                item.payload = next.list();
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Whether these bookmarks may be kept, in every place.
fn admit(cx: &Cx<'_>, next: &Bookmarks) -> Result<(), Refusal> {
    let nodes = [NATIVE, OLD];
    let nodes = nodes.iter().filter(|name| cx.node(name).is_err()).count();
    let fits = next.fits() && cx.has_room_for(nodes, next.len() + 1, next.bytes() * 2);
    fits.then_some(()).ok_or(Refusal::NoRoom)
}

fn changed(cx: &mut Cx<'_>, change: &ItemChange<'_>) {
    match (change.node, change.id, change.payload) {
        (NATIVE, "", _) => {
            cx.state.memory.bookmarks.remove_rooms();
            write_list(cx);
        }
        (NATIVE, id, payload) => {
            let bookmarks = &mut cx.state.memory.bookmarks;
            match payload {
                Some(payload) => bookmarks.put(id, payload),
                None => bookmarks.remove(id),
            }
            if !change.more {
                write_list(cx);
            }
        }
        (OLD, "", _) if cx.node(OLD).is_err() => {
            cx.state.memory.bookmarks.mark_changed();
            write_list(cx);
        }
        (OLD, _, payload) => {
            let list = payload.and_then(|payload| Element::parse(payload, "").ok());
            take_over(cx, &list.unwrap_or_else(|| Element::new(OLD, "storage")));
            remember(cx);
        }
        _ => {}
    }
}

/// A list in private storage (XEP-0411 §3: who listens to the node hears of it).
fn put_private(cx: &mut Cx<'_>, list: &Element) -> Result<(), StanzaError> {
    let before = cx.state.memory.bookmarks.list();
    let (next, _) = cx.state.memory.bookmarks.after(list);
    admit(cx, &next).map_err(|_| FULL)?;
    if next.list() == before {
        remember(cx); // what is here already may not be on disk yet: the answer waits for it
    } else {
        take_over(cx, list);
        cx.state.memory.bookmarks.mark_changed();
        write_list(cx);
    }
    Ok(())
}

/// XEP-0402 §5.3.2: makes the items say what a list says.
fn take_over(cx: &mut Cx<'_>, list: &Element) {
    let (next, changes) = cx.state.memory.bookmarks.after(list);
    cx.state.memory.bookmarks = next;
    let Changes {
        published,
        retracted,
    } = changes;
    for id in retracted {
        let retraction = cx.retract(NATIVE, &id);
        note(cx, retraction);
    }
    for (id, payload) in published {
        let publication = cx.publish(NATIVE, &id, payload.into(), &[]);
        note(cx, publication);
    }
}

/// XEP-0402 §5.3.1: writes the list anew, if it would say something else.
fn write_list(cx: &mut Cx<'_>) {
    if cx.state.memory.bookmarks.take_changed() {
        let list = cx.state.memory.bookmarks.list();
        let publication = cx.publish(OLD, CURRENT, list, &[]);
        note(cx, publication);
        remember(cx);
    }
}

/// Publishes a bookmark as the account's own apps do, unless the room has one: to be entered at once, under
/// this nickname. Its payload; empty where there was one.
pub(crate) fn add(cx: &mut Cx<'_>, room: &Jid, name: &str, nick: &str) -> Result<String, Refusal> {
    if cx.state.memory.bookmarks.room(room).is_some() {
        return Ok(String::new());
    }
    let mut payload = format!("<conference xmlns='{NATIVE}'");
    if !name.is_empty() {
        compose::attribute(&mut payload, "name", name);
    }
    payload.push_str(" autojoin='true'><nick>");
    compose::escape(&mut payload, nick);
    payload.push_str("</nick></conference>");
    let item = NewItem {
        id: Some(room.as_str().to_owned()),
        payload: payload.clone(),
    };
    let publication = Publication {
        node: NATIVE,
        items: vec![item],
        options: None,
    };
    pubsub::publish(cx, &Visitor::account(cx), publication, By::Client)?;
    Ok(payload)
}

/// Takes back a bookmark, if it still says what it said.
pub(crate) fn take_back(cx: &mut Cx<'_>, room: &Jid, payload: &str) {
    if cx.state.memory.bookmarks.payload(room.as_str()) != Some(payload) {
        return;
    }
    let removal = Removal {
        node: NATIVE,
        ids: &[room.as_str().to_owned()],
        notify: true,
    };
    let retraction = pubsub::retract(cx, &Visitor::account(cx), &removal, By::Client);
    note(cx, retraction);
}

fn remember(cx: &mut Cx<'_>) {
    let row = OLD_ONLY.put(&cx.id(), &cx.state.memory.bookmarks.old_only());
    cx.write(row);
}

/// It was made sure before that there is room; the next change says it all again.
fn note(cx: &Cx<'_>, done: Result<(), Refusal>) {
    if let Err(refusal) = done {
        warn!(account = %cx.jid(), ?refusal, "bookmarks differ between their places");
    }
}

/// XEP-0411 §4: lists of before anybody converted them are added to the items, which win.
fn bring_together(cx: &mut Cx<'_>) {
    let Some(lists) = cx.state.memory.bookmarks.take_unmerged() else {
        return;
    };
    let Ok(mut whole) = Element::parse(&cx.state.memory.bookmarks.list(), "") else {
        return;
    };
    for list in lists {
        whole.children.extend(list.children);
    }
    let (next, _) = cx.state.memory.bookmarks.after(&whole);
    if admit(cx, &next).is_err() {
        warn!(account = %cx.jid(), "old bookmarks are more than there is room for, and stay where they are");
        return;
    }
    take_over(cx, &whole);
    cx.state.memory.bookmarks.mark_changed();
    write_list(cx);
    // An element that says nothing takes away what was there, which always fits.
    let _ = private::put(cx, &[Element::new(OLD, "storage")]);
}
