//! What waits for the writer: two lanes of batches, and when they make a group.
//!
//! `Now` and `Soon` share the main lane and stay in order. `Idle` has a lane of its own, which moves only
//! when the main lane is empty; should a later batch touch a row that an idle one touches, the idle lane is
//! moved into the main lane before it, so that per row the order is always the order of queueing.

use crate::limits::{GROUP_BYTES_MAX, GROUP_WRITES_MAX, SOON_SECONDS_MAX};
use crate::options::{Health, Urgency};
use crate::table::Write;
use crate::tickets::Tickets;
use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

pub(crate) struct Batch {
    pub(crate) ticket: u64,
    pub(crate) writes: Vec<Write>,
    bytes: usize,
    queued: Duration,
}

/// What the writer's thread is doing, and so what wakes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// It will look at the queue before it sleeps.
    #[default]
    Awake,
    /// There was nothing to do.
    Idle,
    /// It is not time for the next group yet.
    Gathering,
    /// A group is due and waits a moment for what belongs to it.
    Company,
}

#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) tickets: Tickets,
    pub(crate) health: Health,
    pub(crate) closed: bool,
    /// When the engine has something to do though nothing is queued.
    pub(crate) alarm: Option<Duration>,
    pub(crate) sleep: Sleep,
    /// Threads that stand still until the writer got somewhere.
    pub(crate) waiters: usize,
    /// One of them wants the writer to look at the queue. Cleared when it is about to: afterwards they have
    /// what they wait for, or ask again.
    pub(crate) asked: bool,
    main: VecDeque<Batch>,
    idle: VecDeque<Batch>,
    /// Hashes of the rows that the idle lane touches. A chance match only costs an idle batch its place.
    idle_rows: HashSet<u64>,
    /// The main lane is to be written up to this ticket without waiting for company. Whenever this is raised,
    /// it is to no less than the first ticket of the lane, so that looking at the first one is enough.
    urgent: u64,
    writes: usize,
    bytes: usize,
}

impl Queue {
    /// Queues a batch and returns its ticket.
    pub(crate) fn push(&mut self, writes: Vec<Write>, urgency: Urgency, now: Duration) -> u64 {
        let ticket = self.tickets.issue(urgency == Urgency::Idle);
        let bytes = writes.iter().map(Write::bytes).sum();
        self.writes += writes.len();
        self.bytes += bytes;
        if urgency != Urgency::Idle
            && !self.idle.is_empty()
            && writes.iter().any(|row| self.idle_touches(row))
        {
            self.promote_idle();
        }
        let batch = Batch {
            ticket,
            writes,
            bytes,
            queued: now,
        };
        match urgency {
            Urgency::Idle => {
                self.idle_rows.extend(batch.writes.iter().map(row_hash));
                self.idle.push_back(batch);
            }
            Urgency::Soon => self.main.push_back(batch),
            Urgency::Now => {
                self.main.push_back(batch);
                self.urgent = ticket;
            }
        }
        ticket
    }

    /// Somebody waits for this ticket: it shall not wait for company.
    pub(crate) fn hurry(&mut self, ticket: u64) {
        if self.idle.iter().any(|batch| batch.ticket == ticket) {
            self.promote_idle();
        }
        self.urgent = self.urgent.max(ticket);
    }

    /// Nothing queued shall wait for company.
    pub(crate) fn hurry_all(&mut self) {
        self.promote_idle();
    }

    /// Whether the next group shall not wait for company: it is full, or somebody's thread stands still.
    pub(crate) fn is_pressed(&self) -> bool {
        self.asked
            || self.closed
            || self.writes >= GROUP_WRITES_MAX
            || self.bytes >= GROUP_BYTES_MAX
    }

    /// Whether the writer's thread is to be woken for what was just queued. It is taken for awake then, so
    /// that one call is made and not one for each batch.
    pub(crate) fn wakes_writer(&mut self, now: Duration) -> bool {
        let wakes = match self.sleep {
            Sleep::Awake => false,
            Sleep::Idle => self.due().is_some_and(|due| due <= now),
            Sleep::Gathering | Sleep::Company => self.is_pressed(),
        };
        if wakes {
            self.sleep = Sleep::Awake;
        }
        wakes
    }

    /// Writes and bytes that wait.
    pub(crate) fn backlog(&self) -> (usize, usize) {
        (self.writes, self.bytes)
    }

    /// When a group is due if nothing else is queued: `None` while there is nothing but what may wait for
    /// ever.
    pub(crate) fn due(&self) -> Option<Duration> {
        let Some(oldest) = self.main.front() else {
            return self.idle.front().map(|batch| batch.queued);
        };
        let full = self.writes >= GROUP_WRITES_MAX || self.bytes >= GROUP_BYTES_MAX;
        if full || !self.idle.is_empty() || oldest.ticket <= self.urgent {
            return Some(Duration::ZERO);
        }
        Some(oldest.queued + Duration::from_secs(SOON_SECONDS_MAX))
    }

