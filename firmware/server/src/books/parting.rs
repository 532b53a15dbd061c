//! What removed accounts were to the nodes of others and to rooms, which ends with them.
//!
//! State: none; whoever is not done yet is found in the rows of nodes and rooms, after a power cut, too.

use crate::{accounts, pubsub, room, server::Server};
use std::sync::Arc;
use store::{Error, Urgency, limits::SWEEP_ROWS_MAX};
use tracing::error;
use xmpp::Jid;

/// An account, the service or a room, by key and id; and whom it is to forget.
type Acquaintance = (String, u32, Jid);

impl Server {
    /// Has rooms and the nodes of accounts and of the service forget the removed. What is not done now is
    /// done when the books are kept next: until then their names rest.
    pub(super) async fn part(self: &Arc<Self>) {
        let server = self.clone();
        let found = self.on_reader(move || server.acquaintances()).await;
        let found = found.unwrap_or_else(|| Ok(Default::default()));
        let (acquaintances, administrators) = found.unwrap_or_else(|error| {
            error!(%error, "nodes that removed accounts subscribed to cannot be read");
            Default::default()
        });
        for (localpart, id, gone) in acquaintances {
            match self.load(&localpart).await {
                Ok(Some(account)) => {
                    self.at(&account, 0, |cx| match cx.room() {
                        Some(_) => room::forget(cx, &gone, &administrators),
                        None => pubsub::forget(cx, &gone),
                    });
                    self.settle(&account).await;
                }
                Ok(None) => {
                    let server = self.clone();
                    let forget = move || server.forget_unseen(&localpart, id, &gone);
                    if let Some(Err(error)) = self.on_reader(forget).await {
                        error!(%error, "a removed account is not forgotten yet");
                    }
                }
                Err(error) => error!(localpart, %error, "an account cannot be loaded"),
            }
        }
    }

    /// Who is to forget whom, and the administrators of the house, bare JIDs.
    fn acquaintances(&self) -> Result<(Vec<Acquaintance>, Vec<Jid>), Error> {
        let store = self.store();
        let snapshot = store.snapshot_after(store.queue(Vec::new(), Urgency::Now))?;
        let mut found = Vec::new();
        for (removed, _) in accounts::removed(&snapshot)? {
            let Ok(gone) = Jid::from_parts(Some(&removed), self.domain().as_str(), None) else {
                continue;
            };
            let rooms = room::acquainted(&snapshot, gone.as_str())?.into_iter();
            let rooms = rooms.map(|(name, id)| (self.room_key(&name), id));
            let nodes = accounts::acquaintances(&snapshot, &removed)?.into_iter();
            found.extend(nodes.chain(rooms).map(|(key, id)| (key, id, gone.clone())));
        }
        let mut administrators = Vec::new();
        for who in accounts::administrators(&snapshot, &self.config())? {
            let name = who.localpart().unwrap_or_default();
            if accounts::find(&snapshot, name)?.is_some() {
                administrators.push(who); // who is named in the settings need not have an account
            }
        }
        Ok((found, administrators))
    }

