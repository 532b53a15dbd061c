//! Bookmarks as items and as a list, and what becomes of one when a client writes the other. Nothing here
//! writes or tells anything.

use super::{NATIVE, OLD, OLD_ONLY};
use crate::{
    features::private,
    limits::{BOOKMARKS_BYTES_MAX, BOOKMARKS_MAX, PUBSUB_ID_BYTES_MAX},
    pubsub::{Nodes, SERVICE, stored_items},
};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use store::{Record, Snapshot};
use xmpp::{Element, Jid, compose, element::Node};

/// All bookmarks of an account.
#[derive(Clone, Default)]
pub(crate) struct Bookmarks {
    /// In the order of publication.
    rooms: Vec<Room>,
    /// What else is in lists, as XML inside one.
    others: Box<str>,
    /// The list that was written last says something else.
    changed: bool,
    /// Lists from before the places were brought together.
    unmerged: Option<Box<[Element]>>,
}

#[derive(Clone)]
struct Room {
    /// As whoever published it wrote it.
    id: Box<str>,
    /// `<conference/>` of XEP-0402 §2.
    payload: Box<str>,
    /// Children that it has in lists alone, as XML inside one.
    old_only: Box<str>,
}

/// What lists say and items cannot. Fields are in the order of the first release and only ever appended to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OldOnly {
    others: String,
    /// By the room's id.
    rooms: Vec<(String, String)>,
}

impl Record for OldOnly {}

/// What makes the items say what a list says.
#[derive(Default)]
pub(super) struct Changes {
    /// Id and payload.
    pub(super) published: Vec<(Box<str>, Box<str>)>,
    pub(super) retracted: Vec<Box<str>>,
}

/// What both forms can say. Empty is unsaid.
#[derive(PartialEq)]
struct Said {
    name: String,
    nick: String,
    password: String,
    autojoin: bool,
}

impl Said {
    /// Of either form: they differ in the namespace.
    fn read(conference: &Element) -> Said {
        let text = |name| conference.child(&conference.ns, name).map(Element::text);
        Said {
            name: conference.attr("name").unwrap_or_default().to_owned(),
            nick: text("nick").unwrap_or_default(),
            password: text("password").unwrap_or_default(),
            // XEP-0402 §2: both lexical forms.
            autojoin: matches!(conference.attr("autojoin"), Some("1" | "true")),
        }
    }

    /// The item of XEP-0402 that says this, and whatever else the known one says.
    fn item(&self, known: Option<Element>) -> String {
        let mut item = known.unwrap_or_else(|| Element::new(NATIVE, "conference"));
        item.attributes
            .retain(|(name, _)| name != "name" && name != "autojoin");
        let said = |node: &Node| match node {
            Node::Element(child) => child.is(NATIVE, "nick") || child.is(NATIVE, "password"),
            Node::Text(_) => false,
        };
        item.children.retain(|node| !said(node));
        let mut children = Vec::new();
        for (name, text) in [("nick", &self.nick), ("password", &self.password)] {
            if !text.is_empty() {
                let mut child = Element::new(NATIVE, name);
                child.children.push(Node::Text(text.clone()));
                children.push(Node::Element(child));
            }
        }
        item.children.splice(..0, children);
        if !self.name.is_empty() {
            item.attributes.push(("name".into(), self.name.clone()));
        }
        if self.autojoin {
            item.attributes.push(("autojoin".into(), "true".into()));
        }
        let mut xml = String::new();
        item.write(&mut xml, "");
        xml
    }

    /// The same in a list.
    fn write(&self, out: &mut String, id: &str, old_only: &str) {
        out.push_str("<conference");
        compose::attribute(out, "jid", id);
        if !self.name.is_empty() {
            compose::attribute(out, "name", &self.name);
        }
        if self.autojoin {
            out.push_str(" autojoin='true'");
        }
        out.push('>');
        for (name, text) in [("nick", &self.nick), ("password", &self.password)] {
            if !text.is_empty() {
                out.push_str(&format!("<{name}>{}</{name}>", compose::escaped(text)));
            }
        }
        out.push_str(old_only);
        out.push_str("</conference>");
    }
}

/// The address of a room, if an item can have it as id.
pub(super) fn room_address(id: &str) -> Option<Jid> {
    let address = Jid::parse(id).ok().filter(Jid::is_bare)?;
    (id.len() <= PUBSUB_ID_BYTES_MAX && address.as_str().len() <= PUBSUB_ID_BYTES_MAX)
        .then_some(address)
}

/// Whether an id is its address letter for letter, as almost all are: then nothing needs to be parsed to tell
/// it from another one.
fn is_spelled_plainly(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
    id.bytes().all(is_plain) && !id.contains("xn--") && !id.ends_with('.')
}

