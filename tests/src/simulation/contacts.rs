//! Contact lists (RFC 6121 §2): what clients changed, and what each of them has seen of the list.

use std::collections::BTreeMap;
use xmpp::{Element, ns};

pub(super) const ROSTER: &str = "jabber:iq:roster";

/// A name given to a contact, or its removal.
#[derive(Debug)]
struct Change {
    account: usize,
    contact: String,
    name: Option<String>,
    /// Moments of the story.
    asked: usize,
    promised: Option<usize>,
}

#[derive(Debug, Default)]
pub(super) struct Changes {
    /// By the number of the request.
    known: BTreeMap<usize, Change>,
    moment: usize,
}

impl Changes {
    pub(super) fn ask(&mut self, number: usize, account: usize, contact: &str, name: Option<&str>) {
        self.moment += 1;
        let change = Change {
            account,
            contact: contact.to_owned(),
            name: name.map(str::to_owned),
            asked: self.moment,
            promised: None,
        };
        self.known.insert(number, change);
    }

    pub(super) fn promised(&mut self, number: usize) {
        self.moment += 1;
        if let Some(change) = self.known.get_mut(&number) {
            change.promised.get_or_insert(self.moment);
        }
    }

    /// What was promised is what a contact is called in the end, unless something came later.
    pub(super) fn hold(&self, account: usize, contact: &str, list: &List) -> Result<(), String> {
        let name = list.name_of(contact);
        let of_it = |change: &&Change| change.account == account && change.contact == contact;
        // Before the moment at which it was certainly in force; with no name perhaps from the beginning.
        let since = self.known.values().filter(of_it);
        let since = since.filter(|change| change.name.as_deref() == name);
        let since = since.map(|change| change.promised.unwrap_or(usize::MAX));
        let Some(since) = since.chain(name.is_none().then_some(0)).max() else {
            return Err(format!(
                "nobody of {account} ever called {contact} {name:?}"
            ));
        };
        let mut later = self.known.values().filter(of_it);
        let forgotten = later.find(|change| change.promised.is_some() && change.asked > since);
        forgotten.map_or(Ok(()), |change| {
            Err(format!(
                "account {account} calls {contact} {name:?} in the end, and {:?} was promised later",
                change.name
            ))
        })
    }
}

/// A contact list with its version, as a client has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct List {
    pub(super) version: String,
    /// By address: everything that is said about it.
    items: BTreeMap<String, Vec<(String, String)>>,
}

impl List {
    /// The answer to a request. Nothing in it: the list is still that of the version asked for (§2.6.3).
    pub(super) fn is_answered(&mut self, answer: &Element) {
        if let Some(query) = answer.child(ROSTER, "query") {
            self.items.clear();
            self.is_told(query);
        }
    }

    /// Whether a stanza is a push (§2.1.6), which it then takes in.
    pub(super) fn is_pushed(&mut self, iq: &Element) -> bool {
        let query = iq.child(ROSTER, "query");
        let push = query.filter(|_| iq.is(ns::CLIENT, "iq") && iq.attr("type") == Some("set"));
        if let Some(query) = push {
            self.is_told(query);
        }
        push.is_some()
    }

    fn is_told(&mut self, query: &Element) {
        self.version = query.attr("ver").map(str::to_owned).unwrap_or_default();
        for item in query.elements() {
            let jid = item.attr("jid").unwrap_or_default().to_owned();
            if item.attr("subscription") == Some("remove") {
                self.items.remove(&jid);
            } else {
                let mut said = item.attributes.clone();
                said.sort();
                self.items.insert(jid, said);
            }
        }
    }

    fn name_of(&self, contact: &str) -> Option<&str> {
        let said = self.items.get(contact)?;
        let name = said.iter().find(|(key, _)| key == "name");
        name.map(|(_, name)| name.as_str())
    }
}
