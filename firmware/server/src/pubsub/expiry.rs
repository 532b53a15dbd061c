//! Items that go by themselves, once they are as old as their node says (XEP-0060 §16.4.4,
//! `pubsub#item_expire`; §6.5.3).
//!
//! From that second on nobody sees them: whoever gets at an account comes past [`expire`]. Their rows go soon
//! after that, or after the next look through all accounts where nobody comes. Subscribers are not told, as
//! for what is pushed out of a full node.
//!
//! State: [`super::Nodes`] knows when the next one goes.

use super::{
    NODE, Nodes, SERVICE,
    config::Config,
    in_sweeps,
    items::{ID, Place},
    manage,
};
use crate::{
    account::{Account, Cx},
    accounts, directory,
    features::PerAccount,
    roster::Roster,
    server::Server,
    world::Timestamp,
};
use std::sync::Arc;
use store::{Error, Snapshot, Urgency};
use xmpp::Jid;

/// Takes out what is too old by now.
pub(crate) fn expire(cx: &mut Cx<'_>) {
    let next = cx.state.memory.nodes.next_expiry;
    if next == Timestamp::MAX || cx.now() < next || cx.state.is_gone() {
        return; // as nearly always
    }
    let now = cx.now();
    let (mut removals, mut emptied) = (Vec::new(), Vec::new());
    let (owner, nodes) = (cx.id(), &mut cx.state.memory.nodes);
    nodes.next_expiry = Timestamp::MAX;
    for node in &mut nodes.list {
        let Some(seconds) = node.item_expire() else {
            continue;
        };
        let expired = node.items.expire(cutoff(now, seconds));
        let shelf = super::Shelf {
            owner,
            number: node.shelf,
        };
        removals.extend(
            expired
                .iter()
                .flat_map(|place| shelf.remove(place.number())),
        );
        match node.items.first_published_s() {
            Some(first) => nodes.next_expiry = nodes.next_expiry.min(gone_at(first, seconds)),
            None if !expired.is_empty() => emptied.push(node.name.clone()),
            None => {}
        }
    }
    // In the order of decision: a node that is to keep its items from now on has none of these.
    for sweep in in_sweeps(removals) {
        cx.server.store().queue(sweep, Urgency::Soon);
    }
    // What features make of it a full disk would refuse, which would cost the account its connections. It
    // does not take the removals either, so the next load does both again.
    if !emptied.is_empty() && cx.server.store().takes_writes() {
        for name in emptied {
            manage::emptied(cx, &name);
        }
    }
}

/// A node is configured anew: what is too old for it goes at the next opportunity, which is the next time
/// that anybody gets at the account.
pub(super) fn look_anew(cx: &mut Cx<'_>) {
    cx.state.memory.nodes.next_expiry = 0;
}

impl Nodes {
    /// An item was published to a node like that.
    pub(super) fn expires(&mut self, place: Place, config: &Config) {
        if let Some(seconds) = config.item_expire {
            let gone_at = gone_at(place.published_s(), seconds);
            self.next_expiry = self.next_expiry.min(gone_at);
        }
    }
}

/// In milliseconds since 1970.
fn gone_at(published_s: u32, seconds: u32) -> Timestamp {
    (u64::from(published_s) + u64::from(seconds)) * 1_000
}

/// What was published before this second is too old.
fn cutoff(now: Timestamp, seconds: u32) -> u32 {
    let cutoff = (now / 1_000 + 1).saturating_sub(seconds.into());
    u32::try_from(cutoff).unwrap_or(u32::MAX)
}

impl Server {
    /// Removes what is too old in accounts that nobody gets at. On a thread that may block.
    pub(crate) fn sweep_expired_items(self: &Arc<Self>) -> Result<(), Error> {
        let snapshot = self.store().snapshot()?;
        let mut all = accounts::all(&snapshot)?;
        all.push((directory::SERVICE.to_owned(), SERVICE));
        for (localpart, id) in all {
            if !has_expired(&snapshot, id, self.now())? {
                continue;
            }
            match self.read_account(&localpart)? {
                Some(account) => self.at(&account, 0, |_| ()),
                // Nobody may sign in.
                None => self
                    .before_loading(&localpart, || self.expire_closed(&localpart, id))
                    .unwrap_or(Ok(()))?,
            }
        }
        Ok(())
    }

    /// The same for an account that is not in memory and does not get there meanwhile.
    fn expire_closed(&self, localpart: &str, id: u32) -> Result<(), Error> {
        let snapshot = self.store().snapshot()?;
        let same = accounts::find(&snapshot, localpart)?.is_some_and(|record| record.id == id);
        if let (true, Ok(jid)) = (same, Jid::parse(&format!("{localpart}@{}", self.domain()))) {
            let memory = PerAccount::load(&snapshot, id)?;
            let account = Account::new(id, jid, Roster::default(), memory);
            self.at(&account, 0, |_| ());
        }
        Ok(())
    }
}

