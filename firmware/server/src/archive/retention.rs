//! Letting go of messages that are older than an archive keeps them: the oldest first, so that there are no
//! holes (XEP-0313 §3.2), and few at a time.
//!
//! How long is said by `archive.keep` of the configuration; a person may choose a shorter time. What still
//! waits for its delivery is spared for [`WAITING_MS_MAX`], and everything behind it with it.
//!
//! State: table `archive.keep`; [`Retention`] once per server.

use super::{
    BLOCK, ENTRY, EntryRecord, Index, SPAN, ago,
    index::{self, Removed},
    removal,
};
use crate::{
    account::{Account, Cx},
    accounts,
    features::{PerAccount, offline::Waiting},
    limits::{RETENTION_MESSAGES_MAX, RETENTION_MS, WAITING_MS_MAX},
    roster::Roster,
    server::Server,
    world::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use store::{Error, Record, Snapshot, Table, Urgency, Write};
use tracing::error;
use xmpp::Jid;

/// By account: how long this one keeps its messages, where that is its own choice.
pub(crate) const KEEP: Table<u32, KeepRecord> = Table::per_account("archive.keep", 1);

/// A choice of how long messages are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeepRecord {
    pub(crate) seconds: u64,
}

impl Record for KeepRecord {}

/// When the archives are looked through.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    busy: AtomicBool,
    /// On the clock that never jumps, in milliseconds.
    next: AtomicU64,
}

impl Retention {
    /// Somebody's messages are to be kept for another time than before: looks at the next opportunity.
    pub(crate) fn hurry(&self) {
        self.next.store(0, Ordering::Relaxed);
    }
}

impl Server {
    /// Looks through the archives on the reader pool, if it is time.
    pub(crate) fn sweep_archives(self: &Arc<Self>) {
        let retention = self.retention();
        let now = self.clock().elapsed_ms();
        if now < retention.next.load(Ordering::Relaxed)
            || retention.busy.swap(true, Ordering::AcqRel)
        {
            return;
        }
        let server = self.clone();
        self.readers().run(Box::new(move || {
            let swept = catch_unwind(AssertUnwindSafe(|| {
                server.sweep_reports()?;
                server.sweep_expired_items()?;
                server.sweep_each()
            }));
            let more = match swept {
                Ok(Ok(more)) => more,
                Ok(Err(error)) => {
                    error!(%error, "old messages cannot be removed");
                    false
                }
                Err(_) => false,
            };
            let retention = server.retention();
            let pause = if more { 0 } else { RETENTION_MS };
            retention.next.store(now + pause, Ordering::Relaxed);
            retention.busy.store(false, Ordering::Release);
        }));
    }

    /// One batch of every account and room that has something old; whether some have more.
    fn sweep_each(self: &Arc<Self>) -> Result<bool, Error> {
        let mut more = false;
        let mut archives = accounts::all(&self.store().snapshot()?)?;
        archives.extend(self.stored_rooms(&self.store().snapshot()?)?);
        for (localpart, id) in archives {
            let Some(cutoff) = self.cutoff(&self.store().snapshot()?, id)? else {
                continue;
            };
            let first = ENTRY.prefix(&self.store().snapshot()?, &id)?.next();
            if first
                .transpose()?
                .is_none_or(|(_, entry)| entry.stamp >= cutoff)
            {
                continue;
            }
            more |= match self.read_account(&localpart)? {
                Some(account) => self.sweep_one(&account, cutoff)?,
                // Nobody may sign in; what is old goes all the same, and is counted before anybody may again.
                None => self
                    .before_loading(&localpart, || self.sweep_closed(&localpart, id, cutoff))
                    .unwrap_or(Ok(false))?,
            };
        }
        Ok(more)
    }

    /// One batch of an account that is not in memory and does not get there meanwhile.
    fn sweep_closed(&self, localpart: &str, id: u32, cutoff: Timestamp) -> Result<bool, Error> {
        let snapshot = self.store().snapshot()?;
        let same = accounts::find(&snapshot, localpart)?.is_some_and(|record| record.id == id);
        let Ok(jid) = Jid::parse(&format!("{localpart}@{}", self.domain())) else {
            return Ok(false);
        };
        if !same {
            return Ok(false); // removed since
        }
        let memory = PerAccount::load(&snapshot, id)?;
        drop(snapshot);
        self.sweep_one(&Account::new(id, jid, Roster::default(), memory), cutoff)
    }

