//! What clients ask for: the nodes whose events they want (`+notify`, XEP-0060 §9.2), told in their
//! capabilities (XEP-0115), as is what kind of client they are.
//!
//! State: the kinds of clients that were asked and whose answers fit their verification strings, for all
//! accounts, in memory and in table `capabilities.known`; for each resource what it announced; for each
//! account the resources of contacts on other servers that are there.

mod neighbours;
mod verification;

pub(crate) use neighbours::Neighbours;
pub(crate) use verification::verification;

use crate::limits::{
    CAPABILITIES_BYTES_MAX, CAPABILITIES_KIND_BYTES_MAX, CAPABILITIES_MAX, CAPABILITIES_NODES_MAX,
    CAPABILITIES_VER_BYTES_MAX, PUBSUB_ID_BYTES_MAX,
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::{Record, Store, Table, Urgency, Value};
use xmpp::{Element, Passing};

/// By the verification string, behind its method.
const KNOWN: Table<String, KnownRecord> = Table::new("capabilities.known", 2);

/// Namespace of capabilities in presence.
pub(crate) const NS: &str = "http://jabber.org/protocol/caps";
/// Namespace of the question that brings an answer (XEP-0030 §3).
pub(crate) const INFO: &str = "http://jabber.org/protocol/disco#info";

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct KnownRecord {
    nodes: Vec<String>,
    /// Since version 2.
    kind: String,
}

impl Record for KnownRecord {
    fn upgrade(version: u8, bytes: &[u8]) -> Option<KnownRecord> {
        // An empty text behind it: of those that are known already nobody asked.
        (version == 1).then_some(())?;
        KnownRecord::decode(&[bytes, &[0]].concat())
    }
}

/// What a kind of client is, and what it asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// Names of nodes, sorted.
    nodes: Box<[Box<str>]>,
    /// Its identity (XEP-0030 §3.1) as `category/type`; empty where that is unknown.
    kind: Box<str>,
}

impl Capabilities {
    /// Of an answer to disco#info.
    pub(crate) fn read(query: &Element) -> Capabilities {
        let features = query.elements().filter(|child| child.is(INFO, "feature"));
        let nodes = features.filter_map(|feature| feature.attr("var")?.strip_suffix("+notify"));
        let nodes = nodes.filter(|node| node.len() <= PUBSUB_ID_BYTES_MAX);
        Capabilities::of(nodes, &kind(query))
    }

    fn of<'a>(nodes: impl Iterator<Item = &'a str>, kind: &str) -> Capabilities {
        let mut nodes: Vec<Box<str>> = nodes.take(CAPABILITIES_NODES_MAX).map(Into::into).collect();
        nodes.sort_unstable();
        nodes.dedup();
        Capabilities {
            nodes: nodes.into(),
            kind: kind.into(),
        }
    }

    pub(crate) fn wants(&self, node: &str) -> bool {
        self.nodes
            .binary_search_by(|known| (**known).cmp(node))
            .is_ok()
    }

    pub(crate) fn wants_nothing(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The kind in front of the names, for a session that waits over a restart.
    fn to_bytes(&self) -> Vec<u8> {
        format!("{}\n{}", self.kind, self.nodes.join("\0")).into_bytes()
    }

    /// Reads them again.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Capabilities {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let (kind, nodes) = text.split_once('\n').unwrap_or(("", text));
        Capabilities::of(nodes.split('\0').filter(|node| !node.is_empty()), kind)
    }

    fn bytes(&self) -> usize {
        let nodes = self.nodes.iter().map(|node| node.len() + 16);
        nodes.sum::<usize>() + self.kind.len()
    }
}

/// What an answer to disco#info says that its client is: the first of its identities as a client, or else the
/// first one.
fn kind(query: &Element) -> String {
    let identities = || query.elements().filter(|child| child.is(INFO, "identity"));
    let mut clients = identities().filter(|it| it.attr("category") == Some("client"));
    let identity = clients.next().or_else(|| identities().next());
    let part = |name| identity.and_then(|it| it.attr(name)).unwrap_or_default();
    let kind = format!("{}/{}", part("category"), part("type"));
    // Registered names are words; what is none is no kind that anybody has settings for.
    let is_plain =
        kind.len() <= CAPABILITIES_KIND_BYTES_MAX && kind.chars().all(|c| c.is_ascii_graphic());
    if is_plain && identity.is_some() {
        kind
    } else {
        String::new()
    }
}

