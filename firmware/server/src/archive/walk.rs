//! Finding messages in an archive: those that match a filter, in either direction, and how many there are.
//!
//! Spans and blocks that cannot hold a match are skipped; the rest are opened, and where the filter takes
//! all of one, its summary is enough to count. So the rows read are few, whatever the archive's size.

use super::index::{BLOCK, Block, Index, Member, SPAN, Span, Summary};
use crate::world::Timestamp;
use std::{cell::Cell, ops::ControlFlow};
use store::{Error, Key, Rows, Snapshot, Table, Value};

/// Which messages are meant. All bounds are inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Positions.
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) earliest: Timestamp,
    pub(crate) latest: Timestamp,
    /// `index::hash` of the contact.
    pub(crate) contact: Option<u32>,
}

impl Filter {
    /// Everything.
    pub(crate) const ALL: Filter = Filter {
        from: 0,
        to: u64::MAX,
        earliest: 0,
        latest: Timestamp::MAX,
        contact: None,
    };

    pub(super) fn takes(&self, member: &Member) -> bool {
        (self.from..=self.to).contains(&member.position)
            && (self.earliest..=self.latest).contains(&member.stamp)
            && self.contact.is_none_or(|contact| contact == member.contact)
    }

    fn may_take_some(&self, run: &Summary) -> bool {
        self.from <= run.last
            && run.first <= self.to
            && self.earliest <= run.latest
            && run.earliest <= self.latest
            && self
                .contact
                .is_none_or(|contact| run.with(contact) != Some(0))
    }

    /// How many of a run it takes, where its summary tells.
    fn count_of(&self, run: &Summary) -> Option<u64> {
        if !self.may_take_some(run) {
            return Some(0);
        }
        let whole = self.from <= run.first
            && run.last <= self.to
            && self.earliest <= run.earliest
            && run.latest <= self.latest;
        match self.contact {
            _ if !whole => None,
            None => Some(run.count),
            Some(contact) => run.with(contact),
        }
    }

    /// The same for the positions before this one.
    pub(super) fn before(self, position: u64) -> Filter {
        match position.checked_sub(1) {
            Some(to) => Filter {
                to: self.to.min(to),
                ..self
            },
            None => Filter {
                from: 1,
                to: 0,
                ..self
            },
        }
    }

    /// The same for the positions behind this one.
    pub(super) fn after(self, position: u64) -> Filter {
        match position.checked_add(1) {
            Some(from) => Filter {
                from: self.from.max(from),
                ..self
            },
            None => Filter {
                from: 1,
                to: 0,
                ..self
            },
        }
    }
}

/// Which way through the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Forwards,
    Backwards,
}

/// Called for one match after the other until it breaks.
type Each<'e> = dyn FnMut(Member) -> Result<ControlFlow<()>, Error> + 'e;

/// An archive as of the moment that an [`Index`] was taken: what came later is not seen.
pub(crate) struct Archive<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) account: u32,
    pub(super) index: &'a Index,
    /// Rows read, of any table.
    pub(super) rows: Cell<usize>,
}

