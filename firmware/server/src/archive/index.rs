//! Where in an archive the messages of a contact and of a time are, without a row for each message.
//!
//! Every [`BLOCK_ENTRIES`] messages of an account make a *block*: one row that lists their positions,
//! stamps and contacts, beside what they have in common. Every [`SPAN_BLOCKS`] blocks make a *span*: one
//! row with that summary alone. Both are written once, when they are full, so that a message costs no row
//! of its own here; what is not full yet is in memory, and made again from few rows when the account is
//! loaded.
//!
//! State: tables `archive.block` and `archive.span`; [`Index`] per loaded account.

use crate::{archive::ENTRY, limits::SPAN_CONTACTS_MAX, world::Timestamp};
use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use store::{Record, Snapshot, Table, Write};

/// Messages of a block. A page of a contact who takes turns with others finds all of it in one or two rows.
pub(super) const BLOCK_ENTRIES: u64 = 256;
/// Blocks of a span. A million messages make 61 spans.
pub(super) const SPAN_BLOCKS: u8 = 64;

/// By account and first position.
pub(crate) const BLOCK: Table<(u32, u64), Block> = Table::per_account("archive.block", 1);
/// By account and first position.
pub(crate) const SPAN: Table<(u32, u64), Span> = Table::per_account("archive.span", 1);

/// A contact in few bytes. Two may share one, so a match is looked at once more where it matters.
pub(super) fn hash(contact: &str) -> u32 {
    let digest = digest::digest(&digest::SHA256, contact.as_bytes());
    let first = digest.as_ref().first_chunk().copied();
    u32::from_be_bytes(first.unwrap_or_default())
}

/// One message, as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) position: u64,
    pub(crate) stamp: Timestamp,
    /// [`hash`] of the contact's bare JID.
    pub(crate) contact: u32,
}

/// What a run of messages has in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// Positions; `first` may be that of a message that is gone.
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) count: u64,
    /// Of the payloads.
    pub(super) bytes: u64,
    /// All stamps are between these two.
    pub(super) earliest: Timestamp,
    pub(super) latest: Timestamp,
    /// How many messages each contact has, by [`hash`].
    contacts: Vec<(u32, u32)>,
    /// There are too many contacts to list: each may be in it.
    crowded: bool,
}

impl Summary {
    /// Messages with this contact; `None` where that cannot be told.
    pub(super) fn with(&self, contact: u32) -> Option<u64> {
        let mut contacts = self.contacts.iter();
        match contacts.find(|(known, _)| *known == contact) {
            Some((_, count)) => Some(u64::from(*count)),
            None => (!self.crowded).then_some(0),
        }
    }

    fn add(&mut self, run: &Summary) {
        if self.count == 0 {
            *self = run.clone();
            return;
        }
        self.last = run.last;
        self.count += run.count;
        self.bytes += run.bytes;
        self.earliest = self.earliest.min(run.earliest);
        self.latest = self.latest.max(run.latest);
        self.crowded |= run.crowded;
        for (contact, count) in &run.contacts {
            self.add_contact(*contact, *count);
        }
    }

    /// The place of a contact in the list; `None` in a crowd.
    fn add_contact(&mut self, contact: u32, count: u32) -> Option<usize> {
        if self.crowded {
            return None;
        }
        if let Some(at) = self
            .contacts
            .iter()
            .position(|(known, _)| *known == contact)
        {
            self.contacts[at].1 += count;
            return Some(at);
        }
        if self.contacts.len() == SPAN_CONTACTS_MAX {
            self.crowded = true;
            self.contacts = Vec::new();
            return None;
        }
        self.contacts.push((contact, count));
        Some(self.contacts.len() - 1)
    }

    /// These were removed. The bounds stay: they are bounds still.
    fn remove(&mut self, removed: &Removed) {
        for (member, bytes) in removed.within(self.first, self.last) {
            self.count = self.count.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(*bytes);
            let mut contacts = self.contacts.iter_mut();
            if let Some((_, count)) = contacts.find(|(known, _)| *known == member.contact) {
                *count = count.saturating_sub(1);
            }
        }
        self.contacts.retain(|(_, count)| *count > 0);
    }
}

/// Messages taken out at the front of an archive, in order, with the bytes of each.
#[derive(Debug, Default)]
pub(super) struct Removed(pub(super) Vec<(Member, u64)>);

