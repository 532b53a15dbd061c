//! A stanza on its way through the server, and what is noted about it.

use super::{Class, Entry, Kind, Stanza, entry};
use crate::{Jid, StanzaError, compose, ns, xml::Stack};
use bytes::Bytes;
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// How far an edit reaches (DESIGN §8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// One resource; gone after [`Passing::next_resource`].
    ThisResource,
    /// One account; gone after [`Passing::leave_account`].
    ThisAccount,
    #[default]
    Everybody,
}

/// A stanza on its way, with the addresses it travels under and the edits noted so far.
#[derive(Clone, Debug)]
pub struct Passing {
    pub stanza: Arc<Stanza>,
    /// Stamped by the server (RFC 6120 §8.1.2.1).
    pub from: Jid,
    pub to: Jid,
    /// Position at which an archive keeps this very stanza, and its bytes there; a later archive may point
    /// there. Forgotten with any edit that reaches everybody.
    pub archived: Option<(u64, u32)>,
    /// Position in the archive of the account it is in now: in the sender's own that of the sent copy.
    pub position: Option<u64>,
    /// That archive keeps it until it is delivered, and no longer.
    pub temporary: bool,
    /// Shared by the clones until one of them is edited; most stanzas have none.
    edits: Option<Arc<Edits>>,
}

/// Edits in the order in which they were noted, and what the content is with them.
#[derive(Default)]
struct Edits {
    list: Stack<(Reach, Edit), 2>,
    content: OnceLock<Bytes>,
    /// What stands in the start tag, and for which sender, where it goes to many.
    head: Option<OnceLock<(Jid, Bytes)>>,
}

#[derive(Clone, Default)]
enum Edit {
    #[default]
    None,
    LeaveBehind(usize),
    Add(String),
}

impl Passing {
    pub fn new(stanza: Arc<Stanza>, from: Jid, to: Jid) -> Passing {
        Passing {
            stanza,
            from,
            to,
            archived: None,
            position: None,
            temporary: false,
            edits: None,
        }
    }

    /// The same stanza on its way to somebody else.
    pub fn addressed_to(&self, to: Jid) -> Passing {
        Passing { to, ..self.clone() }
    }

    /// To be sent to many under one sender's address: what is equal in all of them is made once.
    pub fn for_many(&mut self) {
        let mut edits = self.edits.take().unwrap_or_default();
        match Arc::get_mut(&mut edits) {
            Some(own) => own.head = Some(OnceLock::new()),
            None => {
                let own = edits.reaching(Reach::ThisResource);
                edits = Arc::new(Edits {
                    head: Some(OnceLock::new()),
                    ..own
                });
            }
        }
        self.edits = Some(edits);
    }

    /// Notes that a direct child does not go on.
    pub fn leave_behind(&mut self, child: usize, reach: Reach) {
        self.edit(reach, Edit::LeaveBehind(child));
    }

    /// Whether a child was left behind by an edit still in force.
    pub fn is_left_behind(&self, child: usize) -> bool {
        self.edits
            .as_ref()
            .is_some_and(|edits| edits.leave_behind(child))
    }

    /// Notes an element to append, as XML with its namespace.
    pub fn add(&mut self, element: String, reach: Reach) {
        self.edit(reach, Edit::Add(element));
    }

    /// Forgets the edits that were for one account only.
    pub fn leave_account(&mut self) {
        self.position = None;
        self.temporary = false;
        self.keep(Reach::Everybody);
    }

    /// Forgets the edits that were for one resource only.
    pub fn next_resource(&mut self) {
        self.keep(Reach::ThisAccount);
    }

    /// Everything between the tags, in `jabber:client` terms, edits applied. Without edits and foreign
    /// prefixes a slice of the received bytes; otherwise built once and shared until the next edit.
    pub fn content(&self) -> Bytes {
        match &self.edits {
            Some(edits) if edits.list.len() > 0 => edits
                .content
                .get_or_init(|| edits.apply(&self.stanza))
                .clone(),
            _ => self.stanza.content(),
        }
    }

    /// For an outbox: under the address it was sent to.
    pub fn entry(&self) -> Entry {
        self.entry_to(&self.to)
    }

    /// For an outbox: under another address (a room's occupant, a contact's copy).
    pub fn entry_to(&self, to: &Jid) -> Entry {
        Entry {
            kind: self.stanza.kind,
            head: self.head(),
            to: Some(to.clone()),
            content: self.content(),
            position: None,
            class: Class::Urgent,
        }
    }

    /// All attributes but `to`.
    fn head(&self) -> Bytes {
        let new = || Bytes::from(entry::head(&self.stanza, &self.from));
        let Some(known) = self.edits.as_ref().and_then(|edits| edits.head.as_ref()) else {
            return new();
        };
        let (from, head) = known.get_or_init(|| (self.from.clone(), new()));
        if *from == self.from {
            head.clone()
        } else {
            new()
        }
    }