impl<'a> Archive<'a> {
    /// `snapshot` must hold every write of the account up to when `index` was taken.
    pub(crate) fn new(snapshot: &'a Snapshot, account: u32, index: &'a Index) -> Archive<'a> {
        Archive {
            snapshot,
            account,
            index,
            rows: Cell::new(0),
        }
    }

    /// Calls `each` for the matches in order. A match may be gone from the store by now.
    pub(super) fn visit(
        &self,
        filter: &Filter,
        way: Way,
        each: &mut Each<'_>,
    ) -> Result<ControlFlow<()>, Error> {
        let parts: [Part; 3] = match way {
            Way::Forwards => [Part::Spans, Part::Blocks, Part::OpenBlock],
            Way::Backwards => [Part::OpenBlock, Part::Blocks, Part::Spans],
        };
        for part in parts {
            let flow = match part {
                Part::Spans => self.visit_spans(filter, way, each)?,
                Part::Blocks => {
                    let blocks = (self.index.open_span(), self.index.open_block());
                    self.visit_blocks(blocks, filter, way, each)?
                }
                Part::OpenBlock => visit_block(&self.index.block, filter, way, each)?,
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn visit_spans(
        &self,
        filter: &Filter,
        way: Way,
        each: &mut Each<'_>,
    ) -> Result<ControlFlow<()>, Error> {
        for row in in_order(self.runs(&SPAN, (0, self.index.open_span()), filter)?, way) {
            let (_, Span { summary, .. }) = self.counted(row)?;
            if !filter.may_take_some(&summary) {
                continue;
            }
            let blocks = (summary.first, summary.last + 1);
            let flow = self.visit_blocks(blocks, filter, way, each)?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn visit_blocks(
        &self,
        within: (u64, u64),
        filter: &Filter,
        way: Way,
        each: &mut Each<'_>,
    ) -> Result<ControlFlow<()>, Error> {
        for row in in_order(self.runs(&BLOCK, within, filter)?, way) {
            let (_, block) = self.counted(row)?;
            let flow = visit_block(&block, filter, way, each)?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// How many match.
    pub(super) fn count(&self, filter: &Filter) -> Result<u64, Error> {
        let mut sum = 0;
        for row in self.runs(&SPAN, (0, self.index.open_span()), filter)? {
            let (_, Span { summary, .. }) = self.counted(row)?;
            sum += match filter.count_of(&summary) {
                Some(count) => count,
                None => self.count_blocks((summary.first, summary.last + 1), filter)?,
            };
        }
        let open_span = (self.index.open_span(), self.index.open_block());
        let taken = self.index.block.members();
        let taken = taken.iter().filter(|member| filter.takes(member)).count();
        Ok(sum + self.count_blocks(open_span, filter)? + taken as u64)
    }

    fn count_blocks(&self, within: (u64, u64), filter: &Filter) -> Result<u64, Error> {
        let mut sum = 0;
        for row in self.runs(&BLOCK, within, filter)? {
            let (_, block) = self.counted(row)?;
            sum += filter.count_of(&block.summary).unwrap_or_else(|| {
                let members = block.members();
                members.iter().filter(|member| filter.takes(member)).count() as u64
            });
        }
        Ok(sum)
    }

    /// The rows of runs that begin within these positions, the second one not included, and may reach into
    /// the positions of the filter.
    fn runs<V: Value>(
        &self,
        table: &Table<(u32, u64), V>,
        (first, end): (u64, u64),
        filter: &Filter,
    ) -> Result<Rows<(u32, u64), V>, Error> {
        let mut from = first.max(filter.from);
        if from > first {
            // The run that this position is in begins before it.
            let mut before =
                table.range(self.snapshot, (self.account, first)..=(self.account, from))?;
            if let Some(row) = before.next_back() {
                let ((_, begin), _) = self.counted(row)?;
                from = begin;
            }
        }
        let end = end.min(filter.to.saturating_add(1));
        table.range(self.snapshot, (self.account, from)..(self.account, end))
    }

    pub(super) fn counted<T>(&self, row: Result<T, Error>) -> Result<T, Error> {
        self.rows.set(self.rows.get() + 1);
        row
    }
}

enum Part {
    Spans,
    Blocks,
    OpenBlock,
}

fn in_order<K: Key + 'static, V: Value + 'static>(
    rows: Rows<K, V>,
    way: Way,
) -> Box<dyn Iterator<Item = Result<(K, V), Error>>> {
    match way {
        Way::Forwards => Box::new(rows),
        Way::Backwards => Box::new(rows.rev()),
    }
}

fn visit_block(
    block: &Block,
    filter: &Filter,
    way: Way,
    each: &mut Each<'_>,
) -> Result<ControlFlow<()>, Error> {
    if block.summary.count == 0 || !filter.may_take_some(&block.summary) {
        return Ok(ControlFlow::Continue(()));
    }
    let mut members = block.members();
    if way == Way::Backwards {
        members.reverse();
    }
    for member in members {
        if filter.takes(&member) && each(member)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}
