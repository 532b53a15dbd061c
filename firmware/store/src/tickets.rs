//! Tickets: which batches are durable, which are applied, which failed, and who waits to hear.

use crate::limits::FAILED_RANGES_MAX;
use std::collections::{BTreeMap, BTreeSet};

/// The receipt for a queued batch; later batches have larger ones. Lives as long as the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

impl Ticket {
    /// The ticket of nothing at all; always durable.
    pub const NONE: Ticket = Ticket(0);
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    /// It survives anything from now on.
    Yes,
    /// The disk did not take it. It is not in the store, though after a power cut it may still turn up there.
    No,
}

pub(crate) type Callback = Box<dyn FnOnce(Durable) + Send>;

/// Callbacks whose batch is settled, to be called without a lock held.
pub(crate) type Released = Vec<(Callback, Durable)>;

#[derive(Default)]
pub(crate) struct Tickets {
    last: u64,
    /// The largest ticket that is settled, one way or the other.
    settled: u64,
    /// The largest ticket that is settled with yes.
    durable: u64,
    /// The largest ticket that readers see, or that failed.
    applied: u64,
    /// Idle batches that later ones have overtaken, or will.
    idle: BTreeSet<u64>,
    /// First and last of each run of failed tickets, in order.
    failed: Vec<(u64, u64)>,
    waiting: BTreeMap<u64, Vec<Callback>>,
}

impl Tickets {
    pub(crate) fn issue(&mut self, idle: bool) -> u64 {
        self.last += 1;
        if idle {
            self.idle.insert(self.last);
        }
        self.last
    }

    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    pub(crate) fn applied(&self) -> u64 {
        self.applied
    }

    pub(crate) fn status(&self, ticket: u64) -> Option<Durable> {
        if ticket > self.settled || self.idle.contains(&ticket) {
            return None;
        }
        let range = self.failed.partition_point(|&(_, last)| last < ticket);
        match self.failed.get(range) {
            Some(&(first, _)) if first <= ticket => Some(Durable::No),
            _ => Some(Durable::Yes),
        }
    }

    pub(crate) fn is_applied(&self, ticket: u64) -> bool {
        ticket <= self.applied && !self.idle.contains(&ticket)
    }

    /// Whether somebody waits to hear of a batch.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Keeps the callback, or gives it back with the answer that is known already.
    pub(crate) fn wait(&mut self, ticket: u64, callback: Callback) -> Option<(Callback, Durable)> {
        match self.status(ticket) {
            Some(durable) => Some((callback, durable)),
            None => {
                self.waiting.entry(ticket).or_default().push(callback);
                None
            }
        }
    }

    /// These batches are durable. Idle ones are told only once they are applied, too ([`Tickets::apply`]).
    pub(crate) fn settle(&mut self, tickets: &[u64]) -> Released {
        if let Some(&last) = tickets.iter().max() {
            self.settled = self.settled.max(last);
            self.durable = self.durable.max(last);
        }
        self.release()
    }

    /// These batches are what readers see now.
    pub(crate) fn apply(&mut self, tickets: &[u64]) -> Released {
        for ticket in tickets {
            self.applied = self.applied.max(*ticket);
            self.idle.remove(ticket);
        }
        self.release()
    }

    /// These batches are refused.
    pub(crate) fn fail(&mut self, tickets: &[u64]) -> Released {
        let mut sorted = tickets.to_vec();
        sorted.sort_unstable();
        for ticket in sorted {
            self.idle.remove(&ticket);
            self.note_failed(ticket);
            self.settled = self.settled.max(ticket);
            self.applied = self.applied.max(ticket);
        }
        self.release()
    }

    /// Tickets arrive here in order but for idle ones that were overtaken.
    fn note_failed(&mut self, ticket: u64) {
        let at = self.failed.partition_point(|&(_, last)| last < ticket);
        match at
            .checked_sub(1)
            .and_then(|before| self.failed.get_mut(before))
        {
            Some((_, last)) if *last + 1 == ticket => *last = ticket,
            _ => self.failed.insert(at, (ticket, ticket)),
        }
        if self.failed.len() > FAILED_RANGES_MAX {
            let (_, last) = self.failed.remove(1);
            self.failed[0].1 = last;
        }
    }