    /// As one XML element that says `xmlns='jabber:client'`: for the archive and for `<forwarded/>`.
    pub fn to_xml(&self) -> String {
        self.xml(self.to.as_str())
    }

    /// The same without saying whom it is for: what a room said to everybody (XEP-0313 §6.1.2).
    pub fn to_xml_for_all(&self) -> String {
        self.xml("")
    }

    fn xml(&self, to: &str) -> String {
        let (name, head, content) = (
            self.stanza.kind.name(),
            entry::head(&self.stanza, &self.from),
            self.content(),
        );
        let mut out = String::with_capacity(head.len() + content.len() + to.len() + 48);
        out.push('<');
        out.push_str(name);
        compose::attribute(&mut out, "xmlns", ns::CLIENT);
        out.push_str(&head);
        if !to.is_empty() {
            compose::attribute(&mut out, "to", to);
        }
        // Content was checked when it was read, or composed by us; this copies only what is not.
        compose::content(&mut out, name, &String::from_utf8_lossy(&content));
        out
    }

    /// The reply that refuses it: `type='error'`, addresses swapped, the same id (RFC 6120 §8.3.1). Callers
    /// never pass an error or a result.
    pub fn refused(&self, error: StanzaError) -> Passing {
        self.refused_with("", error)
    }

    /// The same with something in front of the error, as XML: what of the request was not done, where the
    /// rest was.
    pub fn refused_with(&self, returned: &str, error: StanzaError) -> Passing {
        self.error_reply(&format!("{returned}{}", error.to_xml()))
    }

    /// The same with an application-specific condition that is known only now, as XML with its namespace
    /// (RFC 6120 §8.3.4).
    pub fn refused_because(&self, error: StanzaError, detail: &str) -> Passing {
        self.error_reply(&error.to_xml_because(detail))
    }

    /// The same from an entity that answers in the place of the addressee, and says so (§8.3.2): a room, for
    /// an occupant. `before` is XML that stands before the error.
    pub fn refused_by(&self, by: &Jid, before: &str, error: StanzaError) -> Passing {
        self.error_reply(&format!("{before}{}", error.to_xml_by(by)))
    }

    fn error_reply(&self, content: &str) -> Passing {
        let id = self.stanza.id();
        let attributes = match (&id, self.stanza.kind) {
            (Some(id), _) => vec![("type", "error"), ("id", id)],
            // §8.3.1, rule 3: an IQ's error has an id, "or be empty if the generated stanza did not include
            // one".
            (None, Kind::Iq) => vec![("type", "error"), ("id", "")],
            (None, _) => vec![("type", "error")],
        };
        let reply = Stanza::compose(self.stanza.kind, &attributes, content);
        Passing::new(Arc::new(reply), self.to.clone(), self.from.clone())
    }

    fn edit(&mut self, reach: Reach, edit: Edit) {
        if reach == Reach::Everybody {
            self.archived = None;
        }
        let mut edits = self.edits.take().unwrap_or_default();
        match Arc::get_mut(&mut edits) {
            Some(own) => own.push(reach, edit),
            None => {
                let mut own = edits.reaching(Reach::ThisResource);
                own.push(reach, edit);
                edits = Arc::new(own);
            }
        }
        self.edits = Some(edits);
    }

    /// Forgets edits that reach less far.
    fn keep(&mut self, least: Reach) {
        let Some(edits) = &self.edits else { return };
        if edits.list.iter().any(|(reach, _)| *reach < least) {
            let kept = edits.reaching(least);
            self.edits = (kept.list.len() > 0).then(|| Arc::new(kept));
        }
    }
}

impl Edits {
    fn push(&mut self, reach: Reach, edit: Edit) {
        self.list.push((reach, edit));
        self.content = OnceLock::new();
    }

    /// A copy of the edits that reach so far at least.
    fn reaching(&self, least: Reach) -> Edits {
        let mut kept = Edits::default();
        for (reach, edit) in self.list.iter().filter(|(reach, _)| *reach >= least) {
            kept.list.push((*reach, edit.clone()));
        }
        kept
    }

    fn leave_behind(&self, child: usize) -> bool {
        self.list
            .iter()
            .any(|(_, edit)| matches!(edit, Edit::LeaveBehind(left) if *left == child))
    }

    fn apply(&self, stanza: &Stanza) -> Bytes {
        let added = self.list.iter().filter_map(|(_, edit)| match edit {
            Edit::Add(element) => Some(element.as_str()),
            _ => None,
        });
        // Without a limit: how much the stanza itself can grow was seen when it was read.
        let content = stanza.gather(|child| !self.leave_behind(child), added, usize::MAX);
        content.unwrap_or_default().into()
    }
}

impl fmt::Debug for Edits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} edits", self.list.len())
    }
}