/// `<c/>` in a presence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Method and verification string, under which everybody shares an answer that was checked.
    pub(crate) key: Box<str>,
    /// Whom to ask about.
    pub(crate) node: String,
}

impl Claim {
    /// `None` where a presence claims nothing that can be asked for (§5.4, 1).
    pub(crate) fn read(presence: &Passing) -> Option<Claim> {
        let c = presence.stanza.child(NS, "c")?;
        let (hash, ver, node) = (c.attr("hash")?, c.attr("ver")?, c.attr("node")?);
        // A name of a hash, and base 64.
        let is_plain =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let fits = hash.len() + ver.len() <= CAPABILITIES_VER_BYTES_MAX
            && node.len() <= PUBSUB_ID_BYTES_MAX;
        (is_plain(&hash) && is_plain(&ver) && fits).then(|| Claim {
            key: format!("{hash} {ver}").into(),
            node: format!("{node}#{ver}"),
        })
    }

    /// Whether an answer is what was claimed (§5.4, 3). By a method other than SHA-1 none is: what such a
    /// client says counts for itself alone (§5.4, 2).
    pub(crate) fn is_met_by(&self, query: &Element) -> bool {
        let ver = self.key.strip_prefix("sha-1 ");
        verification(query).is_some_and(|computed| Some(&*computed) == ver)
    }
}

/// What a resource announced, and how far it is understood.
#[derive(Default)]
pub(crate) struct Announced(Option<Box<State>>);

struct State {
    /// Of the last claim.
    key: Box<str>,
    /// The id of the question that waits.
    asked: Option<u64>,
    known: Option<Arc<Capabilities>>,
    /// The last items were sent: that happens once while it is available.
    greeted: bool,
}

impl Announced {
    /// Takes over a claim; whether it is another one than before.
    pub(crate) fn claim(&mut self, key: &str) -> bool {
        match &mut self.0 {
            Some(state) if *state.key == *key => false,
            Some(state) => {
                (state.key, state.asked) = (key.into(), None);
                true
            }
            None => {
                self.0 = Some(Box::new(State {
                    key: key.into(),
                    asked: None,
                    known: None,
                    greeted: false,
                }));
                true
            }
        }
    }

    pub(crate) fn asked(&mut self, id: u64) {
        if let Some(state) = &mut self.0 {
            state.asked = Some(id);
        }
    }

    pub(crate) fn is_answer(&self, id: &str) -> bool {
        let asked = self.0.as_ref().and_then(|state| state.asked);
        asked.is_some_and(|asked| question_id(asked) == id)
    }

    /// The key that was claimed last.
    pub(crate) fn key(&self) -> Option<&str> {
        self.0.as_ref().map(|state| &*state.key)
    }

    pub(crate) fn know(&mut self, capabilities: Arc<Capabilities>) {
        if let Some(state) = &mut self.0 {
            (state.known, state.asked) = (Some(capabilities), None);
        }
    }

    /// What it asks for, the first time that this is known while it is available.
    pub(crate) fn greet(&mut self) -> Option<Arc<Capabilities>> {
        let state = self.0.as_mut()?;
        let known = state.known.clone()?;
        let first = !std::mem::replace(&mut state.greeted, true);
        (first && !known.wants_nothing()).then_some(known)
    }

    /// It is not available any more.
    pub(crate) fn part(&mut self) {
        if let Some(state) = &mut self.0 {
            state.greeted = false;
        }
    }

    /// What it asks for, where that is known and anything.
    pub(crate) fn known(&self) -> Option<Arc<Capabilities>> {
        let known = self.0.as_ref()?.known.clone()?;
        (!known.wants_nothing()).then_some(known)
    }

    /// What kind of client it is, as `category/type`, where that is known.
    pub(crate) fn kind(&self) -> Option<&str> {
        let known = self.0.as_ref()?.known.as_ref()?;
        (!known.kind.is_empty()).then_some(&*known.kind)
    }

    pub(crate) fn wants(&self, node: &str) -> bool {
        let known = self.0.as_ref().and_then(|state| state.known.as_ref());
        known.is_some_and(|known| known.wants(node))
    }