impl Removed {
    /// The last position taken out, 0 where nothing was.
    pub(super) fn upto(&self) -> u64 {
        self.0.last().map_or(0, |(member, _)| member.position)
    }

    fn within(&self, first: u64, last: u64) -> impl Iterator<Item = &(Member, u64)> {
        let removed = self.0.iter();
        removed.filter(move |(member, _)| (first..=last).contains(&member.position))
    }
}

/// A run of messages, each of them listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Block {
    pub(super) summary: Summary,
    /// For each message three numbers of variable length: how far its position is from the one before, how
    /// far its stamp is (zigzag), and the place of its contact in the summary's list.
    #[serde(with = "serde_bytes")]
    members: Vec<u8>,
    first_stamp: Timestamp,
    last_stamp: Timestamp,
}

impl Record for Block {}

impl Block {
    fn push(&mut self, member: Member, bytes: u64) {
        if self.summary.count == 0 {
            *self = Block::default();
            self.summary.first = member.position;
            self.summary.last = member.position;
            self.summary.earliest = member.stamp;
            self.summary.latest = member.stamp;
            self.first_stamp = member.stamp;
            self.last_stamp = member.stamp;
        }
        let contact = self
            .summary
            .add_contact(member.contact, 1)
            .unwrap_or_default();
        number(&mut self.members, member.position - self.summary.last);
        number(
            &mut self.members,
            zigzag(member.stamp.wrapping_sub(self.last_stamp)),
        );
        number(&mut self.members, contact as u64);
        let summary = &mut self.summary;
        summary.last = member.position;
        summary.count += 1;
        summary.bytes += bytes;
        summary.earliest = summary.earliest.min(member.stamp);
        summary.latest = summary.latest.max(member.stamp);
        self.last_stamp = member.stamp;
    }

    /// Its messages, in order.
    pub(super) fn members(&self) -> Vec<Member> {
        let mut rest = self.members.as_slice();
        let mut members = Vec::with_capacity(self.summary.count as usize);
        let (mut position, mut stamp) = (self.summary.first, self.first_stamp);
        while let (Some(further), Some(later), Some(contact)) =
            (take(&mut rest), take(&mut rest), take(&mut rest))
        {
            position += further;
            stamp = stamp.wrapping_add(unzigzag(later));
            let contact = self.summary.contacts.get(contact as usize);
            members.push(Member {
                position,
                stamp,
                contact: contact.map_or(0, |(hash, _)| *hash),
            });
        }
        members
    }

    /// What stays of it; `None` where that is nothing.
    pub(super) fn without(&self, removed: &Removed) -> Option<Block> {
        let mut summary = self.summary.clone();
        summary.remove(removed);
        let mut block = Block::default();
        let upto = removed.upto();
        for member in self.members().into_iter().filter(|m| m.position > upto) {
            block.push(member, 0);
        }
        block.summary.bytes = summary.bytes;
        (block.summary.count > 0).then_some(block)
    }

    /// The last message.
    fn last(&self) -> Option<Place> {
        (self.summary.count > 0).then_some(Place {
            position: self.summary.last,
            stamp: self.last_stamp,
        })
    }
}

/// A run of blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    pub(super) summary: Summary,
    blocks: u8,
}

impl Record for Span {}

impl Span {
    pub(super) fn push(&mut self, block: &Block) {
        self.summary.add(&block.summary);
        self.blocks += 1;
    }

    /// What stays of it; `None` where that is nothing.
    pub(super) fn without(&self, removed: &Removed) -> Option<Span> {
        let mut span = self.clone();
        span.summary.remove(removed);
        (span.summary.count > 0).then_some(span)
    }
}

/// A message that a client can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) position: u64,
    pub(crate) stamp: Timestamp,
}

/// The archive of an account as of one moment: its ends, and what is not in full blocks and spans yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) first: Option<Place>,
    pub(crate) last: Option<Place>,
    /// Of the blocks since the last full span.
    pub(super) span: Span,
    /// Of the messages since the last full block.
    pub(super) block: Block,
}

