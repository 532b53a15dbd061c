//! XEP-0441: with whom messages are archived, by a person's own choice. What is not wanted in the archive
//! still waits for its delivery (DESIGN §14).
//!
//! State: [`Preferences`] per account, in table `mam.preferences`.

use super::NS;
use crate::{
    account::{Cx, State},
    feature::{Answer, Feature, Iq, On, Spec, get, refuse, set},
    limits::{PREFERENCES_BYTES_MAX, PREFERENCES_MAX},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use store::{Record, Snapshot, Table};
use xmpp::{Element, Jid, StanzaError, compose};

const PREFS: (&str, &str) = (NS, "prefs");

/// By account.
pub(crate) const PREFERENCES: Table<u32, Chosen> = Table::per_account("mam.preferences", 1);

pub(in crate::features) const PREFERENCES_FEATURE: Feature = Feature {
    spec: Spec::Xep(441, "0.2.0", "Message Archive Management Preferences"),
    iq: &[
        get(On::OwnAccount, PREFS, |cx, _| {
            Ok(cx.state.memory.preferences.chosen().to_xml())
        }),
        set(On::OwnAccount, PREFS, choose),
        refuse(On::OtherAccount, "get", PREFS, super::forbidden),
        refuse(On::OtherAccount, "set", PREFS, super::forbidden),
        refuse(On::NoAccount, "get", PREFS, super::forbidden),
        refuse(On::NoAccount, "set", PREFS, super::forbidden),
    ],
    ..Feature::NONE
};

/// §2.1.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Otherwise {
    #[default]
    Always,
    Never,
    Roster,
}

const OTHERWISE: [(&str, Otherwise); 3] = [
    ("always", Otherwise::Always),
    ("never", Otherwise::Never),
    ("roster", Otherwise::Roster),
];

/// What somebody chose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chosen {
    otherwise: Otherwise,
    always: BTreeSet<Jid>,
    never: BTreeSet<Jid>,
}

impl Record for Chosen {}

/// What the account's person chose; most never do, and then everything is archived.
#[derive(Debug, Default)]
pub(crate) struct Preferences(Option<Box<Chosen>>);

impl Preferences {
    pub(in crate::features) fn load(
        snapshot: &Snapshot,
        account: u32,
    ) -> Result<Preferences, store::Error> {
        Ok(Preferences(
            PREFERENCES.get(snapshot, &account)?.map(Box::new),
        ))
    }

    fn chosen(&self) -> Chosen {
        self.0.as_deref().cloned().unwrap_or_default()
    }
}

impl State {
    /// Whether messages with this address go into the archive.
    pub(crate) fn wants_kept(&self, contact: &Jid) -> bool {
        let Some(chosen) = &self.memory.preferences.0 else {
            return true;
        };
        chosen.wants(contact, || {
            let item = self.roster.get(&contact.bare());
            item.is_some_and(|item| item.listed)
        })
    }
}

impl Chosen {
    /// §2.3: a listed bare JID means all resources. What is in both lists is not archived: what is missed
    /// can be changed, what was kept cannot be unsaid.
    fn wants(&self, contact: &Jid, is_in_roster: impl Fn() -> bool) -> bool {
        let listed =
            |list: &BTreeSet<Jid>| list.contains(contact) || list.contains(contact.bare_str());
        if listed(&self.never) {
            return false;
        }
        listed(&self.always)
            || match self.otherwise {
                Otherwise::Always => true,
                Otherwise::Never => false,
                Otherwise::Roster => is_in_roster(),
            }
    }

    /// Reads `<prefs/>`. `bad-request` where the default is none of §2.1.1 or an address is none,
    /// `policy-violation` where the lists are longer than what is kept in memory for everybody.
    fn read(prefs: &Element) -> Result<Chosen, StanzaError> {
        let default = prefs.attr("default");
        let otherwise = OTHERWISE.iter().find(|(name, _)| default == Some(name));
        let (_, otherwise) = otherwise.ok_or(StanzaError::BAD_REQUEST)?;
        let chosen = Chosen {
            otherwise: *otherwise,
            always: list(prefs, "always")?,
            never: list(prefs, "never")?,
        };
        let all = || chosen.always.iter().chain(&chosen.never);
        let bytes: usize = all().map(|jid| jid.as_str().len()).sum();
        if all().count() > PREFERENCES_MAX || bytes > PREFERENCES_BYTES_MAX {
            return Err(StanzaError::POLICY_VIOLATION.with_text("these lists are too long"));
        }
        Ok(chosen)
    }

