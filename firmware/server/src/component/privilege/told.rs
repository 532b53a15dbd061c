//! Presence that components are told of (XEP-0356 §7): that of the accounts here, and of their contacts.

use super::Granted;
use crate::{account::Cx, accounts, component::limits::TOLD_MAX, server::Server};
use household::config::Presences;
use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};
use tracing::error;
use xmpp::{Jid, Kind, Passing, Stanza};

/// What each component was told (§8, rule 2: once, however many rosters a resource is in).
#[derive(Default)]
pub(crate) struct Told(Mutex<BTreeMap<Jid, Present>>);

/// Who is there, as one component knows it.
#[derive(Default)]
struct Present {
    /// A hash of what it was told last of each resource that is available; no more than [`TOLD_MAX`].
    last: BTreeMap<Jid, u64>,
    /// There were more of them. Of those it is told as often as something comes.
    has_others: bool,
}

impl Told {
    /// Whether that is news for the component.
    fn is_news(&self, component: &Jid, presence: &Passing) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let present = told.entry(component.clone()).or_default();
        if presence.stanza.type_() == "unavailable" {
            return present.last.remove(&presence.from).is_some() || present.has_others;
        }
        let mut hasher = DefaultHasher::new();
        presence.content().hash(&mut hasher);
        let hash = hasher.finish();
        if present.last.len() >= TOLD_MAX && !present.last.contains_key(&presence.from) {
            present.has_others = true;
            return true;
        }
        present.last.insert(presence.from.clone(), hash) != Some(hash)
    }

    fn forget(&self, component: &Jid) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.remove(component);
    }
}

/// A resource of this account sent initial presence (§7.1: no other is told of).
pub(crate) fn appeared(cx: &mut Cx<'_>, presence: &Passing) {
    tell(cx, presence, Presences::Accounts);
}

/// A resource of this account is unavailable.
pub(crate) fn went(cx: &mut Cx<'_>, resource: &Jid, presence: &Passing) {
    let mut presence = presence.clone();
    presence.from = resource.clone();
    tell(cx, &presence, Presences::Accounts);
}

/// Presence of somebody else arrived (§7.4): told where the account sees that contact.
pub(crate) fn contact_is(cx: &mut Cx<'_>, presence: &Passing) {
    let contact = presence.from.bare();
    let is_seen = cx.state.roster.subscription(&contact).to;
    if is_seen && matches!(presence.stanza.type_(), "" | "unavailable") {
        tell(cx, presence, Presences::Contacts);
    }
}

fn tell(cx: &mut Cx<'_>, presence: &Passing, about: Presences) {
    let wants = |presences| presences == Presences::Contacts || presences == about;
    for component in cx.server.privileged(|it| wants(it.presence)) {
        tell_one(cx, &component, presence);
    }
}

fn tell_one(cx: &mut Cx<'_>, component: &Jid, presence: &Passing) {
    // Its own contacts' presence is what the component has sent itself.
    let is_its_own = presence.from.domainpart() == component.as_str();
    if !is_its_own && cx.server.components.told.is_news(component, presence) {
        cx.route(presence.addressed_to(component.clone()));
    }
}

impl Server {
    /// Whether some component is told of contacts, also of accounts where nobody is there.
    pub(crate) fn tells_of_contacts(&self) -> bool {
        !self
            .privileged(|it| it.presence == Presences::Contacts)
            .is_empty()
    }

    /// §8, rule 1: a component that comes is told who is there already. Contacts elsewhere are asked, in the
    /// name of those who see them.
    pub(in crate::component) async fn show_presence_to(self: &Arc<Self>, component: &Jid) {
        self.components.told.forget(component);
        let about = Granted::to(self, component).presence;
        if about == Presences::None {
            return;
        }
        if about == Presences::Contacts {
            self.load_everybody().await;
        }
        for account in self.directory().all() {
            self.at(&account, 0, |cx| {
                if cx.is_room() || cx.is_service() {
                    return;
                }
                for presence in present(cx) {
                    tell_one(cx, component, &presence);
                }
                if about == Presences::Contacts {
                    ask_contacts(cx);
                }
            });
            self.settle_account(&account).await;
        }
    }