/// Whether one of these rooms has the address that an id spells.
fn is_among(rooms: &[Room], id: &str) -> bool {
    let mut addresses = rooms.iter().map(|room| room_address(&room.id));
    let address = room_address(id);
    address.is_some() && addresses.any(|other| other == address)
}

/// Whether XML is a bookmark of XEP-0402.
pub(super) fn is_conference(payload: &str) -> bool {
    conference(payload).is_some()
}

fn conference(payload: &str) -> Option<Element> {
    let element = Element::parse(payload, "").ok()?;
    element.is(NATIVE, "conference").then_some(element)
}

/// Whether this is a list of XEP-0048.
pub(super) fn is_list(element: &Element) -> bool {
    element.is(OLD, "storage")
}

/// A list taken apart.
struct Written<'a> {
    /// In its order, each once.
    rooms: Vec<(Jid, &'a Element)>,
    others: String,
}

impl<'a> Written<'a> {
    fn read(list: &'a Element) -> Written<'a> {
        let (mut rooms, mut known) = (Vec::new(), HashSet::new());
        let mut others = String::new();
        for child in list.elements() {
            let address = child.attr("jid").and_then(room_address);
            match address.filter(|_| child.is(OLD, "conference")) {
                Some(address) => {
                    if known.insert(address.as_str().to_owned()) {
                        rooms.push((address, child));
                    }
                }
                None => child.write(&mut others, OLD),
            }
        }
        Written { rooms, others }
    }
}

/// What a room has in a list that an item cannot say.
fn old_only(conference: &Element) -> String {
    let mut xml = String::new();
    let said = |child: &Element| child.is(OLD, "nick") || child.is(OLD, "password");
    for child in conference.elements().filter(|child| !said(child)) {
        child.write(&mut xml, OLD);
    }
    xml
}

impl Bookmarks {
    pub(crate) fn load(
        snapshot: &Snapshot,
        account: u32,
        nodes: &Nodes,
    ) -> Result<Bookmarks, store::Error> {
        let mut bookmarks = Bookmarks::default();
        if account == SERVICE {
            return Ok(bookmarks); // its nodes are nobody's, whatever their names
        }
        for item in stored_items(nodes, snapshot, account, NATIVE)? {
            if room_address(&item.id).is_some() && is_conference(&item.payload) {
                bookmarks.put(&item.id, &item.payload);
            }
        }
        match OLD_ONLY.get(snapshot, &account)? {
            Some(old) => bookmarks.add_old_only(old),
            None => bookmarks.find_old(snapshot, account, nodes)?,
        }
        bookmarks.changed = false;
        Ok(bookmarks)
    }

    fn add_old_only(&mut self, old: OldOnly) {
        let mut rooms: HashMap<String, String> = old.rooms.into_iter().collect();
        for room in &mut self.rooms {
            room.old_only = rooms.remove(&*room.id).unwrap_or_default().into();
        }
        self.others = old.others.into();
    }

    /// Lists of an account that were never converted.
    fn find_old(
        &mut self,
        snapshot: &Snapshot,
        account: u32,
        nodes: &Nodes,
    ) -> Result<(), store::Error> {
        let node = stored_items(nodes, snapshot, account, OLD)?;
        let mut found: Vec<String> = node.into_iter().rev().map(|item| item.payload).collect();
        found.extend(private::element(snapshot, account, (OLD, "storage"))?);
        let lists = found.iter().filter_map(|xml| Element::parse(xml, "").ok());
        let lists: Box<[Element]> = lists.filter(is_list).collect();
        if !lists.is_empty() || !self.rooms.is_empty() {
            self.unmerged = Some(lists);
        }
        Ok(())
    }

    /// What is to be brought together with the items, if that was never done.
    pub(super) fn take_unmerged(&mut self) -> Option<Box<[Element]>> {
        self.unmerged.take()
    }