fn has_expired(snapshot: &Snapshot, account: u32, now: Timestamp) -> Result<bool, Error> {
    for row in NODE.prefix(snapshot, &account)? {
        let (_, node) = row?;
        let Some(seconds) = node.config.item_expire else {
            continue;
        };
        let cutoff = cutoff(now, seconds);
        for row in ID.prefix(snapshot, &(account, node.shelf))? {
            if row?.1.published_s() < cutoff {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture::Fixture, session::Session};

    /// More items than go in one sweep.
    const ITEMS: usize = crate::limits::PUBSUB_SWEEP_ITEMS + 10;

    fn ask(home: &Fixture, session: &Arc<Session>, content: &str) -> String {
        let ns = "http://jabber.org/protocol/pubsub";
        home.send(
            session,
            &format!("<iq type='set' id='p'><pubsub xmlns='{ns}'>{content}</pubsub></iq>"),
        );
        home.write();
        home.got(session).concat()
    }

    /// Items that stay for an hour, and one that stays.
    fn with_items(home: &Fixture) -> Arc<Session> {
        let juliet = home.online("juliet", "balcony");
        let form = "<x xmlns='jabber:x:data' type='submit'><field var='pubsub#max_items'>\
             <value>max</value></field><field var='pubsub#item_expire'><value>3600</value></field></x>";
        let create = format!("<create node='n'/><configure>{form}</configure>");
        assert!(ask(home, &juliet, &create).contains("type='result'"));
        for (node, id) in (0..ITEMS).map(|n| ("n", n)).chain([("m", 0)]) {
            let item = format!("<item id='{id}'><x xmlns='urn:example:n'/></item>");
            let publish = format!("<publish node='{node}'>{item}</publish>");
            assert!(ask(home, &juliet, &publish).contains("type='result'"));
        }
        juliet
    }

    fn rows(home: &Fixture) -> [usize; 2] {
        let snapshot = home.server.store().snapshot().unwrap();
        let items = super::super::ITEM.prefix(&snapshot, &()).unwrap().count();
        [items, ID.prefix(&snapshot, &()).unwrap().count()]
    }

    fn look_after(home: &Fixture, ms: u64) {
        home.hands.pass(ms);
        home.server.retention().hurry();
        home.tick();
    }

    /// Until what can wait for company is on the disk.
    fn rest(home: &Fixture) {
        home.hands.pass(store::limits::SOON_SECONDS_MAX * 1_000);
        home.write();
        drop(home.server.store().snapshot().unwrap());
    }

    fn close(home: &Fixture, localpart: &str) {
        let writes = accounts::disable(&home.server.store().snapshot().unwrap(), localpart);
        home.server.store().queue(writes.unwrap(), Urgency::Now);
        home.write();
        let change = crate::server::AccountChange::Disabled;
        crate::fixture::now(home.server.account_changed(localpart, change));
        home.write();
        home.tick();
    }

    #[test]
    fn rows_go_whether_anybody_comes_or_not() {
        for (stays, closed) in [(true, false), (false, false), (false, true)] {
            let home = Fixture::new(&["juliet"]);
            let juliet = with_items(&home);
            if !stays {
                home.leave(&juliet);
                drop(juliet);
                rest(&home);
                home.tick();
                assert_eq!(home.server.counts().accounts_in_memory, 0);
            }
            if closed {
                close(&home, "juliet");
            }
            look_after(&home, 3_200_000);
            assert_eq!(rows(&home), [ITEMS + 1; 2], "{stays} {closed}");
            look_after(&home, 401_000);
            rest(&home);
            assert_eq!(rows(&home), [1; 2], "{stays} {closed}");
        }
    }

    #[test]
    fn what_is_gone_stays_gone_when_items_are_kept_from_then_on() {
        let home = Fixture::new(&["juliet"]);
        let juliet = with_items(&home);
        home.hands.pass(3_601_000);
        home.server.at(&juliet.account, 0, |cx| {
            let visitor = super::super::Visitor::account(cx);
            let kept = [("pubsub#item_expire".to_owned(), vec!["max".to_owned()])];
            manage::configure(cx, &visitor, "n", &kept).unwrap();
            assert_eq!(cx.node("n").unwrap().items.len(), 0);
        });
        home.write();
        assert_eq!(rows(&home), [1; 2]);
    }

    #[test]
    fn an_account_without_such_nodes_is_not_looked_through() {
        let home = Fixture::new(&["juliet"]);
        let juliet = home.online("juliet", "balcony");
        let publish = "<publish node='m'><item><x xmlns='urn:example:n'/></item></publish>";
        assert!(ask(&home, &juliet, publish).contains("type='result'"));
        let next = juliet.account.lock().memory.nodes.next_expiry;
        assert_eq!(next, Timestamp::MAX);
    }
}