    /// Messages of this account from before are not kept; `None` where all are.
    fn cutoff(&self, snapshot: &Snapshot, account: u32) -> Result<Option<Timestamp>, Error> {
        let own = KEEP.get(snapshot, &account)?;
        let own = own.map(|keep| Duration::from_secs(keep.seconds));
        let keep = self.config().archive.keep.into_iter().chain(own).min();
        Ok(keep.map(|keep| {
            ago(
                self.now(),
                u64::try_from(keep.as_millis()).unwrap_or(u64::MAX),
            )
        }))
    }

    /// One batch of one account. Returns once the disk has it, so that whoever shares a payload with it is
    /// looked at afterwards.
    fn sweep_one(&self, account: &Account, cutoff: Timestamp) -> Result<bool, Error> {
        let (index, first_waiting) = self.at(account, 0, |cx| {
            let memory = &cx.state.memory;
            (memory.archive.clone(), memory.waiting.first())
        });
        let snapshot = self.store().snapshot_after(account.ticket())?;
        let old = Old {
            cutoff,
            waiting_cutoff: cutoff.min(ago(self.now(), WAITING_MS_MAX)),
            first_waiting: first_waiting.unwrap_or(u64::MAX),
        };
        let batch = self.batch(&snapshot, account.id, &index, &old)?;
        drop(snapshot);
        let ticket = self.at(account, 0, |cx| batch.take_effect(cx, &index));
        if let Some(ticket) = ticket {
            drop(self.store().snapshot_after(ticket)?);
        }
        Ok(ticket.is_some())
    }

    /// What is to go next.
    fn batch(
        &self,
        snapshot: &Snapshot,
        account: u32,
        index: &Index,
        old: &Old,
    ) -> Result<Batch, Error> {
        let account_of = |jid: &Jid| -> Result<Option<u32>, Error> {
            let ours = jid.domainpart() == self.domain().as_str();
            let name = jid.localpart().filter(|_| ours);
            let record = name.map_or(Ok(None), |name| accounts::find(snapshot, name))?;
            Ok(record.map(|record| record.id))
        };
        let mut batch = Batch::default();
        for row in ENTRY
            .prefix(snapshot, &account)?
            .take(RETENTION_MESSAGES_MAX)
        {
            let ((_, position), entry) = row?;
            if !old.goes(position, &entry) {
                if entry.is_shown() {
                    break;
                }
                continue; // hidden, and no hole without it
            }
            let key = (account, position);
            batch
                .writes
                .extend(removal(snapshot, key, &entry, &account_of)?);
            if entry.is_shown() {
                let bytes = u64::from(entry.bytes);
                batch.removed.0.push((entry.member(position), bytes));
            }
        }
        let upto = batch.removed.upto();
        if upto > 0 {
            batch.shrink_index(snapshot, account, index)?;
            batch.next = index::next_shown(snapshot, account, upto + 1)?;
        }
        Ok(batch)
    }
}

/// How many messages an account would lose at once if it kept its messages for so long only.
pub(crate) fn would_go(
    snapshot: &Snapshot,
    account: u32,
    keep: Duration,
    now: Timestamp,
) -> Result<u64, Error> {
    let cutoff = ago(now, u64::try_from(keep.as_millis()).unwrap_or(u64::MAX));
    let old = Old {
        cutoff,
        waiting_cutoff: cutoff.min(ago(now, WAITING_MS_MAX)),
        first_waiting: Waiting::load(snapshot, account)?
            .first()
            .unwrap_or(u64::MAX),
    };
    let mut messages = 0;
    for row in ENTRY.prefix(snapshot, &account)? {
        let ((_, position), entry) = row?;
        if entry.is_shown() {
            if !old.goes(position, &entry) {
                break;
            }
            messages += 1;
        }
    }
    Ok(messages)
}

/// What counts as old.
struct Old {
    cutoff: Timestamp,
    /// The same for what waits.
    waiting_cutoff: Timestamp,
    /// The first position that waits for its delivery.
    first_waiting: u64,
}

impl Old {
    fn goes(&self, position: u64, entry: &EntryRecord) -> bool {
        let spared = position >= self.first_waiting || !entry.is_shown();
        entry.stamp
            < if spared {
                self.waiting_cutoff
            } else {
                self.cutoff
            }
    }
}

/// What goes in one group.
#[derive(Default)]
struct Batch {
    writes: Vec<Write>,
    removed: Removed,
    next: Option<index::Place>,
}