    /// What its row says.
    pub(super) fn old_only(&self) -> OldOnly {
        let rooms = self.rooms.iter().filter(|room| !room.old_only.is_empty());
        OldOnly {
            others: self.others.to_string(),
            rooms: rooms
                .map(|room| (room.id.to_string(), room.old_only.to_string()))
                .collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rooms.is_empty() && self.others.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Bytes of all of it: no list is longer by more than the tags of its rooms.
    pub(super) fn bytes(&self) -> usize {
        let rooms = self.rooms.iter();
        let bytes = rooms.map(|room| room.id.len() + room.payload.len() + room.old_only.len());
        bytes.sum::<usize>() + self.others.len()
    }

    /// Whether there may be so many.
    pub(super) fn fits(&self) -> bool {
        self.len() <= BOOKMARKS_MAX && self.bytes() <= BOOKMARKS_BYTES_MAX
    }

    pub(super) fn mark_changed(&mut self) {
        self.changed = true;
    }

    /// Whether a list has to be written.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// An item was published.
    pub(super) fn put(&mut self, id: &str, payload: &str) {
        let at = self.rooms.iter().position(|room| *room.id == *id);
        let known = at.map(|at| self.rooms.remove(at));
        self.changed |= known.as_ref().is_none_or(|room| *room.payload != *payload)
            // The same once more counts where the room was published since with another spelling.
            || at.is_some_and(|at| is_among(&self.rooms[at..], id));
        self.rooms.push(Room {
            id: id.into(),
            payload: payload.into(),
            old_only: known.map(|room| room.old_only).unwrap_or_default(),
        });
    }

    /// An item was retracted.
    pub(super) fn remove(&mut self, id: &str) {
        let before = self.rooms.len();
        self.rooms.retain(|room| *room.id != *id);
        self.changed |= self.rooms.len() != before;
    }

    /// All items are gone.
    pub(super) fn remove_rooms(&mut self) {
        self.changed |= !self.rooms.is_empty();
        self.rooms = Vec::new();
    }

    /// What the item of this id says.
    pub(super) fn payload(&self, id: &str) -> Option<&str> {
        let room = self.rooms.iter().find(|room| *room.id == *id)?;
        Some(&room.payload)
    }

    /// The bookmark of a room, as XEP-0402 §2 has it.
    pub(crate) fn room(&self, address: &Jid) -> Option<Element> {
        let mut newest = self.rooms.iter().rev();
        let room = newest.find(|room| {
            *room.id == *address.as_str()
                || !is_spelled_plainly(&room.id) && room_address(&room.id).as_ref() == Some(address)
        })?;
        conference(&room.payload)
    }

    /// The newest item for each address: ids may spell one in several ways.
    fn shown(&self) -> HashMap<String, usize> {
        let rooms = self.rooms.iter().enumerate();
        rooms
            .filter_map(|(at, room)| Some((room_address(&room.id)?.as_str().to_owned(), at)))
            .collect()
    }

    /// The list of XEP-0048.
    pub(super) fn list(&self) -> String {
        let shown: HashSet<usize> = self.shown().into_values().collect();
        let mut list = format!("<storage xmlns='{OLD}'>");
        for (at, room) in self.rooms.iter().enumerate() {
            if let Some(conference) = conference(&room.payload).filter(|_| shown.contains(&at)) {
                Said::read(&conference).write(&mut list, &room.id, &room.old_only);
            }
        }
        list.push_str(&self.others);
        list + "</storage>"
    }

    /// XEP-0402 §5.3.2: how it all is once a client wrote this list, and what changes to get there.
    pub(super) fn after(&self, list: &Element) -> (Bookmarks, Changes) {
        let written = Written::read(list);
        let shown = self.shown();
        let wanted: HashMap<&str, &Element> = written
            .rooms
            .iter()
            .map(|(address, conference)| (address.as_str(), *conference))
            .collect();
        let (mut next, mut changes) = (Bookmarks::default(), Changes::default());
        for (at, room) in self.rooms.iter().enumerate() {
            let address = room_address(&room.id);
            let address = address.as_ref().map_or("", Jid::as_str);
            let Some(conference) = wanted.get(address) else {
                changes.retracted.push(room.id.clone());
                continue;
            };
            if shown.get(address) != Some(&at) {
                next.rooms.push(room.clone());
            } else if let Some(payload) = room.said(conference) {
                changes.published.push((room.id.clone(), payload.into()));
            } else {
                let old_only = old_only(conference).into();
                let room = room.clone();
                next.rooms.push(Room { old_only, ..room });
            }
        }
        for (address, conference) in &written.rooms {
            if !shown.contains_key(address.as_str()) {
                let payload = Said::read(conference).item(None);
                let id = address.as_str().into();
                changes.published.push((id, payload.into()));
            }
        }
        for (id, payload) in &changes.published {
            let address = room_address(id);
            let conference = address.and_then(|address| wanted.get(address.as_str()).copied());
            next.rooms.push(Room {
                id: id.clone(),
                payload: payload.clone(),
                old_only: conference.map(old_only).unwrap_or_default().into(),
            });
        }
        next.others = written.others.into();
        (next, changes)
    }
}

impl Room {
    /// Its item after a list said this of it, if that is another one.
    fn said(&self, in_list: &Element) -> Option<String> {
        let known = conference(&self.payload)?;
        let said = Said::read(in_list);
        (said != Said::read(&known)).then(|| said.item(Some(known)))
    }
}