impl Index {
    /// From the rows of an account: at most those of an open span and an open block, and what waits hidden
    /// among them.
    pub(crate) fn load(snapshot: &Snapshot, account: u32) -> Result<Index, store::Error> {
        let mut index = Index::default();
        let last_span = SPAN.prefix(snapshot, &account)?.next_back().transpose()?;
        let mut upto = last_span.map_or(0, |(_, span)| span.summary.last);
        for row in BLOCK.range(snapshot, (account, upto + 1)..=(account, u64::MAX))? {
            let (_, block) = row?;
            upto = block.summary.last;
            index.last = block.last();
            index.span.push(&block);
        }
        if index.last.is_none() {
            let last_block = BLOCK.prefix(snapshot, &account)?.next_back().transpose()?;
            index.last = last_block.and_then(|(_, block)| block.last());
        }
        for row in ENTRY.range(snapshot, (account, upto + 1)..=(account, u64::MAX))? {
            let ((_, position), entry) = row?;
            if entry.is_shown() {
                index
                    .block
                    .push(entry.member(position), u64::from(entry.bytes));
            }
        }
        index.last = index.block.last().or(index.last);
        index.first = next_shown(snapshot, account, 0)?;
        Ok(index)
    }

    /// One more message at the end, and the rows that are full with it.
    pub(super) fn add(&mut self, account: u32, member: Member, bytes: u64) -> [Option<Write>; 2] {
        let place = Place {
            position: member.position,
            stamp: member.stamp,
        };
        self.first.get_or_insert(place);
        self.last = Some(place);
        self.block.push(member, bytes);
        if self.block.summary.count < BLOCK_ENTRIES {
            return [None, None];
        }
        let block = std::mem::take(&mut self.block);
        self.span.push(&block);
        let full_block = BLOCK.put(&(account, block.summary.first), &block);
        if self.span.blocks < SPAN_BLOCKS {
            return [Some(full_block), None];
        }
        let span = std::mem::take(&mut self.span);
        let full_span = SPAN.put(&(account, span.summary.first), &span);
        [Some(full_block), Some(full_span)]
    }

    /// Messages at the front are gone; `next` is the first one behind them that is shown, as far as the
    /// disk knew.
    pub(super) fn remove(&mut self, removed: &Removed, next: Option<Place>) {
        self.block = self.block.without(removed).unwrap_or_default();
        self.span.summary.remove(removed);
        let open = self.block.members().first().map(|member| Place {
            position: member.position,
            stamp: member.stamp,
        });
        self.first = next.or(open);
        if self.first.is_none() {
            self.last = None;
        }
    }

    /// Where the open span begins: full spans are before it.
    pub(super) fn open_span(&self) -> u64 {
        if self.span.blocks == 0 {
            self.open_block()
        } else {
            self.span.summary.first
        }
    }

    /// Where the open block begins: full blocks are before it.
    pub(super) fn open_block(&self) -> u64 {
        if self.block.summary.count > 0 {
            self.block.summary.first
        } else {
            self.end() + 1
        }
    }

    /// The last position.
    pub(super) fn end(&self) -> u64 {
        self.last.map_or(0, |last| last.position)
    }
}

/// The first message from this position on that a client can ask for.
pub(super) fn next_shown(
    snapshot: &Snapshot,
    account: u32,
    from: u64,
) -> Result<Option<Place>, store::Error> {
    for row in ENTRY.range(snapshot, (account, from)..=(account, u64::MAX))? {
        let ((_, position), entry) = row?;
        if entry.is_shown() {
            let stamp = entry.stamp;
            return Ok(Some(Place { position, stamp }));
        }
    }
    Ok(None)
}

/// Bytes of all payloads of an account.
pub(super) fn bytes(snapshot: &Snapshot, account: u32) -> Result<u64, store::Error> {
    let (mut sum, mut upto) = (0, 0);
    for row in SPAN.prefix(snapshot, &account)? {
        let (_, span) = row?;
        sum += span.summary.bytes;
        upto = span.summary.last;
    }
    for row in BLOCK.range(snapshot, (account, upto + 1)..=(account, u64::MAX))? {
        let (_, block) = row?;
        sum += block.summary.bytes;
        upto = block.summary.last;
    }
    for row in ENTRY.range(snapshot, (account, upto + 1)..=(account, u64::MAX))? {
        sum += u64::from(row?.1.bytes);
    }
    Ok(sum)
}

/// Seven bits a byte, the lowest first.
fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Small numbers for small distances both ways.
fn zigzag(distance: u64) -> u64 {
    (distance << 1) ^ ((distance as i64 >> 63) as u64)
}

fn unzigzag(number: u64) -> u64 {
    (number >> 1) ^ (number & 1).wrapping_neg()
}