    /// The next group, when one is due.
    pub(crate) fn take(&mut self, now: Duration) -> Option<Vec<Batch>> {
        if self.due()? > now {
            return None;
        }
        let urgent = self
            .main
            .front()
            .is_some_and(|batch| batch.ticket <= self.urgent);
        let (mut writes, mut bytes) = (0, 0);
        let mut group = Vec::new();
        while let Some(batch) = self.main.front().or(self.idle.front()) {
            // Somebody waits for an urgent group: no sweep goes with it.
            let idle_can_wait = urgent && self.main.is_empty();
            writes += batch.writes.len();
            bytes += batch.bytes;
            let full = writes > GROUP_WRITES_MAX || bytes > GROUP_BYTES_MAX;
            if !group.is_empty() && (full || idle_can_wait) {
                break;
            }
            group.extend(self.pop());
        }
        Some(group)
    }

    fn pop(&mut self) -> Option<Batch> {
        let batch = match self.main.pop_front() {
            Some(batch) => batch,
            None => {
                let batch = self.idle.pop_front()?;
                self.idle_rows = self
                    .idle
                    .iter()
                    .flat_map(|batch| &batch.writes)
                    .map(row_hash)
                    .collect();
                batch
            }
        };
        self.writes -= batch.writes.len();
        self.bytes -= batch.bytes;
        Some(batch)
    }

    /// Empties both lanes and returns the tickets.
    pub(crate) fn clear(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| self.pop())
            .map(|batch| batch.ticket)
            .collect()
    }

    fn idle_touches(&self, write: &Write) -> bool {
        self.idle_rows.contains(&row_hash(write))
    }

    /// Moves the idle lane into the main one and gets that going.
    fn promote_idle(&mut self) {
        self.main.append(&mut self.idle);
        self.idle_rows.clear();
        let last = self.main.iter().map(|batch| batch.ticket).max();
        self.urgent = self.urgent.max(last.unwrap_or(0));
    }
}

fn row_hash(write: &Write) -> u64 {
    let mut hasher = DefaultHasher::new();
    (write.table, &write.key).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Table;
    use expect_test::{Expect, expect};

    const ROWS: Table<u8, u8> = Table::new("test.rows", 1);

    /// Each word queues a batch on a row: `n1` Now, `s1` Soon, `i1` Idle. What comes out are tickets, group
    /// by group.
    fn check(words: &str, now_seconds: u64, expected: Expect) {
        let mut queue = Queue::default();
        for word in words.split_whitespace() {
            let (urgency, row) = word.split_at(1);
            let urgency = match urgency {
                "n" => Urgency::Now,
                "s" => Urgency::Soon,
                _ => Urgency::Idle,
            };
            queue.push(
                vec![ROWS.put(&row.parse().unwrap(), &0)],
                urgency,
                Duration::ZERO,
            );
        }
        let groups = std::iter::from_fn(|| queue.take(Duration::from_secs(now_seconds)));
        let tickets = groups.map(|group| {
            group
                .iter()
                .map(|batch| batch.ticket.to_string())
                .collect::<Vec<_>>()
        });
        expected.assert_eq(
            &tickets
                .map(|group| group.join("+"))
                .collect::<Vec<_>>()
                .join(" "),
        );
    }

    #[test]
    fn soon_takes_a_ride_and_idle_goes_last() {
        check("", 0, expect![""]);
        check("n1 n2", 0, expect!["1+2"]);
        check("s1 s2", 0, expect![""]);
        check("s1 n2 s3", 0, expect!["1+2+3"]);
        check("i1 i2", 0, expect!["1+2"]);
        check("i1 n2", 0, expect!["2 1"]);
        check("i1 i2 n3", 0, expect!["3 1+2"]);
        check("i1 s2", 0, expect!["2+1"]);
        check("s1", SOON_SECONDS_MAX, expect!["1"]);
    }

    #[test]
    fn a_row_keeps_its_order_across_lanes() {
        check("i1 i2 n2", 0, expect!["1+2+3"]);
        check("i1 s1", 0, expect!["1+2"]);
    }

    #[test]
    fn who_waits_for_a_ticket_gets_it_going() {
        for (urgency, ticket) in [(Urgency::Soon, 1), (Urgency::Idle, 1)] {
            let mut queue = Queue::default();
            queue.push(vec![ROWS.remove(&1)], urgency, Duration::ZERO);
            queue.hurry(ticket);
            assert_eq!(queue.take(Duration::ZERO).map(|group| group.len()), Some(1));
            assert_eq!(queue.backlog(), (0, 0));
        }
    }

    #[test]
    fn a_group_has_limits_and_a_batch_is_never_split() {
        let mut queue = Queue::default();
        for size in [
            GROUP_WRITES_MAX / 2,
            GROUP_WRITES_MAX / 2,
            1,
            GROUP_WRITES_MAX * 2,
            1,
        ] {
            let writes = (0..size).map(|_| ROWS.put(&1, &1)).collect();
            queue.push(writes, Urgency::Now, Duration::ZERO);
        }
        let groups: Vec<usize> = std::iter::from_fn(|| queue.take(Duration::ZERO))
            .map(|group| group.len())
            .collect();
        assert_eq!(groups, [2, 1, 1, 1]);
    }
}