    fn to_xml(&self) -> String {
        let mut names = OTHERWISE.iter();
        let default = names
            .find(|(_, otherwise)| *otherwise == self.otherwise)
            .map_or("always", |(name, _)| name);
        let mut xml = format!("<prefs xmlns='{NS}' default='{default}'>");
        for (name, jids) in [("always", &self.always), ("never", &self.never)] {
            xml += &format!("<{name}>");
            for jid in jids {
                xml += &format!("<jid>{}</jid>", compose::escaped(jid.as_str()));
            }
            xml += &format!("</{name}>");
        }
        xml + "</prefs>"
    }
}

/// §2.1.2: a list that is missing is empty.
fn list(prefs: &Element, name: &str) -> Result<BTreeSet<Jid>, StanzaError> {
    let Some(list) = prefs.child(NS, name) else {
        return Ok(BTreeSet::new());
    };
    let jids = list.elements().filter(|child| child.is(NS, "jid"));
    jids.map(|jid| Jid::parse(jid.text().trim()).map_err(|_| StanzaError::BAD_REQUEST))
        .collect()
}

/// The result waits until the choice is durable; it holds for every message from here on.
fn choose(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let chosen = Chosen::read(&iq.payload.element())?;
    let answer = chosen.to_xml();
    if chosen == Chosen::default() {
        cx.write(PREFERENCES.remove(&cx.id()));
        cx.state.memory.preferences = Preferences(None);
    } else {
        cx.write(PREFERENCES.put(&cx.id(), &chosen));
        cx.state.memory.preferences = Preferences(Some(Box::new(chosen)));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::Value;

    fn read(prefs: &str) -> Result<Chosen, &'static str> {
        let prefs = Element::parse(prefs, "jabber:client").unwrap();
        Chosen::read(&prefs).map_err(|error| error.condition)
    }

    fn prefs(default: &str, always: &[&str], never: &[&str]) -> String {
        let list = |name: &str, jids: &[&str]| {
            let jids: Vec<String> = jids.iter().map(|jid| format!("<jid>{jid}</jid>")).collect();
            format!("<{name}>{}</{name}>", jids.concat())
        };
        let (always, never) = (list("always", always), list("never", never));
        format!("<prefs xmlns='{NS}' default='{default}'>{always}{never}</prefs>")
    }

    #[test]
    fn who_is_archived() {
        let lists = (["a@b", "c@d/e", "both@x"], ["n@b", "c@n/e", "both@x"]);
        for (contact, in_roster, always, never, roster) in [
            ("x@y/z", true, true, false, true),
            ("x@y/z", false, true, false, false),
            ("a@b", false, true, true, true),
            ("a@b/any", false, true, true, true),
            ("c@d/e", false, true, true, true),
            ("c@d/other", false, true, false, false),
            ("n@b/any", true, false, false, false),
            ("c@n/e", true, false, false, false),
            ("c@n/other", true, true, false, true),
            ("both@x", true, false, false, false),
        ] {
            for (default, expected) in [("always", always), ("never", never), ("roster", roster)] {
                let chosen = read(&prefs(default, &lists.0, &lists.1)).unwrap();
                let contact = Jid::parse(contact).unwrap();
                let wants = chosen.wants(&contact, || in_roster);
                assert_eq!(wants, expected, "{contact} {in_roster} {default}");
            }
        }
    }

    #[test]
    fn what_is_read_is_written() {
        for text in [
            prefs("always", &[], &[]),
            prefs("never", &["a@b", "c@d/e"], &[]),
            prefs("roster", &[], &["a@b"]),
        ] {
            assert_eq!(read(&text).unwrap().to_xml(), text);
        }
        let short = format!("<prefs xmlns='{NS}' default='never'/>");
        assert_eq!(read(&short).unwrap().to_xml(), prefs("never", &[], &[]));
    }

    #[test]
    fn what_is_refused() {
        let many: Vec<String> = (0..=PREFERENCES_MAX).map(|n| format!("a{n}@b")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let long: Vec<String> = (0..100)
            .map(|n| format!("{}{n}@b", "a".repeat(700)))
            .collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        for (text, expected) in [
            (format!("<prefs xmlns='{NS}'/>"), "bad-request"),
            (prefs("sometimes", &[], &[]), "bad-request"),
            (prefs("always", &["@"], &[]), "bad-request"),
            (prefs("always", &many, &[]), "policy-violation"),
            (prefs("always", &[], &long), "policy-violation"),
        ] {
            assert_eq!(read(&text), Err(expected), "{text}");
        }
    }

    #[test]
    fn stored_bytes() {
        let chosen = read(&prefs("roster", &["a@b"], &["c@d/e"])).unwrap();
        let mut bytes = Vec::new();
        chosen.encode(&mut bytes);
        assert_eq!(bytes, b"\x02\x01\x03a@b\x01\x05c@d/e");
    }
}
