//! From what a zone says to what it should say: the steps, and what stands in the way. Pure, no state.
//!
//! A record is ours if its id is in our list. What others wrote is never touched without a word: where it
//! says something else than we would, that is a conflict, and nothing that depends on it is written. What
//! says just what we would is adopted, which sends nothing.

use super::{
    record::{Data, Kept, Record},
    zone::Wanted,
};
use std::{collections::BTreeSet, fmt};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Create(Record),
    /// In place, so that the name says something at every moment.
    Change {
        kept: Kept,
        to: Record,
    },
    /// It is there, and ours from now on.
    Adopt(Kept),
    Remove(Kept),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Create(record) => write!(f, "create {record}"),
            Step::Change { kept, to } => {
                let (from, ttl) = (&kept.record, to.ttl);
                write!(f, "change {from} to {ttl} {}", to.data)
            }
            Step::Adopt(kept) => write!(f, "adopt {}", kept.record),
            Step::Remove(kept) => write!(f, "remove {}", kept.record),
        }
    }
}

/// What others wrote where we would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// What we would have there.
    pub wanted: Record,
    pub there: Vec<Kept>,
    /// Ours is not there.
    pub is_in_the_way: bool,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub conflicts: Vec<Conflict>,
    /// The domain itself belongs to others, or another house keeps the zone: no step is taken.
    pub is_held: bool,
    /// What is there as it should be.
    pub right: Vec<Record>,
}

/// What is ours in a zone.
pub struct Own<'a> {
    /// The record that says whose zone this is.
    pub marker: &'a Record,
    /// The ids in our list.
    pub ids: &'a BTreeSet<String>,
    /// Ours, and not the table's: answers to challenges.
    pub apart: &'a BTreeSet<String>,
}

/// The plan. `adopts` is the word of the administrator that what stands in the way may be written over.
pub fn plan(wanted: &Wanted, domain: &str, actual: &[Kept], own: &Own<'_>, adopts: bool) -> Plan {
    let mut planner = Planner {
        actual,
        taken: vec![false; actual.len()],
        own,
        adopts,
        plan: Plan::default(),
    };
    // A list that was lost with its card, where the zone still says that it is ours: all of it is.
    let is_ours = planner
        .find(|kept| kept.record.says_same(own.marker))
        .is_some();
    let is_listed = actual.iter().any(|kept| own.ids.contains(&kept.id));
    planner.adopts |= is_ours && !is_listed;
    planner.marker();
    for set in sets(&wanted.records) {
        planner.set(set);
    }
    planner.leftovers(wanted);
    let mut plan = planner.plan;
    let is_address = |record: &Record| {
        record.name == domain && matches!(record.data, Data::A(_) | Data::Aaaa(_))
    };
    let holds = |conflict: &Conflict| {
        conflict.is_in_the_way && (conflict.wanted == *own.marker || is_address(&conflict.wanted))
    };
    plan.is_held = plan.conflicts.iter().any(holds);
    plan
}

/// The records of one name and kind each, in order.
fn sets(records: &[Record]) -> Vec<Vec<&Record>> {
    let mut sets: Vec<Vec<&Record>> = Vec::new();
    for record in records {
        match sets.iter_mut().find(|set| set[0].is_beside(record)) {
            Some(set) => set.push(record),
            None => sets.push(vec![record]),
        }
    }
    sets
}

struct Planner<'a> {
    actual: &'a [Kept],
    /// Of which of these it is decided what becomes.
    taken: Vec<bool>,
    own: &'a Own<'a>,
    adopts: bool,
    plan: Plan,
}