    /// For a session that waits over a restart.
    pub(crate) fn save(&self) -> Option<Vec<u8>> {
        let state = self.0.as_ref()?;
        let mut bytes = state.key.as_bytes().to_vec();
        bytes.push(b'\n');
        bytes.extend(state.known.as_ref()?.to_bytes());
        Some(bytes)
    }

    pub(crate) fn restore(bytes: &[u8]) -> Announced {
        let at = bytes.iter().position(|byte| *byte == b'\n');
        let (key, known) = bytes.split_at(at.unwrap_or(bytes.len()));
        Announced(Some(Box::new(State {
            key: String::from_utf8_lossy(key).into(),
            asked: None,
            known: Some(Arc::new(Capabilities::from_bytes(
                known.get(1..).unwrap_or_default(),
            ))),
            greeted: true,
        })))
    }
}

/// The id of the question with this number.
pub(crate) fn question_id(number: u64) -> String {
    format!("caps{number}")
}

/// What is known of kinds of clients, oldest first in the queue.
#[derive(Default)]
pub(crate) struct Known(Mutex<Kinds>);

#[derive(Default)]
struct Kinds {
    by_key: HashMap<Box<str>, Arc<Capabilities>>,
    order: VecDeque<Box<str>>,
    bytes: usize,
}

impl Known {
    pub(crate) fn load(store: &Store) -> Result<Known, store::Error> {
        let mut kinds = Kinds::default();
        for row in KNOWN.prefix(&store.snapshot()?, &())? {
            let (key, record) = row?;
            let nodes = record.nodes.iter().map(String::as_str);
            kinds.insert(key.into(), Arc::new(Capabilities::of(nodes, &record.kind)));
        }
        Ok(Known(Mutex::new(kinds)))
    }

    fn lock(&self) -> MutexGuard<'_, Kinds> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: &str) -> Option<Arc<Capabilities>> {
        self.lock().by_key.get(key).cloned()
    }

    /// Remembers an answer that was checked; the oldest make room.
    pub(crate) fn put(&self, store: &Store, key: &str, capabilities: Arc<Capabilities>) {
        let record = KnownRecord {
            nodes: capabilities.nodes.iter().map(ToString::to_string).collect(),
            kind: capabilities.kind.to_string(),
        };
        let mut writes = vec![KNOWN.put(&key.to_owned(), &record)];
        let gone = self.lock().insert(key.into(), capabilities);
        writes.extend(gone.into_iter().map(|key| KNOWN.remove(&key.into())));
        store.queue(writes, Urgency::Soon);
    }
}

