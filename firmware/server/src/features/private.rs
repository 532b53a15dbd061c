//! XEP-0049: Private XML Storage. A place for each client's own settings, by element and namespace, which
//! nobody else reads. Elements that other features keep in another form are theirs ([`private_face`]).
//!
//! State: tables `private.element` and `private.index`; the latter, which is what the limits are held
//! against, also in memory while the account is loaded.

use crate::{
    account::Cx,
    feature::{Answer, Feature, Iq, IqHandler, IqHook, On, Plan, Read, Spec, refuse, set},
    features::private_face,
    limits::{PRIVATE_BYTES_MAX, PRIVATE_ELEMENTS_MAX},
};
use serde::{Deserialize, Serialize};
use store::{Record, Snapshot, Table, Write};
use tracing::error;
use xmpp::{Element, StanzaError};

const NS: &str = "jabber:iq:private";

/// By account, namespace and name.
pub(crate) const ELEMENT: Table<(u32, String, String), Stored> =
    Table::per_account("private.element", 1);
/// By account: what is in [`ELEMENT`].
pub(crate) const INDEX: Table<u32, Index> = Table::per_account("private.index", 1);

const FULL: StanzaError =
    StanzaError::RESOURCE_CONSTRAINT.with_text("there is no more room for settings");

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(49, "1.2", "Private XML Storage"),
    disco: &[(On::Server, NS), (On::OwnAccount, NS)],
    iq: &[
        IqHandler {
            on: On::OwnAccount,
            type_: "get",
            payload: (NS, "query"),
            hook: IqHook::Reads(fetch),
        },
        set(On::OwnAccount, (NS, "query"), keep),
        // §2.3; an account that nobody has looks the same.
        not_yours(On::OtherAccount, "get"),
        not_yours(On::OtherAccount, "set"),
        not_yours(On::NoAccount, "get"),
        not_yours(On::NoAccount, "set"),
    ],
    ..Feature::NONE
};

const fn not_yours(on: On, type_: &'static str) -> IqHandler {
    refuse(on, type_, (NS, "query"), |_, _| Err(StanzaError::FORBIDDEN))
}

/// An element that stands by itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    xml: String,
}

impl Record for Stored {}

/// Namespace, name and bytes of every element of an account, in that order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Index(Vec<(Box<str>, Box<str>, u32)>);

impl Record for Index {}

impl Index {
    pub(super) fn load(snapshot: &Snapshot, account: u32) -> Result<Index, store::Error> {
        Ok(INDEX.get(snapshot, &account)?.unwrap_or_default())
    }

    /// Notes an element of so many bytes; 0 is none.
    fn note(&mut self, ns: &str, name: &str, bytes: usize) {
        let place = self
            .0
            .binary_search_by(|(known_ns, known, _)| (&**known_ns, &**known).cmp(&(ns, name)));
        match (place, u32::try_from(bytes).unwrap_or(u32::MAX)) {
            (Ok(at), 0) => drop(self.0.remove(at)),
            (Ok(at), bytes) => self.0[at].2 = bytes,
            (Err(_), 0) => {}
            (Err(at), bytes) => self.0.insert(at, (ns.into(), name.into(), bytes)),
        }
    }

    fn fits(&self) -> bool {
        let bytes: u64 = self.0.iter().map(|(_, _, bytes)| u64::from(*bytes)).sum();
        self.0.len() <= PRIVATE_ELEMENTS_MAX && bytes <= PRIVATE_BYTES_MAX as u64
    }
}

/// The element of this name as XML, where the account has one.
///
/// # Errors
/// The disk's.
pub(crate) fn element(
    snapshot: &Snapshot,
    account: u32,
    (ns, name): (&str, &str),
) -> Result<Option<String>, store::Error> {
    let key = (account, ns.to_owned(), name.to_owned());
    Ok(ELEMENT.get(snapshot, &key)?.map(|stored| stored.xml))
}

/// Stores these elements, each in the place of the one of its name and namespace; one that says nothing takes
/// that away. All of them or none.
///
/// # Errors
/// `resource-constraint` above [`PRIVATE_ELEMENTS_MAX`] or [`PRIVATE_BYTES_MAX`].
pub(crate) fn put(cx: &mut Cx<'_>, elements: &[Element]) -> Result<(), StanzaError> {
    let writes = writes(cx, elements)?;
    apply(cx, writes);
    Ok(())
}

/// What [`put`] writes, and the index then.
fn writes(cx: &Cx<'_>, elements: &[Element]) -> Result<(Vec<Write>, Index), StanzaError> {
    let account = cx.id();
    let mut index = cx.state.memory.private.clone();
    let mut writes = Vec::with_capacity(elements.len() + 1);
    for element in elements {
        let key = (account, element.ns.clone(), element.name.clone());
        if says_nothing(element) {
            index.note(&element.ns, &element.name, 0);
            writes.push(ELEMENT.remove(&key));
            continue;
        }
        let mut xml = String::new();
        element.write(&mut xml, "");
        index.note(&element.ns, &element.name, xml.len());
        writes.push(ELEMENT.put(&key, &Stored { xml }));
    }
    if !index.fits() {
        return Err(FULL);
    }
    if index != cx.state.memory.private {
        writes.push(INDEX.put(&account, &index));
        index.0.shrink_to_fit();
    }
    Ok((writes, index))
}

