//! What an external component may do in the accounts of this house (XEP-0356): `[privileges]`, a list of
//! words for each component.

use serde::{Deserialize, Deserializer, de::Error};

/// What gateways that act for a person publish and configure on that person's behalf: bookmarks, and what was
/// read.
const OF_GATEWAYS: [&str; 2] = [
    "http://jabber.org/protocol/pubsub",
    "http://jabber.org/protocol/pubsub#owner",
];

const SENTENCE: &str = "use these words: gateway, roster, roster get, roster set, message, presence, \
     presence roster, iq, iq NAMESPACE, iq get NAMESPACE, iq set NAMESPACE";

/// The privileges of one component; by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Privileges {
    /// To read contact lists, and to be told of changes.
    pub roster_get: bool,
    /// To change contact lists.
    pub roster_set: bool,
    /// To send messages in the name of the server and of accounts.
    pub message: bool,
    pub presence: Presences,
    /// Requests in the name of accounts, by namespace; each namespace once.
    pub iq: Vec<Requests>,
}

/// Whose presence a component is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presences {
    #[default]
    None,
    /// That of the accounts.
    Accounts,
    /// That of their contacts, too.
    Contacts,
}

/// Requests with a payload of one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requests {
    pub namespace: String,
    pub get: bool,
    pub set: bool,
}

impl Privileges {
    /// Whether requests of this type, `get` or `set`, may be sent in the name of an account.
    pub fn may_ask(&self, type_: &str, namespace: &str) -> bool {
        let mut known = self.iq.iter();
        let known = known.find(|requests| requests.namespace == namespace);
        known.is_some_and(|requests| match type_ {
            "get" => requests.get,
            "set" => requests.set,
            _ => false,
        })
    }

    /// Adds what a word means; `false` where it means nothing.
    fn grant(&mut self, word: &str) -> bool {
        let parts: Vec<&str> = word.split_whitespace().collect();
        match *parts.as_slice() {
            ["gateway"] => {
                return ["roster", "message", "iq"]
                    .iter()
                    .all(|word| self.grant(word));
            }
            ["roster"] => (self.roster_get, self.roster_set) = (true, true),
            ["roster", "get"] => self.roster_get = true,
            ["roster", "set"] => self.roster_set = true,
            ["message"] => self.message = true,
            ["presence"] if self.presence == Presences::Contacts => {}
            ["presence"] => self.presence = Presences::Accounts,
            ["presence", "roster"] => self.presence = Presences::Contacts,
            ["iq"] => {
                for namespace in OF_GATEWAYS {
                    self.ask(namespace, true, true);
                }
            }
            ["iq", "get", namespace] => self.ask(namespace, true, false),
            ["iq", "set", namespace] => self.ask(namespace, false, true),
            ["iq", namespace] if namespace.contains(':') => self.ask(namespace, true, true),
            _ => return false,
        }
        true
    }

    fn ask(&mut self, namespace: &str, get: bool, set: bool) {
        let mut known = self.iq.iter_mut();
        if let Some(known) = known.find(|requests| requests.namespace == namespace) {
            known.get |= get;
            known.set |= set;
            return;
        }
        self.iq.push(Requests {
            namespace: namespace.to_owned(),
            get,
            set,
        });
    }
}

/// The words as they are in the file, or the sentence instead of the parser's own.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "write a list of words in quotation marks, like [\"gateway\"]"
)]
enum Words {
    List(Vec<String>),
}

impl<'de> Deserialize<'de> for Privileges {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Privileges, D::Error> {
        let Words::List(words) = Words::deserialize(from)?;
        let mut privileges = Privileges::default();
        if !words.iter().all(|word| privileges.grant(word)) {
            return Err(D::Error::custom(SENTENCE));
        }
        // XEP-0356 §7.4: contacts' presence is for those who may know who they are.
        if privileges.presence == Presences::Contacts && !privileges.roster_get {
            return Err(D::Error::custom(
                "\"presence roster\" needs \"roster get\" or \"roster\" beside it",
            ));
        }
        Ok(privileges)
    }
}
