//! The roster (RFC 6121 §2): contacts of an account, in memory while it is loaded, and how they are stored.
//!
//! State: tables `roster.item` and `roster.version`. A request that waits for an answer lives here too
//! (§3.1.3), without being shown as an item.

mod subscription;

pub(crate) use subscription::{Subscription, Verb};

use crate::limits::{ROSTER_BYTES_MAX, ROSTER_ITEMS_MAX};
use serde::{Deserialize, Serialize};
use store::{Record, Snapshot, Table, Write};
use xmpp::{Jid, compose};

/// By account and the contact's bare JID.
pub(crate) const ITEM: Table<(u32, String), ItemRecord> = Table::per_account("roster.item", 1);
/// By account: the version of the roster as it was last changed.
pub(crate) const VERSION: Table<u32, RosterVersion> = Table::per_account("roster.version", 1);

pub(crate) const NS: &str = "jabber:iq:roster";

/// A version that is never handed out twice (DESIGN §6): which start of the server, and a number within it,
/// for all accounts. A change that the disk refused or a power cut took back cannot share its name with a
/// later one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RosterVersion {
    start: u32,
    number: u64,
}

impl Record for RosterVersion {}

impl RosterVersion {
    /// A number that this start of the server gives once.
    pub(crate) fn new(start: u32, number: u64) -> RosterVersion {
        RosterVersion { start, number }
    }
}

impl std::fmt::Display for RosterVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.start, self.number)
    }
}

/// A stored contact. Fields are in the order of the first release and only ever appended to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ItemRecord {
    listed: bool,
    subscription: Subscription,
    name: String,
    groups: Vec<String>,
    request: Option<Vec<u8>>,
}

impl Record for ItemRecord {}

impl ItemRecord {
    pub(crate) fn subscription(&self) -> Subscription {
        self.subscription
    }
}

/// What a contact said to an account that cannot be loaded, as the write that keeps it; `None` where it
/// changes nothing.
pub(crate) fn told(
    snapshot: &Snapshot,
    account: u32,
    contact: &Jid,
    verbs: &[Verb],
) -> Result<Option<Write>, store::Error> {
    let key = (account, contact.as_str().to_owned());
    let Some(record) = ITEM.get(snapshot, &key)? else {
        return Ok(None);
    };
    let mut item = Item::from(record);
    let before = item.subscription;
    for verb in verbs {
        item.subscription = item.subscription.inbound(*verb).state;
    }
    if !item.subscription.pending_in {
        item = item.with_request(None);
    }
    Ok((item.subscription != before).then(|| item.write(account, contact)))
}

/// A contact, or somebody who asked to become one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Item {
    /// Whether clients see it: a request alone makes no roster item (§3.1.3, security warning).
    pub(crate) listed: bool,
    pub(crate) subscription: Subscription,
    pub(crate) name: Box<str>,
    /// Apart, because most contacts have nothing of it and are as many as they are.
    rare: Option<Box<Rare>>,
}

#[derive(Clone, Debug, Default)]
struct Rare {
    groups: Box<[Box<str>]>,
    request: Option<Box<[u8]>>,
}

#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// In the order of the contacts; as large as it must be, for most of it is read and little of it changes.
    items: Vec<(Jid, Item)>,
    pub(crate) version: RosterVersion,
    listed: usize,
    /// Of listed items.
    bytes: usize,
}

impl Roster {
    /// Reads an account's roster.
    ///
    /// The same contacts stand in many rosters of a household: `share` gives the one address that all use.
    pub(crate) fn load(
        snapshot: &Snapshot,
        account: u32,
        share: impl Fn(Jid) -> Jid,
    ) -> Result<Roster, store::Error> {
        let mut roster = Roster {
            version: VERSION.get(snapshot, &account)?.unwrap_or_default(),
            ..Roster::default()
        };
        for row in ITEM.prefix(snapshot, &account)? {
            let ((_, jid), record) = row?;
            if let Ok(jid) = Jid::parse(&jid) {
                roster.items.push((share(jid), record.into()));
            }
        }
        roster.items.sort_by(|(a, _), (b, _)| a.cmp(b));
        roster.items.shrink_to_fit();
        let listed = || roster.items.iter().filter(|(_, item)| item.listed);
        (roster.listed, roster.bytes) = (
            listed().count(),
            listed().map(|(jid, item)| item.bytes(jid)).sum(),
        );
        Ok(roster)
    }

    /// The contact under this bare JID, listed or not.
    pub(crate) fn get(&self, contact: &Jid) -> Option<&Item> {
        self.place(contact).ok().map(|at| &self.items[at].1)
    }

    /// Where a contact is, or would be.
    fn place(&self, contact: &Jid) -> Result<usize, usize> {
        self.items.binary_search_by(|(jid, _)| jid.cmp(contact))
    }

    /// Its subscription; "none" where it is unknown.
    pub(crate) fn subscription(&self, contact: &Jid) -> Subscription {
        self.get(contact)
            .map(|item| item.subscription)
            .unwrap_or_default()
    }