impl Batch {
    /// Full spans and blocks without what goes.
    fn shrink_index(
        &mut self,
        snapshot: &Snapshot,
        account: u32,
        index: &Index,
    ) -> Result<(), Error> {
        let (first, upto) = ((account, 0), self.removed.upto());
        let spans = (account, index.open_span().min(upto + 1));
        for row in SPAN.range(snapshot, first..spans)? {
            let (key, span) = row?;
            self.writes.push(match span.without(&self.removed) {
                Some(span) => SPAN.put(&key, &span),
                None => SPAN.remove(&key),
            });
        }
        let blocks = (account, index.open_block().min(upto + 1));
        for row in BLOCK.range(snapshot, first..blocks)? {
            let (key, block) = row?;
            self.writes.push(match block.without(&self.removed) {
                Some(block) => BLOCK.put(&key, &block),
                None => BLOCK.remove(&key),
            });
        }
        Ok(())
    }

    /// Takes it out of memory and queues it; nothing where the account moved on in a way that matters.
    fn take_effect(self, cx: &mut Cx<'_>, index: &Index) -> Option<store::Ticket> {
        let now = &cx.state.memory.archive;
        let same = now.open_block() == index.open_block() && now.open_span() == index.open_span();
        if self.writes.is_empty() || cx.state.is_gone() || !same {
            return None;
        }
        if !self.removed.0.is_empty() {
            cx.state.memory.archive.remove(&self.removed, self.next);
        }
        Some(cx.server.store().queue(self.writes, Urgency::Idle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::{PAYLOAD, SHARED},
        fixture::{Fixture, now},
        server::AccountChange,
        session::Session,
    };
    use household::Config;
    use store::{Key, Value};

    const DAY_MS: u64 = 86_400_000;

    struct Home {
        fixture: Fixture,
        romeo: Arc<Session>,
    }

    impl Home {
        /// Romeo is online, and all archives keep a message for so long.
        fn keeping(days: u64) -> Home {
            let fixture = Fixture::new(&["romeo", "juliet"]);
            let mut config = Config::clone(&fixture.server.config());
            config.archive.keep = Some(Duration::from_secs(days * 86_400));
            fixture.server.configure(Arc::new(config));
            let romeo = fixture.online("romeo", "orchard");
            Home { fixture, romeo }
        }

        fn say(&self, messages: usize) {
            for n in 0..messages {
                let xml = "<message to='juliet@home.example' type='chat'><body>";
                let message = format!("{xml}{n}</body></message>");
                self.fixture.send(&self.romeo, &message);
            }
            self.fixture.write();
        }

        fn sweep_after(&self, days: u64) {
            self.fixture.hands.pass(days * DAY_MS);
            for _ in 0..8 {
                self.fixture.tick();
                self.fixture.write();
            }
        }

        fn count<K: Key, V: Value>(&self, table: &Table<K, V>) -> usize {
            let snapshot = self.fixture.server.store().snapshot().unwrap();
            table.prefix(&snapshot, &()).unwrap().count()
        }

        /// Entries, payloads, shared ones, blocks.
        fn rows(&self) -> [usize; 4] {
            [
                self.count(&ENTRY),
                self.count(&PAYLOAD),
                self.count(&SHARED),
                self.count(&BLOCK),
            ]
        }

        fn keep(&self, localpart: &str, days: u64) {
            let store = self.fixture.server.store();
            let own = Some(Duration::from_secs(days * 86_400));
            let writes = accounts::keep(&store.snapshot().unwrap(), localpart, own).unwrap();
            store.queue(writes, Urgency::Now);
            self.fixture.write();
        }

        /// May the account sign in?
        fn enable(&self, localpart: &str, enabled: bool) {
            let store = self.fixture.server.store();
            let verb = if enabled {
                accounts::enable
            } else {
                accounts::disable
            };
            let writes = verb(&store.snapshot().unwrap(), localpart).unwrap();
            store.queue(writes, Urgency::Now);
            self.fixture.write();
            let change = if enabled {
                AccountChange::Enabled
            } else {
                AccountChange::Disabled
            };
            now(self.fixture.server.account_changed(localpart, change));
            self.fixture.write();
        }

        /// What somebody finds: how many there are by the count, and how many came.
        fn found(&self, localpart: &str) -> (String, usize) {
            let session = self.fixture.bind(localpart, "reader");
            let query = "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'>\
                 <set xmlns='http://jabber.org/protocol/rsm'><max>250</max><before/></set></query></iq>";
            self.fixture.send(&session, query);
            let got = self.fixture.got(&session);
            self.fixture.leave(&session);
            let (_, count) = got.last().unwrap().split_once("<count>").unwrap();
            (count.split_once('<').unwrap().0.to_owned(), got.len() - 1)
        }
    }

    #[test]
    fn old_messages_go_with_everything_that_lists_them() {
        let home = Home::keeping(7);
        home.say(600);
        home.fixture.online("juliet", "balcony"); // takes what waited
        home.fixture
            .got(&home.fixture.online_with_waiting("juliet"));
        assert_eq!(home.rows(), [1_200, 600, 600, 4]);
        home.sweep_after(6);
        assert_eq!(home.rows(), [1_200, 600, 600, 4]);
        home.sweep_after(2);
        assert_eq!(home.rows(), [0; 4]);
        assert_eq!(home.found("romeo"), ("0".to_owned(), 0));
        home.say(3);
        assert_eq!(home.found("romeo"), ("3".to_owned(), 3));
    }

    #[test]
    fn a_part_goes_and_the_rest_is_found() {
        let home = Home::keeping(7);
        home.say(300);
        home.fixture.hands.pass(5 * DAY_MS);
        home.say(100);
        home.sweep_after(3);
        assert_eq!(home.found("romeo"), ("100".to_owned(), 100));
        let Some(account) = home.fixture.server.directory().get("romeo") else {
            panic!("romeo is online")
        };
        let snapshot = home.fixture.server.store().snapshot().unwrap();
        let loaded = Index::load(&snapshot, account.id).unwrap();
        let memory = account.lock().memory.archive.clone();
        assert_eq!((loaded.first, loaded.last), (memory.first, memory.last));
        assert_eq!(loaded.block, memory.block);
        assert_eq!(loaded.span.summary.count, memory.span.summary.count);
        assert_eq!(index::bytes(&snapshot, account.id).unwrap(), {
            let rows = ENTRY.prefix(&snapshot, &account.id).unwrap();
            rows.map(|row| u64::from(row.unwrap().1.bytes)).sum::<u64>()
        });
    }

    #[test]
    fn who_may_not_sign_in_keeps_nothing_longer() {
        let home = Home::keeping(7);
        home.say(300);
        home.fixture.hands.pass(5 * DAY_MS);
        home.say(100);
        home.enable("romeo", false);
        assert!(home.romeo.outbox.is_ended());
        home.fixture.leave(&home.romeo);
        home.sweep_after(3);
        let id = home.romeo.account.id;
        let snapshot = home.fixture.server.store().snapshot().unwrap();
        assert_eq!(ENTRY.prefix(&snapshot, &id).unwrap().count(), 100);
        drop(snapshot);
        assert!(home.fixture.server.directory().get("romeo").is_none());
        home.enable("romeo", true);
        assert_eq!(home.found("romeo"), ("100".to_owned(), 100));
    }

    #[test]
    fn a_shorter_time_is_heeded_soon() {
        let home = Home::keeping(7);
        home.say(10);
        home.sweep_after(2);
        assert_eq!(home.found("romeo").1, 10);
        home.keep("romeo", 1);
        let changed = AccountChange::KeepChanged;
        now(home.fixture.server.account_changed("romeo", changed));
        home.sweep_after(0);
        assert_eq!(home.found("romeo").1, 0);
    }

    #[test]
    fn a_shared_payload_goes_with_the_second_of_its_holders() {
        for first in ["romeo", "juliet"] {
            let home = Home::keeping(7);
            home.say(10);
            home.fixture
                .got(&home.fixture.online_with_waiting("juliet"));
            home.fixture.write();
            home.keep(first, 1);
            home.sweep_after(2);
            let second = if first == "romeo" { "juliet" } else { "romeo" };
            assert_eq!(
                (home.count(&ENTRY), home.count(&PAYLOAD)),
                (10, 10),
                "{first}"
            );
            assert_eq!(home.found(second), ("10".to_owned(), 10));
            home.sweep_after(6);
            assert_eq!(home.rows(), [0; 4], "{first}");
        }
    }

    #[test]
    fn what_waits_is_spared_for_sixty_days() {
        let home = Home::keeping(7);
        home.say(10);
        home.sweep_after(8);
        assert_eq!(home.rows(), [10, 10, 0, 0], "juliet's wait");
        home.sweep_after(53);
        assert_eq!(home.rows(), [0; 4]);
    }

    #[test]
    fn a_removed_account_leaves_what_the_other_still_shows() {
        for (gone, stays) in [("romeo", "juliet"), ("juliet", "romeo")] {
            let home = Home::keeping(7);
            home.say(300);
            home.fixture.leave(&home.romeo);
            home.fixture.tick();
            home.fixture.remove(gone);
            assert_eq!((home.count(&ENTRY), home.count(&PAYLOAD)), (300, 300));
            assert_eq!(home.found(stays), ("300".to_owned(), 250));
            home.fixture.tick();
            home.fixture.remove(stays);
            assert_eq!(home.rows(), [0; 4]);
        }
    }
}