    /// A household is small enough for that; who is not needed leaves memory again.
    async fn load_everybody(self: &Arc<Self>) {
        let all = match self.store().snapshot() {
            Ok(snapshot) => accounts::all(&snapshot),
            Err(error) => Err(error),
        };
        match all {
            Ok(all) => {
                for (localpart, _) in all {
                    // Whoever cannot be loaded has no contacts to be told of.
                    let _ = self.load(&localpart).await;
                }
            }
            Err(error) => error!(%error, "accounts cannot be read"),
        }
    }
}

fn present(cx: &Cx<'_>) -> Vec<Passing> {
    let available = cx.state.available();
    let presences = available.filter_map(|resource| resource.presence.as_ref());
    presences.map(|presence| presence.passing.clone()).collect()
}

fn ask_contacts(cx: &mut Cx<'_>) {
    let domain = cx.server.domain().clone();
    let items = cx.state.roster.iter();
    let contacts = items
        .filter(|(contact, item)| item.subscription.to && contact.domainpart() != domain.as_str());
    let contacts: Vec<Jid> = contacts.map(|(contact, _)| contact.clone()).collect();
    let probe = Arc::new(Stanza::compose(Kind::Presence, &[("type", "probe")], ""));
    for contact in contacts {
        cx.route(Passing::new(probe.clone(), cx.jid().clone(), contact));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_news(told: &Told, component: &str, from: &str, type_: &str) -> bool {
        let attributes = [("type", type_)];
        let attributes = &attributes[usize::from(type_.is_empty())..];
        let stanza = Arc::new(Stanza::compose(Kind::Presence, attributes, ""));
        let jid = |text| Jid::parse(text).unwrap();
        let presence = Passing::new(stanza, jid(from), jid("juliet@home.example"));
        told.is_news(&jid(component), &presence)
    }

    #[test]
    fn each_is_told_once_of_each() {
        let told = Told::default();
        for (component, from, type_, expected) in [
            ("a.example", "romeo@far.example/x", "unavailable", false),
            ("a.example", "romeo@far.example/x", "", true),
            ("a.example", "romeo@far.example/x", "", false),
            ("b.example", "romeo@far.example/x", "", true),
            ("a.example", "romeo@far.example/y", "", true),
            ("a.example", "romeo@far.example/x", "unavailable", true),
            ("a.example", "romeo@far.example/x", "unavailable", false),
            ("a.example", "romeo@far.example/x", "", true),
        ] {
            let is_news = is_news(&told, component, from, type_);
            assert_eq!(is_news, expected, "{component} {from} {type_}");
        }
        told.forget(&Jid::parse("a.example").unwrap());
        assert!(is_news(&told, "a.example", "romeo@far.example/y", ""));
        assert!(!is_news(&told, "b.example", "romeo@far.example/x", ""));
    }

    #[test]
    fn those_who_left_take_no_room() {
        let told = Told::default();
        assert!(is_news(&told, "a.example", "romeo@far.example", ""));
        for number in 0..=TOLD_MAX {
            let resource = format!("tybalt@far.example/{number}");
            assert!(is_news(&told, "a.example", &resource, ""));
            assert!(is_news(&told, "a.example", &resource, "unavailable"));
        }
        assert!(!is_news(&told, "a.example", "romeo@far.example", ""));
    }

    #[test]
    fn who_is_there_without_being_remembered_is_told_to_go() {
        let told = Told::default();
        for number in 0..TOLD_MAX + 2 {
            let resource = format!("tybalt@far.example/{number}");
            assert!(is_news(&told, "a.example", &resource, ""));
        }
        for number in (0..TOLD_MAX + 2).rev() {
            let resource = format!("tybalt@far.example/{number}");
            assert!(is_news(&told, "a.example", &resource, "unavailable"));
        }
    }
}