fn apply(cx: &mut Cx<'_>, (writes, index): (Vec<Write>, Index)) {
    cx.state.memory.private = index;
    for write in writes {
        cx.write(write);
    }
}

/// Whoever asks for what is not there gets it back like this.
fn says_nothing(element: &Element) -> bool {
    element.children.is_empty() && element.attributes.is_empty()
}

/// §2.3: what is in a request, at least one element of another namespace than ours.
fn elements(iq: &Iq<'_>) -> Result<Vec<Element>, StanzaError> {
    let elements: Vec<Element> = iq.payload.element().elements().cloned().collect();
    let is_proper = |element: &Element| {
        let ns = element.ns.as_str();
        // §2.3, §3: what is reserved.
        let is_reserved =
            ns.starts_with("jabber:") || ns.starts_with("http://jabber.org/") || ns == "vcard-temp";
        !ns.is_empty() && !is_reserved
    };
    if elements.is_empty() || !elements.iter().all(is_proper) {
        return Err(StanzaError::NOT_ACCEPTABLE);
    }
    let is_twice = |at: usize| {
        let before = elements[..at].iter();
        before
            .into_iter()
            .any(|other| other.is(&elements[at].ns, &elements[at].name))
    };
    if elements.len() > PRIVATE_ELEMENTS_MAX || (1..elements.len()).any(is_twice) {
        return Err(StanzaError::BAD_REQUEST);
    }
    Ok(elements)
}

fn keep(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let elements = elements(iq)?;
    let is_here = |element: &Element| private_face(&element.ns, &element.name).is_none();
    let (here, elsewhere): (Vec<Element>, Vec<Element>) = elements.into_iter().partition(is_here);
    let writes = writes(cx, &here)?;
    for element in &elsewhere {
        if let Some(face) = private_face(&element.ns, &element.name) {
            (face.put)(cx, element)?;
        }
    }
    apply(cx, writes);
    Ok(String::new())
}

fn fetch(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Result<Plan, StanzaError> {
    let elements = elements(iq)?;
    // §2.3: one namespace in a request to read.
    if elements.iter().any(|element| element.ns != elements[0].ns) {
        return Err(StanzaError::BAD_REQUEST);
    }
    let elsewhere = |element: &Element| {
        let face = private_face(&element.ns, &element.name)?;
        (face.read)(cx)
    };
    let asked: Vec<Asked> = elements
        .into_iter()
        .map(|element| Asked {
            elsewhere: elsewhere(&element),
            element,
        })
        .collect();
    let account = cx.id();
    Ok(Box::new(move |snapshot| {
        answer(snapshot, account, &asked).map_err(|error| {
            error!(%error, "private data cannot be read");
            StanzaError::INTERNAL
        })
    }))
}

struct Asked {
    element: Element,
    /// What is known of it already.
    elsewhere: Option<String>,
}

fn answer(snapshot: &Snapshot, account: u32, asked: &[Asked]) -> Result<Read, store::Error> {
    let mut query = format!("<query xmlns='{NS}'>");
    for Asked {
        element: asked,
        elsewhere,
    } in asked
    {
        let known = match elsewhere {
            Some(xml) => Some(xml.clone()),
            None => element(snapshot, account, (&asked.ns, &asked.name))?,
        };
        match known {
            Some(xml) => query.push_str(&xml),
            None => Element::new(&asked.ns, &asked.name).write(&mut query, NS),
        }
    }
    Ok(Read::of(query + "</query>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_counts_what_is_there() {
        let mut index = Index::default();
        for (ns, name, bytes) in [("b", "x", 10), ("a", "x", 5), ("a", "y", 1), ("b", "x", 7)] {
            index.note(ns, name, bytes);
        }
        index.note("a", "y", 0);
        index.note("c", "z", 0);
        let shown: Vec<_> = index
            .0
            .iter()
            .map(|(ns, name, bytes)| format!("{ns} {name} {bytes}"))
            .collect();
        assert_eq!(shown, ["a x 5", "b x 7"]);
    }

    #[test]
    fn elements_and_bytes_are_bounded() {
        let mut index = Index::default();
        index.note("a", "all", PRIVATE_BYTES_MAX);
        assert!(index.fits());
        index.note("a", "all", PRIVATE_BYTES_MAX + 1);
        assert!(!index.fits());
        index.note("a", "all", 0);
        for number in 0..PRIVATE_ELEMENTS_MAX {
            index.note("a", &number.to_string(), 1);
        }
        assert!(index.fits());
        index.note("b", "one", 1);
        assert!(!index.fits());
    }
}