    /// Of an account that is disabled, while nobody loads it.
    fn forget_unseen(self: &Arc<Self>, localpart: &str, id: u32, gone: &Jid) -> Result<(), Error> {
        let store = self.store();
        let forget = || {
            let snapshot = store.snapshot_after(store.queue(Vec::new(), Urgency::Now))?;
            let writes = pubsub::forgetting(&snapshot, id, gone.as_str(), SWEEP_ROWS_MAX)?;
            store.queue(writes, Urgency::Now);
            Ok(())
        };
        self.before_loading(localpart, forget).unwrap_or(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{change, closed, later};
    use crate::{
        Session,
        accounts::{self, disable, enable},
        fixture::{Fixture, run_beside},
        limits::CLOSED_MS,
        server::AccountChange,
    };
    use std::sync::Arc;

    /// Of one node that everybody may subscribe to.
    const NODE: &str = "urn:example:blog";

    /// Romeo, who has such a node, and juliet, who subscribed to it and owns it with him.
    fn subscribed() -> (Fixture, Arc<Session>, Arc<Session>) {
        let home = Fixture::new(&["juliet", "romeo"]);
        let romeo = home.online("romeo", "orchard");
        let juliet = home.online("juliet", "balcony");
        let ns = "http://jabber.org/protocol/pubsub";
        let requests = [
            (
                &romeo,
                format!(
                    "<pubsub xmlns='{ns}'><create node='{NODE}'/><configure>\
                     <x xmlns='jabber:x:data' type='submit'><field var='pubsub#access_model'>\
                     <value>open</value></field></x></configure></pubsub>"
                ),
            ),
            (
                &romeo,
                format!(
                    "<pubsub xmlns='{ns}#owner'><affiliations node='{NODE}'><affiliation \
                     jid='juliet@home.example' affiliation='owner'/></affiliations></pubsub>"
                ),
            ),
            (
                &juliet,
                format!(
                    "<pubsub xmlns='{ns}'>\
                     <subscribe node='{NODE}' jid='juliet@home.example/balcony'/></pubsub>"
                ),
            ),
        ];
        for (who, payload) in requests {
            let to = "romeo@home.example";
            home.send(
                who,
                &format!("<iq type='set' id='1' to='{to}'>{payload}</iq>"),
            );
            home.write();
            let got = home.got(who).concat();
            assert!(got.contains("type='result'"), "{got}");
        }
        (home, romeo, juliet)
    }

    /// How many subscriptions and affiliations the node has in memory and, once it is read again, on disk.
    fn known(romeo: &Session) -> (usize, usize) {
        let state = romeo.account.lock();
        let node = state.memory.nodes.get(NODE).unwrap();
        (node.subscriptions().len(), node.affiliations().len())
    }

    fn remove_juliet(home: &Fixture) {
        let now = home.server.now();
        change(home, "juliet", AccountChange::Removed, |snapshot| {
            accounts::remove(snapshot, "juliet", now)
        });
    }

    #[test]
    fn whoever_comes_back_in_time_finds_the_subscriptions_there() {
        let (home, romeo, _) = subscribed();
        closed(&home, "juliet");
        later(&home, CLOSED_MS - 1);
        change(&home, "juliet", AccountChange::Enabled, |snapshot| {
            enable(snapshot, "juliet")
        });
        later(&home, CLOSED_MS);
        assert_eq!(known(&romeo), (1, 1));
    }

    #[test]
    fn nodes_in_memory_and_on_disk_forget_the_removed() {
        let (home, romeo, _) = subscribed();
        remove_juliet(&home);
        assert_eq!(known(&romeo), (0, 0));
        home.write();
        let snapshot = home.server.store().snapshot().unwrap();
        assert!(
            accounts::acquaintances(&snapshot, "juliet")
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn nodes_of_the_disabled_forget_the_removed() {
        let (home, _, _) = subscribed();
        change(&home, "romeo", AccountChange::Disabled, |snapshot| {
            disable(snapshot, "romeo")
        });
        remove_juliet(&home);
        home.write();
        change(&home, "romeo", AccountChange::Enabled, |snapshot| {
            enable(snapshot, "romeo")
        });
        let romeo = home.online("romeo", "orchard");
        assert_eq!(known(&romeo), (0, 0));
    }

    #[test]
    fn a_name_rests_while_somebody_knows_it() {
        let (home, _, _) = subscribed();
        let store = home.server.store();
        let writes = accounts::remove(&store.snapshot().unwrap(), "juliet", 0).unwrap();
        store.queue(writes, store::Urgency::Now);
        home.write();
        assert!(accounts::rests(&store.snapshot().unwrap(), "juliet").unwrap());
        let told = home
            .server
            .account_changed("juliet", AccountChange::Removed);
        run_beside(home.server.store(), told);
        home.write();
        let snapshot = store.snapshot().unwrap();
        assert!(!accounts::rests(&snapshot, "juliet").unwrap());
    }
}
