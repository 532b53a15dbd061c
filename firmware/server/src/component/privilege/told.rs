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

/// A hash of what each component was told last of each resource (§8, rule 2: once, however many rosters the
/// resource is in). Forgotten altogether when there are [`TOLD_MAX`]; then something may be told twice.
#[derive(Default)]
pub(crate) struct Told(Mutex<BTreeMap<(Jid, Jid), u64>>);

impl Told {
    /// Whether that is news for the component.
    fn is_news(&self, component: &Jid, presence: &Passing) -> bool {
        let mut hasher = DefaultHasher::new();
        (presence.stanza.type_(), presence.content()).hash(&mut hasher);
        let hash = hasher.finish();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        let key = (component.clone(), presence.from.clone());
        told.insert(key, hash) != Some(hash)
    }

    fn forget(&self, component: &Jid) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|(other, _), _| other != component);
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