impl Planner<'_> {
    fn find(&self, is_meant: impl Fn(&Kept) -> bool) -> Option<usize> {
        let mut all = self.actual.iter().enumerate();
        let found = all.find(|(at, kept)| !self.taken[*at] && is_meant(kept));
        found.map(|(at, _)| at)
    }

    fn is_own(&self, kept: &Kept) -> bool {
        self.own.ids.contains(&kept.id)
    }

    fn take(&mut self, at: usize) -> Kept {
        self.taken[at] = true;
        self.actual[at].clone()
    }

    fn change(&mut self, at: usize, to: &Record) {
        let (kept, to) = (self.take(at), to.clone());
        self.plan.steps.push(Step::Change { kept, to });
    }

    /// It says what it should.
    fn settle(&mut self, at: usize, wanted: &Record) {
        let kept = &self.actual[at];
        let is_right = kept.record.ttl == wanted.ttl;
        if !self.is_own(kept) {
            let kept = self.take(at);
            self.plan.steps.push(Step::Adopt(kept));
        } else if is_right {
            let kept = self.take(at);
            self.plan.right.push(kept.record);
        } else {
            self.change(at, wanted);
        }
    }

    /// The zone says whose it is. Another house's word is not written over without one.
    fn marker(&mut self) {
        let marker = self.own.marker;
        let own = self.find(|kept| kept.record.says_same(marker));
        if let Some(at) = own {
            self.settle(at, marker);
        }
        let others: Vec<usize> = (0..self.actual.len())
            .filter(|&at| !self.taken[at] && self.actual[at].record.is_beside(marker))
            .collect();
        self.make_way(
            own.is_none().then_some(marker).into_iter().collect(),
            marker,
            &others,
        );
    }

    /// All records of one name and kind.
    fn set(&mut self, wanted: Vec<&Record>) {
        let mut open = Vec::new();
        for record in &wanted {
            let own = self.find(|kept| kept.record.says_same(record) && self.is_own(kept));
            match own.or_else(|| self.find(|kept| kept.record.says_same(record))) {
                Some(at) => self.settle(at, record),
                None => open.push(*record),
            }
        }
        // The same once more says nothing that would be lost: two of us wrote at the same time, or an answer
        // to us was lost.
        while let Some(at) = self.find(|kept| wanted.iter().any(|it| kept.record.says_same(it))) {
            let kept = self.take(at);
            self.plan.steps.push(Step::Remove(kept));
        }
        let first = wanted[0];
        while let Some(at) = self.find(|kept| kept.record.is_beside(first) && self.is_own(kept)) {
            if open.is_empty() {
                break;
            }
            self.change(at, open.remove(0));
        }
        // Ours of another kind, which the new one does not bear.
        while let Some(at) = self.find(|kept| self.is_own(kept) && excludes(first, &kept.record)) {
            let kept = self.take(at);
            self.plan.steps.push(Step::Remove(kept));
        }
        let in_the_way: Vec<usize> = (0..self.actual.len())
            .filter(|&at| !self.taken[at] && !self.is_own(&self.actual[at]))
            .filter(|&at| stands_against(first, &self.actual[at].record))
            .collect();
        self.make_way(open, first, &in_the_way);
    }

    /// Writes what is open, where nobody stands in the way or may be written over.
    fn make_way(&mut self, open: Vec<&Record>, first: &Record, in_the_way: &[usize]) {
        if !in_the_way.is_empty() && !self.adopts {
            let there = in_the_way
                .iter()
                .map(|&at| self.actual[at].clone())
                .collect();
            self.plan.conflicts.push(Conflict {
                wanted: open.first().map_or(first, |open| open).clone(),
                there,
                is_in_the_way: !open.is_empty(),
            });
            return;
        }
        let mut open = open.into_iter();
        let (same, others): (Vec<usize>, Vec<usize>) = in_the_way
            .iter()
            .partition(|&&at| self.actual[at].record.is_beside(first));
        for at in others {
            let kept = self.take(at);
            self.plan.steps.push(Step::Remove(kept));
        }
        for at in same {
            match open.next() {
                Some(record) => self.change(at, record),
                None => {
                    let kept = self.take(at);
                    self.plan.steps.push(Step::Remove(kept));
                }
            }
        }
        self.plan.steps.extend(open.cloned().map(Step::Create));
    }

    /// Ours that are not wanted any more.
    fn leftovers(&mut self, wanted: &Wanted) {
        let (ids, apart) = (self.own.ids, self.own.apart);
        let is_over = |kept: &Kept| {
            let record = &kept.record;
            let is_spared =
                |(name, kind): &(String, &str)| *name == record.name && *kind == record.data.kind();
            ids.contains(&kept.id)
                && !apart.contains(&kept.id)
                && !wanted.spared.iter().any(is_spared)
        };
        while let Some(at) = self.find(is_over) {
            let kept = self.take(at);
            self.plan.steps.push(Step::Remove(kept));
        }
    }
}

/// Whether what others wrote makes ours worthless: whoever asks for it would be led elsewhere.
fn stands_against(wanted: &Record, there: &Record) -> bool {
    if wanted.name != there.name {
        return false;
    }
    match wanted.data {
        Data::A(_) | Data::Aaaa(_) => {
            matches!(there.data, Data::A(_) | Data::Aaaa(_) | Data::Cname(_))
        }
        Data::Cname(_) => true,
        Data::Srv { .. } => matches!(there.data, Data::Srv { .. } | Data::Cname(_)),
        _ => matches!(there.data, Data::Cname(_)),
    }
}

/// Whether both cannot be at one name (RFC 1034 §3.6.2).
fn excludes(wanted: &Record, there: &Record) -> bool {
    wanted.name == there.name
        && (matches!(wanted.data, Data::Cname(_)) != matches!(there.data, Data::Cname(_)))
}

#[cfg(test)]
mod tests;
