//! The books: who has an account. Changes that people make in band, and what follows from changes whoever
//! made them: sessions end, contacts are told, and what a removed account left is swept.
//!
//! A change is decided on a thread that may block, one at a time ([`Server::change_account`]). What follows
//! from it at runtime is done by whoever routes next ([`Server::follow_changes`]).
//!
//! State: in memory only, what is to follow, and what time will bring; the accounts are in `accounts.rs`.

mod parting;

use crate::{
    account::Leaving,
    accounts::{self, Refusal},
    limits::SWEEP_GROUPS_MAX,
    roster::Verb,
    server::{AccountChange, Server},
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use store::{Durable, Snapshot, Ticket, Urgency, Write};
use tokio::sync::oneshot;
use tracing::{error, info};
use xmpp::{Jid, Kind, Passing, Stanza, compose};

#[derive(Default)]
pub(crate) struct Books {
    /// Held by whoever changes an account: each sees what the one before has decided.
    turn: Mutex<()>,
    /// Changes that are durable and from which something follows. As many as sessions that wait for theirs.
    following: Mutex<VecDeque<(String, AccountChange)>>,
    accounts: AtomicU64,
    /// When the next closed account is removed, by the wall clock; 0 where there is none.
    next_removal: AtomicU64,
    /// Whether a removed account left something.
    leftovers: AtomicBool,
}

impl Server {
    /// Taken by whoever decides about accounts, until the writes are queued.
    pub fn account_turn(&self) -> MutexGuard<'_, ()> {
        let turn = self.books().turn.lock();
        turn.unwrap_or_else(PoisonError::into_inner)
    }

    /// How many accounts there are.
    pub fn accounts(&self) -> u64 {
        self.books().accounts.load(Ordering::Relaxed)
    }

    /// Decides about an account and queues what that writes. On a thread that may block.
    ///
    /// # Errors
    /// Those of `decide`; the disk's.
    pub(crate) fn decide_account(
        &self,
        decide: impl FnOnce(&Snapshot) -> Result<Vec<Write>, Refusal>,
    ) -> Result<Ticket, Refusal> {
        let _turn = self.account_turn();
        let latest = self.store().queue(Vec::new(), Urgency::Now);
        let writes = decide(&self.store().snapshot_after(latest)?)?;
        Ok(self.store().queue(writes, Urgency::Now))
    }

    /// Changes an account, durably; what follows is left to [`Server::follow_changes`]. On a thread that may
    /// block.
    ///
    /// # Errors
    /// As [`Server::decide_account`].
    pub(crate) fn change_account(
        &self,
        localpart: &str,
        change: AccountChange,
        decide: impl FnOnce(&Snapshot) -> Result<Vec<Write>, Refusal>,
    ) -> Result<(), Refusal> {
        let ticket = self.decide_account(decide)?;
        self.store().snapshot_after(ticket)?;
        if self.store().is_durable(ticket) != Some(Durable::Yes) {
            return Err(Refusal::Store(store::Error::Unavailable));
        }
        self.following().push_back((localpart.to_owned(), change));
        Ok(())
    }

    fn following(&self) -> MutexGuard<'_, VecDeque<(String, AccountChange)>> {
        let following = self.books().following.lock();
        following.unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what follows from changes that were made in band.
    pub(crate) async fn follow_changes(self: &Arc<Self>) {
        loop {
            let next = self.following().pop_front();
            let Some((localpart, change)) = next else {
                return;
            };
            self.account_changed(&localpart, change).await;
        }
    }

    /// Sends a new account the words that the household has for it (`registration.welcome`).
    pub(crate) async fn welcome(self: &Arc<Self>, localpart: &str) {
        let words = self.config().registration.welcome.clone();
        if words.is_empty() {
            return;
        }
        let Ok(Some(account)) = self.load(localpart).await else {
            return;
        };
        let id = format!("welcome{}", self.next_number());
        let attributes = [("type", "chat"), ("id", &*id)];
        let body = format!("<body>{}</body>", compose::escaped(&words));
        let stanza = Stanza::compose(Kind::Message, &attributes, &body);
        let (from, to) = (self.domain().clone(), account.jid.clone());
        self.at(&account, 0, |cx| {
            cx.route(Passing::new(Arc::new(stanza), from, to));
        });
        self.settle(&account).await;
    }

    /// Looks at the accounts as they are now.
    pub(crate) fn note_accounts(&self, snapshot: &Snapshot) -> Result<(), store::Error> {
        let books = self.books();
        let removals = accounts::closed(snapshot)?.into_iter();
        let next = removals.map(|(_, removal)| removal.max(1)).min();
        books
            .next_removal
            .store(next.unwrap_or(0), Ordering::Relaxed);
        books
            .accounts
            .store(accounts::count(snapshot)?, Ordering::Relaxed);
        if !accounts::removed(snapshot)?.is_empty() {
            books.leftovers.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Housekeeping: removes closed accounts whose time has come, and sweeps what removed ones left.
    pub(crate) async fn keep_books(self: &Arc<Self>) {
        let next = self.books().next_removal.load(Ordering::Relaxed);
        if next != 0 && next <= self.now() {
            let server = self.clone();
            self.on_reader(move || server.remove_closed()).await;
            self.follow_changes().await;
        }
        if self.books().leftovers.load(Ordering::Relaxed) {
            self.say_farewells().await;
            let server = self.clone();
            // Nobody waits for it; what it does not finish is left to the next time.
            self.readers()
                .run(Box::new(move || server.sweep_and_tell()));
        }
    }

    /// Runs something that reads the disk; `None` where it panics.
    pub(crate) async fn on_reader<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.readers().run(Box::new(move || {
            let _ = sender.send(f());
        }));
        receiver.await.ok()
    }

    fn remove_closed(&self) {
        let now = self.now();
        let closed = self.store().snapshot().and_then(|s| accounts::closed(&s));
        let closed = closed.unwrap_or_else(|error| {
            error!(%error, "the accounts cannot be read");
            Vec::new()
        });
        for (localpart, _) in closed.into_iter().filter(|(_, removal)| *removal <= now) {
            let removed = self.change_account(&localpart, AccountChange::Removed, |snapshot| {
                accounts::remove_closed(snapshot, &localpart, now)
            });
            match removed {
                Ok(()) => info!(localpart, "removed, as its owner asked some time ago"),
                Err(error) => error!(localpart, %error, "a closed account is not removed yet"),
            }
        }
    }

    /// Tells the contacts of removed accounts (XEP-0077 §3.2) and the subscribers of their nodes, and has the
    /// nodes of others forget them. A power cut in between repeats some of it,
    /// which changes nothing.
    pub(crate) async fn say_farewells(self: &Arc<Self>) {
        loop {
            let server = self.clone();
            let read = self.on_reader(move || {
                let store = server.store();
                let snapshot = store.snapshot_after(store.queue(Vec::new(), Urgency::Now))?;
                accounts::farewells(&snapshot, server.domain().as_str(), server.dice())
            });
            let farewells = match read.await {
                Some(Ok(farewells)) => farewells,
                Some(Err(error)) => {
                    return error!(%error, "contacts of removed accounts cannot be read");
                }
                None => return,
            };
            if farewells.is_empty() {
                return self.part().await;
            }
            let mut writes = Vec::new();
            for farewell in farewells {
                for (contact, verb) in farewell.words {
                    self.say(&farewell.localpart, contact, verb).await;
                }
                for event in farewell.events {
                    self.send(event).await;
                }
                writes.extend(farewell.writes);
            }
            // What the contacts keep of it is queued before.
            let ticket = self.store().queue(writes, Urgency::Now);
            if !self.is_kept(ticket).await {
                return;
            }
        }
    }

    /// One presence stanza in the name of an account that is gone.
    async fn say(self: &Arc<Self>, localpart: &str, contact: Jid, verb: Verb) {
        let Ok(from) = Jid::from_parts(Some(localpart), self.domain().as_str(), None) else {
            return;
        };
        let stanza = Stanza::compose(Kind::Presence, &[("type", verb.name())], "");
        self.send(Passing::new(Arc::new(stanza), from, contact))
            .await;
    }

    async fn send(self: &Arc<Self>, passing: Passing) {
        if let Some(touched) = self.route(Leaving::of(passing)).await {
            self.settle(&touched).await;
        }
    }

    fn sweep_and_tell(&self) {
        match self.sweep() {
            Ok(more) => self.books().leftovers.store(more, Ordering::Relaxed),
            Err(error) => error!(%error, "what removed accounts left cannot be swept"),
        }
    }

    /// Whether something is left.
    fn sweep(&self) -> Result<bool, store::Error> {
        let store = self.store();
        let snapshot = || store.snapshot_after(store.queue(Vec::new(), Urgency::Now));
        for (localpart, id) in accounts::removed(&snapshot()?)? {
            // First: what somebody still writes for it must not come after the last look.
            store.retire(id);
            for _ in 0..SWEEP_GROUPS_MAX {
                let now = snapshot()?;
                let writes = accounts::writes_to_remove(&now, id)?;
                let is_last = writes.is_empty();
                if is_last && accounts::rests(&now, &localpart)? {
                    break;
                }
                let writes = if is_last {
                    vec![accounts::swept(&localpart)]
                } else {
                    writes
                };
                let ticket = store.queue(writes, Urgency::Idle);
                drop(now);
                store.snapshot_after(ticket)?;
                if is_last || store.is_durable(ticket) != Some(Durable::Yes) {
                    break;
                }
            }
        }
        Ok(!accounts::removed(&snapshot()?)?.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        accounts::{NewAccount, close, disable, enable, find},
        fixture::{Fixture, run_beside},
        limits::{CLOSED_MS, FORMER_MS},
        roster::Subscription,
    };

    /// Juliet and romeo, who see one another, and are away.
    fn befriended() -> Fixture {
        let fixture = Fixture::new(&["juliet", "romeo"]);
        let juliet = fixture.online("juliet", "balcony");
        let romeo = fixture.online("romeo", "orchard");
        for (who, other) in [(&juliet, "romeo"), (&romeo, "juliet")] {
            for type_ in ["subscribed", "subscribe"] {
                let presence = format!("<presence type='{type_}' to='{other}@home.example'/>");
                fixture.send(who, &presence);
            }
        }
        let both = subscription(&juliet, "romeo");
        assert!(both.to && both.from, "{both:?}");
        fixture.leave(&juliet);
        fixture.leave(&romeo);
        fixture.write();
        fixture
    }

    fn subscription(session: &crate::Session, contact: &str) -> Subscription {
        let contact = Jid::parse(&format!("{contact}@home.example")).unwrap();
        session.account.lock().roster.subscription(&contact)
    }

    /// Done by the administrator: durable, and what follows from it.
    pub(super) fn change(
        fixture: &Fixture,
        localpart: &str,
        change: AccountChange,
        decide: impl FnOnce(&Snapshot) -> Result<Vec<Write>, Refusal>,
    ) {
        fixture
            .server
            .change_account(localpart, change, decide)
            .unwrap();
        run_beside(fixture.server.store(), fixture.server.follow_changes());
    }

    pub(super) fn closed(fixture: &Fixture, localpart: &str) {
        let now = fixture.server.now();
        change(fixture, localpart, AccountChange::Disabled, |snapshot| {
            close(snapshot, localpart, now)
        });
    }

    pub(super) fn later(fixture: &Fixture, ms: u64) {
        fixture.hands.pass(ms);
        run_beside(fixture.server.store(), fixture.server.tick());
        fixture.write();
    }

    fn exists(fixture: &Fixture, localpart: &str) -> bool {
        let snapshot = fixture.server.store().snapshot().unwrap();
        find(&snapshot, localpart).unwrap().is_some()
    }

    #[test]
    fn a_closed_account_is_opened_again_by_enabling_it() {
        let fixture = befriended();
        closed(&fixture, "juliet");
        later(&fixture, CLOSED_MS - 1);
        change(&fixture, "juliet", AccountChange::Enabled, |snapshot| {
            enable(snapshot, "juliet")
        });
        later(&fixture, CLOSED_MS);
        assert!(exists(&fixture, "juliet"));
        let juliet = fixture.online("juliet", "balcony");
        let both = subscription(&juliet, "romeo");
        assert!(both.to && both.from, "{both:?}");
    }

    #[test]
    fn a_removed_account_leaves_nothing_but_a_name_that_rests() {
        let fixture = befriended();
        closed(&fixture, "juliet");
        later(&fixture, CLOSED_MS - 1);
        assert!(exists(&fixture, "juliet"));
        later(&fixture, 1);
        assert!(!exists(&fixture, "juliet"));
        let snapshot = fixture.server.store().snapshot().unwrap();
        assert!(accounts::removed(&snapshot).unwrap().is_empty(), "swept");
        let now = fixture.server.now();
        assert!(accounts::was_somebody(&snapshot, "juliet", now).unwrap());
        let year = now + FORMER_MS;
        assert!(!accounts::was_somebody(&snapshot, "juliet", year).unwrap());
        // The administrator knows whom it is given to.
        let again = NewAccount {
            localpart: "juliet",
            password: "pencil",
            display_name: "",
            admin: false,
        };
        let dice = fixture.server.dice();
        assert!(accounts::add(&snapshot, "home.example", &again, now, dice).is_ok());
    }

    #[test]
    fn a_contact_whose_account_is_disabled_is_told_nevertheless() {
        let fixture = befriended();
        change(&fixture, "romeo", AccountChange::Disabled, |snapshot| {
            disable(snapshot, "romeo")
        });
        let now = fixture.server.now();
        change(&fixture, "juliet", AccountChange::Removed, |snapshot| {
            accounts::remove(snapshot, "juliet", now)
        });
        change(&fixture, "romeo", AccountChange::Enabled, |snapshot| {
            enable(snapshot, "romeo")
        });
        let romeo = fixture.online("romeo", "orchard");
        assert_eq!(subscription(&romeo, "juliet"), Subscription::default());
    }

    #[test]
    fn the_last_administrator_stays() {
        let fixture = Fixture::new(&["juliet"]);
        let add = |localpart: &'static str| {
            change(&fixture, localpart, AccountChange::Added, |snapshot| {
                let account = NewAccount {
                    localpart,
                    password: "pencil",
                    display_name: "",
                    admin: true,
                };
                accounts::add(snapshot, "home.example", &account, 0, fixture.server.dice())
            });
        };
        let close_alice = || {
            let decide = |snapshot: &Snapshot| close(snapshot, "alice", 0);
            fixture.server.decide_account(decide).map(|_| ())
        };
        add("alice");
        assert!(matches!(close_alice(), Err(Refusal::LastAdministrator)));
        add("bob");
        assert!(close_alice().is_ok());
    }
}
