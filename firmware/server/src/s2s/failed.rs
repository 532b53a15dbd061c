//! What becomes of a stanza that nobody will send any more: its sender is told, on any device that is there;
//! while there is none, what they are to be told waits on disk (DESIGN §6: no message is lost in silence).
//!
//! State: the refusals that wait, by the number that the stanza's row had, in memory and in `remote.failed`.

use super::{
    Waiting,
    limits::{FAILED_MAX, FAILED_MS_MAX},
    waiting,
};
use crate::{
    account::Cx, router::may_be_refused, server::Server, session::stored::EntryRecord,
    world::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::{Record, Snapshot, Table, Urgency, Write};
use tracing::warn;
use xmpp::{Entry, Jid, Passing, StanzaError};

/// By the number that the stanza's row had.
const FAILED: Table<u64, FailedRecord> = Table::new("remote.failed", 1);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FailedRecord {
    /// Milliseconds since 1970.
    at: Timestamp,
    /// The refusal.
    entry: EntryRecord,
}

impl Record for FailedRecord {}

/// Refusals that wait for somebody to be there.
#[derive(Default)]
pub(super) struct Failures(Mutex<BTreeMap<u64, Failure>>);

struct Failure {
    refusal: Passing,
    at: Timestamp,
}

impl Failures {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Failure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those for somebody, in the order in which the stanzas were sent.
    fn take(&self, account: &Jid) -> Vec<(u64, Passing)> {
        let mut all = self.lock();
        let own = all.extract_if(.., |_, failure| failure.refusal.to.bare() == *account);
        own.map(|(row, failure)| (row, failure.refusal)).collect()
    }

    /// Keeps one; gives the rows of those for which there is no more room.
    fn keep(&self, row: u64, failure: Failure) -> Vec<u64> {
        let mut all = self.lock();
        all.insert(row, failure);
        let mut over = Vec::new();
        while all.len() > FAILED_MAX
            && let Some((row, _)) = all.pop_first()
        {
            over.push(row);
        }
        over
    }

    /// Forgets what has waited too long; gives the rows.
    fn expire(&self, now: Timestamp) -> Vec<u64> {
        let mut all = self.lock();
        let old = all.extract_if(.., |_, it| now.saturating_sub(it.at) > FAILED_MS_MAX);
        old.map(|(row, _)| row).collect()
    }
}

impl Server {
    /// Nobody will send these: their senders are told, now or when they are there. The rows go at once, or a
    /// power cut would have somebody told twice.
    pub(super) async fn give_up(self: &Arc<Self>, lost: Vec<Waiting>, error: StanzaError) {
        for Waiting { entry, row, .. } in lost {
            let forget = row.map(waiting::forget);
            let refusal = passing(&entry).filter(may_be_refused);
            let refusal = refusal.map(|passing| passing.refused(error));
            let Some(refusal) = refusal else {
                self.store()
                    .queue(forget.into_iter().collect(), Urgency::Now);
                continue;
            };
            let Some(row) = row else {
                self.receive_remote(refusal, None).await;
                continue;
            };
            let there = self.who_hears(&refusal.to);
            if there.is_empty() {
                self.keep_failure(row, refusal).await;
                continue;
            }
            self.store().queue(vec![waiting::forget(row)], Urgency::Now);
            for to in there {
                self.receive_remote(refusal.addressed_to(to), None).await;
            }
        }
    }

    /// Where somebody is there to be told what became of a stanza in this name: on the device that sent it,
    /// else on each that is available. Rooms and bridges are always there.
    pub(super) fn who_hears(&self, from: &Jid) -> Vec<Jid> {
        let localpart = from.localpart().unwrap_or_default();
        if from.domainpart() != self.domain().as_str() || localpart.is_empty() {
            return vec![from.clone()];
        }
        let Some(account) = self.directory().get(localpart) else {
            return Vec::new();
        };
        let (is_there, available) = account.listeners(from);
        if is_there || from.is_bare() && !available.is_empty() {
            vec![from.clone()]
        } else {
            available
        }
    }

    async fn keep_failure(self: &Arc<Self>, row: u64, refusal: Passing) {
        let account = refusal.to.bare();
        let at = self.now();
        let record = FailedRecord {
            at,
            entry: EntryRecord::of(&refusal.entry()),
        };
        let mut writes = vec![waiting::forget(row), FAILED.put(&row, &record)];
        let failures = &self.federation().failures;
        let over = failures.keep(row, Failure { refusal, at });
        if !over.is_empty() {
            warn!(
                stanzas = over.len(),
                "senders who do not come back are never told that stanzas did not arrive"
            );
        }
        writes.extend(over.iter().map(forget));
        self.store().queue(writes, Urgency::Now);
        // Whoever came meanwhile did not see it.
        let there = self.who_hears(&account);
        if !there.is_empty() {
            for (row, refusal) in failures.take(&account) {
                self.store().queue(vec![forget(&row)], Urgency::Soon);
                for to in self.who_hears(&refusal.to) {
                    self.receive_remote(refusal.addressed_to(to), None).await;
                }
            }
        }
    }

    /// What a restart finds.
    pub(super) fn resume_failures(&self, snapshot: &Snapshot) -> Result<(), store::Error> {
        for row in FAILED.range(snapshot, ..)? {
            let (row, FailedRecord { at, entry }) = match row {
                Ok(row) => row,
                Err(store::Error::Row { .. }) => continue,
                Err(error) => return Err(error),
            };
            let refusal = entry.into_entry().as_ref().and_then(passing);
            match refusal {
                Some(refusal) => {
                    self.federation()
                        .failures
                        .keep(row, Failure { refusal, at });
                }
                None => {
                    self.store().queue(vec![forget(&row)], Urgency::Soon);
                }
            }
        }
        Ok(())
    }

    /// Housekeeping.
    pub(crate) fn forget_failures(&self) {
        let old = self.federation().failures.expire(self.now());
        if !old.is_empty() {
            warn!(
                stanzas = old.len(),
                "senders who do not come back are never told that stanzas did not arrive"
            );
            let writes = old.iter().map(forget).collect();
            self.store().queue(writes, Urgency::Soon);
        }
    }
}

/// Somebody is there: hears what did not arrive while they were not.
pub(crate) fn tell_failures(cx: &mut Cx<'_>, resource: &Jid) {
    for (row, refusal) in cx.server.federation().failures.take(cx.jid()) {
        cx.write(forget(&row));
        cx.route(refusal.addressed_to(resource.clone()));
    }
}

fn forget(row: &u64) -> Write {
    FAILED.remove(row)
}

fn passing(entry: &Entry) -> Option<Passing> {
    let stanza = entry.to_stanza()?;
    let (Ok(Some(from)), Ok(Some(to))) = (stanza.from(), stanza.to()) else {
        return None;
    };
    Some(Passing::new(Arc::new(stanza), from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{Fixture, now},
        s2s::{Call, Outside, Remote, dane::Published, limits::REMOTE_HELD_MS_MAX},
    };
    use rustls_pki_types::CertificateDer;

    const MESSAGE: &str =
        "<message to='romeo@far.example' type='chat' id='m1'><body>Hark</body></message>";

    /// Remembers for whom somebody is to be called.
    #[derive(Default)]
    struct Street(Mutex<Vec<Arc<Remote>>>);

    impl Outside for Street {
        fn call(&self, call: Call) {
            if let Call::Deliver(remote) = call {
                self.0.lock().unwrap().push(remote);
            }
        }

        fn judge(&self, _: &[CertificateDer<'_>], _: &str, _: &Published) -> Result<(), String> {
            Err("nobody is judged here".to_owned())
        }
    }

    fn street(home: &Fixture) -> Arc<Street> {
        let street = Arc::new(Street::default());
        home.server.connect_outside(street.clone());
        street
    }

    /// Nobody gets through, now.
    fn fail(home: &Fixture, remote: &Arc<Remote>) {
        let error = StanzaError::REMOTE_SERVER_TIMEOUT;
        let failed = home.server.remote_failed(remote, error, "nobody answers");
        now(failed);
        home.write();
    }

    fn is_told(got: &[String]) -> bool {
        got.iter()
            .any(|it| it.contains("id='m1'") && it.contains("<remote-server-timeout"))
    }

    #[test]
    fn another_device_hears_what_the_one_that_sent_it_does_not() {
        let home = Fixture::new(&["juliet"]);
        let street = street(&home);
        let balcony = home.online("juliet", "balcony");
        home.send(&balcony, MESSAGE);
        home.leave(&balcony);
        let (chamber, tower) = (
            home.online("juliet", "chamber"),
            home.online("juliet", "tower"),
        );
        let remote = street.0.lock().unwrap().pop().unwrap();
        fail(&home, &remote);
        assert_eq!(remote.waiting(), 0);
        assert!(is_told(&home.got(&chamber)) && is_told(&home.got(&tower)));
    }

    #[test]
    fn nobody_is_forgotten_who_comes_back_too_late() {
        let home = Fixture::new(&["juliet"]);
        let street = street(&home);
        let balcony = home.online("juliet", "balcony");
        home.send(&balcony, MESSAGE);
        home.leave(&balcony);
        let remote = street.0.lock().unwrap().pop().unwrap();
        fail(&home, &remote);
        assert_eq!(remote.waiting(), 1, "it may still arrive");
        home.hands.pass(REMOTE_HELD_MS_MAX);
        fail(&home, &remote);
        assert_eq!(remote.waiting(), 0);
        for (resource, expected) in [("chamber", true), ("tower", false)] {
            let session = home.bind("juliet", resource);
            assert!(!is_told(&home.got(&session)), "not available yet");
            home.send(&session, "<presence/>");
            assert_eq!(is_told(&home.got(&session)), expected, "{resource}");
        }
    }

    #[test]
    fn what_waits_longest_makes_room() {
        let failures = Failures::default();
        let refusal = |number: usize| {
            let jid = |text: &str| Jid::parse(text).unwrap();
            let stanza = xmpp::Stanza::compose(xmpp::Kind::Message, &[("type", "error")], "");
            let to = jid(&format!("x{number}@home.example/r"));
            Passing::new(Arc::new(stanza), jid("far.example"), to)
        };
        for number in 0..FAILED_MAX + 2 {
            let failure = Failure {
                refusal: refusal(number),
                at: 0,
            };
            let over = failures.keep(number as u64, failure);
            let expected = number.checked_sub(FAILED_MAX).map(|it| it as u64);
            assert_eq!(over, Vec::from_iter(expected));
        }
        let last = refusal(FAILED_MAX).to.bare();
        assert_eq!(failures.take(&last).len(), 1);
        assert!(failures.expire(FAILED_MS_MAX).is_empty());
        assert_eq!(failures.expire(FAILED_MS_MAX + 1).len(), FAILED_MAX - 1);
    }
}