    /// Puts or replaces an item.
    pub(crate) fn put(&mut self, contact: &Jid, item: Item) {
        self.count(contact, &item);
        match self.place(contact) {
            Ok(at) => {
                let old = std::mem::replace(&mut self.items[at].1, item);
                self.discount(contact, &old);
            }
            Err(at) => {
                self.items.reserve_exact(1);
                self.items.insert(at, (contact.clone(), item));
            }
        }
    }

    pub(crate) fn remove(&mut self, contact: &Jid) {
        if let Ok(at) = self.place(contact) {
            let (_, old) = self.items.remove(at);
            self.discount(contact, &old);
        }
    }

    fn count(&mut self, contact: &Jid, item: &Item) {
        if item.listed {
            self.listed += 1;
            self.bytes += item.bytes(contact);
        }
    }

    fn discount(&mut self, contact: &Jid, item: &Item) {
        if item.listed {
            self.listed -= 1;
            self.bytes -= item.bytes(contact);
        }
    }

    /// Whether this listed item fits, perhaps in the place of an older one.
    pub(crate) fn has_room(&self, contact: &Jid, item: &Item) -> bool {
        let old = self.get(contact).filter(|old| old.listed);
        let bytes = self.bytes - old.map_or(0, |old| old.bytes(contact));
        let listed = self.listed - usize::from(old.is_some());
        listed < ROSTER_ITEMS_MAX && bytes + item.bytes(contact) <= ROSTER_BYTES_MAX
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Jid, &Item)> {
        self.items.iter().map(|(jid, item)| (jid, item))
    }

    /// Requests that wait for an answer.
    pub(crate) fn requests(&self) -> usize {
        self.iter()
            .filter(|(_, item)| item.subscription.pending_in)
            .count()
    }

    /// Moves on to a version that was never handed out: a number that this start of the server gives once.
    pub(crate) fn next_version(&mut self, start: u32, number: u64) -> RosterVersion {
        self.version = RosterVersion::new(start, number);
        self.version
    }
}

impl Item {
    pub(crate) fn groups(&self) -> &[Box<str>] {
        self.rare.as_ref().map_or(&[], |rare| &rare.groups)
    }

    /// The request that waits for an answer, as the whole stanza.
    pub(crate) fn request(&self) -> Option<&[u8]> {
        self.rare.as_ref()?.request.as_deref()
    }

    pub(crate) fn with_groups(self, groups: Box<[Box<str>]>) -> Item {
        self.with_rare(|rare| rare.groups = groups)
    }

    pub(crate) fn with_request(self, request: Option<Box<[u8]>>) -> Item {
        self.with_rare(|rare| rare.request = request)
    }

    fn with_rare(mut self, change: impl FnOnce(&mut Rare)) -> Item {
        let mut rare = self.rare.take().unwrap_or_default();
        change(&mut rare);
        let is_there = rare.request.is_some() || !rare.groups.is_empty();
        self.rare = is_there.then_some(rare);
        self
    }

    /// `<item/>` of a roster result or push (§2.1.2).
    pub(crate) fn to_xml(&self, contact: &Jid) -> String {
        let mut xml = String::from("<item");
        compose::attribute(&mut xml, "jid", contact.as_str());
        if !self.name.is_empty() {
            compose::attribute(&mut xml, "name", &self.name);
        }
        compose::attribute(&mut xml, "subscription", self.subscription.name());
        if self.subscription.ask {
            xml.push_str(" ask='subscribe'");
        }
        if self.subscription.approved {
            xml.push_str(" approved='true'");
        }
        if self.groups().is_empty() {
            xml.push_str("/>");
            return xml;
        }
        xml.push('>');
        for group in self.groups() {
            xml.push_str("<group>");
            compose::escape(&mut xml, group);
            xml.push_str("</group>");
        }
        xml.push_str("</item>");
        xml
    }

    /// What it counts for in its roster: its texts, and the tags around them.
    fn bytes(&self, contact: &Jid) -> usize {
        let groups: usize = self.groups().iter().map(|group| group.len() + 16).sum();
        contact.as_str().len() + self.name.len() + groups + 80
    }

    /// Whether nothing is left that must be remembered.
    pub(crate) fn is_forgettable(&self) -> bool {
        !self.listed && !self.subscription.pending_in
    }

    /// The write that stores it.
    pub(crate) fn write(&self, account: u32, contact: &Jid) -> Write {
        let key = (account, contact.as_str().to_owned());
        if self.is_forgettable() {
            return ITEM.remove(&key);
        }
        ITEM.put(
            &key,
            &ItemRecord {
                listed: self.listed,
                subscription: self.subscription,
                name: self.name.to_string(),
                groups: self.groups().iter().map(ToString::to_string).collect(),
                request: self.request().map(<[u8]>::to_vec),
            },
        )
    }
}

impl From<ItemRecord> for Item {
    fn from(record: ItemRecord) -> Item {
        Item {
            listed: record.listed,
            subscription: record.subscription,
            name: record.name.into(),
            rare: None,
        }
        .with_groups(record.groups.into_iter().map(Into::into).collect())
        .with_request(record.request.map(Vec::into_boxed_slice))
    }
}