    /// The callbacks of all that is settled, by ticket.
    fn release(&mut self) -> Released {
        let later = self.waiting.split_off(&(self.settled + 1));
        let candidates = std::mem::replace(&mut self.waiting, later);
        let mut released = Vec::new();
        for (ticket, callbacks) in candidates {
            match self.status(ticket) {
                Some(durable) => {
                    released.extend(callbacks.into_iter().map(|callback| (callback, durable)));
                }
                None => {
                    self.waiting.insert(ticket, callbacks);
                }
            }
        }
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    /// Each step is `issue`, `idle`, `settle N…`, `apply N…` or `fail N…`; a dot, y or n per ticket is the
    /// state.
    fn check(steps: &str, expected: Expect) {
        let mut tickets = Tickets::default();
        for step in steps.split("; ") {
            let (verb, rest) = step.split_once(' ').unwrap_or((step, ""));
            let numbers: Vec<u64> = rest
                .split_whitespace()
                .map(|number| number.parse().unwrap())
                .collect();
            let _ = match verb {
                "issue" | "idle" => {
                    tickets.issue(verb == "idle");
                    Vec::new()
                }
                "settle" => tickets.settle(&numbers),
                "apply" => tickets.apply(&numbers),
                "fail" => tickets.fail(&numbers),
                _ => panic!("{verb}?"),
            };
        }
        let states: String = (0..=tickets.last())
            .map(|ticket| match tickets.status(ticket) {
                None => '.',
                Some(Durable::Yes) => 'y',
                Some(Durable::No) => 'n',
            })
            .collect();
        expected.assert_eq(&format!(
            "{states} durable={} applied={}",
            tickets.durable(),
            tickets.applied()
        ));
    }

    #[test]
    fn tickets_settle_in_order_but_for_idle_ones() {
        check("issue; issue", expect!["y.. durable=0 applied=0"]);
        check("issue; issue; settle 1", expect!["yy. durable=1 applied=0"]);
        check(
            "issue; issue; settle 1 2; apply 1 2",
            expect!["yyy durable=2 applied=2"],
        );
        check(
            "idle; issue; settle 2; apply 2",
            expect!["y.y durable=2 applied=2"],
        );
        check(
            "idle; issue; settle 2; apply 2; settle 1; apply 1",
            expect!["yyy durable=2 applied=2"],
        );
    }

    #[test]
    fn a_failed_ticket_stays_failed() {
        check(
            "issue; issue; issue; settle 1; fail 2 3",
            expect!["yynn durable=1 applied=3"],
        );
        check(
            "issue; issue; fail 1 2; issue; settle 3; apply 3",
            expect!["ynny durable=3 applied=3"],
        );
        check(
            "idle; issue; settle 2; apply 2; issue; fail 3 1",
            expect!["ynyn durable=2 applied=3"],
        );
    }

    #[test]
    fn callbacks_run_when_their_ticket_settles() {
        let mut tickets = Tickets::default();
        let (one, two) = (tickets.issue(false), tickets.issue(false));
        assert!(
            tickets
                .wait(0, Box::new(|_| ()))
                .is_some_and(|(_, durable)| durable == Durable::Yes)
        );
        assert!(tickets.wait(two, Box::new(|_| ())).is_none());
        assert!(tickets.wait(one, Box::new(|_| ())).is_none());
        assert_eq!(tickets.settle(&[one]).len(), 1);
        assert!(tickets.wait(one, Box::new(|_| ())).is_some());
        assert_eq!(tickets.fail(&[two])[0].1, Durable::No);
    }

    #[test]
    fn too_many_outages_are_joined_from_the_oldest_on() {
        let mut tickets = Tickets::default();
        for _ in 0..FAILED_RANGES_MAX + 8 {
            let failed = tickets.issue(false);
            let good = tickets.issue(false);
            tickets.fail(&[failed]);
            tickets.settle(&[good]);
        }
        assert_eq!(tickets.failed.len(), FAILED_RANGES_MAX);
        assert_eq!(
            tickets.status(2),
            Some(Durable::No),
            "an old yes may become a no"
        );
        assert_eq!(
            tickets.status(1),
            Some(Durable::No),
            "a no never becomes a yes"
        );
        assert_eq!(tickets.status(tickets.last()), Some(Durable::Yes));
    }
}