impl Kinds {
    /// Gives the keys of those that had to go.
    fn insert(&mut self, key: Box<str>, capabilities: Arc<Capabilities>) -> Vec<Box<str>> {
        self.bytes += key.len() + capabilities.bytes();
        match self.by_key.insert(key.clone(), capabilities) {
            Some(old) => self.bytes -= key.len() + old.bytes(),
            None => self.order.push_back(key),
        }
        let mut gone = Vec::new();
        while self.order.len() > CAPABILITIES_MAX || self.bytes > CAPABILITIES_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            if let Some(old) = self.by_key.remove(&oldest) {
                self.bytes -= oldest.len() + old.bytes();
            }
            gone.push(oldest);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(nodes: &[&str]) -> Arc<Capabilities> {
        Arc::new(Capabilities::of(nodes.iter().copied(), ""))
    }

    #[test]
    fn what_a_client_asks_for_is_read() {
        let query = format!(
            "<query xmlns='{INFO}'><feature var='b+notify'/><feature var='a'/>\
             <feature var='a+notify'/><feature/><feature var='b+notify'/></query>"
        );
        let read = Capabilities::read(&Element::parse(&query, "").unwrap());
        assert_eq!(read, Capabilities::of(["a", "b"].into_iter(), ""));
        assert!(read.wants("a") && !read.wants("c") && !read.wants("a+notify"));
        assert_eq!(Capabilities::from_bytes(&read.to_bytes()), read);
        assert_eq!(Capabilities::from_bytes(b""), Capabilities::default());
    }

    #[test]
    fn what_kind_of_client_it_is_is_read() {
        let bot = "<identity category='automation' type='bot'/>";
        let phone = "<identity category='client' type='phone' name='P'/>";
        for (identities, expected) in [
            ("", ""),
            (phone, "client/phone"),
            (&format!("{bot}{phone}"), "client/phone"),
            (bot, "automation/bot"),
            ("<identity category='client'/>", "client/"),
            ("<identity category='client' type='a&#10;b'/>", ""),
            (
                &format!("<identity category='client' type='{}'/>", "x".repeat(99)),
                "",
            ),
        ] {
            let query = format!("<query xmlns='{INFO}'>{identities}</query>");
            let read = Capabilities::read(&Element::parse(&query, "").unwrap());
            assert_eq!(&*read.kind, expected, "{identities}");
            assert_eq!(Capabilities::from_bytes(&read.to_bytes()), read);
        }
    }

    #[test]
    fn kinds_of_the_first_version_are_read() {
        let old = [1, 1, b'a']; // one node
        let record = <KnownRecord as Record>::upgrade(1, &old).unwrap();
        assert_eq!(
            (&record.nodes[..], &*record.kind),
            (&["a".to_owned()][..], "")
        );
        assert!(<KnownRecord as Record>::upgrade(0, &old).is_none());
    }

    #[test]
    fn what_cannot_be_checked_is_asked_and_never_shared() {
        let claim = |c: &str| {
            let xml = format!("<presence xmlns='jabber:client'><c xmlns='{NS}' {c}/></presence>");
            let stanza = Arc::new(xmpp::Stanza::parse(&xml).unwrap());
            let jid = xmpp::Jid::parse("j@h/x").unwrap();
            Claim::read(&Passing::new(stanza, jid.clone(), jid))
        };
        let query = format!("<query xmlns='{INFO}'><feature var='a'/></query>");
        let query = Element::parse(&query, "").unwrap();
        let ver = verification(&query).unwrap();
        let long = "x".repeat(CAPABILITIES_VER_BYTES_MAX);
        for (c, is_met) in [
            (format!("hash='sha-1' node='n' ver='{ver}'"), Some(true)),
            (format!("hash='sha-256' node='n' ver='{ver}'"), Some(false)),
            ("hash='sha-1' node='n' ver='x'".to_owned(), Some(false)),
            (format!("hash='sha-1' node='n' ver='{long}'"), None),
            ("hash='' node='n' ver='x'".to_owned(), None),
            ("node='n' ver='0.9'".to_owned(), None),
            (format!("hash='sha-1' ver='{ver}'"), None),
            ("hash='sha-1' node='n' ver=''".to_owned(), None),
            ("hash='sha-1' node='n' ver='YQ==&#10;tune'".to_owned(), None),
        ] {
            assert_eq!(
                claim(&c).map(|claim| claim.is_met_by(&query)),
                is_met,
                "{c}"
            );
        }
    }

    #[test]
    fn a_resource_is_greeted_once_while_it_is_there() {
        let mut announced = Announced::default();
        assert!(announced.greet().is_none() && !announced.wants("a"));
        assert!(announced.claim("k") && !announced.claim("k"));
        announced.asked(7);
        assert!(announced.is_answer("caps7") && !announced.is_answer("caps8"));
        announced.know(capabilities(&["a"]));
        assert!(announced.wants("a") && !announced.is_answer("caps7"));
        assert!(announced.greet().is_some() && announced.greet().is_none());
        announced.part();
        assert!(announced.greet().is_some());
        let restored = Announced::restore(&announced.save().unwrap());
        assert!(restored.wants("a") && restored.key() == Some("k"));
    }

    #[test]
    fn the_oldest_kinds_make_room() {
        let mut kinds = Kinds::default();
        for n in 0..=CAPABILITIES_MAX {
            let gone = kinds.insert(format!("k{n}").into(), capabilities(&["a"]));
            assert_eq!(gone.len(), usize::from(n == CAPABILITIES_MAX));
        }
        assert!(!kinds.by_key.contains_key("k0") && kinds.by_key.contains_key("k1"));
        let long = "x".repeat(CAPABILITIES_BYTES_MAX / 2);
        kinds.insert("l".into(), capabilities(&[&long]));
        assert!(kinds.bytes <= CAPABILITIES_BYTES_MAX && kinds.by_key.contains_key("l"));
    }
}
